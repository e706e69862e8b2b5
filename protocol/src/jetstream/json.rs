//! How nats-server writes JSON: the rules that hold for every body.
//!
//! Durations are integer nanoseconds, an unset time is `0001-01-01T00:00:00Z`, empty members are left out, `null` means unset.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::JetStreamError;

/// Reads a request or response body. Unknown members are ignored; `null` members count as absent; a body that is empty or
/// `null`, as async-nats sends it when a request says nothing, counts as `{}`.
///
/// # Errors
/// [`JetStreamError::InvalidJson`] (10025) naming what the JSON reader met.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, JetStreamError> {
    let body = match body.trim_ascii() {
        b"" | b"null" => b"{}",
        _ => body,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use serde::Deserialize;

    use super::*;
    use crate::name::ConsumerName;
    use crate::time::Timestamp;

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    struct Sample {
        #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
        wait: Duration,
        #[serde(default, with = "nanos_list", skip_serializing_if = "Vec::is_empty")]
        waits: Vec<Duration>,
        #[serde(default, with = "zero_time")]
        at: Option<Timestamp>,
        #[serde(
            default,
            deserialize_with = "empty_is_none::deserialize",
            skip_serializing_if = "Option::is_none"
        )]
        name: Option<ConsumerName>,
        #[serde(default, with = "base64", skip_serializing_if = "Bytes::is_empty")]
        data: Bytes,
    }

    fn check(json: &str, expected: Sample) {
        assert_eq!(
            decode::<Sample>(json.as_bytes()).unwrap(),
            expected,
            "{json}"
        );
    }

    #[test]
    fn bodies_are_read_as_go_reads_them() {
        check("", Sample::default());
        check(" \r\n", Sample::default());
        check("{}", Sample::default());
        check("null", Sample::default());
        check(r#"{"unknown":[1,{"a":null}]}"#, Sample::default());
        check(
            r#"{"wait":null,"waits":null,"at":null,"name":null,"data":null}"#,
            Sample::default(),
        );
        check(
            r#"{"name":"","at":"0001-01-01T00:00:00Z"}"#,
            Sample::default(),
        );
        check(
            r#"{"wait":5,"waits":[1,2],"at":"1970-01-01T00:00:00.000000003Z","name":"c","data":"aGk="}"#,
            Sample {
                wait: Duration::from_nanos(5),
                waits: vec![Duration::from_nanos(1), Duration::from_nanos(2)],
                at: Some(Timestamp::from_nanos(3)),
                name: Some(ConsumerName::parse("c").unwrap()),
                data: Bytes::from_static(b"hi"),
            },
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sample = Sample {
            wait: Duration::from_secs(30),
            waits: vec![Duration::from_secs(1)],
            at: Some(Timestamp::from_nanos(1)),
            name: Some(ConsumerName::parse("c").unwrap()),
            data: Bytes::from_static(&[0, 255]),
        };
        let json = String::from_utf8(encode(&sample)).unwrap();
        assert_eq!(
            json,
            r#"{"wait":30000000000,"waits":[1000000000],"at":"1970-01-01T00:00:00.000000001Z","name":"c","data":"AP8="}"#
        );
        check(&json, sample);
        assert_eq!(
            encode(&Sample::default()),
            br#"{"at":"0001-01-01T00:00:00Z"}"#
        );
    }

    #[test]
    fn what_is_not_such_json_is_refused_with_the_reason() {
        for (json, reason) in [
            ("{", "EOF while parsing an object at line 1 column 1"),
            (
                r#"{"wait":-1}"#,
                "a duration can not be negative at line 1 column 11",
            ),
            (
                r#"{"at":"soon"}"#,
                "not a time; write it as 2026-01-31T08:00:00Z at line 1 column 13",
            ),
        ] {
            let refused = Err(JetStreamError::InvalidJson { err: reason.into() });
            assert_eq!(decode::<Sample>(json.as_bytes()), refused);
        }
        assert!(decode::<Sample>(br#"{"wait":"1s"}"#).is_err());
        assert!(decode::<Sample>(br#"{"data":"?"}"#).is_err());
        assert!(decode::<Sample>(&[0xff]).is_err());
    }

    #[test]
    fn a_deeply_nested_body_is_refused_not_followed() {
        let body = ["[".repeat(100_000), "null".to_owned()].concat();
        assert!(decode::<Sample>(body.as_bytes()).is_err());
    }
}
