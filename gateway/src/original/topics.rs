//! The original's actions on topics.

use std::time::Duration;

use axum::extract::State;
use relevo_client::{JetStreamError, PostOptions, Topic};
use relevo_protocol::convention::topic::TopicOptions;
use relevo_protocol::name::SubscriptionName;
use relevo_protocol::verb::StartFrom;

use super::answer::{About, Answer};
use super::input::Words;
use crate::http::{Api, LIST_MESSAGES_MAX, Source};

pub(super) async fn create(
    State(api): State<Api>,
    Words(topico): Words<String>,
) -> Result<Answer, Answer> {
    const CREATED: Answer = Answer::of("Topico creado");
    match topic(&api, &topico)?.create(&TopicOptions::default()).await {
        Ok(_) => Ok(CREATED),
        Err(error) if error.is_conflict() => Ok(CREATED),
        Err(error) => Err(failed(&api, &error).await),
    }
}

pub(super) async fn delete(
    State(api): State<Api>,
    Words(topico): Words<String>,
) -> Result<Answer, Answer> {
    match topic(&api, &topico)?.delete().await {
        Ok(()) => Ok(Answer::of("Topico eliminado")),
        Err(error) => Err(failed(&api, &error).await),
    }
}

pub(super) async fn publish(
    State(api): State<Api>,
    Words((topico, mensaje)): Words<(String, String)>,
) -> Result<Answer, Answer> {
    match topic(&api, &topico)?
        .publish(mensaje, &PostOptions::default())
        .await
    {
        Ok(_) => Ok(Answer::of("Mensaje agregado")),
        Err(error) => Err(failed(&api, &error).await),
    }
}

/// `/verMensajesTopico`: the oldest messages, up to [`LIST_MESSAGES_MAX`].
pub(super) async fn view(
    State(api): State<Api>,
    Words(topico): Words<String>,
) -> Result<Answer, Answer> {
    let topic = topic(&api, &topico)?;
    match Source::Topic(&topic)
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

/// `/suscribirTopico`: the subscriber begins with the oldest message there is.
pub(super) async fn subscribe(
    State(api): State<Api>,
    Words((topico, suscriptor)): Words<(String, String)>,
) -> Result<Answer, Answer> {
    let topic = topic(&api, &topico)?;
    let name = SubscriptionName::parse(&suscriptor).map_err(Answer::of_bad_name)?;
    match topic.subscribe(name.as_str(), StartFrom::First).await {
        Ok(_) => Ok(Answer::of("Suscrito")),
        Err(error) => Err(failed(&api, &error).await),
    }
}

/// `/conTopico`: the subscriber's next message, which it will not see again. Who has not subscribed is subscribed now.
pub(super) async fn take(
    State(api): State<Api>,
    Words((topico, suscriptor)): Words<(String, String)>,
) -> Result<Answer, Answer> {
    let topic = topic(&api, &topico)?;
    let name = SubscriptionName::parse(&suscriptor).map_err(Answer::of_bad_name)?;
    let subscription = match topic.subscribe(name.as_str(), StartFrom::First).await {
        Ok(subscription) => subscription,
        Err(error) => return Err(failed(&api, &error).await),
    };
    let delivery = match subscription.next(Duration::ZERO).await {
        Ok(Some(delivery)) => delivery,
        Ok(None) => return Ok(Answer::of("Sin mensajes")),
        Err(error) => return Err(failed(&api, &error).await),
    };
    match delivery.ack().await {
        Ok(()) => Ok(Answer::of_payload(&delivery.message.payload)),
        Err(error) => Err(Answer::of_lease_error(&api, &error, About::Topic).await),
    }
}

fn topic(api: &Api, name: &str) -> Result<Topic, Answer> {
    api.client().topic(name).map_err(Answer::of_bad_name)
}

async fn failed(api: &Api, error: &JetStreamError) -> Answer {
    Answer::of_error(api, error, About::Topic).await
}
