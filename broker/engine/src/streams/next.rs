//! Pull requests: CONSUMER.MSG.NEXT, and the request that may follow an acknowledgement.

use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::convention::queue::{MAX_LEASE, MIN_LEASE};
use relevo_protocol::frame::Message;
use relevo_protocol::jetstream::api::NextRequest;
use relevo_protocol::jetstream::publish::LEASE;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::name::{ConsumerName, StreamName};
use relevo_protocol::time::{format_duration, parse_duration};

use super::consumer::Consumer;
use super::pulls::Pull;
use super::{Streams, answer};
use crate::desk::Desk;
use crate::input::Monotonic;

/// How long a request waits that does not say how long.
const WAIT_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// The shortest time between heartbeats.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);

impl Streams {
    /// CONSUMER.MSG.NEXT
    pub(super) fn on_next(
        &mut self,
        desk: &mut Desk<'_>,
        stream: &StreamName,
        consumer: &ConsumerName,
        message: &Message,
    ) {
        let lease = answer::header(message, LEASE);
        self.pull(
            desk,
            (stream, consumer),
            (&message.payload, lease),
            message.reply.clone(),
        );
    }

    /// Takes a pull request with this body.
    pub(super) fn pull(
        &mut self,
        desk: &mut Desk<'_>,
        (stream, name): (&StreamName, &ConsumerName),
        (body, lease): (&[u8], Option<&str>),
        reply: Option<Bytes>,
    ) {
        let Some(reply) = reply else { return };
        let now = desk.now.monotonic;
        let id = self.state.names.get(stream).copied();
        let stream = id.and_then(|id| self.state.streams.get_mut(&id));
        let consumer = stream.and_then(|stream| stream.consumers.get_mut(name));
        let (Some(id), Some(consumer)) = (id, consumer) else {
            return desk.send(answer::status(reply, &Status::NO_RESPONDERS));
        };
        let is_durable = consumer.is_durable();
        let taken = read(consumer, body, lease, reply.clone(), now).and_then(|pull| {
            match (desk.writable(), is_durable) {
                (Err(why), true) => Err(answer::status_of(&answer::unwritable(why))),
                (Ok(()) | Err(_), _) => Ok(pull),
            }
        });
        let Some(serving) = &mut consumer.serving else {
            return;
        };
        serving.idle_since = now;
        match taken {
            Ok(pull) => {
                serving.pulls.push(pull);
                self.serve(desk, id, name);
            }
            Err(status) => desk.send(answer::status(reply, &status)),
        }
    }
}

/// Reads a pull request; the error is the status that answers it.
fn read(
    consumer: &Consumer,
    body: &[u8],
    lease: Option<&str>,
    reply: Bytes,
    now: Monotonic,
) -> Result<Pull, Status> {
    let request = NextRequest::decode(body)?;
    let config = &consumer.config;
    let asks_for_groups = !request.group.is_empty()
        || request.id.is_some()
        || request.min_pending > 0
        || request.min_ack_pending > 0
        || request.priority > 0;
    if asks_for_groups {
        return Err(answer::bad_request(
            "priority groups are not supported by this server",
        ));
    }
    let above =
        |value: u64, limit: i64| u64::try_from(limit).is_ok_and(|limit| limit > 0 && value > limit);
    if above(request.batch, config.max_batch) {
        return Err(Status::exceeded_max_request_batch(config.max_batch));
    }
    if above(request.max_bytes, config.max_bytes) {
        return Err(Status::exceeded_max_request_max_bytes(config.max_bytes));
    }
    if !config.max_expires.is_zero() && request.expires > config.max_expires {
        return Err(Status::exceeded_max_request_expires(config.max_expires));
    }
    let heartbeat = Some(request.idle_heartbeat).filter(|every| !every.is_zero());
    if heartbeat.is_some_and(|every| every < HEARTBEAT_MIN) {
        return Err(answer::bad_request(
            "heartbeat value too small, use 100ms or more",
        ));
    }
    let waiting = consumer
        .serving
        .as_ref()
        .map_or(0, |serving| serving.pulls.len());
    if usize::try_from(config.max_waiting).is_ok_and(|limit| waiting >= limit) {
        return Err(Status::EXCEEDED_MAX_WAITING);
    }
    let waits = !request.expires.is_zero();
    let wait = if waits { request.expires } else { WAIT_DEFAULT };
    Ok(Pull {
        reply,
        remaining: request.batch.max(1),
        bytes_left: Some(request.max_bytes).filter(|bytes| *bytes > 0),
        delivered: 0,
        no_wait: request.no_wait,
        waits,
        ends: now.after(wait),
        heartbeat,
        beat: heartbeat.map(|every| now.after(every)),
        lease: lease.map(read_lease).transpose()?,
    })
}

fn read_lease(text: &str) -> Result<Duration, Status> {
    match parse_duration(text) {
        Ok(lease) if (MIN_LEASE..=MAX_LEASE).contains(&lease) => Ok(lease),
        Ok(_) => Err(answer::bad_request(&format!(
            "Relevo-Lease must be between {} and {}",
            format_duration(MIN_LEASE),
            format_duration(MAX_LEASE)
        ))),
        Err(error) => Err(answer::bad_request(&format!("Relevo-Lease: {error}"))),
    }
}
