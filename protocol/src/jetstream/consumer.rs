//! Consumers as JSON: what a client asks for, and what the server tells about a consumer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::json::{empty_is_none, is_default, nanos, nanos_list, zero_time};
use super::stream::{ClusterInfo, StreamConfig};
use crate::name::{ConsumerName, StreamName};
use crate::time::Timestamp;

/// What a consumer is asked to be.
///
/// Holds every member that nats-server 2.15 knows. `-1` and, before [`ConsumerConfig::with_defaults`], `0` mean no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConsumerConfig {
    /// The name of a consumer that stays until it is deleted. Equal to [`Self::name`] when both are set.
    #[serde(
        default,
        deserialize_with = "empty_is_none::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub durable_name: Option<ConsumerName>,
    /// The consumer's name, whether it is durable or not.
    #[serde(
        default,
        deserialize_with = "empty_is_none::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<ConsumerName>,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it begins.
    #[serde(default)]
    pub deliver_policy: DeliverPolicy,
    /// The sequence for [`DeliverPolicy::ByStartSequence`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub opt_start_seq: u64,
    /// The time for [`DeliverPolicy::ByStartTime`].
    #[serde(
        default,
        deserialize_with = "zero_time::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub opt_start_time: Option<Timestamp>,
    /// What an acknowledgement covers.
    #[serde(default)]
    pub ack_policy: AckPolicy,
    /// How long a delivered message waits for its acknowledgement before it is delivered again.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub ack_wait: Duration,
    /// How often one message is delivered at most.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_deliver: i64,
    /// The wait after each delivery, instead of [`Self::ack_wait`]; the last holds for all further ones.
    #[serde(default, with = "nanos_list", skip_serializing_if = "Vec::is_empty")]
    pub backoff: Vec<Duration>,
    /// Only messages of matching subjects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    /// Only messages that match one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter_subjects: Vec<String>,
    /// How fast stored messages are delivered.
    #[serde(default)]
    pub replay_policy: ReplayPolicy,
    /// Most bits per second of a push consumer; 0 is no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate_limit_bps: u64,
    /// Which share of acknowledgements is reported, as `100%`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sample_freq: String,
    /// How many pull requests may wait.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_waiting: i64,
    /// How many delivered messages may wait for acknowledgement.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
    /// A push consumer waits for the client to keep up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flow_control: bool,
    /// Deliver headers without the payload.
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers_only: bool,
    /// The largest batch of a pull request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_batch: i64,
    /// The longest wait of a pull request.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub max_expires: Duration,
    /// The most bytes of a pull request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_bytes: i64,
    /// Where a push consumer delivers to; empty for a pull consumer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deliver_subject: String,
    /// The queue group that a push consumer delivers to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deliver_group: String,
    /// How often an idle push consumer says so.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub idle_heartbeat: Duration,
    /// How long the consumer outlives its last client; zero for a durable is for ever.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub inactive_threshold: Duration,
    /// How many copies the client asks for; 0 is as the stream.
    #[serde(default)]
    pub num_replicas: u32,
    /// Keep its state in memory only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mem_storage: bool,
    /// Internal to sourcing and mirroring.
    #[serde(default, skip_serializing_if = "is_default")]
    pub direct: bool,
    /// Internal to sourcing and mirroring.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sourcing: bool,
    /// The client's own notes; `relevo.*` keys are ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Nothing is delivered before this time.
    #[serde(
        default,
        deserialize_with = "zero_time::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub pause_until: Option<Timestamp>,
    /// The groups that pull requests can name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<String>,
    /// How a priority group is served.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority_policy: PriorityPolicy,
    /// How long a pinned client may be silent.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub priority_timeout: Duration,
}

impl ConsumerConfig {
    /// Whether clients ask for messages (pull), instead of the server sending them to a subject (push).
    pub fn is_pull(&self) -> bool {
        self.deliver_subject.is_empty()
    }

    /// The configuration as it is kept and shown: what was left open is filled in as nats-server does
    /// (`setConsumerConfigDefaults`). Applying it twice changes nothing.
    #[must_use]
    pub fn with_defaults(mut self, stream: &StreamConfig) -> Self {
        if self.name.is_none() {
            self.name.clone_from(&self.durable_name);
        }
        if self.max_deliver < 1 {
            self.max_deliver = -1;
        }
        self.max_waiting = self.max_waiting.max(0);
        if self.is_pull() && self.max_waiting == 0 {
            self.max_waiting = DEFAULT_MAX_WAITING;
        }
        let waits_for_acks = match self.ack_policy {
            AckPolicy::Explicit | AckPolicy::All => true,
            AckPolicy::None | AckPolicy::FlowControl => false,
        };
        if waits_for_acks && self.ack_wait.is_zero() {
            self.ack_wait = DEFAULT_ACK_WAIT;
        }
        if let Some(first) = self.backoff.first() {
            self.ack_wait = *first;
        }
        self.max_ack_pending = self.max_ack_pending.max(-1);
        if self.max_ack_pending == 0 {
            self.max_ack_pending = stream.consumer_limits.max_ack_pending;
        }
        if self.max_ack_pending == 0 && self.ack_policy != AckPolicy::None {
            self.max_ack_pending = DEFAULT_MAX_ACK_PENDING;
        }
        if self.inactive_threshold.is_zero() {
            self.inactive_threshold = stream.consumer_limits.inactive_threshold;
        }
        if self.inactive_threshold.is_zero() && self.durable_name.is_none() {
            self.inactive_threshold = DEFAULT_INACTIVE_THRESHOLD;
        }
        self
    }
}

/// Where a consumer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliverPolicy {
    /// At the first message kept.
    #[default]
    #[serde(alias = "undefined")]
    All,
    /// At the last message stored.
    Last,
    /// At the next message to come.
    New,
    /// At a sequence.
    ByStartSequence,
    /// At the first message not older than a time.
    ByStartTime,
    /// At the last message of each subject.
    LastPerSubject,
}

/// What an acknowledgement covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckPolicy {
    /// Nothing is acknowledged; a delivery counts as done.
    #[default]
    None,
    /// The message and all before it.
    All,
    /// The one message.
    Explicit,
    /// Answers to flow control requests acknowledge; for mirrors and sources.
    FlowControl,
}

/// How fast stored messages are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayPolicy {
    /// As fast as possible.
    #[default]
    Instant,
    /// With the pauses that the messages were published with.
    Original,
}

/// How a priority group is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityPolicy {
    /// There are none.
    #[default]
    None,
    /// Requests are served once enough is pending.
    Overflow,
    /// One client is served, others stand by.
    PinnedClient,
    /// Requests of the lowest priority number first.
    Prioritized,
}

/// A consumer's configuration and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerInfo {
    /// The stream it reads.
    pub stream_name: StreamName,
    /// Its name.
    pub name: ConsumerName,
    /// When it was created.
    pub created: Timestamp,
    /// What it is, defaults filled in.
    #[serde(default)]
    pub config: ConsumerConfig,
    /// The last delivery.
    pub delivered: SequenceInfo,
    /// The point up to which all deliveries are acknowledged.
    pub ack_floor: SequenceInfo,
    /// Delivered messages that wait for acknowledgement.
    pub num_ack_pending: u64,
    /// Messages delivered more than once and not yet acknowledged.
    #[serde(default)]
    pub num_redelivered: u64,
    /// Pull requests that wait.
    #[serde(default)]
    pub num_waiting: u64,
    /// Messages still to deliver for the first time.
    #[serde(default)]
    pub num_pending: u64,
    /// Which brokers keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterInfo>,
    /// A client listens on the deliver subject.
    #[serde(default, skip_serializing_if = "is_default")]
    pub push_bound: bool,
    /// Delivery is paused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,
    /// For how long it stays paused.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub pause_remaining: Duration,
    /// When this was told.
    #[serde(default)]
    pub ts: Timestamp,
    /// The state of the priority groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<PriorityGroupState>,
}

/// A pair of positions: in the consumer's deliveries and in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SequenceInfo {
    /// The count of deliveries.
    pub consumer_seq: u64,
    /// The message's sequence in the stream.
    pub stream_seq: u64,
    /// When it last moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_active: Option<Timestamp>,
}

/// The state of a priority group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PriorityGroupState {
    /// The group's name.
    pub group: String,
    /// The client that is served.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pinned_client_id: String,
    /// Since when it is served.
    #[serde(default, with = "zero_time")]
    pub pinned_ts: Option<Timestamp>,
}

/// How long a delivery waits for its acknowledgement by default (nats-server `JsAckWaitDefault`).
pub const DEFAULT_ACK_WAIT: Duration = Duration::from_secs(30);

/// How many deliveries may wait for acknowledgement by default (nats-server `JsDefaultMaxAckPending`).
pub const DEFAULT_MAX_ACK_PENDING: i64 = 1000;

/// How many pull requests may wait by default (nats-server `JSWaitQueueDefaultMax`).
pub const DEFAULT_MAX_WAITING: i64 = 512;

/// How long an ephemeral consumer outlives its last client by default (nats-server `JsDeleteWaitTimeDefault`).
pub const DEFAULT_INACTIVE_THRESHOLD: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn stream() -> StreamConfig {
        StreamConfig::new(StreamName::parse("ORDERS").unwrap()).with_defaults()
    }

    fn decode(body: &str) -> ConsumerConfig {
        json::decode(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_config_with_every_member_is_echoed_as_it_came() {
        let sent = serde_json::json!({
            "durable_name": "C", "name": "C", "description": "all", "deliver_policy": "by_start_time",
            "opt_start_seq": 1, "opt_start_time": "2026-01-31T08:00:00Z", "ack_policy": "explicit",
            "ack_wait": 1_000_000_000, "max_deliver": 5, "backoff": [1_000_000_000, 2_000_000_000],
            "filter_subject": "a", "filter_subjects": ["a", "b"], "replay_policy": "original", "rate_limit_bps": 1,
            "sample_freq": "100%", "max_waiting": 2, "max_ack_pending": 3, "flow_control": true, "headers_only": true,
            "max_batch": 4, "max_expires": 5, "max_bytes": 6, "deliver_subject": "d", "deliver_group": "g",
            "idle_heartbeat": 7, "inactive_threshold": 8, "num_replicas": 3, "mem_storage": true, "direct": true,
            "sourcing": true, "metadata": {"owner": "me"}, "pause_until": "2026-01-31T08:00:00Z",
            "priority_groups": ["g"], "priority_policy": "pinned_client", "priority_timeout": 9
        });
        assert_eq!(
            serde_json::to_value(decode(&sent.to_string())).unwrap(),
            sent
        );
    }

    #[test]
    fn the_words_of_every_policy_are_those_of_nats_server() {
        fn check<T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug>(
            policy: T,
            word: &str,
        ) {
            let json = format!("\"{word}\"");
            assert_eq!(serde_json::to_string(&policy).unwrap(), json);
            assert_eq!(serde_json::from_str::<T>(&json).unwrap(), policy);
        }
        check(DeliverPolicy::All, "all");
        check(DeliverPolicy::Last, "last");
        check(DeliverPolicy::New, "new");
        check(DeliverPolicy::ByStartSequence, "by_start_sequence");
        check(DeliverPolicy::ByStartTime, "by_start_time");
        check(DeliverPolicy::LastPerSubject, "last_per_subject");
        check(AckPolicy::None, "none");
        check(AckPolicy::All, "all");
        check(AckPolicy::Explicit, "explicit");
        check(AckPolicy::FlowControl, "flow_control");
        check(ReplayPolicy::Instant, "instant");
        check(ReplayPolicy::Original, "original");
        check(PriorityPolicy::None, "none");
        check(PriorityPolicy::Overflow, "overflow");
        check(PriorityPolicy::PinnedClient, "pinned_client");
        check(PriorityPolicy::Prioritized, "prioritized");
        assert_eq!(
            serde_json::from_str::<DeliverPolicy>("\"undefined\"").unwrap(),
            DeliverPolicy::All
        );
    }

    #[test]
    fn the_times_that_go_clients_leave_unset_are_unset() {
        let config = decode(
            r#"{"opt_start_time":"0001-01-01T00:00:00Z","pause_until":"0001-01-01T00:00:00Z"}"#,
        );
        assert_eq!((config.opt_start_time, config.pause_until), (None, None));
    }

    #[test]
    fn a_durable_pull_consumer_gets_the_defaults_of_nats_server() {
        let asked = decode(r#"{"durable_name":"workers","ack_policy":"explicit"}"#);
        let config = asked.with_defaults(&stream());
        assert_eq!(config.name, config.durable_name);
        assert_eq!(
            (
                config.max_deliver,
                config.max_waiting,
                config.max_ack_pending
            ),
            (-1, 512, 1000)
        );
        assert_eq!(config.ack_wait, DEFAULT_ACK_WAIT);
        assert_eq!(config.inactive_threshold, Duration::ZERO);
        assert_eq!(config.clone().with_defaults(&stream()), config);
    }

    #[test]
    fn an_ephemeral_push_consumer_gets_the_defaults_of_nats_server() {
        let asked = decode(
            r#"{"name":"","durable_name":"","deliver_subject":"d","ack_policy":"none","max_deliver":1}"#,
        );
        let config = asked.with_defaults(&stream());
        assert_eq!((&config.name, &config.durable_name), (&None, &None));
        assert_eq!(
            (
                config.max_deliver,
                config.max_waiting,
                config.max_ack_pending
            ),
            (1, 0, 0)
        );
        assert_eq!(
            (config.ack_wait, config.inactive_threshold),
            (Duration::ZERO, DEFAULT_INACTIVE_THRESHOLD)
        );
    }

    #[test]
    fn the_limits_of_the_stream_are_the_defaults_of_its_consumers() {
        let mut stream = stream();
        stream.consumer_limits.max_ack_pending = 7;
        stream.consumer_limits.inactive_threshold = Duration::from_secs(9);
        let config =
            decode(r#"{"durable_name":"C","ack_policy":"explicit"}"#).with_defaults(&stream);
        assert_eq!(
            (config.max_ack_pending, config.inactive_threshold),
            (7, Duration::from_secs(9))
        );
    }

    #[test]
    fn the_first_backoff_is_the_ack_wait() {
        let config = decode(r#"{"ack_policy":"explicit","ack_wait":5,"backoff":[1000,2000]}"#)
            .with_defaults(&stream());
        assert_eq!(config.ack_wait, Duration::from_nanos(1000));
    }

    /// Shape of what nats-server 2.15 answers.
    #[test]
    fn the_info_of_a_nats_server_is_read() {
        let body = r#"{"stream_name":"ORDERS","name":"workers","created":"2026-01-31T08:00:00.5Z",
            "config":{"durable_name":"workers","name":"workers","deliver_policy":"all","ack_policy":"explicit",
            "ack_wait":30000000000,"max_deliver":-1,"replay_policy":"instant","max_waiting":512,"max_ack_pending":1000,
            "num_replicas":0},
            "delivered":{"consumer_seq":2,"stream_seq":2,"last_active":"2026-01-31T08:00:01Z"},
            "ack_floor":{"consumer_seq":1,"stream_seq":1},"num_ack_pending":1,"num_redelivered":0,"num_waiting":0,
            "num_pending":3,"ts":"2026-01-31T09:00:00Z"}"#;
        let info: ConsumerInfo = json::decode(body.as_bytes()).unwrap();
        assert_eq!(
            serde_json::to_value(&info).unwrap(),
            serde_json::from_str::<serde_json::Value>(body).unwrap()
        );
    }
}
