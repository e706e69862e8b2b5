use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::golden;

const TIME: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

fn member(name: &str) -> MemberName {
    MemberName::parse(name).unwrap()
}

fn stream(name: &str) -> StreamName {
    StreamName::parse(name).unwrap()
}

fn consumer(name: &str) -> ConsumerName {
    ConsumerName::parse(name).unwrap()
}

#[test]
fn every_mutation_is_written_as_its_golden_bytes() {
    let table = [
        (
            Mutation::EpochStart {
                leader: member("a"),
            },
            "01 01000000 61",
        ),
        (
            Mutation::Assign {
                stream: StreamId(7),
                name: stream("Q_jobs"),
                shard: ShardId(2),
                config: Bytes::from_static(b"{}"),
                created: TIME,
            },
            "02 0700000000000000 06000000 515f6a6f6273 0200 02000000 7b7d 00002a36fe9c9717",
        ),
        (
            Mutation::Unassign {
                stream: StreamId(7),
            },
            "03 0700000000000000",
        ),
        (
            Mutation::StreamCreate {
                stream: StreamId(7),
                name: stream("Q_jobs"),
                config: Bytes::from_static(b"{}"),
                created: TIME,
            },
            "04 0700000000000000 06000000 515f6a6f6273 02000000 7b7d 00002a36fe9c9717",
        ),
        (
            Mutation::StreamDelete {
                stream: StreamId(7),
            },
            "05 0700000000000000",
        ),
        (
            Mutation::Publish(Publish {
                stream: StreamId(7),
                sequence: 9,
                at: TIME,
                subject: Bytes::from_static(b"$Q.jobs"),
                headers: Bytes::from_static(b"NATS/1.0\r\n\r\n"),
                payload: Bytes::from_static(b"hello"),
            }),
            "06 0700000000000000 0900000000000000 00002a36fe9c9717 07000000 24512e6a6f6273 0c000000 4e4154532f312e300d0a0d0a 05000000 68656c6c6f",
        ),
        (
            Mutation::Trim {
                stream: StreamId(7),
                first: 10,
            },
            "07 0700000000000000 0a00000000000000",
        ),
        (
            Mutation::Remove {
                stream: StreamId(7),
                sequences: vec![3, 5],
            },
            "08 0700000000000000 02000000 0300000000000000 0500000000000000",
        ),
        (
            Mutation::ConsumerCreate {
                stream: StreamId(7),
                consumer: consumer("workers"),
                config: Bytes::from_static(b"{}"),
                created: TIME,
                start: 1,
            },
            "09 0700000000000000 07000000 776f726b657273 02000000 7b7d 00002a36fe9c9717 0100000000000000",
        ),
        (
            Mutation::ConsumerDelete {
                stream: StreamId(7),
                consumer: consumer("workers"),
            },
            "0a 0700000000000000 07000000 776f726b657273",
        ),
        (
            Mutation::Delivered {
                stream: StreamId(7),
                consumer: consumer("workers"),
                at: TIME,
                deliveries: vec![Delivery {
                    stream_sequence: 3,
                    consumer_sequence: 4,
                    count: 1,
                }],
            },
            "0b 0700000000000000 07000000 776f726b657273 00002a36fe9c9717 01000000 0300000000000000 0400000000000000 01000000",
        ),
        (
            Mutation::Acked {
                stream: StreamId(7),
                consumer: consumer("workers"),
                sequences: vec![3],
            },
            "0c 0700000000000000 07000000 776f726b657273 01000000 0300000000000000",
        ),
    ];
    for (mutation, bytes) in &table {
        golden::check(mutation, bytes, Mutation::encode, Mutation::decode);
    }
}

#[test]
fn a_length_above_its_limit_is_refused_before_its_bytes_came() {
    let check = |hex: &str, what, max: usize| {
        let refused = Err(DecodeError::TooLong {
            what,
            len: max + 1,
            max,
        });
        assert_eq!(Mutation::decode(golden::from_hex(hex)), refused, "{hex}");
    };
    check("01 00010000", "leader name", NAME_LEN_MAX);
    let id = "0700000000000000";
    let time = "00002a36fe9c9717";
    check(&format!("02 {id} 00010000"), "stream name", NAME_LEN_MAX);
    check(
        &format!("02 {id} 01000000 61 0100 01001000"),
        "stream configuration",
        CONFIG_LEN_MAX,
    );
    check(&format!("04 {id} 00010000"), "stream name", NAME_LEN_MAX);
    check(
        &format!("04 {id} 01000000 61 01001000"),
        "stream configuration",
        CONFIG_LEN_MAX,
    );
    let publish = format!("06 {id} {id} {time}");
    check(&format!("{publish} 01100000"), "subject", SUBJECT_LEN_MAX);
    check(
        &format!("{publish} 00000000 01000004"),
        "headers",
        MESSAGE_LEN_MAX,
    );
    check(
        &format!("{publish} 00000000 00000000 01000004"),
        "payload",
        MESSAGE_LEN_MAX,
    );
    check(&format!("08 {id} 01000100"), "sequences", LIST_LEN_MAX);
    check(&format!("09 {id} 00010000"), "consumer name", NAME_LEN_MAX);
    check(
        &format!("09 {id} 01000000 61 01001000"),
        "consumer configuration",
        CONFIG_LEN_MAX,
    );
    check(&format!("0a {id} 00010000"), "consumer name", NAME_LEN_MAX);
    check(
        &format!("0b {id} 01000000 61 {time} 01000100"),
        "deliveries",
        LIST_LEN_MAX,
    );
    check(
        &format!("0c {id} 01000000 61 01000100"),
        "sequences",
        LIST_LEN_MAX,
    );
}

#[test]
fn a_list_as_long_as_allowed_that_did_not_come_is_short() {
    for hex in [
        "08 0700000000000000 00000100",
        "0b 0700000000000000 01000000 61 00002a36fe9c9717 00000100",
        "0c 0700000000000000 01000000 61 00000100",
    ] {
        let read = Mutation::decode(golden::from_hex(hex));
        assert!(matches!(read, Err(DecodeError::Short { .. })), "{read:?}");
    }
}

#[test]
fn what_has_no_meaning_is_told() {
    let check = |hex: &str, error| {
        assert_eq!(Mutation::decode(golden::from_hex(hex)), Err(error), "{hex}");
    };
    let short = DecodeError::Short {
        what: "mutation tag",
    };
    check("", short);
    for value in [0, 13, 255] {
        let what = "mutation tag";
        check(
            &format!("{value:02x}"),
            DecodeError::Unknown { what, value },
        );
    }
    let leader = DecodeError::Invalid {
        what: "leader name",
    };
    check("01 00000000", leader.clone());
    check("01 01000000 41", leader.clone());
    check("01 01000000 ff", leader);
    let name = DecodeError::Invalid {
        what: "stream name",
    };
    check("04 0700000000000000 03000000 612e62", name);
}

#[test]
fn a_message_has_its_stream_and_sequence_as_group_and_key() {
    let publish = Publish {
        stream: StreamId(7),
        sequence: 9,
        at: TIME,
        subject: Bytes::from_static(b"a"),
        headers: Bytes::new(),
        payload: Bytes::from_static(b"bc"),
    };
    assert_eq!(publish.size(), 3);
    assert_eq!(Mutation::Publish(publish).group_and_key(), (7, 9));
    let trim = Mutation::Trim {
        stream: StreamId(7),
        first: 9,
    };
    assert_eq!(trim.group_and_key(), (0, 0));
}

fn contents() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn id() -> impl Strategy<Value = StreamId> {
    any::<u64>().prop_map(StreamId)
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_nanos)
}

fn stream_name() -> impl Strategy<Value = StreamName> {
    "[A-Za-z0-9_-]{1,255}".prop_map(|name| stream(&name))
}

fn consumer_name() -> impl Strategy<Value = ConsumerName> {
    "[A-Za-z0-9_-]{1,255}".prop_map(|name| consumer(&name))
}

fn sequences() -> impl Strategy<Value = Vec<u64>> {
    vec(any::<u64>(), 0..20)
}

fn publish() -> impl Strategy<Value = Publish> {
    let fields = (
        id(),
        any::<u64>(),
        time(),
        contents(),
        contents(),
        contents(),
    );
    fields.prop_map(
        |(stream, sequence, at, subject, headers, payload)| Publish {
            stream,
            sequence,
            at,
            subject,
            headers,
            payload,
        },
    )
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let fields = (any::<u64>(), any::<u64>(), any::<u32>());
    fields.prop_map(|(stream_sequence, consumer_sequence, count)| Delivery {
        stream_sequence,
        consumer_sequence,
        count,
    })
}

/// Any mutation.
pub(crate) fn any_mutation() -> impl Strategy<Value = Mutation> {
    let assigned = (id(), stream_name(), any::<u16>(), contents(), time());
    let created = (id(), stream_name(), contents(), time());
    let begun = (id(), consumer_name(), contents(), time(), any::<u64>());
    let handed = (id(), consumer_name(), time(), vec(delivery(), 0..20));
    prop_oneof![
        "[a-z0-9-]{1,32}".prop_map(|leader| Mutation::EpochStart {
            leader: member(&leader)
        }),
        assigned.prop_map(|(stream, name, shard, config, created)| Mutation::Assign {
            stream,
            name,
            shard: ShardId(shard),
            config,
            created,
        }),
        id().prop_map(|stream| Mutation::Unassign { stream }),
        created.prop_map(|(stream, name, config, created)| Mutation::StreamCreate {
            stream,
            name,
            config,
            created,
        }),
        id().prop_map(|stream| Mutation::StreamDelete { stream }),
        publish().prop_map(Mutation::Publish),
        (id(), any::<u64>()).prop_map(|(stream, first)| Mutation::Trim { stream, first }),
        (id(), sequences()).prop_map(|(stream, sequences)| Mutation::Remove { stream, sequences }),
        begun.prop_map(
            |(stream, consumer, config, created, start)| Mutation::ConsumerCreate {
                stream,
                consumer,
                config,
                created,
                start,
            }
        ),
        (id(), consumer_name())
            .prop_map(|(stream, consumer)| Mutation::ConsumerDelete { stream, consumer }),
        handed.prop_map(|(stream, consumer, at, deliveries)| Mutation::Delivered {
            stream,
            consumer,
            at,
            deliveries,
        }),
        (id(), consumer_name(), sequences()).prop_map(|(stream, consumer, sequences)| {
            Mutation::Acked {
                stream,
                consumer,
                sequences,
            }
        }),
    ]
}

proptest! {
    #[test]
    fn every_mutation_is_read_as_it_was_written(mutation in any_mutation()) {
        prop_assert_eq!(Mutation::decode(mutation.encode()), Ok(mutation));
    }

    #[test]
    fn whatever_bytes_are_read_are_written_again(
        tag in 0_u8..=13,
        rest in vec(any::<u8>(), 0..60),
    ) {
        let bytes: Bytes = [tag].into_iter().chain(rest).collect();
        if let Ok(mutation) = Mutation::decode(bytes.clone()) {
            prop_assert_eq!(mutation.encode(), bytes);
        }
    }
}
