//! The replicated state of a data shard as bytes. Equal states have equal bytes, however they came
//! about: everything is written in one order, and subjects are numbered by their texts.
//!
//! Little-endian; texts and lists are a four-byte count and their contents.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | format, 1 |
//! | 8 | latest time in the log, ns |
//! | 4, then each 8 | numbers of deleted streams, rising |
//! | 4, then each | streams by number |
//!
//! A stream:
//!
//! | bytes | field |
//! |---|---|
//! | 8, text, text, 8 | number, name, configuration (JSON), created |
//! | 8 | next sequence |
//! | 1, 8 | 1 and the time of the last message ever stored, or 0 and 0 |
//! | 1, text | 1 and the id of the last message stored, or 0 and an empty text |
//! | 4, texts | subjects that have messages, in order |
//! | 4, runs | messages without a gap: 8 first sequence, 8 first time in µs, 4 count, then each 4 size, 4 µs after the first, 4 index of its subject |
//! | 4, then each 8, 8, text | ids within the dedup window, oldest first: time, sequence, id |
//! | 4, then each 8, 8, 1, text | what messages ask for, by sequence: sequence, due time, priority, key or empty |
//! | 4, then each | durable consumers by name |
//!
//! A consumer:
//!
//! | bytes | field |
//! |---|---|
//! | text, text, 8 | name, configuration (JSON), created |
//! | 8, 8 | cursor, messages that it wants and that were never delivered |
//! | 8, 8, 1, 8 | last delivery: consumer sequence, stream sequence, 1 and its time or 0 and 0 |
//! | 4, then each 8 | sequences aside, rising |
//! | 4, then each 8, 8, 4, 8 | pending by sequence: sequence, consumer sequence, count, time |

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use relevo_protocol::identity::StreamId;
use relevo_protocol::jetstream::publish::MAX_KEY_LEN;
use relevo_protocol::mutation::{CONFIG_LEN_MAX, MESSAGE_LEN_MAX, NAME_LEN_MAX, SUBJECT_LEN_MAX};
use relevo_protocol::name::{ConsumerName, StreamName};
use relevo_protocol::subject::Subject;
use relevo_protocol::time::Timestamp;
use relevo_protocol::wire::{DecodeError, Reader, Writer};

use super::consumer::{Consumer, Delivered, Pending, filters, read_config};
use super::dedup::{IDS_MAX, Seen};
use super::extras::Extra;
use super::messages::{Messages, Meta};
use super::state::{GONE_MAX, State};
use super::stream::Stream;
use super::subjects::{Interest, SubjectId};

const FORMAT: u8 = 1;
/// Most items of any list that the state itself bounds elsewhere.
const ITEMS_MAX: usize = u32::MAX as usize;
/// Most messages of one run.
const RUN_LEN_MAX: usize = 65_536;
/// Nanoseconds in a microsecond.
const NANOS_PER_MICRO: u64 = 1_000;

/// The state as bytes.
pub(super) fn encode(state: &State) -> Bytes {
    let mut out = Writer::with_capacity(1024);
    out.u8(FORMAT);
    out.u64(state.last_at.as_nanos());
    out.count(state.gone.len());
    for gone in &state.gone {
        out.u64(gone.0);
    }
    out.count(state.streams.len());
    for stream in state.streams.values() {
        write_stream(&mut out, stream);
    }
    out.finish()
}

/// The state that [`encode`] wrote.
pub(super) fn decode(bytes: Bytes) -> Result<State, DecodeError> {
    let mut reader = Reader::new(bytes);
    let format = reader.u8("snapshot format")?;
    if format != FORMAT {
        return Err(DecodeError::Unknown {
            what: "snapshot format",
            value: format.into(),
        });
    }
    let mut state = State {
        last_at: read_time(&mut reader)?,
        ..State::default()
    };
    let count = reader.count("deleted streams", GONE_MAX)?;
    for _ in 0..count {
        state.gone.insert(StreamId(reader.u64("deleted stream")?));
    }
    let count = reader.count("streams", ITEMS_MAX)?;
    for _ in 0..count {
        let stream = read_stream(&mut reader)?;
        state.names.insert(stream.name.clone(), stream.id);
        state.streams.insert(stream.id, stream);
    }
    reader.end()?;
    Ok(state)
}

fn write_stream(out: &mut Writer, stream: &Stream) {
    out.u64(stream.id.0);
    out.bytes(stream.name.as_str().as_bytes());
    out.bytes(&stream.config_json);
    out.u64(stream.created.as_nanos());
    out.u64(stream.messages.next());
    write_optional_time(out, stream.last_at);
    out.u8(u8::from(stream.last_msg_id.is_some()));
    out.bytes(stream.last_msg_id.as_deref().unwrap_or_default().as_bytes());
    let mut indexes = BTreeMap::new();
    out.count(stream.subjects.len());
    for (index, (id, state)) in (0..).zip(stream.subjects.iter()) {
        out.bytes(state.subject.as_str().as_bytes());
        indexes.insert(id, index);
    }
    write_messages(out, &stream.messages, &indexes);
    out.count(stream.dedup.iter().len());
    for seen in stream.dedup.iter() {
        out.u64(seen.at.as_nanos());
        out.u64(seen.sequence);
        out.bytes(seen.id.as_bytes());
    }
    out.count(stream.extras.iter().len());
    for (sequence, extra) in stream.extras.iter() {
        out.u64(sequence);
        out.u64(extra.due.as_nanos());
        out.u8(extra.priority);
        out.bytes(extra.key.as_deref().unwrap_or_default().as_bytes());
    }
    let durable = || {
        stream
            .consumers
            .values()
            .filter(|consumer| consumer.is_durable())
    };
    out.count(durable().count());
    for consumer in durable() {
        write_consumer(out, consumer);
    }
}

fn read_stream(reader: &mut Reader) -> Result<Stream, DecodeError> {
    let id = StreamId(reader.u64("stream number")?);
    let name = reader.text("stream name", NAME_LEN_MAX, StreamName::parse)?;
    let config = reader.bytes("stream configuration", CONFIG_LEN_MAX)?;
    let created = read_time(reader)?;
    let mut stream = Stream::new(id, name, config, created).map_err(|_| DecodeError::Invalid {
        what: "stream configuration",
    })?;
    let next = reader.u64("next sequence")?;
    if next == 0 {
        return Err(DecodeError::Invalid {
            what: "next sequence",
        });
    }
    stream.last_at = read_optional_time(reader)?;
    let has_id = reader.u8("has message id")? != 0;
    let id = read_text(reader, "message id", MESSAGE_LEN_MAX)?;
    stream.last_msg_id = has_id.then_some(id);
    let count = reader.count("subjects", ITEMS_MAX)?;
    let mut subjects = Vec::new();
    for _ in 0..count {
        subjects.push(reader.text("subject", SUBJECT_LEN_MAX, |text| Subject::parse(text))?);
    }
    read_messages(reader, &mut stream, &subjects, next)?;
    let count = reader.count("message ids", IDS_MAX)?;
    for _ in 0..count {
        let at = read_time(reader)?;
        let sequence = reader.u64("sequence")?;
        let id = read_text(reader, "message id", MESSAGE_LEN_MAX)?;
        stream.dedup.insert(Seen { at, sequence, id });
    }
    let count = reader.count("extras", ITEMS_MAX)?;
    for _ in 0..count {
        let sequence = reader.u64("sequence")?;
        let due = read_time(reader)?;
        let priority = reader.u8("priority")?;
        let key = read_text(reader, "key", MAX_KEY_LEN)?;
        let key = Some(key).filter(|key| !key.is_empty());
        stream.extras.insert(sequence, Extra { due, priority, key });
    }
    let count = reader.count("consumers", ITEMS_MAX)?;
    for _ in 0..count {
        let consumer = read_consumer(reader, &stream)?;
        stream.consumers.insert(consumer.name.clone(), consumer);
    }
    stream.visible_last = stream.last();
    Ok(stream)
}

fn write_messages(out: &mut Writer, messages: &Messages, indexes: &BTreeMap<SubjectId, u32>) {
    let runs = runs(messages);
    out.count(runs.len());
    for run in runs {
        out.u64(run.first.sequence);
        out.u64(micros(run.first.at));
        out.count(run.len);
        for meta in messages.from(run.first.sequence).take(run.len) {
            out.u32(meta.size);
            out.u32(run.age_of(&meta).unwrap_or(u32::MAX));
            out.u32(indexes.get(&meta.subject).copied().unwrap_or(u32::MAX));
        }
    }
}

/// Messages whose sequences follow each other.
struct Run {
    first: Meta,
    last: u64,
    len: usize,
}

impl Run {
    fn takes(&self, meta: &Meta) -> bool {
        self.len < RUN_LEN_MAX && self.last + 1 == meta.sequence && self.age_of(meta).is_some()
    }

    fn age_of(&self, meta: &Meta) -> Option<u32> {
        let age = micros(meta.at).checked_sub(micros(self.first.at))?;
        u32::try_from(age).ok()
    }
}

fn runs(messages: &Messages) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for meta in messages.from(0) {
        match runs.last_mut() {
            Some(run) if run.takes(&meta) => {
                run.last = meta.sequence;
                run.len += 1;
            }
            Some(_) | None => runs.push(Run {
                first: meta,
                last: meta.sequence,
                len: 1,
            }),
        }
    }
    runs
}

fn read_messages(
    reader: &mut Reader,
    stream: &mut Stream,
    subjects: &[Subject],
    next: u64,
) -> Result<(), DecodeError> {
    let count = reader.count("runs of messages", ITEMS_MAX)?;
    let mut begins = None;
    for _ in 0..count {
        let first = reader.u64("first sequence")?;
        let base = reader.u64("first time")?;
        let len = reader.count("messages", RUN_LEN_MAX)?;
        if begins.is_none() {
            begins = Some(first);
            stream.messages = Messages::starting_at(first);
        } else if first < stream.messages.next() {
            return Err(DecodeError::Invalid {
                what: "first sequence",
            });
        }
        stream.messages.skip_to(first);
        for _ in 0..len {
            let size = reader.u32("size")?;
            let age = reader.u32("age")?;
            let index = usize::try_from(reader.u32("subject index")?).unwrap_or(usize::MAX);
            let subject = subjects.get(index).ok_or(DecodeError::Invalid {
                what: "subject index",
            })?;
            let at = base
                .checked_add(u64::from(age))
                .and_then(|micros| micros.checked_mul(NANOS_PER_MICRO))
                .ok_or(DecodeError::Invalid { what: "time" })?;
            if size == 0 {
                return Err(DecodeError::Invalid { what: "size" });
            }
            let (id, _) = stream
                .subjects
                .add(subject.as_ref(), stream.messages.next());
            stream.messages.push(Timestamp::from_nanos(at), size, id);
        }
    }
    if begins.is_none() {
        stream.messages = Messages::starting_at(next);
    }
    if next < stream.messages.next() {
        return Err(DecodeError::Invalid {
            what: "next sequence",
        });
    }
    stream.messages.skip_to(next);
    Ok(())
}

fn write_consumer(out: &mut Writer, consumer: &Consumer) {
    out.bytes(consumer.name.as_str().as_bytes());
    out.bytes(&consumer.config_json);
    out.u64(consumer.created.as_nanos());
    out.u64(consumer.cursor);
    out.u64(consumer.fresh);
    out.u64(consumer.delivered.consumer_sequence);
    out.u64(consumer.delivered.stream_sequence);
    write_optional_time(out, consumer.delivered.at);
    out.count(consumer.aside.len());
    for sequence in &consumer.aside {
        out.u64(*sequence);
    }
    out.count(consumer.pending.len());
    for (sequence, pending) in &consumer.pending {
        out.u64(*sequence);
        out.u64(pending.consumer_sequence);
        out.u32(pending.count);
        out.u64(pending.at.as_nanos());
    }
}

fn read_consumer(reader: &mut Reader, stream: &Stream) -> Result<Consumer, DecodeError> {
    let name = reader.text("consumer name", NAME_LEN_MAX, ConsumerName::parse)?;
    let config_json = reader.bytes("consumer configuration", CONFIG_LEN_MAX)?;
    let config = read_config(&config_json).map_err(|_| DecodeError::Invalid {
        what: "consumer configuration",
    })?;
    let created = read_time(reader)?;
    let cursor = reader.u64("cursor")?;
    let fresh = reader.u64("fresh messages")?;
    let delivered = Delivered {
        consumer_sequence: reader.u64("consumer sequence")?,
        stream_sequence: reader.u64("stream sequence")?,
        at: read_optional_time(reader)?,
    };
    let interest = Interest::new(filters(&config), &stream.subjects);
    let count = reader.count("sequences aside", ITEMS_MAX)?;
    let aside = (0..count)
        .map(|_| reader.u64("sequence"))
        .collect::<Result<_, _>>()?;
    let count = reader.count("pending messages", ITEMS_MAX)?;
    let mut pending = BTreeMap::new();
    for _ in 0..count {
        let sequence = reader.u64("sequence")?;
        let consumer_sequence = reader.u64("consumer sequence")?;
        let count = reader.u32("delivery count")?;
        let at = read_time(reader)?;
        pending.insert(
            sequence,
            Pending {
                consumer_sequence,
                count,
                at,
            },
        );
    }
    Ok(Consumer {
        name,
        config,
        config_json,
        created,
        cursor,
        aside,
        delivered,
        pending,
        interest,
        fresh,
        serving: None,
    })
}

fn write_optional_time(out: &mut Writer, time: Option<Timestamp>) {
    out.u8(u8::from(time.is_some()));
    out.u64(time.map_or(0, Timestamp::as_nanos));
}

fn read_optional_time(reader: &mut Reader) -> Result<Option<Timestamp>, DecodeError> {
    let is_set = reader.u8("has time")? != 0;
    let time = read_time(reader)?;
    Ok(is_set.then_some(time))
}

fn read_text(reader: &mut Reader, what: &'static str, max: usize) -> Result<Arc<str>, DecodeError> {
    reader.text(what, max, |text| Ok::<_, DecodeError>(Arc::from(text)))
}

fn read_time(reader: &mut Reader) -> Result<Timestamp, DecodeError> {
    Ok(Timestamp::from_nanos(reader.u64("time")?))
}

const fn micros(time: Timestamp) -> u64 {
    time.as_nanos() / NANOS_PER_MICRO
}
