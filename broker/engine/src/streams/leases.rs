//! Who holds which message until when. Only a leader knows: after a restart every message that was
//! delivered and not acknowledged gets a fresh lease.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::input::Monotonic;

/// One delivered message that waits for its acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// When the message may be delivered again.
    pub(super) until: Monotonic,
    /// How long a full lease of this delivery is.
    pub(super) full: Duration,
    /// False once the worker gave the message back and only a delay is waited for.
    pub(super) held: bool,
    /// The pull request that it was delivered for; empty when that is not known.
    pub(super) reply: Bytes,
}

/// The leases of a consumer.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    by_sequence: BTreeMap<u64, Lease>,
    by_time: BTreeSet<(Monotonic, u64)>,
}

impl Leases {
    /// Begins a lease, or replaces the one that the message had.
    pub(super) fn set(&mut self, sequence: u64, lease: Lease) {
        self.remove(sequence);
        self.by_time.insert((lease.until, sequence));
        self.by_sequence.insert(sequence, lease);
    }

    /// Notes which pull request the message was delivered for.
    pub(super) fn note_reply(&mut self, sequence: u64, reply: &Bytes) {
        if let Some(lease) = self.by_sequence.get_mut(&sequence) {
            lease.reply.clone_from(reply);
        }
    }

    /// Ends a lease.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Lease> {
        let lease = self.by_sequence.remove(&sequence)?;
        self.by_time.remove(&(lease.until, sequence));
        Some(lease)
    }

    /// The message's lease.
    pub(super) fn get(&self, sequence: u64) -> Option<&Lease> {
        self.by_sequence.get(&sequence)
    }

    /// Ends one lease that has run out by `now`, and says which.
    pub(super) fn expire_one(&mut self, now: Monotonic) -> Option<u64> {
        let (until, sequence) = *self.by_time.first()?;
        if until > now {
            return None;
        }
        self.remove(sequence);
        Some(sequence)
    }

    /// When the first lease runs out.
    pub(super) fn next_end(&self) -> Option<Monotonic> {
        self.by_time.first().map(|(until, _)| *until)
    }
}
