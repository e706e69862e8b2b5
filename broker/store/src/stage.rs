//! A full copy of a log, built beside the live one and put in its place at once.
//!
//! The copy grows in `<dir>.stage`. When it is whole and durable, a file in it says so; then the live directory is
//! renamed to `<dir>.old`, the copy to `<dir>`, each rename durable before the next step, and the old one is removed.
//! A crash leaves the old log, or the new one, or both names and the file that says which.

use std::sync::Arc;

use crate::chain::{Chain, Holes};
use crate::disk::{Disk, DiskFile, join, parent};
use crate::entry::{Entry, EntryId};
use crate::error::LogError;
use crate::log::{Log, save_into};
use crate::snapshot::{SnapshotContext, load_snapshot};

const COMPLETE_NAME: &str = "complete";

/// A copy that is being built.
pub(crate) struct Staged<D: Disk> {
    chain: Chain<D>,
    position: u64,
    end: EntryId,
}

impl<D: Disk> Log<D> {
    /// Begins a copy: a snapshot at a position, to be followed by the entries at or below it whose messages live on.
    /// `end` is the identity of the entry at that position, whether or not it comes with the copy. A copy that was
    /// begun before is given up.
    ///
    /// # Errors
    /// [`LogError::OutOfOrder`] when `end` is not at `position`, [`LogError::Full`], and those of the disk.
    pub fn stage_begin(
        &mut self,
        position: u64,
        snapshot: &[u8],
        end: EntryId,
    ) -> Result<(), LogError> {
        self.live.refuse_when_poisoned()?;
        if end.position != position || position == 0 || position == u64::MAX {
            return Err(LogError::OutOfOrder {
                expected: position,
                found: end.position,
            });
        }
        self.staged = None;
        let dir = stage_dir(&self.dir);
        let disk = Arc::clone(&self.live.disk);
        remove_dir(&*disk, &dir)?;
        disk.create_dir(&dir)
            .map_err(|source| LogError::io("create", &dir, source))?;
        let uuids = self.live.uuids.fork();
        let mut chain = Chain::empty(disk, &dir, self.live.options.clone(), uuids);
        let saved = save_into(&mut chain, position, snapshot);
        self.live.poisoned |= chain.poisoned;
        saved?;
        self.staged = Some(Staged {
            chain,
            position,
            end,
        });
        Ok(())
    }

    /// Adds entries to the copy, at rising positions that may leave some out, none above the copy's position.
    ///
    /// # Errors
    /// As for [`append`](Self::append), and [`LogError::NotStaging`].
    pub fn stage_append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        self.live.refuse_when_poisoned()?;
        let staged = self.staged.as_mut().ok_or(LogError::NotStaging)?;
        if let Some(last) = entries
            .last()
            .filter(|last| last.position > staged.position)
        {
            return Err(LogError::OutOfOrder {
                expected: staged.position,
                found: last.position,
            });
        }
        let appended = staged.chain.append(entries, 0, Holes::Allowed);
        self.live.poisoned |= staged.chain.poisoned;
        appended
    }

    /// Checks the copy, makes it durable and puts it in the place of the live log, which is gone then.
    ///
    /// # Errors
    /// [`LogError::NotStaging`]; [`LogError::Full`] leaves the copy to be tried again or given up;
    /// [`LogError::Corrupt`] when the copy does not read back, which leaves the live log as it was; those of the disk.
    pub fn stage_commit(&mut self) -> Result<(), LogError> {
        self.live.refuse_when_poisoned()?;
        let staged = self.staged.as_mut().ok_or(LogError::NotStaging)?;
        let made = staged.complete();
        self.live.poisoned |= staged.chain.poisoned;
        made?;
        let Some(staged) = self.staged.take() else {
            return Err(LogError::NotStaging);
        };
        let swapped = swap_directories(&*self.live.disk, &self.dir);
        if swapped.is_err() {
            // Which of the two logs a restart will find is not known.
            self.live.poisoned = true;
        }
        swapped?;
        let Staged {
            mut chain,
            position,
            end,
        } = staged;
        chain.dir.clone_from(&self.dir);
        chain.committed = position;
        self.live = chain;
        self.contiguous_from = end.position + 1;
        self.newest_snapshot = position;
        Ok(())
    }

    /// Gives the copy up. What is left of it on disk is removed now if the disk lets it, and at the next start.
    pub fn stage_abort(&mut self) {
        if self.staged.take().is_some() {
            // A failure here loses nothing: the next copy and the next start remove the directory again.
            remove_dir(&*self.live.disk, &stage_dir(&self.dir)).ok();
        }
    }
}

impl<D: Disk> Staged<D> {
    fn complete(&mut self) -> Result<(), LogError> {
        let chain = &mut self.chain;
        let finished = chain
            .tail
            .as_ref()
            .is_some_and(|tail| tail.first == self.end.position + 1);
        if !finished {
            chain.finish_copy(self.end)?;
        }
        chain.verify()?;
        let context = SnapshotContext {
            identity: &chain.options.identity,
            keys: chain.options.seal.as_deref(),
        };
        load_snapshot(&*chain.disk, &chain.dir, context, self.position)?;

        let path = join(&chain.dir, COMPLETE_NAME);
        let mut file = chain
            .disk
            .create(&path)
            .map_err(|source| LogError::io("create", &path, source))?;
        if let Err(source) = file.sync_data() {
            chain.poisoned = true;
            return Err(LogError::Io {
                action: "sync",
                path,
                source,
            });
        }
        chain.sync_dir()
    }
}

fn stage_dir(dir: &str) -> String {
    format!("{dir}.stage")
}

fn old_dir(dir: &str) -> String {
    format!("{dir}.old")
}

fn swap_directories<D: Disk>(disk: &D, dir: &str) -> Result<(), LogError> {
    let (stage, old) = (stage_dir(dir), old_dir(dir));
    // The copy's own name must be durable before the live log gives up its name.
    sync_parent(disk, dir)?;
    remove_dir(disk, &old)?;
    rename(disk, dir, &old)?;
    rename(disk, &stage, dir)?;
    remove_dir(disk, &old)?;
    remove_mark(disk, dir)
}

/// Brings the directories of a log into one of two states, whatever the last process was doing: the log is there, or it
/// is new and empty.
pub(crate) fn settle_directories<D: Disk>(disk: &D, dir: &str) -> Result<(), LogError> {
    let (stage, old) = (stage_dir(dir), old_dir(dir));
    if !exists(disk, dir)? {
        if exists(disk, &join(&stage, COMPLETE_NAME))? {
            rename(disk, &stage, dir)?;
        } else if exists(disk, &old)? {
            rename(disk, &old, dir)?;
        } else {
            disk.create_dir(dir)
                .map_err(|source| LogError::io("create", dir, source))?;
            sync_parent(disk, dir)?;
        }
    }
    remove_dir(disk, &stage)?;
    remove_dir(disk, &old)?;
    remove_mark(disk, dir)
}

fn exists<D: Disk>(disk: &D, path: &str) -> Result<bool, LogError> {
    disk.exists(path)
        .map_err(|source| LogError::io("look for", path, source))
}

fn rename<D: Disk>(disk: &D, from: &str, to: &str) -> Result<(), LogError> {
    disk.rename(from, to)
        .map_err(|source| LogError::io("rename", from, source))?;
    sync_parent(disk, from)
}

fn remove_dir<D: Disk>(disk: &D, dir: &str) -> Result<(), LogError> {
    if exists(disk, dir)? {
        disk.remove_dir(dir)
            .map_err(|source| LogError::io("remove", dir, source))?;
        sync_parent(disk, dir)?;
    }
    Ok(())
}

fn remove_mark<D: Disk>(disk: &D, dir: &str) -> Result<(), LogError> {
    let path = join(dir, COMPLETE_NAME);
    if exists(disk, &path)? {
        disk.remove(&path)
            .map_err(|source| LogError::io("remove", &path, source))?;
    }
    Ok(())
}

fn sync_parent<D: Disk>(disk: &D, path: &str) -> Result<(), LogError> {
    disk.sync_dir(parent(path))
        .map_err(|source| LogError::io("sync", parent(path), source))
}
