//! The operations, owned.

use bytes::Bytes;
use relevo_protocol::verb::{Verb, VerbError};

/// What a server sends: [`ServerOp`](relevo_protocol::op::ServerOp), owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedServerOp {
    /// `INFO`: its JSON.
    Info(Bytes),
    /// `MSG` or `HMSG`.
    Msg(Message),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK` with nothing after it.
    Ok,
    /// `+OK …`: a verb's answer.
    Answer(String),
    /// `-ERR '…'`: its text.
    Err(String),
}

/// `MSG` or `HMSG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where the message was published to.
    pub subject: Bytes,
    /// The subscription that it is for.
    pub sid: Bytes,
    /// Where an answer goes.
    pub reply: Option<Bytes>,
    /// The header block as sent; empty for MSG.
    pub headers: Bytes,
    /// The message.
    pub payload: Bytes,
}

/// What a client sends: [`ClientOp`](relevo_protocol::op::ClientOp), owned.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedClientOp {
    /// `CONNECT`: its JSON.
    Connect(Bytes),
    /// `PUB` or `HPUB`.
    Pub(Publication),
    /// `SUB`.
    Sub {
        /// What is subscribed to.
        subject: Bytes,
        /// The queue group.
        queue: Option<Bytes>,
        /// The client's name for the subscription.
        sid: Bytes,
    },
    /// `UNSUB`.
    Unsub {
        /// The client's name for the subscription.
        sid: Bytes,
        /// End it after this many messages; `None` now.
        max: Option<u64>,
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `INFO`: its JSON.
    Info(Bytes),
    /// A verb that a person typed.
    Verb(Verb),
    /// A line that begins with no operation and no verb.
    Unknown(Bytes),
    /// A verb with a mistake in it.
    BadVerb(VerbError),
}

/// `PUB` or `HPUB`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where the message goes.
    pub subject: Bytes,
    /// Where an answer goes.
    pub reply: Option<Bytes>,
    /// The header block as sent; empty for PUB.
    pub headers: Bytes,
    /// The message.
    pub payload: Bytes,
}

/// What a program sends to a server: the operations without those that only a person types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCommand<'a> {
    /// `CONNECT`: its JSON.
    Connect(&'a [u8]),
    /// `PUB`, or `HPUB` when there are headers.
    Pub {
        /// Where the message goes.
        subject: &'a [u8],
        /// Where an answer goes.
        reply: Option<&'a [u8]>,
        /// A whole header block; empty for none.
        headers: &'a [u8],
        /// The message.
        payload: &'a [u8],
    },
    /// `SUB`.
    Sub {
        /// What is subscribed to.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// `UNSUB`.
    Unsub {
        /// The client's name for the subscription.
        sid: &'a [u8],
        /// End it after this many messages; `None` now.
        max: Option<u64>,
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
}
