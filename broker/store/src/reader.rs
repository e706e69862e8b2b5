//! Reads blocks of any segment, through a window for neighbours and a cache for repeats.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::block::{BLOCK_HEADER_LEN, BlockFault, BlockHeader, OpenedBlock};
use crate::cache::BlockCache;
use crate::chain::Segment;
use crate::disk::{Disk, DiskFile, join};
use crate::error::LogError;
use crate::segment::segment_name;

/// Most files open for reading at a time; the one with the lowest position is closed first.
const OPEN_FILES_MAX: usize = 16;

/// Bytes read at once when blocks are small.
const WINDOW_LEN: usize = 128 * 1024;

pub(crate) struct Reader<D: Disk> {
    disk: Arc<D>,
    files: BTreeMap<u64, D::File>,
    cache: BlockCache,
    window: Window,
}

#[derive(Default)]
struct Window {
    segment: u64,
    start: u64,
    bytes: Vec<u8>,
}

/// What was found where a block should be.
pub(crate) enum Found {
    Block(BlockHeader, OpenedBlock),
    /// Not the block that was written there, if one was; the header when at least that is right.
    Broken(Option<BlockHeader>),
    /// Checksums are right and the rest is not.
    Forged,
}

impl<D: Disk> Reader<D> {
    pub(crate) fn new(disk: Arc<D>) -> Self {
        Self {
            disk,
            files: BTreeMap::new(),
            cache: BlockCache::default(),
            window: Window::default(),
        }
    }

    /// The block at an offset where one was written; anything else there is damage.
    pub(crate) fn load(
        &mut self,
        dir: &str,
        segment: &mut Segment,
        offset: u64,
    ) -> Result<(BlockHeader, Bytes), LogError> {
        let first = segment.header.first;
        if let Some(cached) = self.cache.get(first, offset) {
            return Ok(cached);
        }
        let limit = segment.len;
        match self.find(dir, segment, offset, limit)? {
            Found::Block(header, opened) => {
                self.cache.put(first, offset, header, opened.plain.clone());
                Ok((header, opened.plain))
            }
            Found::Broken(_) | Found::Forged => Err(self.corrupt(dir, segment, offset)),
        }
    }

    /// Looks at an offset for a block that ends before `limit`, past the cache.
    pub(crate) fn find(
        &mut self,
        dir: &str,
        segment: &mut Segment,
        offset: u64,
        limit: u64,
    ) -> Result<Found, LogError> {
        let first = segment.header.first;
        let line = self.fetch(dir, first, offset, BLOCK_HEADER_LEN, limit)?;
        let seed = segment.codec.seed(offset);
        let Some(header) = line
            .first_chunk()
            .and_then(|line| BlockHeader::decode(line, seed))
        else {
            return Ok(Found::Broken(None));
        };
        let stored_start = offset + BLOCK_HEADER_LEN as u64;
        let stored_len = u64::from(header.stored_len);
        if stored_start + stored_len > limit {
            return Ok(Found::Broken(Some(header)));
        }
        let stored_len = usize::try_from(stored_len).unwrap_or(usize::MAX);
        let stored = self.fetch(dir, first, stored_start, stored_len, limit)?;
        match segment.codec.open(&header, offset, stored) {
            Ok(opened) => Ok(Found::Block(header, opened)),
            Err(BlockFault::Checksum) => Ok(Found::Broken(Some(header))),
            Err(BlockFault::NotAuthentic) => Ok(Found::Forged),
        }
    }

    /// Damage at an offset of a segment. The position is the first that the index knows to be at risk.
    pub(crate) fn corrupt(&self, dir: &str, segment: &Segment, offset: u64) -> LogError {
        LogError::Corrupt {
            segment: join(dir, &segment_name(segment.header.first)),
            offset,
            position: segment
                .index
                .position_at(offset)
                .unwrap_or(segment.header.first),
        }
    }

    /// Forgets a segment's file and blocks.
    pub(crate) fn close(&mut self, segment: u64) {
        self.files.remove(&segment);
        self.clear();
    }

    /// Forgets what was read.
    pub(crate) fn clear(&mut self) {
        self.cache.clear();
        self.window = Window::default();
    }

    /// Up to `len` bytes; fewer only where the file ends.
    fn fetch(
        &mut self,
        dir: &str,
        segment: u64,
        offset: u64,
        len: usize,
        limit: u64,
    ) -> Result<Vec<u8>, LogError> {
        if len > WINDOW_LEN {
            return self.read(dir, segment, offset, len);
        }
        if let Some(bytes) = self.window.get(segment, offset, len) {
            return Ok(bytes.to_vec());
        }
        let room = usize::try_from(limit.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = self.read(dir, segment, offset, room.min(WINDOW_LEN))?;
        let fetched = bytes.get(..len).unwrap_or(&bytes).to_vec();
        self.window = Window {
            segment,
            start: offset,
            bytes,
        };
        Ok(fetched)
    }

    fn read(
        &mut self,
        dir: &str,
        segment: u64,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, LogError> {
        let path = join(dir, &segment_name(segment));
        if !self.files.contains_key(&segment) {
            let file = self
                .disk
                .open(&path)
                .map_err(|source| LogError::io("open", &path, source))?;
            if self.files.len() >= OPEN_FILES_MAX {
                self.files.pop_first();
            }
            self.files.insert(segment, file);
        }
        let mut bytes = vec![0; len];
        let mut read = 0;
        if let Some(file) = self.files.get(&segment) {
            read = file
                .read_at(&mut bytes, offset)
                .map_err(|source| LogError::Io {
                    action: "read",
                    path,
                    source,
                })?;
        }
        bytes.truncate(read);
        Ok(bytes)
    }
}

impl Window {
    fn get(&self, segment: u64, offset: u64, len: usize) -> Option<&[u8]> {
        if self.segment != segment {
            return None;
        }
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..start.checked_add(len)?)
    }
}
