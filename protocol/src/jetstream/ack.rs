//! Acknowledgements: the reply subject of a delivered message, and what a client publishes to it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::json::nanos;
use crate::name::{ConsumerName, StreamName};
use crate::time::{Timestamp, parse_duration};

/// What every ack subject begins with.
pub const ACK_PREFIX: &str = "$JS.ACK.";

/// The reply subject of a delivered message: which delivery of which message it is.
///
/// Written as version 1, `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`. Read as
/// version 1 or as version 2, which has domain and account hash before the stream and may have one more token at the end
/// (nats-server `consumer.go`, `ackReplyInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckSubject {
    /// The stream.
    pub stream: StreamName,
    /// The consumer.
    pub consumer: ConsumerName,
    /// How often the message has been delivered, this time included.
    pub delivered: u64,
    /// The message's sequence in the stream.
    pub stream_seq: u64,
    /// The count of the consumer's deliveries, this one included.
    pub consumer_seq: u64,
    /// When the message was stored.
    pub timestamp: Timestamp,
    /// How many messages were still to be delivered after this one.
    pub pending: u64,
}

impl AckSubject {
    /// Takes an ack subject apart.
    ///
    /// # Errors
    /// [`AckSubjectError`] when the subject is none.
    pub fn parse(subject: &str) -> Result<Self, AckSubjectError> {
        let rest = subject.strip_prefix(ACK_PREFIX).ok_or(AckSubjectError)?;
        let named = match rest.split('.').count() {
            V1_TOKENS => rest,
            V2_TOKENS | V2_TOKENS_WITH_TAIL => rest.splitn(3, '.').nth(2).ok_or(AckSubjectError)?,
            _ => return Err(AckSubjectError),
        };
        let mut tokens = named.split('.');
        let mut token = || tokens.next().ok_or(AckSubjectError);
        Ok(Self {
            stream: StreamName::parse(token()?).map_err(|_| AckSubjectError)?,
            consumer: ConsumerName::parse(token()?).map_err(|_| AckSubjectError)?,
            delivered: number(token()?)?,
            stream_seq: number(token()?)?,
            consumer_seq: number(token()?)?,
            timestamp: Timestamp::from_nanos(number(token()?)?),
            pending: number(token()?)?,
        })
    }
}

impl fmt::Display for AckSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{ACK_PREFIX}{}.{}.{}.{}.{}.{}.{}",
            self.stream,
            self.consumer,
            self.delivered,
            self.stream_seq,
            self.consumer_seq,
            self.timestamp.as_nanos(),
            self.pending
        )
    }
}

/// The subject is not an ack subject of version 1 or 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckSubjectError;

impl fmt::Display for AckSubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an ack subject")
    }
}

impl std::error::Error for AckSubjectError {}

/// What a client says about a delivered message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AckKind {
    /// Done. `+ACK` or an empty body.
    Ack,
    /// Not done, deliver it again. `-NAK [{"delay": ns}]`
    Nak {
        /// Not before this time has passed.
        delay: Option<Duration>,
    },
    /// Still at work: the wait begins anew. `+WPI [{"for": ns}]`; the wait's length is relevo's extension.
    InProgress {
        /// Wait this long instead of the consumer's ack wait.
        wait: Option<Duration>,
    },
    /// Done, and send the next. `+NXT [n | json]`
    Next {
        /// The pull request that follows the word, see [`super::api::NextRequest::decode`].
        request: Vec<u8>,
    },
    /// Will never be done, do not deliver it again. `+TERM [reason]`
    Term {
        /// Why; may be empty.
        reason: String,
    },
}

impl AckKind {
    /// Reads the body of a message that was published to an ack subject. A wait that can not be read counts as none, as in
    /// nats-server. The wait of `-NAK` may also be a duration in words, `-NAK 5s`.
    ///
    /// # Errors
    /// [`AckKindError`] when it begins with none of the known words; nats-server ignores such a message.
    pub fn parse(body: &[u8]) -> Result<Self, AckKindError> {
        if body.is_empty() || body == b"+ACK" || body == b"+OK" {
            return Ok(Self::Ack);
        }
        let (word, rest) = body.split_at_checked(WORD_LEN).ok_or(AckKindError)?;
        let rest = rest.trim_ascii();
        match word {
            b"-NAK" => Ok(Self::Nak {
                delay: wait(rest, |options| options.delay),
            }),
            b"+WPI" => Ok(Self::InProgress {
                wait: wait(rest, |options| options.wait),
            }),
            b"+NXT" => Ok(Self::Next {
                request: rest.to_vec(),
            }),
            _ => match body.strip_prefix(b"+TERM") {
                Some(reason) => Ok(Self::Term {
                    reason: String::from_utf8_lossy(reason.trim_ascii()).into_owned(),
                }),
                None => Err(AckKindError),
            },
        }
    }

    /// The body to publish.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ack => b"+ACK".to_vec(),
            Self::Nak { delay: None } => b"-NAK".to_vec(),
            Self::Nak { delay: Some(delay) } => {
                format!("-NAK {{\"delay\":{}}}", delay.as_nanos()).into_bytes()
            }
            Self::InProgress { wait: None } => b"+WPI".to_vec(),
            Self::InProgress { wait: Some(wait) } => {
                format!("+WPI {{\"for\":{}}}", wait.as_nanos()).into_bytes()
            }
            Self::Next { request } if request.is_empty() => b"+NXT".to_vec(),
            Self::Next { request } => [b"+NXT ".as_slice(), request].concat(),
            Self::Term { reason } if reason.is_empty() => b"+TERM".to_vec(),
            Self::Term { reason } => format!("+TERM {reason}").into_bytes(),
        }
    }
}

/// The body says nothing about a delivered message: it begins with none of the known words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckKindError;

impl fmt::Display for AckKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown acknowledgement; use +ACK, -NAK, +WPI, +NXT or +TERM")
    }
}

impl std::error::Error for AckKindError {}

/// Tokens after [`ACK_PREFIX`] in version 1.
const V1_TOKENS: usize = 7;

/// Tokens after [`ACK_PREFIX`] in version 2, without and with the token at the end.
const V2_TOKENS: usize = 9;
const V2_TOKENS_WITH_TAIL: usize = 10;

/// The length of the words that options follow.
const WORD_LEN: usize = 4;

#[derive(Deserialize)]
struct WaitOptions {
    #[serde(default)]
    delay: Option<Nanos>,
    #[serde(default, rename = "for")]
    wait: Option<Nanos>,
}

#[derive(Deserialize)]
struct Nanos(#[serde(with = "nanos")] Duration);

/// The wait after a word: a member of a JSON object, or a duration in words.
fn wait(options: &[u8], member: impl Fn(WaitOptions) -> Option<Nanos>) -> Option<Duration> {
    if options.starts_with(b"{") {
        let options = serde_json::from_slice(options).ok()?;
        member(options).map(|Nanos(duration)| duration)
    } else {
        parse_duration(std::str::from_utf8(options).ok()?).ok()
    }
}

fn number(token: &str) -> Result<u64, AckSubjectError> {
    if token.bytes().all(|byte| byte.is_ascii_digit()) {
        token.parse().map_err(|_| AckSubjectError)
    } else {
        Err(AckSubjectError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack() -> AckSubject {
        AckSubject {
            stream: StreamName::parse("ORDERS").unwrap(),
            consumer: ConsumerName::parse("workers").unwrap(),
            delivered: 2,
            stream_seq: 7,
            consumer_seq: 9,
            timestamp: Timestamp::from_nanos(1_769_846_400_500_000_000),
            pending: 3,
        }
    }

    #[test]
    fn ack_subjects_are_written_as_version_1() {
        assert_eq!(
            ack().to_string(),
            "$JS.ACK.ORDERS.workers.2.7.9.1769846400500000000.3"
        );
    }

    #[test]
    fn ack_subjects_are_read_in_both_versions() {
        for subject in [
            "$JS.ACK.ORDERS.workers.2.7.9.1769846400500000000.3",
            "$JS.ACK._.hash.ORDERS.workers.2.7.9.1769846400500000000.3",
            "$JS.ACK.hub.hash.ORDERS.workers.2.7.9.1769846400500000000.3.random",
        ] {
            assert_eq!(AckSubject::parse(subject), Ok(ack()), "{subject}");
        }
    }

    #[test]
    fn other_subjects_are_no_ack_subjects() {
        for subject in [
            "",
            "$JS.ACK.",
            "$JS.ACK.ORDERS.workers",
            "$JS.ACK.ORDERS.workers.2.7.9.1769846400500000000",
            "$JS.ACK.ORDERS.workers.2.7.9.1769846400500000000.3.4",
            "$JS.ACK._.hash.ORDERS.workers.2.7.9.1769846400500000000.3.a.b",
            "$JS.ACK.ORDERS.workers.x.7.9.1769846400500000000.3",
            "$JS.ACK.ORDERS.workers.+2.7.9.1769846400500000000.3",
            "$JS.ACK.ORDERS.workers..7.9.1769846400500000000.3",
            "$JS.ACK..workers.2.7.9.1769846400500000000.3",
            "$JS.ACK.ORDERS.workers.2.7.9.18446744073709551616.3",
            "$JS.FC.ORDERS.workers.2.7.9.1769846400500000000.3",
        ] {
            assert_eq!(
                AckSubject::parse(subject),
                Err(AckSubjectError),
                "{subject}"
            );
        }
    }

    fn check(body: &str, expected: Result<AckKind, AckKindError>) {
        assert_eq!(AckKind::parse(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn ack_bodies_are_read_as_nats_server_reads_them() {
        let five_seconds = Some(Duration::from_secs(5));
        check("", Ok(AckKind::Ack));
        check("+ACK", Ok(AckKind::Ack));
        check("+OK", Ok(AckKind::Ack));
        check("-NAK", Ok(AckKind::Nak { delay: None }));
        check(
            "-NAK {\"delay\":5000000000}",
            Ok(AckKind::Nak {
                delay: five_seconds,
            }),
        );
        check(
            "-NAK{\"delay\": 5000000000}",
            Ok(AckKind::Nak {
                delay: five_seconds,
            }),
        );
        check(
            "-NAK 5s",
            Ok(AckKind::Nak {
                delay: five_seconds,
            }),
        );
        check("-NAK soon", Ok(AckKind::Nak { delay: None }));
        check("-NAK {\"delay\":-1}", Ok(AckKind::Nak { delay: None }));
        check("+WPI", Ok(AckKind::InProgress { wait: None }));
        check(
            "+WPI {\"for\":5000000000}",
            Ok(AckKind::InProgress { wait: five_seconds }),
        );
        check(
            "+NXT",
            Ok(AckKind::Next {
                request: Vec::new(),
            }),
        );
        check(
            "+NXT 5",
            Ok(AckKind::Next {
                request: b"5".to_vec(),
            }),
        );
        check(
            "+NXT {\"batch\":5}",
            Ok(AckKind::Next {
                request: b"{\"batch\":5}".to_vec(),
            }),
        );
        check(
            "+TERM",
            Ok(AckKind::Term {
                reason: String::new(),
            }),
        );
        check(
            "+TERM not an order",
            Ok(AckKind::Term {
                reason: "not an order".to_owned(),
            }),
        );
        for unknown in ["+AC", "+ACKS", "ack", "+TER", " +ACK", "hello world"] {
            check(unknown, Err(AckKindError));
        }
    }

    #[test]
    fn ack_bodies_are_read_back() {
        let wait = Some(Duration::from_millis(1500));
        for kind in [
            AckKind::Ack,
            AckKind::Nak { delay: None },
            AckKind::Nak { delay: wait },
            AckKind::InProgress { wait: None },
            AckKind::InProgress { wait },
            AckKind::Next {
                request: Vec::new(),
            },
            AckKind::Next {
                request: b"3".to_vec(),
            },
            AckKind::Term {
                reason: String::new(),
            },
            AckKind::Term {
                reason: "no".to_owned(),
            },
        ] {
            assert_eq!(AckKind::parse(&kind.encode()), Ok(kind));
        }
    }
}
