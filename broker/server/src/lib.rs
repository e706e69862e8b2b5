//! A relevo broker: sockets, threads and the router around the engine.
//!
//! It carries things out and decides nothing: what a client is answered, what is durable, who leads
//! and what a stream holds is decided in `relevo-engine`. It installs no tracing subscriber and
//! reads no configuration file.
//!
//! - [`Broker::start`] takes a [`Config`], opens the store and serves until [`Broker::shutdown`].
//! - A client's operation: `listen` accepts, `connection` reads and parses, the engine's session
//!   judges, `router` finds who gets it, `outbound` collects their bytes and flushes once a burst.
//! - Work for a shard: `router` knows the shard, `shards` knows where its leader is, `shard` owns the
//!   engine and carries out its effects, `shard/log` owns its files.
//! - The other broker: `peer/contact` makes contact, `peer/link` owns the link and the register,
//!   `peer/lane` queues frames, `peer/client_lane` takes what its clients send.
//!
//! A failed sync, a contradiction in a log or a panic in a shard ends the process, with the reason in
//! the log: nothing it would say afterwards could be believed.
#![forbid(unsafe_code)]

mod board;
mod broker;
mod clock;
mod config;
mod connection;
mod counters;
mod fatal;
mod info;
mod listen;
mod monitor;
mod outbound;
mod peer;
mod random;
mod read_buffer;
mod register;
mod router;
mod shard;
mod shards;
mod verb_desk;

pub use broker::{Addresses, Broker, StartError};
pub use config::{Config, ConfigError, DATA_SHARDS_MAX, Limits, Listen, Peer, PeerAddress};
pub use register::RegisterError;
pub use shard::open::ShardError;
