//! The relevo gateway: a TCP load balancer in front of the brokers, and an HTTP API.
//!
//! It uses only what any NATS client can do: NATS connections are relayed byte by byte to a broker that answers, HTTP
//! requests become requests of the SDK. It keeps no message and decides nothing about one; what it answers is what a
//! broker answered.
//!
//! - [`Config`] says where to listen and which brokers there are.
//! - [`Gateway::start`] binds both doors and serves them until [`Gateway::shutdown`].
//!
//! One NATS connection: `relay` accepts it, `balance` finds a broker that greets, `relay` carries bytes both ways.
//! One HTTP request: `http::serve` takes the connection, `http` routes the request, its resource's file reads names and
//! options into the protocol's types and asks the SDK; the answer, or a problem (RFC 9457), goes back.

mod balance;
mod config;
mod gateway;
mod http;
mod listen;
mod original;
mod relay;

pub use config::{BrokerAddressError, Config, Limits};
pub use gateway::{Door, Gateway, SHUTDOWN_MAX, StartError};
