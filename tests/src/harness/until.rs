//! Waiting on conditions, never for a time.

use std::time::{Duration, Instant};

/// The longest that a test waits for one thing.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Looks until `look` finds something.
///
/// # Panics
/// When it finds nothing for [`WAIT_MAX`]; `what` says what was waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < WAIT_MAX,
            "waited {WAIT_MAX:?} in vain until {what}"
        );
        std::thread::park_timeout(LOOK_AGAIN);
    }
}
