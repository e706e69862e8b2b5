//! Cuts the end of a chain off.

use std::collections::BTreeMap;

use crate::block::BlockKind;
use crate::chain::Chain;
use crate::disk::Disk;
use crate::error::LogError;

impl<D: Disk> Chain<D> {
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
}
