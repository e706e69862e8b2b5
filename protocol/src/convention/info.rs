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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convention::queue::QueueOptions;
    use crate::convention::topic::TopicOptions;
    use crate::jetstream::consumer::SequenceInfo;
    use crate::jetstream::stream::{ClusterInfo, StreamConfig, StreamState};
    use crate::time::Timestamp;

    fn stream_info(config: StreamConfig, leader: &str) -> StreamInfo {
        StreamInfo {
            config,
            created: Timestamp::UNIX_EPOCH,
            state: StreamState {
                messages: 5,
                bytes: 200,
                first_seq: 3,
                last_seq: 7,
                ..StreamState::default()
            },
            domain: String::new(),
            cluster: Some(ClusterInfo {
                leader: leader.to_owned(),
                ..ClusterInfo::default()
            }),
            mirror: None,
            sources: Vec::new(),
            alternates: Vec::new(),
            ts: Timestamp::UNIX_EPOCH,
        }
    }

    fn workers_info(stream: &StreamInfo, num_ack_pending: u64) -> ConsumerInfo {
        ConsumerInfo {
            stream_name: stream.config.name.clone(),
            name: queue::workers(),
            created: Timestamp::UNIX_EPOCH,
            config: Default::default(),
            delivered: SequenceInfo::default(),
            ack_floor: SequenceInfo::default(),
            num_ack_pending,
            num_redelivered: 0,
            num_waiting: 0,
            num_pending: 0,
            cluster: None,
            push_bound: false,
            paused: false,
            pause_remaining: std::time::Duration::ZERO,
            ts: Timestamp::UNIX_EPOCH,
            priority_groups: Vec::new(),
        }
    }

    #[test]
    fn a_queue_tells_what_is_ready_and_what_is_leased() {
        let jobs = QueueName::parse("jobs").unwrap();
        let stream = stream_info(queue::stream_config(&jobs, &QueueOptions::default()), "a");
        let info = QueueInfo::from_jetstream(&stream, Some(&workers_info(&stream, 2))).unwrap();
        let json = r#"{"name":"jobs","messages":5,"bytes":200,"ready":3,"leased":2,"first_seq":3,"last_seq":7,"leader":"a"}"#;
        assert_eq!(serde_json::to_string(&info).unwrap(), json);
        assert_eq!(serde_json::from_str::<QueueInfo>(json).unwrap(), info);
        assert_eq!(QueueInfo::from_jetstream(&stream, None).unwrap().ready, 5);
        assert_eq!(TopicInfo::from_jetstream(&stream), None);
    }

    #[test]
    fn everything_in_a_topic_is_ready() {
        let news = TopicName::parse("news").unwrap();
        let stream = stream_info(topic::stream_config(&news, &TopicOptions::default()), "");
        let info = TopicInfo::from_jetstream(&stream).unwrap();
        assert_eq!(
            serde_json::to_string(&info).unwrap(),
            r#"{"name":"news","messages":5,"bytes":200,"ready":5,"leased":0,"first_seq":3,"last_seq":7,"leader":null}"#
        );
        assert_eq!(QueueInfo::from_jetstream(&stream, None), None);
    }
}
