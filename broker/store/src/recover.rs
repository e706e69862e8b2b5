//! Reads a chain back after a start, and tells what a crash tore from what was damaged.
//!
//! Only the last segment can be torn, and only behind what was synced. Every block says how much of its segment was
//! durable when it was written, so whatever is broken below that is damage. Behind it, a broken block counts as torn
//! only if one of its lines is all zeros, as a line is that never reached the disk: a changed line is damage too.

use crate::block::{BLOCK_HEADER_LEN, BlockHeader, BlockKind, LINE_LEN};
use crate::chain::{Chain, Cut, Segment};
use crate::disk::{Disk, DiskFile, join};
use crate::entry::EntryId;
use crate::error::LogError;
use crate::reader::Found;
use crate::record::Records;
use crate::seal::TAG_LEN;
use crate::segment::{FIRST_BLOCK, SEGMENT_HEADER_LEN, SegmentHeader, parse_segment_name};
use crate::tail::SPARE_NAME;

/// Bytes read at once where no block is expected.
const CHUNK_LEN: usize = 256 * 1024;

/// The first position of an epoch and restart count.
pub(crate) type EpochStart = (u64, u32, u64);

/// What recovery found out about a chain.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) committed: u64,
    /// Every position from here on is there; 0 when nothing was ever dropped.
    pub(crate) contiguous_from: u64,
    pub(crate) epochs: Vec<EpochStart>,
    pub(crate) torn_bytes: u64,
}

/// What a walk over one segment's blocks found.
struct Walk {
    /// The header of the broken block at the segment's end, if at least that is right.
    broken: Option<BlockHeader>,
    /// Highest number of bytes that a block says were durable.
    synced: u64,
    committed: u64,
    /// Where the last hole ends.
    hole_end: Option<u64>,
    epochs: Vec<EpochStart>,
    cuts_found: bool,
}

impl<D: Disk> Chain<D> {
    /// Takes in the segments of the directory. Positions up to `floor` may be missing: a snapshot covers them.
    pub(crate) fn recover(&mut self, floor: u64) -> Result<Recovered, LogError> {
        let names = self
            .disk
            .list(&self.dir)
            .map_err(|source| LogError::io("list", &self.dir, source))?;
        if names.iter().any(|name| name == SPARE_NAME) {
            let path = join(&self.dir, SPARE_NAME);
            self.disk
                .remove(&path)
                .map_err(|source| LogError::io("remove", &path, source))?;
        }
        let firsts: Vec<u64> = names
            .iter()
            .filter_map(|name| parse_segment_name(name))
            .collect();
        let mut recovered = Recovered::default();
        let mut before: Option<EntryId> = None;
        for first in &firsts {
            let file_len = self.admit_segment(*first)?;
            self.check_link(*first, before, floor, &mut recovered)?;
            let walk = self.walk_to(*first, file_len, floor)?;
            let Some(segment) = self.segments.get(first) else {
                continue;
            };
            before = Some(segment.last);
            if Some(first) != firsts.last() && !segment.ended {
                return Err(self.corrupt_at(*first, segment.len));
            }
            recovered.committed = recovered.committed.max(walk.committed);
            recovered.contiguous_from = walk.hole_end.unwrap_or(recovered.contiguous_from);
            for start in &walk.epochs {
                note_epoch(&mut recovered.epochs, *start);
            }
            if Some(first) == firsts.last() {
                recovered.torn_bytes = self.settle_tail(*first, file_len, &walk)?;
            }
            self.note_groups(*first);
        }
        self.reader.clear();
        let end = self.end().map_or(0, |end| end.position);
        if let Some(last) = firsts.last()
            && recovered.committed > end
        {
            let len = self.segments.get(last).map_or(0, |segment| segment.len);
            return Err(self.corrupt_at(*last, len));
        }
        self.durable = end;
        self.committed = recovered.committed;
        Ok(recovered)
    }

    /// Walks a segment that is already known, to rebuild its index.
    pub(crate) fn walk_segment(&mut self, first: u64, floor: u64) -> Result<(), LogError> {
        let limit = self.segments.get(&first).map_or(0, |segment| segment.len);
        self.walk_to(first, limit, floor)?;
        match self.segments.get(&first) {
            Some(segment) if segment.len < limit => Err(self.corrupt_at(first, segment.len)),
            Some(_) | None => Ok(()),
        }
    }

    /// Reads a segment's header; the file's length.
    fn admit_segment(&mut self, first: u64) -> Result<u64, LogError> {
        let path = self.segment_path(first);
        let file = self
            .disk
            .open(&path)
            .map_err(|source| LogError::io("open", &path, source))?;
        let file_len = file
            .len()
            .map_err(|source| LogError::io("measure", &path, source))?;
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        let read = file
            .read_at(&mut bytes, 0)
            .map_err(|source| LogError::io("read", &path, source))?;
        if read < SEGMENT_HEADER_LEN {
            return Err(LogError::Corrupt {
                segment: path,
                offset: 0,
                position: first,
            });
        }
        let (header, codec) =
            SegmentHeader::decode(&bytes, &self.options.identity, self.options.seal.as_deref())
                .map_err(|fault| fault.at(&path, first))?;
        if header.first != first || first == 0 {
            return Err(LogError::Foreign { path });
        }
        self.segments.insert(first, Segment::new(header, codec));
        Ok(file_len)
    }

    /// Checks that a segment goes on where the one before ended, or that a snapshot covers what is missing.
    fn check_link(
        &self,
        first: u64,
        before: Option<EntryId>,
        floor: u64,
        recovered: &mut Recovered,
    ) -> Result<(), LogError> {
        let Some(segment) = self.segments.get(&first) else {
            return Ok(());
        };
        let previous = segment.header.previous;
        let begins_log = before.is_none() && previous.position == 0;
        let follows = before == Some(previous) && previous.position.checked_add(1) == Some(first);
        if begins_log {
            recovered.contiguous_from = if first == 1 { 0 } else { first };
        } else if !follows {
            let above_before = before.is_none_or(|before| before.position < first);
            if !above_before || first - 1 > floor {
                return Err(self.corrupt_at(first, 0));
            }
            recovered.contiguous_from = first;
            note_epoch(
                &mut recovered.epochs,
                (previous.epoch, previous.sub, previous.position),
            );
        }
        Ok(())
    }

    /// Walks all blocks up to the first that is not one; twice when some entries turn out to be cut off.
    fn walk_to(&mut self, first: u64, limit: u64, floor: u64) -> Result<Walk, LogError> {
        let walk = self.walk_once(first, limit, floor)?;
        if walk.cuts_found {
            self.walk_once(first, limit, floor)
        } else {
            Ok(walk)
        }
    }

    fn walk_once(&mut self, first: u64, limit: u64, floor: u64) -> Result<Walk, LogError> {
        let mut walk = Walk {
            broken: None,
            synced: 0,
            committed: 0,
            hole_end: None,
            epochs: Vec::new(),
            cuts_found: false,
        };
        let Some(segment) = self.segments.get_mut(&first) else {
            return Ok(walk);
        };
        let header = segment.header;
        let codec_tag = [0; TAG_LEN];
        segment.len = FIRST_BLOCK;
        segment.last = header.previous;
        segment.blocks = 0;
        segment.last_tag = codec_tag;
        segment.ended = false;
        segment.index = crate::index::SegmentIndex::default();
        let mut position = first.saturating_sub(1);
        while segment.len < limit {
            let offset = segment.len;
            let (block, opened) = match self.reader.find(&self.dir, segment, offset, limit)? {
                Found::Block(block, opened) => (block, opened),
                Found::Broken(broken) => {
                    walk.broken = broken;
                    break;
                }
                Found::Forged => return Err(self.reader.corrupt(&self.dir, segment, offset)),
            };
            let walked = if opened.previous_tag == segment.last_tag {
                walk.take_block(segment, offset, &block, &opened.plain, &mut position, floor)
            } else {
                None
            };
            if walked.is_none() {
                return Err(self.reader.corrupt(&self.dir, segment, offset));
            }
            segment.len = offset + block.extent();
            segment.blocks += 1;
            segment.last_tag = opened.tag;
            segment.ended = block.kind == BlockKind::End;
        }
        Ok(walk)
    }

    /// Decides what is behind the last good block: nothing, a torn write that is removed, or damage. Everything before
    /// is made durable, whatever the process before this one managed to sync. The number of torn bytes.
    fn settle_tail(&mut self, first: u64, file_len: u64, walk: &Walk) -> Result<u64, LogError> {
        let path = self.segment_path(first);
        self.open_tail(first)?;
        let (Some(segment), Some(tail)) = (self.segments.get(&first), &mut self.tail) else {
            return Ok(0);
        };
        let (len, next) = (segment.len, segment.last.position + 1);
        let failed = |action, source| LogError::io(action, &path, source);

        let behind = look_behind(&tail.file, segment, file_len, walk.broken.as_ref())
            .map_err(|source| failed("read", source))?;
        let torn_bytes = match behind {
            Behind::Nothing => 0,
            Behind::Torn(torn_bytes) => torn_bytes,
            Behind::Damage => {
                return Err(LogError::Corrupt {
                    segment: path,
                    offset: len,
                    position: next,
                });
            }
        };
        if torn_bytes > 0 {
            tail.file
                .set_len(len)
                .map_err(|source| failed("shorten", source))?;
            tail.filled = len;
        }
        let doubtful = walk.synced.clamp(FIRST_BLOCK, len);
        rewrite(&mut tail.file, doubtful, len).map_err(|source| failed("rewrite", source))?;
        tail.file
            .sync_data()
            .map_err(|source| failed("sync", source))?;
        Ok(torn_bytes)
    }

    fn corrupt_at(&self, first: u64, offset: u64) -> LogError {
        let position = self
            .segments
            .get(&first)
            .map_or(first, |segment| match offset {
                0 => first,
                _ => segment.last.position + 1,
            });
        LogError::Corrupt {
            segment: self.segment_path(first),
            offset,
            position,
        }
    }
}

impl Walk {
    /// Takes in one good block; `None` when what it says cannot be.
    fn take_block(
        &mut self,
        segment: &mut Segment,
        offset: u64,
        block: &BlockHeader,
        plain: &[u8],
        position: &mut u64,
        floor: u64,
    ) -> Option<()> {
        self.synced = self.synced.max(block.synced);
        self.committed = self.committed.max(block.committed);
        match block.kind {
            BlockKind::Entries => {
                let mut count = 0_u32;
                for record in Records::new(plain) {
                    let record = record.ok()?;
                    let found = record.id.position;
                    let hole = position.checked_add(1)? != found;
                    if found <= *position || (hole && found - 1 > floor) {
                        return None;
                    }
                    if count == 0 && found != block.position {
                        return None;
                    }
                    count = count.checked_add(1)?;
                    *position = found;
                    if !segment.is_live(offset, found) {
                        continue;
                    }
                    if hole {
                        self.hole_end = Some(found);
                    }
                    note_epoch(&mut self.epochs, (record.id.epoch, record.id.sub, found));
                    segment.index.note(&record, offset);
                    segment.last = record.id;
                }
                (count == block.count && count > 0).then_some(())
            }
            BlockKind::Hint | BlockKind::End => plain.is_empty().then_some(()),
            BlockKind::Cut => {
                let keep = block.position;
                if !plain.is_empty()
                    || keep > *position
                    || keep.checked_add(1)? < segment.header.first
                {
                    return None;
                }
                *position = keep;
                let cut = Cut { offset, keep };
                if !segment.cuts.contains(&cut) {
                    segment.cuts.push(cut);
                    self.cuts_found = true;
                }
                Some(())
            }
        }
    }
}

fn note_epoch(epochs: &mut Vec<EpochStart>, start: EpochStart) {
    let (epoch, sub, _) = start;
    if epochs
        .last()
        .is_none_or(|(last_epoch, last_sub, _)| (*last_epoch, *last_sub) != (epoch, sub))
    {
        epochs.push(start);
    }
}

/// What stands behind the last good block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Nothing,
    Torn(u64),
    Damage,
}

fn look_behind<F: DiskFile>(
    file: &F,
    segment: &Segment,
    file_len: u64,
    broken: Option<&BlockHeader>,
) -> std::io::Result<Behind> {
    let start = segment.len;
    let block_end = start + broken.map_or(BLOCK_HEADER_LEN as u64, BlockHeader::extent);
    let mut last_written = None;
    let mut line_missing = block_end > file_len;
    let mut offset = start;
    let mut chunk = vec![0; CHUNK_LEN];
    while offset < file_len {
        let read = file.read_at(&mut chunk, offset)?;
        let Some(bytes) = chunk.get(..read) else {
            break;
        };
        if bytes.is_empty() {
            break;
        }
        for (index, line) in bytes.chunks(LINE_LEN).enumerate() {
            let line_offset = offset + (index * LINE_LEN) as u64;
            if line.iter().all(|byte| *byte == 0) {
                line_missing |= line_offset < block_end;
                continue;
            }
            last_written = Some(line_offset + line.len() as u64);
            if line_offset > start && proves_synced(line, line_offset, segment) {
                return Ok(Behind::Damage);
            }
        }
        offset += read as u64;
    }
    Ok(match last_written {
        None => Behind::Nothing,
        Some(_) if !line_missing => Behind::Damage,
        Some(end) => Behind::Torn(end - start),
    })
}

/// Whether a line is a block's header that was written after the segment's broken block had become durable.
fn proves_synced(line: &[u8], offset: u64, segment: &Segment) -> bool {
    let header = line
        .first_chunk()
        .and_then(|line| BlockHeader::decode(line, segment.codec.seed(offset)));
    header.is_some_and(|header| {
        header.synced > segment.len || header.committed > segment.last.position
    })
}

/// Writes bytes again as they are: what an earlier process wrote and failed to sync may be only in the page cache,
/// marked clean, where a sync alone would not reach it.
fn rewrite<F: DiskFile>(file: &mut F, start: u64, end: u64) -> std::io::Result<()> {
    let mut offset = start;
    let mut chunk = vec![0; CHUNK_LEN];
    while offset < end {
        let len = usize::try_from(end - offset)
            .unwrap_or(usize::MAX)
            .min(CHUNK_LEN);
        let Some(bytes) = chunk.get_mut(..len) else {
            break;
        };
        let read = file.read_at(bytes, offset)?;
        let Some(bytes) = bytes.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        file.write_at(bytes, offset)?;
        offset += read as u64;
    }
    Ok(())
}
