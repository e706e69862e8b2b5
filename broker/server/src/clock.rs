//! The only place that reads clocks for the engine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use relevo_engine::input::{Monotonic, Now};
use relevo_protocol::time::Timestamp;
use tokio::time::Instant;

/// The clocks of one broker, counted from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// What time it is.
    pub(crate) fn now(self) -> Now {
        Now {
            monotonic: Monotonic(nanos(self.start.elapsed())),
            wall: wall(),
        }
    }

    /// When the monotonic clock shows `time`.
    pub(crate) fn instant(self, time: Monotonic) -> Instant {
        self.start
            .checked_add(Duration::from_nanos(time.0))
            .unwrap_or_else(far_future)
    }

    /// How long the broker has been up.
    pub(crate) fn uptime(self) -> Duration {
        self.start.elapsed()
    }
}

/// The wall clock; 1970 when it is set to before that.
pub(crate) fn wall() -> Timestamp {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_nanos(nanos(since_1970))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A time that does not come.
fn far_future() -> Instant {
    const YEARS: u64 = 30;
    Instant::now() + Duration::from_secs(YEARS * 365 * 24 * 60 * 60)
}
