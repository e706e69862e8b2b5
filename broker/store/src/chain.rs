//! A chain of segments in one directory: what the live log is made of, and a staged copy too.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::block::{BlockCodec, BlockKind, BlockMeta};
use crate::disk::{Disk, DiskFile, join};
use crate::entry::{Entry, EntryId, MAX_BODY_LEN};
use crate::error::{LogError, is_full};
use crate::index::{GroupTable, SegmentIndex};
use crate::log::LogOptions;
use crate::reader::Reader;
use crate::record::{Records, encode_record, record_len};
use crate::seal::TAG_LEN;
use crate::segment::{FIRST_BLOCK, SEGMENT_HEADER_LEN, SegmentHeader, segment_name};
use crate::uuids::UuidSource;

/// How far ahead of the last block a segment is filled with zeros in one step, in bytes.
const FILL_STEP: u64 = 1024 * 1024;

/// How far ahead of the last block an idle log fills, in bytes.
const FILL_AHEAD: u64 = 4 * FILL_STEP;

/// The file that becomes the next segment; the name is not one of a segment, so that it is none after a crash.
pub(crate) const SPARE_NAME: &str = "next.tmp";

/// Entries of a block before this offset and above this position were cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) offset: u64,
    pub(crate) keep: u64,
}

/// One segment, as far as it was written.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) codec: BlockCodec,
    /// Where the next block starts.
    pub(crate) len: u64,
    /// The last entry that is part of the log; before there is one, the entry before the segment.
    pub(crate) last: EntryId,
    pub(crate) blocks: u64,
    pub(crate) last_tag: [u8; TAG_LEN],
    pub(crate) cuts: Vec<Cut>,
    /// Whether the last block says that the log goes on in the next segment.
    pub(crate) ended: bool,
    pub(crate) index: SegmentIndex,
}

impl Segment {
    pub(crate) fn new(header: SegmentHeader, codec: BlockCodec) -> Self {
        Self {
            header,
            codec,
            len: FIRST_BLOCK,
            last: header.previous,
            blocks: 0,
            last_tag: [0; TAG_LEN],
            cuts: Vec::new(),
            ended: false,
            index: SegmentIndex::default(),
        }
    }

    /// Whether an entry that stands in the block at an offset is still part of the log.
    pub(crate) fn is_live(&self, block_offset: u64, position: u64) -> bool {
        !self
            .cuts
            .iter()
            .any(|cut| cut.offset > block_offset && position > cut.keep)
    }

    /// Whether no entry of this segment is part of the log.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.position < self.header.first
    }
}

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

struct Spare<F> {
    file: F,
    filled: u64,
}

/// Whether entries may leave positions out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holes {
    Refused,
    Allowed,
}

pub(crate) struct Chain<D: Disk> {
    pub(crate) disk: Arc<D>,
    pub(crate) dir: String,
    pub(crate) options: LogOptions,
    pub(crate) uuids: UuidSource,
    pub(crate) segments: BTreeMap<u64, Segment>,
    pub(crate) groups: GroupTable,
    pub(crate) reader: Reader<D>,
    pub(crate) tail: Option<Tail<D::File>>,
    spare: Option<Spare<D::File>>,
    /// Last position that is durable.
    pub(crate) durable: u64,
    /// Highest position known committed and durable here.
    pub(crate) committed: u64,
    /// Whether the last block does not yet say how far the log is durable.
    pub(crate) hint_due: bool,
    /// Whether a write or sync failed, for ever.
    pub(crate) poisoned: bool,
    write_buf: Vec<u8>,
}

impl<D: Disk> Chain<D> {
    /// A chain without segments in an existing directory.
    pub(crate) fn empty(disk: Arc<D>, dir: &str, options: LogOptions, uuids: UuidSource) -> Self {
        Self {
            reader: Reader::new(Arc::clone(&disk)),
            disk,
            dir: dir.to_owned(),
            options,
            uuids,
            segments: BTreeMap::new(),
            groups: GroupTable::default(),
            tail: None,
            spare: None,
            durable: 0,
            committed: 0,
            hint_due: false,
            poisoned: false,
            write_buf: Vec::new(),
        }
    }

    /// The last entry, or the one that a copy said would be the last.
    pub(crate) fn end(&self) -> Option<EntryId> {
        let last = self.segments.last_key_value()?.1.last;
        (last.position > 0).then_some(last)
    }

    pub(crate) fn segment_path(&self, first: u64) -> String {
        join(&self.dir, &segment_name(first))
    }

    /// Writes entries behind the last one, all or none; durable after [`sync`](Self::sync).
    pub(crate) fn append(
        &mut self,
        entries: &[Entry],
        committed: u64,
        holes: Holes,
    ) -> Result<(), LogError> {
        self.refuse_when_poisoned()?;
        let Some(first) = entries.first() else {
            return Ok(());
        };
        self.check_order(entries, holes)?;
        self.committed = self.committed.max(committed.min(self.durable));

        let blocks = split_blocks(entries, self.options.block_len_max);
        self.drop_segment_of_an_empty_log(first.position)?;
        self.make_room(first.position, &blocks)?;
        let (Some(tail), Some(last)) = (&self.tail, entries.last()) else {
            return Ok(());
        };
        let (tail_first, synced) = (tail.first, tail.synced);
        let Some(segment) = self.segments.get_mut(&tail_first) else {
            return Ok(());
        };

        let mut bytes = std::mem::take(&mut self.write_buf);
        bytes.clear();
        let mut tag = segment.last_tag;
        let mut places = Vec::with_capacity(blocks.len());
        for block in &blocks {
            let Some(first) = block.first() else { continue };
            let offset = segment.len + bytes.len() as u64;
            let meta = BlockMeta {
                kind: BlockKind::Entries,
                count: u32::try_from(block.len()).expect("a block is at most 4 GiB of records"),
                position: first.position,
                epoch: first.epoch,
                sub: first.sub,
                committed: self.committed,
                synced,
            };
            tag = segment.codec.encode(meta, offset, &tag, &mut bytes, |out| {
                for entry in *block {
                    encode_record(entry, out);
                }
            });
            places.push((offset, *block));
        }
        let written = self.write_tail(&bytes);
        bytes.shrink_to(WRITE_BUF_KEPT);
        self.write_buf = bytes;
        let end = written?;

        let Some(segment) = self.segments.get_mut(&tail_first) else {
            return Ok(());
        };
        for (offset, block) in places {
            segment.blocks += 1;
            for entry in block {
                segment.index.note(&entry.place(), offset);
                if entry.group != 0 {
                    self.groups.extend(entry.group, entry.key, tail_first);
                }
            }
        }
        segment.len = end;
        segment.last = last.id();
        segment.last_tag = tag;
        segment.ended = false;
        self.hint_due = true;
        Ok(())
    }

    /// Makes everything appended durable. A failure is final.
    pub(crate) fn sync(&mut self) -> Result<u64, LogError> {
        self.refuse_when_poisoned()?;
        self.sync_tail()?;
        Ok(self.durable)
    }

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

    /// Ends a staged copy: the log's last entry is `end`, kept or not.
    pub(crate) fn finish_copy(&mut self, end: EntryId) -> Result<(), LogError> {
        self.end_segment()?;
        self.start_segment(end.position + 1, end)?;
        self.durable = end.position;
        Ok(())
    }

    /// Removes the segments of a list, which are not the last one.
    pub(crate) fn remove_segments(&mut self, firsts: &[u64]) -> Result<(), LogError> {
        for first in firsts {
            let path = self.segment_path(*first);
            self.reader.close(*first);
            self.disk
                .remove(&path)
                .map_err(|source| LogError::io("remove", &path, source))?;
            self.forget_segment(*first);
        }
        if firsts.is_empty() {
            Ok(())
        } else {
            self.sync_dir()
        }
    }

    /// Cuts off every entry above a position; durable on return.
    pub(crate) fn truncate_after(&mut self, position: u64) -> Result<(), LogError> {
        self.refuse_when_poisoned()?;
        if self.end().is_none_or(|end| end.position <= position) {
            return Ok(());
        }
        // From the end, and each removal durable before the next: a hole would be damage.
        while let Some((first, _)) = self.segments.last_key_value() {
            let first = *first;
            if first <= position || self.segments.len() == 1 {
                break;
            }
            self.tail = None;
            self.remove_segments(&[first])?;
        }
        let Some((first, segment)) = self.segments.last_key_value() else {
            return Ok(());
        };
        let (first, cut_needed) = (*first, segment.last.position > position);
        if self.tail.is_none() {
            self.open_tail(first)?;
        }
        if cut_needed {
            // Where all of it goes, the cut is in front of the segment's first entry.
            self.write_mark(BlockKind::Cut, position.max(first - 1))?;
            self.sync_tail()?;
            self.reindex(first)?;
        }
        self.recount_last_keys();
        self.durable = self.end().map_or(0, |end| end.position);
        Ok(())
    }

    /// Opens the last segment for writing, after everything in it was made durable.
    pub(crate) fn open_tail(&mut self, first: u64) -> Result<(), LogError> {
        let path = self.segment_path(first);
        let file = self
            .disk
            .open(&path)
            .map_err(|source| LogError::io("open", &path, source))?;
        let filled = file
            .len()
            .map_err(|source| LogError::io("measure", &path, source))?;
        let synced = self
            .segments
            .get(&first)
            .map_or(FIRST_BLOCK, |segment| segment.len);
        self.tail = Some(Tail {
            first,
            file,
            filled,
            synced,
            dirty: false,
        });
        Ok(())
    }

    pub(crate) fn forget_segment(&mut self, first: u64) {
        let Some(segment) = self.segments.remove(&first) else {
            return;
        };
        for (group, _, _) in segment.index.groups() {
            self.groups.forget(group, first);
        }
        self.reader.close(first);
    }

    /// Puts what a segment's index knows of groups into the table of all segments.
    pub(crate) fn note_groups(&mut self, first: u64) {
        let Some(segment) = self.segments.get(&first) else {
            return;
        };
        for (group, first_key, last_key) in segment.index.groups() {
            self.groups.note(group, first_key, last_key, first);
        }
    }

    pub(crate) fn refuse_when_poisoned(&self) -> Result<(), LogError> {
        if self.poisoned {
            Err(LogError::Poisoned)
        } else {
            Ok(())
        }
    }

    pub(crate) fn sync_dir(&mut self) -> Result<(), LogError> {
        let synced = self.disk.sync_dir(&self.dir);
        synced.map_err(|source| self.poison("sync", self.dir.clone(), source))
    }

    fn reindex(&mut self, first: u64) -> Result<(), LogError> {
        let Some(segment) = self.segments.get(&first) else {
            return Ok(());
        };
        let groups: Vec<u64> = segment.index.groups().map(|(group, _, _)| group).collect();
        let mut first_live = Vec::new();
        for group in groups {
            first_live.push((group, self.groups.first_live(group)));
            self.groups.forget(group, first);
        }
        self.walk_segment(first, u64::MAX)?;
        self.note_groups(first);
        for (group, first_key) in first_live {
            self.groups.trim(group, first_key);
        }
        Ok(())
    }

    fn recount_last_keys(&mut self) {
        let mut last_keys = BTreeMap::new();
        for segment in self.segments.values() {
            for (group, _, last_key) in segment.index.groups() {
                last_keys.insert(group, last_key);
            }
        }
        for (group, last_key) in last_keys {
            self.groups.set_last_key(group, last_key);
        }
        self.groups.clear_hits();
    }

    fn check_order(&self, entries: &[Entry], holes: Holes) -> Result<(), LogError> {
        let mut expected = self.end().map(|end| end.position + 1);
        let mut last_keys = BTreeMap::new();
        for entry in entries {
            let found = entry.position;
            let lowest = expected.unwrap_or(1);
            let follows = match (expected, holes) {
                (Some(expected), Holes::Refused) => found == expected,
                (Some(_), Holes::Allowed) | (None, _) => found >= lowest,
            };
            // The last position stays free, so that one more than any position is a number.
            if !follows || found == u64::MAX {
                return Err(LogError::OutOfOrder {
                    expected: lowest,
                    found,
                });
            }
            expected = Some(found + 1);
            if entry.body.len() > MAX_BODY_LEN {
                return Err(LogError::EntryTooLarge {
                    len: entry.body.len(),
                });
            }
            if entry.group == 0 {
                continue;
            }
            let last = last_keys
                .get(&entry.group)
                .copied()
                .or_else(|| self.groups.last_key(entry.group));
            if let Some(last) = last
                && entry.key <= last
            {
                return Err(LogError::KeyOrder {
                    group: entry.group,
                    last,
                    found: entry.key,
                });
            }
            last_keys.insert(entry.group, entry.key);
        }
        Ok(())
    }

    /// A log whose every entry was cut off may start anywhere again, and its one segment is named otherwise.
    fn drop_segment_of_an_empty_log(&mut self, position: u64) -> Result<(), LogError> {
        if self.end().is_some() {
            return Ok(());
        }
        let stale: Vec<u64> = self
            .segments
            .keys()
            .copied()
            .filter(|first| *first != position)
            .collect();
        if !stale.is_empty() {
            self.tail = None;
        }
        self.remove_segments(&stale)
    }

    fn make_room(&mut self, position: u64, blocks: &[&[Entry]]) -> Result<(), LogError> {
        let previous = self.end().unwrap_or_default();
        let Some(tail) = &self.tail else {
            return self.start_segment(position, previous);
        };
        let Some(segment) = self.segments.get(&tail.first) else {
            return Ok(());
        };
        let lens = blocks
            .iter()
            .map(|block| segment.codec.extent(block.iter().map(record_len).sum()));
        let len: usize = lens.sum();
        let fits = segment.len + len as u64 <= self.options.segment_len;
        if !segment.ended && (fits || segment.len == FIRST_BLOCK) {
            return Ok(());
        }
        self.end_segment()?;
        self.start_segment(position, previous)
    }

    /// Closes the last segment: everything in it is durable before the next one exists.
    fn end_segment(&mut self) -> Result<(), LogError> {
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

    fn start_segment(&mut self, first: u64, previous: EntryId) -> Result<(), LogError> {
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
    fn write_mark(&mut self, kind: BlockKind, position: u64) -> Result<(), LogError> {
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
    fn write_tail(&mut self, bytes: &[u8]) -> Result<u64, LogError> {
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

    fn sync_tail(&mut self) -> Result<(), LogError> {
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

    fn poison(&mut self, action: &'static str, path: String, source: std::io::Error) -> LogError {
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

/// Room that the write buffer keeps between appends, in bytes.
const WRITE_BUF_KEPT: usize = 1024 * 1024;

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

/// Cuts a row of entries into blocks of at most `len_max` bytes of records, an oversized entry alone in its own.
fn split_blocks(mut entries: &[Entry], len_max: usize) -> Vec<&[Entry]> {
    let mut blocks = Vec::new();
    while let Some((first, _)) = entries.split_first() {
        let mut len = record_len(first);
        let mut count = 1;
        for entry in entries.iter().skip(1) {
            len += record_len(entry);
            if len > len_max {
                break;
            }
            count += 1;
        }
        let (block, rest) = entries.split_at(count);
        blocks.push(block);
        entries = rest;
    }
    blocks
}

impl<D: Disk> Chain<D> {
    /// The entries from a position on, in order, up to `max_bytes` of records but at least one.
    pub(crate) fn scan(&mut self, from: u64, max_bytes: usize) -> Result<Vec<Entry>, LogError> {
        let start = self
            .segments
            .range(..=from)
            .next_back()
            .map_or(0, |(first, _)| *first);
        let mut found = Vec::new();
        let mut len = 0;
        for (_, segment) in self.segments.range_mut(start..) {
            if segment.is_empty() || segment.last.position < from {
                continue;
            }
            let mut offset = segment.index.seek_position(from).unwrap_or(FIRST_BLOCK);
            while offset < segment.len {
                let (header, plain) = self.reader.load(&self.dir, segment, offset)?;
                if header.kind == BlockKind::Entries {
                    for record in Records::new(&plain) {
                        let record =
                            record.map_err(|_| self.reader.corrupt(&self.dir, segment, offset))?;
                        if record.id.position < from || !segment.is_live(offset, record.id.position)
                        {
                            continue;
                        }
                        len += record.len();
                        if len > max_bytes && !found.is_empty() {
                            return Ok(found);
                        }
                        found.push(record.shared_entry(&plain));
                    }
                }
                offset += header.extent();
            }
        }
        Ok(found)
    }

    /// The entry of a group with a key, unless it is dead or was never there.
    pub(crate) fn read(&mut self, group: u64, key: u64) -> Result<Option<Entry>, LogError> {
        let Some(first) = self.groups.segment_of(group, key) else {
            return Ok(None);
        };
        let Some(segment) = self.segments.get_mut(&first) else {
            return Ok(None);
        };
        let Some(place) = segment.index.seek_key(group, key) else {
            return Ok(None);
        };
        let hit = self.groups.hit(group, key, first).unwrap_or(0);
        let mut offset = place.start.max(hit);
        while offset < place.end.min(segment.len) {
            let (header, plain) = self.reader.load(&self.dir, segment, offset)?;
            if header.kind == BlockKind::Entries {
                for record in Records::new(&plain) {
                    let record =
                        record.map_err(|_| self.reader.corrupt(&self.dir, segment, offset))?;
                    if record.group != group || !segment.is_live(offset, record.id.position) {
                        continue;
                    }
                    if record.key == key {
                        self.groups.set_hit(group, key, first, offset);
                        return Ok(Some(record.owned_entry(&plain)));
                    }
                    if record.key > key {
                        return Ok(None);
                    }
                }
            }
            offset += header.extent();
        }
        Ok(None)
    }
}
