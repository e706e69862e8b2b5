//! The verbs that a person types: queues and topics over the same port as NATS.
//!
//! A verb is one line, its words apart by blanks; the verb itself in any case. Options are `name=value` words. A text
//! runs to the end of the line, or follows the line when `#<bytes>` stands in its place.
//!
//! [`VERBS`] is the one table of them: the reader, HELP and every "did you mean" come from it.

mod error;
mod read;
mod start;
mod table;
#[cfg(test)]
mod tests;
mod words;

pub use error::VerbError;
pub use start::{BadStart, StartFrom};
pub use table::{VERBS, VerbHelp, help};

pub(crate) use read::{VerbLine, read};

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::convention::lease::Lease;
use crate::convention::queue::QueueOptions;
use crate::convention::topic::TopicOptions;
use crate::name::{QueueName, SubscriptionName, TopicName};

/// How many messages POP answers with when it does not say `max=`.
pub const POP_MESSAGES_DEFAULT: u32 = 1;

/// How many messages VIEW and QUEUE PEEK answer with when they do not say `max=`.
pub const VIEW_MESSAGES_DEFAULT: u32 = 20;

/// The most messages that one verb answers with.
pub const VERB_MESSAGES_MAX: u32 = 10_000;

/// The longest that POP waits.
pub const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest `id=` of PUSH, in bytes.
pub const PUSH_ID_LEN_MAX: usize = 256;

/// One verb with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// `QUEUE CREATE <queue> [option=value …]`
    QueueCreate {
        /// The queue.
        name: QueueName,
        /// What differs from the defaults.
        options: QueueOptions,
    },
    /// `QUEUE DELETE <queue>`
    QueueDelete {
        /// The queue.
        name: QueueName,
    },
    /// `QUEUE PURGE <queue>`
    QueuePurge {
        /// The queue.
        name: QueueName,
    },
    /// `QUEUE INFO <queue>`
    QueueInfo {
        /// The queue.
        name: QueueName,
    },
    /// `QUEUE LIST`
    QueueList,
    /// `QUEUE PEEK <queue> [from=] [max=]`
    QueuePeek {
        /// The queue.
        name: QueueName,
        /// The first message to show.
        from: StartFrom,
        /// How many messages at most, 1 to [`VERB_MESSAGES_MAX`].
        max: u32,
    },
    /// `PUSH <queue> [delay=] [priority=] [key=] [id=] <text>`
    Push {
        /// The queue.
        queue: QueueName,
        /// The words between its name and the text.
        options: PushOptions,
        /// The message.
        payload: Bytes,
    },
    /// `POP <queue> [wait=] [max=] [lease=]`
    Pop {
        /// The queue.
        queue: QueueName,
        /// How long to wait for the first message, up to [`WAIT_MAX`]; zero answers at once.
        wait: Duration,
        /// How many messages at most, 1 to [`VERB_MESSAGES_MAX`].
        max: u32,
        /// How long the messages are leased, [`MIN_LEASE`](crate::convention::queue::MIN_LEASE) to
        /// [`MAX_LEASE`](crate::convention::queue::MAX_LEASE); `None` is as the queue says.
        lease: Option<Duration>,
    },
    /// `ACK <lease>`
    Ack {
        /// What POP gave.
        lease: Lease,
    },
    /// `NACK <lease> [delay=]`
    Nack {
        /// What POP gave.
        lease: Lease,
        /// When the message may be delivered again, up to [`MAX_DELAY`](crate::jetstream::publish::MAX_DELAY) from now;
        /// `None` is at once.
        delay: Option<Duration>,
    },
    /// `EXTEND <lease> [for=]`
    Extend {
        /// What POP gave.
        lease: Lease,
        /// How long the lease goes on from now, [`MIN_LEASE`](crate::convention::queue::MIN_LEASE) to
        /// [`MAX_LEASE`](crate::convention::queue::MAX_LEASE); `None` is as the queue says.
        r#for: Option<Duration>,
    },
    /// `TOPIC CREATE <topic> [option=value …]`
    TopicCreate {
        /// The topic.
        name: TopicName,
        /// What differs from the defaults.
        options: TopicOptions,
    },
    /// `TOPIC DELETE <topic>`
    TopicDelete {
        /// The topic.
        name: TopicName,
    },
    /// `TOPIC INFO <topic>`
    TopicInfo {
        /// The topic.
        name: TopicName,
    },
    /// `TOPIC LIST`
    TopicList,
    /// `POST <topic> <text>`
    Post {
        /// The topic.
        topic: TopicName,
        /// The message.
        payload: Bytes,
    },
    /// `VIEW <topic> [from=] [max=]`
    View {
        /// The topic.
        topic: TopicName,
        /// The first message to show.
        from: StartFrom,
        /// How many messages at most, 1 to [`VERB_MESSAGES_MAX`].
        max: u32,
    },
    /// `FOLLOW <topic> [as=<subscription>] [from=]`
    Follow {
        /// The topic.
        topic: TopicName,
        /// The durable cursor to follow with; `None` follows from a place that nobody remembers.
        subscription: Option<SubscriptionName>,
        /// The first message to show; `None` when it was not said.
        from: Option<StartFrom>,
    },
    /// `UNFOLLOW <topic> [as=<subscription>]`
    Unfollow {
        /// The topic.
        topic: TopicName,
        /// The durable cursor that was followed with.
        subscription: Option<SubscriptionName>,
    },
    /// `AUTH <user> <password>` or `AUTH <token>`
    Auth(Credentials),
    /// `STATUS`
    Status,
    /// `HELP [verb]`: [`help`] makes the answer.
    Help(Option<String>),
    /// `QUIT`
    Quit,
}

/// The options of PUSH; `None` is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushOptions {
    /// When the message may be delivered first, up to [`MAX_DELAY`](crate::jetstream::publish::MAX_DELAY) from now.
    pub delay: Option<Duration>,
    /// Higher goes first, 0 to [`MAX_PRIORITY`](crate::jetstream::publish::MAX_PRIORITY); `None` is 0.
    pub priority: Option<u8>,
    /// Messages of one key are delivered one after the other; 1 to
    /// [`MAX_KEY_LEN`](crate::jetstream::publish::MAX_KEY_LEN) bytes.
    pub key: Option<String>,
    /// A second push of this id within the queue's window is a duplicate; 1 to [`PUSH_ID_LEN_MAX`] bytes.
    pub id: Option<String>,
}

/// What AUTH was given. `Debug` does not show secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// One word.
    Token(String),
    /// Two words.
    Password {
        /// Who.
        user: String,
        /// Their password.
        password: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Password { user, .. } => f
                .debug_struct("Password")
                .field("user", user)
                .finish_non_exhaustive(),
        }
    }
}
