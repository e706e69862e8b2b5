//! Asking consumers for messages.

use std::time::Duration;

use relevo_protocol::jetstream::api::NextRequest;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::publish::PENDING_MESSAGES;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::name::{ConsumerName, StreamName};
use tokio::time::Instant;

use crate::client::{Client, NO_RESPONDERS};
use crate::error::{JetStreamError, RequestError};
use crate::message::Message;
use crate::replies::Replies;

/// How many messages a [`Puller`] has asked for at most.
const PULL_AHEAD: u64 = 512;

/// How long a [`Puller`]'s request waits at the server.
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// How often the server says that a [`Puller`]'s request still waits.
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);

/// A consumer that is silent for longer than this is not there any more.
const PULL_SILENCE_MAX: Duration = Duration::from_secs(11);

const HEARTBEAT: u16 = 100;
const NO_MESSAGES: u16 = 404;
const REQUEST_ENDED: u16 = 408;

/// One pull: up to `max` messages that are there, or else the first ones that come within `wait`.
pub(crate) async fn pull_once(
    client: &Client,
    stream: StreamName,
    consumer: ConsumerName,
    max: u32,
    wait: Duration,
) -> Result<Vec<Message>, JetStreamError> {
    let mut replies = Replies::new(client.clone()).await?;
    let subject = Endpoint::MsgNext(stream, consumer).subject();
    let request = NextRequest {
        batch: u64::from(max),
        expires: wait,
        no_wait: true,
        ..NextRequest::default()
    };
    replies.ask(&subject, &json::encode(&request)).await?;

    let deadline = Instant::now() + wait + client.shared().options.request_timeout;
    let mut messages = Vec::new();
    while messages.len() < max as usize {
        let message = match replies.next(deadline).await {
            Ok(message) => message,
            // Those that came are leased; the worker shall have them.
            Err(_) if !messages.is_empty() => break,
            Err(error) => return Err(error.into()),
        };
        match message.status() {
            None => messages.push(message),
            Some(HEARTBEAT) => {}
            Some(NO_MESSAGES) => break,
            Some(NO_RESPONDERS) if messages.is_empty() => {
                return Err(RequestError::NoResponders.into());
            }
            Some(REQUEST_ENDED) if !is_bad_request(&message) => break,
            Some(code) if messages.is_empty() => {
                return Err(JetStreamError::status(code, &message));
            }
            Some(_) => break,
        }
    }
    Ok(messages)
}

fn is_bad_request(message: &Message) -> bool {
    let block = message.headers().ok().flatten();
    let status = block.and_then(|block| block.status());
    status.is_some_and(|status| {
        status
            .description
            .starts_with(&*Status::BAD_REQUEST.description)
    })
}

/// Pulls without end, always some messages ahead.
#[derive(Debug)]
pub(crate) struct Puller {
    replies: Replies,
    subject: String,
    /// How many messages were asked for and did not come yet.
    asked: u64,
}

/// Why a [`Puller`] gets nothing more.
#[derive(Debug)]
pub(crate) struct PullLost;

impl Puller {
    pub(crate) async fn new(
        client: &Client,
        stream: StreamName,
        consumer: ConsumerName,
    ) -> Result<Self, JetStreamError> {
        let replies = Replies::new(client.clone()).await?;
        Ok(Self {
            replies,
            subject: Endpoint::MsgNext(stream, consumer).subject(),
            asked: 0,
        })
    }

    /// The next message, however long it takes to come. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Message, PullLost> {
        loop {
            if self.asked <= PULL_AHEAD / 2 {
                self.ask().await?;
            }
            let message = self
                .replies
                .next(Instant::now() + PULL_SILENCE_MAX)
                .await
                .map_err(|_| PullLost)?;
            match message.status() {
                None => {
                    self.asked = self.asked.saturating_sub(1);
                    return Ok(message);
                }
                Some(HEARTBEAT) => {}
                Some(NO_MESSAGES | REQUEST_ENDED) => self.asked -= left_over(&message, self.asked),
                Some(_) => return Err(PullLost),
            }
        }
    }

    async fn ask(&mut self) -> Result<(), PullLost> {
        let batch = PULL_AHEAD - self.asked;
        let request = NextRequest {
            batch,
            expires: PULL_EXPIRES,
            idle_heartbeat: PULL_HEARTBEAT,
            ..NextRequest::default()
        };
        self.replies
            .ask(&self.subject, &json::encode(&request))
            .await
            .map_err(|_| PullLost)?;
        self.asked += batch;
        Ok(())
    }
}

/// How many messages a request that ended did not get, at most `asked`.
fn left_over(message: &Message, asked: u64) -> u64 {
    let block = message.headers().ok().flatten();
    let told = block.and_then(|block| block.get(PENDING_MESSAGES)?.parse().ok());
    told.unwrap_or(asked).min(asked)
}
