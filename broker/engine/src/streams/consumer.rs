//! One consumer: what was delivered to it and not acknowledged, and what was never delivered.
//!
//! Messages are delivered in the order of their sequences up to the *cursor*. What stands out of that
//! order (the last message of each subject at the start, messages of a queue that ask for a delay, a
//! priority or a key) is kept *aside* until it is delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::jetstream::consumer::{
    AckPolicy, ConsumerConfig, DeliverPolicy, SequenceInfo,
};
use relevo_protocol::mutation::Delivery;
use relevo_protocol::name::ConsumerName;
use relevo_protocol::subject::SubjectFilter;
use relevo_protocol::time::Timestamp;

use super::ApplyError;
use super::extras::{Extra, Extras, Rank};
use super::messages::{Messages, Meta};
use super::serving::Serving;
use super::subjects::{Interest, Subjects};
use crate::input::Monotonic;

/// A consumer.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) name: ConsumerName,
    pub(super) config: ConsumerConfig,
    /// `config` as the log has it.
    pub(super) config_json: Bytes,
    pub(super) created: Timestamp,
    /// Every message from here on that was never delivered in order.
    pub(super) cursor: u64,
    /// Never delivered, and not to be met by the cursor.
    pub(super) aside: BTreeSet<u64>,
    /// The last delivery.
    pub(super) delivered: Delivered,
    /// Delivered and not acknowledged.
    pub(super) pending: BTreeMap<u64, Pending>,
    /// Which subjects it wants.
    pub(super) interest: Interest,
    /// How many messages it wants that were never delivered.
    pub(super) fresh: u64,
    /// What only a leader knows.
    pub(super) serving: Option<Box<Serving>>,
}

/// How far deliveries have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) consumer_sequence: u64,
    pub(super) stream_sequence: u64,
    pub(super) at: Option<Timestamp>,
}

/// A message that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// The number of its first delivery.
    pub(super) consumer_sequence: u64,
    /// How often it was delivered.
    pub(super) count: u32,
    /// When it was delivered last.
    pub(super) at: Timestamp,
}

/// A message that can be handed out now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) meta: Meta,
    /// The count of this delivery.
    pub(super) count: u32,
    rank: Rank,
}

impl Consumer {
    /// A consumer that begins at `start`.
    pub(super) fn new(
        name: ConsumerName,
        config_json: Bytes,
        (created, start): (Timestamp, u64),
        (messages, subjects, extras): (&Messages, &Subjects, &Extras),
    ) -> Result<Self, ApplyError> {
        let config = read_config(&config_json)?;
        let filters = filters(&config);
        let mut aside: BTreeSet<u64> = if config.deliver_policy == DeliverPolicy::LastPerSubject {
            last_per_subject(&filters, subjects)
                .filter(|sequence| *sequence < start)
                .collect()
        } else {
            BTreeSet::new()
        };
        let interest = Interest::new(filters, subjects);
        let listed = extras
            .iter()
            .filter_map(|(sequence, _)| messages.get(sequence));
        aside.extend(
            listed
                .filter(|meta| meta.sequence >= start && interest.wants(meta.subject))
                .map(|meta| meta.sequence),
        );
        let before_start = aside
            .first()
            .map_or(start, |first| start.min(*first))
            .saturating_sub(1);
        let mut consumer = Self {
            name,
            config,
            config_json,
            created,
            cursor: start,
            aside,
            delivered: Delivered {
                stream_sequence: before_start,
                ..Delivered::default()
            },
            pending: BTreeMap::new(),
            interest,
            fresh: 0,
            serving: None,
        };
        consumer.count_fresh(messages, extras);
        Ok(consumer)
    }

    /// The same consumer with another configuration; what it was delivered stays.
    pub(super) fn reconfigure(
        &mut self,
        config_json: Bytes,
        (messages, subjects, extras): (&Messages, &Subjects, &Extras),
    ) -> Result<(), ApplyError> {
        self.config = read_config(&config_json)?;
        self.config_json = config_json;
        self.interest = Interest::new(filters(&self.config), subjects);
        let wanted = |sequence: &u64| {
            messages
                .get(*sequence)
                .is_some_and(|meta| self.interest.wants(meta.subject))
        };
        self.aside.retain(wanted);
        let listed = extras.iter().map(|(sequence, _)| sequence);
        let more: Vec<u64> = listed
            .filter(|sequence| *sequence >= self.cursor && wanted(sequence))
            .filter(|sequence| !self.pending.contains_key(sequence))
            .collect();
        self.aside.extend(more);
        self.count_fresh(messages, extras);
        if let Some(serving) = &mut self.serving {
            serving.scanned = 0;
            serving.ready.clear();
            serving.delayed.clear();
            for sequence in &self.aside {
                serving.place(*sequence, extras);
            }
        }
        Ok(())
    }

    /// A leader begins to serve it: whatever is pending gets a full lease.
    pub(super) fn begin_serving(&mut self, now: Monotonic, extras: &Extras) {
        let mut serving = Serving::new(now);
        for (sequence, pending) in &self.pending {
            serving.lease(extras.rank(*sequence), now, self.lease_of(pending.count));
        }
        for sequence in &self.aside {
            serving.place(*sequence, extras);
        }
        self.serving = Some(Box::new(serving));
    }

    /// A message was stored.
    pub(super) fn on_stored(&mut self, meta: Meta, extras: &Extras) {
        if meta.sequence < self.cursor || !self.interest.wants(meta.subject) {
            return;
        }
        self.fresh += 1;
        if extras.contains(meta.sequence) {
            self.aside.insert(meta.sequence);
            if let Some(serving) = &mut self.serving {
                serving.place(meta.sequence, extras);
            }
        }
    }

    /// A message, which asked for `extra`, is gone; `extras` no longer has it.
    pub(super) fn on_removed(&mut self, meta: Meta, extra: Option<&Extra>, extras: &Extras) {
        let sequence = meta.sequence;
        if self.pending.remove(&sequence).is_none() {
            let was_fresh = self.aside.remove(&sequence)
                || (extra.is_none()
                    && sequence >= self.cursor
                    && self.interest.wants(meta.subject));
            self.fresh = self.fresh.saturating_sub(u64::from(was_fresh));
        }
        let Some(serving) = &mut self.serving else {
            return;
        };
        let priority = extra.map_or(0, |extra| extra.priority);
        serving.forget(
            (std::cmp::Reverse(priority), sequence),
            extra.map(|extra| extra.due),
        );
        if let Some(key) = extra.and_then(|extra| extra.key.as_deref()) {
            self.place_head_of(key, extras);
        }
    }

    /// Whether these deliveries can follow from the state: first ones of what was never delivered, or
    /// further ones of what is pending.
    pub(super) fn can_deliver(
        &self,
        deliveries: &[Delivery],
        messages: &Messages,
        extras: &Extras,
    ) -> bool {
        let mut cursor = self.cursor;
        deliveries.iter().all(|delivery| {
            let sequence = delivery.stream_sequence;
            if self.pending.contains_key(&sequence) || self.aside.contains(&sequence) {
                return true;
            }
            let is_next = sequence >= cursor && !extras.contains(sequence);
            cursor = sequence.saturating_add(1);
            is_next
                && messages
                    .get(sequence)
                    .is_some_and(|meta| self.interest.wants(meta.subject))
        })
    }

    /// Messages were handed out. Call only when [`Self::can_deliver`] says so.
    pub(super) fn deliver(
        &mut self,
        deliveries: &[Delivery],
        at: Timestamp,
        extras: &Extras,
        now: Option<Monotonic>,
    ) {
        for delivery in deliveries {
            let sequence = delivery.stream_sequence;
            self.delivered.consumer_sequence = delivery.consumer_sequence;
            self.delivered.at = Some(at);
            if let Some(pending) = self.pending.get_mut(&sequence) {
                pending.count = delivery.count;
                pending.at = at;
            } else {
                if !self.aside.remove(&sequence) {
                    self.cursor = sequence + 1;
                }
                self.fresh = self.fresh.saturating_sub(1);
                self.delivered.stream_sequence = self.delivered.stream_sequence.max(sequence);
                if self.waits_for_acks() {
                    let consumer_sequence = delivery.consumer_sequence;
                    let pending = Pending {
                        consumer_sequence,
                        count: delivery.count,
                        at,
                    };
                    self.pending.insert(sequence, pending);
                }
            }
            let full = self.lease_of(delivery.count);
            let waits_for_acks = self.waits_for_acks();
            if let (Some(serving), Some(now)) = (&mut self.serving, now) {
                if waits_for_acks {
                    serving.lease(extras.rank(sequence), now, full);
                } else {
                    serving.ready.remove(&extras.rank(sequence));
                }
            }
        }
    }

    /// A pending message is done with.
    pub(super) fn acknowledge(&mut self, sequence: u64, extras: &Extras) -> bool {
        let was_pending = self.pending.remove(&sequence).is_some();
        if let Some(serving) = &mut self.serving {
            serving.forget(extras.rank(sequence), None);
        }
        was_pending
    }

    /// A lease has run out or was given back: the message is to be delivered again, unless it was
    /// delivered as often as allowed.
    pub(super) fn return_or_exhaust(&mut self, sequence: u64, extras: &Extras) {
        let Some(pending) = self.pending.get(&sequence) else {
            return;
        };
        let limit = u32::try_from(self.config.max_deliver).unwrap_or(u32::MAX);
        let is_exhausted = self.config.max_deliver > 0 && pending.count >= limit;
        let Some(serving) = &mut self.serving else {
            return;
        };
        if is_exhausted {
            serving.exhausted.insert(sequence);
            if let Some(key) = extras.get(sequence).and_then(|extra| extra.key.clone()) {
                self.place_head_of(&key, extras);
            }
        } else {
            serving.again.insert(extras.rank(sequence));
        }
    }

    /// The next message to hand out, if any may be handed out now; `new_count` first deliveries were
    /// taken and not delivered so far.
    pub(super) fn next_candidate(
        &mut self,
        messages: &Messages,
        extras: &Extras,
        new_count: u64,
    ) -> Option<Candidate> {
        let may_be_new = self.may_deliver_new(new_count);
        let ordered = if may_be_new {
            self.next_in_order(messages, extras)
        } else {
            None
        };
        let serving = self.serving.as_ref()?;
        let again = serving.again.first().copied();
        let ready = serving.ready.first().copied().filter(|_| may_be_new);
        let rank = [again, ready, ordered].into_iter().flatten().min()?;
        let meta = messages.get(rank.1)?;
        let pending = self.pending.get(&meta.sequence);
        let count = pending.map_or(1, |pending| pending.count.saturating_add(1));
        Some(Candidate { meta, count, rank })
    }

    /// A candidate is going to be delivered.
    pub(super) fn take(&mut self, candidate: &Candidate) {
        let Some(serving) = &mut self.serving else {
            return;
        };
        let was_ranked =
            serving.again.remove(&candidate.rank) || serving.ready.remove(&candidate.rank);
        if !was_ranked {
            serving.scanned = candidate.meta.sequence.saturating_add(1);
        }
    }

    /// Whether it keeps its state in the log.
    pub(super) const fn is_durable(&self) -> bool {
        self.config.durable_name.is_some()
    }

    /// Whether deliveries wait for acknowledgements.
    pub(super) const fn waits_for_acks(&self) -> bool {
        match self.config.ack_policy {
            AckPolicy::All | AckPolicy::Explicit => true,
            AckPolicy::None | AckPolicy::FlowControl => false,
        }
    }

    /// How many deliveries wait for their acknowledgement, without those that were given up.
    pub(super) fn ack_pending(&self) -> u64 {
        let exhausted = self
            .serving
            .as_ref()
            .map_or(0, |serving| serving.exhausted.len());
        (self.pending.len() - exhausted) as u64
    }

    /// How many of those were delivered more than once.
    pub(super) fn redelivered(&self) -> u64 {
        self.active()
            .filter(|(_, pending)| pending.count > 1)
            .count() as u64
    }

    /// Up to where every delivery is done with.
    pub(super) fn ack_floor(&self) -> SequenceInfo {
        let delivered = self.delivered;
        let oldest = self.active().map(|(sequence, _)| sequence).next();
        let first_delivery = self
            .active()
            .map(|(_, pending)| pending.consumer_sequence)
            .min();
        SequenceInfo {
            consumer_seq: first_delivery.map_or(delivered.consumer_sequence, |first| first - 1),
            stream_seq: oldest.map_or(delivered.stream_sequence, |oldest| oldest - 1),
            last_active: None,
        }
    }

    /// How long the delivery with this count waits for its acknowledgement.
    pub(super) fn lease_of(&self, count: u32) -> Duration {
        let index = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
        let waits = &self.config.backoff;
        waits
            .get(index)
            .or(waits.last())
            .copied()
            .unwrap_or(self.config.ack_wait)
    }

    fn active(&self) -> impl Iterator<Item = (u64, &Pending)> {
        let exhausted = self.serving.as_ref().map(|serving| &serving.exhausted);
        self.pending
            .iter()
            .filter(move |(sequence, _)| {
                exhausted.is_none_or(|given_up| !given_up.contains(sequence))
            })
            .map(|(sequence, pending)| (*sequence, pending))
    }

    fn may_deliver_new(&self, new_count: u64) -> bool {
        let limit = u64::try_from(self.config.max_ack_pending)
            .ok()
            .filter(|limit| *limit > 0);
        !self.waits_for_acks() || limit.is_none_or(|limit| self.ack_pending() + new_count < limit)
    }

    fn next_in_order(&mut self, messages: &Messages, extras: &Extras) -> Option<Rank> {
        if self.fresh == self.aside.len() as u64 {
            return None;
        }
        let serving = self.serving.as_mut()?;
        let found = messages
            .from(self.cursor.max(serving.scanned))
            .find(|meta| self.interest.wants(meta.subject) && !extras.contains(meta.sequence));
        serving.scanned = found.map_or(messages.next(), |meta| meta.sequence);
        found.map(|meta| extras.rank(meta.sequence))
    }

    fn place_head_of(&mut self, key: &str, extras: &Extras) {
        let Some(serving) = &mut self.serving else {
            return;
        };
        if let Some(head) = serving.head_of(key, extras)
            && self.aside.contains(&head)
        {
            serving.place(head, extras);
        }
    }

    fn count_fresh(&mut self, messages: &Messages, extras: &Extras) {
        let in_order = if self.interest.is_unfiltered() && extras.is_empty() {
            messages.count_from(self.cursor)
        } else {
            let later = messages.from(self.cursor);
            later
                .filter(|meta| self.interest.wants(meta.subject) && !extras.contains(meta.sequence))
                .count() as u64
        };
        self.fresh = in_order + self.aside.len() as u64;
    }
}

/// A consumer's configuration as the log has it.
pub(super) fn read_config(json: &[u8]) -> Result<ConsumerConfig, ApplyError> {
    serde_json::from_slice(json).map_err(|_| ApplyError::Configuration)
}

/// The patterns of a settled configuration; none means everything.
pub(super) fn filters(config: &ConsumerConfig) -> Vec<SubjectFilter> {
    std::iter::once(&config.filter_subject)
        .chain(&config.filter_subjects)
        .filter(|filter| !filter.is_empty())
        .filter_map(|filter| SubjectFilter::parse(filter).ok())
        .collect()
}

fn last_per_subject<'a>(
    filters: &'a [SubjectFilter],
    subjects: &'a Subjects,
) -> impl Iterator<Item = u64> + 'a {
    subjects
        .iter()
        .filter(|(_, state)| {
            filters.is_empty()
                || filters
                    .iter()
                    .any(|filter| filter.matches(state.subject.as_ref()))
        })
        .map(|(_, state)| state.last)
}
