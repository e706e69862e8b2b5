//! How nats-server writes JSON: the rules that hold for every body.
//!
//! Durations are integer nanoseconds, an unset time is `0001-01-01T00:00:00Z`, empty members are left out, `null` means unset.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::JetStreamError;

/// Reads a request or response body. Unknown members are ignored; `null` members count as absent; an empty body as `{}`.
///
/// # Errors
/// [`JetStreamError::InvalidJson`] (10025) naming what the JSON reader met.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, JetStreamError> {
    let body = if body.trim_ascii().is_empty() {
        b"{}"
    } else {
        body
    };
    serde_json::from_slice(body).or_else(|error: serde_json::Error| {
        // Go reads `null` as "leave the default"; only bodies that do not decode as they are pay for that.
        let invalid = JetStreamError::InvalidJson {
            err: error.to_string().into(),
        };
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Err(invalid);
        };
        serde_json::from_value(without_nulls(value)).map_err(|_| invalid)
    })
}

/// Writes a body.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Every map key is a string and no `Serialize` of ours fails, so this can not fail; an empty body would say so if it did.
    serde_json::to_vec(value).unwrap_or_default()
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(name, member)| (name, without_nulls(member)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Whether a member has its default value and is left out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A `Duration` as integer nanoseconds, at most `i64::MAX` of them; negative numbers are refused.
pub(crate) mod nanos {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let nanos = i64::deserialize(deserializer)?;
        u64::try_from(nanos)
            .map(Duration::from_nanos)
            .map_err(|_| de::Error::custom("a duration can not be negative"))
    }
}

/// A list of `Duration` as integer nanoseconds.
pub(super) mod nanos_list {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Nanos(#[serde(with = "super::nanos")] Duration);

    pub(in super::super) fn serialize<S: Serializer>(
        durations: &[Duration],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(durations.iter().map(|duration| Nanos(*duration)))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Duration>, D::Error> {
        let durations = Vec::<Nanos>::deserialize(deserializer)?;
        Ok(durations
            .into_iter()
            .map(|Nanos(duration)| duration)
            .collect())
    }
}

/// An `Option<Timestamp>` whose `None` is Go's zero time, `0001-01-01T00:00:00Z`.
pub(super) mod zero_time {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::time::Timestamp;

    const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

    pub(in super::super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => time.serialize(serializer),
            None => serializer.serialize_str(ZERO_TIME),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        if text == ZERO_TIME {
            return Ok(None);
        }
        Timestamp::parse(&text).map(Some).map_err(de::Error::custom)
    }
}

/// An optional member whose empty string means that it is absent.
pub(super) mod empty_is_none {
    use std::borrow::Cow;
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, de};

    pub(in super::super) fn deserialize<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: FromStr,
        T::Err: Display,
    {
        match Option::<Cow<'_, str>>::deserialize(deserializer)? {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => text.parse().map(Some).map_err(de::Error::custom),
        }
    }
}

/// Bytes as a base64 string with padding; empty bytes are left out by the member's `skip_serializing_if`.
pub(super) mod base64 {
    use std::borrow::Cow;

    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        STANDARD
            .decode(text.as_bytes())
            .map(Bytes::from)
            .map_err(de::Error::custom)
    }
}
