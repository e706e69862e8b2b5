//! What every verb's plan is made of.

use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::encode;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::json;
use relevo_protocol::subject::Subject;
use serde::Serialize;

use super::answer::Answer;
use super::create::Create;
use super::follow::{Follow, FollowStart};
use super::inspect::{Info, List};
use super::lease::Settle;
use super::pop::Pop;
use super::push::Push;
use super::read::Read;
use super::remove::Remove;

/// How long a plan waits for its answers, beyond what the verb itself asks to wait.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(5);

/// A verb that asks something before it can be answered. One request is open at a time.
#[derive(Debug)]
pub(super) enum Plan {
    Create(Create),
    Follow(FollowStart),
    Info(Info),
    List(List),
    Pop(Pop),
    Push(Push),
    Read(Read),
    Remove(Remove),
    Settle(Settle),
}

/// A request to publish with a reply subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) subject: Subject,
    pub(super) headers: Bytes,
    pub(super) payload: Bytes,
}

/// What a plan does next.
#[derive(Debug)]
pub(super) enum Step {
    /// More answers to the same request follow.
    Wait,
    /// The next request; answers to the one before do not matter any more.
    Ask(Request),
    /// The verb's whole answer.
    Done(Vec<u8>),
    /// FOLLOW: the answer was given, messages follow.
    Following(Box<Follow>),
}

impl Plan {
    /// The first request.
    pub(super) fn begin(&self) -> Request {
        match self {
            Self::Create(plan) => plan.begin(),
            Self::Follow(plan) => plan.begin(),
            Self::Info(plan) => plan.begin(),
            Self::List(plan) => plan.begin(),
            Self::Pop(plan) => plan.begin(),
            Self::Push(plan) => plan.begin(),
            Self::Read(plan) => plan.begin(),
            Self::Remove(plan) => plan.begin(),
            Self::Settle(plan) => plan.begin(),
        }
    }

    /// How long the whole plan may take.
    pub(super) fn time_limit(&self) -> Duration {
        let own = match self {
            Self::Pop(plan) => plan.wait(),
            Self::Create(_)
            | Self::Follow(_)
            | Self::Info(_)
            | Self::List(_)
            | Self::Push(_)
            | Self::Read(_)
            | Self::Remove(_)
            | Self::Settle(_) => Duration::ZERO,
        };
        own.saturating_add(ANSWER_TIME)
    }

    /// Takes an answer to the open request.
    pub(super) fn answer(&mut self, answer: Answer) -> Step {
        match self {
            Self::Create(plan) => plan.answer(&answer),
            Self::Follow(plan) => plan.answer(&answer),
            Self::Info(plan) => plan.answer(&answer),
            Self::List(plan) => plan.answer(&answer),
            Self::Pop(plan) => plan.answer(answer),
            Self::Push(plan) => plan.answer(&answer),
            Self::Read(plan) => plan.answer(answer),
            Self::Remove(plan) => plan.answer(&answer),
            Self::Settle(plan) => plan.answer(&answer),
        }
    }

    /// The verb's answer when the time is over: what is known, and what to do.
    pub(super) fn time_over(&mut self) -> Vec<u8> {
        match self {
            Self::Create(plan) => refused(&plan.time_over()),
            Self::Push(plan) => refused(&plan.time_over()),
            Self::Remove(plan) => refused(&plan.time_over()),
            Self::Settle(plan) => refused(&plan.time_over()),
            Self::Pop(plan) => plan.time_over(),
            Self::Follow(_) | Self::Info(_) | Self::List(_) | Self::Read(_) => refused(&format!(
                "no answer within {}s; try again",
                ANSWER_TIME.as_secs()
            )),
        }
    }
}

impl Request {
    /// A request to an API endpoint with a JSON body.
    pub(super) fn api(endpoint: &Endpoint, body: &impl Serialize) -> Self {
        Self::plain(endpoint.subject(), json::encode(body))
    }

    /// A request to an API endpoint without a body.
    pub(super) fn api_bare(endpoint: &Endpoint) -> Self {
        Self::plain(endpoint.subject(), Vec::new())
    }

    /// A message without headers.
    pub(super) fn plain(subject: impl AsRef<str>, payload: Vec<u8>) -> Self {
        Self::new(subject, Bytes::new(), payload.into())
    }

    /// A message. `subject` is made of names, which were parsed, and of words of this crate.
    pub(super) fn new(subject: impl AsRef<str>, headers: Bytes, payload: Bytes) -> Self {
        let subject = Subject::parse(subject.as_ref())
            .expect("names are short tokens, and so are our own words");
        Self {
            subject,
            headers,
            payload,
        }
    }
}

impl Step {
    /// `+OK <text>`
    pub(super) fn ok(text: &str) -> Self {
        Self::Done(said(text))
    }

    /// `-ERR '<text>'`
    pub(super) fn err(text: &str) -> Self {
        Self::Done(refused(text))
    }
}

/// `+OK <text>`
pub(super) fn said(text: &str) -> Vec<u8> {
    let mut answer = Vec::new();
    encode::answer(&mut answer, text);
    answer
}

/// `-ERR '<text>'`
pub(super) fn refused(text: &str) -> Vec<u8> {
    let mut answer = Vec::new();
    encode::err(&mut answer, text);
    answer
}

/// `+OK <n>` and n lines.
pub(super) fn lines<T: AsRef<str>>(lines: &[T]) -> Vec<u8> {
    let mut answer = Vec::new();
    encode::answer(&mut answer, &lines.len().to_string());
    for line in lines {
        encode::answer_line(&mut answer, line.as_ref());
    }
    answer
}

/// What is said when nobody knows whether something was done.
pub(super) fn outcome_unknown(advice: &str) -> String {
    format!(
        "no answer within {}s, the outcome is unknown; {advice}",
        ANSWER_TIME.as_secs()
    )
}
