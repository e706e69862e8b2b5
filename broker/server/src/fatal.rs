//! Faults after which nothing this process says may be believed: it ends, and is started again.

use std::fmt;

/// What the process exits with; `EX_IOERR` of sysexits.
const EXIT_CODE: i32 = 74;

/// Ends the process. For a failed sync, a log that contradicts itself, a bug: going on would risk
/// acknowledging what is not there.
pub(crate) fn exit(what: &str, why: &dyn fmt::Display) -> ! {
    tracing::error!("{what}: {why}; the broker ends, nothing unacknowledged is kept back");
    std::process::exit(EXIT_CODE)
}

/// Ends the process when the task or thread that holds it panics.
#[derive(Debug)]
pub(crate) struct ExitOnPanic {
    what: &'static str,
}

impl ExitOnPanic {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what }
    }
}

impl Drop for ExitOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            exit(self.what, &"panicked, which is a bug");
        }
    }
}
