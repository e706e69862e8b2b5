//! A full copy beside the live log.

use super::*;
use crate::entry::EntryId;

const END: EntryId = EntryId {
    position: 500,
    epoch: 9,
    sub: 2,
    chain: 77,
};

/// The entries of the copy: some of those up to its position.
fn copied() -> Vec<Entry> {
    (10..=450).step_by(7).map(entry).collect()
}

fn stage(log: &mut Log<SimDisk>) -> Result<(), LogError> {
    log.stage_begin(500, b"copied state", END)?;
    for batch in copied().chunks(9) {
        log.stage_append(batch)?;
    }
    log.stage_commit()
}

#[test]
fn staged_copy_takes_the_place_of_the_log() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=60);
    stage(&mut log).unwrap();
    let check = |log: &mut Log<SimDisk>| {
        assert_eq!(
            (log.end(), log.durable(), log.contiguous_from()),
            (Some(END), 500, 501)
        );
        assert_eq!(scan_all(log, 1), copied());
        assert_eq!(log.read(1 + 17 % 2, 17).unwrap(), Some(entry(17)));
        assert_eq!(log.read(1, 2).unwrap(), None);
    };
    check(&mut log);
    let (mut reopened, recovery) = try_open(&disk, None).unwrap();
    check(&mut reopened);
    assert_eq!(
        recovery.snapshot,
        Some((500, Bytes::from_static(b"copied state")))
    );
    assert_eq!((recovery.end, recovery.committed), (Some(END), 500));
    assert_eq!(recovery.epochs, [(1, 0, 10), (9, 2, 500)]);
    assert!(
        disk.paths().iter().all(|path| path.starts_with("shard-1/")),
        "{:?}",
        disk.paths()
    );

    let mut log = reopened;
    let refused = log.append(&[entry(502)], 0);
    assert!(
        matches!(
            refused,
            Err(LogError::OutOfOrder {
                expected: 501,
                found: 502
            })
        ),
        "{refused:?}"
    );
    fill(&mut log, 501..=560);
    let mut log = open(&disk);
    assert_eq!(scan_all(&mut log, 451), entries(501..=560));
    assert_eq!(log.contiguous_from(), 501);
    log.save_snapshot(560, b"later").unwrap();
    log.trim(1, u64::MAX);
    log.trim(2, u64::MAX);
    log.reclaim().unwrap();
    assert_eq!(log.stats().segments, 1);
    assert_eq!(open(&disk).end(), Some(entry(560).id()));
}

#[test]
fn copy_without_entries_is_a_log_that_ends_at_its_snapshot() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    log.stage_begin(500, b"copied state", END).unwrap();
    log.stage_commit().unwrap();
    for mut log in [log, open(&disk)] {
        assert_eq!((log.end(), log.contiguous_from()), (Some(END), 501));
        assert_eq!(scan_all(&mut log, 1), []);
        assert_eq!(log.verify().unwrap().snapshots, 1);
    }
}

#[test]
fn copy_goes_on_with_the_entry_it_ended_with() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    log.stage_begin(20, b"state", entry(20).id()).unwrap();
    log.stage_append(&entries(15..=20)).unwrap();
    log.stage_commit().unwrap();
    fill(&mut log, 21..=25);
    assert_eq!(scan_all(&mut open(&disk), 1), entries(15..=25));
}

#[test]
fn live_log_goes_on_while_a_copy_is_staged() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=20);
    log.stage_begin(500, b"copied state", END).unwrap();
    log.stage_append(&copied()).unwrap();
    fill(&mut log, 21..=40);
    assert_eq!(scan_all(&mut log, 1), entries(1..=40));
    log.stage_abort();
    assert!(matches!(log.stage_commit(), Err(LogError::NotStaging)));
    assert!(matches!(
        log.stage_append(&copied()),
        Err(LogError::NotStaging)
    ));
    assert!(disk.paths().iter().all(|path| path.starts_with("shard-1/")));
    assert_eq!(scan_all(&mut open(&disk), 1), entries(1..=40));
}

#[test]
fn copy_that_was_begun_and_not_committed_is_forgotten_at_the_next_start() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=20);
    log.stage_begin(500, b"copied state", END).unwrap();
    log.stage_append(&copied()).unwrap();
    assert_eq!(scan_all(&mut open(&disk), 1), entries(1..=20));
    assert!(disk.paths().iter().all(|path| path.starts_with("shard-1/")));
}

#[test]
fn copy_refuses_entries_out_of_order_or_above_its_position() {
    let mut log = open(&SimDisk::new(1));
    let refused = log.stage_begin(499, b"", END);
    assert!(matches!(
        refused,
        Err(LogError::OutOfOrder {
            expected: 499,
            found: 500
        })
    ));
    log.stage_begin(500, b"", END).unwrap();
    log.stage_append(&[entry(10)]).unwrap();
    for bad in [10, 9, 501] {
        let refused = log.stage_append(&[entry(bad)]);
        assert!(
            matches!(refused, Err(LogError::OutOfOrder { .. })),
            "{refused:?}"
        );
    }
    log.stage_append(&[entry(500)]).unwrap();
}

#[test]
fn copy_that_does_not_read_back_leaves_the_live_log() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=20);
    log.stage_begin(500, b"copied state", END).unwrap();
    log.stage_append(&copied()).unwrap();
    assert!(disk.flip("shard-1.stage/00000000000000000010.seg", 4200, 1));
    assert!(matches!(log.stage_commit(), Err(LogError::Corrupt { .. })));
    log.stage_abort();
    fill(&mut log, 21..=22);
    assert_eq!(scan_all(&mut open(&disk), 1), entries(1..=22));
}

#[test]
fn copy_that_finds_the_disk_full_is_finished_when_there_is_room() {
    let mut finished = false;
    for room in (0..120_000).step_by(1_700) {
        let disk = SimDisk::new(1);
        let mut log = open(&disk);
        fill(&mut log, 1..=20);
        disk.set_capacity(disk.used() + room);
        match stage(&mut log) {
            Ok(()) => finished = true,
            Err(LogError::Full { .. }) => {
                disk.set_capacity(u64::MAX);
                assert_eq!(scan_all(&mut log, 1), entries(1..=20), "room {room}");
                fill(&mut log, 21..=22);
                stage(&mut log).unwrap();
            }
            Err(other) => panic!("room {room}: {other}"),
        }
        assert_eq!(open(&disk).end(), Some(END), "room {room}");
    }
    assert!(finished);
}
