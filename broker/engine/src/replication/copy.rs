//! A full copy of a shard: state first, then the live messages that the state refers to. One chunk
//! is under way at a time; the receiver asks for the next when the last is written.

use bytes::{Bytes, BytesMut};
use relevo_protocol::frame::{CHUNK_LEN_MAX, ShardMessage};
use relevo_protocol::identity::Position;
use relevo_protocol::record::Record;

use crate::checkpoint::{CONTENT_LEN_MAX, Checkpoint};
use crate::content::Content;
use crate::input::{Divergence, Effect, Fact};
use crate::shard::{EngineConfig, READ_LEN};

/// The giving end.
#[derive(Debug)]
pub(crate) struct CopySource {
    position: Position,
    rest: Bytes,
    next: Position,
    /// A read is under way; an answer that nobody waits for belongs to an earlier copy.
    reading: bool,
    sent_count: u64,
    ended: bool,
}

impl CopySource {
    /// Begins to give `checkpoint`.
    pub(crate) fn begin(checkpoint: &Checkpoint, effects: &mut Vec<Effect>) -> Self {
        let state = checkpoint.encode();
        effects.push(Effect::ToPeer(ShardMessage::CopyBegin {
            position: checkpoint.position,
            epoch: checkpoint.epoch,
            chain: checkpoint.chain,
            snapshot_len: state.len() as u64,
        }));
        effects.push(Effect::Fact(Fact::CopyStarted {
            position: checkpoint.position,
        }));
        Self {
            position: checkpoint.position,
            rest: state,
            next: Position(1),
            reading: false,
            sent_count: 0,
            ended: false,
        }
    }

    /// The receiver is ready for the next chunk.
    pub(crate) fn more(&mut self, effects: &mut Vec<Effect>) {
        if !self.rest.is_empty() {
            let chunk = self.rest.split_to(self.rest.len().min(CHUNK_LEN_MAX));
            effects.push(Effect::ToPeer(ShardMessage::CopyState(chunk)));
        } else if !self.ended && !self.reading {
            self.read(effects);
        }
    }

    fn read(&mut self, effects: &mut Vec<Effect>) {
        self.reading = true;
        effects.push(Effect::ReadLog {
            from: self.next,
            max_bytes: READ_LEN,
        });
    }

    /// The log answers: live messages go out, dead ones are passed over.
    pub(crate) fn log_read(
        &mut self,
        from: Position,
        records: Vec<Record>,
        content: &Content,
        effects: &mut Vec<Effect>,
    ) {
        if from != self.next || !self.reading {
            return;
        }
        self.reading = false;
        let last = records.last().map(|record| record.position);
        let live: Vec<Record> = records
            .into_iter()
            .filter(|record| record.position <= self.position)
            .filter(|record| record.group != 0 && content.is_live(record.group, record.key))
            .collect();
        let finished = last.is_none_or(|last| last >= self.position);
        if let Some(last) = last {
            self.next = last.next();
        }
        let sent = !live.is_empty();
        if sent {
            self.sent_count += live.len() as u64;
            effects.push(Effect::ToPeer(ShardMessage::CopyRecords(live)));
        }
        if finished {
            self.ended = true;
            effects.push(Effect::ToPeer(ShardMessage::CopyEnd {
                count: self.sent_count,
            }));
        } else if !sent {
            self.read(effects);
        }
    }

    /// What the copy covers, when the receiver says that it has it.
    pub(crate) fn done(&self, position: Position) -> bool {
        self.ended && position == self.position
    }

    /// The fact to report at the end.
    pub(crate) fn finished(&self) -> Fact {
        Fact::CopyFinished {
            position: self.position,
            records: self.sent_count,
        }
    }
}

/// The taking end.
#[derive(Debug)]
pub(crate) struct CopyTarget {
    position: Position,
    state_len: usize,
    state: BytesMut,
    staged: Option<(Checkpoint, Content)>,
    count: u64,
}

impl CopyTarget {
    /// Begins to take a copy. Asks for the first chunk.
    pub(crate) fn begin(
        position: Position,
        snapshot_len: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Self, Divergence> {
        let state_len = usize::try_from(snapshot_len)
            .ok()
            .filter(|len| *len > 0 && *len <= CONTENT_LEN_MAX)
            .ok_or(Divergence::Undecodable)?;
        effects.push(Effect::Fact(Fact::CopyStarted { position }));
        effects.push(Effect::ToPeer(ShardMessage::CopyMore));
        Ok(Self {
            position,
            state_len,
            state: BytesMut::new(),
            staged: None,
            count: 0,
        })
    }

    /// The next bytes of the state; once it is whole, the copy is staged on disk.
    pub(crate) fn state(
        &mut self,
        chunk: &[u8],
        config: &EngineConfig,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Divergence> {
        if self.staged.is_some() || self.state.len() + chunk.len() > self.state_len {
            return Err(Divergence::Undecodable);
        }
        self.state.extend_from_slice(chunk);
        if self.state.len() < self.state_len {
            effects.push(Effect::ToPeer(ShardMessage::CopyMore));
            return Ok(());
        }
        let state = std::mem::take(&mut self.state).freeze();
        let checkpoint = Checkpoint::decode(state.clone()).map_err(|_| Divergence::Undecodable)?;
        if checkpoint.position != self.position {
            return Err(Divergence::Gap);
        }
        let content = Content::restore(config, checkpoint.content.clone())
            .map_err(|_| Divergence::Undecodable)?;
        effects.push(Effect::StageBegin {
            position: checkpoint.position,
            epoch: checkpoint.epoch,
            chain: checkpoint.chain,
            state,
        });
        self.staged = Some((checkpoint, content));
        Ok(())
    }

    /// The next messages.
    pub(crate) fn records(
        &mut self,
        records: Vec<Record>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Divergence> {
        if self.staged.is_none() || records.iter().any(|record| record.position > self.position) {
            return Err(Divergence::Gap);
        }
        self.count += records.len() as u64;
        effects.push(Effect::StageRecords(records));
        Ok(())
    }

    /// What was staged is written: ask for more.
    pub(crate) fn written(&self, effects: &mut Vec<Effect>) {
        effects.push(Effect::ToPeer(ShardMessage::CopyMore));
    }

    /// All was sent: the copy is to be put in its place.
    pub(crate) fn end(self, count: u64, effects: &mut Vec<Effect>) -> Result<Self, Divergence> {
        if self.staged.is_none() || count != self.count {
            return Err(Divergence::Gap);
        }
        effects.push(Effect::StageCommit);
        Ok(self)
    }

    /// The copy is in its place.
    pub(crate) fn installed(self) -> Option<(Checkpoint, Content, u64)> {
        let (checkpoint, content) = self.staged?;
        Some((checkpoint, content, self.count))
    }
}
