//! Asking consumers for messages.

use std::time::Duration;

use relevo_protocol::jetstream::api::NextRequest;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::publish::{LEASE, PENDING_MESSAGES};
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::name::{ConsumerName, StreamName};
use relevo_protocol::time::format_duration;
use tokio::time::Instant;

use super::stored::is_delivery;
use crate::client::Client;
use crate::error::{JetStreamError, RequestError};
use crate::headers::Headers;
use crate::message::Message;
use crate::replies::{ASKED_BYTES_MAX, Replies};

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

/// What one pull asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pull {
    /// How many messages at most.
    pub(crate) max: u32,
    /// How long to wait for the first one.
    pub(crate) wait: Duration,
    /// How long they are leased; `None` is as the consumer has it.
    pub(crate) lease: Option<Duration>,
}

/// One pull: messages that are there, or else the first ones that come in time.
pub(crate) async fn pull_once(
    client: &Client,
    stream: StreamName,
    consumer: ConsumerName,
    pull: Pull,
) -> Result<Vec<Message>, JetStreamError> {
    let mut replies = Replies::new(client.clone()).await?;
    let subject = Endpoint::MsgNext(stream, consumer).subject();
    let request = NextRequest {
        batch: u64::from(pull.max),
        max_bytes: ASKED_BYTES_MAX,
        expires: pull.wait,
        no_wait: true,
        ..NextRequest::default()
    };
    let mut headers = Headers::new();
    if let Some(lease) = pull.lease {
        headers.append(LEASE, &format_duration(lease))?;
    }
    replies
        .ask_with_headers(&subject, &headers.encode(), &json::encode(&request))
        .await?;

    let deadline = Instant::now() + pull.wait + client.shared().options.request_timeout;
    let mut messages = Vec::new();
    while messages.len() < pull.max as usize {
        let message = match replies.next(deadline).await {
            Ok(message) => message,
            // Those that came are leased; the worker shall have them.
            Err(_) if !messages.is_empty() => break,
            Err(error) => return Err(error.into()),
        };
        if is_delivery(&message) {
            messages.push(message);
            continue;
        }
        match message.status() {
            Some(HEARTBEAT) | None => {}
            Some(NO_MESSAGES) => break,
            Some(_) if !messages.is_empty() => break,
            Some(REQUEST_ENDED) if !is_bad_request(&message) => break,
            Some(_) if message.is_no_responders() => return Err(RequestError::NoResponders.into()),
            Some(code) => return Err(JetStreamError::status(code, &message)),
        }
    }
    Ok(messages)
}

fn is_bad_request(message: &Message) -> bool {
    message
        .status_description()
        .starts_with(&*Status::BAD_REQUEST.description)
}

/// Whether a request ended because it got as many bytes as it asked for.
fn is_batch_completed(message: &Message) -> bool {
    message.status_description() == Status::BATCH_COMPLETED.description
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
            if is_delivery(&message) {
                self.asked = self.asked.saturating_sub(1);
                return Ok(message);
            }
            match message.status() {
                Some(HEARTBEAT) | None => {}
                Some(NO_MESSAGES | REQUEST_ENDED) => self.asked -= left_over(&message, self.asked),
                Some(_) if is_batch_completed(&message) => {
                    self.asked -= left_over(&message, self.asked)
                }
                Some(_) => return Err(PullLost),
            }
        }
    }

    async fn ask(&mut self) -> Result<(), PullLost> {
        let batch = PULL_AHEAD - self.asked;
        let request = NextRequest {
            batch,
            max_bytes: ASKED_BYTES_MAX,
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
