//! What a log does while nothing goes wrong.

use super::*;
use crate::log::Reclaimed;

#[test]
fn log_gives_back_what_was_appended_before_and_after_a_restart() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    assert_eq!(
        (log.end(), log.durable(), log.contiguous_from()),
        (None, 0, 1)
    );
    fill(&mut log, 1..=200);
    let check = |log: &mut Log<SimDisk>| {
        assert_eq!(log.end(), Some(entry(200).id()));
        assert_eq!((log.durable(), log.contiguous_from()), (200, 1));
        assert_eq!(scan_all(log, 1), entries(1..=200));
        assert_eq!(scan_all(log, 77), entries(77..=200));
        for position in (1..=200).rev().chain(1..=200) {
            let expected = entry(position);
            assert_eq!(
                log.read(expected.group, expected.key).unwrap(),
                Some(expected)
            );
        }
        for (group, key) in [(1, 1), (2, 2), (1, 0), (1, 202), (2, 201), (3, 1), (0, 0)] {
            assert_eq!(
                log.read(group, key).unwrap(),
                None,
                "group {group}, key {key}"
            );
        }
        assert!(log.stats().segments > 5);
    };
    check(&mut log);
    drop(log);
    let (mut log, recovery) = try_open(&disk, None).unwrap();
    assert_eq!(
        (recovery.end, recovery.torn_bytes),
        (Some(entry(200).id()), 0)
    );
    assert_eq!(recovery.epochs, [(1, 0, 1)]);
    assert_eq!(recovery.snapshot, None);
    check(&mut log);
    fill(&mut log, 201..=260);
    assert_eq!(scan_all(&mut log, 1), entries(1..=260));
    assert_eq!(log.verify().unwrap().entries, 260);
}

#[test]
fn scan_gives_at_least_one_entry_and_otherwise_keeps_its_bound() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=40);
    assert_eq!(log.scan(3, 0).unwrap(), [entry(3)]);
    let some = log.scan(3, 3_000).unwrap();
    let len: usize = some.iter().map(|entry| 44 + entry.body.len()).sum();
    assert!(some.len() > 1 && len <= 3_000, "{len}");
    assert_eq!(log.scan(41, 3_000).unwrap(), []);
    assert_eq!(log.scan(u64::MAX, 3_000).unwrap(), []);
    assert_eq!(log.scan(0, 0).unwrap(), [entry(1)]);
}

#[test]
fn appended_entries_are_readable_before_they_are_durable() {
    let mut log = open(&SimDisk::new(1));
    log.append(&entries(1..=3), 0).unwrap();
    assert_eq!((log.durable(), log.end()), (0, Some(entry(3).id())));
    assert_eq!(log.read(1, 2).unwrap(), Some(entry(2)));
    log.append(&[], 0).unwrap();
    assert_eq!(log.sync().unwrap(), 3);
    assert_eq!(log.sync().unwrap(), 3);
}

#[test]
fn entries_out_of_order_are_refused_and_change_nothing() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=3);
    for batch in [
        entries(5..=5),
        entries(3..=3),
        vec![entry(4), entry(6)],
        vec![entry(4), entry(4)],
    ] {
        let refused = log.append(&batch, 0);
        assert!(
            matches!(refused, Err(LogError::OutOfOrder { .. })),
            "{refused:?}"
        );
    }
    let last = Entry {
        position: u64::MAX,
        ..entry(1)
    };
    assert!(matches!(
        open(&SimDisk::new(1)).append(&[last], 0),
        Err(LogError::OutOfOrder { .. })
    ));
    let repeated = Entry {
        group: 2,
        key: 3,
        ..entry(4)
    };
    let refused = log.append(&[repeated], 0);
    assert!(
        matches!(
            refused,
            Err(LogError::KeyOrder {
                group: 2,
                last: 3,
                found: 3
            })
        ),
        "{refused:?}"
    );
    let both = [
        Entry {
            group: 9,
            key: 9,
            ..entry(4)
        },
        Entry {
            group: 9,
            key: 8,
            ..entry(5)
        },
    ];
    assert!(matches!(
        log.append(&both, 0),
        Err(LogError::KeyOrder {
            group: 9,
            last: 9,
            found: 8
        })
    ));
    assert_eq!(log.end(), Some(entry(3).id()));
    fill(&mut log, 4..=9);
    assert_eq!(scan_all(&mut open(&disk), 1), entries(1..=9));
}

#[test]
fn empty_log_takes_any_first_position() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 50..=60);
    assert_eq!(log.contiguous_from(), 50);
    let mut log = open(&disk);
    assert_eq!(log.contiguous_from(), 50);
    assert_eq!(scan_all(&mut log, 1), entries(50..=60));

    log.truncate_after(49).unwrap_err();
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    log.append(&entries(50..=60), 0).unwrap();
    log.sync().unwrap();
    log.truncate_after(20).unwrap();
    assert_eq!((log.end(), log.durable()), (None, 0));
    fill(&mut log, 7..=9);
    assert_eq!(scan_all(&mut open(&disk), 1), entries(7..=9));
}

#[test]
fn entry_larger_than_a_segment_has_one_for_itself() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=2);
    let large = Entry {
        body: Bytes::from(vec![b'x'; 300_000]),
        ..entry(3)
    };
    log.append(std::slice::from_ref(&large), 0).unwrap();
    fill(&mut log, 4..=6);
    for mut log in [log, open(&disk)] {
        assert_eq!(log.read(2, 3).unwrap(), Some(large.clone()));
        assert_eq!(log.stats().segments, 3);
        assert_eq!(log.scan(3, 10).unwrap(), std::slice::from_ref(&large));
    }
}

#[test]
fn bodies_of_no_bytes_and_entries_without_group_are_kept() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let bare = |position| Entry {
        group: 0,
        key: 0,
        body: Bytes::new(),
        ..entry(position)
    };
    log.append(&[bare(1), bare(2)], 0).unwrap();
    log.sync().unwrap();
    for mut log in [log, open(&disk)] {
        assert_eq!(scan_all(&mut log, 1), [bare(1), bare(2)]);
        assert_eq!(log.read(0, 0).unwrap(), None);
        assert_eq!(log.groups().count(), 0);
    }
}

#[test]
fn recovery_reports_epochs_and_committed_position() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    log.append(&[entry(1), entry(2)], 0).unwrap();
    log.sync().unwrap();
    log.append(&[entry_of_epoch(3, 4)], 2).unwrap();
    log.append(
        &[Entry {
            sub: 1,
            ..entry_of_epoch(4, 4)
        }],
        3,
    )
    .unwrap();
    log.sync().unwrap();
    let (_, recovery) = try_open(&disk, None).unwrap();
    assert_eq!(recovery.epochs, [(1, 0, 1), (4, 0, 3), (4, 1, 4)]);
    assert_eq!(
        recovery.committed, 2,
        "what was not durable then is no hint"
    );
}

#[test]
fn idle_log_notes_how_far_it_is_durable_and_committed() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=3);
    log.append(&[entry(4)], 3).unwrap();
    log.sync().unwrap();
    let mut steps = 0;
    while log.prepare().unwrap() {
        steps += 1;
        assert!(steps < 100, "preparation ends");
    }
    assert!(!log.prepare().unwrap());
    log.sync().unwrap();
    let (mut log, recovery) = try_open(&disk, None).unwrap();
    assert_eq!((recovery.committed, recovery.end), (3, Some(entry(4).id())));
    fill(&mut log, 5..=80);
    while log.prepare().unwrap() {}
    fill(&mut log, 81..=90);
    assert_eq!(scan_all(&mut open(&disk), 1), entries(1..=90));
}

#[test]
fn truncated_entries_are_gone_and_their_positions_are_given_anew() {
    let mut log = open(&SimDisk::new(1));
    entries(1..=100)
        .chunks(3)
        .for_each(|batch| log.append(batch, 0).unwrap());
    let boundaries: Vec<u64> = log
        .live
        .segments
        .keys()
        .skip(1)
        .map(|first| first - 1)
        .collect();
    assert!(boundaries.len() > 2);
    for keep in boundaries
        .into_iter()
        .chain([1, 2, 17, 40, 63, 99, 100, 150])
    {
        let disk = SimDisk::new(1);
        let mut log = open(&disk);
        for batch in entries(1..=100).chunks(3) {
            log.append(batch, 0).unwrap();
            log.sync().unwrap();
        }
        assert_eq!(
            scan_all(&mut log, 1),
            entries(1..=100),
            "also fills the cache"
        );
        log.truncate_after(keep).unwrap();
        let kept = keep.min(100);
        let check = |log: &mut Log<SimDisk>, end: u64| {
            assert_eq!(log.end().map(|end| end.position), Some(end), "keep {keep}");
            assert_eq!(log.durable(), end);
            let found = scan_all(log, 1);
            assert_eq!(found.len() as u64, end, "keep {keep}");
            for found in &found {
                let epoch = if found.position <= kept { 1 } else { 2 };
                assert_eq!(*found, entry_of_epoch(found.position, epoch), "keep {keep}");
                assert_eq!(
                    log.read(found.group, found.key).unwrap().as_ref(),
                    Some(found)
                );
            }
            assert_eq!(log.read(1 + (end + 1) % 2, end + 1).unwrap(), None);
        };
        check(&mut log, kept);
        check(&mut open(&disk), kept);
        let anew: Vec<Entry> = (kept + 1..=kept + 30)
            .map(|position| entry_of_epoch(position, 2))
            .collect();
        for batch in anew.chunks(4) {
            log.append(batch, 0).unwrap();
        }
        log.sync().unwrap();
        check(&mut log, kept + 30);
        let (mut log, recovery) = try_open(&disk, None).unwrap();
        check(&mut log, kept + 30);
        assert_eq!(recovery.epochs, [(1, 0, 1), (2, 0, kept + 1)]);
        log.truncate_after(kept + 10).unwrap();
        log.truncate_after(kept + 5).unwrap();
        check(&mut log, kept + 5);
        check(&mut open(&disk), kept + 5);
    }
}

#[test]
fn truncation_below_what_is_committed_or_in_a_snapshot_is_refused() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=20);
    log.append(&[entry(21)], 15).unwrap();
    let refused = log.truncate_after(14);
    assert!(
        matches!(
            refused,
            Err(LogError::TruncateCommitted {
                position: 14,
                lowest: 15..=20
            })
        ),
        "{refused:?}"
    );
    log.sync().unwrap();
    log.save_snapshot(21, b"state").unwrap();
    assert!(matches!(
        log.truncate_after(20),
        Err(LogError::TruncateCommitted { lowest: 21, .. })
    ));
    log.truncate_after(21).unwrap();
    assert_eq!(log.end(), Some(entry(21).id()));
}

#[test]
fn newest_of_two_snapshots_comes_back() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=30);
    assert!(matches!(
        log.save_snapshot(31, b""),
        Err(LogError::SnapshotAhead {
            position: 31,
            durable: 30
        })
    ));
    for position in [10, 20, 30] {
        log.save_snapshot(position, format!("state at {position}").as_bytes())
            .unwrap();
    }
    let snapshots = disk
        .paths()
        .iter()
        .filter(|path| path.ends_with(".snap"))
        .count();
    assert_eq!(snapshots, 2);
    assert_eq!(log.verify().unwrap().snapshots, 2);
    let (_, recovery) = try_open(&disk, None).unwrap();
    assert_eq!(
        recovery.snapshot,
        Some((30, Bytes::from_static(b"state at 30")))
    );
    assert_eq!(recovery.committed, 30);
}

#[test]
fn damaged_snapshot_is_passed_over_for_the_older_one_and_reported() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=30);
    log.save_snapshot(10, b"state at 10").unwrap();
    log.save_snapshot(20, b"state at 20").unwrap();
    assert!(disk.flip("shard-1/00000000000000000020.snap", 130, 1));
    let (mut log, recovery) = try_open(&disk, None).unwrap();
    assert_eq!(
        recovery.snapshot,
        Some((10, Bytes::from_static(b"state at 10")))
    );
    assert_eq!(recovery.damaged_snapshots, [20]);
    assert_eq!(scan_all(&mut log, 11), entries(11..=30));
    assert!(matches!(log.verify(), Err(LogError::Corrupt { .. })));
    assert!(disk.flip("shard-1/00000000000000000010.snap", 130, 1));
    let (_, recovery) = try_open(&disk, None).unwrap();
    assert_eq!(
        (recovery.snapshot, recovery.damaged_snapshots),
        (None, vec![20, 10])
    );
}

#[test]
fn damaged_snapshot_that_nothing_can_stand_in_for_is_an_error() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=100);
    log.save_snapshot(50, b"state at 50").unwrap();
    log.trim(1, u64::MAX);
    log.trim(2, u64::MAX);
    assert!(log.reclaim().unwrap().segments > 0);
    assert!(disk.flip("shard-1/00000000000000000050.snap", 130, 1));
    assert!(matches!(
        try_open(&disk, None),
        Err(LogError::Corrupt { .. })
    ));
}

#[test]
fn segments_are_reclaimed_when_all_is_dead_and_covered() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=200);
    let segments = log.stats().segments;
    assert_eq!(
        log.reclaim().unwrap(),
        Reclaimed::default(),
        "nothing is dead"
    );
    log.trim(1, u64::MAX);
    log.trim(2, 101);
    assert_eq!(
        log.reclaim().unwrap(),
        Reclaimed::default(),
        "nothing is covered"
    );
    log.save_snapshot(200, b"state").unwrap();
    assert_eq!(log.read(1, 2).unwrap(), None, "dead is not read");
    let reclaimed = log.reclaim().unwrap();
    assert!(
        reclaimed.segments > 2 && reclaimed.bytes > 20_000,
        "{reclaimed:?}"
    );
    assert_eq!(log.stats().segments, segments - reclaimed.segments);
    let contiguous_from = log.contiguous_from();
    assert!((50..=101).contains(&contiguous_from), "{contiguous_from}");

    for mut log in [log, open(&disk)] {
        assert_eq!(log.contiguous_from(), contiguous_from);
        assert_eq!(scan_all(&mut log, 1), entries(contiguous_from..=200));
        assert_eq!(log.read(2, 101).unwrap(), Some(entry(101)));
        assert_eq!(log.groups().collect::<Vec<u64>>(), [1, 2]);
    }
    let mut log = open(&disk);
    log.trim(1, u64::MAX);
    log.trim(2, u64::MAX);
    log.reclaim().unwrap();
    assert_eq!(log.stats().segments, 1, "the last one stays");
    assert_eq!(log.end(), Some(entry(200).id()));
    let (mut log, recovery) = try_open(&disk, None).unwrap();
    assert_eq!(recovery.end, Some(entry(200).id()));
    fill(&mut log, 201..=210);
    assert_eq!(scan_all(&mut open(&disk), 201), entries(201..=210));
}

#[test]
fn one_live_message_keeps_its_segment_and_no_other() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let mut all = entries(1..=150);
    all[20].group = 7;
    for batch in all.chunks(5) {
        log.append(batch, 0).unwrap();
        log.sync().unwrap();
    }
    log.save_snapshot(150, b"state").unwrap();
    log.trim(1, u64::MAX);
    log.trim(2, u64::MAX);
    log.reclaim().unwrap();
    assert_eq!(log.stats().segments, 2);
    for mut log in [log, open(&disk)] {
        assert_eq!(log.read(7, 21).unwrap(), Some(all[20].clone()));
        let found = scan_all(&mut log, 1);
        assert!(found.iter().all(|entry| all.contains(entry)));
        let from = log.contiguous_from();
        assert!(from > 100);
        assert_eq!(scan_all(&mut log, from), all[from as usize - 1..]);
    }
}

#[test]
fn sparse_groups_are_found_among_many_messages_of_others() {
    let disk = SimDisk::new(1);
    let options = LogOptions {
        segment_len: 4 << 20,
        block_len_max: 4096,
        ..options(None)
    };
    let open = |entropy| {
        Log::open(Arc::new(disk.clone()), DIR, options.clone(), [entropy; 32])
            .unwrap()
            .0
    };
    let mut log = open(1);
    let all: Vec<Entry> = (1..=20_000)
        .map(|position| Entry {
            group: if position % 1_000 == 0 {
                500 + position / 1_000 % 2
            } else {
                1 + position % 40
            },
            body: Bytes::from_static(b"a body of some length, to spread it over the segment"),
            ..entry(position)
        })
        .collect();
    for batch in all.chunks(700) {
        log.append(batch, 0).unwrap();
    }
    log.sync().unwrap();
    for mut log in [log, open(2)] {
        for entry in all
            .iter()
            .step_by(97)
            .chain(all.iter().filter(|entry| entry.group >= 500))
        {
            assert_eq!(
                log.read(entry.group, entry.key).unwrap().as_ref(),
                Some(entry)
            );
            assert_eq!(log.read(entry.group, entry.key + 1).unwrap(), None);
        }
    }
}

#[test]
fn end_of_a_log_is_known_when_its_last_segment_is_empty() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let mut last = 0;
    while log.stats().segments < 3 {
        last += 1;
        fill(&mut log, last..=last);
    }
    // The third segment begins with the last entry, so cutting that off leaves it out, and the second one ended.
    let kept = entry(last - 1).id();
    log.truncate_after(log.live.committed.max(last - 1))
        .unwrap();
    assert_eq!((log.end(), open(&disk).end()), (Some(kept), Some(kept)));
    fill(&mut log, last..=last + 40);
    assert_eq!(scan_all(&mut open(&disk), 1), entries(1..=last + 40));
}

#[test]
fn dead_messages_stay_dead_when_the_end_is_cut_off() {
    let mut log = open(&SimDisk::new(1));
    log.append(&entries(1..=9), 0).unwrap();
    log.trim(2, 5);
    log.truncate_after(7).unwrap();
    assert_eq!(log.read(2, 3).unwrap(), None);
    assert_eq!(log.read(2, 5).unwrap(), Some(entry(5)));
    assert_eq!(log.read(2, 9).unwrap(), None);
}
