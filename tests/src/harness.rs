//! Real relevo processes: the binary of this build, free ports, directories of their own, ended by
//! process id whatever happens to the test.

mod binary;
mod brokers;
mod until;
mod up;

pub use binary::relevo;
pub use brokers::{Brokers, Sealing};
pub use until::{WAIT_MAX, until};
pub use up::Up;
