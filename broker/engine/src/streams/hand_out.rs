//! Who gets which message: waiting pull requests are served in the order in which they came, each as
//! far as it goes.
//!
//! What is handed out of a durable consumer stands in the log before it leaves. Messages leave in the
//! order in which they were handed out, also where some bodies have to be read from the log first.

use bytes::Bytes;
use relevo_protocol::frame::Message;
use relevo_protocol::headers::{HeaderBlock, HeaderBuilder};
use relevo_protocol::identity::{Position, StreamId};
use relevo_protocol::jetstream::ack::AckSubject;
use relevo_protocol::jetstream::publish::MSG_SIZE;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::mutation::{Delivery, Mutation};
use relevo_protocol::name::ConsumerName;

use super::Streams;
use super::answer;
use super::consumer::{Candidate, Consumer};
use super::get::Read;
use super::leases::Lease;
use super::pulls::Pull;
use super::recent::Stored;
use super::serving::{Item, Serving};
use crate::desk::{Desk, Outgoing};
use crate::input::{DeliveryId, Monotonic};

/// Most messages in one hand-out, which is one record of the log.
const HAND_OUT_MAX: usize = 256;

/// Why a hand-out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The request got all it asked for, or the hand-out is as large as it may be.
    Full,
    /// Nothing more can be handed out now.
    Dry,
    /// The next message is larger than what the request allows.
    TooLarge,
}

impl Streams {
    /// Serves every consumer of a stream as far as it goes.
    pub(super) fn serve_stream(&mut self, desk: &mut Desk<'_>, id: StreamId) {
        let Some(stream) = self.state.streams.get(&id) else {
            return;
        };
        let is_waited_for = |consumer: &&Consumer| {
            consumer
                .serving
                .as_ref()
                .is_some_and(|serving| !serving.pulls.is_empty() || !serving.delayed.is_empty())
        };
        let waiting = stream.consumers.values().filter(is_waited_for);
        let names: Vec<ConsumerName> = waiting.map(|consumer| consumer.name.clone()).collect();
        for name in names {
            self.serve(desk, id, &name);
        }
        self.plan_stream(desk.now, id);
    }

    /// Serves a consumer as far as it goes.
    pub(super) fn serve(&mut self, desk: &mut Desk<'_>, id: StreamId, name: &ConsumerName) {
        while self.serve_first_pull(desk, id, name) {}
        self.plan_consumer(desk.now, id, name);
    }

    /// Serves the first pull request; true when another step may do more.
    fn serve_first_pull(&mut self, desk: &mut Desk<'_>, id: StreamId, name: &ConsumerName) -> bool {
        let wall = self.read_clock(desk.now);
        let (Some(lead), Some(stream)) = (&self.lead, self.state.streams.get_mut(&id)) else {
            return false;
        };
        let Some(consumer) = stream.consumers.get_mut(name) else {
            return false;
        };
        let is_durable = consumer.is_durable();
        let Some(serving) = &mut consumer.serving else {
            return false;
        };
        serving.promote(wall, &stream.extras);
        if !serving.lane.has_room() || (is_durable && desk.writable().is_err()) {
            return false;
        }
        let Some((number, mut pull)) = serving.pulls.take_first() else {
            return false;
        };
        let mut picked: Vec<Candidate> = Vec::new();
        let mut new_count = 0;
        let stop = loop {
            if pull.remaining == 0 || picked.len() >= HAND_OUT_MAX {
                break Stop::Full;
            }
            let next = consumer.next_candidate(&stream.messages, &stream.extras, new_count);
            let Some(candidate) = next else {
                break Stop::Dry;
            };
            let sequence = candidate.meta.sequence;
            let may_leave =
                sequence <= stream.visible_last || (is_durable && lead.recent.has(id, sequence));
            if !may_leave {
                break Stop::Dry;
            }
            let size = u64::from(candidate.meta.size);
            match &mut pull.bytes_left {
                Some(left) if *left < size => break Stop::TooLarge,
                Some(left) => *left -= size,
                None => {}
            }
            consumer.take(&candidate);
            new_count += u64::from(candidate.count == 1);
            pull.remaining -= 1;
            pull.delivered += 1;
            picked.push(candidate);
        };
        if !picked.is_empty() && !self.hand_out(desk, (id, name), &picked, &pull) {
            return false;
        }
        if !picked.is_empty() {
            pull.beat = pull.heartbeat.map(|every| desk.now.monotonic.after(every));
        }
        self.settle_pull(desk, (id, name), (number, pull), stop)
    }

    /// What becomes of a pull request after a hand-out; true when another step may do more.
    fn settle_pull(
        &mut self,
        desk: &mut Desk<'_>,
        (id, name): (StreamId, &ConsumerName),
        (number, pull): (u64, Pull),
        stop: Stop,
    ) -> bool {
        let is_over = match stop {
            Stop::Full => pull.remaining == 0,
            Stop::TooLarge => true,
            Stop::Dry => pull.ends_when_dry(),
        };
        if is_over {
            self.end_pull(desk, (id, name), pull, stop);
            return true;
        }
        let Some(serving) = self.serving(id, name) else {
            return false;
        };
        serving.pulls.put(number, pull);
        if stop == Stop::Dry {
            while let Some(pull) = self
                .serving(id, name)
                .and_then(|serving| serving.pulls.take_impatient())
            {
                self.end_pull(desk, (id, name), pull, Stop::Dry);
            }
        }
        stop == Stop::Full
    }

    /// Tells a client that its pull request is over, where it can not know that by itself.
    fn end_pull(
        &mut self,
        desk: &mut Desk<'_>,
        (id, name): (StreamId, &ConsumerName),
        pull: Pull,
        stop: Stop,
    ) {
        let status = match stop {
            Stop::Full => pull.bytes_left.map(|_| Status::BATCH_COMPLETED),
            Stop::TooLarge => Some(Status::MESSAGE_SIZE_EXCEEDS_MAX_BYTES),
            Stop::Dry if pull.delivered > 0 => Some(Status::REQUEST_TIMEOUT),
            Stop::Dry => Some(Status::NO_MESSAGES),
        };
        if let Some(status) = status {
            let bytes = pull.pending_bytes();
            let outgoing = if status == Status::NO_MESSAGES {
                answer::status(pull.reply, &status)
            } else {
                answer::last_status(pull.reply, &status, pull.remaining, bytes)
            };
            self.send_in_order(desk, id, name, outgoing);
        }
        self.touch(desk.now.monotonic, id, name);
    }

    /// Writes down who gets what and sends it; false when it could not be written.
    fn hand_out(
        &mut self,
        desk: &mut Desk<'_>,
        (id, name): (StreamId, &ConsumerName),
        picked: &[Candidate],
        pull: &Pull,
    ) -> bool {
        let at = self.stamp(desk.now);
        let Some(consumer) = self.consumer(id, name) else {
            return false;
        };
        let is_durable = consumer.is_durable();
        let before = consumer.delivered.consumer_sequence;
        let deliveries: Vec<Delivery> = picked
            .iter()
            .zip(before + 1..)
            .map(|(candidate, consumer_sequence)| Delivery {
                stream_sequence: candidate.meta.sequence,
                consumer_sequence,
                count: candidate.count,
            })
            .collect();
        let position = if is_durable {
            let mutation = Mutation::Delivered {
                stream: id,
                consumer: name.clone(),
                at,
                deliveries: deliveries.clone(),
            };
            match self.decide(desk, &mutation) {
                Ok(position) => Some(position),
                Err(_) => return false,
            }
        } else {
            let now = Some(desk.now.monotonic);
            match self.state.deliver(id, name, at, &deliveries, now) {
                Ok(()) => None,
                Err(_) => return false,
            }
        };
        self.mark_leases(desk.now.monotonic, (id, name), &deliveries, pull);
        let fresh_after = self.consumer(id, name).map_or(0, |consumer| consumer.fresh);
        let mut new_left = picked
            .iter()
            .filter(|candidate| candidate.count == 1)
            .count() as u64;
        for (candidate, delivery) in picked.iter().zip(&deliveries) {
            new_left -= u64::from(candidate.count == 1);
            self.emit(
                desk,
                (id, name),
                (candidate, delivery, fresh_after + new_left),
                (position, pull),
            );
        }
        true
    }

    /// Notes for which request the leases are, and their length where the request asks for another.
    fn mark_leases(
        &mut self,
        now: Monotonic,
        (id, name): (StreamId, &ConsumerName),
        deliveries: &[Delivery],
        pull: &Pull,
    ) {
        let stream = self.state.streams.get_mut(&id);
        let consumer = stream.and_then(|stream| stream.consumers.get_mut(name));
        let Some(serving) = consumer.and_then(|consumer| consumer.serving.as_mut()) else {
            return;
        };
        for delivery in deliveries {
            let sequence = delivery.stream_sequence;
            match pull
                .lease
                .filter(|_| serving.leases.get(sequence).is_some())
            {
                None => serving.leases.note_reply(sequence, &pull.reply),
                Some(full) => {
                    let reply = pull.reply.clone();
                    let until = now.after(full);
                    let lease = Lease {
                        until,
                        full,
                        held: true,
                        reply,
                    };
                    serving.leases.set(sequence, lease);
                }
            }
        }
    }

    fn emit(
        &mut self,
        desk: &mut Desk<'_>,
        (id, name): (StreamId, &ConsumerName),
        (candidate, delivery, pending): (&Candidate, &Delivery, u64),
        (position, pull): (Option<Position>, &Pull),
    ) {
        let (Some(stream), Some(lead)) = (self.state.streams.get_mut(&id), &mut self.lead) else {
            return;
        };
        let Some(subject) = stream.subjects.get(candidate.meta.subject) else {
            return;
        };
        let shown_subject = Bytes::copy_from_slice(subject.subject.as_str().as_bytes());
        let Some(consumer) = stream.consumers.get_mut(name) else {
            return;
        };
        let sequence = candidate.meta.sequence;
        let ack = AckSubject {
            stream: stream.name.clone(),
            consumer: name.clone(),
            delivered: u64::from(delivery.count),
            stream_seq: sequence,
            consumer_seq: delivery.consumer_sequence,
            timestamp: candidate.meta.at,
            pending,
        };
        let delivery_id = consumer.waits_for_acks().then(|| DeliveryId {
            stream: id,
            consumer: name.clone(),
            stream_sequence: sequence,
            count: delivery.count,
        });
        let mut outgoing = Outgoing {
            message: Message {
                subject: pull.reply.clone(),
                reply: Some(ack.to_string().into()),
                headers: Bytes::new(),
                payload: Bytes::new(),
            },
            shown_subject: Some(shown_subject),
            delivery: delivery_id,
        };
        let headers_only = consumer.config.headers_only;
        let Some(serving) = &mut consumer.serving else {
            return;
        };
        let stored = lead.recent.get(id, sequence);
        if let Some(stored) = &stored {
            fill(&mut outgoing, stored, headers_only);
        }
        let waits_for = stored.is_none().then_some(sequence);
        if waits_for.is_none() && serving.lane.is_empty() {
            return serving.leave(desk, position, outgoing);
        }
        let is_asked_for = serving.lane.waiting_for(sequence).next().is_some();
        serving.lane.push(Item {
            position,
            outgoing,
            waits_for,
            size: u64::from(candidate.meta.size),
        });
        if waits_for.is_some() && !is_asked_for {
            let read = Read::Delivery {
                stream: id,
                consumer: name.clone(),
                sequence,
            };
            let ticket = lead.reads.begin(read);
            desk.read_message(ticket, id.0, sequence);
        }
    }

    /// The body of a message that was handed out has arrived, or is gone.
    pub(super) fn on_body(
        &mut self,
        desk: &mut Desk<'_>,
        (id, name): (StreamId, &ConsumerName),
        sequence: u64,
        stored: Option<&Stored>,
    ) {
        let stream = self.state.streams.get_mut(&id);
        let Some(consumer) = stream.and_then(|stream| stream.consumers.get_mut(name)) else {
            return;
        };
        let headers_only = consumer.config.headers_only;
        let Some(serving) = &mut consumer.serving else {
            return;
        };
        match stored {
            Some(stored) => {
                for item in serving.lane.waiting_for(sequence) {
                    fill(&mut item.outgoing, stored, headers_only);
                    item.waits_for = None;
                }
            }
            None => serving.lane.drop_waiting_for(sequence),
        }
        while let Some(item) = serving.lane.pop_ready() {
            serving.leave(desk, item.position, item.outgoing);
        }
        self.serve(desk, id, name);
    }

    /// Sends something to a client of a consumer, behind whatever was handed out before.
    pub(super) fn send_in_order(
        &mut self,
        desk: &mut Desk<'_>,
        id: StreamId,
        name: &ConsumerName,
        outgoing: Outgoing,
    ) {
        let stream = self.state.streams.get_mut(&id);
        let consumer = stream.and_then(|stream| stream.consumers.get_mut(name));
        let Some(consumer) = consumer else { return };
        let Some(serving) = &mut consumer.serving else {
            return;
        };
        if serving.lane.is_empty() {
            serving.leave(desk, None, outgoing);
        } else {
            serving.lane.push(Item {
                position: None,
                outgoing,
                waits_for: None,
                size: 0,
            });
        }
    }

    /// A delivery found nobody; the message is to be delivered again at once.
    pub fn on_undelivered(&mut self, desk: &mut Desk<'_>, id: DeliveryId) {
        let Some(stream) = self.state.streams.get_mut(&id.stream) else {
            return;
        };
        let Some(consumer) = stream.consumers.get_mut(&id.consumer) else {
            return;
        };
        let sequence = id.stream_sequence;
        let is_current = consumer
            .pending
            .get(&sequence)
            .is_some_and(|pending| pending.count == id.count);
        let Some(serving) = &mut consumer.serving else {
            return;
        };
        let is_held = serving.leases.get(sequence).is_some_and(|lease| lease.held);
        if !is_current || !is_held {
            return;
        }
        if let Some(lease) = serving.leases.remove(sequence) {
            serving.pulls.drop_reply(&lease.reply);
        }
        serving.again.insert(stream.extras.rank(sequence));
        self.serve(desk, id.stream, &id.consumer);
    }

    /// What a leader knows of a consumer.
    pub(super) fn serving(&mut self, id: StreamId, name: &ConsumerName) -> Option<&mut Serving> {
        let consumer = self.state.streams.get_mut(&id)?.consumers.get_mut(name)?;
        consumer.serving.as_deref_mut()
    }

    /// A consumer.
    pub(super) fn consumer(&self, id: StreamId, name: &ConsumerName) -> Option<&Consumer> {
        self.state.streams.get(&id)?.consumers.get(name)
    }
}

fn fill(outgoing: &mut Outgoing, stored: &Stored, headers_only: bool) {
    if headers_only {
        outgoing.message.headers = with_size(&stored.headers, stored.payload.len());
    } else {
        outgoing.message.headers = stored.headers.clone();
        outgoing.message.payload = stored.payload.clone();
    }
}

/// The headers of a message whose payload is left out, with the payload's size.
fn with_size(headers: &[u8], payload_len: usize) -> Bytes {
    let mut builder = HeaderBuilder::new();
    // Headers that were stored are valid; where there is no room for one more, the size is left out.
    if let Ok(block) = HeaderBlock::parse(headers) {
        let _ = builder.append_block(&block, |name| name != MSG_SIZE);
    }
    let _ = builder.append(MSG_SIZE, &payload_len.to_string());
    builder.finish()
}
