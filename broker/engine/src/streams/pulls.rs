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
    /// Those that do not want to wait.
    no_wait: BTreeSet<u64>,
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

    /// Whether it is over when there is nothing for it.
    pub(super) fn ends_when_dry(&self) -> bool {
        self.no_wait && (self.delivered > 0 || !self.waits)
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
        let (number, _) = self.by_number.first_key_value()?;
        let number = *number;
        Some((number, self.take(number)?))
    }

    /// Takes a request that is over when there is nothing for it.
    pub(super) fn take_impatient(&mut self) -> Option<Pull> {
        let pulls = &self.by_number;
        let is_over = |number: &&u64| pulls.get(*number).is_some_and(Pull::ends_when_dry);
        let number = self.no_wait.iter().find(is_over).copied()?;
        self.take(number)
    }

    /// Puts a request to where its number says.
    pub(super) fn put(&mut self, number: u64, pull: Pull) {
        self.by_time.insert((pull.next_due(), number));
        if pull.no_wait {
            self.no_wait.insert(number);
        }
        self.by_number.insert(number, pull);
    }

    /// Drops the requests with this reply subject.
    pub(super) fn drop_reply(&mut self, reply: &Bytes) {
        let with_reply = self
            .by_number
            .iter()
            .filter(|(_, pull)| pull.reply == *reply);
        let numbers: Vec<u64> = with_reply.map(|(number, _)| *number).collect();
        for number in numbers {
            self.take(number);
        }
    }

    /// What is due first by `now`, one thing at a time.
    pub(super) fn due(&mut self, now: Monotonic) -> Option<Due> {
        let (at, number) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        let mut pull = self.take(number)?;
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

    fn take(&mut self, number: u64) -> Option<Pull> {
        let pull = self.by_number.remove(&number)?;
        self.by_time.remove(&(pull.next_due(), number));
        self.no_wait.remove(&number);
        Some(pull)
    }
}
