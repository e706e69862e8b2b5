//! The relevo log on disk, over a Disk trait.
