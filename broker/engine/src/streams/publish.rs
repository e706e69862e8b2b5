//! Whether a message is stored, and which ones go for it.

use bytes::Bytes;
use relevo_protocol::frame::Message;
use relevo_protocol::headers::HeaderBlock;
use relevo_protocol::identity::StreamId;
use relevo_protocol::jetstream::api::API_LEVEL;
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::pub_ack::{PubAck, encode_refusal};
use relevo_protocol::jetstream::publish::PublishOptions;
use relevo_protocol::jetstream::stream::DiscardPolicy;
use relevo_protocol::mutation::{MESSAGE_LEN_MAX, Mutation, Publish};
use relevo_protocol::name::StreamName;
use relevo_protocol::subject::{SubjectFilter, SubjectRef};
use relevo_protocol::time::Timestamp;

use super::stream::Stream;
use super::{ROUTES_MAX, Streams, answer};
use crate::desk::{Desk, Outgoing};

/// Most messages that one publish removes for its subject's limit.
const REMOVED_PER_PUBLISH_MAX: usize = 1024;

/// Headers that ask a stream for something that is not built, and how nats-server refuses them where
/// the stream does not allow them.
const NOT_SERVED: [(&str, JetStreamError); 6] = [
    ("Nats-TTL", JetStreamError::MessageTtlDisabled),
    ("Nats-Schedule", JetStreamError::SchedulesDisabled),
    ("Nats-Batch-Id", JetStreamError::AtomicPublishDisabled),
    ("Nats-Batch-Sequence", JetStreamError::AtomicPublishDisabled),
    ("Nats-Batch-Commit", JetStreamError::AtomicPublishDisabled),
    ("Nats-Incr", JetStreamError::CountersDisabled),
];

/// What a publish comes to.
enum Verdict {
    /// It is stored.
    Store,
    /// Its id was seen before, with the message of this sequence.
    Duplicate(u64),
}

impl Streams {
    /// A message was published to a subject of one of the streams.
    pub fn on_publish(&mut self, desk: &mut Desk<'_>, message: Message) {
        let Some(id) = self.stream_taking(&message.subject) else {
            return self.refuse_without_stream(desk, &message);
        };
        let now = self.stamp(desk.now);
        let Some(stream) = self.state.streams.get(&id) else {
            return;
        };
        let name = stream.name.clone();
        let reply = if stream.config.no_ack {
            None
        } else {
            message.reply.clone()
        };
        let verdict = desk
            .writable()
            .map_err(answer::unwritable)
            .and_then(|()| judge(stream, &message, now));
        let stored = match verdict {
            Err(error) => Err(error),
            Ok(Verdict::Duplicate(seq)) => {
                let ack = PubAck {
                    duplicate: true,
                    ..PubAck::stored(name, seq)
                };
                if let Some(reply) = reply {
                    desk.send_after(desk.end(), Outgoing::answer(reply, ack.encode().into()));
                }
                return;
            }
            Ok(Verdict::Store) => self.store(desk, id, message, now),
        };
        match (stored, reply) {
            (Ok((position, seq)), Some(reply)) => {
                let ack = PubAck::stored(name, seq).encode();
                desk.send_after(position, Outgoing::answer(reply, ack.into()));
            }
            (Err(error), Some(reply)) => send_refusal(desk, reply, &name, error),
            (Ok(_) | Err(_), None) => {}
        }
        self.serve_stream(desk, id);
    }

    fn store(
        &mut self,
        desk: &mut Desk<'_>,
        stream: StreamId,
        message: Message,
        at: Timestamp,
    ) -> Result<(relevo_protocol::identity::Position, u64), JetStreamError> {
        let sequence = self
            .state
            .streams
            .get(&stream)
            .map_or(0, |stream| stream.messages.next());
        let Message {
            subject,
            headers,
            payload,
            ..
        } = message;
        let publish = Publish {
            stream,
            sequence,
            at,
            subject,
            headers,
            payload,
        };
        let mutation = Mutation::Publish(publish);
        let position = self.decide(desk, &mutation)?;
        if let (Some(lead), Mutation::Publish(publish)) = (&mut self.lead, &mutation) {
            lead.recent.insert(stream, sequence, desk.last_body());
            self.enforce_limits(desk, stream, &publish.subject);
        }
        self.plan_stream(desk.now, stream);
        Ok((position, sequence))
    }

    /// Removes what a new message leaves no room for. Follows the message in the log: no prefix of it
    /// lacks both.
    fn enforce_limits(&mut self, desk: &mut Desk<'_>, id: StreamId, subject: &[u8]) {
        let Some(stream) = self.state.streams.get_mut(&id) else {
            return;
        };
        if let Ok(subject) = std::str::from_utf8(subject) {
            let sequences = stream.beyond_subject_limit(subject, REMOVED_PER_PUBLISH_MAX);
            if !sequences.is_empty() {
                // The log was writable a moment ago, so this is written too.
                let _ = self.decide(
                    desk,
                    &Mutation::Remove {
                        stream: id,
                        sequences,
                    },
                );
            }
        }
        let Some(stream) = self.state.streams.get(&id) else {
            return;
        };
        if let Some(first) = stream.first_within_limits() {
            self.trim(desk, id, first);
        }
    }

    /// Removes every message below `first`.
    pub(super) fn trim(&mut self, desk: &mut Desk<'_>, id: StreamId, first: u64) {
        if let Ok(position) = self.decide(desk, &Mutation::Trim { stream: id, first }) {
            desk.trim_after(position, id.0, first);
        }
    }

    fn stream_taking(&mut self, subject: &Bytes) -> Option<StreamId> {
        let lead = self.lead.as_mut()?;
        if let Some(known) = lead.routes.get(subject) {
            return Some(*known);
        }
        let parsed = SubjectRef::parse(subject).ok()?;
        let takes = |stream: &&Stream| stream.filters.iter().any(|filter| filter.matches(parsed));
        let found = self.state.streams.values().find(takes)?.id;
        if lead.routes.len() >= ROUTES_MAX {
            lead.routes.clear();
        }
        lead.routes.insert(Bytes::copy_from_slice(subject), found);
        Some(found)
    }

    fn refuse_without_stream(&self, desk: &mut Desk<'_>, message: &Message) {
        let Some(reply) = message.reply.clone() else {
            return;
        };
        let error = match self.lead {
            Some(_) => JetStreamError::StreamNotFound,
            None => JetStreamError::PeerAway,
        };
        let answer = relevo_protocol::jetstream::api::encode_error("", error);
        desk.send(Outgoing::answer(reply, answer.into()));
    }
}

fn send_refusal(desk: &mut Desk<'_>, reply: Bytes, stream: &StreamName, error: JetStreamError) {
    desk.send(Outgoing::answer(
        reply,
        encode_refusal(stream, error).into(),
    ));
}

/// Every rule that a message has to keep, in nats-server's order (`processJetStreamMsg`).
fn judge(stream: &Stream, message: &Message, now: Timestamp) -> Result<Verdict, JetStreamError> {
    let options = read_headers(stream, &message.headers)?;
    if !options.allows_stream(&stream.name) {
        return Err(JetStreamError::StreamNotMatch);
    }
    if let Some(id) = &options.msg_id {
        if let Some(sequence) = stream.dedup.find(id, now) {
            return Ok(Verdict::Duplicate(sequence));
        }
        if !stream.dedup.has_room(now) {
            return Err(store_failed(
                "too many message ids in the duplicate window; shorten duplicate_window",
            ));
        }
    }
    check_expectations(stream, &options, &message.subject)?;
    check_size(stream, message)?;
    if stream.config.discard == DiscardPolicy::New {
        check_room(stream, message)?;
    }
    Ok(Verdict::Store)
}

fn read_headers(stream: &Stream, headers: &[u8]) -> Result<PublishOptions, JetStreamError> {
    if headers.is_empty() {
        return Ok(PublishOptions::default());
    }
    let block = HeaderBlock::parse(headers).map_err(|error| store_failed(error.to_string()))?;
    for (name, _) in block.iter() {
        let row = NOT_SERVED
            .iter()
            .find(|(header, _)| name.starts_with(header));
        if let Some((_, error)) = row {
            return Err(error.clone());
        }
    }
    let options = PublishOptions::from_pairs(block.iter())
        .map_err(|error| store_failed(error.to_string()))?;
    if options.rollup.is_some() {
        return Err(store_failed(
            "rollup not permitted; this server does not serve Nats-Rollup",
        ));
    }
    if options
        .required_api_level
        .is_some_and(|level| level > API_LEVEL)
    {
        return Err(JetStreamError::RequiredApiLevel);
    }
    let asks = !options.delay.is_zero() || options.priority > 0 || options.key.is_some();
    if asks && !stream.is_queue {
        return Err(store_failed(
            "Relevo-Delay, Relevo-Priority and Relevo-Key are for queues; this stream is none",
        ));
    }
    Ok(options)
}

fn check_expectations(
    stream: &Stream,
    options: &PublishOptions,
    subject: &[u8],
) -> Result<(), JetStreamError> {
    let last = stream.last();
    if options
        .expected_last_seq
        .is_some_and(|expected| expected != last)
    {
        return Err(JetStreamError::WrongLastSequence { seq: last });
    }
    if let Some(expected) = &options.expected_last_msg_id
        && stream.last_msg_id.as_deref() != Some(expected.as_str())
    {
        let id = stream.last_msg_id.as_deref().unwrap_or_default().to_owned();
        return Err(JetStreamError::WrongLastMsgId { id });
    }
    let Some(expected) = options.expected_last_subject_seq else {
        return match options.expected_last_subject_seq_subject {
            Some(_) => Err(JetStreamError::ExpectedLastSubjectSequenceMissing),
            None => Ok(()),
        };
    };
    let asked = options
        .expected_last_subject_seq_subject
        .as_deref()
        .map(str::as_bytes);
    let filter = SubjectFilter::parse(asked.unwrap_or(subject)).map_err(|error| {
        store_failed(format!(
            "invalid Nats-Expected-Last-Subject-Sequence-Subject: {error}"
        ))
    })?;
    let last = stream
        .subjects
        .matching(&filter)
        .map(|(_, state)| state.last)
        .max()
        .unwrap_or(0);
    if last != expected {
        return Err(JetStreamError::WrongLastSequence { seq: last });
    }
    Ok(())
}

fn check_size(stream: &Stream, message: &Message) -> Result<(), JetStreamError> {
    let len = message.headers.len() + message.payload.len();
    let limit = usize::try_from(stream.config.max_msg_size)
        .ok()
        .filter(|limit| *limit > 0);
    if limit.is_some_and(|limit| len > limit) || message.subject.len() + len > MESSAGE_LEN_MAX {
        return Err(JetStreamError::MessageExceedsMaximum);
    }
    if message.headers.len() > usize::from(u16::MAX) {
        return Err(JetStreamError::HeaderExceedsMaximum);
    }
    Ok(())
}

fn check_room(stream: &Stream, message: &Message) -> Result<(), JetStreamError> {
    let config = &stream.config;
    let limit = |limit: i64| u64::try_from(limit).ok().filter(|limit| *limit > 0);
    let size = (message.subject.len() + message.headers.len() + message.payload.len()) as u64;
    let of_subject = std::str::from_utf8(&message.subject)
        .ok()
        .and_then(|subject| stream.subjects.get(stream.subjects.id_of(subject)?))
        .map_or(0, |state| state.count);
    let per_subject = stream.subject_limit().filter(|limit| of_subject >= *limit);
    if per_subject.is_some() && config.discard_new_per_subject {
        return Err(store_failed("maximum messages per subject exceeded"));
    }
    // A message that takes the place of another of its subject needs no room of its own.
    let replaces = per_subject.is_some();
    if !replaces && limit(config.max_msgs).is_some_and(|max| stream.messages.count() >= max) {
        return Err(store_failed("maximum messages exceeded"));
    }
    if limit(config.max_bytes).is_some_and(|max| stream.messages.bytes() + size > max) {
        return Err(store_failed("maximum bytes exceeded"));
    }
    Ok(())
}

fn store_failed(text: impl Into<std::borrow::Cow<'static, str>>) -> JetStreamError {
    JetStreamError::StreamStoreFailed { err: text.into() }
}
