//! The follower's end: what it tells at contact, what it takes, what it refuses; and taking full
//! copies.

use relevo_protocol::frame::ShardMessage;
use relevo_protocol::identity::{EpochStart, Position};
use relevo_protocol::record::Record;

use crate::input::{DirectoryChange, Divergence, Duty, Effect, Fact};
use crate::replication::copy::CopyTarget;
use crate::shard::Engine;

impl Engine {
    /// Tells the leader what this log holds.
    pub(crate) fn send_status(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::ToPeer(ShardMessage::Status {
            epochs: self.epochs.clone(),
            end: self.pen.end,
            chain: self.pen.chain,
            contiguous_from: self.contiguous_from,
        }));
    }

    /// Drops what the leader does not have, after checking that the rest is the same.
    pub(crate) fn on_truncate(&mut self, to: Position, chain: u32, effects: &mut Vec<Effect>) {
        if to < self.committed || to > self.pen.end {
            return self.halt(to, Divergence::TruncationBelowCommit, effects);
        }
        let mine = if to == self.applied {
            Some((self.applied_chain, self.applied_epoch))
        } else {
            self.unapplied
                .iter()
                .find(|record| record.position == to)
                .map(|record| (record.chain, record.epoch))
        };
        let Some((mine, epoch)) = mine.filter(|(mine, _)| *mine == chain) else {
            return self.halt(to, Divergence::ChainMismatch, effects);
        };
        if to < self.pen.end {
            effects.push(Effect::Fact(Fact::Truncated {
                to,
                from: self.pen.end,
            }));
            effects.push(Effect::Truncate(to));
            self.unapplied.retain(|record| record.position <= to);
            self.epochs.retain(|start| start.first <= to);
            self.pen.end = to;
            self.pen.chain = mine;
            self.pen.epoch = epoch;
            self.durable = self.durable.min(to);
        }
        self.progress_due = true;
    }

    /// Takes records that follow its own log, from no older epoch.
    pub(crate) fn on_append(
        &mut self,
        committed: Position,
        records: Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        for record in records {
            if record.position != self.pen.end.next() || record.epoch < self.pen.epoch {
                return self.halt(record.position, Divergence::Gap, effects);
            }
            if record.chain != record.chain_after(self.pen.chain) {
                return self.halt(record.position, Divergence::ChainMismatch, effects);
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
            effects.push(Effect::Append {
                record: record.clone(),
                committed: self.committed,
            });
            self.unapplied.push_back(record);
        }
        self.on_commit(committed, effects);
    }

    /// Applies what is committed.
    pub(crate) fn on_commit(&mut self, committed: Position, effects: &mut Vec<Effect>) {
        let committed = committed.min(self.pen.end);
        if committed > self.committed {
            self.committed = committed;
            self.apply_until(committed, effects);
            self.progress_due = true;
        }
    }

    /// Answers a message of a full copy; a contradiction ends the copy and halts the shard.
    pub(crate) fn on_copy(&mut self, message: ShardMessage, effects: &mut Vec<Effect>) {
        let outcome = match (message, &mut self.copy) {
            (
                ShardMessage::CopyBegin {
                    position,
                    snapshot_len,
                    ..
                },
                copy,
            ) => CopyTarget::begin(position, snapshot_len, effects)
                .map(|target| *copy = Some(target)),
            (ShardMessage::CopyState(chunk), Some(target)) => {
                target.state(&chunk, &self.config, effects)
            }
            (ShardMessage::CopyRecords(records), Some(target)) => target.records(records, effects),
            (ShardMessage::CopyEnd { count }, copy @ Some(_)) => match copy.take() {
                Some(target) => target.end(count, effects).map(|target| {
                    self.installing = Some(target);
                }),
                None => Ok(()),
            },
            (
                ShardMessage::CopyState(_)
                | ShardMessage::CopyRecords(_)
                | ShardMessage::CopyEnd { .. }
                | ShardMessage::Status { .. }
                | ShardMessage::Truncate { .. }
                | ShardMessage::Append { .. }
                | ShardMessage::Commit { .. }
                | ShardMessage::Progress { .. }
                | ShardMessage::CopyRequest
                | ShardMessage::CopyMore
                | ShardMessage::CopyDone { .. },
                _,
            ) => Ok(()),
        };
        if let Err(why) = outcome {
            effects.push(Effect::StageAbort);
            self.copy = None;
            self.halt(self.pen.end, why, effects);
        }
    }

    /// The copy is in its place on disk: it is the state now.
    pub(crate) fn on_staged(&mut self, effects: &mut Vec<Effect>) {
        let Some((checkpoint, content, records)) =
            self.installing.take().and_then(CopyTarget::installed)
        else {
            return;
        };
        let position = checkpoint.position;
        self.content = content;
        self.epochs = checkpoint.epochs;
        self.pen.end = position;
        self.pen.epoch = checkpoint.epoch;
        self.pen.chain = checkpoint.chain;
        self.pen.in_flight.clear();
        self.pen.in_flight_bytes = 0;
        self.pen.counted = position;
        self.unapplied.clear();
        self.applied = position;
        self.applied_chain = checkpoint.chain;
        self.applied_epoch = checkpoint.epoch;
        self.committed = position;
        self.durable = position;
        self.contiguous_from = position.next();
        self.anchor = (position, checkpoint.chain);
        effects.push(Effect::Fact(Fact::CopyFinished { position, records }));
        self.show_whole_directory(effects);
        if self.contact_due {
            self.contact_due = false;
            return self.contact(effects);
        }
        effects.push(Effect::ToPeer(ShardMessage::CopyDone { position }));
        match self.assignment.duty {
            Duty::Follow => self.progress_due = true,
            Duty::Lead | Duty::LeadAlone | Duty::Give | Duty::Take => {}
        }
    }

    /// Shows the directory from nothing.
    pub(crate) fn show_whole_directory(&self, effects: &mut Vec<Effect>) {
        let view = self.content.view();
        if self.config.shard == relevo_protocol::identity::ShardId::DIRECTORY {
            effects.push(Effect::Directory(DirectoryChange::Reset));
            effects.extend(view.into_iter().map(Effect::Directory));
        }
    }
}
