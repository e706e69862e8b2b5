//! Options of queues and topics as people write them: `name=value`, or members of a JSON object.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

use super::edit_distance::nearest;
use crate::jetstream::stream::NO_LIMIT;
use crate::size::parse_size;
use crate::time::{format_duration, parse_duration};

/// Why an option was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionError {
    /// There is no such option.
    Unknown {
        /// The name as it was written.
        name: String,
        /// The option that was probably meant.
        nearest: Option<&'static str>,
        /// All options there are.
        known: &'static [&'static str],
    },
    /// The value is not one that the option takes.
    BadValue {
        /// The option.
        option: &'static str,
        /// The value as it was written.
        value: String,
        /// What the value should be.
        expects: &'static str,
    },
}

impl OptionError {
    pub(super) fn unknown(name: &str, known: &'static [&'static str]) -> Self {
        Self::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, known.iter().copied()),
            known,
        }
    }

    pub(super) fn bad_value(option: &'static str, value: &str, expects: &'static str) -> Self {
        Self::BadValue {
            option,
            value: value.to_owned(),
            expects,
        }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown {
                name,
                nearest: Some(nearest),
                ..
            } => {
                write!(
                    f,
                    "unknown option '{}', did you mean {nearest}?",
                    Quoted(name)
                )
            }
            Self::Unknown {
                name,
                nearest: None,
                known,
            } => {
                write!(
                    f,
                    "unknown option '{}'; the options are {}",
                    Quoted(name),
                    known.join(", ")
                )
            }
            Self::BadValue {
                option,
                value,
                expects,
            } => {
                write!(
                    f,
                    "option {option} can not be '{}'; use {expects}",
                    Quoted(value)
                )
            }
        }
    }
}

impl std::error::Error for OptionError {}

/// The start of a text that somebody else wrote, safe to repeat in a one-line answer.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars().take(MAX_QUOTED_CHARS) {
            write!(f, "{}", if c.is_control() || c == '\'' { '?' } else { c })?;
        }
        if self.0.chars().nth(MAX_QUOTED_CHARS).is_some() {
            f.write_str("…")
        } else {
            Ok(())
        }
    }
}

/// The most characters of somebody else's text that an answer repeats.
const MAX_QUOTED_CHARS: usize = 40;

/// The longest duration that an option takes.
pub(super) const MAX_OPTION_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The shortest dedup window and the shortest age (nats-server refuses less, `checkStreamCfg`).
pub(super) const MIN_WINDOW: Duration = Duration::from_millis(100);

pub(super) fn duration(
    option: &'static str,
    value: &str,
    range: RangeInclusive<Duration>,
    expects: &'static str,
) -> Result<Duration, OptionError> {
    parse_duration(value)
        .ok()
        .filter(|duration| range.contains(duration))
        .ok_or_else(|| OptionError::bad_value(option, value, expects))
}

pub(super) fn count(option: &'static str, value: &str) -> Result<Option<u64>, OptionError> {
    limit(
        option,
        value,
        value.parse().ok(),
        "a number from 1 on, or none",
    )
}

pub(super) fn size(option: &'static str, value: &str) -> Result<Option<u64>, OptionError> {
    limit(
        option,
        value,
        parse_size(value).ok(),
        "a size such as 10MiB, or none",
    )
}

fn limit(
    option: &'static str,
    value: &str,
    number: Option<u64>,
    expects: &'static str,
) -> Result<Option<u64>, OptionError> {
    if is_none_word(value) {
        return Ok(None);
    }
    number
        .filter(|number| *number > 0 && i64::try_from(*number).is_ok())
        .map(Some)
        .ok_or_else(|| OptionError::bad_value(option, value, expects))
}

/// Whether a value takes a limit away.
pub(super) fn is_none_word(value: &str) -> bool {
    value.eq_ignore_ascii_case("none")
}

/// A limit as JetStream writes it: -1 for none.
pub(super) fn to_jetstream_limit(limit: Option<u64>) -> i64 {
    limit.map_or(NO_LIMIT, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

/// A limit as JetStream writes it, where anything below 1 is none.
pub(super) fn from_jetstream_limit(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

/// A time as JetStream writes it, where zero is none.
pub(super) fn from_jetstream_age(age: Duration) -> Option<Duration> {
    (!age.is_zero()).then_some(age)
}

pub(super) fn serialize_duration<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

pub(super) fn serialize_optional_duration<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serialize_duration(duration, serializer),
        None => serializer.serialize_none(),
    }
}

/// Reads a JSON object member by member: texts and whole numbers are handed to `set`, `null` members are skipped.
pub(super) fn deserialize_each<'de, D, F>(deserializer: D, set: F) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    F: FnMut(&str, &str) -> Result<(), OptionError>,
{
    struct EachMember<F>(F);

    impl<'de, F: FnMut(&str, &str) -> Result<(), OptionError>> Visitor<'de> for EachMember<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of options")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
            while let Some(name) = members.next_key::<String>()? {
                let value = match members.next_value::<Option<Scalar>>()? {
                    None => continue,
                    Some(Scalar::Text(text)) => text,
                    Some(Scalar::Number(number)) => number.to_string(),
                };
                (self.0)(&name, &value).map_err(de::Error::custom)?;
            }
            Ok(())
        }
    }

    deserializer.deserialize_map(EachMember(set))
}

/// What a member of an options object may be.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an option is a text or a whole number")]
enum Scalar {
    Text(String),
    Number(u64),
}
