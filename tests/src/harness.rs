//! Real relevo processes: the binary of this build, free ports, directories of their own, ended by
//! process id whatever happens to the test.

mod binary;
mod brokers;
mod gateway;
mod http;
mod logs;
mod telnet;
mod until;
mod up;

pub use binary::relevo;
pub use brokers::{Brokers, Sealing};
pub use gateway::Gateway;
pub use http::{Answer, Event, Events, Http};
pub use telnet::{Shown, Telnet};
pub use until::{WAIT_MAX, until};
pub use up::Up;
