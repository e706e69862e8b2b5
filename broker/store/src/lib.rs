//! The relevo log on disk, over a [`Disk`](disk::Disk) trait.
//!
//! What it keeps: per shard a [`Log`](log::Log) of entries in segment files, sealed block by block if there is a key,
//! with snapshots of what the entries amount to; per store root its [`StoreMeta`](store_meta::StoreMeta); and small
//! values that must never be lost half-written in a [`TwoSlot`](two_slot::TwoSlot).
//!
//! What it never does: start threads, wait, look at a clock, draw random numbers (they come in as arguments), log, or
//! guess: bytes that were durable and read back wrong are an error, never skipped and never deleted. It does not know
//! what an entry's body means.
//!
//! The path of an entry: [`append`](log::Log::append) encodes it into a block behind the last one,
//! [`sync`](log::Log::sync) makes it durable, [`read`](log::Log::read) and [`scan`](log::Log::scan) bring it back,
//! [`trim`](log::Log::trim) declares it dead, [`reclaim`](log::Log::reclaim) gives its room back once a
//! [snapshot](log::Log::save_snapshot) covers it. After a crash, [`open`](log::Log::open) tells what was torn from what
//! is damaged.
//!
//! The bytes are described in `docs/format/disk.md`.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod disk;
pub mod entry;
pub mod error;
pub mod log;
pub mod probe;
pub mod real_disk;
pub mod seal;
#[cfg(any(test, feature = "sim"))]
pub mod sim_disk;
pub mod store_meta;
pub mod two_slot;

mod block;
mod cache;
mod chain;
mod fields;
mod index;
mod read;
mod reader;
mod record;
mod recover;
mod segment;
mod snapshot;
mod stage;
mod tail;
mod truncate;
mod uuids;
mod verify;

#[cfg(test)]
mod tests;
