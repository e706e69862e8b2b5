//! Fuzz bodies of relevo: each takes any bytes and panics when a promise about them is broken.
//!
//! `cargo test -p relevo-fuzz` replays each body over its folder in `corpus/` and over seeded mutations of its files.
//! `fuzz/targets` runs the same bodies under libFuzzer. What it finds becomes a file of the corpus, beside the fix.
//!
//! What every body holds bytes to: nothing panics, nothing is taken from a length before it was checked, and what can be
//! read can be written again and is read as the same.

mod acks;
mod client;
mod frames;
mod headers;
mod json;
mod log;
mod records;
mod server;
mod session;
mod subjects;
mod verbs;

pub use acks::fuzz_acks;
pub use client::fuzz_client;
pub use frames::fuzz_frames;
pub use headers::fuzz_headers;
pub use json::fuzz_json;
pub use log::{fuzz_blocks, fuzz_log};
pub use records::fuzz_records;
pub use server::fuzz_server;
pub use session::fuzz_session;
pub use subjects::fuzz_subjects;
pub use verbs::fuzz_verbs;

/// A fuzz body.
pub type Body = fn(&[u8]);

/// Every body under the name of its folder in `corpus/` and of its libFuzzer target.
pub const TARGETS: &[(&str, Body)] = &[
    ("acks", fuzz_acks),
    ("blocks", fuzz_blocks),
    ("client", fuzz_client),
    ("frames", fuzz_frames),
    ("headers", fuzz_headers),
    ("json", fuzz_json),
    ("log", fuzz_log),
    ("records", fuzz_records),
    ("server", fuzz_server),
    ("session", fuzz_session),
    ("subjects", fuzz_subjects),
    ("verbs", fuzz_verbs),
];

/// The first line as bytes, and the rest. Bodies that need more than one input take it from the first line, so that a
/// corpus file stays readable.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&[], data),
    }
}

/// `bytes` in chunks as long as `lens` say (1 to 64 bytes each, again and again).
fn chunks<'a>(bytes: &'a [u8], lens: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    let mut lens = lens.iter().cycle();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let len = lens.next().map_or(1, |len| usize::from(len % 64) + 1);
        let (chunk, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        Some(chunk)
    })
}
