//! One connection's protocol state: what the client said in CONNECT, its sids, its lifecycle.
//!
//! ```text
//!                     CONNECT                      a mistake that NATS closes for
//! AwaitingConnect ---------------> Connected ---------------------------------> Closed
//!        |                         |      ^                                       ^
//!        |                         +------+ CONNECT again                         |
//!        +------------------------------------------------------------------------+
//! ```
//!
//! Nothing has to be said before anything else: as in nats-server without authentication, a client may publish and
//! subscribe before CONNECT, and then has the options of [`ConnectOptions::default`] (verbose, no headers).
//!
//! [`Session::handle`] takes one operation, appends the answer to that client and returns at most one [`Action`] for the
//! server to carry out. It does no IO and, for a publish, no allocation. In verbose mode every operation but PING and
//! PONG has exactly one answer, `+OK` or `-ERR`; nats-server has both for a publish to an invalid subject.
//!
//! **Who counts deliveries.** The server: it counts what it delivers to a subscription, ends the subscription when the
//! count that UNSUB asked for is reached, and tells [`Session::ended`]. The session knows which sids are in use, so that
//! a second SUB with the same sid changes nothing.

use std::collections::BTreeMap;

use bytes::BufMut;
use relevo_protocol::connect::{ConnectError, ConnectOptions};
use relevo_protocol::encode;
use relevo_protocol::error::ParseError;
use relevo_protocol::op::{ClientOp, PubOp};
use relevo_protocol::parse::Mode;
use relevo_protocol::subject::{SUBJECT_LEN_MAX, SubjectFilter, SubjectRef};
use relevo_protocol::verb::{Verb, VerbError};

/// How many subscriptions one connection may have by default. At the bound a SUB is answered with `-ERR`.
pub const SUBSCRIPTIONS_MAX_DEFAULT: usize = 250_000;

/// How many PINGs may be unanswered by default, as in nats-server (`DEFAULT_PING_MAX_OUT`). At the bound the connection
/// is closed.
pub const PINGS_OUT_MAX_DEFAULT: u32 = 2;

/// The longest sid, in bytes. nats-server has no bound but the control line's.
pub const SID_LEN_MAX: usize = 256;

/// What a session may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The most subscriptions at a time.
    pub subscriptions_max: usize,
    /// The most PINGs that wait for their PONG.
    pub pings_out_max: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            subscriptions_max: SUBSCRIPTIONS_MAX_DEFAULT,
            pings_out_max: PINGS_OUT_MAX_DEFAULT,
        }
    }
}

/// Names one subscription of a connection; never given twice, so that a sid may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// What the server is to do for a client. Borrows from the operation.
#[derive(Debug, PartialEq)]
pub enum Action<'a> {
    /// Nothing; the answer, if there is one, is in `out`.
    Nothing,
    /// Route a message.
    Publish(Publish<'a>),
    /// Begin a subscription.
    Subscribe(Subscribe<'a>),
    /// End a subscription: now, or once this many messages (1 or more) were delivered since it began. With a count that
    /// is reached already: now. The server reports the end with [`Session::ended`] in the second case only.
    Unsubscribe {
        /// Which.
        id: SubscriptionId,
        /// After how many deliveries; `None` is now.
        after: Option<u64>,
    },
    /// Begin a verb: [`crate::verbs::Verbs::begin`]. Verbs answer in their own order.
    Verb(Box<Verb>),
    /// Answer a mistake in a verb in its turn: [`crate::verbs::Verbs::refuse`].
    BadVerb(Box<VerbError>),
    /// Write what is in `out` and close. [`Session::handle`] must not be called again.
    Close(CloseReason),
}

/// A message on its way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where it goes.
    pub subject: SubjectRef<'a>,
    /// Where an answer goes, at most [`SUBJECT_LEN_MAX`] bytes. As in nats-server it may be no valid subject; nothing
    /// can answer then.
    pub reply: Option<&'a [u8]>,
    /// The header block as sent, or empty. As in nats-server its contents are not looked at.
    pub headers: &'a [u8],
    /// The message.
    pub payload: &'a [u8],
}

/// A subscription to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Its name within this connection.
    pub id: SubscriptionId,
    /// The client's name for it, 1 to [`SID_LEN_MAX`] bytes; stands in each MSG.
    pub sid: &'a [u8],
    /// What it wants.
    pub filter: SubjectFilter,
    /// Its queue group, 1 to [`SUBJECT_LEN_MAX`] bytes. As in nats-server any word is one.
    pub queue: Option<&'a [u8]>,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// CONNECT does not carry the JSON that it should.
    BadConnect,
    /// Headers were sent, and CONNECT did not say that the client knows them.
    HeadersNotEnabled,
    /// `no_responders` without `headers`.
    NoRespondersNeedsHeaders,
    /// Bytes that are no protocol.
    Protocol(ParseError),
    /// PINGs were not answered.
    Stale,
    /// CONNECT's `protocol` is neither 0 nor 1.
    UnknownClientProtocol,
}

impl CloseReason {
    /// The text for `-ERR '…'`: nats-server's own where it sends one; for [`Self::BadConnect`] and
    /// [`Self::HeadersNotEnabled`] it closes without a word (observed on nats-server 2.15.2).
    #[must_use]
    pub const fn wire_text(self) -> &'static str {
        match self {
            Self::BadConnect => "Parser Error: CONNECT takes a JSON object",
            Self::HeadersNotEnabled => {
                "message headers not supported; send CONNECT {\"headers\":true} first"
            }
            Self::NoRespondersNeedsHeaders => "no responders requires headers support",
            Self::Protocol(error) => error.wire_text(),
            Self::Stale => "Stale Connection",
            Self::UnknownClientProtocol => "invalid client protocol",
        }
    }
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    AwaitingConnect,
    Connected,
    Closed,
}

/// One connection's protocol state, owned by its read task.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    phase: Phase,
    options: ConnectOptions,
    subscriptions: BTreeMap<Box<[u8]>, SubscriptionId>,
    next_id: u64,
    pings_out_count: u32,
}

impl Session {
    /// A connection that has said nothing.
    #[must_use]
    pub fn new(config: SessionConfig) -> Self {
        Self {
            config,
            phase: Phase::AwaitingConnect,
            options: ConnectOptions::default(),
            subscriptions: BTreeMap::new(),
            next_id: 0,
            pings_out_count: 0,
        }
    }

    /// Takes one operation; appends what the client is answered to `out`.
    #[inline]
    pub fn handle<'a>(&mut self, op: ClientOp<'a>, out: &mut impl BufMut) -> Action<'a> {
        if self.phase == Phase::Closed {
            return Action::Nothing;
        }
        match op {
            ClientOp::Pub(publish) => self.publish(publish, out),
            ClientOp::Sub {
                subject,
                queue,
                sid,
            } => self.subscribe(subject, queue, sid, out),
            ClientOp::Unsub { sid, max } => self.unsubscribe(sid, max, out),
            ClientOp::Ping => {
                encode::pong(out);
                Action::Nothing
            }
            ClientOp::Pong => {
                self.pings_out_count = 0;
                Action::Nothing
            }
            ClientOp::Connect(json) => self.connect(json, out),
            ClientOp::Info(_) => Action::Nothing,
            ClientOp::Verb(verb) => Action::Verb(Box::new(verb)),
            ClientOp::BadVerb(error) => Action::BadVerb(Box::new(error)),
            ClientOp::Unknown(line) => Action::BadVerb(Box::new(VerbError::unknown(line))),
        }
    }

    /// Answers bytes that are no protocol, and closes.
    pub fn refuse(&mut self, error: ParseError, out: &mut impl BufMut) -> Action<'static> {
        self.close(CloseReason::Protocol(error), out)
    }

    /// The time for a PING has come: appends one, or closes when too many were not answered.
    pub fn ping(&mut self, out: &mut impl BufMut) -> Action<'static> {
        if self.phase == Phase::Closed {
            return Action::Nothing;
        }
        if self.pings_out_count >= self.config.pings_out_max {
            return self.close(CloseReason::Stale, out);
        }
        self.pings_out_count += 1;
        encode::ping(out);
        Action::Nothing
    }

    /// The server has ended a subscription because it reached the count of its UNSUB: the sid may be used again. To be
    /// told before the last message goes to the socket, since the client may use the sid again as soon as it has that.
    pub fn ended(&mut self, sid: &[u8], id: SubscriptionId) {
        if self.subscriptions.get(sid) == Some(&id) {
            self.subscriptions.remove(sid);
        }
    }

    /// How the parser is to read what comes next: a mistyped verb is forgiven before CONNECT only.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self.phase {
            Phase::AwaitingConnect => Mode::Either,
            Phase::Connected | Phase::Closed => Mode::Nats,
        }
    }

    /// What the client said in CONNECT, or the defaults. [`ConnectOptions::echo`] says whether its own messages come
    /// back, [`ConnectOptions::headers`] whether messages go to it with headers or without, and
    /// [`ConnectOptions::no_responders`] whether a request that nobody listens for is answered with status 503.
    #[must_use]
    pub const fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions_count(&self) -> usize {
        self.subscriptions.len()
    }

    #[inline]
    fn publish<'a>(&mut self, op: PubOp<'a>, out: &mut impl BufMut) -> Action<'a> {
        let PubOp {
            subject,
            reply,
            headers,
            payload,
        } = op;
        if !headers.is_empty() && !self.options.headers {
            return self.close(CloseReason::HeadersNotEnabled, out);
        }
        let Ok(subject) = SubjectRef::parse(subject) else {
            return refused("Invalid Publish Subject", out);
        };
        if reply.is_some_and(|reply| reply.len() > SUBJECT_LEN_MAX) {
            return refused("Invalid Reply Subject", out);
        }
        self.confirm(out);
        Action::Publish(Publish {
            subject,
            reply,
            headers,
            payload,
        })
    }

    fn subscribe<'a>(
        &mut self,
        subject: &[u8],
        queue: Option<&'a [u8]>,
        sid: &'a [u8],
        out: &mut impl BufMut,
    ) -> Action<'a> {
        let Ok(filter) = SubjectFilter::parse(subject) else {
            return refused("Invalid Subject", out);
        };
        if queue.is_some_and(|queue| queue.len() > SUBJECT_LEN_MAX) {
            return refused("Invalid Queue Group", out);
        }
        if sid.len() > SID_LEN_MAX {
            return refused("Invalid Subscription Identifier", out);
        }
        if self.subscriptions.contains_key(sid) {
            self.confirm(out);
            return Action::Nothing;
        }
        if self.subscriptions.len() >= self.config.subscriptions_max {
            return refused("maximum subscriptions exceeded", out);
        }
        let id = SubscriptionId(self.next_id);
        self.next_id += 1;
        self.subscriptions.insert(sid.into(), id);
        self.confirm(out);
        Action::Subscribe(Subscribe {
            id,
            sid,
            filter,
            queue,
        })
    }

    fn unsubscribe(
        &mut self,
        sid: &[u8],
        after: Option<u64>,
        out: &mut impl BufMut,
    ) -> Action<'static> {
        self.confirm(out);
        let id = match after {
            Some(_) => self.subscriptions.get(sid).copied(),
            None => self.subscriptions.remove(sid),
        };
        id.map_or(Action::Nothing, |id| Action::Unsubscribe { id, after })
    }

    /// Takes CONNECT. A second one changes the fields that it names and leaves the others, as in nats-server.
    fn connect(&mut self, json: &[u8], out: &mut impl BufMut) -> Action<'static> {
        let options = match self.phase {
            Phase::AwaitingConnect => ConnectOptions::parse(json),
            Phase::Connected | Phase::Closed => changed(&self.options, json),
        };
        let Ok(options) = options else {
            return self.close(CloseReason::BadConnect, out);
        };
        if !CLIENT_PROTOCOLS.contains(&options.protocol) {
            return self.close(CloseReason::UnknownClientProtocol, out);
        }
        if options.no_responders && !options.headers {
            return self.close(CloseReason::NoRespondersNeedsHeaders, out);
        }
        self.options = options;
        self.phase = Phase::Connected;
        self.confirm(out);
        Action::Nothing
    }

    #[inline]
    fn confirm(&self, out: &mut impl BufMut) {
        if self.options.verbose {
            encode::ok(out);
        }
    }

    fn close(&mut self, reason: CloseReason, out: &mut impl BufMut) -> Action<'static> {
        self.phase = Phase::Closed;
        encode::err(out, reason.wire_text());
        Action::Close(reason)
    }
}

/// What CONNECT may say as `protocol`. Source: nats-server `client.go`, `ClientProtoZero` and `ClientProtoInfo`.
const CLIENT_PROTOCOLS: [i32; 2] = [0, 1];

/// Answers an operation that is not done; the connection stays.
fn refused(text: &str, out: &mut impl BufMut) -> Action<'static> {
    encode::err(out, text);
    Action::Nothing
}

/// `options` with the fields that `json` names.
fn changed(options: &ConnectOptions, json: &[u8]) -> Result<ConnectOptions, ConnectError> {
    ConnectOptions::parse(json)?;
    let mut fields: serde_json::Map<_, _> =
        serde_json::from_slice(&options.to_json()).map_err(ConnectError::BadJson)?;
    let named: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(json).map_err(ConnectError::BadJson)?;
    fields.extend(named.into_iter().filter(|(_, value)| !value.is_null()));
    serde_json::from_value(fields.into()).map_err(ConnectError::BadJson)
}

#[cfg(test)]
mod tests;
