//! What two brokers say to each other. A frame on the link is a four-byte length, then a tag byte
//! and its fields. Two lanes carry them, each a TCP connection of its own, so that replication
//! never waits behind client work: [`Lane::Replication`] and [`Lane::Client`].

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::identity::{Epoch, EpochStart, Position, ShardId, StoreId, StreamId};
use crate::mutation::{
    CONFIG_LEN_MAX, LIST_LEN_MAX, MESSAGE_LEN_MAX, NAME_LEN_MAX, SUBJECT_LEN_MAX,
};
use crate::name::{MemberName, StreamName};
use crate::record::{BODY_LEN_MAX, Record};
use crate::time::Timestamp;
use crate::wire::{DecodeError, Reader, Writer};

/// The version of this file's frames; both ends must speak the same one.
pub const LINK_VERSION: u16 = 1;
/// Longest frame body, in bytes; a longer one ends the link.
pub const FRAME_LEN_MAX: usize = BODY_LEN_MAX + 64 * 1024;
/// Longest register value, in bytes.
pub const REGISTER_LEN_MAX: usize = 4000;
/// Longest epoch table sent at contact, in entries; older ones are left out.
pub const EPOCH_TABLE_LEN_MAX: usize = 4096;
/// Longest chunk of a snapshot in one frame, in bytes.
pub const CHUNK_LEN_MAX: usize = 1024 * 1024;
/// Most queue groups that one routed message names.
pub const QUEUES_LEN_MAX: usize = 4096;

/// Which of the two connections of a link this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Hello, register, log records and their acknowledgements, heartbeats.
    Replication,
    /// Interest, routed messages and forwarded client work.
    Client,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first frame of each side on each lane.
    Hello(Hello),
    /// The sender lives; sent when nothing else was.
    Heartbeat,
    /// A register value that the receiver is to make durable and answer with the same frame.
    Register(Bytes),
    /// One shard's replication.
    Shard {
        /// Which shard.
        shard: ShardId,
        /// What.
        message: ShardMessage,
    },
    /// The sender's clients begin or end to want a subject.
    Interest {
        /// Begin or end.
        wanted: bool,
        /// A subject, wildcards allowed.
        subject: Bytes,
        /// The queue group.
        queue: Option<Bytes>,
    },
    /// All interest has been told since the link came up.
    InterestComplete,
    /// A core message for subscribers at the receiver.
    Routed(Routed),
    /// Client work for a shard that the receiver leads.
    Work {
        /// Which shard.
        shard: ShardId,
        /// What.
        work: Work,
    },
}

/// Who is at the other end, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// [`LINK_VERSION`].
    pub version: u16,
    /// Which connection this is.
    pub lane: Lane,
    /// The sender's name.
    pub member: MemberName,
    /// The sender's store.
    pub store: StoreId,
    /// Drawn at each start of the sender's process; both lanes must carry the same one.
    pub boot: u64,
    /// The sender's register value, empty before the first meeting.
    pub register: Bytes,
}

/// Replication of one shard between its leader and its follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardMessage {
    /// Follower to leader at contact: what its log holds.
    Status {
        /// Where its epochs begin, rising.
        epochs: Vec<EpochStart>,
        /// Its last record, zero when empty.
        end: Position,
        /// The chain there.
        chain: u32,
        /// The lowest position from which its log has no hole.
        contiguous_from: Position,
    },
    /// Leader to follower: drop every record above `to`, then append from there.
    Truncate {
        /// The last position that both logs share.
        to: Position,
        /// The chain there, to be checked before anything is dropped.
        chain: u32,
    },
    /// Leader to follower: records that follow each other, and how far the log is committed.
    Append {
        /// Everything up to here is durable on all in-sync members.
        committed: Position,
        /// At least one.
        records: Vec<Record>,
    },
    /// Leader to follower: the commit point moved and nothing else is to be said.
    Commit {
        /// Everything up to here is durable on all in-sync members.
        committed: Position,
    },
    /// Follower to leader: what is durable here, and what its view shows.
    Progress {
        /// Its disk holds everything up to here.
        durable: Position,
        /// Its state shows everything up to here.
        applied: Position,
        /// Its disk has no room for more at the moment.
        full: bool,
    },
    /// A member without the shard's data asks the other for all of it.
    CopyRequest,
    /// The start of a full copy: the state at `position`, in chunks that follow.
    CopyBegin {
        /// What the snapshot covers.
        position: Position,
        /// The epoch of the record there.
        epoch: Epoch,
        /// The chain there.
        chain: u32,
        /// Length of the whole snapshot, in bytes.
        snapshot_len: u64,
    },
    /// The next bytes of the snapshot.
    CopyState(Bytes),
    /// The next messages that the snapshot refers to, rising positions with holes.
    CopyRecords(Vec<Record>),
    /// All was sent.
    CopyEnd {
        /// How many records.
        count: u64,
    },
    /// The receiver asks for more (each `CopyState` and `CopyRecords` is answered by one): at most
    /// one chunk is under way.
    CopyMore,
    /// The receiver has the copy durably in its place.
    CopyDone {
        /// What it covers.
        position: Position,
    },
}

/// A message as clients send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// A literal subject.
    pub subject: Bytes,
    /// Where answers go.
    pub reply: Option<Bytes>,
    /// The raw header block, or empty.
    pub headers: Bytes,
    /// The body.
    pub payload: Bytes,
}

/// A core message on its way to the other broker's subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The message.
    pub message: Message,
    /// Whether subscribers outside queue groups get it.
    pub plain: bool,
    /// The queue groups of which one member at the receiver gets it.
    pub queues: Vec<Bytes>,
}

/// Work for the leader of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A message for a stream.
    Publish(Message),
    /// A request to `$JS.API.>`.
    Api(Message),
    /// An acknowledgement to `$JS.ACK.>`.
    Ack(Message),
    /// The directory tells a data shard what to do.
    Order(Order),
    /// A data shard tells the directory what came of it.
    Report(Report),
}

/// From the directory to a data shard. `request` is the client's own: its reply subject gets the
/// answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Begin this stream, or say how it stands when it is there already.
    CreateStream {
        /// Its number.
        stream: StreamId,
        /// Its name.
        name: StreamName,
        /// The configuration that the directory settled, as JSON.
        config: Bytes,
        /// When it was created.
        created: Timestamp,
        /// The client's request.
        request: Message,
    },
    /// End this stream; answered by [`Report::StreamDeleted`].
    DeleteStream {
        /// Its number.
        stream: StreamId,
        /// The client's request.
        request: Message,
    },
    /// Describe all streams; answered by [`Report::Streams`].
    ListStreams {
        /// Echoed in the answer.
        ask: u64,
    },
}

/// From a data shard to the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The stream is gone, durably.
    StreamDeleted {
        /// Its number.
        stream: StreamId,
        /// The client's request, to be answered now.
        request: Message,
    },
    /// All streams of a shard.
    Streams {
        /// As asked.
        ask: u64,
        /// Which shard answers.
        shard: ShardId,
        /// `StreamInfo` as JSON, one each.
        infos: Vec<Bytes>,
    },
}

const HELLO: u8 = 1;
const HEARTBEAT: u8 = 2;
const REGISTER: u8 = 3;
const SHARD: u8 = 4;
const INTEREST: u8 = 5;
const INTEREST_COMPLETE: u8 = 6;
const ROUTED: u8 = 7;
const WORK: u8 = 8;

const STATUS: u8 = 1;
const TRUNCATE: u8 = 2;
const APPEND: u8 = 3;
const COMMIT: u8 = 4;
const PROGRESS: u8 = 5;
const COPY_REQUEST: u8 = 6;
const COPY_BEGIN: u8 = 7;
const COPY_STATE: u8 = 8;
const COPY_RECORDS: u8 = 9;
const COPY_END: u8 = 10;
const COPY_MORE: u8 = 11;
const COPY_DONE: u8 = 12;

const WORK_PUBLISH: u8 = 1;
const WORK_API: u8 = 2;
const WORK_ACK: u8 = 3;
const ORDER_CREATE: u8 = 4;
const ORDER_DELETE: u8 = 5;
const ORDER_LIST: u8 = 6;
const REPORT_DELETED: u8 = 7;
const REPORT_STREAMS: u8 = 8;

impl Frame {
    /// Appends the length and the frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = Writer::behind(std::mem::take(out));
        writer.measured(|body| self.write(body));
        *out = writer.into_vec();
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Self::Hello(hello) => {
                out.u8(HELLO);
                out.u16(hello.version);
                out.u8(match hello.lane {
                    Lane::Replication => 0,
                    Lane::Client => 1,
                });
                out.bytes(hello.member.as_str().as_bytes());
                out.raw(&hello.store.0);
                out.u64(hello.boot);
                out.bytes(&hello.register);
            }
            Self::Heartbeat => out.u8(HEARTBEAT),
            Self::Register(value) => {
                out.u8(REGISTER);
                out.bytes(value);
            }
            Self::Shard { shard, message } => {
                out.u8(SHARD);
                out.u16(shard.0);
                message.write(out);
            }
            Self::Interest {
                wanted,
                subject,
                queue,
            } => {
                out.u8(INTEREST);
                out.u8(u8::from(*wanted));
                out.bytes(subject);
                write_option(out, queue.as_ref());
            }
            Self::InterestComplete => out.u8(INTEREST_COMPLETE),
            Self::Routed(routed) => {
                out.u8(ROUTED);
                out.u8(u8::from(routed.plain));
                out.count(routed.queues.len());
                for queue in &routed.queues {
                    out.bytes(queue);
                }
                routed.message.write(out);
            }
            Self::Work { shard, work } => {
                out.u8(WORK);
                out.u16(shard.0);
                work.write(out);
            }
        }
    }

    /// Reads a frame body (what follows the length).
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no frame of [`LINK_VERSION`].
    pub fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let frame = match reader.u8("frame tag")? {
            HELLO => Self::Hello(Hello {
                version: reader.u16("link version")?,
                lane: match reader.u8("lane")? {
                    0 => Lane::Replication,
                    1 => Lane::Client,
                    value => {
                        return Err(DecodeError::Unknown {
                            what: "lane",
                            value: value.into(),
                        });
                    }
                },
                member: reader.text("member name", NAME_LEN_MAX, MemberName::parse)?,
                store: StoreId(reader.id("store")?),
                boot: reader.u64("boot")?,
                register: reader.bytes("register value", REGISTER_LEN_MAX)?,
            }),
            HEARTBEAT => Self::Heartbeat,
            REGISTER => Self::Register(reader.bytes("register value", REGISTER_LEN_MAX)?),
            SHARD => Self::Shard {
                shard: ShardId(reader.u16("shard")?),
                message: ShardMessage::read(&mut reader)?,
            },
            INTEREST => Self::Interest {
                wanted: read_flag(&mut reader, "wanted")?,
                subject: reader.bytes("subject", SUBJECT_LEN_MAX)?,
                queue: read_option(&mut reader, "queue group")?,
            },
            INTEREST_COMPLETE => Self::InterestComplete,
            ROUTED => {
                let plain = read_flag(&mut reader, "plain")?;
                let count = reader.count("queue groups", QUEUES_LEN_MAX)?;
                let queues = (0..count)
                    .map(|_| reader.bytes("queue group", SUBJECT_LEN_MAX))
                    .collect::<Result<_, _>>()?;
                Self::Routed(Routed {
                    plain,
                    queues,
                    message: Message::read(&mut reader)?,
                })
            }
            WORK => Self::Work {
                shard: ShardId(reader.u16("shard")?),
                work: Work::read(&mut reader)?,
            },
            value => {
                return Err(DecodeError::Unknown {
                    what: "frame tag",
                    value: value.into(),
                });
            }
        };
        reader.end()?;
        Ok(frame)
    }
}

impl ShardMessage {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Status {
                epochs,
                end,
                chain,
                contiguous_from,
            } => {
                out.u8(STATUS);
                let newest = epochs.len().saturating_sub(EPOCH_TABLE_LEN_MAX);
                let epochs = epochs.get(newest..).unwrap_or_default();
                out.count(epochs.len());
                for start in epochs {
                    out.u64(start.epoch.term);
                    out.u32(start.epoch.sub);
                    out.u64(start.first.0);
                }
                out.u64(end.0);
                out.u32(*chain);
                out.u64(contiguous_from.0);
            }
            Self::Truncate { to, chain } => {
                out.u8(TRUNCATE);
                out.u64(to.0);
                out.u32(*chain);
            }
            Self::Append { committed, records } => {
                out.u8(APPEND);
                out.u64(committed.0);
                write_records(out, records);
            }
            Self::Commit { committed } => {
                out.u8(COMMIT);
                out.u64(committed.0);
            }
            Self::Progress {
                durable,
                applied,
                full,
            } => {
                out.u8(PROGRESS);
                out.u64(durable.0);
                out.u64(applied.0);
                out.u8(u8::from(*full));
            }
            Self::CopyRequest => out.u8(COPY_REQUEST),
            Self::CopyBegin {
                position,
                epoch,
                chain,
                snapshot_len,
            } => {
                out.u8(COPY_BEGIN);
                out.u64(position.0);
                out.u64(epoch.term);
                out.u32(epoch.sub);
                out.u32(*chain);
                out.u64(*snapshot_len);
            }
            Self::CopyState(bytes) => {
                out.u8(COPY_STATE);
                out.bytes(bytes);
            }
            Self::CopyRecords(records) => {
                out.u8(COPY_RECORDS);
                write_records(out, records);
            }
            Self::CopyEnd { count } => {
                out.u8(COPY_END);
                out.u64(*count);
            }
            Self::CopyMore => out.u8(COPY_MORE),
            Self::CopyDone { position } => {
                out.u8(COPY_DONE);
                out.u64(position.0);
            }
        }
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(match reader.u8("shard message tag")? {
            STATUS => {
                let count = reader.count("epoch table", EPOCH_TABLE_LEN_MAX)?;
                let epochs = (0..count)
                    .map(|_| {
                        Ok(EpochStart {
                            epoch: Epoch {
                                term: reader.u64("epoch")?,
                                sub: reader.u32("sub-epoch")?,
                            },
                            first: read_position(reader)?,
                        })
                    })
                    .collect::<Result<_, DecodeError>>()?;
                Self::Status {
                    epochs,
                    end: read_position(reader)?,
                    chain: reader.u32("chain")?,
                    contiguous_from: read_position(reader)?,
                }
            }
            TRUNCATE => Self::Truncate {
                to: read_position(reader)?,
                chain: reader.u32("chain")?,
            },
            APPEND => Self::Append {
                committed: read_position(reader)?,
                records: read_records(reader)?,
            },
            COMMIT => Self::Commit {
                committed: read_position(reader)?,
            },
            PROGRESS => Self::Progress {
                durable: read_position(reader)?,
                applied: read_position(reader)?,
                full: read_flag(reader, "full")?,
            },
            COPY_REQUEST => Self::CopyRequest,
            COPY_BEGIN => Self::CopyBegin {
                position: read_position(reader)?,
                epoch: Epoch {
                    term: reader.u64("epoch")?,
                    sub: reader.u32("sub-epoch")?,
                },
                chain: reader.u32("chain")?,
                snapshot_len: reader.u64("snapshot length")?,
            },
            COPY_STATE => Self::CopyState(reader.bytes("snapshot chunk", CHUNK_LEN_MAX)?),
            COPY_RECORDS => Self::CopyRecords(read_records(reader)?),
            COPY_END => Self::CopyEnd {
                count: reader.u64("record count")?,
            },
            COPY_MORE => Self::CopyMore,
            COPY_DONE => Self::CopyDone {
                position: read_position(reader)?,
            },
            value => {
                return Err(DecodeError::Unknown {
                    what: "shard message tag",
                    value: value.into(),
                });
            }
        })
    }
}

impl Message {
    fn write(&self, out: &mut Writer) {
        out.bytes(&self.subject);
        write_option(out, self.reply.as_ref());
        out.bytes(&self.headers);
        out.bytes(&self.payload);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            subject: reader.bytes("subject", SUBJECT_LEN_MAX)?,
            reply: read_option(reader, "reply subject")?,
            headers: reader.bytes("headers", MESSAGE_LEN_MAX)?,
            payload: reader.bytes("payload", MESSAGE_LEN_MAX)?,
        })
    }
}

impl Work {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Publish(message) => {
                out.u8(WORK_PUBLISH);
                message.write(out);
            }
            Self::Api(message) => {
                out.u8(WORK_API);
                message.write(out);
            }
            Self::Ack(message) => {
                out.u8(WORK_ACK);
                message.write(out);
            }
            Self::Order(Order::CreateStream {
                stream,
                name,
                config,
                created,
                request,
            }) => {
                out.u8(ORDER_CREATE);
                out.u64(stream.0);
                out.bytes(name.as_str().as_bytes());
                out.bytes(config);
                out.u64(created.as_nanos());
                request.write(out);
            }
            Self::Order(Order::DeleteStream { stream, request }) => {
                out.u8(ORDER_DELETE);
                out.u64(stream.0);
                request.write(out);
            }
            Self::Order(Order::ListStreams { ask }) => {
                out.u8(ORDER_LIST);
                out.u64(*ask);
            }
            Self::Report(Report::StreamDeleted { stream, request }) => {
                out.u8(REPORT_DELETED);
                out.u64(stream.0);
                request.write(out);
            }
            Self::Report(Report::Streams { ask, shard, infos }) => {
                out.u8(REPORT_STREAMS);
                out.u64(*ask);
                out.u16(shard.0);
                out.count(infos.len());
                for info in infos {
                    out.bytes(info);
                }
            }
        }
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(match reader.u8("work tag")? {
            WORK_PUBLISH => Self::Publish(Message::read(reader)?),
            WORK_API => Self::Api(Message::read(reader)?),
            WORK_ACK => Self::Ack(Message::read(reader)?),
            ORDER_CREATE => Self::Order(Order::CreateStream {
                stream: StreamId(reader.u64("stream number")?),
                name: reader.text("stream name", NAME_LEN_MAX, StreamName::parse)?,
                config: reader.bytes("stream configuration", CONFIG_LEN_MAX)?,
                created: Timestamp::from_nanos(reader.u64("time")?),
                request: Message::read(reader)?,
            }),
            ORDER_DELETE => Self::Order(Order::DeleteStream {
                stream: StreamId(reader.u64("stream number")?),
                request: Message::read(reader)?,
            }),
            ORDER_LIST => Self::Order(Order::ListStreams {
                ask: reader.u64("ask")?,
            }),
            REPORT_DELETED => Self::Report(Report::StreamDeleted {
                stream: StreamId(reader.u64("stream number")?),
                request: Message::read(reader)?,
            }),
            REPORT_STREAMS => {
                let ask = reader.u64("ask")?;
                let shard = ShardId(reader.u16("shard")?);
                let count = reader.count("stream infos", LIST_LEN_MAX)?;
                let infos = (0..count)
                    .map(|_| reader.bytes("stream info", MESSAGE_LEN_MAX))
                    .collect::<Result<_, _>>()?;
                Self::Report(Report::Streams { ask, shard, infos })
            }
            value => {
                return Err(DecodeError::Unknown {
                    what: "work tag",
                    value: value.into(),
                });
            }
        })
    }
}

fn read_position(reader: &mut Reader) -> Result<Position, DecodeError> {
    Ok(Position(reader.u64("position")?))
}

fn read_flag(reader: &mut Reader, what: &'static str) -> Result<bool, DecodeError> {
    match reader.u8(what)? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(DecodeError::Unknown {
            what,
            value: value.into(),
        }),
    }
}

fn write_option(out: &mut Writer, bytes: Option<&Bytes>) {
    out.u8(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        out.bytes(bytes);
    }
}

fn read_option(reader: &mut Reader, what: &'static str) -> Result<Option<Bytes>, DecodeError> {
    if read_flag(reader, what)? {
        reader.bytes(what, SUBJECT_LEN_MAX).map(Some)
    } else {
        Ok(None)
    }
}

fn write_records(out: &mut Writer, records: &[Record]) {
    debug_assert!(
        records.len() <= LIST_LEN_MAX,
        "one frame carries few records"
    );
    out.count(records.len());
    for record in records {
        record.write(out);
    }
}

fn read_records(reader: &mut Reader) -> Result<Vec<Record>, DecodeError> {
    let count = reader.count("records", LIST_LEN_MAX)?;
    (0..count).map(|_| Record::read(reader)).collect()
}
