//! Where reading a topic or a queue begins.

use std::fmt;

use crate::time::Timestamp;

/// The first message that VIEW, FOLLOW and QUEUE PEEK show: the value of `from=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartFrom {
    /// `first`: the oldest message there is.
    #[default]
    First,
    /// `last`: the newest message there is.
    Last,
    /// A sequence, 1 or more: the message with it, or the next one that is still there.
    Sequence(u64),
    /// An RFC 3339 time: the first message that was stored then or later.
    Time(Timestamp),
}

/// A text that is no [`StartFrom`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadStart;

impl StartFrom {
    /// Reads `first`, `last`, a sequence or an RFC 3339 time.
    ///
    /// # Errors
    /// [`BadStart`] for anything else, the sequence 0 included.
    pub fn parse(text: &str) -> Result<Self, BadStart> {
        if text.eq_ignore_ascii_case("first") {
            return Ok(Self::First);
        }
        if text.eq_ignore_ascii_case("last") {
            return Ok(Self::Last);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse() {
                Ok(0) | Err(_) => Err(BadStart),
                Ok(sequence) => Ok(Self::Sequence(sequence)),
            };
        }
        Timestamp::parse(text).map(Self::Time).map_err(|_| BadStart)
    }
}

impl std::error::Error for BadStart {}

impl fmt::Display for BadStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write first, last, a sequence from 1 on, or a time as 2026-01-31T12:00:00Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: Result<StartFrom, BadStart>) {
        assert_eq!(StartFrom::parse(input), expected, "{input}");
    }

    #[test]
    fn a_start_is_a_word_a_sequence_or_a_time() {
        check("first", Ok(StartFrom::First));
        check("LAST", Ok(StartFrom::Last));
        check("1", Ok(StartFrom::Sequence(1)));
        check("18446744073709551615", Ok(StartFrom::Sequence(u64::MAX)));
        check(
            "2026-01-31T12:00:00Z",
            Ok(StartFrom::Time(
                Timestamp::parse("2026-01-31T12:00:00Z").unwrap(),
            )),
        );
        for wrong in [
            "",
            "0",
            "18446744073709551616",
            "-1",
            "newest",
            "2026-01-31",
            "1 ",
        ] {
            check(wrong, Err(BadStart));
        }
    }
}
