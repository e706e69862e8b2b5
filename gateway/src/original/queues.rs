//! The original's actions on queues.

use std::time::Duration;

use axum::extract::State;
use bytes::Bytes;
use relevo_client::{Headers, JetStreamError, PopOptions, PushOptions, Queue};
use relevo_protocol::convention::mailbox::MAILBOX_PREFIX;
use relevo_protocol::convention::queue::QueueOptions;
use relevo_protocol::jetstream::publish::REPLY_TO;
use relevo_protocol::name::QueueName;
use relevo_protocol::verb::StartFrom;

use super::answer::{About, Answer};
use super::input::{Mailbox, Words};
use crate::http::{Api, LIST_MESSAGES_MAX, Source};

pub(super) async fn create(
    State(api): State<Api>,
    Words(cola): Words<String>,
) -> Result<Answer, Answer> {
    let queue = queue(&api, &cola)?;
    make(&api, &queue).await?;
    Ok(Answer::of("Cola creada"))
}

pub(super) async fn delete(
    State(api): State<Api>,
    Words(cola): Words<String>,
) -> Result<Answer, Answer> {
    match queue(&api, &cola)?.delete().await {
        Ok(()) => Ok(Answer::of("Cola eliminada")),
        Err(error) => Err(failed(&api, &error).await),
    }
}

/// `/listarColas`: the names, without the mailboxes.
pub(super) async fn list(State(api): State<Api>) -> Result<Answer, Answer> {
    let queues = match api.client().queues().await {
        Ok(queues) => queues,
        Err(error) => return Err(failed(&api, &error).await),
    };
    let names = queues.iter().map(|queue| queue.name.as_str());
    Ok(Answer::of_list(
        names.filter(|name| !name.starts_with(MAILBOX_PREFIX)),
    ))
}

/// `/agregarElementoCola`: the job carries the mailbox of who asked, which is there before any worker can answer.
pub(super) async fn push(
    State(api): State<Api>,
    Words((cola, mensaje)): Words<(String, String)>,
    Mailbox(mailbox): Mailbox,
) -> Result<Answer, Answer> {
    let queue = queue(&api, &cola)?;
    make(&api, &self::queue(&api, mailbox.as_str())?).await?;

    let mut headers = Headers::new();
    if let Err(error) = headers.append(REPLY_TO, mailbox.as_str()) {
        return Err(failed(&api, &JetStreamError::Header(error)).await);
    }
    let options = PushOptions {
        headers,
        ..PushOptions::default()
    };
    match queue.push(mensaje, &options).await {
        Ok(_) => Ok(Answer::of("Mensaje agregado")),
        Err(error) => Err(failed(&api, &error).await),
    }
}

/// `/verCola`: the oldest messages, up to [`LIST_MESSAGES_MAX`], left where they are.
pub(super) async fn view(
    State(api): State<Api>,
    Words(cola): Words<String>,
) -> Result<Answer, Answer> {
    let queue = queue(&api, &cola)?;
    match Source::Queue(&queue)
        .page(StartFrom::First, LIST_MESSAGES_MAX)
        .await
    {
        Ok(messages) => Ok(Answer::of_list(
            messages
                .iter()
                .map(|message| String::from_utf8_lossy(&message.payload)),
        )),
        Err(error) => Err(failed(&api, &error).await),
    }
}

pub(super) async fn take(
    State(api): State<Api>,
    Words(cola): Words<String>,
) -> Result<Answer, Answer> {
    let name = QueueName::parse(&cola).map_err(Answer::of_bad_name)?;
    match take_oldest(&api, &name).await? {
        Some(payload) => Ok(Answer::of_payload(&payload)),
        None => Ok(Answer::of("Cola vacia")),
    }
}

/// Takes the oldest message out of a queue for good.
pub(super) async fn take_oldest(api: &Api, name: &QueueName) -> Result<Option<Bytes>, Answer> {
    let queue = queue(api, name.as_str())?;
    let options = PopOptions {
        max: 1,
        wait: Duration::ZERO,
        lease: None,
    };
    let jobs = match queue.pop(&options).await {
        Ok(jobs) => jobs,
        Err(error) => return Err(failed(api, &error).await),
    };
    let Some(job) = jobs.into_iter().next() else {
        return Ok(None);
    };
    match job.ack().await {
        Ok(()) => Ok(Some(job.payload)),
        Err(error) => Err(Answer::of_lease_error(api, &error, About::Queue).await),
    }
}

/// Makes a queue unless it is there, with whatever options.
async fn make(api: &Api, queue: &Queue) -> Result<(), Answer> {
    match queue.create(&QueueOptions::default()).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(failed(api, &error).await),
    }
}

fn queue(api: &Api, name: &str) -> Result<Queue, Answer> {
    api.client().queue(name).map_err(Answer::of_bad_name)
}

async fn failed(api: &Api, error: &JetStreamError) -> Answer {
    Answer::of_error(api, error, About::Queue).await
}
