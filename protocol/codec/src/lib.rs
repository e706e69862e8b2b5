//! The tokio-util adapter of the relevo protocol: framed streams of owned operations.
//!
//! It holds no rules of its own: what an operation is, and how long it may be, is relevo-protocol's to say.
//! [`ServerCodec`] is for a client, which reads what a server sends; [`ClientCodec`] for a server, which reads what
//! clients send. Payloads are not copied: a message's parts share the read buffer and keep it alive, so whoever keeps a
//! small message for long copies it.

mod client;
mod error;
mod op;
mod server;
mod slice;

pub use client::ClientCodec;
pub use error::CodecError;
pub use op::{ClientCommand, Message, OwnedClientOp, OwnedServerOp, Publication};
pub use server::ServerCodec;
