//! The two-slot file and the store's own facts.

use super::*;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::sim_disk::Unsynced;
use crate::store_meta::StoreMeta;
use crate::two_slot::{MAX_VALUE_LEN, TwoSlot};

fn slot(disk: &SimDisk, keys: Option<&Keyring>) -> Result<TwoSlot<SimDisk>, StoreError> {
    TwoSlot::open(Arc::new(disk.clone()), "seat", keys)
}

#[test]
fn two_slot_file_keeps_the_last_value() {
    let ring = keyring(&[1]);
    for keys in [None, Some(&ring)] {
        let disk = SimDisk::new(1);
        assert_eq!(slot(&disk, keys).unwrap().load(), None);
        let mut file = slot(&disk, keys).unwrap();
        for value in [vec![], vec![1; MAX_VALUE_LEN], b"third".to_vec()] {
            file.store(&value).unwrap();
            assert_eq!(file.load(), Some(value.clone()));
            file = slot(&disk, keys).unwrap();
            assert_eq!(file.load(), Some(value));
        }
        assert!(matches!(
            file.store(&[0; MAX_VALUE_LEN + 1]),
            Err(StoreError::ValueTooLarge { len: 4001 })
        ));
        assert_eq!(file.load(), Some(b"third".to_vec()));
        assert_eq!(disk.paths(), ["seat"]);
        assert_eq!(disk.contents("seat").unwrap().len(), 8192);
    }
}

#[test]
fn two_slot_file_has_its_documented_bytes() {
    let disk = SimDisk::new(1);
    slot(&disk, None).unwrap().store(b"value").unwrap();
    let bytes = disk.contents("seat").unwrap();
    let shown = |from: usize, to: usize| -> String {
        bytes[from..to]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let lines = [
        shown(0, 40),
        shown(504, 512),
        shown(1016, 1024),
        shown(4096, 4136),
        shown(4600, 4608),
    ];
    assert_eq!(
        lines.join("\n"),
        include_str!("../golden/two_slot.hex").trim()
    );
}

#[test]
fn crash_at_any_moment_of_a_store_leaves_the_old_or_the_new_value() {
    let ring = keyring(&[1]);
    for keys in [None, Some(&ring)] {
        for unsynced in Unsynced::ALL {
            for seed in 0..20 {
                for after in 0..12 {
                    let disk = SimDisk::new(seed);
                    disk.cut_power(after);
                    let mut stored = Vec::new();
                    let mut trying = None;
                    if let Ok(mut file) = slot(&disk, keys) {
                        for value in [vec![b'a'; 3000], vec![b'b'; 100], vec![b'c'; 4000]] {
                            trying = Some(value.clone());
                            if file.store(&value).is_err() {
                                break;
                            }
                            stored.push(value);
                        }
                    }
                    disk.crash(unsynced);
                    let found = slot(&disk, keys).unwrap().load();
                    let allowed = found == trying || found.as_ref() == stored.last();
                    assert!(
                        allowed,
                        "seed {seed}, {unsynced:?}, power cut after {after}"
                    );
                    slot(&disk, keys).unwrap().store(b"next").unwrap();
                    assert_eq!(slot(&disk, keys).unwrap().load(), Some(b"next".to_vec()));
                }
            }
        }
    }
}

#[test]
fn flipped_bit_in_any_byte_of_a_two_slot_file_is_damage() {
    let disk = SimDisk::new(1);
    let mut file = slot(&disk, None).unwrap();
    file.store(b"one").unwrap();
    file.store(b"two").unwrap();
    for at in 0..8192 {
        assert!(disk.flip("seat", at, 1));
        assert!(
            matches!(slot(&disk, None), Err(StoreError::Corrupt { .. })),
            "byte {at}"
        );
        assert!(disk.flip("seat", at, 1));
    }
    assert_eq!(slot(&disk, None).unwrap().load(), Some(b"two".to_vec()));
}

#[test]
fn two_slot_file_is_poisoned_by_a_failed_sync() {
    let disk = SimDisk::new(1);
    let mut file = slot(&disk, None).unwrap();
    file.store(b"one").unwrap();
    disk.fail_sync(0);
    assert!(matches!(file.store(b"two"), Err(StoreError::Io { .. })));
    assert!(matches!(
        file.store(b"two"),
        Err(StoreError::Poisoned { .. })
    ));
}

#[test]
fn sealed_value_needs_its_key_and_moves_to_the_newest() {
    let disk = SimDisk::new(1);
    slot(&disk, Some(&keyring(&[1])))
        .unwrap()
        .store(b"secret")
        .unwrap();
    assert!(
        !disk
            .contents("seat")
            .unwrap()
            .windows(6)
            .any(|window| window == b"secret")
    );
    assert!(matches!(
        slot(&disk, None),
        Err(StoreError::MissingKey { key_id: 1, .. })
    ));
    assert!(matches!(
        slot(&disk, Some(&keyring(&[2]))),
        Err(StoreError::MissingKey { key_id: 1, .. })
    ));
    let wrong = Keyring::parse(&Keyring::key_line(1, [9; 64])).unwrap();
    assert!(matches!(
        slot(&disk, Some(&wrong)),
        Err(StoreError::WrongKey { key_id: 1, .. })
    ));
    let mut file = slot(&disk, Some(&keyring(&[1, 2]))).unwrap();
    assert_eq!(file.load(), Some(b"secret".to_vec()));
    file.store(b"again").unwrap();
    assert_eq!(
        slot(&disk, Some(&keyring(&[2]))).unwrap().load(),
        Some(b"again".to_vec())
    );
}

fn meta(disk: &SimDisk, keys: Option<&Keyring>, new_id: u8) -> Result<StoreMeta, StoreError> {
    StoreMeta::open_or_create(Arc::new(disk.clone()), keys, [new_id; 16])
}

#[test]
fn store_keeps_the_id_it_was_made_with() {
    let disk = SimDisk::new(1);
    let made = meta(&disk, None, 5).unwrap();
    assert!(made.fresh && !made.sealed);
    let opened = meta(&disk, None, 6).unwrap();
    assert_eq!((opened.store_id, opened.fresh), ([5; 16], false));
    assert!(matches!(
        meta(&disk, Some(&keyring(&[1])), 6),
        Err(StoreError::NotSealed)
    ));
}

#[test]
fn sealed_store_says_which_key_it_needs() {
    let disk = SimDisk::new(1);
    let made = meta(&disk, Some(&keyring(&[2])), 5).unwrap();
    assert_eq!((made.sealed, made.key_ids), (true, vec![2]));
    let shown = |keys: Option<&Keyring>| meta(&disk, keys, 6).unwrap_err().to_string();
    let message = shown(None);
    assert!(
        message.contains("holds key 2") && message.contains("--key"),
        "{message}"
    );
    let message = shown(Some(&keyring(&[3])));
    assert!(
        message.contains("sealed with key 2, which the key file does not hold"),
        "{message}"
    );
    let wrong = Keyring::parse(&Keyring::key_line(2, [9; 64])).unwrap();
    let message = shown(Some(&wrong));
    assert!(
        message.contains("another key than the key file's key 2"),
        "{message}"
    );

    assert_eq!(
        meta(&disk, Some(&keyring(&[2, 7])), 6).unwrap().key_ids,
        [2, 7]
    );
    assert!(matches!(
        meta(&disk, Some(&keyring(&[2])), 6),
        Err(StoreError::MissingKey { key_id: 7, .. })
    ));
    assert_eq!(
        meta(&disk, Some(&keyring(&[7])), 6).unwrap().store_id,
        [5; 16]
    );
}

#[test]
fn store_of_a_later_version_is_left_alone() {
    let disk = SimDisk::new(1);
    let mut value = b"RLVSTR01".to_vec();
    value.extend_from_slice(&2_u32.to_le_bytes());
    TwoSlot::open(Arc::new(disk.clone()), "store", None)
        .unwrap()
        .store(&value)
        .unwrap();
    assert!(matches!(
        meta(&disk, None, 1),
        Err(StoreError::UnsupportedVersion { version: 2, .. })
    ));
    assert!(disk.exists("store").unwrap());
}
