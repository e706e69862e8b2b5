//! Messages as streams keep them.

use bytes::Bytes;
use relevo_protocol::jetstream::ack::{ACK_PREFIX, AckSubject};
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
    /// From an answer to a direct get; `None` when the answer is a status.
    pub(crate) fn from_direct_get(message: &Message) -> Result<Option<Self>, JetStreamError> {
        let mut headers = Headers::new();
        let (mut seq, mut subject, mut time) = (None, None, None);
        for (name, value) in kept_headers(message).iter() {
            // A publisher may have written anything; what the server adds stands behind it.
            match name {
                SEQUENCE => seq = value.parse().ok(),
                SUBJECT => subject = Some(value.to_owned()),
                TIME_STAMP => time = Timestamp::parse(value).ok(),
                _ if ADDED.contains(&name) => {}
                _ => {
                    headers.append(name, value)?;
                }
            }
        }
        match (seq, subject, time) {
            (Some(seq), Some(subject), Some(time)) => Ok(Some(Self {
                seq,
                subject,
                time,
                headers,
                payload: message.payload(),
            })),
            (None, _, None) if message.status().is_some() => Ok(None),
            _ => Err(JetStreamError::BadAnswer(BadAnswer::NoOrigin)),
        }
    }

    /// From a delivery of a consumer.
    pub(crate) fn from_delivery(message: &Message, origin: &AckSubject) -> Self {
        Self {
            seq: origin.stream_seq,
            subject: message.subject().to_owned(),
            time: origin.timestamp,
            headers: kept_headers(message),
            payload: message.payload(),
        }
    }
}

/// The headers of a message. What can not be read is left out: a message must not be stuck in its queue for it.
pub(crate) fn kept_headers(message: &Message) -> Headers {
    Headers::from_bytes(message.header_bytes())
}

/// Which delivery of which message it is.
pub(crate) fn origin_of_delivery(message: &Message) -> Result<AckSubject, JetStreamError> {
    message
        .reply()
        .and_then(|reply| AckSubject::parse(reply).ok())
        .ok_or(JetStreamError::BadAnswer(BadAnswer::NoAckSubject))
}

/// Whether a message is a delivery and not a status. Looked at before the status: a publisher may have written anything
/// into the headers of a message.
pub(crate) fn is_delivery(message: &Message) -> bool {
    message
        .reply()
        .is_some_and(|reply| reply.starts_with(ACK_PREFIX))
}
