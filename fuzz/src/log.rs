//! What a broker reads from its own disk.

use std::sync::Arc;

use bytes::Bytes;
use relevo_store::entry::Entry;
use relevo_store::log::{Log, LogIdentity, LogOptions};
use relevo_store::probe::{read_plain_block, read_records, read_segment_header};
use relevo_store::seal::{KEY_LEN, Keyring};
use relevo_store::sim_disk::{SimDisk, Unsynced};
use relevo_store::store_meta::StoreMeta;

const IDENTITY: LogIdentity = LogIdentity {
    cluster: [7; 16],
    shard: 1,
};
/// Where a block may lie: behind the segment's header.
const OFFSET: u64 = 4096;
const DIR: &str = "log";
/// More than is ever damaged in one go.
const SCAN_LEN_MAX: usize = 1024 * 1024;

/// One structure of a segment (a block behind its segment's id, a row of records, a segment's header), and the text of a
/// key file: a verdict, never a panic.
pub fn fuzz_blocks(data: &[u8]) {
    if let Some((uuid, block)) = data.split_first_chunk() {
        let _ = read_plain_block(*uuid, OFFSET, block);
    }
    let _ = read_records(data);
    let _ = read_segment_header(IDENTITY, data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(keys) = Keyring::parse(text)
    {
        assert!(keys.ids().any(|id| id == keys.newest()));
    }
}

/// A store with a log in it, plain and sealed, is damaged: five bytes of input name a file, an offset (three bytes) and
/// the bits to flip. Whatever is read then was written like that: damage is told, or it lay where nothing was.
pub fn fuzz_log(data: &[u8]) {
    let key = Keyring::generate([3; KEY_LEN]);
    let keys = Arc::new(Keyring::parse(&key).expect("what was generated can be read"));
    for seal in [None, Some(keys)] {
        let disk = SimDisk::new(1);
        let written = write_store(&disk, seal.clone());
        disk.crash(Unsynced::Kept);
        damage(&disk, data);
        check_store(&disk, seal, &written);
    }
}

fn options(seal: Option<Arc<Keyring>>) -> LogOptions {
    LogOptions {
        segment_len: 5 * 1024,
        block_len_max: 512,
        seal,
        ..LogOptions::new(IDENTITY)
    }
}

fn write_store(disk: &SimDisk, seal: Option<Arc<Keyring>>) -> Vec<Entry> {
    StoreMeta::open_or_create(Arc::new(disk.clone()), seal.as_deref(), [1; 16])
        .expect("an empty disk takes a store");
    let disk = Arc::new(disk.clone());
    let (mut log, _) =
        Log::open(disk, DIR, options(seal), [5; 32]).expect("an empty disk takes a log");
    let entries: Vec<Entry> = (1..=18_u8).map(entry).collect();
    for batch in entries.chunks(3) {
        let committed = batch[0].position - 1;
        log.append(batch, committed).expect("the disk has room");
        log.sync().expect("the disk is well");
    }
    log.save_snapshot(6, b"the state at 6")
        .expect("the disk has room");
    entries
}

fn entry(number: u8) -> Entry {
    let position = u64::from(number);
    Entry {
        position,
        epoch: 1,
        sub: u32::from(number / 8),
        chain: u32::from(number) * 7919,
        group: position % 3,
        key: if position.is_multiple_of(3) {
            0
        } else {
            position
        },
        body: Bytes::from(vec![number; 100]),
    }
}

fn damage(disk: &SimDisk, data: &[u8]) {
    let paths = disk.paths();
    for wound in data.chunks_exact(5) {
        let path = &paths[usize::from(wound[0]) % paths.len()];
        let offset = u32::from_le_bytes([wound[1], wound[2], wound[3], 0]);
        disk.flip(path, offset as usize, wound[4]);
    }
}

fn check_store(disk: &SimDisk, seal: Option<Arc<Keyring>>, written: &[Entry]) {
    if let Ok(meta) = StoreMeta::open_or_create(Arc::new(disk.clone()), seal.as_deref(), [2; 16]) {
        assert_eq!((meta.store_id, meta.fresh), ([1; 16], false));
    }
    let disk = Arc::new(disk.clone());
    let Ok((mut log, recovery)) = Log::open(disk, DIR, options(seal), [6; 32]) else {
        return;
    };
    if let Some((position, state)) = recovery.snapshot {
        assert_eq!(
            (position, state.as_ref()),
            (6, b"the state at 6".as_slice())
        );
    }
    let end = recovery.end.map_or(0, |end| end.position);
    let mut from = 1;
    while from <= end {
        let Ok(entries) = log.scan(from, SCAN_LEN_MAX) else {
            return;
        };
        let Some(last) = entries.last() else { break };
        for entry in &entries {
            let index = usize::try_from(entry.position - 1).expect("positions are small");
            assert_eq!(Some(entry), written.get(index));
        }
        from = last.position + 1;
    }
    for entry in written.iter().filter(|entry| entry.group != 0) {
        if let Ok(Some(read)) = log.read(entry.group, entry.key) {
            assert_eq!(&read, entry);
        }
    }
}
