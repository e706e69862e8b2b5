//! Disks that are full or fail.

use super::*;
use crate::sim_disk::Unsynced;

#[test]
fn failed_sync_poisons_the_log_for_ever() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=20);
    log.append(&[entry(21)], 0).unwrap();
    disk.fail_sync(0);
    assert!(matches!(
        log.sync(),
        Err(LogError::Io { action: "sync", .. })
    ));
    assert_eq!(log.durable(), 20);
    assert!(matches!(log.sync(), Err(LogError::Poisoned)));
    assert!(matches!(
        log.append(&[entry(22)], 0),
        Err(LogError::Poisoned)
    ));
    assert!(matches!(log.truncate_after(20), Err(LogError::Poisoned)));
    assert!(matches!(
        log.save_snapshot(20, b""),
        Err(LogError::Poisoned)
    ));
    assert!(matches!(log.reclaim(), Err(LogError::Poisoned)));
    assert!(matches!(log.prepare(), Err(LogError::Poisoned)));
    assert!(matches!(
        log.stage_begin(1, b"", entry(1).id()),
        Err(LogError::Poisoned)
    ));
    assert_eq!(log.read(1, 20).unwrap(), Some(entry(20)), "reads go on");
}

#[test]
fn what_a_failed_sync_left_in_memory_only_is_written_again_by_the_next_process() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        fill(&mut log, 1..=5);
        log.append(&entries(6..=12), 0).unwrap();
        disk.fail_sync(0);
        assert!(log.sync().is_err());
        drop(log);
        // The process restarts, the machine does not: all reads succeed, from memory.
        let log = open(&disk);
        let end = log.durable();
        assert_eq!(end, 12);
        drop(log);
        disk.crash(Unsynced::Lost);
        assert_eq!(
            scan_all(&mut open(&disk), 1),
            entries(1..=12),
            "seed {seed}"
        );
    }
}

#[test]
fn append_to_a_full_disk_counts_nothing_and_succeeds_when_there_is_room() {
    for room in (0..20_000).step_by(290) {
        let disk = SimDisk::new(room);
        let mut log = open(&disk);
        fill(&mut log, 1..=20);
        disk.set_capacity(disk.used() + room);
        let mut position = 21;
        let failed = loop {
            match log.append(&entries(position..=position + 6), 0) {
                Ok(()) => {
                    log.sync().unwrap();
                    position += 7;
                }
                Err(failed) => break failed,
            }
        };
        assert!(matches!(failed, LogError::Full { .. }), "{failed}");
        assert_eq!(log.end(), Some(entry(position - 1).id()));
        assert!(matches!(
            log.append(&entries(position..=position + 6), 0),
            Err(LogError::Full { .. })
        ));

        // What was refused is not found later either, whatever the crash keeps.
        for unsynced in [Unsynced::Subset, Unsynced::Prefix, Unsynced::Kept] {
            disk.crash(unsynced);
            log = open(&disk);
            assert_eq!(log.end(), Some(entry(position - 1).id()), "room {room}");
            let refused = log.append(&entries(position..=position + 6), 0);
            assert!(matches!(refused, Err(LogError::Full { .. })), "room {room}");
        }
        disk.set_capacity(u64::MAX);
        fill(&mut log, position..=position + 30);
        assert_eq!(scan_all(&mut log, 1), entries(1..=position + 30));
        assert_eq!(
            scan_all(&mut open(&disk), 1),
            entries(1..=position + 30),
            "room {room}"
        );
    }
}

#[test]
fn preparation_on_a_full_disk_is_no_failure() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=20);
    disk.set_capacity(0);
    while log.prepare().unwrap() {}
    disk.set_capacity(u64::MAX);
    fill(&mut log, 21..=80);
    assert_eq!(scan_all(&mut open(&disk), 1), entries(1..=80));
}

#[test]
fn snapshot_on_a_full_disk_leaves_the_older_ones() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=20);
    log.save_snapshot(10, b"state at 10").unwrap();
    disk.set_capacity(disk.used() + 50);
    assert!(matches!(
        log.save_snapshot(20, b"state at 20"),
        Err(LogError::Full { .. })
    ));
    let (mut log, recovery) = try_open(&disk, None).unwrap();
    assert_eq!(
        recovery.snapshot,
        Some((10, Bytes::from_static(b"state at 10")))
    );
    disk.set_capacity(u64::MAX);
    log.save_snapshot(20, b"state at 20").unwrap();
}
