//! How the connection fares.

use std::sync::Arc;

/// Whether there is a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The first connection is being made.
    Connecting,
    /// There is a connection.
    Connected,
    /// The connection was lost, and another one is being made.
    Disconnected,
    /// The client was closed. It stays so.
    Closed,
}

/// Something that happened to the connection, for logs and for people who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection was made.
    Connected {
        /// The server's address.
        server: Arc<str>,
    },
    /// The connection was lost.
    Disconnected {
        /// The server's address.
        server: Arc<str>,
        /// Why, for people.
        reason: String,
    },
    /// A round over all servers found none that takes the client; the next one follows by itself.
    ConnectFailed {
        /// Why, for people.
        reason: String,
    },
    /// The server is about to stop.
    LameDuck {
        /// The server's address.
        server: Arc<str>,
    },
    /// The server said `-ERR` and keeps the connection, as for a subject that the user may not use.
    ServerError {
        /// The text.
        text: String,
    },
    /// A subscriber did not keep up, and messages were dropped.
    Lagged {
        /// The subscription's number, [`Subscriber::id`](crate::Subscriber::id).
        subscription: u64,
        /// How many messages, since the last event.
        dropped: u64,
    },
    /// The client was closed.
    Closed,
}
