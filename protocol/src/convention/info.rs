//! What is told about a queue or a topic: `QUEUE INFO`, `TOPIC INFO`, `GET /v1/queues/{q}`, `GET /v1/topics/{t}`.

use serde::{Deserialize, Serialize};

use super::{queue, topic};
use crate::jetstream::consumer::ConsumerInfo;
use crate::jetstream::stream::StreamInfo;
use crate::name::{QueueName, TopicName};

/// What is told about a queue.
pub type QueueInfo = Info<QueueName>;

/// What is told about a topic.
pub type TopicInfo = Info<TopicName>;

/// What is told about a queue or a topic; members in the order they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info<N> {
    /// Its name.
    pub name: N,
    /// Messages kept, leased ones included.
    pub messages: u64,
    /// Bytes of messages kept.
    pub bytes: u64,
    /// Messages that nobody has a lease on; for a topic all of them.
    pub ready: u64,
    /// Messages that a worker has a lease on; for a topic 0.
    pub leased: u64,
    /// Sequence of the first message kept.
    pub first_seq: u64,
    /// Sequence of the last message ever stored; 0 before the first.
    pub last_seq: u64,
    /// The broker that leads it; `null` when none does or there is only one broker.
    pub leader: Option<String>,
}

impl QueueInfo {
    /// Tells about a queue from its stream and its workers' consumer; `None` when the stream is no queue's.
    pub fn from_jetstream(stream: &StreamInfo, workers: Option<&ConsumerInfo>) -> Option<Self> {
        let leased = workers.map_or(0, |workers| workers.num_ack_pending);
        Some(Self::new(
            queue::is_queue_stream(&stream.config.name)?,
            stream,
            leased,
        ))
    }
}

impl TopicInfo {
    /// Tells about a topic from its stream; `None` when the stream is no topic's.
    pub fn from_jetstream(stream: &StreamInfo) -> Option<Self> {
        Some(Self::new(
            topic::is_topic_stream(&stream.config.name)?,
            stream,
            0,
        ))
    }
}

impl<N> Info<N> {
    fn new(name: N, stream: &StreamInfo, leased: u64) -> Self {
        let state = &stream.state;
        let leader = stream
            .cluster
            .as_ref()
            .map(|cluster| cluster.leader.clone());
        Self {
            name,
            messages: state.messages,
            bytes: state.bytes,
            ready: state.messages.saturating_sub(leased),
            leased,
            first_seq: state.first_seq,
            last_seq: state.last_seq,
            leader: leader.filter(|leader| !leader.is_empty()),
        }
    }
}
