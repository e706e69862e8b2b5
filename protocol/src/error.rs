//! What makes bytes no protocol.

use std::fmt;

/// Why bytes from the other side cannot be read on. Every variant is the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// The arguments of CONNECT are missing.
    BadConnect,
    /// HPUB does not have a subject, an optional reply subject, a header length and a total length.
    BadHpub,
    /// INFO has no argument.
    BadInfo,
    /// MSG or HMSG does not have its subject, sid, optional reply subject and lengths.
    BadMsg,
    /// PUB does not have a subject, an optional reply subject and a length.
    BadPub,
    /// SUB does not have a subject, an optional queue group and a sid.
    BadSub,
    /// UNSUB does not have a sid and an optional count.
    BadUnsub,
    /// The line is longer than [`Limits::control_line_max`](crate::limits::Limits::control_line_max).
    ControlLineTooLong,
    /// The header block is longer than [`Limits::header_max`](crate::limits::Limits::header_max).
    HeadersTooLarge,
    /// The header block is said to be longer than the whole message.
    HeadersLongerThanMessage,
    /// A server's `+OK` or `-ERR` line is not UTF-8.
    NotUtf8,
    /// The bytes after a payload are not CR LF: its length was wrong.
    PayloadNotTerminated,
    /// The payload is longer than [`Limits::payload_max`](crate::limits::Limits::payload_max).
    PayloadTooLarge,
    /// The line begins with no operation.
    UnknownOp,
    /// The bytes after a verb's `#<bytes>` payload are not CR LF.
    VerbPayloadNotTerminated,
}

impl ParseError {
    /// The text for `-ERR '…'`: nats-server's own where it sends one, and what it leaves unsaid where it closes without
    /// a word (observed on nats-server 2.15.2).
    #[must_use]
    pub const fn wire_text(&self) -> &'static str {
        match self {
            Self::BadConnect => "Parser Error: CONNECT takes a JSON object",
            Self::BadHpub => {
                "Parser Error: HPUB takes <subject> [reply] <header bytes> <total bytes>"
            }
            Self::BadInfo => "Parser Error: INFO takes a JSON object",
            Self::BadMsg => {
                "Parser Error: MSG takes <subject> <sid> [reply] <bytes>, HMSG <header bytes> before <bytes>"
            }
            Self::BadPub => "Parser Error: PUB takes <subject> [reply] <bytes>",
            Self::BadSub => "Parser Error: SUB takes <subject> [queue] <sid>",
            Self::BadUnsub => "Parser Error: UNSUB takes <sid> [max]",
            Self::ControlLineTooLong => "maximum control line exceeded",
            Self::HeadersTooLarge => "Maximum Header Size Exceeded",
            Self::HeadersLongerThanMessage => {
                "Parser Error: HPUB total bytes must count the header bytes in"
            }
            Self::NotUtf8 => "Parser Error: not UTF-8",
            Self::PayloadNotTerminated | Self::UnknownOp => "Unknown Protocol Operation",
            Self::PayloadTooLarge => "Maximum Payload Violation",
            Self::VerbPayloadNotTerminated => {
                "Payload does not end where #<bytes> says; send exactly that many bytes, then CR LF"
            }
        }
    }

    /// The error when it was a verb's payload that was read, not that of a PUB.
    pub(crate) fn of_verb(self) -> Self {
        if self == Self::PayloadNotTerminated {
            Self::VerbPayloadNotTerminated
        } else {
            self
        }
    }

    /// Whether the connection must be closed after the answer. It is for every variant, as in nats-server: after each of
    /// them it is unknown where the next operation begins, or the sender has shown that it does not keep to the limits.
    #[must_use]
    pub const fn closes(&self) -> bool {
        match self {
            Self::BadConnect
            | Self::BadHpub
            | Self::BadInfo
            | Self::BadMsg
            | Self::BadPub
            | Self::BadSub
            | Self::BadUnsub
            | Self::ControlLineTooLong
            | Self::HeadersTooLarge
            | Self::HeadersLongerThanMessage
            | Self::NotUtf8
            | Self::PayloadNotTerminated
            | Self::PayloadTooLarge
            | Self::UnknownOp
            | Self::VerbPayloadNotTerminated => true,
        }
    }
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wire_text())
    }
}
