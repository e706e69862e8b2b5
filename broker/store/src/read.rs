//! Reads entries back, by position and by key.

use crate::block::BlockKind;
use crate::chain::Chain;
use crate::disk::Disk;
use crate::entry::Entry;
use crate::error::LogError;
use crate::record::Records;
use crate::segment::FIRST_BLOCK;

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
