//! The operations that the two sides send each other, borrowed from the read buffer.

use crate::verb::{Verb, VerbError};

/// What a client sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOp<'a> {
    /// `CONNECT {json}`: the JSON, for [`ConnectOptions::parse`](crate::connect::ConnectOptions::parse).
    Connect(&'a [u8]),
    /// `PUB` or `HPUB`.
    Pub(PubOp<'a>),
    /// `SUB <subject> [queue group] <sid>`. That the subject is a valid filter is for the session to check.
    Sub {
        /// What is subscribed to.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// `UNSUB <sid> [max]`.
    Unsub {
        /// The client's name for the subscription.
        sid: &'a [u8],
        /// End it once this many messages (1 or more) were delivered since it began; `None` now. As in nats-server a
        /// zero and a word that is no number mean now.
        max: Option<u64>,
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `INFO {json}`, which nats-server takes from a client and ignores.
    Info(&'a [u8]),
    /// A verb that a person typed.
    Verb(Verb),
    /// A line, blank ones among them, that begins with no operation and no verb: the line without its end.
    /// [`VerbError::unknown`] makes the answer. Only in [`Mode::Either`](crate::parse::Mode::Either).
    Unknown(&'a [u8]),
    /// A verb with a mistake in it. Its payload, if it has one, was read over.
    BadVerb(VerbError),
}

/// `PUB` or `HPUB`. That the subjects are valid is for the session to check: nats-server answers
/// `-ERR 'Invalid Publish Subject'` to pedantic clients and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PubOp<'a> {
    /// Where the message goes.
    pub subject: &'a [u8],
    /// Where an answer to it goes.
    pub reply: Option<&'a [u8]>,
    /// The header block as sent, with its version line and final blank line; empty for PUB. Not looked into: see
    /// [`HeaderBlock::parse`](crate::headers::HeaderBlock::parse).
    pub headers: &'a [u8],
    /// The message.
    pub payload: &'a [u8],
}

/// What a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerOp<'a> {
    /// `INFO {json}`: the JSON, for [`ServerInfo::parse`](crate::info::ServerInfo::parse).
    Info(&'a [u8]),
    /// `MSG` or `HMSG`. The message frames of verbs have this shape too: there `subject` is the queue or topic and
    /// `sid` the lease or the sequence.
    Msg {
        /// Where the message was published to.
        subject: &'a [u8],
        /// The subscription that it is for.
        sid: &'a [u8],
        /// Where an answer goes.
        reply: Option<&'a [u8]>,
        /// The header block as sent; empty for MSG.
        headers: &'a [u8],
        /// The message.
        payload: &'a [u8],
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK` with nothing after it.
    Ok,
    /// `+OK …`: a verb's answer, without the `+OK` and the blanks after it.
    Answer(&'a str),
    /// `-ERR '…'`: the text without its quotes.
    Err(&'a str),
}
