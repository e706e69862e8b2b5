//! Which message ids a stream has seen lately. An id outlives its message: a publisher that repeats
//! it within the window gets the first answer again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use relevo_protocol::time::Timestamp;

/// The most ids remembered by one stream; above it publishes with an id are refused.
pub(super) const IDS_MAX: usize = 4 * 1024 * 1024;
/// The most bytes of ids remembered by one stream; above it publishes with an id are refused.
const IDS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The ids of a stream.
#[derive(Clone, Debug)]
pub(super) struct Dedup {
    window: Duration,
    sequences: BTreeMap<Arc<str>, u64>,
    order: VecDeque<Seen>,
    bytes: usize,
}

/// One id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// When it was seen; never falls from one to the next.
    pub(super) at: Timestamp,
    /// The sequence of its message.
    pub(super) sequence: u64,
    /// The id.
    pub(super) id: Arc<str>,
}

impl Dedup {
    /// No ids.
    pub(super) const fn new(window: Duration) -> Self {
        Self {
            window,
            sequences: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Forgets what is older than the window. Part of storing a message, so that members agree.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some(seen) = self.order.front()
            && self.is_over(seen.at, now)
        {
            self.bytes -= seen.id.len();
            self.sequences.remove(&seen.id);
            self.order.pop_front();
        }
    }

    /// Remembers an id that is not known.
    pub(super) fn insert(&mut self, seen: Seen) {
        self.bytes += seen.id.len();
        self.sequences.insert(seen.id.clone(), seen.sequence);
        self.order.push_back(seen);
    }

    /// The sequence of the message with this id, if it was seen within the window before `now`.
    pub(super) fn find(&self, id: &str, now: Timestamp) -> Option<u64> {
        let sequence = *self.sequences.get(id)?;
        let index = self.order.partition_point(|seen| seen.sequence < sequence);
        let seen = self.order.get(index)?;
        (!self.is_over(seen.at, now)).then_some(sequence)
    }

    /// Whether there is room for one more id at `now`.
    pub(super) fn has_room(&self, now: Timestamp) -> bool {
        (self.order.len() < IDS_MAX && self.bytes < IDS_BYTES_MAX)
            || self
                .order
                .front()
                .is_some_and(|seen| self.is_over(seen.at, now))
    }

    /// All ids, oldest first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Seen> {
        self.order.iter()
    }

    fn is_over(&self, at: Timestamp, now: Timestamp) -> bool {
        at.saturating_add(self.window) <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn an_id_is_known_for_the_window_and_no_longer() {
        let mut dedup = Dedup::new(Duration::from_secs(10));
        for (at, sequence, id) in [(1, 1, "a"), (5, 2, "b"), (5, 4, "c")] {
            dedup.insert(Seen {
                at: seconds(at),
                sequence,
                id: Arc::from(id),
            });
        }
        assert_eq!(dedup.find("a", seconds(10)), Some(1));
        assert_eq!(dedup.find("a", seconds(11)), None);
        assert_eq!(dedup.find("c", seconds(14)), Some(4));
        assert_eq!(dedup.find("d", seconds(1)), None);
        dedup.expire(seconds(14));
        assert_eq!(
            dedup.iter().map(|seen| &*seen.id).collect::<Vec<_>>(),
            ["b", "c"]
        );
        dedup.expire(seconds(15));
        assert_eq!(dedup.iter().len(), 0);
    }
}
