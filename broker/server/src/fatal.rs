//! Faults after which nothing this process says may be believed: it ends, and is started again.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the process exits with; `EX_IOERR` of sysexits.
const EXIT_CODE: i32 = 74;

/// Ends the process. For a failed sync, a log that contradicts itself, a bug: going on would risk
/// acknowledging what is not there.
pub(crate) fn exit(what: &str, why: &dyn fmt::Display) -> ! {
    tracing::error!("{what}: {why}; the broker ends, nothing unacknowledged is kept back");
    std::process::exit(EXIT_CODE)
}

/// The future, whose panic ends the process.
pub(crate) async fn guarded<F: Future>(what: &'static str, future: F) -> F::Output {
    let mut future = Box::pin(future);
    poll_fn(move |context| {
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)))
            .unwrap_or_else(|_| exit(what, &PANICKED))
    })
    .await
}

/// Runs `work`, whose panic ends the process.
pub(crate) fn run_guarded<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| exit(what, &PANICKED))
}

const PANICKED: &str = "it panicked, which is a bug";
