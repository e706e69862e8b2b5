//! Where messages are: bounded in memory, rebuilt at every start.
//!
//! A segment remembers one place a [`STEP`] of log, and one place a group and step in which the group appears; a
//! look-up starts at the nearest place before what it wants and reads on. A message by itself costs no memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::record::Record;

/// Distance between remembered places, in bytes of log.
pub(crate) const STEP: u64 = 64 * 1024;

/// A place in a segment: the block where `at` (a position or a key) is the first of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) at: u64,
    pub(crate) offset: u64,
}

/// The keys of one group in one segment.
#[derive(Clone, Debug)]
pub(crate) struct GroupRange {
    pub(crate) last_key: u64,
    marks: Vec<Mark>,
}

/// The places of one segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentIndex {
    positions: Vec<Mark>,
    groups: BTreeMap<u64, GroupRange>,
}

impl SegmentIndex {
    /// Takes note of a record; records come in log order.
    pub(crate) fn note(&mut self, record: &Record, block_offset: u64) {
        note_mark(&mut self.positions, record.id.position, block_offset);
        if record.group == 0 {
            return;
        }
        let range = self
            .groups
            .entry(record.group)
            .or_insert_with(|| GroupRange {
                last_key: record.key,
                marks: Vec::new(),
            });
        range.last_key = record.key;
        note_mark(&mut range.marks, record.key, block_offset);
    }

    /// Where to start reading for entries from a position on.
    pub(crate) fn seek_position(&self, position: u64) -> Option<u64> {
        seek(&self.positions, position).or_else(|| self.positions.first().map(|mark| mark.offset))
    }

    /// The first position that a block at an offset may hold, as far as is remembered.
    pub(crate) fn position_at(&self, offset: u64) -> Option<u64> {
        let after = self.positions.partition_point(|mark| mark.offset <= offset);
        self.positions
            .get(after.checked_sub(1)?)
            .map(|mark| mark.at)
    }

    /// Where to start reading for a key, and where it cannot be any more.
    pub(crate) fn seek_key(&self, group: u64, key: u64) -> Option<KeyPlace> {
        let range = self.groups.get(&group)?;
        if key > range.last_key {
            return None;
        }
        let after = range.marks.partition_point(|mark| mark.at <= key);
        let start = range.marks.get(after.checked_sub(1)?)?.offset;
        // A block a whole step on that holds the group has a mark of its own, with a higher key.
        Some(KeyPlace {
            start,
            end: start + STEP,
        })
    }

    /// The groups in this segment, with their first and last keys.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.groups.iter().map(|(group, range)| {
            let first_key = range.marks.first().map_or(range.last_key, |mark| mark.at);
            (*group, first_key, range.last_key)
        })
    }
}

/// Where a key may be: in blocks that start at `start` or later, and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyPlace {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

fn note_mark(marks: &mut Vec<Mark>, at: u64, offset: u64) {
    if marks.last().is_none_or(|last| offset >= last.offset + STEP) {
        marks.push(Mark { at, offset });
    }
}

fn seek(marks: &[Mark], at: u64) -> Option<u64> {
    let after = marks.partition_point(|mark| mark.at <= at);
    marks.get(after.checked_sub(1)?).map(|mark| mark.offset)
}

/// Which segments hold a group, and which of its keys are dead.
#[derive(Debug, Default)]
pub(crate) struct GroupTable {
    groups: BTreeMap<u64, Group>,
}

#[derive(Debug, Default)]
struct Group {
    /// First key in a segment, and the segment.
    segments: BTreeMap<u64, u64>,
    last_key: u64,
    /// Keys below are dead.
    first_live: u64,
    /// The last look-up that found something: key, segment, block offset.
    hit: Option<(u64, u64, u64)>,
}

impl GroupTable {
    /// Takes note that a segment holds keys of a group from `first_key` to `last_key`.
    pub(crate) fn note(&mut self, group: u64, first_key: u64, last_key: u64, segment: u64) {
        let entry = self.groups.entry(group).or_default();
        entry.segments.entry(first_key).or_insert(segment);
        entry.last_key = entry.last_key.max(last_key);
    }

    /// Takes note of one more message at the end of the log, in the segment that the last call named or a new one.
    pub(crate) fn extend(&mut self, group: u64, key: u64, segment: u64) {
        let entry = self.groups.entry(group).or_default();
        if entry
            .segments
            .last_key_value()
            .is_none_or(|(_, last)| *last != segment)
        {
            entry.segments.insert(key, segment);
        }
        entry.last_key = key;
    }

    /// Forgets a segment's part of a group, and the group with its last segment.
    pub(crate) fn forget(&mut self, group: u64, segment: u64) {
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        entry.segments.retain(|_, held| *held != segment);
        entry.hit = None;
        if entry.segments.is_empty() {
            self.groups.remove(&group);
        }
    }

    /// Sets the highest key of a group, after its end was cut off.
    pub(crate) fn set_last_key(&mut self, group: u64, last_key: u64) {
        if let Some(entry) = self.groups.get_mut(&group) {
            entry.last_key = last_key;
        }
    }

    /// The segment that may hold a key: the last one that starts at or below it.
    pub(crate) fn segment_of(&self, group: u64, key: u64) -> Option<u64> {
        let entry = self.groups.get(&group)?;
        if key < entry.first_live || key > entry.last_key {
            return None;
        }
        let below = (Bound::Unbounded, Bound::Included(key));
        entry
            .segments
            .range(below)
            .next_back()
            .map(|(_, segment)| *segment)
    }

    pub(crate) fn last_key(&self, group: u64) -> Option<u64> {
        self.groups.get(&group).map(|entry| entry.last_key)
    }

    /// Declares keys below `first_key` dead; the line never moves back.
    pub(crate) fn trim(&mut self, group: u64, first_key: u64) {
        if let Some(entry) = self.groups.get_mut(&group) {
            entry.first_live = entry.first_live.max(first_key);
        }
    }

    /// The lowest key of a group that is not dead.
    pub(crate) fn first_live(&self, group: u64) -> u64 {
        self.groups.get(&group).map_or(0, |entry| entry.first_live)
    }

    /// Whether keys of a group up to `last_key` are all dead.
    pub(crate) fn is_dead(&self, group: u64, last_key: u64) -> bool {
        self.groups
            .get(&group)
            .is_none_or(|entry| entry.first_live == u64::MAX || last_key < entry.first_live)
    }

    /// Where the last look-up ended, if a look-up for `key` in `segment` can go on from there.
    pub(crate) fn hit(&self, group: u64, key: u64, segment: u64) -> Option<u64> {
        let (hit_key, hit_segment, offset) = self.groups.get(&group)?.hit?;
        (hit_segment == segment && hit_key <= key).then_some(offset)
    }

    pub(crate) fn set_hit(&mut self, group: u64, key: u64, segment: u64, offset: u64) {
        if let Some(entry) = self.groups.get_mut(&group) {
            entry.hit = Some((key, segment, offset));
        }
    }

    pub(crate) fn clear_hits(&mut self) {
        for entry in self.groups.values_mut() {
            entry.hit = None;
        }
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = u64> {
        self.groups.keys().copied()
    }
}
