//! Wall-clock time and durations as they are written on the wire and typed by people.
//!
//! This module reads no clock: a [`Timestamp`] is always handed in. Time only labels messages and bounds waits; nothing that
//! decides durability or leadership looks at it.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Ranges from 1970-01-01T00:00:00Z to 2554-07-21T23:34:33.709551615Z. Text and JSON form: RFC 3339 in UTC, with as many
/// fraction digits as needed and none when there is no fraction, as Go prints `time.RFC3339Nano`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The latest time that can be expressed, 2554-07-21T23:34:33.709551615Z.
    pub const MAX: Self = Self(u64::MAX);

    /// The time `nanos` nanoseconds after 1970-01-01T00:00:00Z.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Reads an RFC 3339 date and time, any offset, with up to nine fraction digits; further digits are cut off.
    ///
    /// # Errors
    /// [`TimestampError::Malformed`] when the text is not RFC 3339, [`TimestampError::OutOfRange`] before 1970 or after 2554.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let mut fields = Fields {
            rest: text.as_bytes(),
        };
        let year = fields.number(4)?;
        fields.literal(b"-")?;
        let month = fields.number(2)?;
        fields.literal(b"-")?;
        let day = fields.number(2)?;
        fields.literal(b"Tt ")?;
        let hour = fields.number(2)?;
        fields.literal(b":")?;
        let minute = fields.number(2)?;
        fields.literal(b":")?;
        let second = fields.number(2)?;
        let fraction_nanos = fields.fraction_nanos()?;
        let offset_seconds = fields.offset_seconds()?;

        let plausible = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !plausible {
            return Err(TimestampError::Malformed);
        }
        let seconds = days_before(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
            - offset_seconds;
        u64::try_from(seconds)
            .ok()
            .and_then(|seconds| {
                seconds
                    .checked_mul(NANOS_PER_SECOND)?
                    .checked_add(fraction_nanos)
            })
            .map(Self)
            .ok_or(TimestampError::OutOfRange)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This time plus `duration`, or `None` past [`Self::MAX`].
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(nanos).map(Self)
    }

    /// This time minus `duration`, or `None` before [`Self::UNIX_EPOCH`].
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_sub(nanos).map(Self)
    }

    /// This time plus `duration`, at most [`Self::MAX`].
    pub fn saturating_add(self, duration: Duration) -> Self {
        self.checked_add(duration).unwrap_or(Self::MAX)
    }

    /// This time minus `duration`, at least [`Self::UNIX_EPOCH`].
    pub fn saturating_sub(self, duration: Duration) -> Self {
        self.checked_sub(duration).unwrap_or(Self::UNIX_EPOCH)
    }

    /// How long after `earlier` this time is; zero when it is not after.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / NANOS_PER_SECOND;
        let fraction_nanos = self.0 % NANOS_PER_SECOND;
        let (year, month, day) = civil_date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if fraction_nanos != 0 {
            let digits = format!("{fraction_nanos:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// Why a text is not a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampError {
    /// Not an RFC 3339 date and time.
    Malformed,
    /// A valid date that nanoseconds since 1970 in 64 bits cannot express.
    OutOfRange,
}

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a time; write it as 2026-01-31T08:00:00Z",
            Self::OutOfRange => "a time must lie between the years 1970 and 2554",
        })
    }
}

impl std::error::Error for TimestampError {}

/// The longest duration that is accepted anywhere, as Go's `time.Duration` has it: about 292 years.
pub const MAX_DURATION: Duration = Duration::from_nanos(i64::MAX.unsigned_abs());

/// Reads a duration as people type it: `250ms`, `5s`, `2m`, `1h`, `1d`, combined as in `1m30s`, with decimals as in `1.5h`.
///
/// Units are `ns`, `us` (or `µs`), `ms`, `s`, `m`, `h` and `d` (24 hours). A plain `0` is accepted, any other bare number is not.
///
/// # Errors
/// [`DurationError`] says what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total_nanos: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !(c.is_ascii_digit() || c == '.'));
        let (unit, next) = split_where(after, |c| c.is_ascii_digit() || c == '.');
        if number.is_empty() {
            return Err(DurationError::Malformed {
                text: text.to_owned(),
            });
        }
        if unit.is_empty() {
            return Err(DurationError::MissingUnit {
                number: number.to_owned(),
            });
        }
        let unit_nanos = unit_nanos(unit).ok_or_else(|| DurationError::UnknownUnit {
            unit: unit.to_owned(),
        })?;
        let nanos = scaled(number, unit_nanos).ok_or_else(|| DurationError::Malformed {
            text: text.to_owned(),
        })?;
        total_nanos = total_nanos.saturating_add(nanos);
        rest = next;
    }
    match u64::try_from(total_nanos) {
        Ok(nanos) if Duration::from_nanos(nanos) <= MAX_DURATION => Ok(Duration::from_nanos(nanos)),
        _ => Err(DurationError::TooLong),
    }
}

/// Writes a duration so that [`parse_duration`] reads it back: `1m30s`, `250ms`, `1d`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut rest = duration.as_nanos();
    for (unit, unit_nanos) in UNITS {
        let count = rest / unit_nanos;
        rest %= unit_nanos;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
    }
    text
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurationError {
    /// Nothing was written.
    Empty,
    /// A number without a unit.
    MissingUnit {
        /// The number as it was written.
        number: String,
    },
    /// A unit that does not exist.
    UnknownUnit {
        /// The unit as it was written.
        unit: String,
    },
    /// Not numbers with units.
    Malformed {
        /// The whole text.
        text: String,
    },
    /// Longer than [`MAX_DURATION`].
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => {
                f.write_str("a duration is missing; write it as 250ms, 5s, 2m, 1h or 1d")
            }
            Self::MissingUnit { number } => {
                write!(
                    f,
                    "duration '{number}' has no unit; write {number}ms, {number}s, {number}m, {number}h or {number}d"
                )
            }
            Self::UnknownUnit { unit } => {
                write!(f, "unknown duration unit '{unit}'; use ms, s, m, h or d")
            }
            Self::Malformed { text } => write!(
                f,
                "'{text}' is not a duration; write it as 250ms, 5s, 2m, 1h or 1d"
            ),
            Self::TooLong => f.write_str("a duration can be at most 106751d"),
        }
    }
}

impl std::error::Error for DurationError {}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Units from the largest to the smallest, each with its length in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

fn unit_nanos(unit: &str) -> Option<u128> {
    let unit = match unit {
        "µs" | "μs" => "us",
        other => other,
    };
    UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, nanos)| *nanos)
}

/// `number` (digits with at most one point) times `unit_nanos`; a fraction of a nanosecond is cut off.
fn scaled(number: &str, unit_nanos: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    // More than twenty digits of anything is beyond MAX_DURATION; saturating keeps the later check simple.
    let whole_nanos = digits_value(whole).saturating_mul(unit_nanos);
    let mut fraction_nanos: u128 = 0;
    let mut digit_nanos = unit_nanos;
    for digit in fraction.bytes() {
        digit_nanos /= 10;
        fraction_nanos = fraction_nanos.saturating_add(u128::from(digit - b'0') * digit_nanos);
    }
    Some(whole_nanos.saturating_add(fraction_nanos))
}

fn digits_value(digits: &str) -> u128 {
    digits.bytes().fold(0, |value: u128, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u128::from(digit - b'0'))
    })
}

fn split_where(text: &str, at: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

/// A cursor over the fixed-width fields of an RFC 3339 text.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn number(&mut self, width: usize) -> Result<i64, TimestampError> {
        let (digits, rest) = self
            .rest
            .split_at_checked(width)
            .ok_or(TimestampError::Malformed)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(TimestampError::Malformed);
        }
        self.rest = rest;
        Ok(digits
            .iter()
            .fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    fn literal(&mut self, allowed: &[u8]) -> Result<u8, TimestampError> {
        match self.rest.split_first() {
            Some((byte, rest)) if allowed.contains(byte) => {
                self.rest = rest;
                Ok(*byte)
            }
            _ => Err(TimestampError::Malformed),
        }
    }

    fn fraction_nanos(&mut self) -> Result<u64, TimestampError> {
        let Some((b'.', digits)) = self.rest.split_first() else {
            return Ok(0);
        };
        let digit_count = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = digits
            .split_at_checked(digit_count)
            .ok_or(TimestampError::Malformed)?;
        if digits.is_empty() {
            return Err(TimestampError::Malformed);
        }
        self.rest = rest;
        let padded = digits
            .iter()
            .copied()
            .chain(std::iter::repeat(b'0'))
            .take(9);
        Ok(padded.fold(0, |nanos, digit| nanos * 10 + u64::from(digit - b'0')))
    }

    fn offset_seconds(&mut self) -> Result<i64, TimestampError> {
        let sign = match self.literal(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => 0,
        };
        let mut offset_seconds = 0;
        if sign != 0 {
            let hours = self.number(2)?;
            self.literal(b":")?;
            let minutes = self.number(2)?;
            if hours > 23 || minutes > 59 {
                return Err(TimestampError::Malformed);
            }
            offset_seconds = sign * (hours * 3_600 + minutes * 60);
        }
        if self.rest.is_empty() {
            Ok(offset_seconds)
        } else {
            Err(TimestampError::Malformed)
        }
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the given date of the proleptic Gregorian calendar; negative before it.
///
/// Counts in years that begin on March 1st, so that the leap day is the last day of its year.
const fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH
}

/// The date `days` days after 1970-01-01, as year, month and day.
const fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + DAYS_TO_EPOCH.unsigned_abs();
    let era = shifted / DAYS_PER_ERA.unsigned_abs();
    let day_of_era = shifted % DAYS_PER_ERA.unsigned_abs();
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let march_year = era * 400 + year_of_era;
    let year = if month <= 2 {
        march_year + 1
    } else {
        march_year
    };
    (year, month, day)
}

/// Days in 400 Gregorian years.
const DAYS_PER_ERA: i64 = 146_097;

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;

#[cfg(test)]
mod tests;
