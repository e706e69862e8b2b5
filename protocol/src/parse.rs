//! The client protocol from bytes: one operation at a time, from the front of a read buffer.
//!
//! [`parse_client`] is what a server reads with, [`parse_server`] what a client reads with. Both look at complete
//! operations only: as long as one is not all there they answer [`Parsed::Incomplete`] and keep nothing, so that it makes
//! no difference where a stream was cut into reads. What they find borrows from the buffer.

mod client;
#[cfg(test)]
mod document_tests;
mod line;
mod server;
#[cfg(test)]
mod split_tests;

pub use client::parse_client;
pub use server::{parse_line, parse_server};

/// What was found at the front of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// An operation.
    Op {
        /// What it says.
        op: T,
        /// How many bytes of the buffer it took, at least 1.
        consumed: usize,
    },
    /// The beginning of an operation.
    Incomplete {
        /// At least this many more bytes belong to it, 1 or more.
        need: usize,
    },
}

/// What a line that begins with no NATS operation and no verb is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Before a CONNECT: a person may have mistyped, so it is [`ClientOp::Unknown`](crate::op::ClientOp::Unknown).
    Either,
    /// After a CONNECT: a client is broken, so it is [`ParseError::UnknownOp`](crate::error::ParseError::UnknownOp).
    Nats,
}
