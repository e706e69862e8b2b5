//! One stream: its messages, and what follows for consumers when one is stored or goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::headers::HeaderBlock;
use relevo_protocol::identity::StreamId;
use relevo_protocol::jetstream::publish::PublishOptions;
use relevo_protocol::jetstream::stream::{RetentionPolicy, StreamConfig};
use relevo_protocol::mutation::Publish;
use relevo_protocol::name::{ConsumerName, StreamName};
use relevo_protocol::subject::{SubjectFilter, SubjectRef};
use relevo_protocol::time::Timestamp;

use super::ApplyError;
use super::config::is_queue;
use super::consumer::Consumer;
use super::dedup::{Dedup, Seen};
use super::extras::{Extra, Extras};
use super::messages::{Messages, Meta};
use super::subjects::Subjects;
use crate::input::Monotonic;

/// A stream. The consumers include a leader's ephemeral ones, which are not replicated.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) name: StreamName,
    pub(super) config: StreamConfig,
    /// `config` as the log has it.
    pub(super) config_json: Bytes,
    pub(super) created: Timestamp,
    pub(super) filters: Vec<SubjectFilter>,
    pub(super) is_queue: bool,
    pub(super) messages: Messages,
    pub(super) subjects: Subjects,
    pub(super) extras: Extras,
    pub(super) dedup: Dedup,
    /// When the last message was stored, whether it is still there or not.
    pub(super) last_at: Option<Timestamp>,
    /// The id of the last message stored.
    pub(super) last_msg_id: Option<Arc<str>>,
    pub(super) consumers: BTreeMap<ConsumerName, Consumer>,
    /// The last sequence that is committed.
    pub(super) visible_last: u64,
    /// The timer that is set for the age of its messages, on a leader.
    pub(super) timer: Option<Monotonic>,
}

impl Stream {
    /// A stream without messages.
    pub(super) fn new(
        id: StreamId,
        name: StreamName,
        config_json: Bytes,
        created: Timestamp,
    ) -> Result<Self, ApplyError> {
        let config: StreamConfig =
            serde_json::from_slice(&config_json).map_err(|_| ApplyError::Configuration)?;
        let filters = config
            .subjects
            .iter()
            .map(SubjectFilter::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| ApplyError::Configuration)?;
        let first = config.first_seq.max(1);
        Ok(Self {
            id,
            name,
            is_queue: is_queue(&config),
            dedup: Dedup::new(config.duplicate_window),
            config,
            config_json,
            created,
            filters,
            messages: Messages::starting_at(first),
            subjects: Subjects::default(),
            extras: Extras::default(),
            last_at: None,
            last_msg_id: None,
            consumers: BTreeMap::new(),
            visible_last: first - 1,
            timer: None,
        })
    }

    /// Whether messages go when they are acknowledged.
    pub(super) const fn is_work_queue(&self) -> bool {
        matches!(self.config.retention, RetentionPolicy::WorkQueue)
    }

    /// The sequence of the last message ever stored.
    pub(super) const fn last(&self) -> u64 {
        self.messages.next() - 1
    }

    /// A message is stored.
    pub(super) fn store(&mut self, publish: &Publish) -> Result<(), ApplyError> {
        if publish.sequence != self.messages.next() {
            return Err(ApplyError::Sequence);
        }
        let subject = SubjectRef::parse(&publish.subject).map_err(|_| ApplyError::Message)?;
        let size = u32::try_from(publish.size()).map_err(|_| ApplyError::Message)?;
        let options = read_options(&publish.headers).ok_or(ApplyError::Message)?;
        let sequence = publish.sequence;
        let (id, is_new) = self.subjects.add(subject, sequence);
        if is_new {
            for consumer in self.consumers.values_mut() {
                consumer.interest.learn(id, subject);
            }
        }
        self.messages.push(publish.at, size, id);
        if self.is_queue
            && let Some(extra) = Extra::from_options(&options, publish.at)
        {
            self.extras.insert(sequence, extra);
        }
        self.dedup.expire(publish.at);
        let msg_id = options.msg_id.map(Arc::from);
        if let Some(id) = msg_id.clone() {
            self.dedup.insert(Seen {
                at: publish.at,
                sequence,
                id,
            });
        }
        self.last_msg_id = msg_id;
        self.last_at = Some(publish.at);
        let meta = Meta {
            sequence,
            size,
            at: publish.at,
            subject: id,
        };
        for consumer in self.consumers.values_mut() {
            consumer.on_stored(meta, &self.extras);
        }
        Ok(())
    }

    /// A message goes; false when it is not there.
    pub(super) fn remove(&mut self, sequence: u64) -> bool {
        let Some(meta) = self.messages.remove(sequence) else {
            return false;
        };
        self.subjects.remove(meta.subject, sequence, &self.messages);
        let extra = self.extras.remove(sequence);
        for consumer in self.consumers.values_mut() {
            consumer.on_removed(meta, extra.as_ref(), &self.extras);
        }
        true
    }

    /// Every message below `first` goes.
    pub(super) fn trim(&mut self, first: u64) {
        while self.messages.count() > 0 && self.messages.first() < first {
            self.remove(self.messages.first());
        }
    }

    /// Where its messages would have to begin for the limits on count and bytes to hold.
    pub(super) fn first_within_limits(&self) -> Option<u64> {
        let limit = |limit: i64| u64::try_from(limit).ok().filter(|limit| *limit > 0);
        let max_count = limit(self.config.max_msgs).unwrap_or(u64::MAX);
        let max_bytes = limit(self.config.max_bytes).unwrap_or(u64::MAX);
        let (mut count, mut bytes) = (self.messages.count(), self.messages.bytes());
        let mut first = None;
        for meta in self.messages.from(self.messages.first()) {
            if count <= max_count && bytes <= max_bytes {
                break;
            }
            count -= 1;
            bytes -= u64::from(meta.size);
            first = Some(meta.sequence + 1);
        }
        first
    }

    /// The oldest messages of a subject that are beyond its limit, at most `max`.
    pub(super) fn beyond_subject_limit(&mut self, subject: &str, max: usize) -> Vec<u64> {
        let Some(limit) = self.subject_limit() else {
            return Vec::new();
        };
        let Some(id) = self.subjects.id_of(subject) else {
            return Vec::new();
        };
        let count = self.subjects.get(id).map_or(0, |state| state.count);
        let excess = usize::try_from(count.saturating_sub(limit))
            .unwrap_or(max)
            .min(max);
        if excess == 0 {
            return Vec::new();
        }
        let Some(first) = self.subjects.first_of(id, &self.messages) else {
            return Vec::new();
        };
        let of_subject = self.messages.from(first).filter(|meta| meta.subject == id);
        of_subject.take(excess).map(|meta| meta.sequence).collect()
    }

    /// How many messages of a subject may be kept, if that is limited.
    pub(super) fn subject_limit(&self) -> Option<u64> {
        u64::try_from(self.config.max_msgs_per_subject)
            .ok()
            .filter(|limit| *limit > 0)
    }

    /// The oldest time at which a message may have been stored to be kept at `now`.
    pub(super) fn oldest_kept(&self, now: Timestamp) -> Option<Timestamp> {
        let max_age = self.config.max_age;
        (max_age > Duration::ZERO).then(|| now.saturating_sub(max_age))
    }

    /// Messages that are stored and not committed.
    pub(super) fn invisible(&self) -> impl Iterator<Item = Meta> + '_ {
        self.messages.from(self.visible_last.saturating_add(1))
    }
}

/// What the headers of a message ask for; nothing when they make no sense.
pub(super) fn read_options(headers: &[u8]) -> Option<PublishOptions> {
    if headers.is_empty() {
        return Some(PublishOptions::default());
    }
    let block = HeaderBlock::parse(headers).ok()?;
    PublishOptions::from_pairs(block.iter()).ok()
}
