//! The relevo client SDK, for tokio.
//!
//! It speaks the NATS protocol and JetStream's API, as any NATS client can: so it works against a relevo broker, against a
//! relevo gateway, and against a stock nats-server. Queues and topics are conventions over streams
//! ([`relevo_protocol::convention`]); what this crate makes, every NATS tool can see and use.
//!
//! # Three programs
//!
//! A producer puts jobs into a queue. When `push` returns, the job is as durable as the server promises.
//!
//! ```no_run
//! use relevo_client::{ConnectOptions, PushOptions};
//! use relevo_protocol::convention::queue::QueueOptions;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ConnectOptions::new().server("127.0.0.1:4222").connect().await?;
//! let queue = client.queue("jobs")?;
//! queue.create(&QueueOptions::default()).await?;
//! // With an id a push may be tried again when nobody knows whether it was stored.
//! let options = PushOptions { id: Some("order-17".into()), ..PushOptions::default() };
//! let pushed = queue.push("send the invoice", &options).await?;
//! assert_eq!(pushed.stream.as_str(), "Q_jobs");
//! # Ok(())
//! # }
//! ```
//!
//! A worker takes jobs out. Each is its own until the lease runs out; what is not acknowledged by then is handed out again.
//!
//! ```no_run
//! use std::time::Duration;
//! use relevo_client::{Client, PopOptions};
//!
//! # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! let queue = client.queue("jobs")?;
//! let options = PopOptions { max: 10, wait: Duration::from_secs(30), lease: None };
//! for job in queue.pop(&options).await? {
//!     println!("attempt {}: {:?}", job.attempts, job.payload);
//!     job.ack().await?; // durable when it returns
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A follower reads a topic from where it likes, and goes on behind its last message when the connection was lost.
//!
//! ```no_run
//! use relevo_client::{Client, PostOptions};
//! use relevo_protocol::verb::StartFrom;
//!
//! # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! let topic = client.topic("news")?;
//! topic.publish("hello", &PostOptions::default()).await?;
//! let mut follower = topic.follow(StartFrom::First).await?;
//! while let Some(message) = follower.next().await.transpose()? {
//!     println!("{} {:?}", message.seq, message.payload);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Beneath them is plain NATS: [`Client::publish`], [`Client::subscribe`], [`Client::request`], and
//! [`Client::stream_publish`] with [`Publisher`] for many PubAcks under way.
//!
//! ```no_run
//! use std::time::Duration;
//! # async fn example(client: relevo_client::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let mut subscriber = client.queue_subscribe("orders.*", "billing").await?;
//! client.publish("orders.eu", "17").await?;
//! while let Some(message) = subscriber.next().await {
//!     println!("{}: {:?}", message.subject(), message.payload());
//! }
//! let answer = client.request("time", "", Duration::from_secs(1)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # When things go wrong
//!
//! Every wait has an end. Every error has an `outcome`: [`Outcome::NotDone`] when nothing was done and it is safe to try
//! again, [`Outcome::Unknown`] when it may have been done.
//!
//! The connection is kept up in the background: when it is lost, servers are tried in turn, with growing waits between the
//! rounds. Meanwhile
//! * subscriptions stay, and are made again on the next connection; what was published in between is not seen;
//! * followers and durable subscriptions see it all the same;
//! * new commands wait for a connection, up to [`ConnectOptions::send_timeout`];
//! * what was in the write buffer is forgotten, and what waits for an answer fails with
//!   [`RequestError::ConnectionLost`]: nothing is sent a second time by itself.
//!
//! A subscriber that does not keep up loses its newest messages over
//! [`ConnectOptions::subscription_capacity`]: they are counted by [`Subscriber::lagged`] and told as [`Event::Lagged`].
//!
//! # How it works
//!
//! One task owns the socket. Callers encode their commands into one buffer under a lock and wake it; it writes whatever
//! has gathered at once, and callers wait while the buffer is full. What it reads is parsed in place; messages share the
//! read buffer, and those for one subscription are handed over together. Answers to requests come to one subscription,
//! and a number in the reply subject says whose they are.

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
pub use jetstream::{Creation, READ_BYTES_MAX, StoredMessage};
pub use lease::{LeaseError, LeaseHandle};
pub use message::Message;
pub use options::{
    CONNECT_TIMEOUT_DEFAULT, ConnectOptions, PING_INTERVAL_DEFAULT, REQUEST_TIMEOUT_DEFAULT,
    SEND_TIMEOUT_DEFAULT, SUBSCRIPTION_BYTES_DEFAULT, SUBSCRIPTION_MESSAGES_DEFAULT,
};
pub use pending::PENDING_MAX;
pub use publisher::{PubAckFuture, Publisher, STREAM_PUBLISH_WINDOW};
pub use push::{PostOptions, PushOptions, Pushed};
pub use queue::{Job, PopOptions, Queue};
pub use status::{Event, Status};
pub use subject::AsSubject;
pub use subscriber::Subscriber;
pub use subscription::{Delivery, Subscription};
pub use topic::Topic;
