//! A pair of brokers on one thread, from one seed: the real engines, the real link ends and the real
//! store over simulated disks, a simulated network and a simulated clock. No thread, no socket, no
//! file; the same seed gives the same trace.
//!
//! What is simulated away is the server crate: its rules (who gets which effect, in which order) are
//! played by `node`. Faults: crashes that lose or tear what was not synced, cut links, slow disks and
//! networks, a wiped store. `checker` holds what must be true of every fact that a client is told.

mod checker;
mod client;
mod node;
mod schedule;
mod world;

pub use checker::Violation;
pub use world::{Coverage, Options, Outcome, run};
