//! What both members of a shard agree on, and the one function that changes it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use relevo_protocol::identity::StreamId;
use relevo_protocol::mutation::{Delivery, Mutation};
use relevo_protocol::name::{ConsumerName, StreamName};
use relevo_protocol::time::Timestamp;

use super::ApplyError;
use super::consumer::Consumer;
use super::stream::Stream;
use crate::input::Monotonic;

/// Most deleted streams that are remembered, at 8 bytes each in a snapshot. One is asked for only
/// between its end here and its end in the directory.
pub(super) const GONE_MAX: usize = 1_048_576;

/// The streams of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) streams: BTreeMap<StreamId, Stream>,
    pub(super) names: BTreeMap<StreamName, StreamId>,
    /// Streams that were deleted, the newest [`GONE_MAX`]: their numbers must never begin again, for
    /// the log knows their messages by them.
    pub(super) gone: BTreeSet<StreamId>,
    /// The latest time in the log.
    pub(super) last_at: Timestamp,
}

impl State {
    /// Makes one decision part of the state. `serving` is the time on a leader, which gives leases to
    /// what is delivered and serves new consumers.
    pub(super) fn apply(
        &mut self,
        mutation: &Mutation,
        serving: Option<Monotonic>,
    ) -> Result<(), ApplyError> {
        match mutation {
            Mutation::EpochStart { .. } => Ok(()),
            Mutation::Assign { .. } | Mutation::Unassign { .. } => Err(ApplyError::NotOfADataShard),
            Mutation::StreamCreate {
                stream,
                name,
                config,
                created,
            } => {
                if self.streams.contains_key(stream) || self.names.contains_key(name) {
                    return Err(ApplyError::StreamExists);
                }
                let made = Stream::new(*stream, name.clone(), config.clone(), *created)?;
                self.pass(*created);
                self.names.insert(name.clone(), *stream);
                self.streams.insert(*stream, made);
                Ok(())
            }
            Mutation::StreamDelete { stream } => {
                let gone = self.streams.remove(stream).ok_or(ApplyError::NoStream)?;
                self.names.remove(&gone.name);
                self.gone.insert(*stream);
                while self.gone.len() > GONE_MAX {
                    self.gone.pop_first();
                }
                Ok(())
            }
            Mutation::Publish(publish) => {
                self.stream(publish.stream)?.store(publish)?;
                self.pass(publish.at);
                Ok(())
            }
            Mutation::Trim { stream, first } => {
                self.stream(*stream)?.trim(*first);
                Ok(())
            }
            Mutation::Remove { stream, sequences } => {
                let stream = self.stream(*stream)?;
                if sequences
                    .iter()
                    .any(|sequence| stream.messages.get(*sequence).is_none())
                {
                    return Err(ApplyError::NoMessage);
                }
                for sequence in sequences {
                    stream.remove(*sequence);
                }
                Ok(())
            }
            Mutation::ConsumerCreate {
                stream,
                consumer,
                config,
                created,
                start,
            } => {
                self.create_consumer(
                    *stream,
                    consumer,
                    config.clone(),
                    (*created, *start),
                    serving,
                )?;
                self.pass(*created);
                Ok(())
            }
            Mutation::ConsumerDelete { stream, consumer } => {
                let gone = self.stream(*stream)?.consumers.remove(consumer);
                gone.map(drop).ok_or(ApplyError::NoConsumer)
            }
            Mutation::Delivered {
                stream,
                consumer,
                at,
                deliveries,
            } => {
                self.deliver(*stream, consumer, *at, deliveries, serving)?;
                self.pass(*at);
                Ok(())
            }
            Mutation::Acked {
                stream,
                consumer,
                sequences,
            } => self.acknowledge(*stream, consumer, sequences),
        }
    }

    /// A consumer begins (created then, at that sequence), or one that is there gets another configuration.
    pub(super) fn create_consumer(
        &mut self,
        stream: StreamId,
        name: &ConsumerName,
        config_json: Bytes,
        begins: (Timestamp, u64),
        serving: Option<Monotonic>,
    ) -> Result<(), ApplyError> {
        let stream = self.stream(stream)?;
        let contents = (&stream.messages, &stream.subjects, &stream.extras);
        if let Some(consumer) = stream.consumers.get_mut(name) {
            return consumer.reconfigure(config_json, contents);
        }
        let mut consumer = Consumer::new(name.clone(), config_json, begins, contents)?;
        if let Some(now) = serving {
            consumer.begin_serving(now, &stream.extras);
        }
        stream.consumers.insert(name.clone(), consumer);
        Ok(())
    }

    /// Messages are handed out.
    pub(super) fn deliver(
        &mut self,
        stream: StreamId,
        name: &ConsumerName,
        at: Timestamp,
        deliveries: &[Delivery],
        serving: Option<Monotonic>,
    ) -> Result<(), ApplyError> {
        let stream = self.stream(stream)?;
        let consumer = stream
            .consumers
            .get_mut(name)
            .ok_or(ApplyError::NoConsumer)?;
        if !consumer.can_deliver(deliveries, &stream.messages, &stream.extras) {
            return Err(ApplyError::Delivery);
        }
        consumer.deliver(deliveries, at, &stream.extras, serving);
        Ok(())
    }

    /// Pending messages are done with.
    pub(super) fn acknowledge(
        &mut self,
        stream: StreamId,
        name: &ConsumerName,
        sequences: &[u64],
    ) -> Result<(), ApplyError> {
        let stream = self.stream(stream)?;
        let consumer = stream
            .consumers
            .get_mut(name)
            .ok_or(ApplyError::NoConsumer)?;
        if sequences
            .iter()
            .any(|sequence| !consumer.pending.contains_key(sequence))
        {
            return Err(ApplyError::NotPending);
        }
        for sequence in sequences {
            consumer.acknowledge(*sequence, &stream.extras);
        }
        if stream.is_work_queue() {
            for sequence in sequences {
                stream.remove(*sequence);
            }
        }
        Ok(())
    }

    /// The stream of this name.
    pub(super) fn by_name(&self, name: &StreamName) -> Option<&Stream> {
        self.streams.get(self.names.get(name)?)
    }

    fn stream(&mut self, id: StreamId) -> Result<&mut Stream, ApplyError> {
        self.streams.get_mut(&id).ok_or(ApplyError::NoStream)
    }

    fn pass(&mut self, at: Timestamp) {
        self.last_at = self.last_at.max(at);
    }
}
