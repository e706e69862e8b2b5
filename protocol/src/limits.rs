//! What a connection may ask the parser to hold.

/// The longest control line by default, in bytes without the operation and its blanks.
/// Source: nats-server `const.go`, `MAX_CONTROL_LINE_SIZE`.
pub const CONTROL_LINE_LEN_DEFAULT: usize = 4096;

/// The longest payload by default, headers counted in, in bytes. Source: nats-server `const.go`, `MAX_PAYLOAD_SIZE`.
pub const PAYLOAD_LEN_DEFAULT: usize = 1024 * 1024;

/// The longest payload that can be configured, in bytes. Source: nats-server `const.go`, `MAX_PAYLOAD_MAX_SIZE`.
pub const PAYLOAD_LEN_MAX: usize = 64 * 1024 * 1024;

/// The longest header block by default, in bytes.
pub const HEADERS_LEN_DEFAULT: usize = 64 * 1024;

/// The longest line that a client takes from a server by default, in bytes: an INFO names every server of a cluster.
pub const SERVER_LINE_LEN_DEFAULT: usize = 64 * 1024;

/// Upper bounds on what one operation may hold. All are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest control line, in bytes, counted as nats-server does: the arguments alone, without the operation,
    /// the blanks after it and the end of the line.
    pub control_line_max: usize,
    /// The longest payload, in bytes. As in nats-server the headers of an HPUB count as payload.
    pub payload_max: usize,
    /// The longest header block, in bytes, with its version line and final blank line.
    pub header_max: usize,
}

impl Limits {
    /// The limits of a server that reads from clients, as of nats-server's defaults.
    #[must_use]
    pub const fn of_server() -> Self {
        Self {
            control_line_max: CONTROL_LINE_LEN_DEFAULT,
            payload_max: PAYLOAD_LEN_DEFAULT,
            header_max: HEADERS_LEN_DEFAULT,
        }
    }

    /// The limits of a client that reads from a server: long enough for whatever a server can be configured to send.
    #[must_use]
    pub const fn of_client() -> Self {
        Self {
            control_line_max: SERVER_LINE_LEN_DEFAULT,
            payload_max: PAYLOAD_LEN_MAX,
            header_max: PAYLOAD_LEN_MAX,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of_server()
    }
}
