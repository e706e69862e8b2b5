use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::record::tests::{any_record, records};
use crate::wire::golden;

const TIME: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

fn member(name: &str) -> MemberName {
    MemberName::parse(name).unwrap()
}

fn stream(name: &str) -> StreamName {
    StreamName::parse(name).unwrap()
}

fn message() -> Message {
    Message {
        subject: Bytes::from_static(b"$Q.jobs"),
        reply: Some(Bytes::from_static(b"_INBOX.1")),
        headers: Bytes::from_static(b"NATS/1.0\r\n\r\n"),
        payload: Bytes::from_static(b"hello"),
    }
}

fn bare() -> Message {
    Message {
        subject: Bytes::from_static(b"a.b"),
        reply: None,
        headers: Bytes::new(),
        payload: Bytes::from_static(b"hello"),
    }
}

/// The frame's body; its length before it is checked.
fn encode(frame: &Frame) -> Bytes {
    let mut out = b"before".to_vec();
    frame.encode(&mut out);
    let mut reader = Reader::new(out.into());
    assert_eq!(reader.take("before", 6), Ok(Bytes::from_static(b"before")));
    let body = reader.bytes("frame", FRAME_LEN_MAX).unwrap();
    assert_eq!(reader.end(), Ok(()));
    body
}

fn check(frame: &Frame, bytes: &str) {
    golden::check(frame, bytes, encode, Frame::decode);
}

#[test]
fn every_frame_is_written_as_its_golden_bytes() {
    let table = [
        (
            Frame::Hello(Hello {
                version: 1,
                lane: Lane::Replication,
                member: member("a"),
                store: StoreId([0x11; 16]),
                boot: 5,
                register: Bytes::from_static(b"value"),
            }),
            "01 0100 00 01000000 61 11111111111111111111111111111111 0500000000000000 05000000 76616c7565",
        ),
        (
            Frame::Hello(Hello {
                version: 1,
                lane: Lane::Client,
                member: member("b"),
                store: StoreId([0x22; 16]),
                boot: 6,
                register: Bytes::new(),
            }),
            "01 0100 01 01000000 62 22222222222222222222222222222222 0600000000000000 00000000",
        ),
        (Frame::Heartbeat, "02"),
        (
            Frame::Register(Bytes::from_static(b"value")),
            "03 05000000 76616c7565",
        ),
        (
            Frame::Interest {
                wanted: true,
                subject: Bytes::from_static(b"a.*"),
                queue: Some(Bytes::from_static(b"q")),
            },
            "05 01 03000000 612e2a 01 01000000 71",
        ),
        (
            Frame::Interest {
                wanted: false,
                subject: Bytes::from_static(b"a.>"),
                queue: None,
            },
            "05 00 03000000 612e3e 00",
        ),
        (Frame::InterestComplete, "06"),
        (
            Frame::Routed(Routed {
                message: bare(),
                plain: true,
                queues: vec![Bytes::from_static(b"q1"), Bytes::from_static(b"q2")],
            }),
            "07 01 02000000 02000000 7131 02000000 7132 03000000 612e62 00 00000000 05000000 68656c6c6f",
        ),
    ];
    for (frame, bytes) in &table {
        check(frame, bytes);
    }
}

#[test]
fn every_shard_message_is_written_as_its_golden_bytes() {
    let records = || records().to_vec();
    let table = [
        (
            ShardMessage::Status {
                epochs: vec![EpochStart {
                    epoch: Epoch { term: 3, sub: 2 },
                    first: Position(1),
                }],
                end: Position(2),
                chain: 0x0102_0304,
                contiguous_from: Position(1),
            },
            "04 0100 01 01000000 0300000000000000 02000000 0100000000000000 0200000000000000 04030201 0100000000000000",
        ),
        (
            ShardMessage::Truncate {
                to: Position(2),
                chain: 0x0102_0304,
            },
            "04 0100 02 0200000000000000 04030201",
        ),
        (
            ShardMessage::Append {
                committed: Position(1),
                records: records(),
            },
            "04 0100 03 0100000000000000 02000000 0100000000000000 0300000000000000 02000000 4c4095cb 0000000000000000 0000000000000000 06000000 010100000061 0200000000000000 0300000000000000 02000000 8f20e610 0700000000000000 0900000000000000 3d000000 060700000000000000090000000000000000002a36fe9c97170700000024512e6a6f62730c0000004e4154532f312e300d0a0d0a0500000068656c6c6f",
        ),
        (
            ShardMessage::Commit {
                committed: Position(2),
            },
            "04 0100 04 0200000000000000",
        ),
        (
            ShardMessage::Progress {
                durable: Position(2),
                applied: Position(1),
                full: false,
            },
            "04 0100 05 0200000000000000 0100000000000000 00",
        ),
        (ShardMessage::CopyRequest, "04 0100 06"),
        (
            ShardMessage::CopyBegin {
                position: Position(2),
                epoch: Epoch { term: 3, sub: 2 },
                chain: 0x0102_0304,
                snapshot_len: 5,
            },
            "04 0100 07 0200000000000000 0300000000000000 02000000 04030201 0500000000000000",
        ),
        (
            ShardMessage::CopyState(Bytes::from_static(b"state")),
            "04 0100 08 05000000 7374617465",
        ),
        (
            ShardMessage::CopyRecords(records()),
            "04 0100 09 02000000 0100000000000000 0300000000000000 02000000 4c4095cb 0000000000000000 0000000000000000 06000000 010100000061 0200000000000000 0300000000000000 02000000 8f20e610 0700000000000000 0900000000000000 3d000000 060700000000000000090000000000000000002a36fe9c97170700000024512e6a6f62730c0000004e4154532f312e300d0a0d0a0500000068656c6c6f",
        ),
        (
            ShardMessage::CopyEnd { count: 2 },
            "04 0100 0a 0200000000000000",
        ),
        (ShardMessage::CopyMore, "04 0100 0b"),
        (
            ShardMessage::CopyDone {
                position: Position(2),
            },
            "04 0100 0c 0200000000000000",
        ),
    ];
    for (message, bytes) in table {
        let shard = ShardId(1);
        check(&Frame::Shard { shard, message }, bytes);
    }
}

#[test]
fn every_work_is_written_as_its_golden_bytes() {
    let table = [
        (
            Work::Publish(message()),
            "08 0200 01 07000000 24512e6a6f6273 01 08000000 5f494e424f582e31 0c000000 4e4154532f312e300d0a0d0a 05000000 68656c6c6f",
        ),
        (
            Work::Api(message()),
            "08 0200 02 07000000 24512e6a6f6273 01 08000000 5f494e424f582e31 0c000000 4e4154532f312e300d0a0d0a 05000000 68656c6c6f",
        ),
        (
            Work::Ack(bare()),
            "08 0200 03 03000000 612e62 00 00000000 05000000 68656c6c6f",
        ),
        (
            Work::Order(Order::CreateStream {
                stream: StreamId(7),
                name: stream("Q_jobs"),
                config: Bytes::from_static(b"{}"),
                created: TIME,
                request: bare(),
            }),
            "08 0200 04 0700000000000000 06000000 515f6a6f6273 02000000 7b7d 00002a36fe9c9717 03000000 612e62 00 00000000 05000000 68656c6c6f",
        ),
        (
            Work::Order(Order::DeleteStream {
                stream: StreamId(7),
                request: bare(),
            }),
            "08 0200 05 0700000000000000 03000000 612e62 00 00000000 05000000 68656c6c6f",
        ),
        (
            Work::Order(Order::ListStreams { ask: 8 }),
            "08 0200 06 0800000000000000",
        ),
        (
            Work::Report(Report::StreamDeleted {
                stream: StreamId(7),
                request: bare(),
            }),
            "08 0200 07 0700000000000000 03000000 612e62 00 00000000 05000000 68656c6c6f",
        ),
        (
            Work::Report(Report::Streams {
                ask: 8,
                shard: ShardId(2),
                infos: vec![Bytes::from_static(b"{}"), Bytes::from_static(b"[]")],
            }),
            "08 0200 08 0800000000000000 0200 02000000 02000000 7b7d 02000000 5b5d",
        ),
    ];
    for (work, bytes) in table {
        let shard = ShardId(2);
        check(&Frame::Work { shard, work }, bytes);
    }
}

#[test]
fn the_length_stands_before_the_frame() {
    let mut out = Vec::new();
    Frame::Heartbeat.encode(&mut out);
    Frame::InterestComplete.encode(&mut out);
    assert_eq!(out, [1, 0, 0, 0, 2, 1, 0, 0, 0, 6]);
}

#[test]
fn a_length_above_its_limit_is_refused_before_its_bytes_came() {
    let check = |hex: &str, what, max: usize| {
        let refused = Err(DecodeError::TooLong {
            what,
            len: max + 1,
            max,
        });
        assert_eq!(Frame::decode(golden::from_hex(hex)), refused, "{hex}");
    };
    let subject = |prefix: &str, what| check(&format!("{prefix} 01100000"), what, SUBJECT_LEN_MAX);
    check("01 0100 00 00010000", "member name", NAME_LEN_MAX);
    check("03 a10f0000", "register value", REGISTER_LEN_MAX);
    subject("05 01", "subject");
    subject("05 01 00000000 01", "queue group");
    check("07 01 01100000", "queue groups", QUEUES_LEN_MAX);
    subject("07 01 01000000", "queue group");
    subject("07 01 00000000", "subject");
    subject("07 01 00000000 00000000 01", "reply subject");
    check(
        "07 01 00000000 00000000 00 01000004",
        "headers",
        MESSAGE_LEN_MAX,
    );
    check(
        "07 01 00000000 00000000 00 00000000 01000004",
        "payload",
        MESSAGE_LEN_MAX,
    );
    let id = "0700000000000000";
    check("04 0100 01 01100000", "epoch table", EPOCH_TABLE_LEN_MAX);
    check(
        &format!("04 0100 03 {id} 01000100"),
        "records",
        LIST_LEN_MAX,
    );
    check("04 0100 08 01001000", "snapshot chunk", CHUNK_LEN_MAX);
    check("04 0100 09 01000100", "records", LIST_LEN_MAX);
    check(
        &format!("08 0200 04 {id} 00010000"),
        "stream name",
        NAME_LEN_MAX,
    );
    check(
        &format!("08 0200 04 {id} 01000000 61 01001000"),
        "stream configuration",
        CONFIG_LEN_MAX,
    );
    check(
        &format!("08 0200 08 {id} 0200 01000100"),
        "stream infos",
        LIST_LEN_MAX,
    );
}

#[test]
fn what_has_no_meaning_is_told() {
    let check = |hex: &str, what, value| {
        let unknown = Err(DecodeError::Unknown { what, value });
        assert_eq!(Frame::decode(golden::from_hex(hex)), unknown, "{hex}");
    };
    check("00", "frame tag", 0);
    check("09", "frame tag", 9);
    check("01 0100 02", "lane", 2);
    check("05 02", "wanted", 2);
    check("05 01 00000000 02", "queue group", 2);
    check("07 02", "plain", 2);
    check("04 0100 00", "shard message tag", 0);
    check("04 0100 0d", "shard message tag", 13);
    check("08 0200 00", "work tag", 0);
    check("08 0200 09", "work tag", 9);
}

#[test]
fn only_the_newest_entries_of_a_long_epoch_table_are_told() {
    let start = |number| EpochStart {
        epoch: Epoch {
            term: number,
            sub: 0,
        },
        first: Position(number),
    };
    let status = |epochs| Frame::Shard {
        shard: ShardId(1),
        message: ShardMessage::Status {
            epochs,
            end: Position(9),
            chain: 0,
            contiguous_from: Position(1),
        },
    };
    let told = encode(&status((1..=4098).map(start).collect()));
    assert_eq!(
        Frame::decode(told),
        Ok(status((3..=4098).map(start).collect()))
    );
}

fn contents() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn position() -> impl Strategy<Value = Position> {
    any::<u64>().prop_map(Position)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (any::<u64>(), any::<u32>()).prop_map(|(term, sub)| Epoch { term, sub })
}

fn id() -> impl Strategy<Value = StreamId> {
    any::<u64>().prop_map(StreamId)
}

fn any_message() -> impl Strategy<Value = Message> {
    let fields = (contents(), option::of(contents()), contents(), contents());
    fields.prop_map(|(subject, reply, headers, payload)| Message {
        subject,
        reply,
        headers,
        payload,
    })
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let lane = prop_oneof![Just(Lane::Replication), Just(Lane::Client)];
    let member_name = "[a-z0-9-]{1,32}".prop_map(|name| member(&name));
    let store = any::<[u8; 16]>().prop_map(StoreId);
    let fields = (
        any::<u16>(),
        lane,
        member_name,
        store,
        any::<u64>(),
        contents(),
    );
    fields.prop_map(|(version, lane, member, store, boot, register)| Hello {
        version,
        lane,
        member,
        store,
        boot,
        register,
    })
}

fn any_shard_message() -> impl Strategy<Value = ShardMessage> {
    let starts = (epoch(), position()).prop_map(|(epoch, first)| EpochStart { epoch, first });
    let status = (vec(starts, 0..10), position(), any::<u32>(), position());
    let progress = (position(), position(), any::<bool>());
    let begin = (position(), epoch(), any::<u32>(), any::<u64>());
    prop_oneof![
        status.prop_map(
            |(epochs, end, chain, contiguous_from)| ShardMessage::Status {
                epochs,
                end,
                chain,
                contiguous_from,
            }
        ),
        (position(), any::<u32>()).prop_map(|(to, chain)| ShardMessage::Truncate { to, chain }),
        (position(), vec(any_record(), 0..4))
            .prop_map(|(committed, records)| ShardMessage::Append { committed, records }),
        position().prop_map(|committed| ShardMessage::Commit { committed }),
        progress.prop_map(|(durable, applied, full)| ShardMessage::Progress {
            durable,
            applied,
            full,
        }),
        Just(ShardMessage::CopyRequest),
        begin.prop_map(
            |(position, epoch, chain, snapshot_len)| ShardMessage::CopyBegin {
                position,
                epoch,
                chain,
                snapshot_len,
            }
        ),
        contents().prop_map(ShardMessage::CopyState),
        vec(any_record(), 0..4).prop_map(ShardMessage::CopyRecords),
        any::<u64>().prop_map(|count| ShardMessage::CopyEnd { count }),
        Just(ShardMessage::CopyMore),
        position().prop_map(|position| ShardMessage::CopyDone { position }),
    ]
}

fn any_work() -> impl Strategy<Value = Work> {
    let name = "[A-Za-z0-9_-]{1,255}".prop_map(|name| stream(&name));
    let time = any::<u64>().prop_map(Timestamp::from_nanos);
    let create = (id(), name, contents(), time, any_message());
    let streams = (any::<u64>(), any::<u16>(), vec(contents(), 0..10));
    prop_oneof![
        any_message().prop_map(Work::Publish),
        any_message().prop_map(Work::Api),
        any_message().prop_map(Work::Ack),
        create.prop_map(|(stream, name, config, created, request)| {
            Work::Order(Order::CreateStream {
                stream,
                name,
                config,
                created,
                request,
            })
        }),
        (id(), any_message())
            .prop_map(|(stream, request)| Work::Order(Order::DeleteStream { stream, request })),
        any::<u64>().prop_map(|ask| Work::Order(Order::ListStreams { ask })),
        (id(), any_message())
            .prop_map(|(stream, request)| Work::Report(Report::StreamDeleted { stream, request })),
        streams.prop_map(|(ask, shard, infos)| {
            Work::Report(Report::Streams {
                ask,
                shard: ShardId(shard),
                infos,
            })
        }),
    ]
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let interest = (any::<bool>(), contents(), option::of(contents()));
    let routed = (any_message(), any::<bool>(), vec(contents(), 0..10));
    prop_oneof![
        any_hello().prop_map(Frame::Hello),
        Just(Frame::Heartbeat),
        contents().prop_map(Frame::Register),
        (any::<u16>(), any_shard_message()).prop_map(|(shard, message)| Frame::Shard {
            shard: ShardId(shard),
            message,
        }),
        interest.prop_map(|(wanted, subject, queue)| Frame::Interest {
            wanted,
            subject,
            queue,
        }),
        Just(Frame::InterestComplete),
        routed.prop_map(|(message, plain, queues)| Frame::Routed(Routed {
            message,
            plain,
            queues,
        })),
        (any::<u16>(), any_work()).prop_map(|(shard, work)| Frame::Work {
            shard: ShardId(shard),
            work,
        }),
    ]
}

proptest! {
    #[test]
    fn every_frame_is_read_as_it_was_written(frame in any_frame()) {
        prop_assert_eq!(Frame::decode(encode(&frame)), Ok(frame));
    }

    #[test]
    fn whatever_bytes_are_read_are_written_again(
        tag in 0_u8..=9,
        rest in vec(any::<u8>(), 0..60),
    ) {
        let bytes: Bytes = [tag].into_iter().chain(rest).collect();
        if let Ok(frame) = Frame::decode(bytes.clone()) {
            prop_assert_eq!(encode(&frame), bytes);
        }
    }
}
