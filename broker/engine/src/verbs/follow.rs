//! FOLLOW: a consumer that is made or found, then one pull request after the other.
//!
//! ```text
//!            +--------- written out ----------+
//!            v                                |
//! Pulling -- messages, end of the request --> Resting until written
//!    |
//!    | refused, silent, a gap
//!    v
//! Pausing -- RETRY_AFTER --> Finding -- found or made again --> Pulling
//! ```
//! The next request leaves when all that was shown has been written to the socket, so a slow reader holds one batch and
//! not a backlog. With `as=` that is also when what was shown is acknowledged: the cursor never runs ahead of the reader.
//!
//! Without `as=` nothing is acknowledged. A consumer that is gone, or of which a delivery is missing, is made again behind
//! the last sequence shown, so that each message is shown once and in order.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::convention::topic::{self, TopicOptions};
use relevo_protocol::encode;
use relevo_protocol::jetstream::ack::{AckKind, AckSubject};
use relevo_protocol::jetstream::api::{ConsumerAction, ConsumerCreateRequest, NextRequest};
use relevo_protocol::jetstream::consumer::{ConsumerConfig, ConsumerInfo};
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::error::{ApiError, ErrorCode};
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::publish::LAST_CONSUMER;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::name::{ConsumerName, SubscriptionName, TopicName};
use relevo_protocol::subject::Subject;
use relevo_protocol::verb::StartFrom;

use super::answer::{Answer, Failure};
use super::place::Place;
use super::plan::{Request, Step};
use super::{AskId, Turn};
use crate::input::Monotonic;

/// How many messages one pull request of a FOLLOW asks for.
const BATCH: u32 = 128;

/// How long one pull request of a FOLLOW waits.
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// How often the consumer says that it still serves the request.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// After this silence the consumer counts as gone: two heartbeats and a little.
const SILENCE_MAX: Duration = Duration::from_secs(11);

/// The pause before a consumer that failed is looked for again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long the answer to a request other than a pull is waited for.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// What is followed, and with which cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) topic: TopicName,
    pub(super) subscription: Option<SubscriptionName>,
}

/// The plan of FOLLOW until messages flow.
#[derive(Debug)]
pub(super) struct FollowStart {
    followed: Followed,
    from: StartFrom,
    max_bytes: usize,
    state: StartState,
}

/// What is being asked.
#[derive(Clone, Copy, Debug)]
enum StartState {
    /// Whether the subscription is there.
    Find,
    /// To make the consumer.
    Create,
}

impl FollowStart {
    /// `max_bytes` bounds one batch; a message that is larger by itself still comes alone.
    pub(super) const fn new(followed: Followed, from: StartFrom, max_bytes: usize) -> Self {
        let state = if followed.subscription.is_some() {
            StartState::Find
        } else {
            StartState::Create
        };
        Self {
            followed,
            from,
            max_bytes,
            state,
        }
    }

    pub(super) fn begin(&self) -> Request {
        match (self.state, &self.followed.subscription) {
            (StartState::Find, Some(subscription)) => self.followed.ask_info(subscription),
            (StartState::Find | StartState::Create, _) => self.followed.ask_create(self.from),
        }
    }

    pub(super) fn answer(&mut self, answer: &Answer) -> Step {
        match (
            answer.api::<ConsumerInfo>(),
            self.state,
            &self.followed.subscription,
        ) {
            (Ok(info), _, _) => self.found(info),
            (Err(Failure::Api(error)), StartState::Find, _)
                if error.is(ErrorCode::ConsumerNotFound) =>
            {
                self.state = StartState::Create;
                Step::Ask(self.followed.ask_create(self.from))
            }
            (Err(Failure::Api(error)), StartState::Create, Some(subscription))
                if is_there_already(&error) =>
            {
                // Somebody was faster.
                self.state = StartState::Find;
                Step::Ask(self.followed.ask_info(subscription))
            }
            (Err(failure), _, _) => {
                Step::err(&Place::Topic(self.followed.topic.clone()).sentence(&failure))
            }
        }
    }

    fn found(&self, info: ConsumerInfo) -> Step {
        if !info.config.is_pull() {
            return Step::err(&format!(
                "consumer {} of topic {} is a push consumer; choose another as=",
                info.name, self.followed.topic
            ));
        }
        Step::Following(Box::new(Follow::new(
            self.followed.clone(),
            self.from,
            self.max_bytes,
            info,
        )))
    }
}

/// A FOLLOW whose messages flow.
#[derive(Debug)]
pub(super) struct Follow {
    followed: Followed,
    from: StartFrom,
    max_bytes: usize,
    consumer: ConsumerName,
    /// The last sequence shown; 0 before the first.
    shown_seq: u64,
    /// The count of the consumer's deliveries seen.
    seen_deliveries: u64,
    /// Acks of what was shown and is not known to be written.
    unwritten_acks: Vec<Subject>,
    /// Something was shown that is not known to be written.
    unwritten: bool,
    state: State,
    deadline: Monotonic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A pull request is open.
    Pulling { ask: AskId, left: u32 },
    /// What was shown is being written.
    Resting,
    /// The consumer is looked for or made again.
    Finding(AskId),
    /// After a failure.
    Pausing,
}

/// Whether a FOLLOW goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Goes {
    On,
    /// No longer, and why.
    Ended(String),
}

impl Follow {
    fn new(followed: Followed, from: StartFrom, max_bytes: usize, info: ConsumerInfo) -> Self {
        Self {
            followed,
            from,
            max_bytes,
            consumer: info.name,
            shown_seq: 0,
            seen_deliveries: info.delivered.consumer_seq,
            unwritten_acks: Vec::new(),
            unwritten: false,
            state: State::Resting,
            deadline: Monotonic::default(),
        }
    }

    pub(super) const fn followed(&self) -> &Followed {
        &self.followed
    }

    /// Whether answers to `ask` are for this FOLLOW.
    pub(super) fn waits_for(&self, ask: AskId) -> bool {
        match self.state {
            State::Pulling { ask: open, .. } | State::Finding(open) => open == ask,
            State::Resting | State::Pausing => false,
        }
    }

    /// When [`Self::timer`] is to be called.
    pub(super) const fn next_timer(&self) -> Option<Monotonic> {
        match self.state {
            State::Pulling { .. } | State::Finding(_) | State::Pausing => Some(self.deadline),
            State::Resting => None,
        }
    }

    pub(super) fn pull(&mut self, turn: &mut Turn<'_>) {
        let next = NextRequest {
            expires: PULL_EXPIRES,
            batch: BATCH.into(),
            max_bytes: self.max_bytes as u64,
            idle_heartbeat: HEARTBEAT,
            ..NextRequest::default()
        };
        let endpoint = Endpoint::MsgNext(
            topic::stream_name(&self.followed.topic),
            self.consumer.clone(),
        );
        let ask = turn.ask(Request::api(&endpoint, &next));
        self.state = State::Pulling { ask, left: BATCH };
        self.deadline = turn.now.after(SILENCE_MAX);
    }

    pub(super) fn answer(&mut self, answer: &Answer, turn: &mut Turn<'_>) -> Goes {
        match self.state {
            State::Finding(_) => return self.consumer_told(answer, turn),
            State::Pulling { ask, left } => {
                self.deadline = turn.now.after(SILENCE_MAX);
                match (answer.delivery(), answer.status()) {
                    (Some(delivery), _) => self.delivered(answer, &delivery, ask, left, turn),
                    (None, Some(status)) => self.status(answer, &status, turn),
                    (None, None) => {}
                }
            }
            State::Resting | State::Pausing => {}
        }
        Goes::On
    }

    pub(super) fn timer(&mut self, turn: &mut Turn<'_>) {
        if self.next_timer().is_none_or(|deadline| deadline > turn.now) {
            return;
        }
        match self.state {
            State::Pausing => self.find(turn),
            State::Pulling { .. } | State::Finding(_) => self.pause(turn),
            State::Resting => {}
        }
    }

    /// All that was shown is written to the socket.
    pub(super) fn written(&mut self, turn: &mut Turn<'_>) {
        self.unwritten = false;
        for subject in self.unwritten_acks.drain(..) {
            turn.tell(Request {
                subject,
                headers: Bytes::new(),
                payload: AckKind::Ack.encode().into(),
            });
        }
        if self.state == State::Resting {
            self.pull(turn);
        }
    }

    /// UNFOLLOW, or the connection is gone: a consumer that nobody needs to remember goes.
    pub(super) fn end(&self, turn: &mut Turn<'_>) {
        if self.followed.subscription.is_none() {
            let stream = topic::stream_name(&self.followed.topic);
            turn.tell(Request::api_bare(&Endpoint::ConsumerDelete(
                stream,
                self.consumer.clone(),
            )));
        }
    }

    fn delivered(
        &mut self,
        answer: &Answer,
        delivery: &AckSubject,
        ask: AskId,
        left: u32,
        turn: &mut Turn<'_>,
    ) {
        let is_durable = self.followed.subscription.is_some();
        if !is_durable && delivery.consumer_seq != self.seen_deliveries + 1 {
            self.find(turn);
            return;
        }
        self.seen_deliveries = delivery.consumer_seq;
        self.shown_seq = delivery.stream_seq;
        self.unwritten = true;
        let topic = self.followed.topic.as_str();
        encode::verb_message_at(
            &mut turn.out.text,
            topic,
            delivery.stream_seq,
            &answer.payload,
        );
        if is_durable && let Some(Ok(subject)) = answer.reply.as_deref().map(Subject::parse) {
            self.unwritten_acks.push(subject);
        }
        self.state = match left {
            0 | 1 => State::Resting,
            left => State::Pulling {
                ask,
                left: left - 1,
            },
        };
    }

    fn status(&mut self, answer: &Answer, status: &Status, turn: &mut Turn<'_>) {
        match status.code {
            100 => {
                let deliveries = answer
                    .header(LAST_CONSUMER)
                    .and_then(|count| count.parse::<u64>().ok());
                let missing =
                    deliveries.is_some_and(|deliveries| deliveries > self.seen_deliveries);
                if missing && self.followed.subscription.is_none() {
                    self.find(turn);
                }
            }
            404 | 408 => self.request_ended(turn),
            409 if *status == Status::BATCH_COMPLETED
                || *status == Status::MESSAGE_SIZE_EXCEEDS_MAX_BYTES =>
            {
                self.request_ended(turn);
            }
            _ => self.pause(turn),
        }
    }

    fn request_ended(&mut self, turn: &mut Turn<'_>) {
        self.state = State::Resting;
        if !self.unwritten {
            self.pull(turn);
        }
    }

    fn pause(&mut self, turn: &Turn<'_>) {
        self.state = State::Pausing;
        self.deadline = turn.now.after(RETRY_AFTER);
    }

    /// Looks for the subscription, or makes the follower's consumer again behind what was shown.
    fn find(&mut self, turn: &mut Turn<'_>) {
        let request = match &self.followed.subscription {
            Some(subscription) => self.followed.ask_info(subscription),
            None => {
                self.end(turn);
                let from = match self.shown_seq {
                    0 => self.from,
                    shown => StartFrom::Sequence(shown.saturating_add(1)),
                };
                self.followed.ask_create(from)
            }
        };
        self.state = State::Finding(turn.ask(request));
        self.deadline = turn.now.after(ANSWER_TIME);
    }

    fn consumer_told(&mut self, answer: &Answer, turn: &mut Turn<'_>) -> Goes {
        let topic = &self.followed.topic;
        match answer.api::<ConsumerInfo>() {
            Ok(info) => {
                self.consumer = info.name;
                self.seen_deliveries = info.delivered.consumer_seq;
                self.request_ended(turn);
                Goes::On
            }
            Err(Failure::Api(error)) if error.is(ErrorCode::StreamNotFound) => {
                Goes::Ended(format!("topic {topic} was deleted, FOLLOW has ended"))
            }
            Err(Failure::Api(error)) if error.is(ErrorCode::ConsumerNotFound) => {
                let subscription = &self.consumer;
                Goes::Ended(format!(
                    "subscription {subscription} of topic {topic} was deleted, FOLLOW has ended; \
                     FOLLOW {topic} as={subscription} makes it again"
                ))
            }
            Err(Failure::Api(_) | Failure::Status(_) | Failure::Malformed) => {
                self.pause(turn);
                Goes::On
            }
        }
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subscription {
            None => write!(f, "{}", self.topic),
            Some(subscription) => write!(f, "{} as={subscription}", self.topic),
        }
    }
}

impl Followed {
    fn ask_info(&self, subscription: &SubscriptionName) -> Request {
        let consumer = ConsumerName::from(subscription.clone());
        Request::api_bare(&Endpoint::ConsumerInfo(
            topic::stream_name(&self.topic),
            consumer,
        ))
    }

    fn ask_create(&self, from: StartFrom) -> Request {
        let stream = topic::stream_name(&self.topic);
        let options = TopicOptions::default();
        let (endpoint, config): (_, ConsumerConfig) = match &self.subscription {
            Some(subscription) => (
                Endpoint::DurableCreate(stream.clone(), subscription.clone().into()),
                topic::subscription_config(&self.topic, &options, subscription, from),
            ),
            None => (
                Endpoint::ConsumerCreate {
                    stream: stream.clone(),
                    consumer: None,
                    filter: None,
                },
                topic::follower_config(&self.topic, &options, from),
            ),
        };
        let request = ConsumerCreateRequest {
            stream_name: stream,
            config,
            action: ConsumerAction::Create,
            pedantic: false,
        };
        Request::plain(endpoint.subject(), json::encode(&request))
    }
}

fn is_there_already(error: &ApiError) -> bool {
    error.is(ErrorCode::ConsumerAlreadyExists) || error.is(ErrorCode::ConsumerNameExists)
}
