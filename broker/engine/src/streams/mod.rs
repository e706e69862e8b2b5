//! The state of one data shard: streams, their messages and their consumers, and every decision
//! about them.
//!
//! [`Streams::apply`] is the only function that changes what is replicated; a leader calls it on what
//! it is about to write, a follower on what is committed. Everything else here decides, on a leader,
//! what to write ([`Desk::write`]) and what to reveal after it.
//!
//! | file | what it decides |
//! |---|---|
//! | `state`, `stream`, `consumer` | what a mutation changes; the same on leader and follower |
//! | `messages`, `subjects`, `dedup`, `extras` | what a stream knows of its messages |
//! | `publish` | whether a message is stored, and which ones go for it |
//! | `next`, `hand_out`, `ack` | who gets which message, and when again |
//! | `consumers`, `info`, `get`, `purge`, `orders` | the requests of the JetStream API |
//! | `serving`, `leases`, `pulls`, `recent`, `clock`, `timers` | what only a leader knows |
//! | `snapshot` | the replicated state as bytes |

#![cfg_attr(
    not(test),
    deny(
        clippy::cast_possible_truncation,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::unwrap_used
    )
)]

mod ack;
mod answer;
mod clock;
pub mod config;
mod consumer;
mod consumer_config;
mod consumers;
mod dedup;
mod extras;
mod get;
mod hand_out;
mod info;
mod leases;
mod messages;
mod next;
mod orders;
mod publish;
mod pulls;
mod purge;
mod recent;
mod serving;
mod snapshot;
mod state;
mod stream;
mod subjects;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use bytes::Bytes;
use relevo_protocol::frame::Message;
use relevo_protocol::identity::{Position, ShardId, StreamId};
use relevo_protocol::jetstream::endpoint::{Endpoint, EndpointKind};
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::mutation::Mutation;
use relevo_protocol::name::MemberName;
use relevo_protocol::time::Timestamp;
use relevo_protocol::wire::DecodeError;

use self::clock::Clock;
use self::get::Reads;
use self::recent::Recent;
use self::state::State;
use self::timers::Timers;
use crate::desk::Desk;
use crate::input::Now;

/// One data shard's streams.
#[derive(Debug)]
pub struct Streams {
    shard: ShardId,
    member: MemberName,
    state: State,
    /// Everything up to here is committed.
    committed: Position,
    /// Messages above it, in order. Bounded by the shard's in-flight window.
    in_flight: VecDeque<(Position, StreamId, u64)>,
    lead: Option<Lead>,
}

/// What only a leader knows.
#[derive(Debug)]
struct Lead {
    clock: Clock,
    recent: Recent,
    reads: Reads,
    timers: Timers,
    /// Which stream takes a subject, as found before.
    routes: BTreeMap<Bytes, StreamId>,
    /// How many ephemeral consumers were named.
    named_count: u64,
    was_writable: bool,
}

/// The log says something that cannot follow from what it said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// The mutation belongs into the directory.
    NotOfADataShard,
    /// A stream of this number or name is there already.
    StreamExists,
    /// There is no such stream.
    NoStream,
    /// There is no such consumer.
    NoConsumer,
    /// There is no such message.
    NoMessage,
    /// A message's sequence does not follow the last one.
    Sequence,
    /// A message's subject or headers are not valid.
    Message,
    /// A configuration is not valid.
    Configuration,
    /// A message is delivered that can not be delivered.
    Delivery,
    /// A message is acknowledged that was not delivered.
    NotPending,
}

/// Most subjects whose stream is remembered; above it they are found anew.
const ROUTES_MAX: usize = 8192;

/// Refuses a request in the way in which its endpoint answers.
fn refuse(desk: &mut Desk<'_>, kind: EndpointKind, request: &Message, error: JetStreamError) {
    let refusal = match kind.response_type() {
        Some(_) => answer::api_error(kind, request, error),
        None => {
            let reply = request.reply.clone();
            reply.map(|reply| answer::status(reply, &answer::status_of(&error)))
        }
    };
    if let Some(refusal) = refusal {
        desk.send(refusal);
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOfADataShard => "the mutation belongs into the directory",
            Self::StreamExists => "a stream is created that is there already",
            Self::NoStream => "the stream is not there",
            Self::NoConsumer => "the consumer is not there",
            Self::NoMessage => "the message is not there",
            Self::Sequence => "a message does not follow the last one",
            Self::Message => "a message has an invalid subject or invalid headers",
            Self::Configuration => "a configuration is not valid",
            Self::Delivery => "a message is delivered that can not be delivered",
            Self::NotPending => "a message is acknowledged that was not delivered",
        })
    }
}

impl std::error::Error for ApplyError {}

impl Streams {
    /// A shard without streams.
    #[must_use]
    pub fn new(shard: ShardId, member: MemberName) -> Self {
        Self::with_state(shard, member, State::default())
    }

    /// The state that [`Self::snapshot`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no snapshot of this version.
    pub fn restore(shard: ShardId, member: MemberName, bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Self::with_state(shard, member, snapshot::decode(bytes)?))
    }

    /// Makes one record of the log part of the state. `now` is given where it was decided just now:
    /// what is delivered gets its leases then.
    ///
    /// # Errors
    /// [`ApplyError`] when the log contradicts itself; the state is unchanged then.
    pub fn apply(
        &mut self,
        position: Position,
        mutation: &Mutation,
        now: Option<Now>,
    ) -> Result<(), ApplyError> {
        let serving = self.lead.as_ref().and(now).map(|now| now.monotonic);
        self.state.apply(mutation, serving)?;
        if let Mutation::Publish(publish) = mutation {
            self.in_flight
                .push_back((position, publish.stream, publish.sequence));
            self.show();
        }
        Ok(())
    }

    /// A request to an endpoint that names a stream, except those that the directory answers.
    pub fn on_api(&mut self, desk: &mut Desk<'_>, endpoint: Endpoint, message: Message) {
        let kind = endpoint.kind();
        if self.lead.is_none() {
            return refuse(desk, kind, &message, JetStreamError::PeerAway);
        }
        if answer::needs_newer_api(&message) {
            return refuse(desk, kind, &message, JetStreamError::RequiredApiLevel);
        }
        match endpoint {
            Endpoint::StreamInfo(stream) => self.on_stream_info(desk, &stream, &message),
            Endpoint::StreamPurge(stream) => self.on_purge(desk, &stream, &message),
            Endpoint::MsgDelete(stream) => self.on_msg_delete(desk, &stream, &message),
            Endpoint::MsgGet(stream) => self.on_msg_get(desk, &stream, &message),
            Endpoint::DirectGet(stream) => self.on_direct_get(desk, &stream, &message),
            Endpoint::DirectGetLast(stream, subject) => {
                self.on_direct_get_last(desk, &stream, subject, &message);
            }
            Endpoint::ConsumerCreate {
                stream,
                consumer,
                filter,
            } => {
                let asked = consumers::Asked::Create { consumer, filter };
                self.on_consumer_create(desk, (kind, &stream, asked), &message);
            }
            Endpoint::DurableCreate(stream, consumer) => {
                let asked = consumers::Asked::Durable(consumer);
                self.on_consumer_create(desk, (kind, &stream, asked), &message);
            }
            Endpoint::ConsumerInfo(stream, consumer) => {
                self.on_consumer_info(desk, &stream, &consumer, &message);
            }
            Endpoint::ConsumerDelete(stream, consumer) => {
                self.on_consumer_delete(desk, &stream, &consumer, &message);
            }
            Endpoint::ConsumerNames(stream) => self.on_consumer_names(desk, &stream, &message),
            Endpoint::ConsumerList(stream) => self.on_consumer_list(desk, &stream, &message),
            Endpoint::MsgNext(stream, consumer) => {
                self.on_next(desk, &stream, &consumer, &message);
            }
            Endpoint::AccountInfo
            | Endpoint::StreamCreate(_)
            | Endpoint::StreamUpdate(_)
            | Endpoint::StreamDelete(_)
            | Endpoint::StreamNames
            | Endpoint::StreamList => {}
        }
    }

    /// Everything up to `position` is committed: readers may see it. Called on leaders and followers.
    pub fn on_committed(&mut self, desk: &mut Desk<'_>, position: Position) {
        self.committed = self.committed.max(position);
        let mut changed = self.show();
        let Some(lead) = &mut self.lead else { return };
        let is_writable = desk.writable().is_ok();
        if is_writable && !lead.was_writable {
            changed = self.state.streams.keys().copied().collect();
        }
        lead.was_writable = is_writable;
        for stream in changed {
            self.serve_stream(desk, stream);
        }
    }

    /// This member leads from now on; the whole log is applied.
    pub fn began_to_lead(&mut self, now: Now) {
        self.lead = Some(Lead {
            clock: Clock::new(now),
            recent: Recent::default(),
            reads: Reads::default(),
            timers: Timers::default(),
            routes: BTreeMap::new(),
            named_count: 0,
            was_writable: false,
        });
        let mut consumers = Vec::new();
        for stream in self.state.streams.values_mut() {
            for consumer in stream.consumers.values_mut() {
                consumer.begin_serving(now.monotonic, &stream.extras);
                consumers.push((stream.id, consumer.name.clone()));
            }
        }
        for (stream, consumer) in consumers {
            self.plan_consumer(now, stream, &consumer);
        }
        let streams: Vec<StreamId> = self.state.streams.keys().copied().collect();
        for stream in streams {
            self.plan_stream(now, stream);
        }
    }

    /// This member leads no more: whatever only a leader knows is forgotten.
    pub fn ceased_to_lead(&mut self) {
        self.lead = None;
        for stream in self.state.streams.values_mut() {
            stream.timer = None;
            stream.consumers.retain(|_, consumer| consumer.is_durable());
            for consumer in stream.consumers.values_mut() {
                consumer.serving = None;
            }
        }
    }

    /// The replicated state as bytes; equal states have equal bytes.
    #[must_use]
    pub fn snapshot(&self) -> Bytes {
        snapshot::encode(&self.state)
    }

    /// Per stream its number and the lowest sequence that is alive (one above the last when none is).
    #[must_use]
    pub fn live_from(&self) -> Vec<(u64, u64)> {
        let streams = self.state.streams.values();
        streams
            .map(|stream| (stream.id.0, stream.messages.first()))
            .collect()
    }

    /// Whether a stored message is alive.
    #[must_use]
    pub fn is_live(&self, group: u64, key: u64) -> bool {
        let stream = self.state.streams.get(&StreamId(group));
        stream.is_some_and(|stream| stream.messages.get(key).is_some())
    }

    fn with_state(shard: ShardId, member: MemberName, state: State) -> Self {
        Self {
            shard,
            member,
            state,
            committed: Position::ZERO,
            in_flight: VecDeque::new(),
            lead: None,
        }
    }

    /// Writes a decision and makes it part of the state.
    fn decide(
        &mut self,
        desk: &mut Desk<'_>,
        mutation: &Mutation,
    ) -> Result<Position, JetStreamError> {
        desk.writable().map_err(answer::unwritable)?;
        let applied = self.apply(desk.end().next(), mutation, Some(desk.now));
        debug_assert_eq!(applied, Ok(()), "{mutation:?}");
        applied.map_err(|_| JetStreamError::TemporarilyUnavailable)?;
        Ok(desk.write(mutation))
    }

    /// The time to write into a decision; it never falls.
    fn stamp(&mut self, now: Now) -> Timestamp {
        messages::whole_micros(self.read_clock(now), self.state.last_at)
    }

    fn read_clock(&mut self, now: Now) -> Timestamp {
        self.lead
            .as_mut()
            .map_or(now.wall, |lead| lead.clock.read(now))
    }

    /// Lets readers see what is committed; says which streams have more to see.
    fn show(&mut self) -> BTreeSet<StreamId> {
        let mut changed = BTreeSet::new();
        while let Some((position, stream, sequence)) = self.in_flight.front().copied()
            && position <= self.committed
        {
            self.in_flight.pop_front();
            if let Some(stream) = self.state.streams.get_mut(&stream) {
                stream.visible_last = sequence;
                changed.insert(stream.id);
            }
        }
        changed
    }
}
