//! Queues and topics as streams and consumers: the one place where the two meet.
//!
//! Pure functions, used by the broker's verbs, the SDK and the gateway. A queue `jobs` is the work-queue stream `Q_jobs` with
//! subject `$Q.jobs` and one shared pull consumer, `workers`. A topic `news` is the stream `T_news` with subjects `$T.news` and
//! `$T.news.>`; a subscription is a durable consumer of its name. Any NATS client may use them under those names.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod edit_distance;
pub mod info;
pub mod lease;
pub mod mailbox;
mod option;
pub mod queue;
pub mod topic;

pub use option::OptionError;

/// The metadata key that says what a stream stands for: [`KIND_QUEUE`] or [`KIND_TOPIC`].
pub const KIND_KEY: &str = "relevo.kind";

/// The value of [`KIND_KEY`] for a queue.
pub const KIND_QUEUE: &str = "queue";

/// The value of [`KIND_KEY`] for a topic.
pub const KIND_TOPIC: &str = "topic";
