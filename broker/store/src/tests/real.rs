//! The same on real files.
#![expect(
    clippy::disallowed_methods,
    reason = "a test makes and removes its own directory"
)]

use std::path::PathBuf;

use super::*;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::real_disk::RealDisk;

/// A directory of this test process, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("relevo-store-{}-{name}", std::process::id()));
        std::fs::remove_dir_all(&root).ok();
        Self(root)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn real_disk_does_what_the_trait_says() {
    let scratch = Scratch::new("trait");
    let disk = RealDisk::new(scratch.0.join("deep/root")).unwrap();
    assert_eq!(disk.list("").unwrap(), ["lock"]);
    disk.create_dir("d").unwrap();
    disk.create_dir("d").unwrap();
    let mut file = disk.create("d/b").unwrap();
    file.write_at(b"bytes", 3).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir("d").unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(file.len().unwrap(), 8);
    let mut buf = [9; 10];
    assert_eq!(disk.open("d/b").unwrap().read_at(&mut buf, 0).unwrap(), 8);
    assert_eq!(&buf[..8], b"\0\0\0bytes");
    assert_eq!(file.read_at(&mut buf, 100).unwrap(), 0);
    file.set_len(4).unwrap();
    assert_eq!(file.len().unwrap(), 4);
    disk.create("d/a").unwrap();
    assert_eq!(disk.list("d").unwrap(), ["a", "b"]);
    disk.rename("d/b", "d/a").unwrap();
    assert_eq!(disk.create("d/a").unwrap().len().unwrap(), 0, "emptied");
    disk.rename("d", "e").unwrap();
    assert!(disk.exists("e/a").unwrap() && !disk.exists("d").unwrap());
    disk.remove("e/a").unwrap();
    disk.create("e/c").unwrap();
    disk.remove_dir("e").unwrap();
    disk.remove_dir("e").unwrap();
    assert!(disk.open("e/c").is_err() && disk.remove("e/c").is_err() && disk.list("e").is_err());
}

#[test]
fn second_user_of_a_store_root_is_refused() {
    let scratch = Scratch::new("lock");
    let first = RealDisk::new(scratch.0.clone()).unwrap();
    let refused = RealDisk::new(scratch.0.clone()).err();
    assert!(
        matches!(refused, Some(StoreError::Locked { .. })),
        "{refused:?}"
    );
    assert!(
        refused
            .unwrap()
            .to_string()
            .contains("another relevo process")
    );
    drop(first);
    RealDisk::new(scratch.0.clone()).unwrap();
}

#[test]
fn log_on_real_files_comes_back_sealed_rolled_and_staged() {
    let scratch = Scratch::new("log");
    let ring = keyring(&[1]);
    let open = |entropy| {
        let disk = Arc::new(RealDisk::new(scratch.0.clone()).unwrap());
        Log::open(disk, DIR, options(Some(&ring)), [entropy; 32]).unwrap()
    };
    let mut log = open(1).0;
    for batch in entries(1..=100).chunks(7) {
        log.append(batch, log.durable()).unwrap();
        log.sync().unwrap();
        log.prepare().unwrap();
    }
    log.save_snapshot(60, b"state").unwrap();
    drop(log);
    let (mut log, recovery) = open(2);
    assert_eq!(recovery.snapshot, Some((60, Bytes::from_static(b"state"))));
    assert_eq!(log.scan(1, usize::MAX).unwrap(), entries(1..=100));
    log.truncate_after(99).unwrap();
    log.stage_begin(200, b"copy", entry(200).id()).unwrap();
    log.stage_append(&[entry(7), entry(150)]).unwrap();
    log.stage_commit().unwrap();
    drop(log);
    let (mut log, recovery) = open(3);
    assert_eq!(recovery.end, Some(entry(200).id()));
    assert_eq!(log.scan(1, usize::MAX).unwrap(), [entry(7), entry(150)]);
}

#[test]
fn log_and_two_slot_file_can_move_to_the_thread_that_owns_them() {
    fn check<T: Send>() {}
    check::<Log<RealDisk>>();
    check::<Log<SimDisk>>();
    check::<crate::two_slot::TwoSlot<RealDisk>>();
}
