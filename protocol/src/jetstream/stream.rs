//! Streams as JSON: what a client asks for, and what the server tells about a stream.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::json::{is_default, nanos, zero_time};
use crate::name::StreamName;
use crate::time::Timestamp;

/// What a stream is asked to be. A limit of `-1` means no limit; `0` is read as `-1` (see [`StreamConfig::with_defaults`]).
///
/// Holds every member that nats-server 2.15 knows, so that a client which compares what it sent with what it gets back sees no
/// difference. Whether relevo honours a member is decided where the stream is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamConfig {
    /// The stream's name.
    pub name: StreamName,
    /// Free text, at most [`MAX_DESCRIPTION_LEN`] bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Subjects whose messages the stream keeps; wildcards allowed. Empty means: the stream's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// When messages may go.
    #[serde(default)]
    pub retention: RetentionPolicy,
    /// How many consumers may exist.
    #[serde(default = "no_limit")]
    pub max_consumers: i64,
    /// How many messages are kept.
    #[serde(default = "no_limit")]
    pub max_msgs: i64,
    /// How many bytes of messages are kept.
    #[serde(default = "no_limit")]
    pub max_bytes: i64,
    /// How long messages are kept; zero is for ever.
    #[serde(default, with = "nanos")]
    pub max_age: Duration,
    /// How many messages are kept per subject.
    #[serde(default = "no_limit")]
    pub max_msgs_per_subject: i64,
    /// The largest message, headers and payload together, in bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_msg_size: i32,
    /// What happens at a limit.
    #[serde(default)]
    pub discard: DiscardPolicy,
    /// Where messages are kept.
    #[serde(default)]
    pub storage: StorageType,
    /// How many copies the client asks for; 0 is read as 1.
    #[serde(default)]
    pub num_replicas: u32,
    /// Publishes are not answered with a PubAck.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_ack: bool,
    /// How long a `Nats-Msg-Id` is remembered; zero asks for [`DEFAULT_DUPLICATE_WINDOW`].
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub duplicate_window: Duration,
    /// Where in a cluster the stream should live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The stream is a copy of another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<StreamSource>,
    /// Streams whose messages are copied into this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<StreamSource>,
    /// How stored messages are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// The sequence of the first message; 0 is read as 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_seq: u64,
    /// How subjects are rewritten on the way in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_transform: Option<SubjectTransform>,
    /// Where stored messages are published again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub republish: Option<Republish>,
    /// Direct get is served.
    #[serde(default)]
    pub allow_direct: bool,
    /// Direct get is served by mirrors too.
    #[serde(default)]
    pub mirror_direct: bool,
    /// [`DiscardPolicy::New`] holds for each subject's limit too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub discard_new_per_subject: bool,
    /// Nothing may go in or out any more.
    #[serde(default)]
    pub sealed: bool,
    /// Messages can not be deleted by a request.
    #[serde(default)]
    pub deny_delete: bool,
    /// The stream can not be purged by a request.
    #[serde(default)]
    pub deny_purge: bool,
    /// The `Nats-Rollup` header is honoured.
    #[serde(default)]
    pub allow_rollup_hdrs: bool,
    /// Defaults and bounds for the stream's consumers.
    #[serde(default)]
    pub consumer_limits: ConsumerLimits,
    /// The `Nats-TTL` header is honoured.
    #[serde(default)]
    pub allow_msg_ttl: bool,
    /// How long a marker stays where a subject's last message went.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub subject_delete_marker_ttl: Duration,
    /// Every subject is a counter.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_msg_counter: bool,
    /// Atomic batches are accepted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_atomic: bool,
    /// Scheduled messages are accepted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_msg_schedules: bool,
    /// When a publish counts as stored.
    #[serde(default, skip_serializing_if = "is_default")]
    pub persist_mode: PersistMode,
    /// Fast batches are accepted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_batched: bool,
    /// The client's own notes; `relevo.*` keys are ours. At most [`MAX_METADATA_LEN`] bytes of keys and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl StreamConfig {
    /// A stream of this name with nothing else asked for; like an empty request of a client.
    pub fn new(name: StreamName) -> Self {
        Self {
            name,
            description: String::new(),
            subjects: Vec::new(),
            retention: RetentionPolicy::default(),
            max_consumers: NO_LIMIT,
            max_msgs: NO_LIMIT,
            max_bytes: NO_LIMIT,
            max_age: Duration::ZERO,
            max_msgs_per_subject: NO_LIMIT,
            max_msg_size: 0,
            discard: DiscardPolicy::default(),
            storage: StorageType::default(),
            num_replicas: 0,
            no_ack: false,
            duplicate_window: Duration::ZERO,
            placement: None,
            mirror: None,
            sources: Vec::new(),
            compression: Compression::default(),
            first_seq: 0,
            subject_transform: None,
            republish: None,
            allow_direct: false,
            mirror_direct: false,
            discard_new_per_subject: false,
            sealed: false,
            deny_delete: false,
            deny_purge: false,
            allow_rollup_hdrs: false,
            consumer_limits: ConsumerLimits::default(),
            allow_msg_ttl: false,
            subject_delete_marker_ttl: Duration::ZERO,
            allow_msg_counter: false,
            allow_atomic: false,
            allow_msg_schedules: false,
            persist_mode: PersistMode::default(),
            allow_batched: false,
            metadata: BTreeMap::new(),
        }
    }

    /// The configuration as it is kept and shown: what was left open is filled in as nats-server does (`checkStreamCfg`).
    ///
    /// Applying it twice changes nothing.
    #[must_use]
    pub fn with_defaults(mut self) -> Self {
        for limit in [
            &mut self.max_consumers,
            &mut self.max_msgs,
            &mut self.max_bytes,
            &mut self.max_msgs_per_subject,
        ] {
            if *limit < 1 {
                *limit = NO_LIMIT;
            }
        }
        if self.max_msg_size < 1 {
            self.max_msg_size = -1;
        }
        self.num_replicas = self.num_replicas.max(1);
        let copies_from_elsewhere = self.mirror.is_some() || !self.sources.is_empty();
        if self.duplicate_window.is_zero() && !copies_from_elsewhere {
            self.duplicate_window = match self.max_age {
                Duration::ZERO => DEFAULT_DUPLICATE_WINDOW,
                max_age => max_age.min(DEFAULT_DUPLICATE_WINDOW),
            };
        }
        if self.subjects.is_empty() && !copies_from_elsewhere {
            self.subjects.push(self.name.to_string());
        }
        self
    }
}

/// When messages of a stream may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetentionPolicy {
    /// When a limit is reached.
    #[default]
    Limits,
    /// When every consumer has acknowledged them.
    Interest,
    /// When one consumer has acknowledged them.
    WorkQueue,
}

/// What happens to a publish at a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscardPolicy {
    /// The oldest messages go.
    #[default]
    Old,
    /// The publish is refused.
    New,
}

/// Where messages are kept. relevo keeps all on disk; the word is echoed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageType {
    /// On disk.
    #[default]
    File,
    /// In memory.
    Memory,
}

/// How stored messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With S2.
    S2,
}

/// When a publish counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersistMode {
    /// Before it is acknowledged.
    #[default]
    #[serde(alias = "")]
    Default,
    /// Some time after it is acknowledged.
    Async,
}

/// Defaults and bounds for the consumers of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConsumerLimits {
    /// The longest inactivity before an idle consumer goes; zero is no bound.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub inactive_threshold: Duration,
    /// The most unacknowledged messages of a consumer; 0 is no bound.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
}

/// Where in a cluster a stream should live.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Placement {
    /// The cluster's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Tags that a server must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The server that should lead.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub preferred: String,
}

/// Another stream that messages are copied from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSource {
    /// The other stream's name.
    pub name: String,
    /// The first sequence to copy.
    #[serde(default, skip_serializing_if = "is_default")]
    pub opt_start_seq: u64,
    /// The time of the first message to copy.
    #[serde(
        default,
        deserialize_with = "zero_time::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub opt_start_time: Option<Timestamp>,
    /// Only messages of matching subjects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    /// How subjects are chosen and rewritten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_transforms: Vec<SubjectTransform>,
    /// The other stream is in another account or domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStream>,
    /// The durable consumer that is used to read the other stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<SourceConsumer>,
}

/// A durable consumer that a source reads through.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SourceConsumer {
    /// The consumer's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it delivers to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deliver_subject: String,
}

/// How to reach a stream in another account or domain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExternalStream {
    /// The prefix of its API subjects.
    pub api: String,
    /// The prefix of its delivery subjects.
    #[serde(default)]
    pub deliver: String,
}

/// How a subject is rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SubjectTransform {
    /// The subjects it applies to.
    #[serde(default)]
    pub src: String,
    /// What they become.
    #[serde(default)]
    pub dest: String,
}

/// Where stored messages are published again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Republish {
    /// The subjects it applies to; empty means all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub src: String,
    /// The subject to publish on.
    pub dest: String,
    /// Publish the headers without the payload.
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers_only: bool,
}

/// What a stream holds at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamState {
    /// Messages kept.
    #[serde(default)]
    pub messages: u64,
    /// Bytes of messages kept.
    #[serde(default)]
    pub bytes: u64,
    /// Sequence of the first message kept; one more than [`Self::last_seq`] when there is none.
    #[serde(default)]
    pub first_seq: u64,
    /// Time of the first message kept.
    #[serde(default, with = "zero_time")]
    pub first_ts: Option<Timestamp>,
    /// Sequence of the last message ever stored; 0 before the first.
    #[serde(default)]
    pub last_seq: u64,
    /// Time of the last message ever stored.
    #[serde(default, with = "zero_time")]
    pub last_ts: Option<Timestamp>,
    /// How many distinct subjects the messages have.
    #[serde(default, skip_serializing_if = "is_default")]
    pub num_subjects: u64,
    /// Messages per subject, when they were asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subjects: BTreeMap<String, u64>,
    /// How many sequences between first and last are gone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub num_deleted: u64,
    /// The sequences that are gone, when they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<u64>,
    /// Messages that storage lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<LostMessages>,
    /// How many consumers the stream has.
    #[serde(default)]
    pub consumer_count: u64,
}

/// Messages that storage lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LostMessages {
    /// Their sequences.
    #[serde(default)]
    pub msgs: Vec<u64>,
    /// Their size in bytes.
    #[serde(default)]
    pub bytes: u64,
}

/// A stream's configuration and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// What it is, defaults filled in.
    pub config: StreamConfig,
    /// When it was created.
    pub created: Timestamp,
    /// What it holds.
    pub state: StreamState,
    /// The JetStream domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Which brokers keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterInfo>,
    /// How far the copy of another stream is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<StreamSourceInfo>,
    /// How far the copying from each source is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<StreamSourceInfo>,
    /// Copies of this stream elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternates: Vec<StreamAlternate>,
    /// When this was told.
    #[serde(default)]
    pub ts: Timestamp,
}

/// Which brokers keep a stream or consumer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// The cluster's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The replication group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub raft_group: String,
    /// The broker that leads; empty when none does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub leader: String,
    /// Since when it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_since: Option<Timestamp>,
    /// The other brokers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<PeerInfo>,
}

/// A broker that keeps a copy and does not lead.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeerInfo {
    /// The broker's name.
    pub name: String,
    /// It has all that the leader has.
    pub current: bool,
    /// It has not been heard of lately.
    #[serde(default, skip_serializing_if = "is_default")]
    pub offline: bool,
    /// How long ago it was heard of.
    #[serde(default, with = "nanos")]
    pub active: Duration,
    /// How many operations it is behind.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lag: u64,
    /// The broker's id.
    #[serde(default)]
    pub peer: String,
}

/// How far the copying from another stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSourceInfo {
    /// The other stream's name.
    pub name: String,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalStream>,
    /// How many messages are still to copy.
    #[serde(default)]
    pub lag: u64,
    /// Nanoseconds since it was heard of; -1 when never.
    #[serde(default)]
    pub active: i64,
    /// Why copying stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// Only messages of matching subjects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    /// How subjects are chosen and rewritten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_transforms: Vec<SubjectTransform>,
}

/// A copy of a stream elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamAlternate {
    /// The copy's name.
    pub name: String,
    /// Its domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Its cluster.
    #[serde(default)]
    pub cluster: String,
}

/// The value of a limit that is none.
pub const NO_LIMIT: i64 = -1;

/// How long a `Nats-Msg-Id` is remembered by default (nats-server `StreamDefaultDuplicatesWindow`).
pub const DEFAULT_DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The longest description of a stream or consumer, in bytes (nats-server `JSMaxDescriptionLen`).
pub const MAX_DESCRIPTION_LEN: usize = 4 * 1024;

/// The most metadata of a stream or consumer, in bytes of all keys and values (nats-server `JSMaxMetadataLen`).
pub const MAX_METADATA_LEN: usize = 128 * 1024;

/// The most copies that can be asked for (nats-server `StreamMaxReplicas`).
pub const MAX_REPLICAS: u32 = 5;

const fn no_limit() -> i64 {
    NO_LIMIT
}

#[cfg(test)]
mod tests;
