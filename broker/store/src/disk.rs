//! The seam between the store and whatever keeps its bytes: real files, or a simulated disk with faults.

use std::io;

/// A tree of files below one store root.
///
/// Paths are relative names joined by `/` (`shard-1/00000000000000000001.seg`); the empty path is the root. A rename
/// stays within one directory. Whatever is done to names is durable only after [`Disk::sync_dir`] of the directory
/// that holds the names, and whatever is done to a file's bytes only after [`DiskFile::sync_data`] of that file.
pub trait Disk: Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// Makes an empty file and opens it for reading and writing; a file that is there already is emptied.
    fn create(&self, path: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &str) -> io::Result<Self::File>;

    /// Whether a file or directory has this name.
    fn exists(&self, path: &str) -> io::Result<bool>;

    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Renames a file or directory, replacing a file that has the new name, in one step that a crash cannot split.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// The names in a directory, sorted, without their path.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Makes a directory; one that is there already is left as it is.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Removes a directory with the files in it; one that is not there is no error.
    fn remove_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
}

/// An open file of a [`Disk`].
pub trait DiskFile: Send {
    /// Reads at an offset; fewer bytes than asked for only where the file ends.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at an offset; a gap behind the old end reads as zeros.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes every byte written so far, and the length, durable (`fdatasync`).
    ///
    /// After a failure nothing is known about what was written since the last success, and a retry proves nothing:
    /// the caller must stop using the file for writing.
    fn sync_data(&mut self) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or grows it with zeros.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
}

/// The path of a name in a directory.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}

/// The directory that holds the last name of a path; the root is the empty path.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
