//! Real files: the only place of the store that touches the file system.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this module is what stands behind the Disk trait"
)]

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;

const LOCK_NAME: &str = "lock";

/// Files below a root directory, which one process at a time may use.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    /// Held for its lock, which goes with the process whatever ends it.
    _lock: File,
}

impl RealDisk {
    /// Takes a directory for this process, making it if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process, or another value in this one, has it.
    pub fn new(root: PathBuf) -> Result<Self, StoreError> {
        let shown = root.display().to_string();
        create_root(&root).map_err(|source| StoreError::io("create", &shown, source))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join(LOCK_NAME))
            .map_err(|source| StoreError::io("lock", &shown, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { root: shown }),
            Err(TryLockError::Error(source)) => Err(StoreError::io("lock", &shown, source)),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        // Joining an empty name would put a slash behind the root.
        if path.is_empty() {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }
}

/// Makes a directory and those above it, each durable in the one that holds it.
fn create_root(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    let parent = match root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    create_root(parent)?;
    match fs::create_dir(root) {
        Err(failed) if failed.kind() != io::ErrorKind::AlreadyExists => Err(failed),
        Ok(()) | Err(_) => File::open(parent)?.sync_all(),
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn create(&self, path: &str) -> io::Result<RealFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        options.open(self.path(path)).map(RealFile)
    }

    fn open(&self, path: &str) -> io::Result<RealFile> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(path))
            .map(RealFile)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.path(path).try_exists()
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for item in fs::read_dir(self.path(dir))? {
            // The store's own names are all ASCII, so a name that is not text is not the store's.
            names.extend(item?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        match fs::create_dir(self.path(dir)) {
            Err(failed) if failed.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.path(dir)) {
            Err(failed) if failed.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.path(dir))?.sync_all()
    }
}

/// An open file of a [`RealDisk`].
#[derive(Debug)]
pub struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = buf.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + read as u64) {
                Ok(0) => break,
                Ok(len) => read += len,
                Err(failed) if failed.kind() == io::ErrorKind::Interrupted => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(read)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}
