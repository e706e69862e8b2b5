//! Where work for a shard goes: to its leader, which is here, at the other broker, or away.

use std::sync::atomic::{AtomicU8, Ordering};

use relevo_engine::input::{Assignment, Duty};
use relevo_protocol::frame::{ShardMessage, Work};
use relevo_protocol::identity::ShardId;
use tokio::sync::mpsc;

/// Batches of client work that wait for a shard; each is at most one read burst of a connection.
/// When it is full, the sender's socket is not read.
pub(crate) const WORK_BATCHES_MAX: usize = 64;
/// Events of the link that wait for a shard. When it is full, the link's replication
/// lane is not read.
pub(crate) const EVENTS_MAX: usize = 1024;
/// Orders and reports between the shards of this broker that wait for one of them. When it is full,
/// an order has failed and a report is dropped: the client tries again.
pub(crate) const ORDERS_MAX: usize = 4096;

/// Where a shard's leader is, seen from this broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nobody leads it now: the brokers have not met, or its leader has lost its disk.
    Unknown,
    /// This broker leads.
    Here,
    /// The other broker leads.
    Peer,
}

/// What the link has for a shard.
#[derive(Debug)]
pub(crate) enum Event {
    /// The register says what this broker is to the shard.
    Assigned(Assignment),
    /// The link is up; `link` is its number, under which replication is sent.
    PeerUp {
        /// Which link.
        link: u64,
    },
    /// The link is down.
    PeerDown,
    /// The other broker says something about the shard.
    Peer(ShardMessage),
}

/// The senders to one shard's task.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    pub(crate) work: mpsc::Sender<Vec<Work>>,
    pub(crate) orders: mpsc::Sender<Work>,
    pub(crate) events: mpsc::Sender<Event>,
}

/// The receivers of one shard's task.
#[derive(Debug)]
pub(crate) struct Inboxes {
    pub(crate) work: mpsc::Receiver<Vec<Work>>,
    pub(crate) orders: mpsc::Receiver<Work>,
    pub(crate) events: mpsc::Receiver<Event>,
}

/// All shards of this broker, by number.
#[derive(Debug)]
pub(crate) struct Shards {
    shards: Vec<Shard>,
}

#[derive(Debug)]
struct Shard {
    mailbox: Mailbox,
    place: AtomicU8,
}

/// One shard's two ends.
pub(crate) fn mailbox() -> (Mailbox, Inboxes) {
    let (work, work_inbox) = mpsc::channel(WORK_BATCHES_MAX);
    let (orders, orders_inbox) = mpsc::channel(ORDERS_MAX);
    let (events, events_inbox) = mpsc::channel(EVENTS_MAX);
    (
        Mailbox {
            work,
            orders,
            events,
        },
        Inboxes {
            work: work_inbox,
            orders: orders_inbox,
            events: events_inbox,
        },
    )
}

impl Shards {
    pub(crate) fn new(mailboxes: Vec<Mailbox>) -> Self {
        let shard = |mailbox| Shard {
            mailbox,
            place: AtomicU8::new(UNKNOWN),
        };
        Self {
            shards: mailboxes.into_iter().map(shard).collect(),
        }
    }

    /// How many, the directory included.
    pub(crate) fn count(&self) -> usize {
        self.shards.len()
    }

    /// All of them, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        let count = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        (0..count).map(ShardId)
    }

    /// The mailbox of a shard; nothing when there is no such shard.
    pub(crate) fn mailbox(&self, shard: ShardId) -> Option<&Mailbox> {
        self.shards
            .get(usize::from(shard.0))
            .map(|shard| &shard.mailbox)
    }

    /// Where a shard's leader is.
    pub(crate) fn place(&self, shard: ShardId) -> Place {
        let place = self
            .shards
            .get(usize::from(shard.0))
            .map(|shard| &shard.place);
        match place.map_or(UNKNOWN, |place| place.load(Ordering::Acquire)) {
            HERE => Place::Here,
            PEER => Place::Peer,
            _ => Place::Unknown,
        }
    }

    /// The register has said where a shard's leader is.
    pub(crate) fn assign(&self, shard: ShardId, assignment: Assignment) {
        let place = match assignment.duty {
            Duty::LeadAlone | Duty::Lead => HERE,
            Duty::Follow => PEER,
            Duty::Give | Duty::Take => UNKNOWN,
        };
        if let Some(shard) = self.shards.get(usize::from(shard.0)) {
            shard.place.store(place, Ordering::Release);
        }
    }
}

const UNKNOWN: u8 = 0;
const HERE: u8 = 1;
const PEER: u8 = 2;
