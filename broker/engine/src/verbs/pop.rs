//! POP.
//!
//! One pull request with `no_wait`: it ends as soon as something was delivered and nothing more is there, or, with
//! `expires`, when nothing came in that time. Messages are shown together, since the answer begins with their number.

use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::convention::lease::Lease;
use relevo_protocol::convention::queue;
use relevo_protocol::encode;
use relevo_protocol::headers::HeaderBuilder;
use relevo_protocol::jetstream::api::NextRequest;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::publish::LEASE;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::name::QueueName;
use relevo_protocol::time::format_duration;

use super::answer::{Answer, Failure};
use super::place::Place;
use super::plan::{Request, Step, outcome_unknown, refused};

/// The plan of POP.
#[derive(Debug)]
pub(super) struct Pop {
    queue: QueueName,
    wait: Duration,
    max: u32,
    lease: Option<Duration>,
    max_bytes: usize,
    messages: Vec<(Lease, Bytes)>,
    bytes: usize,
}

impl Pop {
    /// `max_bytes` bounds what is gathered; a message that is larger by itself is still popped alone.
    pub(super) const fn new(
        queue: QueueName,
        wait: Duration,
        max: u32,
        lease: Option<Duration>,
        max_bytes: usize,
    ) -> Self {
        Self {
            queue,
            wait,
            max,
            lease,
            max_bytes,
            messages: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) const fn wait(&self) -> Duration {
        self.wait
    }

    pub(super) fn begin(&self) -> Request {
        let endpoint = Endpoint::MsgNext(queue::stream_name(&self.queue), queue::workers());
        let next = NextRequest {
            expires: self.wait,
            batch: self.max.into(),
            max_bytes: self.max_bytes as u64,
            no_wait: true,
            ..NextRequest::default()
        };
        Request::new(
            endpoint.subject(),
            self.headers(),
            json::encode(&next).into(),
        )
    }

    pub(super) fn answer(&mut self, answer: Answer) -> Step {
        // Looked at before the status: a publisher may have put anything into the headers.
        let Some(lease) = answer.delivery().as_ref().and_then(Lease::from_ack) else {
            return answer
                .status()
                .map_or(Step::Wait, |status| self.ended(status));
        };
        self.bytes += answer.payload.len();
        self.messages.push((lease, answer.payload));
        let is_full = self.messages.len() >= self.max as usize || self.bytes >= self.max_bytes;
        if is_full {
            Step::Done(self.shown())
        } else {
            Step::Wait
        }
    }

    fn ended(&self, status: Status) -> Step {
        match status.code {
            100 => Step::Wait,
            404 | 408 => Step::Done(self.shown()),
            _ if !self.messages.is_empty() => Step::Done(self.shown()),
            _ => Step::err(&Place::Queue(self.queue.clone()).sentence(&Failure::Status(status))),
        }
    }

    /// What was popped must be shown, or nobody could acknowledge it.
    pub(super) fn time_over(&mut self) -> Vec<u8> {
        if !self.messages.is_empty() {
            return self.shown();
        }
        refused(&outcome_unknown(
            "POP again; a message that was leased meanwhile comes back when its lease ends",
        ))
    }

    fn headers(&self) -> Bytes {
        self.lease.map_or_else(Bytes::new, |lease| {
            let mut block = HeaderBuilder::new();
            block
                .append(LEASE, &format_duration(lease))
                .expect("a duration has no line end");
            block.finish()
        })
    }

    fn shown(&self) -> Vec<u8> {
        let mut answer = Vec::new();
        encode::answer(&mut answer, &self.messages.len().to_string());
        for (lease, payload) in &self.messages {
            encode::verb_message(
                &mut answer,
                self.queue.as_str(),
                &lease.to_string(),
                payload,
            );
        }
        answer
    }
}
