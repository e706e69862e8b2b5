//! When something happens by itself: leases and waits that end, delays that are over, messages that
//! are too old, consumers that nobody uses.

use std::collections::BTreeSet;
use std::time::Duration;

use relevo_protocol::identity::StreamId;
use relevo_protocol::jetstream::publish::{LAST_CONSUMER, LAST_STREAM};
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::name::ConsumerName;
use relevo_protocol::time::Timestamp;

use super::pulls::Due;
use super::{Streams, answer};
use crate::desk::{Desk, Outgoing};
use crate::input::{Monotonic, Now};

/// When what is due can not be written, or the clock is not believed, it is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// One timer for each consumer and stream that waits for something.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(Monotonic, Whose)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Consumer(StreamId, ConsumerName),
    Stream(StreamId),
}

impl Streams {
    /// The time of [`Self::next_timer`] has come.
    pub fn on_timer(&mut self, desk: &mut Desk<'_>) {
        loop {
            let Some(lead) = &mut self.lead else { return };
            match lead.timers.set.first() {
                Some((at, _)) if *at <= desk.now.monotonic => {}
                Some(_) | None => return,
            }
            match lead.timers.set.pop_first() {
                Some((_, Whose::Stream(stream))) => self.on_stream_timer(desk, stream),
                Some((_, Whose::Consumer(stream, consumer))) => {
                    self.on_consumer_timer(desk, stream, &consumer);
                }
                None => return,
            }
        }
    }

    /// When [`Self::on_timer`] is wanted.
    #[must_use]
    pub fn next_timer(&self) -> Option<Monotonic> {
        self.lead.as_ref()?.timers.set.first().map(|(at, _)| *at)
    }

    /// Sets the timer for a stream's oldest message.
    pub(super) fn plan_stream(&mut self, now: Now, id: StreamId) {
        let wall = self.read_clock(now);
        let (Some(stream), Some(lead)) = (self.state.streams.get_mut(&id), &mut self.lead) else {
            return;
        };
        let is_aging = stream.config.max_age > Duration::ZERO;
        let oldest = stream
            .messages
            .get(stream.messages.first())
            .filter(|_| is_aging);
        let due = oldest.map(|meta| {
            let ends = meta.at.saturating_add(stream.config.max_age);
            let wanted = monotonic_of(ends, now, wall);
            if wanted <= now.monotonic {
                now.monotonic.after(RETRY_AFTER)
            } else {
                wanted
            }
        });
        set(lead, &mut stream.timer, due, || Whose::Stream(id));
    }

    /// Sets the timer for whatever comes first at a consumer.
    pub(super) fn plan_consumer(&mut self, now: Now, id: StreamId, name: &ConsumerName) {
        let wall = self.read_clock(now);
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        let Some(consumer) = stream.consumers.get_mut(name) else {
            return;
        };
        let (Some(serving), Some(lead)) = (&mut consumer.serving, &mut self.lead) else {
            return;
        };
        let threshold = consumer.config.inactive_threshold;
        let may_go = !threshold.is_zero() && serving.pulls.is_empty();
        let due = [
            serving.leases.next_end(),
            serving.pulls.next_due(),
            serving
                .delayed
                .first()
                .map(|(due, _)| monotonic_of(*due, now, wall)),
            may_go.then(|| serving.idle_since.after(threshold).max(now.monotonic)),
        ];
        let due = due.into_iter().flatten().min();
        set(lead, &mut serving.timer, due, || {
            Whose::Consumer(id, name.clone())
        });
    }

    /// Takes a consumer's timer away.
    pub(super) fn forget_timer(&mut self, id: StreamId, name: &ConsumerName) {
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        let Some(consumer) = stream.consumers.get_mut(name) else {
            return;
        };
        if let (Some(serving), Some(lead)) = (&mut consumer.serving, &mut self.lead) {
            set(lead, &mut serving.timer, None, || {
                Whose::Consumer(id, name.clone())
            });
        }
    }

    /// Takes a stream's timers away.
    pub(super) fn forget_timers(&mut self, id: StreamId) {
        let Some(stream) = self.state.streams.get(&id) else {
            return;
        };
        let names: Vec<ConsumerName> = stream.consumers.keys().cloned().collect();
        for name in names {
            self.forget_timer(id, &name);
        }
        if let (Some(stream), Some(lead)) = (self.state.streams.get_mut(&id), &mut self.lead) {
            set(lead, &mut stream.timer, None, || Whose::Stream(id));
        }
    }

    fn on_stream_timer(&mut self, desk: &mut Desk<'_>, id: StreamId) {
        let wall = self.read_clock(desk.now);
        let is_steady = self
            .lead
            .as_ref()
            .is_some_and(|lead| lead.clock.is_steady());
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        stream.timer = None;
        if is_steady
            && desk.writable().is_ok()
            && let Some(oldest) = stream.oldest_kept(wall)
        {
            let first = stream
                .messages
                .from(stream.messages.first())
                .find(|meta| meta.at > oldest);
            let first = first.map_or(stream.messages.next(), |meta| meta.sequence);
            if first > stream.messages.first() {
                self.trim(desk, id, first);
                self.serve_stream(desk, id);
            }
        }
        self.plan_stream(desk.now, id);
    }

    fn on_consumer_timer(&mut self, desk: &mut Desk<'_>, id: StreamId, name: &ConsumerName) {
        let now = desk.now.monotonic;
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        let Some(consumer) = stream.consumers.get_mut(name) else {
            return;
        };
        let Some(serving) = &mut consumer.serving else {
            return;
        };
        serving.timer = None;
        while let Some(sequence) = consumer
            .serving
            .as_mut()
            .and_then(|serving| serving.leases.expire_one(now))
        {
            consumer.return_or_exhaust(sequence, &stream.extras);
        }
        self.serve(desk, id, name);
        self.end_pulls(desk, id, name);
        if self.is_unused(now, id, name) {
            let is_gone = self.remove_consumer(desk, id, name).is_ok();
            if !is_gone {
                self.touch(desk.now.monotonic, id, name);
            }
        }
        self.plan_consumer(desk.now, id, name);
    }

    fn end_pulls(&mut self, desk: &mut Desk<'_>, id: StreamId, name: &ConsumerName) {
        let now = desk.now.monotonic;
        loop {
            let Some(stream) = self.state.streams.get_mut(&id) else {
                return;
            };
            let Some(consumer) = stream.consumers.get_mut(name) else {
                return;
            };
            let delivered = consumer.delivered;
            let Some(serving) = &mut consumer.serving else {
                return;
            };
            let outgoing = match serving.pulls.due(now) {
                None => return,
                Some(Due::Ended(pull)) => {
                    serving.idle_since = now;
                    let bytes = pull.pending_bytes();
                    let status = &Status::REQUEST_TIMEOUT;
                    answer::last_status(pull.reply, status, pull.remaining, bytes)
                }
                Some(Due::Beat(reply)) => {
                    let last = delivered.consumer_sequence.to_string();
                    let last_stream = delivered.stream_sequence.to_string();
                    let headers = [(LAST_CONSUMER, &*last), (LAST_STREAM, &*last_stream)];
                    Outgoing::status(reply, Status::IDLE_HEARTBEAT.header_block(&headers).into())
                }
            };
            self.send_in_order(desk, id, name, outgoing);
        }
    }

    fn is_unused(&self, now: Monotonic, id: StreamId, name: &ConsumerName) -> bool {
        let consumer = self
            .state
            .streams
            .get(&id)
            .and_then(|stream| stream.consumers.get(name));
        consumer.is_some_and(|consumer| {
            let threshold = consumer.config.inactive_threshold;
            let serving = consumer.serving.as_ref();
            !threshold.is_zero()
                && serving.is_some_and(|serving| {
                    serving.pulls.is_empty() && serving.idle_since.after(threshold) <= now
                })
        })
    }

    /// A client uses the consumer.
    pub(super) fn touch(&mut self, now: Monotonic, id: StreamId, name: &ConsumerName) {
        let stream = self.state.streams.get_mut(&id);
        let consumer = stream.and_then(|stream| stream.consumers.get_mut(name));
        if let Some(serving) = consumer.and_then(|consumer| consumer.serving.as_mut()) {
            serving.idle_since = now;
        }
    }
}

fn set(
    lead: &mut super::Lead,
    timer: &mut Option<Monotonic>,
    due: Option<Monotonic>,
    whose: impl FnOnce() -> Whose,
) {
    if *timer == due {
        return;
    }
    let whose = whose();
    if let Some(old) = timer.take() {
        let entry = (old, whose);
        lead.timers.set.remove(&entry);
        if let Some(due) = due {
            lead.timers.set.insert((due, entry.1));
        }
    } else if let Some(due) = due {
        lead.timers.set.insert((due, whose));
    }
    *timer = due;
}

fn monotonic_of(time: Timestamp, now: Now, wall: Timestamp) -> Monotonic {
    now.monotonic.after(time.saturating_duration_since(wall))
}
