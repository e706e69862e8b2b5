//! The API's endpoints: which request subjects exist, what they name, and the type of their responses.

use std::fmt;

use crate::name::{ConsumerName, NameError, StreamName};

/// What every API request subject begins with.
pub const API_PREFIX: &str = "$JS.API.";

/// An API request subject, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `INFO`
    AccountInfo,
    /// `STREAM.CREATE.<stream>`
    StreamCreate(StreamName),
    /// `STREAM.UPDATE.<stream>`
    StreamUpdate(StreamName),
    /// `STREAM.INFO.<stream>`
    StreamInfo(StreamName),
    /// `STREAM.DELETE.<stream>`
    StreamDelete(StreamName),
    /// `STREAM.PURGE.<stream>`
    StreamPurge(StreamName),
    /// `STREAM.NAMES`
    StreamNames,
    /// `STREAM.LIST`
    StreamList,
    /// `STREAM.MSG.GET.<stream>`
    MsgGet(StreamName),
    /// `STREAM.MSG.DELETE.<stream>`
    MsgDelete(StreamName),
    /// `DIRECT.GET.<stream>`
    DirectGet(StreamName),
    /// `DIRECT.GET.<stream>.<subject>`: the last message of the subject.
    DirectGetLast(StreamName, String),
    /// `CONSUMER.CREATE.<stream>[.<consumer>[.<filter subject>]]`
    ConsumerCreate {
        /// The stream.
        stream: StreamName,
        /// The consumer's name, unless the server shall choose one.
        consumer: Option<ConsumerName>,
        /// The only filter subject that the request may have.
        filter: Option<String>,
    },
    /// `CONSUMER.DURABLE.CREATE.<stream>.<consumer>`
    DurableCreate(StreamName, ConsumerName),
    /// `CONSUMER.INFO.<stream>.<consumer>`
    ConsumerInfo(StreamName, ConsumerName),
    /// `CONSUMER.DELETE.<stream>.<consumer>`
    ConsumerDelete(StreamName, ConsumerName),
    /// `CONSUMER.NAMES.<stream>`
    ConsumerNames(StreamName),
    /// `CONSUMER.LIST.<stream>`
    ConsumerList(StreamName),
    /// `CONSUMER.MSG.NEXT.<stream>.<consumer>`: a pull request; answered with messages and status lines, not with JSON.
    MsgNext(StreamName, ConsumerName),
}

impl Endpoint {
    /// Takes a request subject apart.
    ///
    /// # Errors
    /// [`EndpointError`]; nats-server answers such requests with "no responders".
    pub fn parse(subject: &str) -> Result<Self, EndpointError> {
        let path = subject
            .strip_prefix(API_PREFIX)
            .ok_or(EndpointError::NotAnApiSubject)?;
        let (kind, rest) = EndpointKind::ALL
            .iter()
            .find_map(|kind| {
                let rest = path.strip_prefix(kind.words())?;
                if rest.is_empty() {
                    Some((*kind, rest))
                } else {
                    Some((*kind, rest.strip_prefix('.')?))
                }
            })
            .ok_or(EndpointError::Unknown)?;
        Self::from_parts(kind, rest)
    }

    /// The request subject.
    pub fn subject(&self) -> String {
        let words = self.kind().words();
        match self {
            Self::AccountInfo | Self::StreamNames | Self::StreamList => {
                format!("{API_PREFIX}{words}")
            }
            Self::StreamCreate(stream)
            | Self::StreamUpdate(stream)
            | Self::StreamInfo(stream)
            | Self::StreamDelete(stream)
            | Self::StreamPurge(stream)
            | Self::MsgGet(stream)
            | Self::MsgDelete(stream)
            | Self::DirectGet(stream)
            | Self::ConsumerNames(stream)
            | Self::ConsumerList(stream) => format!("{API_PREFIX}{words}.{stream}"),
            Self::DirectGetLast(stream, subject) => {
                format!("{API_PREFIX}{words}.{stream}.{subject}")
            }
            Self::DurableCreate(stream, consumer)
            | Self::ConsumerInfo(stream, consumer)
            | Self::ConsumerDelete(stream, consumer)
            | Self::MsgNext(stream, consumer) => format!("{API_PREFIX}{words}.{stream}.{consumer}"),
            Self::ConsumerCreate {
                stream,
                consumer,
                filter,
            } => {
                let mut subject = format!("{API_PREFIX}{words}.{stream}");
                if let Some(consumer) = consumer {
                    subject.push('.');
                    subject.push_str(consumer.as_str());
                    if let Some(filter) = filter {
                        subject.push('.');
                        subject.push_str(filter);
                    }
                }
                subject
            }
        }
    }

    /// Which row of the table this is.
    pub const fn kind(&self) -> EndpointKind {
        match self {
            Self::AccountInfo => EndpointKind::AccountInfo,
            Self::StreamCreate(_) => EndpointKind::StreamCreate,
            Self::StreamUpdate(_) => EndpointKind::StreamUpdate,
            Self::StreamInfo(_) => EndpointKind::StreamInfo,
            Self::StreamDelete(_) => EndpointKind::StreamDelete,
            Self::StreamPurge(_) => EndpointKind::StreamPurge,
            Self::StreamNames => EndpointKind::StreamNames,
            Self::StreamList => EndpointKind::StreamList,
            Self::MsgGet(_) => EndpointKind::MsgGet,
            Self::MsgDelete(_) => EndpointKind::MsgDelete,
            Self::DirectGet(_) | Self::DirectGetLast(..) => EndpointKind::DirectGet,
            Self::ConsumerCreate { .. } => EndpointKind::ConsumerCreate,
            Self::DurableCreate(..) => EndpointKind::DurableCreate,
            Self::ConsumerInfo(..) => EndpointKind::ConsumerInfo,
            Self::ConsumerDelete(..) => EndpointKind::ConsumerDelete,
            Self::ConsumerNames(_) => EndpointKind::ConsumerNames,
            Self::ConsumerList(_) => EndpointKind::ConsumerList,
            Self::MsgNext(..) => EndpointKind::MsgNext,
        }
    }

    /// The stream that the subject names.
    pub const fn stream(&self) -> Option<&StreamName> {
        match self {
            Self::AccountInfo | Self::StreamNames | Self::StreamList => None,
            Self::StreamCreate(stream)
            | Self::StreamUpdate(stream)
            | Self::StreamInfo(stream)
            | Self::StreamDelete(stream)
            | Self::StreamPurge(stream)
            | Self::MsgGet(stream)
            | Self::MsgDelete(stream)
            | Self::DirectGet(stream)
            | Self::DirectGetLast(stream, _)
            | Self::ConsumerCreate { stream, .. }
            | Self::DurableCreate(stream, _)
            | Self::ConsumerInfo(stream, _)
            | Self::ConsumerDelete(stream, _)
            | Self::ConsumerNames(stream)
            | Self::ConsumerList(stream)
            | Self::MsgNext(stream, _) => Some(stream),
        }
    }

    /// The consumer that the subject names.
    pub const fn consumer(&self) -> Option<&ConsumerName> {
        match self {
            Self::ConsumerCreate { consumer, .. } => consumer.as_ref(),
            Self::DurableCreate(_, consumer)
            | Self::ConsumerInfo(_, consumer)
            | Self::ConsumerDelete(_, consumer)
            | Self::MsgNext(_, consumer) => Some(consumer),
            Self::AccountInfo
            | Self::StreamCreate(_)
            | Self::StreamUpdate(_)
            | Self::StreamInfo(_)
            | Self::StreamDelete(_)
            | Self::StreamPurge(_)
            | Self::StreamNames
            | Self::StreamList
            | Self::MsgGet(_)
            | Self::MsgDelete(_)
            | Self::DirectGet(_)
            | Self::DirectGetLast(..)
            | Self::ConsumerNames(_)
            | Self::ConsumerList(_) => None,
        }
    }

    fn from_parts(kind: EndpointKind, rest: &str) -> Result<Self, EndpointError> {
        Ok(match kind {
            EndpointKind::AccountInfo => nothing(rest, Self::AccountInfo)?,
            EndpointKind::StreamNames => nothing(rest, Self::StreamNames)?,
            EndpointKind::StreamList => nothing(rest, Self::StreamList)?,
            EndpointKind::StreamCreate => Self::StreamCreate(one_stream(rest)?),
            EndpointKind::StreamUpdate => Self::StreamUpdate(one_stream(rest)?),
            EndpointKind::StreamInfo => Self::StreamInfo(one_stream(rest)?),
            EndpointKind::StreamDelete => Self::StreamDelete(one_stream(rest)?),
            EndpointKind::StreamPurge => Self::StreamPurge(one_stream(rest)?),
            EndpointKind::MsgGet => Self::MsgGet(one_stream(rest)?),
            EndpointKind::MsgDelete => Self::MsgDelete(one_stream(rest)?),
            EndpointKind::ConsumerNames => Self::ConsumerNames(one_stream(rest)?),
            EndpointKind::ConsumerList => Self::ConsumerList(one_stream(rest)?),
            EndpointKind::DirectGet => direct_get(rest)?,
            EndpointKind::ConsumerCreate => consumer_create(rest)?,
            EndpointKind::DurableCreate => two_names(rest, Self::DurableCreate)?,
            EndpointKind::ConsumerInfo => two_names(rest, Self::ConsumerInfo)?,
            EndpointKind::ConsumerDelete => two_names(rest, Self::ConsumerDelete)?,
            EndpointKind::MsgNext => two_names(rest, Self::MsgNext)?,
        })
    }
}

/// One row per endpoint: words of its subject, the names that follow (as subscription patterns), response type.
macro_rules! endpoint_table {
    ($( $(#[$doc:meta])* $kind:ident $words:literal [$($names:literal),+] $response:expr; )+) => {
        /// An endpoint without the names in its subject.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EndpointKind {
            $( $(#[$doc])* $kind, )+
        }

        impl EndpointKind {
            /// All rows of the table.
            pub const ALL: &'static [Self] = &[ $( Self::$kind, )+ ];

            /// The words of the request subject, after [`API_PREFIX`] and before the names.
            pub const fn words(self) -> &'static str {
                match self {
                    $( Self::$kind => $words, )+
                }
            }

            /// The request subjects with `*` and `>` in place of names.
            pub const fn patterns(self) -> &'static [&'static str] {
                match self {
                    $( Self::$kind => &[ $( concat!("$JS.API.", $words, $names) ),+ ], )+
                }
            }

            /// The `type` of the endpoint's response; `None` where the answer is messages, not JSON.
            pub const fn response_type(self) -> Option<&'static str> {
                match self {
                    $( Self::$kind => $response, )+
                }
            }
        }
    };
}

endpoint_table! {
    /// Usage and limits of the account.
    AccountInfo "INFO" [""] Some("io.nats.jetstream.api.v1.account_info_response");
    /// Creates a stream.
    StreamCreate "STREAM.CREATE" [".*"] Some("io.nats.jetstream.api.v1.stream_create_response");
    /// Changes a stream's configuration.
    StreamUpdate "STREAM.UPDATE" [".*"] Some("io.nats.jetstream.api.v1.stream_update_response");
    /// Tells about a stream.
    StreamInfo "STREAM.INFO" [".*"] Some("io.nats.jetstream.api.v1.stream_info_response");
    /// Deletes a stream.
    StreamDelete "STREAM.DELETE" [".*"] Some("io.nats.jetstream.api.v1.stream_delete_response");
    /// Deletes messages of a stream.
    StreamPurge "STREAM.PURGE" [".*"] Some("io.nats.jetstream.api.v1.stream_purge_response");
    /// Lists names of streams.
    StreamNames "STREAM.NAMES" [""] Some("io.nats.jetstream.api.v1.stream_names_response");
    /// Lists streams.
    StreamList "STREAM.LIST" [""] Some("io.nats.jetstream.api.v1.stream_list_response");
    /// Reads a message, as JSON.
    MsgGet "STREAM.MSG.GET" [".*"] Some("io.nats.jetstream.api.v1.stream_msg_get_response");
    /// Deletes a message.
    MsgDelete "STREAM.MSG.DELETE" [".*"] Some("io.nats.jetstream.api.v1.stream_msg_delete_response");
    /// Reads messages, as messages.
    DirectGet "DIRECT.GET" [".*", ".*.>"] None;
    /// Creates or updates a consumer.
    ConsumerCreate "CONSUMER.CREATE" [".*", ".*.>"] Some("io.nats.jetstream.api.v1.consumer_create_response");
    /// Creates a durable consumer, the older form.
    DurableCreate "CONSUMER.DURABLE.CREATE" [".*.*"] Some("io.nats.jetstream.api.v1.consumer_create_response");
    /// Tells about a consumer.
    ConsumerInfo "CONSUMER.INFO" [".*.*"] Some("io.nats.jetstream.api.v1.consumer_info_response");
    /// Deletes a consumer.
    ConsumerDelete "CONSUMER.DELETE" [".*.*"] Some("io.nats.jetstream.api.v1.consumer_delete_response");
    /// Lists names of a stream's consumers.
    ConsumerNames "CONSUMER.NAMES" [".*"] Some("io.nats.jetstream.api.v1.consumer_names_response");
    /// Lists a stream's consumers.
    ConsumerList "CONSUMER.LIST" [".*"] Some("io.nats.jetstream.api.v1.consumer_list_response");
    /// Asks for messages.
    MsgNext "CONSUMER.MSG.NEXT" [".*.*"] None;
}

/// Why a subject is not an API request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointError {
    /// Does not begin with [`API_PREFIX`].
    NotAnApiSubject,
    /// No endpoint has this form.
    Unknown,
    /// A stream or consumer name in the subject is not valid.
    InvalidName(NameError),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnApiSubject => write!(
                f,
                "not an API request: the subject does not begin with {API_PREFIX}"
            ),
            Self::Unknown => f.write_str("no API endpoint has this subject"),
            Self::InvalidName(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EndpointError {}

impl From<NameError> for EndpointError {
    fn from(error: NameError) -> Self {
        Self::InvalidName(error)
    }
}

fn nothing(rest: &str, endpoint: Endpoint) -> Result<Endpoint, EndpointError> {
    if rest.is_empty() {
        Ok(endpoint)
    } else {
        Err(EndpointError::Unknown)
    }
}

fn one_stream(rest: &str) -> Result<StreamName, EndpointError> {
    if rest.is_empty() || rest.contains('.') {
        return Err(EndpointError::Unknown);
    }
    Ok(StreamName::parse(rest)?)
}

fn two_names(
    rest: &str,
    endpoint: impl Fn(StreamName, ConsumerName) -> Endpoint,
) -> Result<Endpoint, EndpointError> {
    let (stream, consumer) = rest.split_once('.').ok_or(EndpointError::Unknown)?;
    if consumer.is_empty() || consumer.contains('.') {
        return Err(EndpointError::Unknown);
    }
    Ok(endpoint(
        one_stream(stream)?,
        ConsumerName::parse(consumer)?,
    ))
}

fn direct_get(rest: &str) -> Result<Endpoint, EndpointError> {
    match rest.split_once('.') {
        None => Ok(Endpoint::DirectGet(one_stream(rest)?)),
        Some((stream, subject)) if has_no_empty_token(subject) => Ok(Endpoint::DirectGetLast(
            one_stream(stream)?,
            subject.to_owned(),
        )),
        Some(_) => Err(EndpointError::Unknown),
    }
}

fn consumer_create(rest: &str) -> Result<Endpoint, EndpointError> {
    let mut parts = rest.splitn(3, '.');
    let stream = one_stream(parts.next().unwrap_or_default())?;
    let consumer = parts.next();
    let filter = parts.next();
    if consumer.is_some_and(str::is_empty)
        || filter.is_some_and(|filter| !has_no_empty_token(filter))
    {
        return Err(EndpointError::Unknown);
    }
    Ok(Endpoint::ConsumerCreate {
        stream,
        consumer: consumer.map(ConsumerName::parse).transpose()?,
        filter: filter.map(str::to_owned),
    })
}

fn has_no_empty_token(subject: &str) -> bool {
    subject.split('.').all(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamName {
        StreamName::parse("S").unwrap()
    }

    fn consumer() -> ConsumerName {
        ConsumerName::parse("C").unwrap()
    }

    fn check(path: &str, endpoint: Endpoint) {
        let subject = format!("{API_PREFIX}{path}");
        assert_eq!(Endpoint::parse(&subject).as_ref(), Ok(&endpoint), "{path}");
        assert_eq!(endpoint.subject(), subject);
    }

    fn create(consumer: Option<ConsumerName>, filter: Option<&str>) -> Endpoint {
        Endpoint::ConsumerCreate {
            stream: stream(),
            consumer,
            filter: filter.map(str::to_owned),
        }
    }

    #[test]
    fn every_endpoint_is_read_and_written() {
        check("INFO", Endpoint::AccountInfo);
        check("STREAM.CREATE.S", Endpoint::StreamCreate(stream()));
        check("STREAM.UPDATE.S", Endpoint::StreamUpdate(stream()));
        check("STREAM.INFO.S", Endpoint::StreamInfo(stream()));
        check("STREAM.DELETE.S", Endpoint::StreamDelete(stream()));
        check("STREAM.PURGE.S", Endpoint::StreamPurge(stream()));
        check("STREAM.NAMES", Endpoint::StreamNames);
        check("STREAM.LIST", Endpoint::StreamList);
        check("STREAM.MSG.GET.S", Endpoint::MsgGet(stream()));
        check("STREAM.MSG.DELETE.S", Endpoint::MsgDelete(stream()));
        check("DIRECT.GET.S", Endpoint::DirectGet(stream()));
        check(
            "DIRECT.GET.S.$KV.b.key",
            Endpoint::DirectGetLast(stream(), "$KV.b.key".to_owned()),
        );
        check("CONSUMER.CREATE.S", create(None, None));
        check("CONSUMER.CREATE.S.C", create(Some(consumer()), None));
        check(
            "CONSUMER.CREATE.S.C.orders.>",
            create(Some(consumer()), Some("orders.>")),
        );
        check(
            "CONSUMER.DURABLE.CREATE.S.C",
            Endpoint::DurableCreate(stream(), consumer()),
        );
        check(
            "CONSUMER.INFO.S.C",
            Endpoint::ConsumerInfo(stream(), consumer()),
        );
        check(
            "CONSUMER.DELETE.S.C",
            Endpoint::ConsumerDelete(stream(), consumer()),
        );
        check("CONSUMER.NAMES.S", Endpoint::ConsumerNames(stream()));
        check("CONSUMER.LIST.S", Endpoint::ConsumerList(stream()));
        check(
            "CONSUMER.MSG.NEXT.S.C",
            Endpoint::MsgNext(stream(), consumer()),
        );
    }

    #[test]
    fn subjects_of_no_endpoint_are_told_apart() {
        assert_eq!(
            Endpoint::parse("orders.new"),
            Err(EndpointError::NotAnApiSubject)
        );
        assert_eq!(
            Endpoint::parse("$JS.API"),
            Err(EndpointError::NotAnApiSubject)
        );
        for path in [
            "",
            "INFO.S",
            "INFOS",
            "STREAM",
            "STREAM.CREATE",
            "STREAM.CREATE.",
            "STREAM.CREATE.S.T",
            "STREAM.CREATES.S",
            "STREAM.LEADER.STEPDOWN.S",
            "STREAM.NAMES.S",
            "DIRECT.GET",
            "DIRECT.GET.S.",
            "DIRECT.GET.S.a..b",
            "CONSUMER.CREATE",
            "CONSUMER.CREATE.S.",
            "CONSUMER.CREATE.S.C.",
            "CONSUMER.INFO.S",
            "CONSUMER.INFO.S.C.D",
            "CONSUMER.INFO..C",
            "CONSUMER.MSG.NEXT.S",
        ] {
            let subject = format!("{API_PREFIX}{path}");
            assert_eq!(
                Endpoint::parse(&subject),
                Err(EndpointError::Unknown),
                "{path}"
            );
        }
        let too_long = format!("$JS.API.STREAM.INFO.{}", "s".repeat(256));
        assert!(matches!(
            Endpoint::parse(&too_long),
            Err(EndpointError::InvalidName(_))
        ));
    }

    #[test]
    fn every_row_has_patterns_under_the_prefix() {
        for kind in EndpointKind::ALL {
            for pattern in kind.patterns() {
                assert!(
                    pattern.starts_with(&format!("{API_PREFIX}{}", kind.words())),
                    "{pattern}"
                );
            }
            let is_json = !matches!(kind, EndpointKind::DirectGet | EndpointKind::MsgNext);
            assert_eq!(kind.response_type().is_some(), is_json, "{kind:?}");
        }
        assert_eq!(
            EndpointKind::ConsumerCreate.patterns(),
            ["$JS.API.CONSUMER.CREATE.*", "$JS.API.CONSUMER.CREATE.*.>"]
        );
    }

    #[test]
    fn no_endpoint_hides_another() {
        for kind in EndpointKind::ALL {
            for other in EndpointKind::ALL.iter().filter(|other| *other != kind) {
                assert!(
                    !other.words().starts_with(&format!("{}.", kind.words())),
                    "{kind:?} hides {other:?}"
                );
            }
        }
    }

    #[test]
    fn the_documentation_names_every_endpoint() {
        let documentation = include_str!("../../../docs/jetstream.md");
        for kind in EndpointKind::ALL {
            assert!(
                documentation.contains(&format!("| `{}", kind.words())),
                "{kind:?}"
            );
        }
    }
}
