//! What is put into queues and topics, and what comes back.

use std::time::Duration;

use relevo_protocol::jetstream::pub_ack::PubAck;
use relevo_protocol::jetstream::publish::{DELAY, KEY, MSG_ID, PRIORITY};
use relevo_protocol::name::StreamName;
use relevo_protocol::time::format_duration;

use crate::error::JetStreamError;
use crate::headers::Headers;

/// How a message is pushed to a queue. What is `None` is as the queue has it.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// A second push with this id within the queue's dedup window stores nothing: with an id a push may be tried again.
    pub id: Option<String>,
    /// The message is not handed out before this has passed.
    pub delay: Option<Duration>,
    /// Higher goes first, 0 to 9.
    pub priority: Option<u8>,
    /// Messages with one key are handed out one after the other.
    pub key: Option<String>,
    /// Headers of the message.
    pub headers: Headers,
}

/// How a message is published to a topic.
#[derive(Clone, Debug, Default)]
pub struct PostOptions {
    /// A second message with this id within the topic's dedup window is not stored.
    pub id: Option<String>,
    /// Headers of the message.
    pub headers: Headers,
}

/// The message is stored, as durably as the server promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The stream.
    pub stream: StreamName,
    /// The message's sequence there.
    pub seq: u64,
    /// The id was seen before: nothing was stored, [`Self::seq`] is the earlier message's.
    pub duplicate: bool,
}

impl PushOptions {
    pub(crate) fn to_headers(&self) -> Result<Headers, JetStreamError> {
        let mut headers = self.headers.clone();
        if let Some(id) = &self.id {
            headers.insert(MSG_ID, id)?;
        }
        if let Some(delay) = self.delay {
            headers.insert(DELAY, &format_duration(delay))?;
        }
        if let Some(priority) = self.priority {
            headers.insert(PRIORITY, &priority.to_string())?;
        }
        if let Some(key) = &self.key {
            headers.insert(KEY, key)?;
        }
        Ok(headers)
    }
}

impl PostOptions {
    pub(crate) fn to_headers(&self) -> Result<Headers, JetStreamError> {
        let mut headers = self.headers.clone();
        if let Some(id) = &self.id {
            headers.insert(MSG_ID, id)?;
        }
        Ok(headers)
    }
}

impl From<PubAck> for Pushed {
    fn from(ack: PubAck) -> Self {
        Self {
            stream: ack.stream,
            seq: ack.seq,
            duplicate: ack.duplicate,
        }
    }
}
