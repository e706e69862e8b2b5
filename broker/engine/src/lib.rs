//! Every decision of a relevo broker.
//!
//! The engine does no IO, reads no clock, draws no random numbers and depends on no order of
//! hashing: the same inputs at the same times give the same effects, on a server and in a
//! simulation. It never waits, never logs and never panics on input.
//!
//! - [`shard::Engine`] is one shard: streams, consumers, the directory, replication. Its driver
//!   calls `handle(now, input, &mut effects)` and carries the effects out.
//! - [`session`] is one connection's protocol state; [`verbs`] turns the human verbs into requests
//!   that any NATS client could send.
//! - [`subject_tree`] finds the subscriptions that match a subject.
//!
//! **The effect law.** A fact (a PubAck, a delivery, an acknowledgement to the other member) is
//! revealed only in answer to an input that says it is durable where it must be. The driver cannot
//! get durability wrong by carrying effects out early, late or in another order.

mod checkpoint;
mod content;
pub mod desk;
mod directory;
pub mod input;
pub mod link;
mod outbox;
mod replication;
pub mod route;
pub mod session;
pub mod shard;
pub mod streams;
pub mod subject_tree;
pub mod verbs;
