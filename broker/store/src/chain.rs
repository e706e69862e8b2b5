//! A chain of segments in one directory: what the live log is made of, and a staged copy too.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::block::{BlockCodec, BlockKind, BlockMeta};
use crate::disk::{Disk, DiskFile, join};
use crate::entry::{Entry, EntryId, MAX_BODY_LEN};
use crate::error::LogError;
use crate::index::{GroupTable, SegmentIndex};
use crate::log::LogOptions;
use crate::reader::Reader;
use crate::record::{encode_record, record_len};
use crate::seal::TAG_LEN;
use crate::segment::{FIRST_BLOCK, SegmentHeader, segment_name};
use crate::tail::{Spare, Tail};
use crate::uuids::UuidSource;

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
    pub(crate) spare: Option<Spare<D::File>>,
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
}

/// Room that the write buffer keeps between appends, in bytes.
const WRITE_BUF_KEPT: usize = 1024 * 1024;

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
