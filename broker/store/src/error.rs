//! What can go wrong, one enum for the log and one for the files beside it.

use std::error::Error;
use std::{fmt, io};

/// Why a [`Log`](crate::log::Log) refused or failed.
#[derive(Debug)]
pub enum LogError {
    /// The disk is full. Nothing of this call counts; the log goes on, and the same call may succeed later.
    Full {
        /// What was being written.
        path: String,
    },
    /// The disk failed. After a failed write or sync every later write is [`LogError::Poisoned`].
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        path: String,
        /// The disk's answer.
        source: io::Error,
    },
    /// An earlier write or sync failed, so what is on the disk is unknown: this log takes no more writes. Open it
    /// again in a new process.
    Poisoned,
    /// Bytes that were durable read back wrong. Nothing was changed: leave the in-sync set and copy from the peer.
    Corrupt {
        /// The file.
        segment: String,
        /// Where in it the damage starts, in bytes.
        offset: u64,
        /// The first position that the damage may hide.
        position: u64,
    },
    /// A file is sealed with a key that the key file does not hold.
    MissingKey {
        /// The sealed file.
        path: String,
        /// The key's id in the key file.
        key_id: u32,
    },
    /// The key file holds another key under this id than the one the file was sealed with.
    WrongKey {
        /// The sealed file.
        path: String,
        /// The key's id in the key file.
        key_id: u32,
    },
    /// A file was written by a version of relevo that this one does not know.
    UnsupportedVersion {
        /// The file.
        path: String,
        /// Its format version.
        version: u32,
    },
    /// A file belongs to another cluster or shard.
    Foreign {
        /// The file.
        path: String,
    },
    /// Entries do not go on where the log ends.
    OutOfOrder {
        /// The position that would have been right (for a staged copy: the lowest).
        expected: u64,
        /// The position that was given.
        found: u64,
    },
    /// A key does not rise within its group.
    KeyOrder {
        /// The group.
        group: u64,
        /// The highest key that the log holds of it.
        last: u64,
        /// The key that was given.
        found: u64,
    },
    /// A body is longer than [`MAX_BODY_LEN`](crate::entry::MAX_BODY_LEN).
    EntryTooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// Truncation would remove entries that are known to be committed or that a snapshot covers.
    TruncateCommitted {
        /// Where the log was to be cut.
        position: u64,
        /// The lowest position at which it may be cut.
        lowest: u64,
    },
    /// A snapshot would cover entries that are not durable yet.
    SnapshotAhead {
        /// The snapshot's position.
        position: u64,
        /// The durable position.
        durable: u64,
    },
    /// A staged copy was appended to or committed without one having been begun.
    NotStaging,
}

impl LogError {
    /// Tells a full disk from a failing one.
    pub(crate) fn io(action: &'static str, path: &str, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) {
            Self::Full { path }
        } else {
            Self::Io {
                action,
                path,
                source,
            }
        }
    }
}

/// Whether a disk refused for want of room.
pub(crate) fn is_full(source: &io::Error) -> bool {
    matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { path } => {
                write!(f, "write {path}: the disk is full; nothing was written, free some space and try again")
            }
            Self::Io { action, path, source } => write!(f, "{action} {path}: {source}"),
            Self::Poisoned => f.write_str(
                "write to the log: an earlier write or sync failed, so its state on disk is unknown; restart the broker",
            ),
            Self::Corrupt { segment, offset, position } => write!(
                f,
                "read {segment}: bytes at offset {offset} are damaged (entries from position {position} on); \
                 nothing was changed: move this store away and start with an empty one, it is copied from the peer"
            ),
            Self::MissingKey { path, key_id } => write!(
                f,
                "open {path}: it is sealed with key {key_id}, which the key file does not hold; \
                 give the key file that has the line `relevo-key {key_id} …`"
            ),
            Self::WrongKey { path, key_id } => write!(
                f,
                "open {path}: it is sealed with another key than the key file's key {key_id}; \
                 give the key file this store was made with"
            ),
            Self::UnsupportedVersion { path, version } => write!(
                f,
                "open {path}: its format version {version} is not known here; run the relevo version that wrote it"
            ),
            Self::Foreign { path } => {
                write!(f, "open {path}: it belongs to another cluster or shard; put it back where it came from")
            }
            Self::OutOfOrder { expected, found } => {
                write!(f, "append to the log: expected position {expected}, found {found}")
            }
            Self::KeyOrder { group, last, found } => {
                write!(f, "append to the log: key {found} of group {group} does not follow {last}")
            }
            Self::EntryTooLarge { len } => write!(
                f,
                "append to the log: a body of {len} bytes is longer than {} bytes",
                crate::entry::MAX_BODY_LEN
            ),
            Self::TruncateCommitted { position, lowest } => write!(
                f,
                "truncate the log after {position}: everything up to {lowest} is committed and stays"
            ),
            Self::SnapshotAhead { position, durable } => {
                write!(f, "save a snapshot at {position}: the log is durable only up to {durable}; sync it first")
            }
            Self::NotStaging => f.write_str("stage a copy: none was begun"),
        }
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Full { .. }
            | Self::Poisoned
            | Self::Corrupt { .. }
            | Self::MissingKey { .. }
            | Self::WrongKey { .. }
            | Self::UnsupportedVersion { .. }
            | Self::Foreign { .. }
            | Self::OutOfOrder { .. }
            | Self::KeyOrder { .. }
            | Self::EntryTooLarge { .. }
            | Self::TruncateCommitted { .. }
            | Self::SnapshotAhead { .. }
            | Self::NotStaging => None,
        }
    }
}

/// Why a store root, or one of the small files in it, refused or failed.
#[derive(Debug)]
pub enum StoreError {
    /// The disk is full.
    Full {
        /// What was being written.
        path: String,
    },
    /// The disk failed.
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To what.
        path: String,
        /// The disk's answer.
        source: io::Error,
    },
    /// An earlier write or sync of this file failed, so what is on the disk is unknown.
    Poisoned {
        /// The file.
        path: String,
    },
    /// Bytes that were durable read back wrong.
    Corrupt {
        /// The file.
        path: String,
    },
    /// Another process uses this store root.
    Locked {
        /// The store root.
        root: String,
    },
    /// The store is sealed and no key was given.
    KeyRequired {
        /// The id of the newest key the store was sealed with.
        key_id: u32,
    },
    /// The store is sealed with a key that the key file does not hold.
    MissingKey {
        /// What is sealed with it.
        path: String,
        /// The key's id in the key file.
        key_id: u32,
    },
    /// The key file holds another key under this id than the one the store was sealed with.
    WrongKey {
        /// What is sealed with it.
        path: String,
        /// The key's id in the key file.
        key_id: u32,
    },
    /// A key was given for a store that was made without one.
    NotSealed,
    /// The store was written by a version of relevo that this one does not know.
    UnsupportedVersion {
        /// The file that says so.
        path: String,
        /// Its format version.
        version: u32,
    },
    /// A value does not fit into a two-slot file.
    ValueTooLarge {
        /// Its length in bytes.
        len: usize,
    },
}

impl StoreError {
    /// Tells a full disk from a failing one.
    pub(crate) fn io(action: &'static str, path: &str, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) {
            Self::Full { path }
        } else {
            Self::Io {
                action,
                path,
                source,
            }
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { path } => write!(f, "write {path}: the disk is full; free some space and try again"),
            Self::Io { action, path, source } => write!(f, "{action} {path}: {source}"),
            Self::Poisoned { path } => write!(
                f,
                "write {path}: an earlier write or sync failed, so its state on disk is unknown; restart the process"
            ),
            Self::Corrupt { path } => write!(
                f,
                "read {path}: it is damaged; nothing was changed: move this store away and start with an empty one, \
                 it is copied from the peer"
            ),
            Self::Locked { root } => write!(
                f,
                "lock {root}: another relevo process uses this store; stop it, or give another directory"
            ),
            Self::KeyRequired { key_id } => write!(
                f,
                "open the store: it is sealed; give the key file that holds key {key_id} (--key FILE), \
                 sealing cannot be turned off for a store that has it"
            ),
            Self::MissingKey { path, key_id } => write!(
                f,
                "open {path}: it is sealed with key {key_id}, which the key file does not hold; \
                 give the key file that has the line `relevo-key {key_id} …`"
            ),
            Self::WrongKey { path, key_id } => write!(
                f,
                "open {path}: it is sealed with another key than the key file's key {key_id}; \
                 give the key file this store was made with"
            ),
            Self::NotSealed => f.write_str(
                "open the store: it was made without sealing, and a key was given; start it without a key (--no-seal), \
                 or move it away and start with an empty one, which is sealed while it is copied from the peer",
            ),
            Self::UnsupportedVersion { path, version } => write!(
                f,
                "open {path}: its format version {version} is not known here; run the relevo version that wrote it"
            ),
            Self::ValueTooLarge { len } => write!(
                f,
                "store a value: {len} bytes are more than {}",
                crate::two_slot::MAX_VALUE_LEN
            ),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Full { .. }
            | Self::Poisoned { .. }
            | Self::Corrupt { .. }
            | Self::Locked { .. }
            | Self::KeyRequired { .. }
            | Self::MissingKey { .. }
            | Self::WrongKey { .. }
            | Self::NotSealed
            | Self::UnsupportedVersion { .. }
            | Self::ValueTooLarge { .. } => None,
        }
    }
}
