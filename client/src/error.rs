//! What can go wrong, one enum per kind of call, and what each means for the work that was asked for.

use std::fmt;
use std::io;

use relevo_protocol::error::ParseError;
use relevo_protocol::headers::HeaderError;
use relevo_protocol::info::InfoError;
use relevo_protocol::jetstream::error::{ApiError, ErrorCode};
use relevo_protocol::name::NameError;
use relevo_protocol::subject::SubjectError;

use crate::message::Message;

/// What a failed call leaves behind: whether doing it again may do it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was done. It is safe to try again.
    NotDone,
    /// It may have been done, or may still be. Try again only with what can be done twice, as a push with an id.
    Unknown,
}

/// No server could be connected to.
#[derive(Debug)]
pub struct ConnectError {
    /// The address that was tried last; empty when there was none.
    pub server: String,
    /// What happened there.
    pub kind: ConnectErrorKind,
}

/// Why a server could not be connected to.
#[derive(Debug)]
pub enum ConnectErrorKind {
    /// [`ConnectOptions`](crate::ConnectOptions) names no server.
    NoServers,
    /// The address is not `host:port`.
    BadAddress,
    /// The socket failed.
    Io(io::Error),
    /// The server closed the connection before it was ready.
    HungUp,
    /// The server was not ready within
    /// [`ConnectOptions::connect_timeout`](crate::ConnectOptions::connect_timeout).
    TimedOut,
    /// The server insists on TLS, which this client does not have.
    TlsRequired,
    /// The server refused the user, password or token.
    Unauthorized(String),
    /// The server refused the connection for another reason.
    Refused(String),
    /// The server's INFO can not be read.
    BadInfo(InfoError),
    /// What the server sent is not the NATS protocol.
    Protocol(ParseError),
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ConnectErrorKind::Io(source) => Some(source),
            ConnectErrorKind::BadInfo(source) => Some(source),
            ConnectErrorKind::Protocol(source) => Some(source),
            ConnectErrorKind::NoServers
            | ConnectErrorKind::BadAddress
            | ConnectErrorKind::HungUp
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::TlsRequired
            | ConnectErrorKind::Unauthorized(_)
            | ConnectErrorKind::Refused(_) => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = &self.server;
        match &self.kind {
            ConnectErrorKind::NoServers => {
                f.write_str("no server to connect to; name one with ConnectOptions::server")
            }
            ConnectErrorKind::BadAddress => {
                write!(f, "'{server}' is not an address; write host:port")
            }
            ConnectErrorKind::Io(source) => write!(f, "connect to {server}: {source}"),
            ConnectErrorKind::HungUp => write!(
                f,
                "connect to {server}: the server closed the connection at once"
            ),
            ConnectErrorKind::TimedOut => write!(f, "connect to {server}: no answer in time"),
            ConnectErrorKind::TlsRequired => write!(
                f,
                "connect to {server}: the server insists on TLS, which this client does not have"
            ),
            ConnectErrorKind::Unauthorized(text) => write!(
                f,
                "connect to {server}: {text}; check user, password or token"
            ),
            ConnectErrorKind::Refused(text) => write!(f, "connect to {server}: {text}"),
            ConnectErrorKind::BadInfo(source) => write!(f, "connect to {server}: {source}"),
            ConnectErrorKind::Protocol(source) => {
                write!(f, "connect to {server}: not a NATS server: {source}")
            }
        }
    }
}

/// A message was not sent. Its [`outcome`](Self::outcome) is always [`Outcome::NotDone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The subject, or the reply subject, can not be published to.
    InvalidSubject(SubjectError),
    /// The server takes no headers.
    HeadersNotSupported,
    /// Headers and payload together are longer than the server takes.
    TooLarge {
        /// Their length in bytes.
        len: usize,
        /// The most that the server takes, in bytes.
        max: usize,
    },
    /// There was no connection within [`ConnectOptions::send_timeout`](crate::ConnectOptions::send_timeout).
    NotConnected,
    /// The server took no bytes within [`ConnectOptions::send_timeout`](crate::ConnectOptions::send_timeout) while
    /// the write buffer was full.
    BufferFull,
    /// The client was closed.
    Closed,
}

impl PublishError {
    /// Whether the message may have been sent: never.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::NotDone
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InvalidSubject(source) => Some(source),
            Self::HeadersNotSupported
            | Self::TooLarge { .. }
            | Self::NotConnected
            | Self::BufferFull
            | Self::Closed => None,
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSubject(source) => source.fmt(f),
            Self::HeadersNotSupported => f.write_str("the server takes no headers"),
            Self::TooLarge { len, max } => {
                write!(f, "message of {len} bytes, the server takes {max} at most")
            }
            Self::NotConnected => f.write_str("no server can be reached; nothing was sent"),
            Self::BufferFull => f.write_str(
                "the server does not keep up and the write buffer is full; nothing was sent",
            ),
            Self::Closed => f.write_str("the client was closed"),
        }
    }
}

impl From<SubjectError> for PublishError {
    fn from(error: SubjectError) -> Self {
        Self::InvalidSubject(error)
    }
}

/// A request got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The request was not sent.
    Unsent(PublishError),
    /// As many requests wait for answers as may, [`PENDING_MAX`](crate::PENDING_MAX). This one was not sent.
    TooManyPending,
    /// Nobody listens on the subject (status 503).
    NoResponders,
    /// No answer came in time.
    TimedOut,
    /// The connection was lost after the request was sent.
    ConnectionLost,
}

impl RequestError {
    /// Whether whoever was asked may have done what they were asked for.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Unsent(_) | Self::TooManyPending | Self::NoResponders => Outcome::NotDone,
            Self::TimedOut | Self::ConnectionLost => Outcome::Unknown,
        }
    }
}

impl std::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unsent(source) => Some(source),
            Self::TooManyPending | Self::NoResponders | Self::TimedOut | Self::ConnectionLost => {
                None
            }
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent(source) => source.fmt(f),
            Self::TooManyPending => {
                f.write_str("too many requests wait for answers; nothing was sent")
            }
            Self::NoResponders => f.write_str("nobody listens on the subject"),
            Self::TimedOut => {
                f.write_str("no answer in time; the request may have been carried out")
            }
            Self::ConnectionLost => f.write_str(
                "connection lost before the answer; the request may have been carried out",
            ),
        }
    }
}

impl From<PublishError> for RequestError {
    fn from(error: PublishError) -> Self {
        Self::Unsent(error)
    }
}

impl From<SubjectError> for RequestError {
    fn from(error: SubjectError) -> Self {
        Self::Unsent(PublishError::InvalidSubject(error))
    }
}

/// A subscription was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// The filter, or the queue group's name, is none.
    InvalidFilter(SubjectError),
    /// The server took no bytes in time while the write buffer was full.
    BufferFull,
    /// The client was closed.
    Closed,
}

impl std::error::Error for SubscribeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InvalidFilter(source) => Some(source),
            Self::BufferFull | Self::Closed => None,
        }
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidFilter(source) => source.fmt(f),
            Self::BufferFull => PublishError::BufferFull.fmt(f),
            Self::Closed => PublishError::Closed.fmt(f),
        }
    }
}

impl From<SubjectError> for SubscribeError {
    fn from(error: SubjectError) -> Self {
        Self::InvalidFilter(error)
    }
}

/// What was asked of a stream, a queue or a topic was not done, or nobody said that it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JetStreamError {
    /// A name is none.
    Name(NameError),
    /// A header can not be sent.
    Header(HeaderError),
    /// The request got no answer.
    Request(RequestError),
    /// The server refused it, with JetStream's `code`, `err_code` and `description`.
    Refused(ApiError),
    /// The server refused it with a status: see [`relevo_protocol::jetstream::status::Status`].
    Status {
        /// The status, as HTTP numbers.
        code: u16,
        /// What it says; may be empty.
        description: String,
    },
    /// No stream takes messages of this subject: the queue or topic does not exist.
    NoStream,
    /// The answer makes no sense here.
    BadAnswer(BadAnswer),
}

/// How an answer makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// The body is not the JSON that belongs there.
    Json,
    /// The message has no acknowledgement subject.
    NoAckSubject,
    /// A stored message comes without its sequence, subject or time.
    NoOrigin,
}

impl JetStreamError {
    /// Whether what was asked for may have been done.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Request(error) => error.outcome(),
            Self::Name(_)
            | Self::Header(_)
            | Self::Refused(_)
            | Self::Status { .. }
            | Self::NoStream => Outcome::NotDone,
            Self::BadAnswer(_) => Outcome::Unknown,
        }
    }

    /// What the server refused it with.
    #[must_use]
    pub const fn refusal(&self) -> Option<&ApiError> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Name(_)
            | Self::Header(_)
            | Self::Request(_)
            | Self::Status { .. }
            | Self::NoStream
            | Self::BadAnswer(_) => None,
        }
    }

    /// Whether there is no such stream, queue, topic, consumer or subscription.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Refused(error) => {
                error.is(ErrorCode::StreamNotFound) || error.is(ErrorCode::ConsumerNotFound)
            }
            Self::NoStream => true,
            Self::Name(_)
            | Self::Header(_)
            | Self::Request(_)
            | Self::Status { .. }
            | Self::BadAnswer(_) => false,
        }
    }

    /// Whether it is there already, with other options.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        let codes = [
            ErrorCode::StreamNameExists,
            ErrorCode::ConsumerAlreadyExists,
            ErrorCode::ConsumerNameExists,
        ];
        self.refusal()
            .is_some_and(|error| codes.iter().any(|code| error.is(*code)))
    }

    pub(crate) fn is_consumer_not_found(&self) -> bool {
        self.refusal()
            .is_some_and(|error| error.is(ErrorCode::ConsumerNotFound))
    }

    pub(crate) fn is_no_responders(&self) -> bool {
        *self == Self::Request(RequestError::NoResponders)
    }

    /// Whether asking again, for as long as it takes, may help: for what only reads.
    pub(crate) fn may_go_away(&self) -> bool {
        let is_unanswered = matches!(
            self,
            Self::Request(RequestError::TimedOut | RequestError::ConnectionLost)
        );
        is_unanswered || self.is_try_again()
    }

    /// What a message with a status says.
    pub(crate) fn status(code: u16, message: &Message) -> Self {
        Self::Status {
            code,
            description: message.status_description().to_owned(),
        }
    }

    /// Whether nothing was done and the same call may succeed a little later.
    #[must_use]
    pub fn is_try_again(&self) -> bool {
        match self {
            Self::Refused(error) => error.is_try_again(),
            Self::Request(error) => match error {
                RequestError::Unsent(PublishError::NotConnected | PublishError::BufferFull)
                | RequestError::TooManyPending
                | RequestError::NoResponders => true,
                RequestError::Unsent(
                    PublishError::InvalidSubject(_)
                    | PublishError::HeadersNotSupported
                    | PublishError::TooLarge { .. }
                    | PublishError::Closed,
                )
                | RequestError::TimedOut
                | RequestError::ConnectionLost => false,
            },
            Self::Status { code, .. } => matches!(code, 429 | 503),
            Self::Name(_) | Self::Header(_) | Self::NoStream | Self::BadAnswer(_) => false,
        }
    }
}

impl std::error::Error for JetStreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(source) => Some(source),
            Self::Header(source) => Some(source),
            Self::Request(source) => Some(source),
            Self::Refused(source) => Some(source),
            Self::Status { .. } | Self::NoStream | Self::BadAnswer(_) => None,
        }
    }
}

impl fmt::Display for JetStreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(source) => source.fmt(f),
            Self::Header(source) => source.fmt(f),
            Self::Request(source) => source.fmt(f),
            Self::Refused(source) => source.fmt(f),
            Self::Status { code, description } => write!(f, "{description} ({code})"),
            Self::NoStream => {
                f.write_str("no stream takes messages of this subject; create it first")
            }
            Self::BadAnswer(BadAnswer::Json) => {
                f.write_str("the answer is not the JSON that belongs there")
            }
            Self::BadAnswer(BadAnswer::NoAckSubject) => {
                f.write_str("a delivered message has no acknowledgement subject")
            }
            Self::BadAnswer(BadAnswer::NoOrigin) => {
                f.write_str("a stored message comes without its sequence, subject or time")
            }
        }
    }
}

impl From<NameError> for JetStreamError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<HeaderError> for JetStreamError {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

impl From<RequestError> for JetStreamError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<PublishError> for JetStreamError {
    fn from(error: PublishError) -> Self {
        Self::Request(RequestError::Unsent(error))
    }
}

impl From<ApiError> for JetStreamError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}
