//! Reading messages without consuming them: STREAM.MSG.GET and DIRECT.GET (ADR-31).

use std::collections::BTreeMap;

use bytes::Bytes;
use relevo_protocol::frame::Message;
use relevo_protocol::headers::{HeaderBlock, HeaderBuilder, HeaderError};
use relevo_protocol::identity::StreamId;
use relevo_protocol::jetstream::api::{MsgGetAnswer, MsgGetRequest, StoredMessage};
use relevo_protocol::jetstream::endpoint::EndpointKind;
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::publish::{
    LAST_SEQUENCE, NUM_PENDING, SEQUENCE, STREAM, SUBJECT, TIME_STAMP,
};
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::name::{ConsumerName, StreamName};
use relevo_protocol::record::Record;
use relevo_protocol::subject::SubjectFilter;

use super::messages::Meta;
use super::recent::Stored;
use super::stream::Stream;
use super::{Streams, answer};
use crate::desk::{Desk, Outgoing};

/// Most requests that wait for a body from the log.
const READS_MAX: usize = 4096;
/// Most messages in the answer to one batch request.
const BATCH_MAX: u64 = 1024;

/// What waits for bodies from the log.
#[derive(Debug, Default)]
pub(super) struct Reads {
    waiting: BTreeMap<u64, Read>,
    requests: usize,
    ticket: u64,
}

/// What one body is for.
#[derive(Debug)]
pub(super) enum Read {
    /// A delivery; bounded by the consumer's lane.
    Delivery {
        stream: StreamId,
        consumer: ConsumerName,
        sequence: u64,
    },
    /// A client's request.
    Request {
        stream: StreamId,
        sequence: u64,
        then: Then,
    },
}

/// How a client's request goes on once the body is there.
#[derive(Debug)]
pub(super) enum Then {
    /// STREAM.MSG.GET
    Json { request: Message, no_headers: bool },
    /// DIRECT.GET of one message.
    Direct { reply: Bytes, no_headers: bool },
    /// DIRECT.GET of several.
    Batch(Batch),
}

/// A direct get of several messages, under way.
#[derive(Debug)]
pub(super) struct Batch {
    reply: Bytes,
    filter: Option<SubjectFilter>,
    next: u64,
    /// Not beyond this sequence.
    end: u64,
    messages_left: u64,
    bytes_left: Option<u64>,
    /// Messages that match and were not sent.
    pending: u64,
    last_sequence: u64,
    no_headers: bool,
}

impl Reads {
    /// Notes what a body is for; the ticket to ask the log with.
    pub(super) fn begin(&mut self, read: Read) -> u64 {
        self.ticket += 1;
        self.requests += usize::from(matches!(read, Read::Request { .. }));
        self.waiting.insert(self.ticket, read);
        self.ticket
    }

    fn finish(&mut self, ticket: u64) -> Option<Read> {
        let read = self.waiting.remove(&ticket)?;
        self.requests -= usize::from(matches!(read, Read::Request { .. }));
        Some(read)
    }

    const fn has_room(&self) -> bool {
        self.requests < READS_MAX
    }
}

impl Streams {
    /// The log answers [`Desk::read_message`].
    pub fn on_message_read(&mut self, desk: &mut Desk<'_>, ticket: u64, record: Option<Record>) {
        let Some(read) = self
            .lead
            .as_mut()
            .and_then(|lead| lead.reads.finish(ticket))
        else {
            return;
        };
        let stored = |stream, sequence| {
            record
                .as_ref()
                .and_then(|record| Stored::from_record(record, stream, sequence))
        };
        match read {
            Read::Delivery {
                stream,
                consumer,
                sequence,
            } => {
                let stored = stored(stream, sequence);
                self.on_body(desk, (stream, &consumer), sequence, stored.as_ref());
            }
            Read::Request {
                stream,
                sequence,
                then,
            } => {
                let stored = stored(stream, sequence);
                self.answer_get(desk, (stream, sequence), stored, then);
            }
        }
    }

    /// STREAM.MSG.GET
    pub(super) fn on_msg_get(&mut self, desk: &mut Desk<'_>, name: &StreamName, request: &Message) {
        let found = self.find_for_json(name, &request.payload);
        match found {
            Ok((id, sequence, no_headers)) => {
                let then = Then::Json {
                    request: request.clone(),
                    no_headers,
                };
                self.read(desk, (id, sequence), then);
            }
            Err(error) => {
                if let Some(refusal) = answer::api_error(EndpointKind::MsgGet, request, error) {
                    desk.send(refusal);
                }
            }
        }
    }

    /// DIRECT.GET with a body.
    pub(super) fn on_direct_get(
        &mut self,
        desk: &mut Desk<'_>,
        name: &StreamName,
        request: &Message,
    ) {
        let Some(reply) = request.reply.clone() else {
            return;
        };
        if request.payload.is_empty() {
            return desk.send(answer::status(reply, &Status::EMPTY_REQUEST));
        }
        match json::decode(&request.payload) {
            Ok(wanted) => self.direct_get(desk, name, &wanted, reply),
            Err(_) => desk.send(answer::status(reply, &Status::MALFORMED_REQUEST)),
        }
    }

    /// DIRECT.GET with a subject: its last message.
    pub(super) fn on_direct_get_last(
        &mut self,
        desk: &mut Desk<'_>,
        name: &StreamName,
        subject: String,
        request: &Message,
    ) {
        let Some(reply) = request.reply.clone() else {
            return;
        };
        if !request.payload.is_empty() {
            return desk.send(answer::status(reply, &Status::BAD_REQUEST));
        }
        let wanted = MsgGetRequest {
            last_by_subj: subject,
            ..MsgGetRequest::default()
        };
        self.direct_get(desk, name, &wanted, reply);
    }

    fn direct_get(
        &mut self,
        desk: &mut Desk<'_>,
        name: &StreamName,
        wanted: &MsgGetRequest,
        reply: Bytes,
    ) {
        let Some(stream) = self
            .state
            .by_name(name)
            .filter(|stream| stream.config.allow_direct)
        else {
            return desk.send(answer::status(reply, &Status::NO_RESPONDERS));
        };
        let id = stream.id;
        if wanted.batch > 0 || wanted.max_bytes > 0 {
            return match Batch::begin(stream, wanted, reply.clone()) {
                Ok(batch) => self.go_on(desk, id, batch),
                Err(status) => desk.send(answer::status(reply, &status)),
            };
        }
        match select(stream, wanted) {
            Ok(Some(sequence)) => {
                let then = Then::Direct {
                    reply,
                    no_headers: wanted.no_hdr,
                };
                self.read(desk, (id, sequence), then);
            }
            Ok(None) => desk.send(answer::status(reply, &Status::MESSAGE_NOT_FOUND)),
            Err(BadSelection) => desk.send(answer::status(reply, &Status::BAD_REQUEST)),
        }
    }

    fn find_for_json(
        &self,
        name: &StreamName,
        payload: &[u8],
    ) -> Result<(StreamId, u64, bool), JetStreamError> {
        if payload.is_empty() {
            return Err(JetStreamError::BadRequest);
        }
        let wanted: MsgGetRequest = json::decode(payload)?;
        let stream = self.find(name)?;
        if wanted.batch > 0 || wanted.max_bytes > 0 {
            return Err(JetStreamError::BadRequest);
        }
        if !self.lead.as_ref().is_some_and(|lead| lead.reads.has_room()) {
            return Err(JetStreamError::TooManyRequests);
        }
        let sequence =
            select(stream, &wanted).map_err(|BadSelection| JetStreamError::BadRequest)?;
        Ok((
            stream.id,
            sequence.ok_or(JetStreamError::NoMessageFound)?,
            wanted.no_hdr,
        ))
    }

    fn read(&mut self, desk: &mut Desk<'_>, (stream, sequence): (StreamId, u64), then: Then) {
        match self.recent(stream, sequence) {
            Some(stored) => self.answer_get(desk, (stream, sequence), Some(stored), then),
            None => self.fetch(desk, (stream, sequence), then),
        }
    }

    /// The message, if it need not be read from the log.
    fn recent(&self, stream: StreamId, sequence: u64) -> Option<Stored> {
        self.lead.as_ref()?.recent.get(stream, sequence)
    }

    /// Has the message read from the log.
    fn fetch(&mut self, desk: &mut Desk<'_>, (stream, sequence): (StreamId, u64), then: Then) {
        let Some(lead) = &mut self.lead else { return };
        if !lead.reads.has_room() {
            return match then {
                Then::Json { .. } => {}
                Then::Direct { reply, .. } | Then::Batch(Batch { reply, .. }) => {
                    desk.send(answer::status(reply, &Status::TOO_MANY_REQUESTS));
                }
            };
        }
        let ticket = lead.reads.begin(Read::Request {
            stream,
            sequence,
            then,
        });
        desk.read_message(ticket, stream.0, sequence);
    }

    fn answer_get(
        &mut self,
        desk: &mut Desk<'_>,
        (id, sequence): (StreamId, u64),
        stored: Option<Stored>,
        then: Then,
    ) {
        let found = self.name_of(id).zip(stored);
        match then {
            Then::Json {
                request,
                no_headers,
            } => {
                let result = found
                    .map(|(_, stored)| MsgGetAnswer {
                        message: as_json(sequence, stored, no_headers),
                    })
                    .ok_or(JetStreamError::NoMessageFound);
                if let Some(outgoing) = answer::api(EndpointKind::MsgGet, &request, result) {
                    desk.send(outgoing);
                }
            }
            Then::Direct { reply, no_headers } => {
                let outgoing = found.map(|(name, stored)| {
                    as_message(reply.clone(), (&name, sequence), stored, no_headers, &[])
                });
                let missing = || answer::status(reply.clone(), &Status::MESSAGE_NOT_FOUND);
                desk.send(outgoing.unwrap_or_else(missing));
            }
            Then::Batch(mut batch) => {
                batch.tell(desk, sequence, found);
                self.go_on(desk, id, batch);
            }
        }
    }

    fn name_of(&self, id: StreamId) -> Option<StreamName> {
        let stream = self.state.streams.get(&id)?;
        Some(stream.name.clone())
    }

    /// Sends messages of a batch until it is complete or a body has to be read.
    fn go_on(&mut self, desk: &mut Desk<'_>, id: StreamId, mut batch: Batch) {
        let beyond = loop {
            let stream = self.state.streams.get(&id);
            let next = stream.and_then(|stream| batch.next_of(stream));
            let Some(meta) = next.filter(|meta| batch.takes(meta)) else {
                break next;
            };
            if let Some(left) = &mut batch.bytes_left {
                *left = left.saturating_sub(u64::from(meta.size));
            }
            let Some(stored) = self.recent(id, meta.sequence) else {
                return self.fetch(desk, (id, meta.sequence), Then::Batch(batch));
            };
            batch.tell(
                desk,
                meta.sequence,
                self.name_of(id).map(|name| (name, stored)),
            );
        };
        match beyond {
            None if batch.last_sequence == 0 => {
                desk.send(answer::status(batch.reply, &Status::MESSAGE_NOT_FOUND));
            }
            Some(_) | None => {
                let pending = batch.pending.to_string();
                let last = batch.last_sequence.to_string();
                let headers = [(NUM_PENDING, &*pending), (LAST_SEQUENCE, &*last)];
                let block = Status::END_OF_BATCH.header_block(&headers);
                desk.send(Outgoing::status(batch.reply, block.into()));
            }
        }
    }
}

impl Batch {
    fn begin(stream: &Stream, wanted: &MsgGetRequest, reply: Bytes) -> Result<Self, Status> {
        let is_served = wanted.multi_last.is_empty() && wanted.last_by_subj.is_empty();
        if !is_served || (wanted.seq > 0 && wanted.start_time.is_some()) {
            return Err(Status::BAD_REQUEST);
        }
        let filter = match wanted.next_by_subj.as_str() {
            "" | ">" => None,
            text => Some(SubjectFilter::parse(text).map_err(|_| Status::BAD_REQUEST)?),
        };
        let messages = &stream.messages;
        let next = match wanted.start_time {
            Some(time) => messages
                .not_before(time)
                .map_or(messages.next(), |meta| meta.sequence),
            None => wanted.seq.max(1),
        };
        let end = stream.visible_last;
        let mut batch = Self {
            reply,
            filter,
            next,
            end,
            messages_left: if wanted.batch == 0 {
                BATCH_MAX
            } else {
                wanted.batch.min(BATCH_MAX)
            },
            bytes_left: Some(wanted.max_bytes).filter(|bytes| *bytes > 0),
            pending: 0,
            last_sequence: 0,
            no_headers: wanted.no_hdr,
        };
        batch.pending = batch.count(stream);
        Ok(batch)
    }

    /// Sends the message, unless it went in the meantime.
    fn tell(&mut self, desk: &mut Desk<'_>, sequence: u64, found: Option<(StreamName, Stored)>) {
        self.pending = self.pending.saturating_sub(1);
        self.next = sequence.saturating_add(1);
        let Some((name, stored)) = found else { return };
        let last = self.last_sequence.to_string();
        let pending = self.pending.to_string();
        let more = [(NUM_PENDING, &*pending), (LAST_SEQUENCE, &*last)];
        let target = (&name, sequence);
        let reply = self.reply.clone();
        desk.send(as_message(reply, target, stored, self.no_headers, &more));
        self.last_sequence = sequence;
        self.messages_left -= 1;
    }

    fn count(&self, stream: &Stream) -> u64 {
        let wants_all = self
            .filter
            .as_ref()
            .is_none_or(|filter| stream.subjects.matching(filter).count() == stream.subjects.len());
        if wants_all {
            let messages = &stream.messages;
            return messages
                .count_from(self.next)
                .saturating_sub(messages.count_from(self.end + 1));
        }
        self.matching(stream).count() as u64
    }

    fn next_of(&self, stream: &Stream) -> Option<Meta> {
        self.matching(stream).next()
    }

    fn takes(&self, meta: &Meta) -> bool {
        let fits = self
            .bytes_left
            .is_none_or(|left| u64::from(meta.size) <= left);
        self.messages_left > 0 && (fits || self.last_sequence == 0)
    }

    fn matching<'a>(&'a self, stream: &'a Stream) -> impl Iterator<Item = Meta> + 'a {
        stream
            .messages
            .from(self.next)
            .take_while(|meta| meta.sequence <= self.end)
            .filter(|meta| {
                self.filter
                    .as_ref()
                    .is_none_or(|filter| has(stream, meta, filter))
            })
    }
}

/// The request names no message, or in two ways.
struct BadSelection;

/// The one message that a request asks for.
fn select(stream: &Stream, wanted: &MsgGetRequest) -> Result<Option<u64>, BadSelection> {
    let by_last = !wanted.last_by_subj.is_empty();
    let by_next = !wanted.next_by_subj.is_empty();
    let from_time = wanted.start_time.is_some();
    let is_clear = match (by_last, by_next) {
        (true, true) => false,
        (true, false) => wanted.seq == 0 && !from_time,
        (false, true) => wanted.seq == 0 || !from_time,
        (false, false) => (wanted.seq > 0) != from_time,
    };
    if !is_clear || !wanted.multi_last.is_empty() {
        return Err(BadSelection);
    }
    let messages = &stream.messages;
    let visible = stream.visible_last;
    if by_last {
        let filter = SubjectFilter::parse(&wanted.last_by_subj).map_err(|_| BadSelection)?;
        return Ok(last_of(stream, &filter));
    }
    let from = match wanted.start_time {
        Some(time) => messages
            .not_before(time)
            .map_or(messages.next(), |meta| meta.sequence),
        None => wanted.seq,
    };
    let found = if by_next {
        let filter = SubjectFilter::parse(&wanted.next_by_subj).map_err(|_| BadSelection)?;
        messages.from(from).find(|meta| has(stream, meta, &filter))
    } else if from_time {
        messages.from(from).next()
    } else {
        messages.get(from)
    };
    Ok(found
        .map(|meta| meta.sequence)
        .filter(|sequence| *sequence <= visible))
}

/// The last committed message of matching subjects.
fn last_of(stream: &Stream, filter: &SubjectFilter) -> Option<u64> {
    let visible = stream.visible_last;
    stream
        .subjects
        .matching(filter)
        .filter_map(|(id, state)| {
            if state.last <= visible {
                return Some(state.last);
            }
            let mut committed = stream.messages.back_from(visible);
            committed
                .find(|meta| meta.subject == id)
                .map(|meta| meta.sequence)
        })
        .max()
}

fn has(stream: &Stream, meta: &Meta, filter: &SubjectFilter) -> bool {
    let state = stream.subjects.get(meta.subject);
    state.is_some_and(|state| filter.matches(state.subject.as_ref()))
}

fn as_json(sequence: u64, stored: Stored, no_headers: bool) -> StoredMessage {
    StoredMessage {
        subject: String::from_utf8_lossy(&stored.subject).into_owned(),
        seq: sequence,
        hdrs: if no_headers {
            Bytes::new()
        } else {
            stored.headers
        },
        data: stored.payload,
        time: stored.at,
    }
}

/// A stored message as it answers a direct get: with where it comes from in its headers.
fn as_message(
    reply: Bytes,
    (stream, sequence): (&StreamName, u64),
    stored: Stored,
    no_headers: bool,
    more: &[(&str, &str)],
) -> Outgoing {
    let origin = [
        (STREAM, stream.as_str()),
        (SUBJECT, &String::from_utf8_lossy(&stored.subject)),
        (SEQUENCE, &sequence.to_string()),
        (TIME_STAMP, &stored.at.to_string()),
    ];
    let own = if no_headers { &[][..] } else { &stored.headers };
    // A block that has no room for these as well is sent with these alone.
    let headers = block(own, &origin, more).or_else(|_| block(&[], &origin, more));
    Outgoing {
        message: Message {
            subject: reply,
            reply: None,
            headers: headers.unwrap_or_default(),
            payload: stored.payload,
        },
        shown_subject: None,
        delivery: None,
    }
}

fn block(own: &[u8], origin: &[(&str, &str)], more: &[(&str, &str)]) -> Result<Bytes, HeaderError> {
    let mut builder = HeaderBuilder::new();
    for (name, value) in origin.iter().chain(more) {
        builder.append(name, value)?;
    }
    if !own.is_empty() {
        builder.append_block(&HeaderBlock::parse(own)?, |_| true)?;
    }
    Ok(builder.finish())
}
