//! What a leader knows of a consumer beyond its replicated state: who waits, who holds what, what can
//! be handed out next. Rebuilt from the replicated state when a member begins to lead.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::identity::Position;
use relevo_protocol::time::Timestamp;

use super::extras::{Extras, Rank};
use super::leases::{Lease, Leases};
use super::pulls::Pulls;
use crate::desk::{Desk, Outgoing};
use crate::input::Monotonic;

/// Most messages of one consumer that wait for their bodies.
pub(super) const LANE_LEN_MAX: usize = 1024;
/// Most bytes of messages of one consumer that wait for the bodies of others before them.
pub(super) const LANE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A leader's knowledge of one consumer.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    /// Pull requests that wait.
    pub(super) pulls: Pulls,
    /// Who holds what.
    pub(super) leases: Leases,
    /// Delivered before and to be delivered again.
    pub(super) again: BTreeSet<Rank>,
    /// Never delivered, out of the order of sequences, and free to go.
    pub(super) ready: BTreeSet<Rank>,
    /// Never delivered, and not before that time.
    pub(super) delayed: BTreeSet<(Timestamp, u64)>,
    /// Delivered as often as allowed and not acknowledged.
    pub(super) exhausted: BTreeSet<u64>,
    /// No message from the consumer's cursor up to here is wanted.
    pub(super) scanned: u64,
    /// What was handed out and waits for bodies.
    pub(super) lane: Lane,
    /// Whatever left before leaves by the time this is committed.
    pub(super) held_until: Position,
    /// Since when no client has asked for anything.
    pub(super) idle_since: Monotonic,
    /// The timer that is set for the consumer.
    pub(super) timer: Option<Monotonic>,
}

/// What goes out to a consumer's clients, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    items: VecDeque<Item>,
    bytes: u64,
}

/// One message or status.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// It leaves when this is committed; at once when there is none.
    pub(super) position: Option<Position>,
    /// What leaves.
    pub(super) outgoing: Outgoing,
    /// The message whose body it waits for.
    pub(super) waits_for: Option<u64>,
    /// Bytes of the message, 0 for a status.
    pub(super) size: u64,
}

impl Serving {
    /// Nobody waits and nothing is held.
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            pulls: Pulls::default(),
            leases: Leases::default(),
            again: BTreeSet::new(),
            ready: BTreeSet::new(),
            delayed: BTreeSet::new(),
            exhausted: BTreeSet::new(),
            scanned: 0,
            lane: Lane::default(),
            held_until: Position::ZERO,
            idle_since: now,
            timer: None,
        }
    }

    /// A message was handed out: it is leased, whatever it was before.
    pub(super) fn lease(&mut self, rank: Rank, now: Monotonic, full: Duration) {
        let (_, sequence) = rank;
        self.again.remove(&rank);
        self.ready.remove(&rank);
        let lease = Lease {
            until: now.after(full),
            full,
            held: true,
            reply: Bytes::new(),
        };
        self.leases.set(sequence, lease);
    }

    /// A message that is out of order can be handed out, as soon as it is due and when it is the oldest
    /// of its key that is left.
    pub(super) fn place(&mut self, sequence: u64, extras: &Extras) {
        match extras.get(sequence) {
            None => {
                self.ready.insert(extras.rank(sequence));
            }
            Some(extra) => {
                let is_free = extra
                    .key
                    .as_deref()
                    .is_none_or(|key| self.head_of(key, extras) == Some(sequence));
                if is_free {
                    self.delayed.insert((extra.due, sequence));
                }
            }
        }
    }

    /// What is due by `now` is free to go.
    pub(super) fn promote(&mut self, now: Timestamp, extras: &Extras) {
        while let Some((due, sequence)) = self.delayed.first().copied()
            && due <= now
        {
            self.delayed.pop_first();
            self.ready.insert(extras.rank(sequence));
        }
    }

    /// The message of a key whose turn it is.
    pub(super) fn head_of(&self, key: &str, extras: &Extras) -> Option<u64> {
        extras
            .of_key(key)
            .find(|sequence| !self.exhausted.contains(sequence))
    }

    /// Sends once `position` is committed (at once when nothing of it stands in the log), and never
    /// before what was sent earlier.
    pub(super) fn leave(
        &mut self,
        desk: &mut Desk<'_>,
        position: Option<Position>,
        outgoing: Outgoing,
    ) {
        let position = position.unwrap_or(Position::ZERO);
        if position > desk.committed() || self.held_until > desk.committed() {
            self.held_until = desk.end();
            desk.send_after(position, outgoing);
        } else {
            desk.send(outgoing);
        }
    }

    /// A message is done with, or gone.
    pub(super) fn forget(&mut self, rank: Rank, due: Option<Timestamp>) {
        let (_, sequence) = rank;
        self.leases.remove(sequence);
        self.again.remove(&rank);
        self.ready.remove(&rank);
        self.exhausted.remove(&sequence);
        if let Some(due) = due {
            self.delayed.remove(&(due, sequence));
        }
    }
}

impl Lane {
    /// Whether more may be handed out.
    pub(super) fn has_room(&self) -> bool {
        self.items.len() < LANE_LEN_MAX && self.bytes < LANE_BYTES_MAX
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds something behind all others.
    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.size;
        self.items.push_back(item);
    }

    /// Items that wait for the body of this message.
    pub(super) fn waiting_for(&mut self, sequence: u64) -> impl Iterator<Item = &mut Item> {
        self.items
            .iter_mut()
            .filter(move |item| item.waits_for == Some(sequence))
    }

    /// Gives up the items that wait for the body of this message: it is gone.
    pub(super) fn drop_waiting_for(&mut self, sequence: u64) {
        let bytes = &mut self.bytes;
        self.items.retain(|item| {
            let stays = item.waits_for != Some(sequence);
            if !stays {
                *bytes -= item.size;
            }
            stays
        });
    }

    /// Takes the next item that waits for nothing.
    pub(super) fn pop_ready(&mut self) -> Option<Item> {
        let item = self.items.pop_front_if(|item| item.waits_for.is_none())?;
        self.bytes -= item.size;
        Some(item)
    }
}
