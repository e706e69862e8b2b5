//! Log lines go to standard error; `RELEVO_LOG` filters them (`RELEVO_LOG=debug`, or
//! `RELEVO_LOG=relevo_broker=trace,warn`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Turns logging on for a process that serves.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("RELEVO_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
