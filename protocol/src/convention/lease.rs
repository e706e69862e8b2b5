//! Leases: what a worker shows to acknowledge the message it was given.

use std::fmt;
use std::str::FromStr;

use super::queue;
use crate::jetstream::ack::AckSubject;
use crate::name::QueueName;
use crate::time::Timestamp;

/// One delivery of one message of a queue, as a token that a person can type: `jobs.7.1.9`.
///
/// Text form: queue, sequence in the stream, how often it was delivered, count of the queue's deliveries, joined by `.`.
/// It says the same as the ack subject of the delivery, so it works through any door and any broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// The queue.
    pub queue: QueueName,
    /// The message's sequence in the queue's stream, from 1.
    pub stream_seq: u64,
    /// How often the message was delivered, this time included, from 1.
    pub delivered: u64,
    /// The count of the queue's deliveries, this one included, from 1.
    pub consumer_seq: u64,
}

impl Lease {
    /// Reads a lease.
    ///
    /// # Errors
    /// [`LeaseError`] when the text is none.
    pub fn parse(text: &str) -> Result<Self, LeaseError> {
        let mut parts = text.split('.');
        let lease = Self {
            queue: QueueName::parse(parts.next().unwrap_or_default()).map_err(|_| LeaseError)?,
            stream_seq: number(parts.next())?,
            delivered: number(parts.next())?,
            consumer_seq: number(parts.next())?,
        };
        if parts.next().is_some() {
            Err(LeaseError)
        } else {
            Ok(lease)
        }
    }

    /// The lease of a delivery, when the delivery is one of a queue's to its workers.
    pub fn from_ack(ack: &AckSubject) -> Option<Self> {
        let queue = queue::is_queue_stream(&ack.stream)?;
        (ack.consumer.as_str() == queue::WORKERS).then_some(Self {
            queue,
            stream_seq: ack.stream_seq,
            delivered: ack.delivered,
            consumer_seq: ack.consumer_seq,
        })
    }

    /// The ack subject to answer on. Time and pending are zero: nobody looks at them in an answer.
    pub fn ack_subject(&self) -> AckSubject {
        AckSubject {
            stream: queue::stream_name(&self.queue),
            consumer: queue::workers(),
            delivered: self.delivered,
            stream_seq: self.stream_seq,
            consumer_seq: self.consumer_seq,
            timestamp: Timestamp::UNIX_EPOCH,
            pending: 0,
        }
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}.{}",
            self.queue, self.stream_seq, self.delivered, self.consumer_seq
        )
    }
}

impl FromStr for Lease {
    type Err = LeaseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// The text is not a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseError;

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a lease; type it as POP gave it, for example jobs.7.1.9")
    }
}

impl std::error::Error for LeaseError {}

fn number(part: Option<&str>) -> Result<u64, LeaseError> {
    let part = part
        .filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or(LeaseError)?;
    part.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or(LeaseError)
}
