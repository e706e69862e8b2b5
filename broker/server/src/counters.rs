//! What is counted: atomics that tasks add to in batches, and `/varz` reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// All counters of a broker since it started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Messages from clients.
    pub(crate) in_msgs: AtomicU64,
    /// Their headers and payloads, in bytes.
    pub(crate) in_bytes: AtomicU64,
    /// Messages to clients.
    pub(crate) out_msgs: AtomicU64,
    /// Their headers and payloads, in bytes.
    pub(crate) out_bytes: AtomicU64,
    /// Messages to the other broker's clients.
    pub(crate) routed_msgs: AtomicU64,
    /// Client connections now.
    pub(crate) connections: AtomicU64,
    /// Client connections ever.
    pub(crate) total_connections: AtomicU64,
    /// Clients cut off because they did not read.
    pub(crate) slow_consumers: AtomicU64,
    /// Connections closed because a PING was not answered.
    pub(crate) stale_connections: AtomicU64,
    /// Requests answered at once because their shard's leader was away.
    pub(crate) unavailable_requests: AtomicU64,
    /// Messages that a bounded queue of this broker had no room for.
    pub(crate) dropped_msgs: AtomicU64,
    /// How often the link to the other broker came up.
    pub(crate) link_ups: AtomicU64,
    /// Syncs of shard logs.
    pub(crate) log_syncs: AtomicU64,
    /// Records written to shard logs.
    pub(crate) log_records: AtomicU64,
}

/// What one task has counted since it last told [`Counters`].
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) in_msgs: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_msgs: u64,
    pub(crate) out_bytes: u64,
    pub(crate) routed_msgs: u64,
    pub(crate) slow_consumers: u64,
    pub(crate) unavailable_requests: u64,
    pub(crate) dropped_msgs: u64,
}

impl Counters {
    /// Adds what `tally` holds and empties it.
    pub(crate) fn add(&self, tally: &mut Tally) {
        let Tally {
            in_msgs,
            in_bytes,
            out_msgs,
            out_bytes,
            routed_msgs,
            slow_consumers,
            unavailable_requests,
            dropped_msgs,
        } = std::mem::take(tally);
        for (counter, count) in [
            (&self.in_msgs, in_msgs),
            (&self.in_bytes, in_bytes),
            (&self.out_msgs, out_msgs),
            (&self.out_bytes, out_bytes),
            (&self.routed_msgs, routed_msgs),
            (&self.slow_consumers, slow_consumers),
            (&self.unavailable_requests, unavailable_requests),
            (&self.dropped_msgs, dropped_msgs),
        ] {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

/// Reads one counter.
pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Adds `number`.
pub(crate) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}
