//! What single messages of a queue ask for: a delay, a priority, an ordering key. Only messages that
//! ask for something are listed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use relevo_protocol::jetstream::publish::PublishOptions;
use relevo_protocol::time::Timestamp;

/// Which of two messages is handed out first: the one with the higher priority, then the older one.
pub(super) type Rank = (Reverse<u8>, u64);

/// What one message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extra {
    /// Not to be handed out before.
    pub(super) due: Timestamp,
    /// 0 to 9, higher goes first.
    pub(super) priority: u8,
    /// Messages of one key are handed out one at a time.
    pub(super) key: Option<Arc<str>>,
}

/// What a queue's messages ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    by_sequence: BTreeMap<u64, Extra>,
    keys: BTreeMap<Arc<str>, BTreeSet<u64>>,
}

impl Extra {
    /// What the headers of a message stored at `at` ask for, if anything.
    pub(super) fn from_options(options: &PublishOptions, at: Timestamp) -> Option<Self> {
        let asks = options.delay > Duration::ZERO || options.priority > 0 || options.key.is_some();
        asks.then(|| Self {
            due: at.saturating_add(options.delay),
            priority: options.priority,
            key: options.key.as_deref().map(Arc::from),
        })
    }
}

impl Extras {
    /// Lists a message.
    pub(super) fn insert(&mut self, sequence: u64, extra: Extra) {
        if let Some(key) = &extra.key {
            self.keys.entry(key.clone()).or_default().insert(sequence);
        }
        self.by_sequence.insert(sequence, extra);
    }

    /// A message is gone.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Extra> {
        let extra = self.by_sequence.remove(&sequence)?;
        if let Some(key) = &extra.key
            && let Some(sequences) = self.keys.get_mut(key)
        {
            sequences.remove(&sequence);
            if sequences.is_empty() {
                self.keys.remove(key);
            }
        }
        Some(extra)
    }

    /// What a message asks for.
    pub(super) fn get(&self, sequence: u64) -> Option<&Extra> {
        self.by_sequence.get(&sequence)
    }

    /// Whether a message asks for something.
    pub(super) fn contains(&self, sequence: u64) -> bool {
        self.by_sequence.contains_key(&sequence)
    }

    /// Whether no message asks for anything.
    pub(super) fn is_empty(&self) -> bool {
        self.by_sequence.is_empty()
    }

    /// Where a message stands among those to hand out.
    pub(super) fn rank(&self, sequence: u64) -> Rank {
        (
            Reverse(self.get(sequence).map_or(0, |extra| extra.priority)),
            sequence,
        )
    }

    /// The messages of a key, oldest first.
    pub(super) fn of_key(&self, key: &str) -> impl Iterator<Item = u64> + '_ {
        self.keys.get(key).into_iter().flatten().copied()
    }

    /// All, by sequence.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &Extra)> {
        self.by_sequence
            .iter()
            .map(|(sequence, extra)| (*sequence, extra))
    }
}
