//! The leader's end: contact, catch-up, the commit point, giving full copies.

use relevo_protocol::frame::ShardMessage;
use relevo_protocol::identity::{EpochStart, Position};
use relevo_protocol::record::Record;

use crate::input::{Divergence, Duty, Effect, Fact, Now};
use crate::replication::common_end;
use crate::replication::copy::CopySource;
use crate::shard::{Engine, READ_LEN};

/// What a leader knows of its peer.
#[derive(Debug)]
pub(crate) enum Peer {
    /// The shard has no other member.
    None,
    /// The link is down.
    Away,
    /// The link is up; the follower has not said what it holds.
    Contact,
    /// The last common position is being read for its chain.
    Comparing {
        /// The last common position by epochs.
        common: Position,
    },
    /// The follower lacks what lies before this log's beginning: it gets everything.
    Copying(CopySource),
    /// Records are on their way that the follower lacks.
    CatchingUp {
        /// The next position to read and send.
        next: Position,
        /// The follower's disk holds everything up to here.
        durable: Position,
        /// Its state shows everything up to here.
        applied: Position,
        /// A read is under way.
        reading: bool,
    },
    /// The follower has everything; each record goes to it as it is written.
    InSync {
        /// The follower's disk holds everything up to here.
        durable: Position,
        /// Its state shows everything up to here.
        applied: Position,
        /// Its disk has no room.
        full: bool,
    },
}

impl Engine {
    /// Begins an epoch: everything in the log becomes part of the state, and its first record says
    /// who leads.
    pub(crate) fn lead(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.apply_until(self.pen.end, effects);
        self.peer = match self.assignment.duty {
            Duty::LeadAlone => Peer::None,
            Duty::Lead | Duty::Follow | Duty::Give | Duty::Take => {
                if self.peer_up {
                    Peer::Contact
                } else {
                    Peer::Away
                }
            }
        };
        self.begin_epoch(now, effects);
    }

    /// The follower says what it holds.
    pub(crate) fn on_status(
        &mut self,
        epochs: &[EpochStart],
        end: Position,
        chain: u32,
        effects: &mut Vec<Effect>,
    ) {
        let common = common_end(&self.epochs, self.pen.end, epochs, end);
        let known_chain = self.chain_at(common);
        match known_chain {
            Some(mine) if common < end || mine == chain => self.resume(common, mine, effects),
            Some(_) => self.halt(common, Divergence::ChainMismatch, effects),
            None if common >= self.contiguous_from => {
                self.peer = Peer::Comparing { common };
                effects.push(Effect::ReadLog {
                    from: common,
                    max_bytes: 1,
                });
            }
            None => {
                let checkpoint = self.checkpoint();
                self.peer = Peer::Copying(CopySource::begin(&checkpoint, effects));
            }
        }
    }

    /// The chain at a position, where it is known without reading the log.
    fn chain_at(&self, position: Position) -> Option<u32> {
        if position == self.pen.end {
            Some(self.pen.chain)
        } else if position == self.anchor.0 {
            Some(self.anchor.1)
        } else {
            None
        }
    }

    /// The follower keeps its log up to `common` and gets the rest.
    fn resume(&mut self, common: Position, chain: u32, effects: &mut Vec<Effect>) {
        effects.push(Effect::ToPeer(ShardMessage::Truncate { to: common, chain }));
        self.peer = Peer::CatchingUp {
            next: common.next(),
            durable: Position::ZERO,
            applied: Position::ZERO,
            reading: false,
        };
        self.catch_up(effects);
    }

    /// Sends the follower what it lacks, one read at a time.
    fn catch_up(&mut self, effects: &mut Vec<Effect>) {
        if let Peer::CatchingUp { next, reading, .. } = &mut self.peer
            && !*reading
            && *next <= self.pen.end
        {
            *reading = true;
            effects.push(Effect::ReadLog {
                from: *next,
                max_bytes: READ_LEN,
            });
        }
    }

    /// The log answers a leader's read.
    pub(crate) fn leader_log_read(
        &mut self,
        from: Position,
        records: Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.peer {
            Peer::Comparing { common } if *common == from => {
                let common = *common;
                match records.first() {
                    Some(record) if record.position == common => {
                        self.resume(common, record.chain, effects);
                    }
                    Some(_) | None => self.halt(common, Divergence::Gap, effects),
                }
            }
            Peer::CatchingUp { next, reading, .. } if *next == from => {
                let first = records.first().map(|record| record.position);
                let Some(last) = records.last().map(|record| record.position) else {
                    *reading = false;
                    return;
                };
                let span = last.0 - from.0 + 1;
                if first != Some(from) || span != records.len() as u64 {
                    let checkpoint = self.checkpoint();
                    self.peer = Peer::Copying(CopySource::begin(&checkpoint, effects));
                    return;
                }
                *next = last.next();
                let committed = self.committed;
                effects.push(Effect::ToPeer(ShardMessage::Append { committed, records }));
            }
            Peer::Copying(source) => source.log_read(from, records, &self.content, effects),
            Peer::None
            | Peer::Away
            | Peer::Contact
            | Peer::Comparing { .. }
            | Peer::CatchingUp { .. }
            | Peer::InSync { .. } => {}
        }
    }

    /// The follower says how far its disk and its state are.
    pub(crate) fn on_progress(
        &mut self,
        progress: (Position, Position, bool),
        effects: &mut Vec<Effect>,
    ) {
        let end = self.pen.end;
        let (now_durable, now_applied, now_full) = progress;
        match &mut self.peer {
            Peer::CatchingUp {
                next,
                durable,
                applied,
                reading,
            } => {
                *durable = now_durable.min(end);
                *applied = now_applied.min(end);
                if now_durable == end {
                    self.batch.clear();
                    self.commit_due = true;
                    self.peer = Peer::InSync {
                        durable: end,
                        applied: now_applied,
                        full: now_full,
                    };
                    effects.push(Effect::Fact(Fact::InSync { at: end }));
                    if !self.assignment.peer_complete {
                        effects.push(Effect::PeerComplete);
                    }
                } else if now_durable.next() >= *next {
                    *reading = false;
                    self.catch_up(effects);
                }
            }
            Peer::InSync {
                durable,
                applied,
                full,
            } => {
                *durable = now_durable.min(end);
                *applied = now_applied.min(end);
                *full = now_full;
            }
            Peer::None | Peer::Away | Peer::Contact | Peer::Comparing { .. } | Peer::Copying(_) => {
            }
        }
        self.advance(effects);
    }

    /// The follower has its full copy; what was written since follows from the log.
    pub(crate) fn on_copy_done(&mut self, position: Position, effects: &mut Vec<Effect>) {
        let Peer::Copying(source) = &self.peer else {
            return;
        };
        if !source.done(position) {
            return;
        }
        effects.push(Effect::Fact(source.finished()));
        self.peer = Peer::CatchingUp {
            next: position.next(),
            durable: position,
            applied: position,
            reading: false,
        };
        if position == self.pen.end {
            self.on_progress((position, position, false), effects);
        } else {
            self.catch_up(effects);
        }
    }

    /// The commit point as the disks' reports make it: the lower of both.
    pub(crate) fn durable_everywhere(&self) -> Position {
        match &self.peer {
            Peer::None => self.durable,
            Peer::CatchingUp { durable, .. } | Peer::InSync { durable, .. } => {
                self.durable.min(*durable)
            }
            Peer::Away | Peer::Contact | Peer::Comparing { .. } | Peer::Copying(_) => {
                self.committed
            }
        }
    }

    /// What both members' states show.
    pub(crate) fn applied_everywhere(&self) -> Position {
        match &self.peer {
            Peer::None => self.committed,
            Peer::CatchingUp { applied, .. } | Peer::InSync { applied, .. } => {
                self.committed.min(*applied)
            }
            Peer::Away | Peer::Contact | Peer::Comparing { .. } | Peer::Copying(_) => {
                Position::ZERO
            }
        }
    }
}
