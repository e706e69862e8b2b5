//! Encryption at rest, end to end.

use super::*;
use crate::disk::{Disk, DiskFile};
use crate::sim_disk::Unsynced;

fn on_disk(disk: &SimDisk) -> Vec<u8> {
    disk.paths()
        .iter()
        .flat_map(|path| disk.contents(path).unwrap())
        .collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[test]
fn plain_text_is_nowhere_on_a_sealed_disk() {
    let secret = b"the quick brown secret";
    for sealed in [false, true] {
        let ring = keyring(&[1]);
        let keys = sealed.then_some(&ring);
        let disk = SimDisk::new(1);
        let mut log = try_open(&disk, keys).unwrap().0;
        let with_secret = |position| Entry {
            body: Bytes::from_static(secret),
            ..entry(position)
        };
        log.append(&[with_secret(1), with_secret(2)], 0).unwrap();
        log.sync().unwrap();
        log.save_snapshot(2, secret).unwrap();
        log.truncate_after(2).unwrap();
        log.stage_begin(9, secret, entry(9).id()).unwrap();
        log.stage_append(&[with_secret(5)]).unwrap();
        assert_eq!(contains(&on_disk(&disk), secret), !sealed);
        log.stage_commit().unwrap();
        assert_eq!(contains(&on_disk(&disk), secret), !sealed);
        assert_eq!(
            try_open(&disk, keys).unwrap().0.read(2, 5).unwrap(),
            Some(with_secret(5))
        );
        assert_eq!(
            (log.stats().sealed, log.stats().plain_segments > 0),
            (sealed, !sealed)
        );
    }
}

#[test]
fn equal_messages_do_not_look_equal() {
    let ring = keyring(&[1]);
    let disk = SimDisk::new(1);
    let mut log = try_open(&disk, Some(&ring)).unwrap().0;
    for position in 1..=10 {
        log.append(
            &[Entry {
                body: Bytes::from(vec![b'x'; 512]),
                ..entry(position)
            }],
            0,
        )
        .unwrap();
    }
    let bytes = disk.contents("shard-1/00000000000000000001.seg").unwrap();
    let lines: Vec<&[u8]> = bytes[4096..]
        .chunks(16)
        .filter(|line| line.iter().any(|byte| *byte != 0))
        .collect();
    let distinct: std::collections::BTreeSet<&[u8]> = lines.iter().copied().collect();
    // Headers share bytes; ciphertext must not.
    assert!(
        distinct.len() + 40 > lines.len(),
        "{} of {}",
        distinct.len(),
        lines.len()
    );
}

#[test]
fn missing_or_wrong_key_is_named_and_nothing_is_touched() {
    let disk = SimDisk::new(1);
    let right = keyring(&[3]);
    fill(&mut try_open(&disk, Some(&right)).unwrap().0, 1..=40);
    let before = on_disk(&disk);
    let shown = |keys: Option<&Keyring>| try_open(&disk, keys).err().unwrap().to_string();
    let message = shown(None);
    assert!(
        message.contains("sealed with key 3") && message.contains("relevo-key 3"),
        "{message}"
    );
    let message = shown(Some(&keyring(&[4])));
    assert!(message.contains("sealed with key 3"), "{message}");
    let wrong = Keyring::parse(&Keyring::key_line(3, [9; 64])).unwrap();
    let message = shown(Some(&wrong));
    assert!(
        message.contains("another key than the key file's key 3"),
        "{message}"
    );
    assert_eq!(on_disk(&disk), before);
    assert!(try_open(&disk, Some(&right)).is_ok());
}

#[test]
fn snapshot_alone_also_asks_for_its_key() {
    let disk = SimDisk::new(1);
    let ring = keyring(&[1]);
    let mut log = try_open(&disk, Some(&ring)).unwrap().0;
    log.append(&entries(1..=3), 0).unwrap();
    log.sync().unwrap();
    log.save_snapshot(3, b"state").unwrap();
    disk.remove("shard-1/00000000000000000001.seg").unwrap();
    assert!(matches!(
        try_open(&disk, None),
        Err(LogError::MissingKey { key_id: 1, .. })
    ));
}

#[test]
fn new_segments_use_the_newest_key_and_old_ones_still_open() {
    let disk = SimDisk::new(1);
    fill(
        &mut try_open(&disk, Some(&keyring(&[1]))).unwrap().0,
        1..=60,
    );
    let both = keyring(&[1, 2]);
    let mut log = try_open(&disk, Some(&both)).unwrap().0;
    fill(&mut log, 61..=120);
    let keys: Vec<u32> = log
        .live
        .segments
        .values()
        .map(|segment| segment.header.key_id)
        .collect();
    assert!(
        keys.is_sorted() && keys.first() == Some(&1) && keys.last() == Some(&2),
        "{keys:?}"
    );
    let mut log = try_open(&disk, Some(&both)).unwrap().0;
    assert_eq!(scan_all(&mut log, 1), entries(1..=120));
    log.save_snapshot(120, b"state").unwrap();
    let refused = try_open(&disk, Some(&keyring(&[2]))).err();
    assert!(
        matches!(refused, Some(LogError::MissingKey { key_id: 1, .. })),
        "{refused:?}"
    );
    log.trim(1, u64::MAX);
    log.trim(2, u64::MAX);
    log.reclaim().unwrap();
    assert!(
        try_open(&disk, Some(&keyring(&[2]))).is_ok(),
        "the old key is needed no more"
    );
}

#[test]
fn plain_log_that_is_opened_with_a_key_seals_its_next_segments() {
    let disk = SimDisk::new(1);
    fill(&mut open(&disk), 1..=30);
    let ring = keyring(&[1]);
    let mut log = try_open(&disk, Some(&ring)).unwrap().0;
    fill(&mut log, 31..=90);
    let stats = log.stats();
    assert!(
        stats.plain_segments > 0 && stats.plain_segments < stats.segments,
        "{stats:?}"
    );
    assert_eq!(
        scan_all(&mut try_open(&disk, Some(&ring)).unwrap().0, 1),
        entries(1..=90)
    );
}

#[test]
fn sealed_block_moved_to_another_place_does_not_open() {
    let disk = SimDisk::new(1);
    let ring = keyring(&[1]);
    let mut log = try_open(&disk, Some(&ring)).unwrap().0;
    for position in 1..=4 {
        log.append(
            &[Entry {
                body: Bytes::from_static(b"same"),
                ..entry(position)
            }],
            0,
        )
        .unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let path = "shard-1/00000000000000000001.seg";
    let bytes = disk.contents(path).unwrap();
    let block = |index: usize| 4096 + index * 192..4096 + (index + 1) * 192;
    let mut swapped = bytes.clone();
    swapped[block(1)].copy_from_slice(&bytes[block(2)]);
    swapped[block(2)].copy_from_slice(&bytes[block(1)]);
    for (at, byte) in swapped.iter().enumerate() {
        disk.flip(path, at, byte ^ bytes[at]);
    }
    assert!(matches!(
        try_open(&disk, Some(&ring)),
        Err(LogError::Corrupt { .. })
    ));
}

#[test]
fn older_version_of_a_sealed_block_does_not_pass_for_the_newer_one() {
    let disk = SimDisk::new(1);
    let ring = keyring(&[1]);
    let path = "shard-1/00000000000000000001.seg";
    let mut log = try_open(&disk, Some(&ring)).unwrap().0;
    log.append(&[entry(1)], 0).unwrap();
    log.sync().unwrap();
    let start = usize::try_from(log.live.segments[&1].len).unwrap();
    log.append(&[entry(2)], 0).unwrap();
    let end = usize::try_from(log.live.segments[&1].len).unwrap();
    let older = disk.contents(path).unwrap()[start..end].to_vec();
    disk.crash(Unsynced::Lost);

    let mut log = try_open(&disk, Some(&ring)).unwrap().0;
    log.append(
        &[Entry {
            chain: 1,
            ..entry(2)
        }],
        0,
    )
    .unwrap();
    assert_eq!(log.live.segments[&1].len, end as u64);
    log.append(&[entry(3)], 0).unwrap();
    log.sync().unwrap();
    drop(log);
    let mut file = disk.open(path).unwrap();
    file.write_at(&older, start as u64).unwrap();
    let refused = try_open(&disk, Some(&ring)).err();
    assert!(
        matches!(refused, Some(LogError::Corrupt { .. })),
        "{refused:?}"
    );
}
