//! The log of one shard.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::chain::{Chain, Holes};
use crate::disk::{Disk, join};
use crate::entry::{Entry, EntryId};
use crate::error::LogError;
use crate::recover::EpochStart;
use crate::seal::Keyring;
use crate::snapshot::{
    SaveFault, SnapshotContext, list_snapshots, load_snapshot, remove_temporary, save_snapshot,
    snapshot_name,
};
use crate::stage::{Staged, settle_directories};
use crate::uuids::UuidSource;

/// Default of [`LogOptions::segment_len`], in bytes.
pub const SEGMENT_LEN: u64 = 64 * 1024 * 1024;

/// Default of [`LogOptions::block_len_max`], in bytes.
pub const BLOCK_LEN_MAX: usize = 256 * 1024;

/// Which log this is. Part of every file, and of what sealing binds: a file of another log does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// The shard's number.
    pub shard: u32,
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Length at which a segment is ended, in bytes. One append is never split, so a segment can become longer by one.
    pub segment_len: u64,
    /// Most bytes of records in a block; an entry that is larger has a block of its own.
    pub block_len_max: usize,
    /// The keys to seal with; `None` writes plain text, and cannot open what is sealed.
    pub seal: Option<Arc<Keyring>>,
    /// Which log this is.
    pub identity: LogIdentity,
}

impl LogOptions {
    /// The defaults, without sealing.
    pub fn new(identity: LogIdentity) -> Self {
        Self {
            segment_len: SEGMENT_LEN,
            block_len_max: BLOCK_LEN_MAX,
            seal: None,
            identity,
        }
    }
}

/// What [`Log::open`] found. The entries themselves are read with [`Log::scan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The newest usable snapshot and its position.
    pub snapshot: Option<(u64, Bytes)>,
    /// The last entry; [`Log::end`].
    pub end: Option<EntryId>,
    /// Highest position known to have been committed: a lower bound.
    pub committed: u64,
    /// For each epoch and restart count in the log, in order: epoch, restart count, first position that is known of it.
    /// Where entries were dropped, that is the first one left.
    pub epochs: Vec<EpochStart>,
    /// Bytes of torn writes that were removed behind the end. They were never durable.
    pub torn_bytes: u64,
    /// Positions of snapshots that are damaged and were passed over for an older one or for the log itself.
    pub damaged_snapshots: Vec<u64>,
}

/// What [`Log::reclaim`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Segments.
    pub segments: u64,
    /// Bytes of blocks in them.
    pub bytes: u64,
}

/// Facts about a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Segments on disk.
    pub segments: u64,
    /// Segments among them that are not sealed.
    pub plain_segments: u64,
    /// Bytes of segments on disk, the zeros ahead of the last block included.
    pub bytes: u64,
    /// Blocks in all segments.
    pub blocks: u64,
    /// Groups that have messages in the log.
    pub groups: u64,
    /// Whether new segments are sealed.
    pub sealed: bool,
}

/// What [`Log::verify`] read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments.
    pub segments: u64,
    /// Blocks.
    pub blocks: u64,
    /// Entries, those that were cut off included.
    pub entries: u64,
    /// Bytes of blocks.
    pub bytes: u64,
    /// Snapshots.
    pub snapshots: u64,
}

/// The log of one shard: entries at rising positions, snapshots of what they amount to, and reads by key.
///
/// It has one owner, which calls it from one thread. `committed <= durable <= end`: [`append`](Self::append) moves the
/// end, [`sync`](Self::sync) moves what is durable, and the caller says what is committed.
pub struct Log<D: Disk> {
    pub(crate) dir: String,
    pub(crate) live: Chain<D>,
    pub(crate) staged: Option<Staged<D>>,
    pub(crate) contiguous_from: u64,
    /// Position of the newest snapshot; 0 without one.
    pub(crate) newest_snapshot: u64,
}

impl<D: Disk> Log<D> {
    /// Opens the log in a directory, or begins one. `entropy` must be unpredictable and new at each call: the ids of
    /// files, and with them their keys, are made of it.
    ///
    /// Takes a full read of the log's files. Everything in [`Recovery::end`] is durable on return.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when bytes that were durable are damaged (nothing is changed then), the key errors, and
    /// those of the disk.
    pub fn open(
        disk: Arc<D>,
        dir: &str,
        options: LogOptions,
        entropy: [u8; 32],
    ) -> Result<(Self, Recovery), LogError> {
        settle_directories(&*disk, dir)?;
        remove_temporary(&*disk, dir)?;
        let context = SnapshotContext {
            identity: &options.identity,
            keys: options.seal.as_deref(),
        };
        let (snapshot, damaged_snapshots) = newest_snapshot(&*disk, dir, context)?;
        let floor = snapshot.as_ref().map_or(0, |(position, _)| *position);

        let mut live = Chain::empty(Arc::clone(&disk), dir, options, UuidSource::new(entropy));
        let recovered = live.recover(floor)?;
        let end = live.end();
        let end_position = end.map_or(0, |end| end.position);
        // A snapshot is only taken of what is durable, so a log that ends before it has lost something.
        if floor > end_position {
            return Err(LogError::Corrupt {
                segment: dir.to_owned(),
                offset: 0,
                position: end_position + 1,
            });
        }
        if snapshot.is_none()
            && let Some(position) = damaged_snapshots.last()
            && (end.is_none() || recovered.contiguous_from > 1)
        {
            let segment = join(dir, &snapshot_name(*position));
            return Err(LogError::Corrupt {
                segment,
                offset: 0,
                position: 1,
            });
        }
        live.committed = live.committed.max(floor);
        let recovery = Recovery {
            snapshot,
            end,
            committed: live.committed,
            epochs: recovered.epochs,
            torn_bytes: recovered.torn_bytes,
            damaged_snapshots,
        };
        let contiguous_from = recovered.contiguous_from.max(1);
        let log = Self {
            dir: dir.to_owned(),
            live,
            staged: None,
            contiguous_from,
            newest_snapshot: floor,
        };
        Ok((log, recovery))
    }

    /// Writes entries behind the end, all of them or none. They are readable at once, and durable after
    /// [`sync`](Self::sync). `committed` is the highest position known to be committed anywhere; it is kept as a hint.
    ///
    /// A log without entries takes any first position.
    ///
    /// # Errors
    /// [`LogError::Full`]: nothing counts, and a later append may succeed. [`LogError::OutOfOrder`],
    /// [`LogError::KeyOrder`], [`LogError::EntryTooLarge`]: nothing was written. Anything else is final.
    pub fn append(&mut self, entries: &[Entry], committed: u64) -> Result<(), LogError> {
        let began_empty = self.end().is_none();
        self.live.append(entries, committed, Holes::Refused)?;
        if let Some(first) = entries.first().filter(|_| began_empty) {
            self.contiguous_from = first.position;
        }
        Ok(())
    }

    /// Makes everything appended durable, and says up to which position.
    ///
    /// # Errors
    /// A failure is final: every later write gives [`LogError::Poisoned`].
    pub fn sync(&mut self) -> Result<u64, LogError> {
        self.live.sync()
    }

    /// Does one bounded step of work ahead (at most 1 MiB written, at most one sync): zero-fills the room for coming
    /// appends, or notes on disk how far the log is durable. Says whether more is to be done. To be called while idle.
    ///
    /// # Errors
    /// Those of the disk. A full disk is none: there is then nothing more to do.
    pub fn prepare(&mut self) -> Result<bool, LogError> {
        self.live.prepare()
    }

    /// The last entry. After a copy was put in place, the one that the copy ended with, kept or not.
    pub fn end(&self) -> Option<EntryId> {
        self.live.end()
    }

    /// The last position that is durable; 0 when none is.
    pub fn durable(&self) -> u64 {
        self.live.durable
    }

    /// The entry with a key of a group; `None` if it is dead or was never there.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when it, or a neighbour, is damaged.
    pub fn read(&mut self, group: u64, key: u64) -> Result<Option<Entry>, LogError> {
        self.live.read(group, key)
    }

    /// The entries from a position on that are still there, in order, up to `max_bytes` of records but at least one if
    /// there is any. Their bodies share memory with the blocks they were read from.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] when one of them is damaged.
    pub fn scan(&mut self, from: u64, max_bytes: usize) -> Result<Vec<Entry>, LogError> {
        self.live.scan(from, max_bytes)
    }

    /// Every position from this one to the end is there; 1 when nothing was ever dropped.
    pub fn contiguous_from(&self) -> u64 {
        self.contiguous_from
    }

    /// Cuts off every entry above a position; durable on return. Positions from there on are given anew.
    ///
    /// # Errors
    /// [`LogError::TruncateCommitted`] for what is known committed or covered by a snapshot, [`LogError::Full`]
    /// (the log is as it was, or has lost only entries that were to go), and those of the disk.
    pub fn truncate_after(&mut self, position: u64) -> Result<(), LogError> {
        let lowest = self.live.committed.max(self.newest_snapshot);
        if position < lowest {
            return Err(LogError::TruncateCommitted { position, lowest });
        }
        self.live.truncate_after(position)
    }

    /// Keeps the caller's state as of a position; durable on return. The newest two are kept.
    ///
    /// # Errors
    /// [`LogError::SnapshotAhead`] for a position that is not durable, [`LogError::Full`] (nothing has changed), and
    /// those of the disk, which are final.
    pub fn save_snapshot(&mut self, position: u64, bytes: &[u8]) -> Result<(), LogError> {
        self.live.refuse_when_poisoned()?;
        let durable = self.live.durable;
        if position > durable {
            return Err(LogError::SnapshotAhead { position, durable });
        }
        save_into(&mut self.live, position, bytes)?;
        self.newest_snapshot = self.newest_snapshot.max(position);
        Ok(())
    }

    /// Declares the keys of a group below `first_key` dead, all of them with `u64::MAX`. Kept in memory only: the
    /// caller repeats it after a start and after a copy was put in place.
    pub fn trim(&mut self, group: u64, first_key: u64) {
        self.live.groups.trim(group, first_key);
    }

    /// The groups that have messages in the log, ascending. After a start, those that the caller does not know are to
    /// be trimmed wholly, or their room is never given back.
    pub fn groups(&self) -> impl Iterator<Item = u64> {
        self.live.groups.groups()
    }

    /// Removes the segments whose every message is dead and whose every entry is covered by the newest snapshot; never
    /// the last segment.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn reclaim(&mut self) -> Result<Reclaimed, LogError> {
        self.live.refuse_when_poisoned()?;
        let mut dead = Vec::new();
        let mut reclaimed = Reclaimed::default();
        let mut following = self.live.segments.keys().skip(1);
        for (first, segment) in &self.live.segments {
            let Some(next_first) = following.next() else {
                break;
            };
            let covered = segment.last.position <= self.newest_snapshot;
            let mut groups = segment.index.groups();
            if covered
                && groups.all(|(group, _, last_key)| self.live.groups.is_dead(group, last_key))
            {
                dead.push(*first);
                reclaimed.segments += 1;
                reclaimed.bytes += segment.len;
                self.contiguous_from = self.contiguous_from.max(*next_first);
            }
        }
        self.live.remove_segments(&dead)?;
        Ok(reclaimed)
    }

    /// Facts for metrics.
    pub fn stats(&self) -> LogStats {
        let mut stats = LogStats {
            groups: self.live.groups.groups().count() as u64,
            sealed: self.live.options.seal.is_some(),
            ..LogStats::default()
        };
        for segment in self.live.segments.values() {
            stats.segments += 1;
            stats.plain_segments += u64::from(segment.header.key_id == 0);
            stats.bytes += segment.len;
            stats.blocks += segment.blocks;
        }
        if let Some(tail) = &self.live.tail {
            let len = self
                .live
                .segments
                .get(&tail.first)
                .map_or(0, |segment| segment.len);
            stats.bytes += tail.filled.saturating_sub(len);
        }
        stats
    }

    /// Reads every segment and snapshot back from the disk and checks it.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for the first damage found, and those of the disk.
    pub fn verify(&mut self) -> Result<VerifyReport, LogError> {
        let mut report = self.live.verify()?;
        let options = &self.live.options;
        let context = SnapshotContext {
            identity: &options.identity,
            keys: options.seal.as_deref(),
        };
        for position in list_snapshots(&*self.live.disk, &self.dir)? {
            load_snapshot(&*self.live.disk, &self.dir, context, position)?;
            report.snapshots += 1;
        }
        Ok(report)
    }
}

impl<D: Disk> fmt::Debug for Log<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("dir", &self.dir)
            .field("end", &self.end())
            .field("durable", &self.durable())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Writes a snapshot into a chain's directory.
pub(crate) fn save_into<D: Disk>(
    chain: &mut Chain<D>,
    position: u64,
    bytes: &[u8],
) -> Result<(), LogError> {
    let uuid = chain.uuids.draw();
    let context = SnapshotContext {
        identity: &chain.options.identity,
        keys: chain.options.seal.as_deref(),
    };
    match save_snapshot(&*chain.disk, &chain.dir, context, uuid, position, bytes) {
        Ok(()) => Ok(()),
        Err(SaveFault::Full(failed)) => Err(failed),
        Err(SaveFault::Final(failed)) => {
            chain.poisoned = true;
            Err(failed)
        }
    }
}

type Snapshot = Option<(u64, Bytes)>;

fn newest_snapshot<D: Disk>(
    disk: &D,
    dir: &str,
    context: SnapshotContext<'_>,
) -> Result<(Snapshot, Vec<u64>), LogError> {
    let mut damaged = Vec::new();
    for position in list_snapshots(disk, dir)?.into_iter().rev() {
        match load_snapshot(disk, dir, context, position) {
            Ok(bytes) => return Ok((Some((position, bytes)), damaged)),
            Err(LogError::Corrupt { .. }) => damaged.push(position),
            Err(failed) => return Err(failed),
        }
    }
    Ok((None, damaged))
}
