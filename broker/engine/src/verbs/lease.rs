//! ACK, NACK and EXTEND.

use std::time::Duration;

use relevo_protocol::convention::lease::Lease;
use relevo_protocol::jetstream::ack::AckKind;

use super::answer::{Answer, Failure};
use super::place::Place;
use super::plan::{Request, Step, outcome_unknown};

/// The plan of a verb about a lease.
#[derive(Debug)]
pub(super) struct Settle {
    lease: Lease,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Ack,
    Nack(Option<Duration>),
    Extend(Option<Duration>),
}

impl Settle {
    pub(super) const fn ack(lease: Lease) -> Self {
        Self {
            lease,
            what: What::Ack,
        }
    }

    pub(super) const fn nack(lease: Lease, delay: Option<Duration>) -> Self {
        Self {
            lease,
            what: What::Nack(delay),
        }
    }

    pub(super) const fn extend(lease: Lease, wait: Option<Duration>) -> Self {
        Self {
            lease,
            what: What::Extend(wait),
        }
    }

    pub(super) fn begin(&self) -> Request {
        let kind = match self.what {
            What::Ack => AckKind::Ack,
            What::Nack(delay) => AckKind::Nak { delay },
            What::Extend(wait) => AckKind::InProgress { wait },
        };
        Request::plain(self.lease.ack_subject().to_string(), kind.encode())
    }

    pub(super) fn answer(&self, answer: &Answer) -> Step {
        let Some(status) = answer.status() else {
            return Step::ok(match self.what {
                What::Ack => "acked",
                What::Nack(_) => "nacked",
                What::Extend(_) => "extended",
            });
        };
        let lease = &self.lease;
        match status.code {
            404 | 409 | 410 => Step::err(&format!(
                "lease {lease} is unknown or has expired; the message may have been delivered again"
            )),
            _ => Step::err(&Place::Queue(lease.queue.clone()).sentence(&Failure::Status(status))),
        }
    }

    pub(super) fn time_over(&self) -> String {
        outcome_unknown(match self.what {
            What::Ack => {
                "ACK it again: an answer that the lease is unknown means that it is done or has expired"
            }
            What::Nack(_) => "the message comes back at the latest when its lease ends",
            What::Extend(_) => "EXTEND it again, or ACK it soon",
        })
    }
}
