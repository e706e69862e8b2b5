//! What the log costs: appending and syncing on a real disk, and sealing by itself.
//!
//! `cargo bench -p relevo-store`. The disk is the one that holds the target directory.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark makes and removes its own directory"
)]

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use relevo_store::disk::{Disk, DiskFile};
use relevo_store::entry::Entry;
use relevo_store::log::{Log, LogIdentity, LogOptions};
use relevo_store::real_disk::RealDisk;
use relevo_store::seal::Keyring;

const BODY_LEN: usize = 128;
const LOG_LEN_MAX: u64 = 256 * 1024 * 1024;

fn options(sealed: bool) -> LogOptions {
    let keys = Keyring::parse(&Keyring::generate([7; 64])).expect("a key file just made");
    LogOptions {
        seal: sealed.then(|| Arc::new(keys)),
        ..LogOptions::new(LogIdentity {
            cluster: [1; 16],
            shard: 1,
        })
    }
}

fn batch<D: Disk>(log: &Log<D>, count: u64, body_len: usize) -> Vec<Entry> {
    let end = log.end().map_or(0, |end| end.position);
    let body = Bytes::from(vec![b'x'; body_len]);
    (end + 1..=end + count)
        .map(|position| Entry {
            position,
            epoch: 1,
            sub: 0,
            chain: 0,
            group: 1,
            key: position,
            body: body.clone(),
        })
        .collect()
}

/// What a broker does between commits: room ahead is filled, and dead segments go.
fn tidy(log: &mut Log<RealDisk>) {
    while log.prepare().expect("a disk that works") {}
    if log.stats().bytes > LOG_LEN_MAX {
        log.save_snapshot(log.durable(), b"")
            .expect("a disk that works");
        log.trim(1, u64::MAX);
        log.reclaim().expect("a disk that works");
    }
}

fn append_and_sync(criterion: &mut Criterion) {
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("relevo-store-bench");
    for (name, sealed) in [("plain", false), ("sealed", true)] {
        let mut group = criterion.benchmark_group(format!("append and sync, 128 B, {name}"));
        for count in [1, 64, 1000] {
            std::fs::remove_dir_all(&root).ok();
            let disk = Arc::new(RealDisk::new(root.clone()).expect("a directory of its own"));
            let log = Log::open(disk, "shard", options(sealed), [3; 32])
                .expect("a new log")
                .0;
            let log = RefCell::new(log);
            group.throughput(Throughput::Elements(count));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter_batched(
                    || {
                        tidy(&mut log.borrow_mut());
                        batch(&log.borrow(), count, BODY_LEN)
                    },
                    |entries| {
                        let mut log = log.borrow_mut();
                        log.append(&entries, 0).expect("a disk that works");
                        log.sync().expect("a disk that works")
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
    std::fs::remove_dir_all(&root).ok();
}

fn encode(criterion: &mut Criterion) {
    for (name, sealed) in [("plain", false), ("sealed", true)] {
        let mut group = criterion.benchmark_group(format!("encode without a disk, {name}"));
        for body_len in [128, 16 * 1024, 250 * 1024] {
            let log = Log::open(Arc::new(NoDisk), "shard", options(sealed), [3; 32])
                .expect("a new log")
                .0;
            let log = RefCell::new(log);
            group.throughput(Throughput::Bytes(body_len as u64));
            group.bench_function(BenchmarkId::from_parameter(body_len), |bencher| {
                bencher.iter_batched(
                    || batch(&log.borrow(), 1, body_len),
                    |entries| {
                        log.borrow_mut()
                            .append(&entries, 0)
                            .expect("nothing to fail")
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

/// Takes everything and keeps nothing.
struct NoDisk;

impl Disk for NoDisk {
    type File = Self;

    fn create(&self, _: &str) -> io::Result<Self> {
        Ok(Self)
    }

    fn open(&self, _: &str) -> io::Result<Self> {
        Ok(Self)
    }

    fn exists(&self, _: &str) -> io::Result<bool> {
        Ok(false)
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for NoDisk {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&mut self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn set_len(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

criterion_group!(benches, append_and_sync, encode);
criterion_main!(benches);
