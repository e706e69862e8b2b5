//! What deciding code may do: write to the log, answer, ask for bytes. Every module that decides
//! gets a [`Desk`] and nothing else of the shard, so that the effect law has one home.

use bytes::Bytes;
use relevo_protocol::frame::{Message, Work};
use relevo_protocol::identity::{Epoch, Position, ShardId};
use relevo_protocol::mutation::Mutation;
use relevo_protocol::record::Record;

use crate::input::{DeliveryId, DirectoryChange, Effect, Now};
use crate::outbox::Outbox;

/// Why nothing can be written now. The answer to a client says that nothing was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// The other member is away or catching up.
    PeerAway,
    /// The log has no space left.
    LogFull,
}

/// The end of the log as its leader writes it.
#[derive(Debug)]
pub(crate) struct Pen {
    /// The leader's epoch.
    pub(crate) epoch: Epoch,
    /// The last position written.
    pub(crate) end: Position,
    /// The chain there.
    pub(crate) chain: u32,
    /// Bytes of bodies written and not committed.
    pub(crate) in_flight: std::collections::VecDeque<(Position, usize)>,
    /// Their sum.
    pub(crate) in_flight_bytes: usize,
    /// Up to where the bytes written were counted towards the next snapshot.
    pub(crate) counted: Position,
}

/// One decision's tools. Made by the shard for each input.
pub struct Desk<'a> {
    /// What time it is.
    pub now: Now,
    pub(crate) unwritable: Option<Unwritable>,
    pub(crate) committed: Position,
    pub(crate) pen: &'a mut Pen,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) shown: &'a mut Outbox,
    pub(crate) records: &'a mut Vec<Record>,
    pub(crate) effects: &'a mut Vec<Effect>,
}

/// A message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Routed by its subject; see [`Effect::Send`].
    pub message: Message,
    /// What the receiver sees as subject, when that differs.
    pub shown_subject: Option<Bytes>,
    /// The lease that it carries.
    pub delivery: Option<DeliveryId>,
}

impl Outgoing {
    /// An answer to `reply` with this payload.
    #[must_use]
    pub const fn answer(reply: Bytes, payload: Bytes) -> Self {
        Self {
            message: Message {
                subject: reply,
                reply: None,
                headers: Bytes::new(),
                payload,
            },
            shown_subject: None,
            delivery: None,
        }
    }

    /// An answer to `reply` that is only a header block (a status).
    #[must_use]
    pub const fn status(reply: Bytes, headers: Bytes) -> Self {
        Self {
            message: Message {
                subject: reply,
                reply: None,
                headers,
                payload: Bytes::new(),
            },
            shown_subject: None,
            delivery: None,
        }
    }
}

impl Desk<'_> {
    /// Whether something may be written now.
    ///
    /// # Errors
    /// Why not; the caller answers the client and writes nothing.
    pub const fn writable(&self) -> Result<(), Unwritable> {
        match self.unwritable {
            None => Ok(()),
            Some(why) => Err(why),
        }
    }

    /// Appends a decision to the log. The caller applies the same mutation to its state right away;
    /// what it reveals of it goes through [`Self::send_after`] with the position returned here.
    ///
    /// Call only when [`Self::writable`] says so.
    pub fn write(&mut self, mutation: &Mutation) -> Position {
        let record = Record::new(
            self.pen.end.next(),
            self.pen.epoch,
            self.pen.chain,
            mutation,
        );
        self.pen.end = record.position;
        self.pen.chain = record.chain;
        let len = record.encoded_len();
        self.pen.in_flight.push_back((record.position, len));
        self.pen.in_flight_bytes += len;
        let position = record.position;
        self.effects.push(Effect::Append {
            record: record.clone(),
            committed: self.committed,
        });
        self.records.push(record);
        position
    }

    /// The body of the record written last; empty when none was written for this input.
    pub(crate) fn last_body(&self) -> Bytes {
        let last = self.records.last();
        last.map(|record| record.body.clone()).unwrap_or_default()
    }

    /// Sends once everything up to `position` is durable wherever it must be; at once if it is.
    /// Order among held messages is kept.
    pub fn send_after(&mut self, position: Position, outgoing: Outgoing) {
        if position <= self.committed && self.outbox.is_empty() {
            self.effects.push(outgoing.into());
        } else {
            self.outbox.hold(position, outgoing.into());
        }
    }

    /// Sends at once: refusals, status lines, and reads of what is committed.
    pub fn send(&mut self, outgoing: Outgoing) {
        self.effects.push(outgoing.into());
    }

    /// Shows a directory change once it is committed.
    pub(crate) fn show_directory_after(&mut self, position: Position, change: DirectoryChange) {
        if position <= self.committed {
            self.effects.push(Effect::Directory(change));
        } else {
            self.outbox.hold(position, Effect::Directory(change));
        }
    }

    /// Carries `effect` out once both members' directories show everything up to `position`.
    pub(crate) fn after_shown(&mut self, position: Position, effect: Effect) {
        self.shown.hold(position, effect);
    }

    /// Sends work to another shard once everything up to `position` is committed.
    pub(crate) fn tell_shard_after(&mut self, position: Position, shard: ShardId, work: Work) {
        let effect = Effect::ToShard { shard, work };
        if position <= self.committed && self.outbox.is_empty() {
            self.effects.push(effect);
        } else {
            self.outbox.hold(position, effect);
        }
    }

    /// Sends work to another shard at once: it reveals nothing.
    pub(crate) fn tell_shard_now(&mut self, shard: ShardId, work: Work) {
        self.effects.push(Effect::ToShard { shard, work });
    }

    /// Asks for a stored message; answered by [`crate::input::Input::MessageRead`].
    pub fn read_message(&mut self, ticket: u64, group: u64, key: u64) {
        self.effects
            .push(Effect::ReadMessage { ticket, group, key });
    }

    /// Tells the log that a stream's messages below `first` are dead once that is committed.
    pub fn trim_after(&mut self, position: Position, group: u64, first: u64) {
        let effect = Effect::Trim { group, first };
        if position <= self.committed {
            self.effects.push(effect);
        } else {
            self.outbox.hold(position, effect);
        }
    }

    /// The last position written.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.pen.end
    }

    /// Everything up to here is durable wherever it must be.
    #[must_use]
    pub const fn committed(&self) -> Position {
        self.committed
    }
}

impl From<Outgoing> for Effect {
    fn from(outgoing: Outgoing) -> Self {
        Self::Send {
            message: outgoing.message,
            shown_subject: outgoing.shown_subject,
            delivery: outgoing.delivery,
        }
    }
}
