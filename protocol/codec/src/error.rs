//! Why a framed stream ends.

use std::fmt;
use std::io;

use relevo_protocol::error::ParseError;

/// Why nothing more can be read from the stream, or written to it.
#[derive(Debug)]
pub enum CodecError {
    /// The socket failed, or it ended within an operation.
    Io(io::Error),
    /// The other side does not speak the protocol.
    Protocol(ParseError),
}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ParseError> for CodecError {
    fn from(error: ParseError) -> Self {
        Self::Protocol(error)
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::Protocol(source) => Some(source),
        }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(source) => write!(f, "read or write the connection: {source}"),
            Self::Protocol(source) => write!(f, "read the protocol: {source}"),
        }
    }
}
