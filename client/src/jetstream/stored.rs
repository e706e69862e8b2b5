//! Messages as streams keep them.

use bytes::Bytes;
use relevo_protocol::jetstream::ack::AckSubject;
use relevo_protocol::jetstream::publish::{
    LAST_SEQUENCE, NUM_PENDING, SEQUENCE, STREAM, SUBJECT, TIME_STAMP, UP_TO_SEQUENCE,
};
use relevo_protocol::time::Timestamp;

use crate::error::{BadAnswer, JetStreamError};
use crate::headers::Headers;
use crate::message::Message;

/// A message that a queue or a topic keeps.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    /// Its sequence in the stream, from 1.
    pub seq: u64,
    /// The subject that it was published on.
    pub subject: String,
    /// When it was stored.
    pub time: Timestamp,
    /// Its headers.
    pub headers: Headers,
    /// The payload.
    pub payload: Bytes,
}

/// What a direct get adds to a message's own headers.
const ADDED: [&str; 7] = [
    STREAM,
    SUBJECT,
    SEQUENCE,
    TIME_STAMP,
    LAST_SEQUENCE,
    NUM_PENDING,
    UP_TO_SEQUENCE,
];

impl StoredMessage {
    /// From an answer to a direct get.
    pub(crate) fn from_direct_get(message: &Message) -> Result<Self, JetStreamError> {
        let missing = JetStreamError::BadAnswer(BadAnswer::NoOrigin);
        let all = kept_headers(message)?;
        let (Some(subject), Some(seq), Some(time)) =
            (all.get(SUBJECT), all.get(SEQUENCE), all.get(TIME_STAMP))
        else {
            return Err(missing);
        };
        let (Ok(seq), Ok(time)) = (seq.parse(), Timestamp::parse(time)) else {
            return Err(missing);
        };
        let mut headers = Headers::new();
        for (name, value) in all.iter().filter(|(name, _)| !ADDED.contains(name)) {
            headers.append(name, value)?;
        }
        Ok(Self {
            seq,
            subject: subject.to_owned(),
            time,
            headers,
            payload: message.payload(),
        })
    }

    /// From a delivery of a consumer.
    pub(crate) fn from_delivery(
        message: &Message,
        origin: &AckSubject,
    ) -> Result<Self, JetStreamError> {
        Ok(Self {
            seq: origin.stream_seq,
            subject: message.subject().to_owned(),
            time: origin.timestamp,
            headers: kept_headers(message)?,
            payload: message.payload(),
        })
    }
}

/// The headers of a message.
pub(crate) fn kept_headers(message: &Message) -> Result<Headers, JetStreamError> {
    let block = message
        .headers()
        .map_err(|_| JetStreamError::BadAnswer(BadAnswer::Headers))?;
    match block {
        Some(block) => Ok(Headers::from_block(&block)?),
        None => Ok(Headers::new()),
    }
}

/// Which delivery of which message it is.
pub(crate) fn origin_of_delivery(message: &Message) -> Result<AckSubject, JetStreamError> {
    message
        .reply()
        .and_then(|reply| AckSubject::parse(reply).ok())
        .ok_or(JetStreamError::BadAnswer(BadAnswer::NoAckSubject))
}
