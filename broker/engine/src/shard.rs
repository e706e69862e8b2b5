//! One shard: [`Engine`] takes what happens ([`Input`]) and says what is to be done ([`Effect`]).
//!
//! ```text
//!             Assigned                      Assigned                PeerComplete
//! (nothing) ───────────> LeadAlone, Lead, Follow        Take <──> Give ──────────> Lead / Follow
//! ```
//!
//! The invariant of the log, on every member: `applied <= committed <= durable everywhere`, and
//! `committed <= end`. A leader's state runs ahead of it up to `end`; what it reveals does not.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use relevo_protocol::frame::{Report, ShardMessage, Work};
use relevo_protocol::identity::{Epoch, EpochStart, Position, ShardId};
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::mutation::Mutation;
use relevo_protocol::name::MemberName;
use relevo_protocol::record::Record;
use relevo_protocol::wire::DecodeError;

use crate::checkpoint::Checkpoint;
use crate::content::Content;
use crate::desk::{Desk, Pen, Unwritable};
use crate::input::{Assignment, Divergence, Duty, Effect, Fact, Input, Monotonic, Now};
use crate::outbox::Outbox;
use crate::replication::copy::{CopySource, CopyTarget};
use crate::replication::leader::Peer;

/// Bytes of record bodies read from the log at a time for catch-up and copies.
pub(crate) const READ_LEN: usize = 1024 * 1024;
/// Bytes of records written and not committed above which client work is held back.
pub const IN_FLIGHT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Held answers above which client work is held back.
pub const HELD_COUNT_MAX: usize = 262_144;
/// Bytes of records after which a snapshot is taken, unless a test wants more of them.
pub const SNAPSHOT_EVERY_BYTES: usize = 64 * 1024 * 1024;

/// What a shard is, fixed for the life of the process.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Which shard.
    pub shard: ShardId,
    /// This broker's name.
    pub member: MemberName,
    /// How many data shards the cluster has, 1 to 16.
    pub data_shards: u16,
    /// Bytes of records after which a snapshot is taken, normally [`SNAPSHOT_EVERY_BYTES`].
    pub snapshot_every_bytes: usize,
}

/// What the log on disk holds, as its recovery found it.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The newest snapshot: the last position it covers, and its bytes.
    pub snapshot: Option<(Position, Bytes)>,
    /// The last record, zero when there is none.
    pub end: Position,
    /// The newest commit point that the log itself knows of.
    pub committed: Position,
    /// The lowest position from which the log has no hole.
    pub contiguous_from: Position,
}

/// Why a shard cannot be opened from its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The snapshot cannot be read by this version.
    Snapshot(DecodeError),
    /// A record cannot be read by this version.
    Record(Position, DecodeError),
    /// A record does not follow the one before it.
    Gap(Position),
    /// A record's contents contradict the log before it.
    Contradiction(Position),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(error) => write!(f, "read snapshot: {error}"),
            Self::Record(at, error) => write!(f, "read record {at}: {error}"),
            Self::Gap(at) => write!(
                f,
                "replay log: record {at} does not follow the one before it"
            ),
            Self::Contradiction(at) => {
                write!(f, "replay log: record {at} contradicts what lies before it")
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// How a shard stands, for people and monitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStatus {
    /// Which shard.
    pub shard: ShardId,
    /// What this member does for it; nothing before the brokers have met.
    pub duty: Option<Duty>,
    /// Whether writes are admitted here (only a leader admits them).
    pub writable: bool,
    /// The newest epoch in the log.
    pub epoch: Epoch,
    /// The last record.
    pub end: Position,
    /// Durable on this disk up to here.
    pub durable: Position,
    /// Durable wherever it must be up to here.
    pub committed: Position,
    /// Why the shard stopped, if it did.
    pub halted: Option<Divergence>,
}

/// One shard of one broker.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) assignment: Assignment,
    assigned: bool,
    pub(crate) peer_up: bool,
    pub(crate) peer: Peer,
    /// A full copy that is arriving.
    pub(crate) copy: Option<CopyTarget>,
    /// A full copy that is being put in its place; from here on it will be, whatever the link does.
    pub(crate) installing: Option<CopyTarget>,
    /// Contact waits until the copy is in its place.
    pub(crate) contact_due: bool,
    giving: Option<CopySource>,
    pub(crate) content: Content,
    pub(crate) pen: Pen,
    pub(crate) epochs: Vec<EpochStart>,
    pub(crate) durable: Position,
    pub(crate) committed: Position,
    pub(crate) applied: Position,
    pub(crate) applied_chain: u32,
    pub(crate) applied_epoch: Epoch,
    /// Records of the log that are not part of the state: a follower's, or a leader's before it
    /// begins to lead. Bounded by the leader's in-flight window.
    pub(crate) unapplied: VecDeque<Record>,
    pub(crate) contiguous_from: Position,
    /// The position before `contiguous_from`, and the chain there.
    pub(crate) anchor: (Position, u32),
    outbox: Outbox,
    shown: Outbox,
    pub(crate) batch: Vec<Record>,
    /// The follower has not been told the commit point.
    pub(crate) commit_due: bool,
    pub(crate) progress_due: bool,
    resumed: bool,
    truncating: bool,
    log_full: bool,
    snapshot_pending: bool,
    bytes_since_snapshot: usize,
    halted: Option<Divergence>,
}

impl Engine {
    /// The shard as its log left it. [`Self::replay`] follows with the records after the snapshot.
    ///
    /// # Errors
    /// [`OpenError::Snapshot`].
    pub fn open(config: EngineConfig, recovered: Recovered) -> Result<Self, OpenError> {
        let (checkpoint, content) = match recovered.snapshot {
            Some((_, bytes)) => {
                let checkpoint = Checkpoint::decode(bytes).map_err(OpenError::Snapshot)?;
                let content = Content::restore(&config, checkpoint.content.clone())
                    .map_err(OpenError::Snapshot)?;
                (checkpoint, content)
            }
            None => {
                let nothing = Checkpoint {
                    position: Position::ZERO,
                    epoch: Epoch::default(),
                    chain: 0,
                    epochs: Vec::new(),
                    content: Bytes::new(),
                };
                (nothing, Content::empty(&config))
            }
        };
        let position = checkpoint.position;
        let anchor = if recovered.contiguous_from == position.next() {
            (position, checkpoint.chain)
        } else {
            (Position::ZERO, 0)
        };
        Ok(Self {
            config,
            assignment: Assignment {
                term: 0,
                duty: Duty::Follow,
                peer_complete: true,
            },
            assigned: false,
            peer_up: false,
            peer: Peer::Away,
            copy: None,
            installing: None,
            contact_due: false,
            giving: None,
            content,
            pen: Pen {
                epoch: checkpoint.epoch,
                end: position,
                chain: checkpoint.chain,
                in_flight: VecDeque::new(),
                in_flight_bytes: 0,
                counted: position,
            },
            epochs: checkpoint.epochs,
            durable: recovered.end.max(position),
            committed: recovered.committed.max(position),
            applied: position,
            applied_chain: checkpoint.chain,
            applied_epoch: checkpoint.epoch,
            unapplied: VecDeque::new(),
            contiguous_from: recovered.contiguous_from,
            anchor,
            outbox: Outbox::default(),
            shown: Outbox::default(),
            batch: Vec::new(),
            commit_due: false,
            progress_due: false,
            resumed: false,
            truncating: false,
            log_full: false,
            snapshot_pending: false,
            bytes_since_snapshot: 0,
            halted: None,
        })
    }

    /// Takes the next records of the own log, before the first [`Self::handle`]. Everything up to the
    /// commit point becomes part of the state at once; the rest waits for the leader's word.
    ///
    /// # Errors
    /// [`OpenError`] when the log cannot be what this software wrote.
    pub fn replay(&mut self, records: Vec<Record>) -> Result<(), OpenError> {
        for record in records {
            if record.position <= self.pen.end {
                continue;
            }
            if record.position != self.pen.end.next()
                || record.chain != record.chain_after(self.pen.chain)
            {
                return Err(OpenError::Gap(record.position));
            }
            if record.epoch > self.pen.epoch {
                self.epochs.push(EpochStart {
                    epoch: record.epoch,
                    first: record.position,
                });
            }
            self.pen.epoch = record.epoch;
            self.pen.end = record.position;
            self.pen.chain = record.chain;
            self.bytes_since_snapshot += record.encoded_len();
            self.unapplied.push_back(record);
            while let Some(next) = self.unapplied.front()
                && next.position <= self.committed
            {
                let at = next.position;
                let mutation = Mutation::decode(next.body.clone())
                    .map_err(|error| OpenError::Record(at, error))?;
                self.content
                    .apply(at, &mutation, None)
                    .map_err(|_| OpenError::Contradiction(at))?;
                self.mark_applied();
            }
        }
        Ok(())
    }

    /// Takes one input; what is to be done is appended to `effects`.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        if self.halted.is_some() {
            return self.handle_halted(now, input, effects);
        }
        match input {
            Input::Assigned(assignment) => self.on_assigned(now, assignment, effects),
            Input::PeerUp => self.on_peer_up(effects),
            Input::PeerDown => self.on_peer_down(effects),
            Input::Peer(message) => self.on_peer(message, effects),
            Input::Work(work) => self.on_work(now, work, effects),
            Input::Durable(position) => self.on_durable(position, effects),
            Input::Truncated => self.truncating = false,
            Input::LogFull(_) => {
                self.log_full = true;
                self.progress_due = true;
                effects.push(Effect::Fact(Fact::LogFull));
            }
            Input::LogRead { from, records } => match &mut self.giving {
                Some(source) => source.log_read(from, records, &self.content, effects),
                None => self.leader_log_read(from, records, effects),
            },
            Input::MessageRead { ticket, record } => {
                self.with_streams(now, effects, |streams, desk| {
                    streams.on_message_read(desk, ticket, record);
                });
            }
            Input::SnapshotSaved(_) => self.snapshot_pending = false,
            Input::StageWritten => {
                if let Some(target) = &self.copy {
                    target.written(effects);
                }
            }
            Input::Staged => self.on_staged(effects),
            Input::Undelivered(id) => {
                self.with_streams(now, effects, |streams, desk| {
                    streams.on_undelivered(desk, id)
                });
            }
            Input::OrderFailed(_, work) => self.on_order_failed(now, work, effects),
            Input::Timer => self.on_timer(now, effects),
        }
        self.after_input(now, effects);
    }

    /// Ends a batch of inputs: what was written goes to the follower in one message, or the news about
    /// the commit point does, or a follower's progress.
    pub fn finish_batch(&mut self, effects: &mut Vec<Effect>) {
        if self.leads() {
            let records = std::mem::take(&mut self.batch);
            if matches!(self.peer, Peer::InSync { .. }) {
                if !records.is_empty() {
                    let committed = self.committed;
                    effects.push(Effect::ToPeer(ShardMessage::Append { committed, records }));
                } else if self.commit_due {
                    let committed = self.committed;
                    effects.push(Effect::ToPeer(ShardMessage::Commit { committed }));
                }
            }
            self.commit_due = false;
        } else if self.progress_due && self.peer_up && self.resumed && !self.truncating {
            effects.push(Effect::ToPeer(ShardMessage::Progress {
                durable: self.durable,
                applied: self.applied,
                full: self.log_full,
            }));
            self.progress_due = false;
        }
    }

    /// Whether the driver may hand over more client work; other inputs it always may.
    #[must_use]
    pub fn admits_work(&self) -> bool {
        self.pen.in_flight_bytes < IN_FLIGHT_BYTES_MAX
            && self.outbox.len() + self.shown.len() < HELD_COUNT_MAX
    }

    /// When [`Input::Timer`] is wanted, if at all.
    #[must_use]
    pub fn next_timer(&self) -> Option<Monotonic> {
        if !self.leads() {
            return None;
        }
        match &self.content {
            Content::Directory(directory) => directory.next_timer(),
            Content::Streams(streams) => streams.next_timer(),
        }
    }

    /// How the shard stands.
    #[must_use]
    pub fn status(&self) -> ShardStatus {
        ShardStatus {
            shard: self.config.shard,
            duty: self.assigned.then_some(self.assignment.duty),
            writable: self.unwritable().is_none(),
            epoch: self.pen.epoch,
            end: self.pen.end,
            durable: self.durable,
            committed: self.committed,
            halted: self.halted,
        }
    }

    /// The bytes of the replicated state, where everything in the log is part of it: equal on two
    /// members whose logs are equal and committed to the end.
    #[must_use]
    pub fn state(&self) -> (Position, Bytes) {
        (self.applied, self.content.snapshot())
    }

    fn leads(&self) -> bool {
        self.assigned && matches!(self.assignment.duty, Duty::Lead | Duty::LeadAlone)
    }

    fn unwritable(&self) -> Option<Unwritable> {
        if !self.leads() || self.halted.is_some() {
            return Some(Unwritable::PeerAway);
        }
        match &self.peer {
            Peer::None if self.log_full => Some(Unwritable::LogFull),
            Peer::None => None,
            Peer::InSync { full, .. } if *full || self.log_full => Some(Unwritable::LogFull),
            Peer::InSync { .. } => None,
            Peer::Away
            | Peer::Contact
            | Peer::Comparing { .. }
            | Peer::Copying(_)
            | Peer::CatchingUp { .. } => Some(Unwritable::PeerAway),
        }
    }

    fn desk<'a>(
        now: Now,
        unwritable: Option<Unwritable>,
        committed: Position,
        parts: (
            &'a mut Pen,
            &'a mut Outbox,
            &'a mut Outbox,
            &'a mut Vec<Record>,
        ),
        effects: &'a mut Vec<Effect>,
    ) -> Desk<'a> {
        let (pen, outbox, shown, records) = parts;
        Desk {
            now,
            unwritable,
            committed,
            pen,
            outbox,
            shown,
            records,
            effects,
        }
    }

    fn with_content(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Content, &mut Desk<'_>),
    ) {
        let unwritable = self.unwritable();
        let parts = (
            &mut self.pen,
            &mut self.outbox,
            &mut self.shown,
            &mut self.batch,
        );
        let mut desk = Self::desk(now, unwritable, self.committed, parts, effects);
        act(&mut self.content, &mut desk);
        if self.leads() {
            self.applied = self.pen.end;
            self.applied_chain = self.pen.chain;
            self.applied_epoch = self.pen.epoch;
        }
    }

    fn with_streams(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut crate::streams::Streams, &mut Desk<'_>),
    ) {
        self.with_content(now, effects, |content, desk| {
            if let Content::Streams(streams) = content {
                act(streams, desk);
            }
        });
    }

    fn on_assigned(&mut self, now: Now, assignment: Assignment, effects: &mut Vec<Effect>) {
        let known = self.assigned && self.assignment.duty == assignment.duty;
        let first = !self.assigned;
        let led = self.leads();
        self.assignment = assignment;
        self.assigned = true;
        if first {
            self.show_whole_directory(effects);
        }
        if known {
            return;
        }
        self.giving = None;
        match assignment.duty {
            Duty::Lead | Duty::LeadAlone => self.lead(now, effects),
            Duty::Follow | Duty::Give | Duty::Take => {
                if led && let Content::Streams(streams) = &mut self.content {
                    streams.ceased_to_lead();
                }
                if self.peer_up {
                    self.on_peer_up(effects);
                }
            }
        }
    }

    fn on_peer_up(&mut self, effects: &mut Vec<Effect>) {
        self.peer_up = true;
        self.resumed = false;
        self.contact_due = self.installing.is_some();
        if !self.contact_due {
            self.contact(effects);
        }
    }

    /// Says the first word of this member's duty to the other one.
    pub(crate) fn contact(&mut self, effects: &mut Vec<Effect>) {
        match self.assignment.duty {
            Duty::LeadAlone => {}
            Duty::Lead => self.peer = Peer::Contact,
            Duty::Follow => self.send_status(effects),
            Duty::Take => effects.push(Effect::ToPeer(ShardMessage::CopyRequest)),
            Duty::Give => {}
        }
    }

    fn on_peer_down(&mut self, effects: &mut Vec<Effect>) {
        self.peer_up = false;
        self.resumed = false;
        self.contact_due = false;
        self.giving = None;
        if self.copy.take().is_some() {
            effects.push(Effect::StageAbort);
        }
        if self.assignment.duty == Duty::Lead {
            self.peer = Peer::Away;
            effects.push(Effect::Fact(Fact::PeerAway));
        }
    }

    fn on_peer(&mut self, message: ShardMessage, effects: &mut Vec<Effect>) {
        match message {
            ShardMessage::Status {
                epochs, end, chain, ..
            } => {
                if self.leads() {
                    self.on_status(&epochs, end, chain, effects);
                }
            }
            ShardMessage::Progress {
                durable,
                applied,
                full,
            } => {
                if self.leads() {
                    self.on_progress((durable, applied, full), effects);
                }
            }
            ShardMessage::Truncate { to, chain } => {
                if self.assignment.duty == Duty::Follow {
                    let end = self.pen.end;
                    self.on_truncate(to, chain, effects);
                    self.truncating = self.pen.end < end;
                    self.resumed = true;
                }
            }
            ShardMessage::Append { committed, records } => {
                if self.resumed {
                    self.on_append(committed, records, effects);
                }
            }
            ShardMessage::Commit { committed } => {
                if self.resumed {
                    self.on_commit(committed, effects);
                }
            }
            ShardMessage::CopyRequest => self.on_copy_request(effects),
            ShardMessage::CopyMore => match (&mut self.giving, &mut self.peer) {
                (Some(source), _) | (None, Peer::Copying(source)) => source.more(effects),
                (None, _) => {}
            },
            ShardMessage::CopyDone { position } => {
                if let Some(source) = self.giving.take_if(|source| source.done(position)) {
                    effects.push(Effect::Fact(source.finished()));
                    effects.push(Effect::PeerComplete);
                } else {
                    self.on_copy_done(position, effects);
                }
            }
            ShardMessage::CopyBegin { .. }
            | ShardMessage::CopyState(_)
            | ShardMessage::CopyRecords(_)
            | ShardMessage::CopyEnd { .. } => {
                if matches!(self.assignment.duty, Duty::Follow | Duty::Take) {
                    self.resumed = true;
                    self.on_copy(message, effects);
                }
            }
        }
    }

    /// The leader lost its disk and asks this member, which holds everything that was acknowledged:
    /// whatever is in the log counts as committed from here on.
    fn on_copy_request(&mut self, effects: &mut Vec<Effect>) {
        if self.assignment.duty != Duty::Give {
            return;
        }
        self.committed = self.pen.end;
        self.apply_until(self.pen.end, effects);
        let checkpoint = self.checkpoint();
        self.giving = Some(CopySource::begin(&checkpoint, effects));
    }

    fn on_work(&mut self, now: Now, work: Work, effects: &mut Vec<Effect>) {
        self.with_content(now, effects, |content, desk| match content {
            Content::Directory(directory) => directory.on_work(desk, work),
            Content::Streams(streams) => match work {
                Work::Publish(message) => streams.on_publish(desk, message),
                Work::Ack(message) => streams.on_ack(desk, message),
                Work::Order(order) => streams.on_order(desk, order),
                Work::Api(message) => {
                    let endpoint = std::str::from_utf8(&message.subject)
                        .ok()
                        .and_then(|subject| Endpoint::parse(subject).ok());
                    if let Some(endpoint) = endpoint {
                        streams.on_api(desk, endpoint, message);
                    }
                }
                Work::Report(Report::StreamDeleted { .. } | Report::Streams { .. }) => {}
            },
        });
    }

    fn on_order_failed(&mut self, now: Now, work: Work, effects: &mut Vec<Effect>) {
        self.with_content(now, effects, |content, desk| {
            if let Content::Directory(directory) = content {
                directory.on_order_failed(desk, work);
            }
        });
    }

    fn on_timer(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.leads() {
            self.with_content(now, effects, |content, desk| match content {
                Content::Directory(directory) => directory.on_timer(desk),
                Content::Streams(streams) => streams.on_timer(desk),
            });
        }
    }

    fn on_durable(&mut self, position: Position, effects: &mut Vec<Effect>) {
        if self.truncating {
            return;
        }
        self.durable = self.durable.max(position.min(self.pen.end));
        self.log_full = self.log_full && self.durable < self.pen.end;
        self.progress_due = true;
        self.advance(effects);
    }

    /// Moves a leader's commit point and releases what waited for it.
    pub(crate) fn advance(&mut self, effects: &mut Vec<Effect>) {
        if !self.leads() {
            return;
        }
        let committed = self.durable_everywhere().min(self.pen.end);
        if committed > self.committed {
            self.committed = committed;
            self.commit_due = true;
            while let Some((position, len)) = self.pen.in_flight.front()
                && *position <= committed
            {
                self.pen.in_flight_bytes -= len;
                self.pen.in_flight.pop_front();
            }
        }
        self.outbox.release(self.committed, effects);
        self.shown.release(self.applied_everywhere(), effects);
    }

    /// What every input may have set in motion.
    fn after_input(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.assigned {
            let committed = self.committed;
            self.with_streams(now, effects, |streams, desk| {
                streams.on_committed(desk, committed)
            });
        }
        self.advance(effects);
        self.snapshot_when_due(effects);
    }

    /// Begins an epoch and says so in the log.
    pub(crate) fn begin_epoch(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let term = self.assignment.term.max(self.pen.epoch.term);
        let sub = if term == self.pen.epoch.term {
            self.pen.epoch.sub.saturating_add(1)
        } else {
            1
        };
        self.pen.epoch = Epoch { term, sub };
        self.outbox.clear();
        self.shown.clear();
        let first = self.pen.end.next();
        self.epochs.push(EpochStart {
            epoch: self.pen.epoch,
            first,
        });
        let leader = self.config.member.clone();
        self.with_content(now, effects, |content, desk| {
            desk.write(&Mutation::EpochStart { leader });
            if let Content::Streams(streams) = content {
                streams.began_to_lead(now);
            }
        });
        effects.push(Effect::Fact(Fact::Activated {
            epoch: self.pen.epoch,
            at: first,
        }));
    }

    /// Makes records of the log part of the state, up to `until`.
    pub(crate) fn apply_until(&mut self, until: Position, effects: &mut Vec<Effect>) {
        while let Some(record) = self.unapplied.front()
            && record.position <= until
        {
            let at = record.position;
            let Ok(mutation) = Mutation::decode(record.body.clone()) else {
                return self.halt(at, Divergence::Undecodable, effects);
            };
            match self.content.apply(at, &mutation, None) {
                Ok(change) => effects.extend(change.map(Effect::Directory)),
                Err(_) => return self.halt(at, Divergence::Contradiction, effects),
            }
            if let Some(record) = self.unapplied.front() {
                self.bytes_since_snapshot += record.encoded_len();
            }
            self.mark_applied();
        }
    }

    fn mark_applied(&mut self) {
        if let Some(record) = self.unapplied.pop_front() {
            self.applied = record.position;
            self.applied_chain = record.chain;
            self.applied_epoch = record.epoch;
        }
    }

    /// The state at the last applied record.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            position: self.applied,
            epoch: self.applied_epoch,
            chain: self.applied_chain,
            epochs: self
                .epochs
                .iter()
                .filter(|start| start.first <= self.applied)
                .copied()
                .collect(),
            content: self.content.snapshot(),
        }
    }

    fn snapshot_when_due(&mut self, effects: &mut Vec<Effect>) {
        if self.leads() {
            self.bytes_since_snapshot += self.unsaved_bytes();
        }
        if self.snapshot_pending || self.bytes_since_snapshot < self.config.snapshot_every_bytes {
            return;
        }
        self.bytes_since_snapshot = 0;
        self.snapshot_pending = true;
        let checkpoint = self.checkpoint();
        let effect = Effect::SaveSnapshot {
            position: checkpoint.position,
            state: checkpoint.encode(),
            live: self.content.live_from(),
        };
        if checkpoint.position <= self.committed {
            effects.push(effect);
        } else {
            self.outbox.hold(checkpoint.position, effect);
        }
    }

    fn unsaved_bytes(&mut self) -> usize {
        let (mut bytes, counted) = (0, self.pen.counted);
        for (position, len) in self.pen.in_flight.iter().rev() {
            if *position <= counted {
                break;
            }
            bytes += len;
        }
        self.pen.counted = self.pen.end;
        bytes
    }

    /// Stops the shard: nothing is changed or answered any more until a person has looked.
    pub(crate) fn halt(&mut self, at: Position, why: Divergence, effects: &mut Vec<Effect>) {
        if self.halted.is_none() {
            self.halted = Some(why);
            effects.push(Effect::Fact(Fact::Diverged { at, why }));
        }
    }

    /// A halted shard answers reads and refuses writes; nothing else moves it.
    fn handle_halted(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Work(work) => self.on_work(now, work, effects),
            Input::MessageRead { ticket, record } => {
                self.with_streams(now, effects, |streams, desk| {
                    streams.on_message_read(desk, ticket, record);
                });
            }
            Input::Assigned(_)
            | Input::PeerUp
            | Input::PeerDown
            | Input::Peer(_)
            | Input::Durable(_)
            | Input::Truncated
            | Input::LogFull(_)
            | Input::LogRead { .. }
            | Input::SnapshotSaved(_)
            | Input::StageWritten
            | Input::Staged
            | Input::Undelivered(_)
            | Input::OrderFailed(..)
            | Input::Timer => {}
        }
    }
}
