//! The relevo client SDK.

mod client;
mod connection;
mod error;
mod feed;
mod headers;
mod inbox;
mod lock;
mod message;
mod options;
mod outgoing;
mod pending;
mod publisher;
mod replies;
mod status;
mod subject;
mod subscriber;

pub use client::Client;
pub use error::{
    BadAnswer, ConnectError, ConnectErrorKind, JetStreamError, Outcome, PublishError, RequestError,
    SubscribeError,
};
pub use headers::Headers;
pub use message::Message;
pub use options::{
    CONNECT_TIMEOUT_DEFAULT, ConnectOptions, PING_INTERVAL_DEFAULT, REQUEST_TIMEOUT_DEFAULT,
    SEND_TIMEOUT_DEFAULT, SUBSCRIPTION_BYTES_DEFAULT, SUBSCRIPTION_MESSAGES_DEFAULT,
};
pub use pending::PENDING_MAX;
pub use publisher::{PubAckFuture, Publisher, STREAM_PUBLISH_WINDOW};
pub use status::{Event, Status};
pub use subject::AsSubject;
pub use subscriber::Subscriber;
