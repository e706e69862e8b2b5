//! The relevo client SDK.

mod client;
mod connection;
mod error;
mod feed;
mod follower;
mod headers;
mod inbox;
mod jetstream;
mod lease;
mod lock;
mod message;
mod options;
mod outgoing;
mod pending;
mod publisher;
mod push;
mod queue;
mod replies;
mod status;
mod subject;
mod subscriber;
mod subscription;
mod topic;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use error::{
    BadAnswer, ConnectError, ConnectErrorKind, JetStreamError, Outcome, PublishError, RequestError,
    SubscribeError,
};
pub use follower::Follower;
pub use headers::Headers;
pub use jetstream::{READ_BYTES_MAX, StoredMessage};
pub use lease::{LeaseError, LeaseHandle};
pub use message::Message;
pub use options::{
    CONNECT_TIMEOUT_DEFAULT, ConnectOptions, PING_INTERVAL_DEFAULT, REQUEST_TIMEOUT_DEFAULT,
    SEND_TIMEOUT_DEFAULT, SUBSCRIPTION_BYTES_DEFAULT, SUBSCRIPTION_MESSAGES_DEFAULT,
};
pub use pending::PENDING_MAX;
pub use publisher::{PubAckFuture, Publisher, STREAM_PUBLISH_WINDOW};
pub use push::{PostOptions, PushOptions, Pushed};
pub use queue::{Creation, Job, PopOptions, Queue};
pub use status::{Event, Status};
pub use subject::AsSubject;
pub use subscriber::Subscriber;
pub use subscription::{Delivery, Subscription};
pub use topic::Topic;
