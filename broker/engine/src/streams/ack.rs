//! What workers say about messages that they were given.
//!
//! On an ordinary stream any acknowledgement of a message that is pending counts, as in nats-server,
//! also one of an earlier delivery. On a queue the lease is strict: it must be the last delivery, and
//! its time must not be over, so that nobody acknowledges what another worker holds. The time of the
//! message in the ack subject tells it from one of the same sequence in a queue of the same name that
//! was deleted; a lease as people type it has none, and is told by its numbers alone.

use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::convention::queue::MAX_LEASE;
use relevo_protocol::frame::Message;
use relevo_protocol::identity::{Position, StreamId};
use relevo_protocol::jetstream::ack::{AckKind, AckSubject};
use relevo_protocol::jetstream::consumer::AckPolicy;
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::mutation::{LIST_LEN_MAX, Mutation};
use relevo_protocol::name::ConsumerName;
use relevo_protocol::time::Timestamp;

use super::leases::Lease;
use super::{Streams, answer};
use crate::desk::{Desk, Outgoing};
use crate::input::Monotonic;

/// Answers what refers to a lease that is not there, or no more.
const LEASE_EXPIRED: Status = Status {
    code: 409,
    description: std::borrow::Cow::Borrowed("Lease Expired"),
};

impl Streams {
    /// Something was published to an ack subject.
    pub fn on_ack(&mut self, desk: &mut Desk<'_>, message: Message) {
        let Message {
            subject,
            reply,
            payload,
            ..
        } = message;
        let refuse = |desk: &mut Desk<'_>, reply: Option<Bytes>, status: &Status| {
            if let Some(reply) = reply {
                desk.send(answer::status(reply, status));
            }
        };
        if self.lead.is_none() {
            return refuse(desk, reply, &answer::status_of(&JetStreamError::PeerAway));
        }
        let parsed = std::str::from_utf8(&subject)
            .ok()
            .and_then(|text| AckSubject::parse(text).ok());
        let Some(ack) = parsed else {
            return refuse(desk, reply, &answer::bad_request("not an ack subject"));
        };
        let kind = match AckKind::parse(&payload) {
            Ok(kind) => kind,
            Err(error) => return refuse(desk, reply, &answer::bad_request(&error.to_string())),
        };
        let holder = self.holder(&ack, desk.now.monotonic);
        let Some(id) = holder.filter(|id| ends_work(&kind) || !self.is_given_up(*id, &ack)) else {
            return refuse(desk, reply, &LEASE_EXPIRED);
        };
        self.touch(desk.now.monotonic, id, &ack.consumer);
        match kind {
            AckKind::Ack => self.finish(desk, id, &ack, reply),
            AckKind::Term { reason: _ } => self.finish_one(desk, id, &ack, reply),
            AckKind::Nak { delay } => self.give_back(desk, (id, &ack), delay, reply),
            AckKind::InProgress { wait } => self.extend(desk, (id, &ack), wait, reply),
            AckKind::Next { request } => {
                self.finish(desk, id, &ack, None);
                let target = (&ack.stream, &ack.consumer);
                self.pull(desk, target, (&request, None), reply);
            }
        }
    }

    /// The stream in which the acknowledgement counts.
    fn holder(&self, ack: &AckSubject, now: Monotonic) -> Option<StreamId> {
        let stream = self.state.by_name(&ack.stream)?;
        let consumer = stream.consumers.get(&ack.consumer)?;
        let sequence = ack.stream_seq;
        if !stream.is_queue {
            let counts = match consumer.config.ack_policy {
                AckPolicy::All => consumer.pending.range(..=sequence).next().is_some(),
                AckPolicy::Explicit => consumer.pending.contains_key(&sequence),
                AckPolicy::None | AckPolicy::FlowControl => false,
            };
            return counts.then_some(stream.id);
        }
        let pending = consumer.pending.get(&sequence)?;
        let lease = consumer.serving.as_ref()?.leases.get(sequence)?;
        let is_same_message = ack.timestamp == Timestamp::UNIX_EPOCH
            || stream.messages.get(sequence)?.at == ack.timestamp;
        // Only the first delivery's number is kept; a later one is higher.
        let is_same_delivery = u64::from(pending.count) == ack.delivered
            && if pending.count == 1 {
                ack.consumer_seq == pending.consumer_sequence
            } else {
                ack.consumer_seq > pending.consumer_sequence
            };
        let is_same = is_same_message && is_same_delivery;
        (is_same && lease.held && now < lease.until).then_some(stream.id)
    }

    /// Whether the message was delivered as often as allowed, and no worker has it.
    fn is_given_up(&self, id: StreamId, ack: &AckSubject) -> bool {
        let serving = self
            .consumer(id, &ack.consumer)
            .and_then(|own| own.serving.as_ref());
        serving.is_some_and(|serving| serving.exhausted.contains(&ack.stream_seq))
    }

    fn finish(
        &mut self,
        desk: &mut Desk<'_>,
        id: StreamId,
        ack: &AckSubject,
        reply: Option<Bytes>,
    ) {
        let Some(consumer) = self.consumer(id, &ack.consumer) else {
            return;
        };
        if consumer.config.ack_policy != AckPolicy::All {
            return self.finish_one(desk, id, ack, reply);
        }
        let up_to = consumer.pending.range(..=ack.stream_seq);
        let sequences: Vec<u64> = up_to.map(|(sequence, _)| *sequence).collect();
        let mut outcome = Ok(None);
        for some in sequences.chunks(LIST_LEN_MAX) {
            outcome = self.acknowledge(desk, id, &ack.consumer, some.to_vec());
            if outcome.is_err() {
                break;
            }
        }
        self.answer_ack(desk, (id, &ack.consumer), outcome, reply);
    }

    fn finish_one(
        &mut self,
        desk: &mut Desk<'_>,
        id: StreamId,
        ack: &AckSubject,
        reply: Option<Bytes>,
    ) {
        let is_pending = self
            .consumer(id, &ack.consumer)
            .is_some_and(|consumer| consumer.pending.contains_key(&ack.stream_seq));
        let sequences = if is_pending {
            vec![ack.stream_seq]
        } else {
            Vec::new()
        };
        let outcome = self.acknowledge(desk, id, &ack.consumer, sequences);
        self.answer_ack(desk, (id, &ack.consumer), outcome, reply);
    }

    fn acknowledge(
        &mut self,
        desk: &mut Desk<'_>,
        id: StreamId,
        name: &ConsumerName,
        sequences: Vec<u64>,
    ) -> Result<Option<Position>, JetStreamError> {
        if sequences.is_empty() {
            return Ok(Some(desk.end()));
        }
        let Some(stream) = self.state.streams.get(&id) else {
            return Ok(None);
        };
        let is_durable = stream
            .consumers
            .get(name)
            .is_some_and(|consumer| consumer.is_durable());
        if is_durable {
            let mutation = Mutation::Acked {
                stream: id,
                consumer: name.clone(),
                sequences,
            };
            return self.decide(desk, &mutation).map(Some);
        }
        if stream.is_work_queue() {
            return self
                .decide(
                    desk,
                    &Mutation::Remove {
                        stream: id,
                        sequences,
                    },
                )
                .map(Some);
        }
        // Only pending sequences are listed, so this can not fail.
        let _ = self.state.acknowledge(id, name, &sequences);
        Ok(None)
    }

    fn answer_ack(
        &mut self,
        desk: &mut Desk<'_>,
        (id, name): (StreamId, &ConsumerName),
        outcome: Result<Option<Position>, JetStreamError>,
        reply: Option<Bytes>,
    ) {
        if let Some(reply) = reply {
            match outcome {
                Ok(Some(position)) => {
                    desk.send_after(position, Outgoing::answer(reply, Bytes::new()));
                }
                Ok(None) => desk.send(Outgoing::answer(reply, Bytes::new())),
                Err(error) => desk.send(answer::status(reply, &answer::status_of(&error))),
            }
        }
        self.serve(desk, id, name);
        self.serve_stream(desk, id);
    }

    fn give_back(
        &mut self,
        desk: &mut Desk<'_>,
        (id, ack): (StreamId, &AckSubject),
        delay: Option<Duration>,
        reply: Option<Bytes>,
    ) {
        let sequence = ack.stream_seq;
        let now = desk.now.monotonic;
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        let Some(consumer) = stream.consumers.get_mut(&ack.consumer) else {
            return;
        };
        let Some(serving) = &mut consumer.serving else {
            return;
        };
        let lease = serving.leases.remove(sequence);
        match delay.filter(|delay| !delay.is_zero()) {
            None => consumer.return_or_exhaust(sequence, &stream.extras),
            Some(delay) if consumer.pending.contains_key(&sequence) => {
                serving.again.remove(&stream.extras.rank(sequence));
                let full = lease.map_or(Duration::ZERO, |lease| lease.full);
                let until = now.after(delay.min(MAX_LEASE));
                let waiting = Lease {
                    until,
                    full,
                    held: false,
                    reply: Bytes::new(),
                };
                serving.leases.set(sequence, waiting);
            }
            Some(_) => {}
        }
        if let Some(reply) = reply {
            desk.send(Outgoing::answer(reply, Bytes::new()));
        }
        self.serve(desk, id, &ack.consumer);
    }

    fn extend(
        &mut self,
        desk: &mut Desk<'_>,
        (id, ack): (StreamId, &AckSubject),
        wait: Option<Duration>,
        reply: Option<Bytes>,
    ) {
        let sequence = ack.stream_seq;
        let now = desk.now.monotonic;
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        let Some(consumer) = stream.consumers.get_mut(&ack.consumer) else {
            return;
        };
        if let Some(pending) = consumer.pending.get(&sequence) {
            let default = consumer.lease_of(pending.count);
            let Some(serving) = &mut consumer.serving else {
                return;
            };
            let (full, holder) = match serving.leases.remove(sequence) {
                Some(lease) if !lease.full.is_zero() => (lease.full, lease.reply),
                Some(_) | None => (default, Bytes::new()),
            };
            serving.again.remove(&stream.extras.rank(sequence));
            let until = now.after(wait.unwrap_or(full).min(MAX_LEASE));
            serving.leases.set(
                sequence,
                Lease {
                    until,
                    full,
                    held: true,
                    reply: holder,
                },
            );
        }
        if let Some(reply) = reply {
            desk.send(Outgoing::answer(reply, Bytes::new()));
        }
        self.plan_consumer(desk.now, id, &ack.consumer);
    }
}

/// Whether the worker is done with the message.
const fn ends_work(kind: &AckKind) -> bool {
    match kind {
        AckKind::Ack | AckKind::Term { .. } | AckKind::Next { .. } => true,
        AckKind::Nak { .. } | AckKind::InProgress { .. } => false,
    }
}
