//! Names of queues, topics, subscriptions, streams, consumers and brokers.
//!
//! Each kind is a type of its own: a text is checked once, when the name is parsed, and never again. All are cheap to clone.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest queue, topic or subscription name, in bytes.
pub const MAX_WORD_LEN: usize = 128;

/// The longest stream or consumer name, in bytes (nats-server `JSMaxNameLen`).
pub const MAX_JETSTREAM_NAME_LEN: usize = 255;

/// The longest broker name, in bytes.
pub const MAX_MEMBER_NAME_LEN: usize = 32;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes it a name.
            ///
            /// # Errors
            /// [`NameError`] says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check_name($kind, text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }
    };
}

name_type! {
    /// The name of a queue: 1 to 128 of `A-Z a-z 0-9 _ -`, case-sensitive.
    QueueName, NameKind::Queue
}

name_type! {
    /// The name of a topic: 1 to 128 of `A-Z a-z 0-9 _ -`, case-sensitive.
    TopicName, NameKind::Topic
}

name_type! {
    /// The name of a durable subscription to a topic: 1 to 128 of `A-Z a-z 0-9 _ -`, case-sensitive.
    SubscriptionName, NameKind::Subscription
}

name_type! {
    /// The name of a JetStream stream: 1 to 255 bytes, no white space, control character, `.`, `*`, `>`, `/` or `\`.
    StreamName, NameKind::Stream
}

name_type! {
    /// The name of a JetStream consumer: 1 to 255 bytes, no white space, control character, `.`, `*`, `>`, `/` or `\`.
    ConsumerName, NameKind::Consumer
}

name_type! {
    /// The name of a broker: 1 to 32 of `a-z 0-9 -`.
    MemberName, NameKind::Member
}

macro_rules! composed_name {
    ($($name:ident, $kind:expr;)+) => {$(
        impl $name {
            /// A name that this crate composes of parts that are known to fit the rules.
            pub(crate) fn from_parts(prefix: &str, rest: &str) -> Self {
                let text = [prefix, rest].concat();
                debug_assert_eq!(check_name($kind, &text), Ok(()));
                Self(Arc::from(text))
            }
        }
    )+};
}

composed_name! {
    QueueName, NameKind::Queue;
    StreamName, NameKind::Stream;
    ConsumerName, NameKind::Consumer;
}

impl From<SubscriptionName> for ConsumerName {
    fn from(name: SubscriptionName) -> Self {
        Self(name.0)
    }
}

/// What a name is for; decides which characters and lengths are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A queue.
    Queue,
    /// A topic.
    Topic,
    /// A durable subscription.
    Subscription,
    /// A JetStream stream.
    Stream,
    /// A JetStream consumer.
    Consumer,
    /// A broker.
    Member,
}

impl NameKind {
    /// The longest name of this kind, in bytes.
    pub const fn max_len(self) -> usize {
        match self {
            Self::Queue | Self::Topic | Self::Subscription => MAX_WORD_LEN,
            Self::Stream | Self::Consumer => MAX_JETSTREAM_NAME_LEN,
            Self::Member => MAX_MEMBER_NAME_LEN,
        }
    }

    fn allows(self, c: char) -> bool {
        match self {
            Self::Queue | Self::Topic | Self::Subscription => {
                c.is_ascii_alphanumeric() || c == '_' || c == '-'
            }
            Self::Stream | Self::Consumer => {
                !c.is_whitespace() && !c.is_control() && !matches!(c, '.' | '*' | '>' | '/' | '\\')
            }
            Self::Member => c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
        }
    }

    const fn alphabet(self) -> &'static str {
        match self {
            Self::Queue | Self::Topic | Self::Subscription => "use letters, digits, '_' and '-'",
            Self::Stream | Self::Consumer => "white space and . * > / \\ are not allowed",
            Self::Member => "use a-z, 0-9 and '-'",
        }
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "queue",
            Self::Topic => "topic",
            Self::Subscription => "subscription",
            Self::Stream => "stream",
            Self::Consumer => "consumer",
            Self::Member => "broker",
        })
    }
}

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// The name is empty.
    Empty(NameKind),
    /// The name is longer than [`NameKind::max_len`].
    TooLong(NameKind),
    /// The name holds a character that its kind does not allow.
    InvalidCharacter(NameKind, char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(kind) => write!(f, "{kind} name is missing"),
            Self::TooLong(kind) => write!(
                f,
                "{kind} name is too long, at most {} bytes are allowed",
                kind.max_len()
            ),
            Self::InvalidCharacter(kind, c) => {
                write!(f, "{kind} name can not contain {c:?}; {}", kind.alphabet())
            }
        }
    }
}

impl std::error::Error for NameError {}

fn check_name(kind: NameKind, text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty(kind));
    }
    if text.len() > kind.max_len() {
        return Err(NameError::TooLong(kind));
    }
    match text.chars().find(|c| !kind.allows(*c)) {
        Some(c) => Err(NameError::InvalidCharacter(kind, c)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_ascii_letters_digits_underscore_and_hyphen() {
        use NameKind::Queue;
        let check = |text: &str, expected: Result<(), NameError>| {
            assert_eq!(QueueName::parse(text).map(drop), expected, "{text}");
        };
        check("jobs", Ok(()));
        check("Jobs_2-b", Ok(()));
        check(&"q".repeat(128), Ok(()));
        check(&"q".repeat(129), Err(NameError::TooLong(Queue)));
        check("", Err(NameError::Empty(Queue)));
        check("a.b", Err(NameError::InvalidCharacter(Queue, '.')));
        check("a b", Err(NameError::InvalidCharacter(Queue, ' ')));
        check("ä", Err(NameError::InvalidCharacter(Queue, 'ä')));
        check("a\r\n", Err(NameError::InvalidCharacter(Queue, '\r')));
    }

    #[test]
    fn jetstream_names_are_what_nats_server_allows() {
        use NameKind::Stream;
        let check = |text: &str, expected: Result<(), NameError>| {
            assert_eq!(StreamName::parse(text).map(drop), expected, "{text}");
        };
        check("ORDERS", Ok(()));
        check("KV_config", Ok(()));
        check("größe:1$", Ok(()));
        check(&"s".repeat(255), Ok(()));
        check(&"s".repeat(256), Err(NameError::TooLong(Stream)));
        for c in [' ', '\t', '\n', '.', '*', '>', '/', '\\', '\0', '\u{a0}'] {
            check(
                &format!("a{c}"),
                Err(NameError::InvalidCharacter(Stream, c)),
            );
        }
    }

    #[test]
    fn broker_names_are_short_and_lower_case() {
        assert!(MemberName::parse("a").is_ok());
        assert!(MemberName::parse(&"b".repeat(32)).is_ok());
        assert!(MemberName::parse(&"b".repeat(33)).is_err());
        assert!(MemberName::parse("A").is_err());
        assert!(MemberName::parse("a_b").is_err());
    }

    #[test]
    fn a_name_error_says_what_to_use_instead() {
        let error = QueueName::parse("a.b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "queue name can not contain '.'; use letters, digits, '_' and '-'"
        );
        assert_eq!(
            QueueName::parse(&"q".repeat(129)).unwrap_err().to_string(),
            "queue name is too long, at most 128 bytes are allowed"
        );
        assert_eq!(
            StreamName::parse("").unwrap_err().to_string(),
            "stream name is missing"
        );
    }

    #[test]
    fn a_name_is_a_json_string_and_is_checked_when_read() {
        let name: StreamName = serde_json::from_str("\"ORDERS\"").unwrap();
        assert_eq!(name.as_str(), "ORDERS");
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"ORDERS\"");
        assert!(serde_json::from_str::<StreamName>("\"a.b\"").is_err());
        assert!(serde_json::from_str::<StreamName>("\"\"").is_err());
    }

    #[test]
    fn names_are_looked_up_by_text_and_padded_when_shown() {
        let names = std::collections::BTreeSet::from([QueueName::parse("jobs").unwrap()]);
        assert!(names.contains("jobs"));
        assert_eq!(
            format!("{:>6}|", QueueName::parse("jobs").unwrap()),
            "  jobs|"
        );
    }
}
