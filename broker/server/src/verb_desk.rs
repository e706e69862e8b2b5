//! The human verbs of one connection: carries out what the engine's [`Verbs`] want.
//!
//! Requests are published like any client's; answers come to an inbox that this connection
//! subscribes to when the first verb is typed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use relevo_engine::input::Monotonic;
use relevo_engine::subject_tree::TreeFull;
use relevo_engine::verbs::{Answer, Ask, AskId, Output, Verbs};
use relevo_protocol::frame::Message;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::subject::SubjectFilter;
use relevo_protocol::verb::{Verb, VerbError};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::board::Board;
use crate::clock::Clock;
use crate::counters;
use crate::outbound::Outbound;
use crate::random;
use crate::router::publisher::{Published, Publisher};
use crate::router::subscribed::Subscribed;
use crate::router::subscription::Receiver;

/// Answers that wait for a connection; a POP of the most messages fits. What does not fit is dropped,
/// and a delivery among it given to somebody else.
const ANSWERS_MAX: usize = 16 * 1024;
/// Answers taken at a time before the connection looks at its socket again.
const ANSWERS_AT_ONCE: usize = 256;

/// The verbs of one connection.
#[derive(Debug)]
pub(crate) struct VerbDesk {
    verbs: Verbs,
    clock: Clock,
    inbox: mpsc::Receiver<Message>,
    /// Held for the answers that it brings.
    _subscribed: Subscribed,
    /// What the reply subjects begin with, the last dot included.
    prefix: String,
    written: Written,
}

/// What the verbs are to be told about their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// Nothing: they know.
    Told,
    /// Text was said, and goes into the client's buffer before anything is waited for.
    Said,
    /// That it is out, once the buffer has written so many bytes.
    Awaited(u64),
}

/// Something for the verbs to take.
#[derive(Debug)]
pub(crate) enum VerbEvent {
    /// An answer.
    Answer(Message),
    /// Their timer.
    Timer,
    /// All text is out.
    Written,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// For the client.
    pub(crate) text: Vec<u8>,
    /// The connection is to be closed after it.
    pub(crate) close: bool,
}

impl VerbDesk {
    /// Opens the inbox.
    pub(crate) fn open(publisher: &Publisher, payload_max: usize) -> Result<Self, TreeFull> {
        let prefix = format!("_INBOX.{}.", random::name());
        let filter = SubjectFilter::parse(format!("{prefix}*"))
            .expect("letters, digits and dots are a filter");
        let (sender, inbox) = mpsc::channel(ANSWERS_MAX);
        let exchange = publisher.exchange();
        let subscribed = Subscribed::begin(exchange, &filter, None, Receiver::Inbox(sender))?;
        let verbs = Verbs::new(payload_max);
        let clock = exchange.board.clock();
        Ok(Self {
            verbs,
            clock,
            inbox,
            _subscribed: subscribed,
            prefix,
            written: Written::Told,
        })
    }

    /// Takes a verb.
    pub(crate) fn begin(&mut self, verb: Verb, publisher: &mut Publisher) -> Said {
        let mut out = Output::default();
        let exchange = Arc::clone(publisher.exchange());
        let connections = counters::read(&exchange.counters.connections);
        let board: &Board = &exchange.board;
        self.verbs
            .begin(self.now(), verb, || board.status(connections), &mut out);
        self.carry_out(out, publisher)
    }

    /// Takes a line with a mistake in it.
    pub(crate) fn refuse(&mut self, error: &VerbError, publisher: &mut Publisher) -> Said {
        let mut out = Output::default();
        self.verbs.refuse(self.now(), error, &mut out);
        self.carry_out(out, publisher)
    }

    /// The next thing for the verbs. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self, outbound: &Outbound) -> VerbEvent {
        if self.written == Written::Said {
            self.written = Written::Awaited(outbound.pushed_total());
        }
        let out = async {
            match self.written {
                Written::Awaited(total) => outbound.written(total).await,
                Written::Told | Written::Said => std::future::pending().await,
            }
        };
        let timer = self.verbs.next_timer();
        let due = async {
            match timer {
                Some(time) => sleep_until(self.clock.instant(time)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(message) = self.inbox.recv() => VerbEvent::Answer(message),
            () = due => VerbEvent::Timer,
            () = out => VerbEvent::Written,
        }
    }

    /// Takes an event, and the answers that are there by now.
    pub(crate) fn take(&mut self, event: VerbEvent, publisher: &mut Publisher) -> Said {
        let mut out = Output::default();
        match event {
            VerbEvent::Answer(message) => {
                self.answer(message, &mut out);
                for _ in 1..ANSWERS_AT_ONCE {
                    let Ok(message) = self.inbox.try_recv() else {
                        break;
                    };
                    self.answer(message, &mut out);
                }
            }
            VerbEvent::Timer => self.verbs.timer(self.now(), &mut out),
            VerbEvent::Written => {
                self.written = Written::Told;
                self.verbs.written(self.now(), &mut out);
            }
        }
        self.carry_out(out, publisher)
    }

    /// Whether the socket is not to be read for now.
    pub(crate) fn is_full(&self) -> bool {
        self.verbs.is_full()
    }

    /// The client sends no more: what is pending is still answered, then the connection is closed.
    pub(crate) fn end_of_input(&mut self, publisher: &mut Publisher) -> Said {
        let mut out = Output::default();
        self.verbs.end_of_input(self.now(), &mut out);
        self.carry_out(out, publisher)
    }

    /// The client is gone.
    pub(crate) fn hang_up(mut self, publisher: &mut Publisher) {
        let mut out = Output::default();
        self.verbs.hang_up(self.now(), &mut out);
        self.carry_out(out, publisher);
    }

    fn answer(&mut self, message: Message, out: &mut Output) {
        let Message {
            subject,
            reply,
            headers,
            payload,
        } = message;
        let id = subject
            .strip_prefix(self.prefix.as_bytes())
            .and_then(|number| str::from_utf8(number).ok()?.parse().ok());
        if let Some(id) = id {
            let answer = Answer {
                reply,
                headers,
                payload,
            };
            self.verbs.answer(self.now(), AskId(id), answer, out);
        }
    }

    fn carry_out(&mut self, mut out: Output, publisher: &mut Publisher) -> Said {
        let mut said = Said::default();
        let mut unheard = VecDeque::new();
        loop {
            said.text.append(&mut out.text);
            said.close |= out.close;
            for ask in out.asks.drain(..) {
                if let Some(id) = self.publish(&ask, publisher) {
                    unheard.push_back(id);
                }
            }
            let Some(id) = unheard.pop_front() else {
                break;
            };
            let headers = Status::NO_RESPONDERS.header_block(&[]).into();
            let answer = Answer {
                reply: None,
                headers,
                payload: Bytes::new(),
            };
            self.verbs.answer(self.now(), id, answer, &mut out);
        }
        if !said.text.is_empty() {
            self.written = Written::Said;
        }
        said
    }

    /// Publishes a request; its name when nobody listens.
    fn publish(&self, ask: &Ask, publisher: &mut Publisher) -> Option<AskId> {
        let Ask {
            id,
            subject,
            headers,
            payload,
        } = ask;
        let reply = id.map(|id| format!("{}{}", self.prefix, id.0));
        let reply = reply.as_ref().map(String::as_bytes);
        let message = Published::new(subject.as_ref(), reply, headers, payload);
        if publisher.publish(&message, None) {
            None
        } else {
            *id
        }
    }

    fn now(&self) -> Monotonic {
        self.clock.now().monotonic
    }
}
