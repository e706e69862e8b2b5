//! Bits that flip, blocks that go, writes that tear.

use super::*;
use crate::disk::{Disk, DiskFile};
use crate::sim_disk::Unsynced;

const SEGMENT: &str = "shard-1/00000000000000000001.seg";

/// A log of one small segment, and the bytes of its file that were written.
fn small_log(keys: Option<&Keyring>) -> (SimDisk, usize) {
    let disk = SimDisk::new(1);
    let mut log = try_open(&disk, keys).unwrap().0;
    log.append(&entries(1..=3), 0).unwrap();
    log.append(&entries(4..=5), 0).unwrap();
    log.sync().unwrap();
    log.append(&[entry(6)], 5).unwrap();
    log.sync().unwrap();
    let written = usize::try_from(log.live.segments[&1].len).unwrap();
    (disk, written)
}

#[test]
fn flipped_bit_in_any_byte_is_detected_or_in_padding() {
    let ring = keyring(&[1]);
    for keys in [None, Some(&ring)] {
        let (disk, written) = small_log(keys);
        let mut harmless = 0;
        for at in 0..written {
            let mask = 1 << (at % 8);
            assert!(disk.flip(SEGMENT, at, mask));
            match try_open(&disk, keys) {
                Err(LogError::Corrupt { offset, .. }) => {
                    assert!(offset as usize <= at, "byte {at}")
                }
                Err(other) => panic!("byte {at}: {other}"),
                Ok((mut log, recovery)) => {
                    harmless += 1;
                    assert_eq!(recovery.torn_bytes, 0, "byte {at} was taken for torn");
                    assert_eq!(scan_all(&mut log, 1), entries(1..=6), "byte {at}");
                }
            }
            assert!(disk.flip(SEGMENT, at, mask));
        }
        assert!(
            harmless < 64 * 8,
            "{harmless} harmless bytes are more than padding"
        );
        assert!(try_open(&disk, keys).is_ok());
    }
}

#[test]
fn flipped_bit_is_detected_by_reads_of_a_running_log() {
    let (disk, written) = small_log(None);
    let mut log = open(&disk);
    let mut failed = 0;
    for at in 4096..written {
        assert!(disk.flip(SEGMENT, at, 0x80));
        log.live.reader.clear();
        match log.scan(1, usize::MAX) {
            Err(LogError::Corrupt {
                segment, offset, ..
            }) => {
                assert_eq!(segment, SEGMENT);
                assert!(offset as usize <= at);
                failed += 1;
            }
            Err(other) => panic!("byte {at}: {other}"),
            Ok(found) => assert_eq!(found, entries(1..=6)),
        }
        assert_eq!(log.verify().is_err(), log.scan(1, usize::MAX).is_err());
        assert!(disk.flip(SEGMENT, at, 0x80));
    }
    assert!(failed > (written - 4096) / 2);
    log.live.reader.clear();
    assert!(disk.flip(SEGMENT, 4096 + 100, 1));
    assert!(matches!(log.read(2, 1), Err(LogError::Corrupt { .. })));
}

/// Overwrites part of a file, durably.
fn overwrite(disk: &SimDisk, path: &str, offset: usize, bytes: &[u8]) {
    let mut file = disk.open(path).unwrap();
    file.write_at(bytes, offset as u64).unwrap();
    file.sync_data().unwrap();
}

#[test]
fn durable_block_that_reads_as_zeros_is_damage_when_a_later_one_says_it_was_durable() {
    let (disk, _) = small_log(None);
    let before = disk.contents(SEGMENT).unwrap();
    // From one line to the whole of the first append: lines that lost their content.
    for len in [64, 128, 512, 1024] {
        overwrite(&disk, SEGMENT, 4096, &vec![0; len]);
        let refused = try_open(&disk, None).err();
        assert!(
            matches!(
                refused,
                Some(LogError::Corrupt {
                    offset: 4096,
                    position: 1,
                    ..
                })
            ),
            "{len}: {refused:?}"
        );
        assert!(
            disk.paths().iter().any(|path| path == SEGMENT),
            "nothing is deleted"
        );
        overwrite(&disk, SEGMENT, 4096, &before[4096..4096 + len]);
    }
    assert!(try_open(&disk, None).is_ok());
}

#[test]
fn torn_tail_is_removed_and_counted() {
    let (disk, written) = small_log(None);
    // The last block loses its last line, as if that sector had not been written.
    overwrite(&disk, SEGMENT, written - 64, &[0; 64]);
    let (mut log, recovery) = try_open(&disk, None).unwrap();
    assert!(recovery.torn_bytes > 0);
    assert_eq!(scan_all(&mut log, 1), entries(1..=5));
    fill(&mut log, 6..=9);
    let (mut log, recovery) = try_open(&disk, None).unwrap();
    assert_eq!(recovery.torn_bytes, 0);
    assert_eq!(scan_all(&mut log, 1), entries(1..=9));
}

#[test]
fn tail_that_is_missing_below_the_committed_position_is_damage() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=6);
    log.append(&[entry(7)], 6).unwrap();
    log.sync().unwrap();
    while log.prepare().unwrap() {}
    log.sync().unwrap();
    let written = usize::try_from(log.live.segments[&1].len).unwrap();
    drop(log);
    // The hint is the last block: it goes together with the entry before it, or it convicts.
    overwrite(&disk, SEGMENT, written - 192, &[0; 64]);
    let refused = try_open(&disk, None).err();
    assert!(
        matches!(refused, Some(LogError::Corrupt { .. })),
        "{refused:?}"
    );
}

#[test]
fn damage_in_a_segment_that_is_not_the_last_is_never_taken_for_torn() {
    for covered in [false, true] {
        let disk = SimDisk::new(1);
        let mut log = open(&disk);
        fill(&mut log, 1..=100);
        if covered {
            log.save_snapshot(100, b"state").unwrap();
        }
        let len = usize::try_from(log.live.segments[&1].len).unwrap();
        drop(log);
        let before = disk.contents(SEGMENT).unwrap();
        for from in (4096..len).step_by(640).chain([len - 64]) {
            overwrite(&disk, SEGMENT, from, &vec![0; len - from]);
            let refused = try_open(&disk, None).err();
            assert!(
                matches!(refused, Some(LogError::Corrupt { .. })),
                "{from}: {refused:?}"
            );
            overwrite(&disk, SEGMENT, 0, &before);
        }
        assert!(try_open(&disk, None).is_ok());
    }
}

#[test]
fn segment_that_is_gone_is_noticed_unless_a_snapshot_covers_it() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=100);
    let firsts: Vec<u64> = log.live.segments.keys().copied().collect();
    drop(log);
    for first in &firsts[..firsts.len() - 1] {
        let path = format!("shard-1/{first:020}.seg");
        let kept = disk.contents(&path).unwrap();
        disk.remove(&path).unwrap();
        let refused = try_open(&disk, None).err();
        assert!(
            matches!(refused, Some(LogError::Corrupt { .. })),
            "{first}: {refused:?}"
        );
        disk.create(&path).unwrap().write_at(&kept, 0).unwrap();
    }
    let mut log = open(&disk);
    log.save_snapshot(100, b"state").unwrap();
    drop(log);
    disk.remove(&format!("shard-1/{:020}.seg", firsts[firsts.len() - 1]))
        .unwrap();
    let refused = try_open(&disk, None).err();
    assert!(
        matches!(refused, Some(LogError::Corrupt { .. })),
        "{refused:?}"
    );
}

#[test]
fn segment_of_another_log_or_place_is_refused() {
    let disk = SimDisk::new(1);
    fill(&mut open(&disk), 1..=3);
    let bytes = disk.contents(SEGMENT).unwrap();
    let other = LogOptions {
        identity: LogIdentity {
            shard: 2,
            ..IDENTITY
        },
        ..options(None)
    };
    let refused = Log::open(Arc::new(disk.clone()), DIR, other, [1; 32]).err();
    assert!(
        matches!(refused, Some(LogError::Foreign { .. })),
        "{refused:?}"
    );
    disk.create("shard-1/00000000000000000004.seg")
        .unwrap()
        .write_at(&bytes, 0)
        .unwrap();
    let refused = try_open(&disk, None).err();
    assert!(
        matches!(
            refused,
            Some(LogError::Corrupt { .. } | LogError::Foreign { .. })
        ),
        "{refused:?}"
    );
}

#[test]
fn message_that_looks_like_a_block_does_not_pass_for_one() {
    // The bytes of a real block, as a message that is then torn off in front.
    let (disk, written) = small_log(None);
    let block = disk.contents(SEGMENT).unwrap()[4096..written].to_vec();
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        fill(&mut log, 1..=2);
        log.append(
            &[Entry {
                body: Bytes::from(block.repeat(3)),
                ..entry(3)
            }],
            0,
        )
        .unwrap();
        disk.crash(Unsynced::Subset);
        let found = scan_all(&mut open(&disk), 1);
        assert_eq!(found[..2], entries(1..=2), "seed {seed}");
        assert!(found.len() <= 3, "seed {seed}");
    }
}

#[test]
fn log_that_ends_below_what_it_says_is_committed_is_damage() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    fill(&mut log, 1..=3);
    log.live.committed = 9;
    fill(&mut log, 4..=5);
    drop(log);
    let refused = try_open(&disk, None).err();
    assert!(
        matches!(refused, Some(LogError::Corrupt { position: 6, .. })),
        "{refused:?}"
    );
}
