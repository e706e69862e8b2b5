//! The two closed enums between the engine and its driver: what happens to a shard, and what the
//! shard wants done.

use bytes::Bytes;
use relevo_protocol::frame::{Message, ShardMessage, Work};
use relevo_protocol::identity::{Epoch, Position, ShardId, StreamId};
use relevo_protocol::name::StreamName;
use relevo_protocol::record::Record;
use relevo_protocol::time::Timestamp;
use relevo_quorum::{InSync, Members, Value};

/// What time it is, read once by the driver before each [`crate::shard::Engine::handle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Never goes back while the process lives; leases and timeouts are counted on it.
    pub monotonic: Monotonic,
    /// The wall clock; times that people see, message age and delays.
    pub wall: Timestamp,
}

/// Nanoseconds on a clock that never goes back, from an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// This time and `duration` later; stays at the end of time when there is no later.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// What this member is to a shard, read from the register's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The term that the register gives this shard's leader.
    pub term: u64,
    /// What this member is to do.
    pub duty: Duty,
    /// Whether the register counts the other member's copy as complete.
    pub peer_complete: bool,
}

impl Assignment {
    /// What `value` makes the member with index `me` to `shard`; nothing when the value does not
    /// know the shard.
    #[must_use]
    pub fn from_value(value: &Value, me: u8, shard: ShardId) -> Option<Self> {
        let entry = value.shards.get(usize::from(shard.0))?;
        let leads = entry.leader == me;
        let duty = match (&value.members, entry.in_sync) {
            (Members::One(_), _) => Duty::LeadAlone,
            (Members::Two(_), InSync::All) if leads => Duty::Lead,
            (Members::Two(_), InSync::All) => Duty::Follow,
            (Members::Two(_), InSync::Only(holder)) => match (holder == me, leads) {
                (true, true) => Duty::Lead,
                (true, false) => Duty::Give,
                (false, true) => Duty::Take,
                (false, false) => Duty::Follow,
            },
        };
        let peer_complete = entry.in_sync == InSync::All;
        Some(Self {
            term: entry.term,
            duty,
            peer_complete,
        })
    }
}

/// What a member does for a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Leads a shard that has no other member: its own disk is all that an answer waits for.
    LeadAlone,
    /// Leads; every answer waits for both disks.
    Lead,
    /// Follows the other member.
    Follow,
    /// Follows by the register, but the leader lost its disk: gives it everything; nothing is
    /// written meanwhile.
    Give,
    /// Leads by the register, but lost its disk: takes everything from the follower first.
    Take,
}

/// What happens to a shard.
#[derive(Clone, Debug)]
pub enum Input {
    /// The register says what this member is to the shard: at start, and at each change.
    Assigned(Assignment),
    /// The link to the other member is up and both hold the same register value.
    PeerUp,
    /// The link is down; nothing sent on it may be counted on.
    PeerDown,
    /// The other member says something about this shard.
    Peer(ShardMessage),
    /// A client, or another shard, wants something.
    Work(Work),
    /// The local disk holds everything up to here.
    Durable(Position),
    /// Answer to [`Effect::Truncate`]: done, durably. Reports about the disk from before it are void.
    Truncated,
    /// The disk has no room for the record at this position. The driver keeps it and what follows,
    /// in order, and tries again until there is room; [`Input::Durable`] says so.
    LogFull(Position),
    /// Answer to [`Effect::ReadLog`]: retained records from `from` on; empty when there are none.
    LogRead {
        /// As asked.
        from: Position,
        /// Rising positions, holes where segments were dropped.
        records: Vec<Record>,
    },
    /// Answer to [`Effect::ReadMessage`].
    MessageRead {
        /// As asked.
        ticket: u64,
        /// The record, or nothing when the log no longer has it.
        record: Option<Record>,
    },
    /// Answer to [`Effect::SaveSnapshot`]: durable.
    SnapshotSaved(Position),
    /// Answer to [`Effect::StageBegin`] and to each [`Effect::StageRecords`]: written.
    StageWritten,
    /// Answer to [`Effect::StageCommit`]: the copy is in its place and durable.
    Staged,
    /// A delivery found no subscriber; its lease is to be given back.
    Undelivered(DeliveryId),
    /// Orders to this shard could not be sent: its leader is away.
    OrderFailed(ShardId, Work),
    /// The time asked for by [`crate::shard::Engine::next_timer`] has come.
    Timer,
}

/// Names one delivery in [`Input::Undelivered`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryId {
    /// The stream.
    pub stream: StreamId,
    /// The consumer's name.
    pub consumer: relevo_protocol::name::ConsumerName,
    /// Which message.
    pub stream_sequence: u64,
    /// Which delivery of it.
    pub count: u32,
}

/// What a shard wants done. The driver may carry effects out in any order between two kinds, but
/// keeps the order of each kind: log effects among themselves, peer effects, sends.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Log: write this record and report [`Input::Durable`] once it is on the disk. `committed` is
    /// kept beside it as a hint for recovery.
    Append {
        /// The record; positions follow each other.
        record: Record,
        /// The commit point known now.
        committed: Position,
    },
    /// Log: drop every record above this position, durably, before anything else is appended; answered
    /// by [`Input::Truncated`].
    Truncate(Position),
    /// Log: read records from here on, at most `max_bytes` but at least one.
    ReadLog {
        /// The first position wanted.
        from: Position,
        /// Bytes of bodies.
        max_bytes: usize,
    },
    /// Log: read one message.
    ReadMessage {
        /// Echoed in the answer.
        ticket: u64,
        /// The stream.
        group: u64,
        /// The sequence.
        key: u64,
    },
    /// Log: keep this state, so that a restart need not read what lies before it.
    SaveSnapshot {
        /// The last position it covers.
        position: Position,
        /// The encoded state.
        state: Bytes,
        /// Per stream the lowest sequence that is alive at that position; messages of streams that
        /// are not listed are dead.
        live: Vec<(u64, u64)>,
    },
    /// Log: messages of a stream below `first` are dead (`u64::MAX`: all of them); their segments
    /// may go once a snapshot covers them.
    Trim {
        /// The stream.
        group: u64,
        /// The lowest sequence that is alive.
        first: u64,
    },
    /// Log: a full copy begins beside the live log.
    StageBegin {
        /// What the state covers.
        position: Position,
        /// Epoch of the record there.
        epoch: Epoch,
        /// Chain of the record there.
        chain: u32,
        /// The state.
        state: Bytes,
    },
    /// Log: messages of the copy.
    StageRecords(Vec<Record>),
    /// Log: the copy replaces the live log, durably; answered by [`Input::Staged`].
    StageCommit,
    /// Log: the copy is given up.
    StageAbort,
    /// Replication lane: to the other member, about this shard.
    ToPeer(ShardMessage),
    /// Publish this to whoever subscribes to its subject, on either broker.
    Send {
        /// Subject (the requester's reply), reply, headers, payload.
        message: Message,
        /// Where the message's own subject differs from the one it is routed by (deliveries): what
        /// the receiver sees as subject.
        shown_subject: Option<Bytes>,
        /// Set for deliveries that hold a lease: reported back when nobody listens.
        delivery: Option<DeliveryId>,
    },
    /// Work for another shard (orders and reports), to its leader. `ListStreams` goes to the local
    /// copy when the leader is away; other orders come back as [`Input::OrderFailed`].
    ToShard {
        /// Which shard.
        shard: ShardId,
        /// What.
        work: Work,
    },
    /// The directory as this member shows it has changed. To be carried out before any later
    /// [`Effect::ToPeer`] or [`Effect::ToShard`]: the other member counts on it.
    Directory(DirectoryChange),
    /// The other member now holds everything: the register may count it in sync again.
    PeerComplete,
    /// Something a person may want to read in the log.
    Fact(Fact),
}

/// One change of the directory's view, by which the router finds a stream's shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryChange {
    /// All is forgotten; what follows is the whole view.
    Reset,
    /// A stream is there.
    Added {
        /// Its number.
        stream: StreamId,
        /// Its name.
        name: StreamName,
        /// Where it lives.
        shard: ShardId,
        /// Its subjects.
        subjects: Vec<relevo_protocol::subject::SubjectFilter>,
    },
    /// A stream is gone.
    Removed {
        /// Its number.
        stream: StreamId,
        /// Its name.
        name: StreamName,
    },
}

/// Worth a line in the log; the engine itself logs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The leader began an epoch.
    Activated {
        /// Which.
        epoch: Epoch,
        /// Its first position.
        at: Position,
    },
    /// The follower's log equals the leader's; writes are admitted.
    InSync {
        /// The end of both logs.
        at: Position,
    },
    /// The other member is away; writes are refused.
    PeerAway,
    /// The follower drops records that were never acknowledged.
    Truncated {
        /// The last position kept.
        to: Position,
        /// The last position dropped.
        from: Position,
    },
    /// A full copy begins.
    CopyStarted {
        /// What it covers.
        position: Position,
    },
    /// A full copy is complete.
    CopyFinished {
        /// What it covers.
        position: Position,
        /// How many messages.
        records: u64,
    },
    /// The two logs contradict each other below the commit point: nothing is changed, the shard
    /// stays unavailable until a person decides.
    Diverged {
        /// The position in question.
        at: Position,
        /// What contradicts what.
        why: Divergence,
    },
    /// The log is full; publishes are refused.
    LogFull,
}

/// How two logs contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// The common prefix ends below what is known committed.
    TruncationBelowCommit,
    /// Same epoch and position, different contents.
    ChainMismatch,
    /// A record does not follow the last one.
    Gap,
    /// A record cannot be read by this version.
    Undecodable,
    /// A record's contents contradict the log before it.
    Contradiction,
}
