//! What the log keeps: one entry a mutation.

use bytes::Bytes;

/// One mutation of a shard's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Place in the log; the first is 1.
    pub position: u64,
    /// The leader's term that made it.
    pub epoch: u64,
    /// The leader's restart count within the epoch.
    pub sub: u32,
    /// The caller's running CRC over the log up to here; kept, never interpreted.
    pub chain: u32,
    /// What [`key`](Self::key) counts in (a stream); 0 when the entry holds no message that is read back by key.
    pub group: u64,
    /// Place in the group; rises strictly within a group. Without meaning in group 0.
    pub key: u64,
    /// The caller's bytes, at most [`MAX_BODY_LEN`].
    pub body: Bytes,
}

/// Largest body of one entry, in bytes.
pub const MAX_BODY_LEN: usize = 256 * 1024 * 1024;

/// What identifies an entry across copies of a log: equal ids mean equal logs up to here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// Place in the log.
    pub position: u64,
    /// The leader's term.
    pub epoch: u64,
    /// The leader's restart count within the epoch.
    pub sub: u32,
    /// The caller's running CRC.
    pub chain: u32,
}

impl Entry {
    /// The identity of this entry.
    pub fn id(&self) -> EntryId {
        EntryId {
            position: self.position,
            epoch: self.epoch,
            sub: self.sub,
            chain: self.chain,
        }
    }
}
