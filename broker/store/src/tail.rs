//! The end of a chain: the segment that is written to, the room ahead of its last block, and the next one.

use crate::block::{BlockKind, BlockMeta};
use crate::chain::{Chain, Segment};
use crate::disk::{Disk, DiskFile, join};
use crate::entry::EntryId;
use crate::error::{LogError, is_full};
use crate::segment::{FIRST_BLOCK, SEGMENT_HEADER_LEN, SegmentHeader};

/// How far ahead of the last block a segment is filled with zeros in one step, in bytes.
const FILL_STEP: u64 = 1024 * 1024;

/// How far ahead of the last block an idle log fills, in bytes.
const FILL_AHEAD: u64 = 4 * FILL_STEP;

/// The file that becomes the next segment; the name is not one of a segment, so that it is none after a crash.
pub(crate) const SPARE_NAME: &str = "next.tmp";

/// The segment that is written to.
pub(crate) struct Tail<F> {
    pub(crate) first: u64,
    pub(crate) file: F,
    /// The file is zeros from its last block up to here.
    pub(crate) filled: u64,
    /// Everything in the file before here is durable.
    pub(crate) synced: u64,
    pub(crate) dirty: bool,
}

/// The file that becomes the next segment, as far as it was filled.
pub(crate) struct Spare<F> {
    file: F,
    filled: u64,
}

impl<D: Disk> Chain<D> {
    /// One bounded step of work that makes later appends and recoveries cheaper; whether more is to be done.
    pub(crate) fn prepare(&mut self) -> Result<bool, LogError> {
        self.refuse_when_poisoned()?;
        if self.hint_due && self.tail.as_ref().is_some_and(|tail| !tail.dirty) {
            let hinted = self.write_hint();
            return self.unless_full(hinted);
        }
        let Some(tail) = &self.tail else {
            return Ok(false);
        };
        let Some(segment) = self.segments.get(&tail.first) else {
            return Ok(false);
        };
        let target = self.options.segment_len.min(segment.len + FILL_AHEAD);
        if tail.filled < target {
            let step = target.min(tail.filled.max(segment.len) + FILL_STEP);
            let filled = self.fill_tail(step).and_then(|()| self.sync_tail());
            return self.unless_full(filled);
        }
        if segment.len < self.options.segment_len / 4 * 3 {
            return Ok(false);
        }
        let target = self.options.segment_len.min(FILL_AHEAD);
        if self
            .spare
            .as_ref()
            .is_some_and(|spare| spare.filled >= target)
        {
            return Ok(false);
        }
        let filled = self.fill_spare(target);
        self.unless_full(filled)
    }

    /// Closes the last segment: everything in it is durable before the next one exists.
    pub(crate) fn end_segment(&mut self) -> Result<(), LogError> {
        let Some(tail) = &self.tail else {
            return Ok(());
        };
        let Some(segment) = self.segments.get(&tail.first) else {
            return Ok(());
        };
        if !segment.ended {
            let position = segment.last.position;
            self.write_mark(BlockKind::End, position)?;
        }
        self.sync_tail()
    }

    pub(crate) fn start_segment(&mut self, first: u64, previous: EntryId) -> Result<(), LogError> {
        let key_id = self.options.seal.as_ref().map_or(0, |keys| keys.newest());
        let header = SegmentHeader {
            identity: self.options.identity,
            uuid: self.uuids.draw(),
            key_id,
            first,
            previous,
        };
        let spare_path = join(&self.dir, SPARE_NAME);
        let (bytes, codec) =
            header
                .encode(self.options.seal.as_deref())
                .ok_or(LogError::MissingKey {
                    path: self.segment_path(first),
                    key_id,
                })?;
        let mut spare = match self.spare.take() {
            Some(spare) => spare,
            None => self.create_spare()?,
        };
        if let Err(source) = spare.file.write_at(&bytes, 0) {
            return Err(self.give_up_spare(spare.file, source));
        }
        spare.filled = spare.filled.max(SEGMENT_HEADER_LEN as u64);
        if let Err(source) = spare.file.sync_data() {
            return Err(self.poison("sync", spare_path, source));
        }
        let path = self.segment_path(first);
        if let Err(source) = self.disk.rename(&spare_path, &path) {
            return Err(self.poison("rename", path, source));
        }
        self.sync_dir()?;
        self.segments.insert(first, Segment::new(header, codec));
        self.tail = Some(Tail {
            first,
            file: spare.file,
            filled: spare.filled,
            synced: FIRST_BLOCK,
            dirty: false,
        });
        Ok(())
    }

    fn create_spare(&mut self) -> Result<Spare<D::File>, LogError> {
        let path = join(&self.dir, SPARE_NAME);
        let file = self
            .disk
            .create(&path)
            .map_err(|source| LogError::io("create", &path, source))?;
        Ok(Spare { file, filled: 0 })
    }

    fn fill_spare(&mut self, target: u64) -> Result<(), LogError> {
        let mut spare = match self.spare.take() {
            Some(spare) => spare,
            None => self.create_spare()?,
        };
        let step = target.min(spare.filled + FILL_STEP);
        if let Err(source) = write_zeros(&mut spare.file, spare.filled, step) {
            return Err(self.give_up_spare(spare.file, source));
        }
        if let Err(source) = spare.file.sync_data() {
            return Err(self.poison("sync", join(&self.dir, SPARE_NAME), source));
        }
        spare.filled = step;
        self.spare = Some(spare);
        Ok(())
    }

    /// Gives the room of an unfinished segment back when the disk is full; any other failure is final.
    fn give_up_spare(&mut self, file: D::File, source: std::io::Error) -> LogError {
        let path = join(&self.dir, SPARE_NAME);
        if !is_full(&source) {
            return self.poison("write", path, source);
        }
        drop(file);
        match self.disk.remove(&path) {
            Ok(()) => LogError::Full { path },
            Err(source) => LogError::io("remove", &path, source),
        }
    }

    fn write_hint(&mut self) -> Result<(), LogError> {
        let position = self.end().map_or(0, |end| end.position);
        self.write_mark(BlockKind::Hint, position)?;
        self.hint_due = false;
        Ok(())
    }

    /// Writes a block without entries.
    pub(crate) fn write_mark(&mut self, kind: BlockKind, position: u64) -> Result<(), LogError> {
        let Some(tail) = &self.tail else {
            return Ok(());
        };
        let (first, synced) = (tail.first, tail.synced);
        let Some(segment) = self.segments.get_mut(&first) else {
            return Ok(());
        };
        let EntryId { epoch, sub, .. } = segment.last;
        let meta = BlockMeta {
            kind,
            count: 0,
            position,
            epoch,
            sub,
            committed: self.committed,
            synced,
        };
        let mut bytes = Vec::new();
        let tag = segment
            .codec
            .encode(meta, segment.len, &segment.last_tag, &mut bytes, |_| ());
        let end = self.write_tail(&bytes)?;
        let Some(segment) = self.segments.get_mut(&first) else {
            return Ok(());
        };
        segment.len = end;
        segment.last_tag = tag;
        segment.blocks += 1;
        segment.ended = kind == BlockKind::End;
        Ok(())
    }

    /// Writes whole blocks behind the last one and says where they end, or takes back what was written of them.
    pub(crate) fn write_tail(&mut self, bytes: &[u8]) -> Result<u64, LogError> {
        let Some(tail) = &mut self.tail else {
            return Ok(0);
        };
        let start = self
            .segments
            .get(&tail.first)
            .map_or(FIRST_BLOCK, |segment| segment.len);
        tail.dirty = true;
        if let Err(source) = tail.file.write_at(bytes, start) {
            return Err(self.take_back(start, source));
        }
        let end = start + bytes.len() as u64;
        if end > tail.filled {
            tail.filled = end;
            let ahead = self
                .options
                .segment_len
                .min(end.next_multiple_of(FILL_STEP));
            match self.fill_tail(ahead) {
                // The blocks are there; only the room ahead is not.
                Ok(()) | Err(LogError::Full { .. }) => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(end)
    }

    /// Writes zeros from where the tail is filled up to `target`.
    fn fill_tail(&mut self, target: u64) -> Result<(), LogError> {
        let Some(tail) = &mut self.tail else {
            return Ok(());
        };
        if target <= tail.filled {
            return Ok(());
        }
        tail.dirty = true;
        match write_zeros(&mut tail.file, tail.filled, target) {
            Ok(()) => {
                tail.filled = target;
                Ok(())
            }
            Err(source) => {
                let path = self.tail_path();
                if is_full(&source) {
                    return Err(LogError::Full { path });
                }
                Err(self.poison("write", path, source))
            }
        }
    }

    /// Removes what a failed write left behind, so that it is not found after a crash.
    fn take_back(&mut self, start: u64, source: std::io::Error) -> LogError {
        let path = self.tail_path();
        if !is_full(&source) {
            return self.poison("write", path, source);
        }
        let Some(tail) = &mut self.tail else {
            return LogError::Full { path };
        };
        if let Err(source) = tail.file.set_len(start) {
            return self.poison("shorten", path, source);
        }
        tail.filled = start;
        match self.sync_tail() {
            Ok(()) => LogError::Full { path },
            Err(failed) => failed,
        }
    }

    pub(crate) fn sync_tail(&mut self) -> Result<(), LogError> {
        let Some(tail) = &mut self.tail else {
            return Ok(());
        };
        if tail.dirty {
            if let Err(source) = tail.file.sync_data() {
                let path = self.tail_path();
                return Err(self.poison("sync", path, source));
            }
            tail.dirty = false;
        }
        if let Some(segment) = self.segments.get(&tail.first) {
            tail.synced = segment.len;
            self.durable = segment.last.position;
        }
        Ok(())
    }

    fn tail_path(&self) -> String {
        self.tail
            .as_ref()
            .map_or_else(String::new, |tail| self.segment_path(tail.first))
    }

    pub(crate) fn poison(
        &mut self,
        action: &'static str,
        path: String,
        source: std::io::Error,
    ) -> LogError {
        self.poisoned = true;
        LogError::Io {
            action,
            path,
            source,
        }
    }

    /// A full disk ends preparation without being a failure: nothing that counts was to be written.
    fn unless_full(&self, step: Result<(), LogError>) -> Result<bool, LogError> {
        match step {
            Ok(()) => Ok(true),
            Err(LogError::Full { .. }) if !self.poisoned => Ok(false),
            Err(failed) => Err(failed),
        }
    }
}

const ZEROS: &[u8] = &[0; 64 * 1024];

fn write_zeros<F: DiskFile>(file: &mut F, start: u64, end: u64) -> std::io::Result<()> {
    let mut offset = start;
    while offset < end {
        let len = usize::try_from(end - offset)
            .unwrap_or(usize::MAX)
            .min(ZEROS.len());
        let (zeros, _) = ZEROS.split_at(len);
        file.write_at(zeros, offset)?;
        offset += len as u64;
    }
    Ok(())
}
