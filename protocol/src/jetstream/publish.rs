//! The headers that mean something to a stream: on a publish, on a delivery, and on a direct get.

use std::fmt;
use std::time::Duration;

use crate::headers::HeaderBlock;
use crate::name::StreamName;
use crate::time::parse_duration;

/// The publisher's id of the message; a second message with it within the dedup window is not stored.
pub const MSG_ID: &str = "Nats-Msg-Id";
/// Refuse unless this stream takes the message.
pub const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// Refuse unless the stream's last sequence is this.
pub const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
/// Refuse unless the last sequence of the subject is this.
pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
/// The subject that [`EXPECTED_LAST_SUBJECT_SEQUENCE`] looks at, when it is not the message's own; may have wildcards.
pub const EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT: &str =
    "Nats-Expected-Last-Subject-Sequence-Subject";
/// Refuse unless the stream's last message has this id.
pub const EXPECTED_LAST_MSG_ID: &str = "Nats-Expected-Last-Msg-Id";
/// How long the message lives: whole seconds, a duration, or `never`.
pub const MSG_TTL: &str = "Nats-TTL";
/// Earlier messages go: `all`, or `sub` for those of the same subject.
pub const ROLLUP: &str = "Nats-Rollup";
/// The lowest API level that the request needs.
pub const REQUIRED_API_LEVEL: &str = "Nats-Required-Api-Level";

/// The stream a message was read from.
pub const STREAM: &str = "Nats-Stream";
/// The subject it was published on.
pub const SUBJECT: &str = "Nats-Subject";
/// Its sequence.
pub const SEQUENCE: &str = "Nats-Sequence";
/// When it was stored, RFC 3339.
pub const TIME_STAMP: &str = "Nats-Time-Stamp";
/// The sequence of the message before it in the answer.
pub const LAST_SEQUENCE: &str = "Nats-Last-Sequence";
/// How many messages of the answer are still to come.
pub const NUM_PENDING: &str = "Nats-Num-Pending";
/// The last sequence that a direct get of several subjects looked at.
pub const UP_TO_SEQUENCE: &str = "Nats-UpTo-Sequence";
/// The payload's size, where only headers are delivered.
pub const MSG_SIZE: &str = "Nats-Msg-Size";
/// Messages of a pull request that were not delivered.
pub const PENDING_MESSAGES: &str = "Nats-Pending-Messages";
/// Bytes of a pull request that were not used.
pub const PENDING_BYTES: &str = "Nats-Pending-Bytes";
/// On a heartbeat: the last delivery of the consumer.
pub const LAST_CONSUMER: &str = "Nats-Last-Consumer";
/// On a heartbeat: the stream sequence of the last delivery.
pub const LAST_STREAM: &str = "Nats-Last-Stream";
/// On a heartbeat: the subject to answer so that a stalled push consumer goes on.
pub const CONSUMER_STALLED: &str = "Nats-Consumer-Stalled";

/// Deliver not before this duration has passed since the publish. relevo's own.
pub const DELAY: &str = "Relevo-Delay";
/// Higher goes first, 0 to 9. relevo's own.
pub const PRIORITY: &str = "Relevo-Priority";
/// Messages with the same key are delivered one after the other. relevo's own.
pub const KEY: &str = "Relevo-Key";
/// The lease of a delivered message, on doors where the reply subject is not at hand. relevo's own.
pub const LEASE: &str = "Relevo-Lease";
/// The mailbox queue that the sender reads answers from. relevo's own.
pub const REPLY_TO: &str = "Relevo-Reply-To";

/// The longest delay.
pub const MAX_DELAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The highest priority; the default is 0.
pub const MAX_PRIORITY: u8 = 9;

/// The longest key, in bytes.
pub const MAX_KEY_LEN: usize = 128;

/// The shortest time to live, as in nats-server.
pub const MIN_TTL: Duration = Duration::from_secs(1);

/// What the headers of a publish ask the stream for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishOptions {
    /// [`MSG_ID`]; never empty.
    pub msg_id: Option<String>,
    /// [`EXPECTED_STREAM`] as it was written; a text that is no stream name matches none.
    pub expected_stream: Option<String>,
    /// [`EXPECTED_LAST_SEQUENCE`].
    pub expected_last_seq: Option<u64>,
    /// [`EXPECTED_LAST_SUBJECT_SEQUENCE`].
    pub expected_last_subject_seq: Option<u64>,
    /// [`EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT`].
    pub expected_last_subject_seq_subject: Option<String>,
    /// [`EXPECTED_LAST_MSG_ID`].
    pub expected_last_msg_id: Option<String>,
    /// [`MSG_TTL`].
    pub ttl: Option<MessageTtl>,
    /// [`ROLLUP`].
    pub rollup: Option<Rollup>,
    /// [`DELAY`], at most [`MAX_DELAY`]; zero is no delay.
    pub delay: Duration,
    /// [`PRIORITY`], at most [`MAX_PRIORITY`].
    pub priority: u8,
    /// [`KEY`], 1 to [`MAX_KEY_LEN`] bytes.
    pub key: Option<String>,
    /// [`REQUIRED_API_LEVEL`].
    pub required_api_level: Option<u32>,
}

impl PublishOptions {
    /// Reads the header block of a publish, see [`Self::from_pairs`].
    ///
    /// # Errors
    /// [`PublishHeaderError`] names the header whose value makes no sense; the message is to be refused.
    pub fn from_headers(headers: &HeaderBlock<'_>) -> Result<Self, PublishHeaderError> {
        Self::from_pairs(headers.iter())
    }

    /// Reads the headers of a publish. Names are compared exactly, as nats-server does; the first of a name counts.
    ///
    /// # Errors
    /// [`PublishHeaderError`] names the header whose value makes no sense; the message is to be refused.
    pub fn from_pairs<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, PublishHeaderError> {
        let mut options = Self::default();
        let mut seen = Seen::default();
        for (name, value) in headers {
            let Some(header) = PublishHeader::from_name(name) else {
                continue;
            };
            if seen.first(header) {
                options
                    .set(header, value.trim())
                    .ok_or(PublishHeaderError(header))?;
            }
        }
        Ok(options)
    }

    /// Whether the stream of this name may take the message.
    pub fn allows_stream(&self, stream: &StreamName) -> bool {
        self.expected_stream
            .as_deref()
            .is_none_or(|expected| expected == stream.as_str())
    }

    fn set(&mut self, header: PublishHeader, value: &str) -> Option<()> {
        match header {
            PublishHeader::MsgId => self.msg_id = non_empty(value),
            PublishHeader::ExpectedStream => self.expected_stream = non_empty(value),
            PublishHeader::ExpectedLastSeq => self.expected_last_seq = Some(value.parse().ok()?),
            PublishHeader::ExpectedLastSubjectSeq => {
                self.expected_last_subject_seq = Some(value.parse().ok()?)
            }
            PublishHeader::ExpectedLastSubjectSeqSubject => {
                self.expected_last_subject_seq_subject = non_empty(value);
            }
            PublishHeader::ExpectedLastMsgId => self.expected_last_msg_id = non_empty(value),
            PublishHeader::Ttl => self.ttl = MessageTtl::parse(value)?,
            PublishHeader::Rollup => self.rollup = Some(Rollup::parse(value)?),
            PublishHeader::Delay => {
                self.delay = parse_duration(value)
                    .ok()
                    .filter(|delay| *delay <= MAX_DELAY)?
            }
            PublishHeader::Priority => {
                self.priority = value
                    .parse()
                    .ok()
                    .filter(|priority| *priority <= MAX_PRIORITY)?;
            }
            PublishHeader::Key => {
                self.key = Some(non_empty(value).filter(|key| key.len() <= MAX_KEY_LEN)?);
            }
            PublishHeader::RequiredApiLevel => self.required_api_level = Some(value.parse().ok()?),
        }
        Some(())
    }
}

/// How long a message lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageTtl {
    /// This long, at least [`MIN_TTL`].
    For(Duration),
    /// Even past the stream's `max_age`.
    Never,
}

impl MessageTtl {
    /// Reads the header's value; `Some(None)` when it asks for nothing (`0`).
    fn parse(value: &str) -> Option<Option<Self>> {
        if value.eq_ignore_ascii_case("never") {
            return Some(Some(Self::Never));
        }
        let duration = match value.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => parse_duration(value).ok()?,
        };
        if duration.is_zero() {
            return Some(None);
        }
        (MIN_TTL..=crate::time::MAX_DURATION)
            .contains(&duration)
            .then_some(Some(Self::For(duration)))
    }
}

/// Which earlier messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollup {
    /// All of the stream.
    All,
    /// Those of the message's subject.
    Subject,
}

impl Rollup {
    fn parse(value: &str) -> Option<Self> {
        match value {
            "all" => Some(Self::All),
            "sub" => Some(Self::Subject),
            _ => None,
        }
    }
}

/// The value of this header makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishHeaderError(pub PublishHeader);

impl fmt::Display for PublishHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {}: use {}", self.0.name(), self.0.expects())
    }
}

impl std::error::Error for PublishHeaderError {}

/// One row per header of a publish: variant, header, what its value should be.
macro_rules! header_table {
    ($( $header:ident $name:ident $expects:literal; )+) => {
        /// A header of a publish that a stream reads.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum PublishHeader {
            $(
                #[doc = concat!("[`", stringify!($name), "`]: ", $expects)]
                $header,
            )+
        }

        impl PublishHeader {
            /// The header of this name, compared exactly.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $( $name => Some(Self::$header), )+
                    _ => None,
                }
            }

            /// The header's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$header => $name, )+
                }
            }

            /// What the header's value should be.
            pub const fn expects(self) -> &'static str {
                match self {
                    $( Self::$header => $expects, )+
                }
            }
        }
    };
}

header_table! {
    MsgId MSG_ID "any text";
    ExpectedStream EXPECTED_STREAM "a stream name";
    ExpectedLastSeq EXPECTED_LAST_SEQUENCE "a sequence number";
    ExpectedLastSubjectSeq EXPECTED_LAST_SUBJECT_SEQUENCE "a sequence number";
    ExpectedLastSubjectSeqSubject EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT "a subject";
    ExpectedLastMsgId EXPECTED_LAST_MSG_ID "a message id";
    Ttl MSG_TTL "whole seconds, a duration of at least 1s, or never";
    Rollup ROLLUP "all or sub";
    Delay DELAY "a duration of at most 365d, as 30s or 5m";
    Priority PRIORITY "a number from 0 to 9";
    Key KEY "1 to 128 bytes";
    RequiredApiLevel REQUIRED_API_LEVEL "a number";
}

#[derive(Default)]
struct Seen {
    headers: u16,
}

impl Seen {
    fn first(&mut self, header: PublishHeader) -> bool {
        let bit = 1 << (header as u16);
        let is_first = self.headers & bit == 0;
        self.headers |= bit;
        is_first
    }
}

fn non_empty(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], expected: Result<PublishOptions, PublishHeader>) {
        let options = PublishOptions::from_pairs(headers.iter().copied());
        assert_eq!(options, expected.map_err(PublishHeaderError), "{headers:?}");
    }

    #[test]
    fn headers_of_a_publish_become_options() {
        check(
            &[("Content-Type", "text/plain"), ("nats-msg-id", "x")],
            Ok(PublishOptions::default()),
        );
        check(
            &[
                ("Nats-Msg-Id", "id-1"),
                ("Nats-Expected-Stream", "ORDERS"),
                ("Nats-Expected-Last-Sequence", "0"),
                ("Nats-Expected-Last-Subject-Sequence", "7"),
                ("Nats-Expected-Last-Subject-Sequence-Subject", "orders.>"),
                ("Nats-Expected-Last-Msg-Id", "id-0"),
                ("Nats-TTL", "60"),
                ("Nats-Rollup", "sub"),
                ("Nats-Required-Api-Level", "2"),
                ("Relevo-Delay", "30s"),
                ("Relevo-Priority", "9"),
                ("Relevo-Key", "customer-7"),
            ],
            Ok(PublishOptions {
                msg_id: Some("id-1".to_owned()),
                expected_stream: Some("ORDERS".to_owned()),
                expected_last_seq: Some(0),
                expected_last_subject_seq: Some(7),
                expected_last_subject_seq_subject: Some("orders.>".to_owned()),
                expected_last_msg_id: Some("id-0".to_owned()),
                ttl: Some(MessageTtl::For(Duration::from_secs(60))),
                rollup: Some(Rollup::Subject),
                required_api_level: Some(2),
                delay: Duration::from_secs(30),
                priority: 9,
                key: Some("customer-7".to_owned()),
            }),
        );
    }

    #[test]
    fn the_first_of_a_repeated_header_counts() {
        let expected = PublishOptions {
            msg_id: Some("a".to_owned()),
            ..PublishOptions::default()
        };
        check(&[("Nats-Msg-Id", "a"), ("Nats-Msg-Id", "b")], Ok(expected));
    }

    #[test]
    fn a_value_that_makes_no_sense_names_its_header() {
        let long_key = "k".repeat(MAX_KEY_LEN + 1);
        for (name, value, header) in [
            (EXPECTED_LAST_SEQUENCE, "x", PublishHeader::ExpectedLastSeq),
            (
                EXPECTED_LAST_SUBJECT_SEQUENCE,
                "-1",
                PublishHeader::ExpectedLastSubjectSeq,
            ),
            (MSG_TTL, "soon", PublishHeader::Ttl),
            (MSG_TTL, "500ms", PublishHeader::Ttl),
            (MSG_TTL, "-1", PublishHeader::Ttl),
            (ROLLUP, "some", PublishHeader::Rollup),
            (DELAY, "366d", PublishHeader::Delay),
            (DELAY, "30", PublishHeader::Delay),
            (PRIORITY, "10", PublishHeader::Priority),
            (PRIORITY, "high", PublishHeader::Priority),
            (KEY, "", PublishHeader::Key),
            (KEY, &long_key, PublishHeader::Key),
            (REQUIRED_API_LEVEL, "two", PublishHeader::RequiredApiLevel),
        ] {
            check(&[(name, value)], Err(header));
        }
        assert_eq!(
            PublishHeaderError(PublishHeader::Priority).to_string(),
            "invalid Relevo-Priority: use a number from 0 to 9"
        );
    }

    #[test]
    fn a_ttl_is_seconds_a_duration_or_never() {
        for (value, ttl) in [
            ("0", None),
            ("1", Some(MessageTtl::For(Duration::from_secs(1)))),
            ("1m30s", Some(MessageTtl::For(Duration::from_secs(90)))),
            ("never", Some(MessageTtl::Never)),
            ("NEVER", Some(MessageTtl::Never)),
        ] {
            check(
                &[(MSG_TTL, value)],
                Ok(PublishOptions {
                    ttl,
                    ..PublishOptions::default()
                }),
            );
        }
    }

    #[test]
    fn an_expected_stream_is_compared_as_text() {
        let orders = StreamName::parse("ORDERS").unwrap();
        let allows = |headers: &[(&str, &str)]| {
            PublishOptions::from_pairs(headers.iter().copied())
                .unwrap()
                .allows_stream(&orders)
        };
        assert!(allows(&[]));
        assert!(allows(&[(EXPECTED_STREAM, "ORDERS")]));
        assert!(!allows(&[(EXPECTED_STREAM, "orders")]));
        assert!(!allows(&[(EXPECTED_STREAM, "not a.name")]));
    }
}
