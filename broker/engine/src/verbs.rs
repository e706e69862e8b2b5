//! The human verbs as requests that any NATS client could send.
//!
//! [`Verbs`] holds the verbs of one connection. A verb becomes a plan: it asks something ([`Ask`], a message that the
//! server publishes with an inbox of the connection as reply subject), takes what arrives there ([`Answer`]), and in the
//! end says what the client is told. It does no IO and reads no clock.
//!
//! **Order.** Verbs are answered in the order in which they came. A PUSH or POST begins while those directly before it
//! are still under way; everything else waits for what is before it. A FOLLOW is answered in its turn, and then its
//! messages come between other answers.
//!
//! **Bounds.** [`VERBS_WAITING_MAX`] verbs or [`VERBS_WAITING_BYTES_MAX`] of their payloads: while [`Verbs::is_full`] the
//! server does not read from the socket. [`ANSWER_BYTES_MAX`] bounds what one answer gathers and one batch of a FOLLOW
//! shows, [`FOLLOWS_MAX`] the FOLLOWs. A plan ends five seconds after its own wait at the latest, and then says what is
//! known of the outcome and what to do.

mod answer;
mod create;
mod follow;
mod inspect;
mod lease;
mod place;
mod plan;
mod pop;
mod push;
mod read;
mod remove;
mod status;

pub use answer::Answer;
pub use status::{BrokerStatus, PeerStatus, ShardStatus};

use std::collections::VecDeque;

use bytes::Bytes;
use relevo_protocol::encode;
use relevo_protocol::jetstream::ack::AckKind;
use relevo_protocol::subject::Subject;
use relevo_protocol::verb::{PushOptions, StartFrom, Verb, VerbError, help};

use crate::input::Monotonic;
use create::Create;
use follow::{Follow, FollowStart, Followed, Goes};
use inspect::{Info, List};
use lease::Settle;
use place::Place;
use plan::{Plan, Request, Step, lines, refused, said};
use pop::Pop;
use push::Push;
use read::Read;
use remove::Remove;

/// How many verbs of one connection wait or are under way. At the bound its socket is not read.
pub const VERBS_WAITING_MAX: usize = 128;

/// How many bytes of payloads wait in them. Over the bound its socket is not read.
pub const VERBS_WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many bytes of payloads one answer gathers, and one batch of a FOLLOW. What does not fit is left where it is; a
/// message that is larger by itself comes alone.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many FOLLOWs one connection has. At the bound a FOLLOW is answered with `-ERR`.
pub const FOLLOWS_MAX: usize = 64;

/// What a message counts beyond its payload in a pull request, at most: subject, reply subject, framing.
const MESSAGE_OVERHEAD_BYTES: usize = 8 * 1024;

/// Names one request of a connection; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// A message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Publish it with a reply subject by which what arrives there can be handed to [`Verbs::answer`] under this name. The
    /// subject stays valid as long as the connection; an answer may come at any time and more than once. `None`: without
    /// a reply subject.
    pub id: Option<AskId>,
    /// Where it goes.
    pub subject: Subject,
    /// The header block, or empty.
    pub headers: Bytes,
    /// The body.
    pub payload: Bytes,
}

/// What the server is to do for the verbs. Carried out in this order: append `text` to what is written to the client,
/// publish `asks` in their order, close.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// For the client.
    pub text: Vec<u8>,
    /// For the router.
    pub asks: Vec<Ask>,
    /// Close the connection once `text` is written.
    pub close: bool,
}

/// The verbs of one connection.
#[derive(Debug)]
pub struct Verbs {
    max_bytes: usize,
    next_ask: u64,
    queue: VecDeque<Entry>,
    queued_bytes: usize,
    follows: Vec<Follow>,
    /// The client sends no more: a FOLLOW that begins now ends at once.
    input_ended: bool,
    is_over: bool,
}

/// A verb in the queue.
#[derive(Debug)]
struct Entry {
    overlaps: bool,
    payload_len: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Box<Work>),
    Asking {
        plan: Plan,
        ask: AskId,
        deadline: Monotonic,
    },
    /// The answer, not yet its turn.
    Done(Vec<u8>),
}

/// What waits for its turn.
#[derive(Debug)]
enum Work {
    Ask(Plan),
    Say(Vec<u8>),
    Follow {
        followed: Followed,
        from: StartFrom,
    },
    Unfollow(Followed),
    /// The last words, and then the end.
    Close(Vec<u8>),
}

/// What a plan may use while it decides.
pub(crate) struct Turn<'a> {
    now: Monotonic,
    next_ask: &'a mut u64,
    out: &'a mut Output,
}

impl Verbs {
    /// A connection that has sent no verb. `payload_max` is the longest payload in bytes, headers counted in, that clients
    /// of this broker can publish.
    #[must_use]
    pub fn new(payload_max: usize) -> Self {
        Self {
            max_bytes: ANSWER_BYTES_MAX.max(payload_max.saturating_add(MESSAGE_OVERHEAD_BYTES)),
            next_ask: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            follows: Vec::new(),
            input_ended: false,
            is_over: false,
        }
    }

    /// Takes a verb. `status` is called for STATUS only.
    pub fn begin(
        &mut self,
        now: Monotonic,
        verb: Verb,
        status: impl FnOnce() -> BrokerStatus,
        out: &mut Output,
    ) {
        let entry = Entry::of(verb, self.max_bytes, status);
        self.queued_bytes += entry.payload_len;
        self.queue.push_back(entry);
        self.advance(now, out);
    }

    /// Takes a line that is no verb, or one with a mistake in it; it is answered in its turn.
    pub fn refuse(&mut self, now: Monotonic, error: &VerbError, out: &mut Output) {
        let text = refused(&error.to_string());
        self.queue.push_back(Entry::alone(Work::Say(text)));
        self.advance(now, out);
    }

    /// Takes a message that arrived at the reply subject of a request. A delivery that comes when its verb is over is given
    /// back to its queue.
    pub fn answer(&mut self, now: Monotonic, ask: AskId, answer: Answer, out: &mut Output) {
        if let Some(index) = self.queue.iter().position(|entry| entry.waits_for(ask)) {
            self.answer_plan(now, index, answer, out);
        } else if let Some(index) = self.follows.iter().position(|follow| follow.waits_for(ask)) {
            self.answer_follow(now, index, &answer, out);
        } else {
            self.turn(now, out).give_back(&answer);
        }
    }

    /// The time that [`Self::next_timer`] named has come.
    pub fn timer(&mut self, now: Monotonic, out: &mut Output) {
        for entry in &mut self.queue {
            if let State::Asking { plan, deadline, .. } = &mut entry.state
                && *deadline <= now
            {
                entry.state = State::Done(plan.time_over());
            }
        }
        let Self {
            follows, next_ask, ..
        } = self;
        for follow in follows {
            follow.timer(&mut Turn { now, next_ask, out });
        }
        self.advance(now, out);
    }

    /// All that was put into [`Output::text`] so far has been handed to the socket. Must be called once that is so, or a
    /// FOLLOW shows one batch and then nothing more: what it has shown is acknowledged now, and more is asked for.
    pub fn written(&mut self, now: Monotonic, out: &mut Output) {
        let Self {
            follows, next_ask, ..
        } = self;
        for follow in follows {
            follow.written(&mut Turn { now, next_ask, out });
        }
    }

    /// The client sends no more and may still listen: FOLLOWs end at once, what is before this is answered within its own
    /// time, then the connection is to be closed. Not to be called before the last [`Self::begin`] or [`Self::refuse`].
    pub fn end_of_input(&mut self, now: Monotonic, out: &mut Output) {
        self.input_ended = true;
        self.end_follows(now, out);
        self.queue.push_back(Entry::alone(Work::Close(Vec::new())));
        self.advance(now, out);
    }

    /// The client is gone: what it made for itself is taken away, nothing more is said.
    pub fn hang_up(&mut self, now: Monotonic, out: &mut Output) {
        self.is_over = true;
        self.queue.clear();
        self.queued_bytes = 0;
        self.end_follows(now, out);
    }

    /// When [`Self::timer`] is to be called; `None` while nothing waits.
    #[must_use]
    pub fn next_timer(&self) -> Option<Monotonic> {
        let plans = self.queue.iter().filter_map(|entry| match &entry.state {
            State::Asking { deadline, .. } => Some(*deadline),
            State::Waiting(_) | State::Done(_) => None,
        });
        plans
            .chain(self.follows.iter().filter_map(Follow::next_timer))
            .min()
    }

    /// Whether the socket is not to be read for now. Ends by an answer or the timer.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.len() >= VERBS_WAITING_MAX || self.queued_bytes > VERBS_WAITING_BYTES_MAX
    }

    /// Whether no verb waits, is under way or follows.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.follows.is_empty()
    }

    fn end_follows(&mut self, now: Monotonic, out: &mut Output) {
        for follow in std::mem::take(&mut self.follows) {
            follow.end(&mut self.turn(now, out));
        }
    }

    fn answer_plan(&mut self, now: Monotonic, index: usize, answer: Answer, out: &mut Output) {
        let Self {
            queue,
            next_ask,
            follows,
            input_ended,
            ..
        } = self;
        let mut turn = Turn { now, next_ask, out };
        let Some(Entry { state, .. }) = queue.get_mut(index) else {
            return;
        };
        let State::Asking { plan, ask, .. } = state else {
            return;
        };
        match plan.answer(answer) {
            Step::Wait => return,
            Step::Ask(request) => {
                *ask = turn.ask(request);
                return;
            }
            Step::Done(text) => *state = State::Done(text),
            Step::Following(mut follow) => {
                *state = State::Done(said(&format!("following {}", follow.followed().topic)));
                if *input_ended {
                    follow.end(&mut turn);
                } else {
                    follow.pull(&mut turn);
                    follows.push(*follow);
                }
            }
        }
        self.advance(now, out);
    }

    fn answer_follow(&mut self, now: Monotonic, index: usize, answer: &Answer, out: &mut Output) {
        let Self {
            follows, next_ask, ..
        } = self;
        let mut turn = Turn { now, next_ask, out };
        let goes = follows
            .get_mut(index)
            .map(|follow| follow.answer(answer, &mut turn));
        if let Some(Goes::Ended(why)) = goes {
            encode::err(&mut out.text, &why);
            self.follows.remove(index);
        }
    }

    /// Says what may be said, and begins what may begin.
    fn advance(&mut self, now: Monotonic, out: &mut Output) {
        loop {
            while let Some(Entry {
                state: State::Done(text),
                payload_len,
                ..
            }) = self.queue.front()
            {
                out.text.extend_from_slice(text);
                self.queued_bytes -= payload_len;
                self.queue.pop_front();
            }
            if self.is_over {
                self.queue.clear();
                return;
            }
            let Some(index) = self.next_to_begin() else {
                return;
            };
            self.begin_work(now, index, out);
        }
    }

    fn next_to_begin(&self) -> Option<usize> {
        let index = self
            .queue
            .iter()
            .position(|entry| matches!(entry.state, State::Waiting(_)))?;
        let overlaps = || {
            self.queue
                .iter()
                .take(index + 1)
                .all(|entry| entry.overlaps)
        };
        (index == 0 || overlaps()).then_some(index)
    }

    fn begin_work(&mut self, now: Monotonic, index: usize, out: &mut Output) {
        let Some(entry) = self.queue.get_mut(index) else {
            return;
        };
        let State::Waiting(work) = std::mem::replace(&mut entry.state, State::Done(Vec::new()))
        else {
            return;
        };
        let state = match *work {
            Work::Ask(plan) => self.asking(now, plan, out),
            Work::Say(text) => State::Done(text),
            Work::Follow { followed, from } => match self.follow_refused(&followed) {
                Some(why) => State::Done(refused(&why)),
                None => {
                    let plan = FollowStart::new(followed, from, self.max_bytes);
                    self.asking(now, Plan::Follow(plan), out)
                }
            },
            Work::Unfollow(followed) => State::Done(self.unfollow(now, &followed, out)),
            Work::Close(last_words) => {
                self.is_over = true;
                out.close = true;
                State::Done(last_words)
            }
        };
        if let Some(entry) = self.queue.get_mut(index) {
            entry.state = state;
        }
    }

    fn asking(&mut self, now: Monotonic, plan: Plan, out: &mut Output) -> State {
        let ask = self.turn(now, out).ask(plan.begin());
        let deadline = now.after(plan.time_limit());
        State::Asking {
            plan,
            ask,
            deadline,
        }
    }

    fn follow_refused(&self, followed: &Followed) -> Option<String> {
        if self
            .follows
            .iter()
            .any(|follow| follow.followed() == followed)
        {
            return Some(format!(
                "already following {followed}; UNFOLLOW {followed} ends it"
            ));
        }
        (self.follows.len() >= FOLLOWS_MAX)
            .then(|| format!("this connection follows {FOLLOWS_MAX} topics, the most; UNFOLLOW one or connect again"))
    }

    fn unfollow(&mut self, now: Monotonic, followed: &Followed, out: &mut Output) -> Vec<u8> {
        let Some(index) = self.index_to_unfollow(followed) else {
            let mut others = self
                .follows
                .iter()
                .map(Follow::followed)
                .filter(|other| other.topic == followed.topic);
            return refused(&match others.next() {
                Some(other) => format!("not following {followed}; UNFOLLOW {other} ends the other"),
                None => format!("not following {followed}; FOLLOW {followed} does"),
            });
        };
        let follow = self.follows.remove(index);
        follow.end(&mut self.turn(now, out));
        said(&format!("unfollowed {}", follow.followed()))
    }

    /// The one that is followed just so; without a subscription's name also the only one of its topic.
    fn index_to_unfollow(&self, followed: &Followed) -> Option<usize> {
        let position = |wanted: &dyn Fn(&Followed) -> bool| {
            self.follows
                .iter()
                .position(|follow| wanted(follow.followed()))
        };
        let is_of_topic = |other: &Followed| other.topic == followed.topic;
        let of_topic = self.follows.iter().map(Follow::followed);
        let is_only = of_topic.filter(|other| is_of_topic(other)).count() == 1;
        position(&|other| other == followed).or_else(|| {
            (followed.subscription.is_none() && is_only)
                .then(|| position(&is_of_topic))
                .flatten()
        })
    }

    const fn turn<'a>(&'a mut self, now: Monotonic, out: &'a mut Output) -> Turn<'a> {
        Turn {
            now,
            next_ask: &mut self.next_ask,
            out,
        }
    }
}

impl Entry {
    fn of(verb: Verb, max_bytes: usize, status: impl FnOnce() -> BrokerStatus) -> Self {
        let work = match verb {
            Verb::Push {
                queue,
                options,
                payload,
            } => return Self::push(Place::Queue(queue), &options, payload),
            Verb::Post { topic, payload } => {
                return Self::push(Place::Topic(topic), &PushOptions::default(), payload);
            }
            Verb::QueueCreate { name, options } => {
                Work::Ask(Plan::Create(Create::queue(name, options)))
            }
            Verb::TopicCreate { name, options } => {
                Work::Ask(Plan::Create(Create::topic(name, options)))
            }
            Verb::QueueDelete { name } => {
                Work::Ask(Plan::Remove(Remove::everything(Place::Queue(name))))
            }
            Verb::TopicDelete { name } => {
                Work::Ask(Plan::Remove(Remove::everything(Place::Topic(name))))
            }
            Verb::QueuePurge { name } => {
                Work::Ask(Plan::Remove(Remove::messages(Place::Queue(name))))
            }
            Verb::QueueInfo { name } => Work::Ask(Plan::Info(Info::new(Place::Queue(name)))),
            Verb::TopicInfo { name } => Work::Ask(Plan::Info(Info::new(Place::Topic(name)))),
            Verb::QueueList => Work::Ask(Plan::List(List::queues())),
            Verb::TopicList => Work::Ask(Plan::List(List::topics())),
            Verb::QueuePeek { name, from, max } => Work::Ask(Plan::Read(Read::new(
                Place::Queue(name),
                from,
                max,
                max_bytes,
            ))),
            Verb::View { topic, from, max } => Work::Ask(Plan::Read(Read::new(
                Place::Topic(topic),
                from,
                max,
                max_bytes,
            ))),
            Verb::Pop {
                queue,
                wait,
                max,
                lease,
            } => Work::Ask(Plan::Pop(Pop::new(queue, wait, max, lease, max_bytes))),
            Verb::Ack { lease } => Work::Ask(Plan::Settle(Settle::ack(lease))),
            Verb::Nack { lease, delay } => Work::Ask(Plan::Settle(Settle::nack(lease, delay))),
            Verb::Extend { lease, r#for } => Work::Ask(Plan::Settle(Settle::extend(lease, r#for))),
            Verb::Follow {
                topic,
                subscription,
                from,
            } => Work::Follow {
                followed: Followed {
                    topic,
                    subscription,
                },
                from: from.unwrap_or_default(),
            },
            Verb::Unfollow {
                topic,
                subscription,
            } => Work::Unfollow(Followed {
                topic,
                subscription,
            }),
            Verb::Auth(_) => Work::Say(refused(
                "there are no users in this version; go on without AUTH",
            )),
            Verb::Status => Work::Say(lines(&status().lines())),
            Verb::Help(verb) => Work::Say(match help(verb.as_deref()) {
                Ok(text) => lines(&text),
                Err(error) => refused(&error.to_string()),
            }),
            Verb::Quit => Work::Close(said("bye")),
        };
        Self::alone(work)
    }

    /// What waits for everything before it.
    fn alone(work: Work) -> Self {
        Self {
            overlaps: false,
            payload_len: 0,
            state: State::Waiting(Box::new(work)),
        }
    }

    fn push(place: Place, options: &PushOptions, payload: Bytes) -> Self {
        let payload_len = payload.len();
        let plan = Plan::Push(Push::new(place, options, payload));
        Self {
            overlaps: true,
            payload_len,
            state: State::Waiting(Box::new(Work::Ask(plan))),
        }
    }

    fn waits_for(&self, ask: AskId) -> bool {
        match &self.state {
            State::Asking { ask: open, .. } => *open == ask,
            State::Waiting(_) | State::Done(_) => false,
        }
    }
}

impl Turn<'_> {
    fn ask(&mut self, request: Request) -> AskId {
        let id = AskId(*self.next_ask);
        *self.next_ask += 1;
        self.publish(Some(id), request);
        id
    }

    fn tell(&mut self, request: Request) {
        self.publish(None, request);
    }

    fn publish(&mut self, id: Option<AskId>, request: Request) {
        let Request {
            subject,
            headers,
            payload,
        } = request;
        self.out.asks.push(Ask {
            id,
            subject,
            headers,
            payload,
        });
    }

    /// Somebody else may have a message that came too late.
    fn give_back(&mut self, answer: &Answer) {
        if answer.delivery().is_none() {
            return;
        }
        if let Some(Ok(subject)) = answer.reply.as_deref().map(Subject::parse) {
            let payload = AckKind::Nak { delay: None }.encode().into();
            self.tell(Request {
                subject,
                headers: Bytes::new(),
                payload,
            });
        }
    }
}

#[cfg(test)]
mod tests;
