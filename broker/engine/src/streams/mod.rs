//! The state of one data shard: streams, their messages and their consumers, and every decision
//! about them.
//!
//! [`Streams::apply`] is the only function that changes what is replicated; a leader calls it on what
//! it has just written, a follower on what is committed. Everything else here decides, on a leader,
//! what to write ([`Desk::write`]) and what to reveal after it.

pub mod config;

use std::fmt;

use bytes::Bytes;
use relevo_protocol::frame::{Message, Order};
use relevo_protocol::identity::{Position, ShardId};
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::mutation::Mutation;
use relevo_protocol::name::MemberName;
use relevo_protocol::record::Record;
use relevo_protocol::wire::DecodeError;

use crate::desk::Desk;
use crate::input::{DeliveryId, Monotonic, Now};

/// One data shard's streams.
#[derive(Debug)]
pub struct Streams {
    shard: ShardId,
    member: MemberName,
}

/// The log says something that cannot follow from what it said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// The mutation belongs into the directory.
    NotOfADataShard,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOfADataShard => f.write_str("the mutation belongs into the directory"),
        }
    }
}

impl std::error::Error for ApplyError {}

impl Streams {
    /// A shard without streams.
    #[must_use]
    pub const fn new(shard: ShardId, member: MemberName) -> Self {
        Self { shard, member }
    }

    /// The state that [`Self::snapshot`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no snapshot of this version.
    pub fn restore(shard: ShardId, member: MemberName, _bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Self::new(shard, member))
    }

    /// Makes one record of the log part of the state. `now` is given where it was decided just now.
    ///
    /// # Errors
    /// [`ApplyError`] when the log contradicts itself; the state is unchanged then.
    pub fn apply(&mut self, _position: Position, _mutation: &Mutation, _now: Option<Now>) -> Result<(), ApplyError> {
        Ok(())
    }

    /// A message was published to a subject of one of the streams.
    pub fn on_publish(&mut self, _desk: &mut Desk<'_>, _message: Message) {}

    /// A request to an endpoint that names a stream, except those that the directory answers.
    pub fn on_api(&mut self, _desk: &mut Desk<'_>, _endpoint: Endpoint, _message: Message) {}

    /// Something was published to an ack subject.
    pub fn on_ack(&mut self, _desk: &mut Desk<'_>, _message: Message) {}

    /// The directory wants something done.
    pub fn on_order(&mut self, _desk: &mut Desk<'_>, _order: Order) {}

    /// The log answers [`Desk::read_message`].
    pub fn on_message_read(&mut self, _desk: &mut Desk<'_>, _ticket: u64, _record: Option<Record>) {}

    /// A delivery found nobody; the message is to be delivered again at once.
    pub fn on_undelivered(&mut self, _desk: &mut Desk<'_>, _id: DeliveryId) {}

    /// Everything up to `position` is committed: readers may see it. Called on leaders and followers.
    pub fn on_committed(&mut self, _desk: &mut Desk<'_>, _position: Position) {}

    /// The time of [`Self::next_timer`] has come.
    pub fn on_timer(&mut self, _desk: &mut Desk<'_>) {}

    /// When [`Self::on_timer`] is wanted.
    #[must_use]
    pub const fn next_timer(&self) -> Option<Monotonic> {
        None
    }

    /// This member leads from now on; the whole log is applied.
    pub fn began_to_lead(&mut self, _now: Now) {}

    /// This member leads no more: whatever only a leader knows is forgotten.
    pub fn ceased_to_lead(&mut self) {}

    /// The replicated state as bytes; equal states have equal bytes.
    #[must_use]
    pub fn snapshot(&self) -> Bytes {
        Bytes::new()
    }

    /// Per stream its number and the lowest sequence that is alive (one above the last when none is).
    #[must_use]
    pub const fn live_from(&self) -> Vec<(u64, u64)> {
        Vec::new()
    }

    /// Whether a stored message is alive.
    #[must_use]
    pub const fn is_live(&self, _group: u64, _key: u64) -> bool {
        false
    }

    /// Every stream as `StreamInfo` JSON, in order of their numbers.
    #[must_use]
    pub fn infos(&self) -> Vec<Bytes> {
        let _ = (self.shard, &self.member);
        Vec::new()
    }
}
