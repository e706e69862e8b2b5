//! Tests of the whole log, over the simulated disk and the real one.

mod crash;
mod damage;
mod faults;
mod flow;
mod real;
mod sealing;
mod slots;
mod staging;

use std::sync::Arc;

use bytes::Bytes;

use crate::entry::Entry;
use crate::error::LogError;
use crate::log::{Log, LogIdentity, LogOptions, Recovery};
use crate::seal::Keyring;
use crate::sim_disk::SimDisk;

const DIR: &str = "shard-1";
const IDENTITY: LogIdentity = LogIdentity {
    cluster: [0xc1; 16],
    shard: 1,
};

/// Small segments and blocks, so that a few entries cross every boundary.
fn options(keys: Option<&Keyring>) -> LogOptions {
    LogOptions {
        segment_len: 12 * 1024,
        block_len_max: 600,
        seal: keys.map(|keys| Arc::new(keys.clone())),
        identity: IDENTITY,
    }
}

fn keyring(ids: &[u32]) -> Keyring {
    let lines: Vec<String> = ids
        .iter()
        .map(|id| Keyring::key_line(*id, [u8::try_from(*id).unwrap(); 64]).to_string())
        .collect();
    Keyring::parse(&lines.concat()).unwrap()
}

fn try_open(disk: &SimDisk, keys: Option<&Keyring>) -> Result<(Log<SimDisk>, Recovery), LogError> {
    // Fresh entropy each time, and yet the same in each run of a test.
    let mut entropy = [7; 32];
    entropy[..8].copy_from_slice(&disk.changes().to_le_bytes());
    Log::open(Arc::new(disk.clone()), DIR, options(keys), entropy)
}

fn open(disk: &SimDisk) -> Log<SimDisk> {
    try_open(disk, None).unwrap().0
}

fn body(position: u64) -> Bytes {
    // Lengths from 40 to 1,000 bytes; no byte is zero, as in a message of text.
    let len = 40 + usize::try_from(position * 131 % 960).unwrap();
    Bytes::from(vec![b'a' + u8::try_from(position % 26).unwrap(); len])
}

fn entry(position: u64) -> Entry {
    entry_of_epoch(position, 1)
}

/// Odd and even positions are groups of their own; the key is the position.
fn entry_of_epoch(position: u64, epoch: u64) -> Entry {
    Entry {
        position,
        epoch,
        sub: 0,
        chain: u32::try_from(position * 7 + epoch).unwrap(),
        group: 1 + position % 2,
        key: position,
        body: body(position + epoch - 1),
    }
}

fn entries(range: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    range.map(entry).collect()
}

/// Appends a range in batches of different sizes and syncs.
fn fill(log: &mut Log<SimDisk>, range: std::ops::RangeInclusive<u64>) {
    let all = entries(range);
    let mut rest = all.as_slice();
    let mut batch_len = 1;
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(batch_len.min(rest.len()));
        log.append(batch, log.durable()).unwrap();
        log.sync().unwrap();
        rest = after;
        batch_len = batch_len % 5 + 1;
    }
}

/// Everything that a scan gives, a few entries at a time.
fn scan_all(log: &mut Log<SimDisk>, from: u64) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let next = all.last().map_or(from, |last| last.position + 1);
        let some = log.scan(next, 2_000).unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}
