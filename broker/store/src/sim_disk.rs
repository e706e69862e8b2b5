//! A disk in memory that fails as disks do, from a seed.
//!
//! **The fault model.** What a running process sees is always what it wrote last. What a crash leaves is decided per
//! file and per directory:
//! - Bytes that were there at the file's last successful [`sync_data`](DiskFile::sync_data) stay. Of the writes after
//!   it, a crash keeps none, all, a prefix whose last write is cut at a multiple of [`SECTOR_LEN`], or any subset of
//!   their sectors ([`Unsynced`]). A sector is never torn within. A change of length is kept or lost as a whole.
//! - Names that were in a directory at its last successful [`sync_dir`](Disk::sync_dir) stay. Of the changes after it,
//!   a crash keeps none, all, a prefix or any subset; each of them whole. A file's bytes being durable does not make
//!   its name so. A directory whose name is lost is lost with all that is in it.
//! - A failed sync ([`SimDisk::fail_sync`]) leaves of the unsynced writes whatever it likes on the disk, and marks the
//!   rest as if it were there: no later sync brings it to the disk. The running process still reads it.
//! - A full disk ([`SimDisk::set_capacity`]) writes what there is room for, and then fails the write. Room counts by
//!   file length; to overwrite needs none.
//! - A power cut ([`SimDisk::cut_power`]) fails the n-th change from now and every operation after it, until
//!   [`SimDisk::crash`]. If that change is a write, it may be found after the crash, like any unsynced one.
//! - A flipped bit ([`SimDisk::flip`]) is there at once and stays.
//!
//! Not modelled: slow operations, reads that fail, writes that land elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile, join, parent};

/// The unit that a disk writes whole, in bytes.
pub const SECTOR_LEN: usize = 512;

/// What a crash leaves of the changes since the last sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// Nothing.
    Lost,
    /// Everything.
    Kept,
    /// Per file and directory the first few, the last write among them cut at a sector.
    Prefix,
    /// Per file any sectors, per directory any names.
    Subset,
}

impl Unsynced {
    /// All of them, for tests that try each.
    pub const ALL: [Self; 4] = [Self::Lost, Self::Kept, Self::Prefix, Self::Subset];
}

/// A disk in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`SimDisk`]; useless after a crash.
#[derive(Debug)]
pub struct SimFile {
    state: Arc<Mutex<State>>,
    inode: u64,
    boot: u64,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<u64, FileNode>,
    dirs: BTreeMap<u64, DirNode>,
    next_inode: u64,
    /// Counts crashes, so that files opened before one are told from those after.
    boot: u64,
    random: Random,
    changes: u64,
    power_off_at: Option<u64>,
    syncs_until_failure: Option<u64>,
    capacity: u64,
}

#[derive(Debug, Default)]
struct FileNode {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<FileChange>,
}

#[derive(Clone, Debug)]
enum FileChange {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

#[derive(Debug, Default)]
struct DirNode {
    durable: BTreeMap<String, u64>,
    current: BTreeMap<String, u64>,
    pending: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link { name: String, inode: u64 },
    Unlink { name: String },
    Rename { from: String, to: String },
}

const ROOT: u64 = 0;

impl SimDisk {
    /// An empty disk without bounds. The same seed and the same calls give the same disk.
    pub fn new(seed: u64) -> Self {
        let state = State {
            files: BTreeMap::new(),
            dirs: BTreeMap::from([(ROOT, DirNode::default())]),
            next_inode: ROOT + 1,
            boot: 0,
            random: Random(seed),
            changes: 0,
            power_off_at: None,
            syncs_until_failure: None,
            capacity: u64::MAX,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Stops the process: unsynced changes go as `unsynced` says, open files are gone, power is back.
    pub fn crash(&self, unsynced: Unsynced) {
        let mut state = self.lock();
        let state = &mut *state;
        state.boot += 1;
        state.power_off_at = None;
        for file in state.files.values_mut() {
            file.settle(unsynced, &mut state.random);
            file.current.clone_from(&file.durable);
        }
        for dir in state.dirs.values_mut() {
            for change in pick(
                unsynced,
                &mut state.random,
                std::mem::take(&mut dir.pending),
            ) {
                apply_name_change(&mut dir.durable, &change);
            }
            dir.current.clone_from(&dir.durable);
        }
        state.drop_unreachable();
    }

    /// Fails the `after`-th change from now (0: the next one) and everything after it, until [`crash`](Self::crash).
    pub fn cut_power(&self, after: u64) {
        let mut state = self.lock();
        state.power_off_at = Some(state.changes + after);
    }

    /// How many changes there were: creations, writes, syncs, renames, removals. Counts up to a power cut.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Fails the `after`-th sync of a file or directory from now (0: the next one), once.
    pub fn fail_sync(&self, after: u64) {
        self.lock().syncs_until_failure = Some(after);
    }

    /// Sets how many bytes all files together may be long.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// How many bytes all files together are long.
    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    /// Flips the bits of `mask` in a byte of a file; `false` if there is no such byte.
    pub fn flip(&self, path: &str, offset: usize, mask: u8) -> bool {
        let mut state = self.lock();
        let Some(file) = state
            .find(path)
            .and_then(|inode| state.files.get_mut(&inode))
        else {
            return false;
        };
        if let Some(byte) = file.durable.get_mut(offset) {
            *byte ^= mask;
        }
        match file.current.get_mut(offset) {
            Some(byte) => {
                *byte ^= mask;
                true
            }
            None => false,
        }
    }

    /// The bytes of a file as a process sees them; `None` if it is not there.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let inode = state.find(path)?;
        state.files.get(&inode).map(|file| file.current.clone())
    }

    /// The paths of all files, sorted.
    pub fn paths(&self) -> Vec<String> {
        let state = self.lock();
        let mut paths = Vec::new();
        let mut dirs = vec![(String::new(), ROOT)];
        while let Some((path, inode)) = dirs.pop() {
            let Some(dir) = state.dirs.get(&inode) else {
                continue;
            };
            for (name, child) in &dir.current {
                let child_path = join(&path, name);
                if state.dirs.contains_key(child) {
                    dirs.push((child_path, *child));
                } else {
                    paths.push(child_path);
                }
            }
        }
        paths.sort_unstable();
        paths
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn handle(&self, inode: u64, boot: u64) -> SimFile {
        SimFile {
            state: Arc::clone(&self.state),
            inode,
            boot,
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&self, path: &str) -> io::Result<SimFile> {
        let mut state = self.lock();
        state.change()?;
        let existing = state.find(path);
        let inode = match existing {
            Some(inode) if state.dirs.contains_key(&inode) => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Some(inode) => inode,
            None => {
                let inode = state.take_inode();
                state.files.insert(inode, FileNode::default());
                let name = name_of(path).to_owned();
                state.change_name(parent(path), NameChange::Link { name, inode })?;
                inode
            }
        };
        if let Some(file) = state.files.get_mut(&inode)
            && !file.current.is_empty()
        {
            file.change(FileChange::SetLen(0));
        }
        Ok(self.handle(inode, state.boot))
    }

    fn open(&self, path: &str) -> io::Result<SimFile> {
        let state = self.lock();
        state.check_power()?;
        let inode = state.find(path).ok_or(io::ErrorKind::NotFound)?;
        if state.files.contains_key(&inode) {
            Ok(self.handle(inode, state.boot))
        } else {
            Err(io::ErrorKind::IsADirectory.into())
        }
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let state = self.lock();
        state.check_power()?;
        Ok(state.find(path).is_some())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        let inode = state.find(path).ok_or(io::ErrorKind::NotFound)?;
        if !state.files.contains_key(&inode) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        state.change_name(
            parent(path),
            NameChange::Unlink {
                name: name_of(path).to_owned(),
            },
        )
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        if parent(from) != parent(to) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if state.find(from).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state
            .find(to)
            .is_some_and(|inode| state.dirs.contains_key(&inode))
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let change = NameChange::Rename {
            from: name_of(from).to_owned(),
            to: name_of(to).to_owned(),
        };
        state.change_name(parent(from), change)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.check_power()?;
        let inode = state.find(dir).ok_or(io::ErrorKind::NotFound)?;
        let dir = state.dirs.get(&inode).ok_or(io::ErrorKind::NotADirectory)?;
        Ok(dir.current.keys().cloned().collect())
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        if let Some(inode) = state.find(dir) {
            let is_dir = state.dirs.contains_key(&inode);
            return if is_dir {
                Ok(())
            } else {
                Err(io::ErrorKind::AlreadyExists.into())
            };
        }
        let inode = state.take_inode();
        state.dirs.insert(inode, DirNode::default());
        state.change_name(
            parent(dir),
            NameChange::Link {
                name: name_of(dir).to_owned(),
                inode,
            },
        )
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        if state.find(dir).is_none() {
            return Ok(());
        }
        state.change_name(
            parent(dir),
            NameChange::Unlink {
                name: name_of(dir).to_owned(),
            },
        )
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        let inode = state.find(dir).ok_or(io::ErrorKind::NotFound)?;
        let fails = state.sync_fails();
        let state = &mut *state;
        let dir = state
            .dirs
            .get_mut(&inode)
            .ok_or(io::ErrorKind::NotADirectory)?;
        let pending = std::mem::take(&mut dir.pending);
        let unsynced = if fails {
            Unsynced::Subset
        } else {
            Unsynced::Kept
        };
        for change in pick(unsynced, &mut state.random, pending) {
            apply_name_change(&mut dir.durable, &change);
        }
        if fails { Err(failed_sync()) } else { Ok(()) }
    }
}

impl SimFile {
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = lock(&self.state);
        if state.boot == self.boot {
            Ok(state)
        } else {
            Err(io::Error::other("the file was open before a crash"))
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.lock()?;
        state.check_power()?;
        let current = state
            .files
            .get(&self.inode)
            .map_or(&[][..], |file| &file.current);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = current.get(start..).unwrap_or_default();
        let len = bytes.len().min(buf.len());
        let (Some(target), Some(source)) = (buf.get_mut(..len), bytes.get(..len)) else {
            return Ok(0);
        };
        target.copy_from_slice(source);
        Ok(len)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.lock()?;
        state.check_power()?;
        let powered = state.change();
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let room = state.capacity.saturating_sub(state.used());
        let file = state
            .files
            .get_mut(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        let longest = file
            .current
            .len()
            .saturating_add(usize::try_from(room).unwrap_or(usize::MAX));
        let fitting = bytes.len().min(longest.saturating_sub(offset));
        let written = bytes.get(..fitting).unwrap_or_default().to_vec();
        if !written.is_empty() {
            file.change(FileChange::Write {
                offset,
                bytes: written,
            });
        }
        powered?;
        if fitting < bytes.len() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut state = self.lock()?;
        state.change()?;
        let fails = state.sync_fails();
        let state = &mut *state;
        let file = state
            .files
            .get_mut(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        let unsynced = if fails {
            Unsynced::Subset
        } else {
            Unsynced::Kept
        };
        file.settle(unsynced, &mut state.random);
        if fails { Err(failed_sync()) } else { Ok(()) }
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.lock()?;
        state.check_power()?;
        let file = state
            .files
            .get(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(file.current.len() as u64)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.lock()?;
        state.change()?;
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let file = state
            .files
            .get_mut(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        file.change(FileChange::SetLen(len));
        Ok(())
    }
}

impl State {
    fn take_inode(&mut self) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        inode
    }

    fn find(&self, path: &str) -> Option<u64> {
        let mut inode = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            inode = *self.dirs.get(&inode)?.current.get(name)?;
        }
        Some(inode)
    }

    fn change_name(&mut self, dir: &str, change: NameChange) -> io::Result<()> {
        let inode = self.find(dir).ok_or(io::ErrorKind::NotFound)?;
        let dir = self
            .dirs
            .get_mut(&inode)
            .ok_or(io::ErrorKind::NotADirectory)?;
        apply_name_change(&mut dir.current, &change);
        dir.pending.push(change);
        Ok(())
    }

    fn check_power(&self) -> io::Result<()> {
        match self.power_off_at {
            Some(at) if self.changes > at => Err(no_power()),
            Some(_) | None => Ok(()),
        }
    }

    fn change(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.changes += 1;
        self.check_power()
    }

    fn sync_fails(&mut self) -> bool {
        match self.syncs_until_failure {
            Some(0) => {
                self.syncs_until_failure = None;
                true
            }
            Some(left) => {
                self.syncs_until_failure = Some(left - 1);
                false
            }
            None => false,
        }
    }

    fn used(&self) -> u64 {
        let mut used = 0;
        let mut dirs = vec![ROOT];
        while let Some(inode) = dirs.pop() {
            let children = self
                .dirs
                .get(&inode)
                .into_iter()
                .flat_map(|dir| dir.current.values());
            for child in children {
                match self.files.get(child) {
                    Some(file) => used += file.current.len() as u64,
                    None => dirs.push(*child),
                }
            }
        }
        used
    }

    fn drop_unreachable(&mut self) {
        let mut reached = std::collections::BTreeSet::from([ROOT]);
        let mut dirs = vec![ROOT];
        while let Some(inode) = dirs.pop() {
            let children = self
                .dirs
                .get(&inode)
                .into_iter()
                .flat_map(|dir| dir.current.values());
            for child in children {
                reached.insert(*child);
                dirs.push(*child);
            }
        }
        self.files.retain(|inode, _| reached.contains(inode));
        self.dirs.retain(|inode, _| reached.contains(inode));
    }
}

impl FileNode {
    fn change(&mut self, change: FileChange) {
        apply_file_change(&mut self.current, &change);
        self.pending.push(change);
    }

    /// Brings some of the pending changes to the disk and gives up the rest.
    fn settle(&mut self, unsynced: Unsynced, random: &mut Random) {
        let mut pending = std::mem::take(&mut self.pending);
        match unsynced {
            Unsynced::Lost => pending.clear(),
            Unsynced::Kept => {}
            Unsynced::Prefix => {
                let kept = random.below(pending.len() + 1);
                let torn = pending
                    .get(kept)
                    .and_then(|change| cut_write(change, random));
                pending.truncate(kept);
                pending.extend(torn);
            }
            Unsynced::Subset => {
                pending = pending
                    .iter()
                    .flat_map(|change| pick_sectors(change, random))
                    .collect();
            }
        }
        for change in &pending {
            apply_file_change(&mut self.durable, change);
        }
    }
}

/// The first sectors of a write.
fn cut_write(change: &FileChange, random: &mut Random) -> Option<FileChange> {
    match change {
        FileChange::Write { offset, bytes } => {
            let sectors = sectors_of(*offset, bytes.len());
            let kept = random.below(sectors.len());
            let end = sectors.get(kept)?.0.checked_sub(*offset)?;
            let bytes = bytes.get(..end)?.to_vec();
            Some(FileChange::Write {
                offset: *offset,
                bytes,
            })
        }
        FileChange::SetLen(_) => None,
    }
}

/// Any sectors of a write.
fn pick_sectors(change: &FileChange, random: &mut Random) -> Vec<FileChange> {
    match change {
        FileChange::Write { offset, bytes } => {
            let mut kept = Vec::new();
            for (start, end) in sectors_of(*offset, bytes.len()) {
                let sector = bytes.get(start - offset..end - offset).unwrap_or_default();
                if random.chance() {
                    kept.push(FileChange::Write {
                        offset: start,
                        bytes: sector.to_vec(),
                    });
                }
            }
            kept
        }
        FileChange::SetLen(len) => {
            if random.chance() {
                vec![FileChange::SetLen(*len)]
            } else {
                Vec::new()
            }
        }
    }
}

/// The parts of a write that lie in one sector each, as start and end in the file.
fn sectors_of(offset: usize, len: usize) -> Vec<(usize, usize)> {
    let end = offset + len;
    let mut sectors = Vec::new();
    let mut start = offset;
    while start < end {
        let next = ((start / SECTOR_LEN + 1) * SECTOR_LEN).min(end);
        sectors.push((start, next));
        start = next;
    }
    sectors
}

fn pick(unsynced: Unsynced, random: &mut Random, mut changes: Vec<NameChange>) -> Vec<NameChange> {
    match unsynced {
        Unsynced::Lost => Vec::new(),
        Unsynced::Kept => changes,
        Unsynced::Prefix => {
            changes.truncate(random.below(changes.len() + 1));
            changes
        }
        Unsynced::Subset => changes.into_iter().filter(|_| random.chance()).collect(),
    }
}

fn apply_file_change(bytes: &mut Vec<u8>, change: &FileChange) {
    match change {
        FileChange::Write {
            offset,
            bytes: written,
        } => {
            let end = offset + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            if let Some(place) = bytes.get_mut(*offset..end) {
                place.copy_from_slice(written);
            }
        }
        FileChange::SetLen(len) => bytes.resize(*len, 0),
    }
}

fn apply_name_change(names: &mut BTreeMap<String, u64>, change: &NameChange) {
    match change {
        NameChange::Link { name, inode } => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Unlink { name } => {
            names.remove(name);
        }
        NameChange::Rename { from, to } => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

fn failed_sync() -> io::Error {
    io::Error::other("the sync failed")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A test that panics elsewhere must not hide its message behind this one.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SplitMix64: small, and the same everywhere.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = (bound as u64).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn chance(&mut self) -> bool {
        self.next() & 1 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_with_file() -> (SimDisk, SimFile) {
        let disk = SimDisk::new(1);
        let mut file = disk.create("f").unwrap();
        file.write_at(b"durable", 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir("").unwrap();
        (disk, file)
    }

    #[test]
    fn synced_bytes_and_names_survive_every_crash() {
        for unsynced in Unsynced::ALL {
            let (disk, mut file) = disk_with_file();
            file.write_at(b"more", 7).unwrap();
            disk.create("g").unwrap();
            disk.crash(unsynced);
            assert!(
                disk.contents("f").unwrap().starts_with(b"durable"),
                "{unsynced:?}"
            );
            assert!(file.len().is_err(), "open before the crash");
        }
    }

    #[test]
    fn unsynced_changes_are_lost_or_kept_as_asked() {
        let (disk, mut file) = disk_with_file();
        file.write_at(b"D", 0).unwrap();
        disk.create("g").unwrap();
        disk.crash(Unsynced::Lost);
        assert_eq!(disk.contents("f").unwrap(), b"durable");
        assert_eq!(disk.paths(), ["f"]);

        let mut file = disk.open("f").unwrap();
        file.write_at(b"D", 0).unwrap();
        file.set_len(3).unwrap();
        disk.rename("f", "h").unwrap();
        disk.crash(Unsynced::Kept);
        assert_eq!(disk.contents("h").unwrap(), b"Dur");
        assert_eq!(disk.paths(), ["h"]);
    }

    #[test]
    fn torn_writes_are_cut_at_sectors_only() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..64 {
            for unsynced in [Unsynced::Prefix, Unsynced::Subset] {
                let disk = SimDisk::new(seed);
                let mut file = disk.create("f").unwrap();
                disk.sync_dir("").unwrap();
                file.set_len(2048).unwrap();
                file.sync_data().unwrap();
                file.write_at(&[7; 1500], 100).unwrap();
                disk.crash(unsynced);
                let bytes = disk.contents("f").unwrap();
                let sectors: Vec<usize> = bytes
                    .chunks(SECTOR_LEN)
                    .map(|sector| sector.iter().filter(|byte| **byte == 7).count())
                    .collect();
                let whole = [412, 512, 512, 64];
                assert!(
                    sectors
                        .iter()
                        .zip(whole)
                        .all(|(kept, whole)| *kept == 0 || *kept == whole)
                );
                seen.insert(sectors);
            }
        }
        assert!(seen.len() > 8, "few kinds of tears: {seen:?}");
    }

    #[test]
    fn directory_that_was_not_synced_takes_its_files_with_it() {
        let disk = SimDisk::new(1);
        disk.create_dir("d").unwrap();
        disk.create("d/f").unwrap().sync_data().unwrap();
        disk.sync_dir("d").unwrap();
        disk.crash(Unsynced::Lost);
        assert!(disk.paths().is_empty());
        assert!(!disk.exists("d").unwrap());
    }

    #[test]
    fn failed_sync_forsakes_what_was_unsynced() {
        let (disk, mut file) = disk_with_file();
        file.write_at(b"DURABLE", 0).unwrap();
        disk.fail_sync(0);
        assert!(file.sync_data().is_err());
        assert_eq!(
            disk.contents("f").unwrap(),
            b"DURABLE",
            "still read by the process"
        );
        file.sync_data().unwrap();
        let after_retry = |seed| {
            let disk = SimDisk::new(seed);
            let mut file = disk.create("f").unwrap();
            disk.sync_dir("").unwrap();
            file.write_at(b"x", 0).unwrap();
            disk.fail_sync(0);
            assert!(file.sync_data().is_err());
            file.sync_data().unwrap();
            disk.crash(Unsynced::Kept);
            disk.contents("f").unwrap()
        };
        assert!(
            (0..16).any(|seed| after_retry(seed).is_empty()),
            "a retry proved something"
        );
    }

    #[test]
    fn full_disk_writes_what_fits_and_overwrites_freely() {
        let (disk, mut file) = disk_with_file();
        disk.set_capacity(9);
        assert_eq!(
            file.write_at(b"abcd", 7).unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        assert_eq!(disk.contents("f").unwrap(), b"durableab");
        file.write_at(b"DURABLE", 0).unwrap();
        assert_eq!(disk.used(), 9);
        file.set_len(0).unwrap();
        file.write_at(b"abcd", 0).unwrap();
    }

    #[test]
    fn power_cut_fails_everything_until_the_crash() {
        let (disk, mut file) = disk_with_file();
        disk.cut_power(1);
        file.write_at(b"D", 0).unwrap();
        assert!(file.write_at(b"U", 1).is_err());
        assert!(file.sync_data().is_err());
        assert!(disk.list("").is_err());
        disk.crash(Unsynced::Kept);
        assert_eq!(disk.contents("f").unwrap(), b"DUrable");
    }

    #[test]
    fn same_seed_gives_the_same_disk() {
        let run = |seed| {
            let disk = SimDisk::new(seed);
            let mut file = disk.create("f").unwrap();
            disk.sync_dir("").unwrap();
            for index in 0..20_u8 {
                file.write_at(&[index; 700], u64::from(index) * 512)
                    .unwrap();
            }
            disk.crash(Unsynced::Subset);
            disk.contents("f")
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }
}
