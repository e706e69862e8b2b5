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

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> Lease {
        Lease {
            queue: QueueName::parse("jobs").unwrap(),
            stream_seq: 7,
            delivered: 1,
            consumer_seq: 9,
        }
    }

    #[test]
    fn a_lease_is_a_token_that_can_be_typed() {
        assert_eq!(lease().to_string(), "jobs.7.1.9");
        assert_eq!(Lease::parse("jobs.7.1.9"), Ok(lease()));
        assert_eq!("jobs.7.1.9".parse(), Ok(lease()));
    }

    #[test]
    fn a_text_that_is_no_lease_is_refused() {
        for text in [
            "",
            "jobs",
            "jobs.7.1",
            "jobs.7.1.9.2",
            "jobs.7.1.",
            ".7.1.9",
            "jobs.0.1.9",
            "jobs.7.0.9",
            "jobs.7.1.0",
            "jobs.x.1.9",
            "jobs.+7.1.9",
            "jobs.-7.1.9",
            "jobs.7.1.18446744073709551616",
            "jo bs.7.1.9",
        ] {
            assert_eq!(Lease::parse(text), Err(LeaseError), "{text}");
        }
    }

    #[test]
    fn a_lease_says_the_same_as_the_ack_subject() {
        let ack = lease().ack_subject();
        assert_eq!(ack.to_string(), "$JS.ACK.Q_jobs.workers.1.7.9.0.0");
        assert_eq!(Lease::from_ack(&ack), Some(lease()));
        let delivered = AckSubject {
            timestamp: Timestamp::from_nanos(5),
            pending: 3,
            ..ack
        };
        assert_eq!(Lease::from_ack(&delivered), Some(lease()));
    }

    #[test]
    fn deliveries_of_other_consumers_are_no_leases() {
        for subject in [
            "$JS.ACK.T_news.office.1.7.9.0.0",
            "$JS.ACK.Q_jobs.mine.1.7.9.0.0",
        ] {
            assert_eq!(
                Lease::from_ack(&AckSubject::parse(subject).unwrap()),
                None,
                "{subject}"
            );
        }
    }
}
