//! The wall clock as a leader trusts it: one that jumps against the monotonic clock is not followed
//! at once, so that a wrong clock does not expire what people still need.

use std::time::Duration;

use relevo_protocol::time::Timestamp;

use crate::input::{Monotonic, Now};

/// A step of the wall clock against the monotonic clock above which it counts as a jump.
const JUMP_MIN: Duration = Duration::from_secs(5);
/// How long a jump must last before it is believed.
const BELIEVE_AFTER: Duration = Duration::from_secs(60 * 60);

/// Watches the wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    trusted: Now,
    jumped_at: Option<Monotonic>,
}

impl Clock {
    /// Trusts the wall clock as it is now.
    pub(super) const fn new(now: Now) -> Self {
        Self {
            trusted: now,
            jumped_at: None,
        }
    }

    /// The time. While the wall clock is not believed it goes on from where it was.
    pub(super) fn read(&mut self, now: Now) -> Timestamp {
        let passed = Duration::from_nanos(now.monotonic.0.saturating_sub(self.trusted.monotonic.0));
        let expected = self.trusted.wall.saturating_add(passed);
        let drift = now.wall.as_nanos().abs_diff(expected.as_nanos());
        let jumped_for = self
            .jumped_at
            .map(|since| now.monotonic.0.saturating_sub(since.0));
        let believed = drift <= nanos(JUMP_MIN)
            || jumped_for.is_some_and(|nanos_passed| nanos_passed >= nanos(BELIEVE_AFTER));
        if believed {
            *self = Self::new(now);
            return now.wall;
        }
        self.jumped_at.get_or_insert(now.monotonic);
        expected
    }

    /// Whether the wall clock was believed when it was last read.
    pub(super) const fn is_steady(&self) -> bool {
        self.jumped_at.is_none()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn now(monotonic_seconds: u64, wall_seconds: u64) -> Now {
        Now {
            monotonic: Monotonic(monotonic_seconds * SECOND),
            wall: Timestamp::from_nanos(wall_seconds * SECOND),
        }
    }

    #[track_caller]
    fn check(clock: &mut Clock, input: Now, wall_seconds: u64, steady: bool) {
        let read = clock.read(input);
        assert_eq!(
            (read.as_nanos() / SECOND, clock.is_steady()),
            (wall_seconds, steady)
        );
    }

    #[test]
    fn a_jump_is_held_until_it_is_undone_or_an_hour_has_passed() {
        let mut clock = Clock::new(now(0, 1000));
        check(&mut clock, now(10, 1014), 1014, true);
        check(&mut clock, now(11, 9000), 1015, false);
        check(&mut clock, now(20, 9009), 1024, false);
        check(&mut clock, now(21, 1025), 1025, true);
        check(&mut clock, now(30, 9000), 1034, false);
        check(&mut clock, now(3629, 12_599), 4633, false);
        check(&mut clock, now(3630, 12_600), 12_600, true);
        check(&mut clock, now(3631, 12_601), 12_601, true);
    }

    #[test]
    fn a_clock_that_jumps_back_is_held_too() {
        let mut clock = Clock::new(now(0, 1000));
        check(&mut clock, now(1, 100), 1001, false);
    }
}
