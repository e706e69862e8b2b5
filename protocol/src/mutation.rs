//! What a shard's log says: one [`Mutation`] a record. The leader decides, the log carries the
//! decision, followers only apply; so a mutation holds outcomes (a sequence, a time, who got which
//! message), never a request that each side would judge for itself.
//!
//! Encoding: a tag byte, then the fields in the order of the variant, as [`crate::wire`] writes
//! them. `docs/format/peer.md` has the byte tables; golden bytes are in its tests.

#[cfg(test)]
pub(crate) mod tests;

use bytes::Bytes;

use crate::identity::{ShardId, StreamId};
use crate::limits::PAYLOAD_LEN_MAX;
use crate::name::{ConsumerName, MAX_JETSTREAM_NAME_LEN, MemberName, StreamName};
use crate::time::Timestamp;
use crate::wire::{DecodeError, Reader, Writer};

/// Longest name in a mutation, in bytes.
pub const NAME_LEN_MAX: usize = MAX_JETSTREAM_NAME_LEN;
/// Longest subject, in bytes.
pub const SUBJECT_LEN_MAX: usize = 4096;
/// Longest stream or consumer configuration, in bytes of JSON.
pub const CONFIG_LEN_MAX: usize = 1024 * 1024;
/// Longest headers and payload together, in bytes: the highest `max_payload` that can be set.
pub const MESSAGE_LEN_MAX: usize = PAYLOAD_LEN_MAX;
/// Most items in one list of sequences or deliveries.
pub const LIST_LEN_MAX: usize = 65_536;

/// One decision of a shard's leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A leader begins an epoch; the record's own epoch says which.
    EpochStart {
        /// The leader.
        leader: MemberName,
    },
    /// Directory: a stream exists and lives in `shard`.
    Assign {
        /// Its number.
        stream: StreamId,
        /// Its name.
        name: StreamName,
        /// Where it lives; never the directory itself.
        shard: ShardId,
        /// `StreamConfig` as JSON.
        config: Bytes,
        /// When it was created.
        created: Timestamp,
    },
    /// Directory: a stream is gone.
    Unassign {
        /// Its number.
        stream: StreamId,
    },
    /// Data shard: the stream begins.
    StreamCreate {
        /// Its number.
        stream: StreamId,
        /// Its name.
        name: StreamName,
        /// `StreamConfig` as JSON.
        config: Bytes,
        /// When it was created.
        created: Timestamp,
    },
    /// Data shard: the stream and everything in it is gone.
    StreamDelete {
        /// Its number.
        stream: StreamId,
    },
    /// A message was stored. The record's group is the stream, its key the sequence.
    Publish(Publish),
    /// Messages below `first` are gone: limits, age or a purge.
    Trim {
        /// The stream.
        stream: StreamId,
        /// The lowest sequence that may still exist.
        first: u64,
    },
    /// Single messages are gone.
    Remove {
        /// The stream.
        stream: StreamId,
        /// Their sequences, rising.
        sequences: Vec<u64>,
    },
    /// A durable consumer begins.
    ConsumerCreate {
        /// The stream.
        stream: StreamId,
        /// Its name.
        consumer: ConsumerName,
        /// `ConsumerConfig` as JSON.
        config: Bytes,
        /// When it was created.
        created: Timestamp,
        /// The first sequence it may deliver.
        start: u64,
    },
    /// A durable consumer is gone.
    ConsumerDelete {
        /// The stream.
        stream: StreamId,
        /// Its name.
        consumer: ConsumerName,
    },
    /// Messages are handed to workers.
    Delivered {
        /// The stream.
        stream: StreamId,
        /// The consumer.
        consumer: ConsumerName,
        /// When.
        at: Timestamp,
        /// Which.
        deliveries: Vec<Delivery>,
    },
    /// Messages are done with: acknowledged or terminated. In a work queue they are removed too.
    Acked {
        /// The stream.
        stream: StreamId,
        /// The consumer.
        consumer: ConsumerName,
        /// Their stream sequences.
        sequences: Vec<u64>,
    },
}

/// A stored message. `headers` is the raw block (`NATS/1.0` to the empty line) or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The stream.
    pub stream: StreamId,
    /// Its sequence in the stream, 1 or more.
    pub sequence: u64,
    /// When the leader stored it; never falls within a shard.
    pub at: Timestamp,
    /// A literal subject.
    pub subject: Bytes,
    /// The header block, or empty.
    pub headers: Bytes,
    /// The body.
    pub payload: Bytes,
}

/// One message given to one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which message.
    pub stream_sequence: u64,
    /// The consumer's own running number, 1 or more.
    pub consumer_sequence: u64,
    /// How often this message was delivered, this time included.
    pub count: u32,
}

const EPOCH_START: u8 = 1;
const ASSIGN: u8 = 2;
const UNASSIGN: u8 = 3;
const STREAM_CREATE: u8 = 4;
const STREAM_DELETE: u8 = 5;
const PUBLISH: u8 = 6;
const TRIM: u8 = 7;
const REMOVE: u8 = 8;
const CONSUMER_CREATE: u8 = 9;
const CONSUMER_DELETE: u8 = 10;
const DELIVERED: u8 = 11;
const ACKED: u8 = 12;

impl Mutation {
    /// The log's group and key: a message's stream and sequence, (0, 0) for everything else.
    #[must_use]
    pub const fn group_and_key(&self) -> (u64, u64) {
        match self {
            Self::Publish(publish) => (publish.stream.0, publish.sequence),
            Self::EpochStart { .. }
            | Self::Assign { .. }
            | Self::Unassign { .. }
            | Self::StreamCreate { .. }
            | Self::StreamDelete { .. }
            | Self::Trim { .. }
            | Self::Remove { .. }
            | Self::ConsumerCreate { .. }
            | Self::ConsumerDelete { .. }
            | Self::Delivered { .. }
            | Self::Acked { .. } => (0, 0),
        }
    }

    /// The record body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(64);
        match self {
            Self::EpochStart { leader } => {
                out.u8(EPOCH_START);
                out.bytes(leader.as_str().as_bytes());
            }
            Self::Assign {
                stream,
                name,
                shard,
                config,
                created,
            } => {
                out.u8(ASSIGN);
                out.u64(stream.0);
                out.bytes(name.as_str().as_bytes());
                out.u16(shard.0);
                out.bytes(config);
                out.u64(created.as_nanos());
            }
            Self::Unassign { stream } => {
                out.u8(UNASSIGN);
                out.u64(stream.0);
            }
            Self::StreamCreate {
                stream,
                name,
                config,
                created,
            } => {
                out.u8(STREAM_CREATE);
                out.u64(stream.0);
                out.bytes(name.as_str().as_bytes());
                out.bytes(config);
                out.u64(created.as_nanos());
            }
            Self::StreamDelete { stream } => {
                out.u8(STREAM_DELETE);
                out.u64(stream.0);
            }
            Self::Publish(publish) => return publish.encode(),
            Self::Trim { stream, first } => {
                out.u8(TRIM);
                out.u64(stream.0);
                out.u64(*first);
            }
            Self::Remove { stream, sequences } => {
                out.u8(REMOVE);
                out.u64(stream.0);
                write_sequences(&mut out, sequences);
            }
            Self::ConsumerCreate {
                stream,
                consumer,
                config,
                created,
                start,
            } => {
                out.u8(CONSUMER_CREATE);
                out.u64(stream.0);
                out.bytes(consumer.as_str().as_bytes());
                out.bytes(config);
                out.u64(created.as_nanos());
                out.u64(*start);
            }
            Self::ConsumerDelete { stream, consumer } => {
                out.u8(CONSUMER_DELETE);
                out.u64(stream.0);
                out.bytes(consumer.as_str().as_bytes());
            }
            Self::Delivered {
                stream,
                consumer,
                at,
                deliveries,
            } => {
                out.u8(DELIVERED);
                out.u64(stream.0);
                out.bytes(consumer.as_str().as_bytes());
                out.u64(at.as_nanos());
                debug_assert!(
                    deliveries.len() <= LIST_LEN_MAX,
                    "one record names few messages"
                );
                out.count(deliveries.len());
                for delivery in deliveries {
                    out.u64(delivery.stream_sequence);
                    out.u64(delivery.consumer_sequence);
                    out.u32(delivery.count);
                }
            }
            Self::Acked {
                stream,
                consumer,
                sequences,
            } => {
                out.u8(ACKED);
                out.u64(stream.0);
                out.bytes(consumer.as_str().as_bytes());
                write_sequences(&mut out, sequences);
            }
        }
        out.finish()
    }

    /// Reads a record body; contents are slices of `body`.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no mutation of this version.
    pub fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let mutation = match reader.u8("mutation tag")? {
            EPOCH_START => Self::EpochStart {
                leader: reader.text("leader name", NAME_LEN_MAX, MemberName::parse)?,
            },
            ASSIGN => Self::Assign {
                stream: read_stream(&mut reader)?,
                name: read_stream_name(&mut reader)?,
                shard: ShardId(reader.u16("shard")?),
                config: reader.bytes("stream configuration", CONFIG_LEN_MAX)?,
                created: read_time(&mut reader)?,
            },
            UNASSIGN => Self::Unassign {
                stream: read_stream(&mut reader)?,
            },
            STREAM_CREATE => Self::StreamCreate {
                stream: read_stream(&mut reader)?,
                name: read_stream_name(&mut reader)?,
                config: reader.bytes("stream configuration", CONFIG_LEN_MAX)?,
                created: read_time(&mut reader)?,
            },
            STREAM_DELETE => Self::StreamDelete {
                stream: read_stream(&mut reader)?,
            },
            PUBLISH => Self::Publish(Publish::read(&mut reader)?),
            TRIM => Self::Trim {
                stream: read_stream(&mut reader)?,
                first: reader.u64("first sequence")?,
            },
            REMOVE => Self::Remove {
                stream: read_stream(&mut reader)?,
                sequences: read_sequences(&mut reader)?,
            },
            CONSUMER_CREATE => Self::ConsumerCreate {
                stream: read_stream(&mut reader)?,
                consumer: read_consumer_name(&mut reader)?,
                config: reader.bytes("consumer configuration", CONFIG_LEN_MAX)?,
                created: read_time(&mut reader)?,
                start: reader.u64("start sequence")?,
            },
            CONSUMER_DELETE => Self::ConsumerDelete {
                stream: read_stream(&mut reader)?,
                consumer: read_consumer_name(&mut reader)?,
            },
            DELIVERED => Self::Delivered {
                stream: read_stream(&mut reader)?,
                consumer: read_consumer_name(&mut reader)?,
                at: read_time(&mut reader)?,
                deliveries: read_deliveries(&mut reader)?,
            },
            ACKED => Self::Acked {
                stream: read_stream(&mut reader)?,
                consumer: read_consumer_name(&mut reader)?,
                sequences: read_sequences(&mut reader)?,
            },
            value => {
                return Err(DecodeError::Unknown {
                    what: "mutation tag",
                    value: value.into(),
                });
            }
        };
        reader.end()?;
        Ok(mutation)
    }
}

impl Publish {
    /// The record body, as [`Mutation::encode`] would write it, without taking `self` apart.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let contents = self.subject.len() + self.headers.len() + self.payload.len();
        let mut out = Writer::with_capacity(37 + contents);
        out.u8(PUBLISH);
        out.u64(self.stream.0);
        out.u64(self.sequence);
        out.u64(self.at.as_nanos());
        out.bytes(&self.subject);
        out.bytes(&self.headers);
        out.bytes(&self.payload);
        out.finish()
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            stream: read_stream(reader)?,
            sequence: reader.u64("sequence")?,
            at: read_time(reader)?,
            subject: reader.bytes("subject", SUBJECT_LEN_MAX)?,
            headers: reader.bytes("headers", MESSAGE_LEN_MAX)?,
            payload: reader.bytes("payload", MESSAGE_LEN_MAX)?,
        })
    }

    /// Bytes that count against a stream's limits: subject, headers and payload.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.subject.len() + self.headers.len() + self.payload.len()) as u64
    }
}

fn read_stream(reader: &mut Reader) -> Result<StreamId, DecodeError> {
    Ok(StreamId(reader.u64("stream number")?))
}

fn read_time(reader: &mut Reader) -> Result<Timestamp, DecodeError> {
    Ok(Timestamp::from_nanos(reader.u64("time")?))
}

fn read_stream_name(reader: &mut Reader) -> Result<StreamName, DecodeError> {
    reader.text("stream name", NAME_LEN_MAX, StreamName::parse)
}

fn read_consumer_name(reader: &mut Reader) -> Result<ConsumerName, DecodeError> {
    reader.text("consumer name", NAME_LEN_MAX, ConsumerName::parse)
}

fn write_sequences(out: &mut Writer, sequences: &[u64]) {
    debug_assert!(
        sequences.len() <= LIST_LEN_MAX,
        "one record names few messages"
    );
    out.count(sequences.len());
    for sequence in sequences {
        out.u64(*sequence);
    }
}

fn read_sequences(reader: &mut Reader) -> Result<Vec<u64>, DecodeError> {
    let count = reader.count("sequences", LIST_LEN_MAX)?;
    (0..count).map(|_| reader.u64("sequence")).collect()
}

fn read_deliveries(reader: &mut Reader) -> Result<Vec<Delivery>, DecodeError> {
    let count = reader.count("deliveries", LIST_LEN_MAX)?;
    (0..count)
        .map(|_| {
            Ok(Delivery {
                stream_sequence: reader.u64("stream sequence")?,
                consumer_sequence: reader.u64("consumer sequence")?,
                count: reader.u32("delivery count")?,
            })
        })
        .collect()
}
