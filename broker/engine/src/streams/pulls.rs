//! Pull requests that wait for messages, served in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::input::Monotonic;

/// One pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pull {
    /// Where messages and statuses go.
    pub(super) reply: Bytes,
    /// How many messages it may still get; 1 or more.
    pub(super) remaining: u64,
    /// How many bytes it may still get, if that is limited.
    pub(super) bytes_left: Option<u64>,
    /// How many messages it got.
    pub(super) delivered: u64,
    /// Not to wait for more messages than there are.
    pub(super) no_wait: bool,
    /// Whether the client said how long it waits.
    pub(super) waits: bool,
    /// When it ends.
    pub(super) ends: Monotonic,
    /// How often the client wants to hear that it is still served.
    pub(super) heartbeat: Option<Duration>,
    /// When it is told so next.
    pub(super) beat: Option<Monotonic>,
    /// The lease of what it gets, instead of the consumer's.
    pub(super) lease: Option<Duration>,
}

/// The pull requests of a consumer.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulls {
    by_number: BTreeMap<u64, Pull>,
    by_time: BTreeSet<(Monotonic, u64)>,
    numbered: u64,
}

/// What is due for a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Its time is over; it is no longer there.
    Ended(Pull),
    /// It is to be told that it is still served; the next time is set.
    Beat(Bytes),
}

impl Pull {
    /// Bytes to report as not used.
    pub(super) fn pending_bytes(&self) -> u64 {
        self.bytes_left.unwrap_or(0)
    }

    fn next_due(&self) -> Monotonic {
        self.beat.map_or(self.ends, |beat| beat.min(self.ends))
    }
}

impl Pulls {
    /// Adds a request behind all others.
    pub(super) fn push(&mut self, pull: Pull) {
        self.numbered += 1;
        self.put(self.numbered, pull);
    }

    /// Takes the request whose turn it is.
    pub(super) fn take_first(&mut self) -> Option<(u64, Pull)> {
        let (number, pull) = self.by_number.pop_first()?;
        self.by_time.remove(&(pull.next_due(), number));
        Some((number, pull))
    }

    /// Puts a request to where its number says.
    pub(super) fn put(&mut self, number: u64, pull: Pull) {
        self.by_time.insert((pull.next_due(), number));
        self.by_number.insert(number, pull);
    }

    /// Drops the requests with this reply subject.
    pub(super) fn drop_reply(&mut self, reply: &Bytes) {
        let by_time = &mut self.by_time;
        self.by_number.retain(|number, pull| {
            let stays = pull.reply != *reply;
            if !stays {
                by_time.remove(&(pull.next_due(), *number));
            }
            stays
        });
    }

    /// What is due first by `now`, one thing at a time.
    pub(super) fn due(&mut self, now: Monotonic) -> Option<Due> {
        let (at, number) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        let mut pull = self.by_number.remove(&number)?;
        if pull.ends <= now {
            return Some(Due::Ended(pull));
        }
        let reply = pull.reply.clone();
        pull.beat = pull.heartbeat.map(|every| now.after(every));
        self.put(number, pull);
        Some(Due::Beat(reply))
    }

    /// When something is due.
    pub(super) fn next_due(&self) -> Option<Monotonic> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }
}
