use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::identity::{Position, StreamId};
use relevo_protocol::mutation::{Delivery, Mutation, Publish};
use relevo_protocol::name::{ConsumerName, MemberName, StreamName};
use relevo_protocol::time::Timestamp;
use relevo_protocol::wire::DecodeError;

use super::bench::{Bench, SHARD, headers};
use crate::streams::Streams;

fn restore(bytes: Bytes) -> Result<Streams, DecodeError> {
    Streams::restore(SHARD, MemberName::parse("a").unwrap(), bytes)
}

/// A queue with something of everything in it.
fn sample() -> Bench {
    let mut bench = Bench::with_queue(|_| {});
    bench
        .publish("$Q.jobs", &[("Nats-Msg-Id", "id-1")], "one")
        .unwrap();
    bench
        .publish(
            "$Q.jobs",
            &[("Relevo-Key", "k"), ("Relevo-Priority", "7")],
            "two",
        )
        .unwrap();
    bench.pass(Duration::from_secs(1));
    bench
        .publish("$Q.jobs", &[("Relevo-Delay", "5s")], "three")
        .unwrap();
    bench.fetch_messages("Q_jobs", "workers", 1);
    bench
}

/// Bytes as hexadecimal digits, 32 a line.
fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| {
        line.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            + "\n"
    });
    lines.collect()
}

#[test]
fn the_state_has_these_bytes() {
    let mut streams = Streams::new(SHARD, MemberName::parse("a").unwrap());
    let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
    let stream = StreamId(7);
    let consumer = ConsumerName::parse("W").unwrap();
    let config = br#"{"name":"Q","subjects":["q.>"],"retention":"workqueue","duplicate_window":60000000000,"metadata":{"relevo.kind":"queue"}}"#;
    let worker = br#"{"durable_name":"W","ack_policy":"explicit"}"#;
    let publish = |sequence, seconds, subject: &'static str, pairs: &[(&str, &str)]| {
        Mutation::Publish(Publish {
            stream,
            sequence,
            at: at(seconds),
            subject: Bytes::from_static(subject.as_bytes()),
            headers: headers(pairs),
            payload: Bytes::from_static(b"body"),
        })
    };
    let log = [
        Mutation::StreamCreate {
            stream,
            name: StreamName::parse("Q").unwrap(),
            config: Bytes::from_static(config),
            created: at(1),
        },
        Mutation::ConsumerCreate {
            stream,
            consumer: consumer.clone(),
            config: Bytes::from_static(worker),
            created: at(2),
            start: 1,
        },
        publish(1, 3, "q.b", &[("Nats-Msg-Id", "id-1")]),
        publish(
            2,
            4,
            "q.a",
            &[("Relevo-Key", "k"), ("Relevo-Priority", "7")],
        ),
        publish(3, 4, "q.b", &[("Relevo-Delay", "5s")]),
        publish(4, 5, "q.b", &[("Nats-Msg-Id", "id-4")]),
        Mutation::Delivered {
            stream,
            consumer,
            at: at(6),
            deliveries: vec![
                Delivery {
                    stream_sequence: 2,
                    consumer_sequence: 1,
                    count: 1,
                },
                Delivery {
                    stream_sequence: 1,
                    consumer_sequence: 2,
                    count: 1,
                },
            ],
        },
        Mutation::Remove {
            stream,
            sequences: vec![1],
        },
    ];
    for (position, mutation) in (1..).zip(&log) {
        streams.apply(Position(position), mutation, None).unwrap();
    }
    assert_eq!(hex(&streams.snapshot()), include_str!("golden_state.hex"));
}

#[test]
fn what_was_written_is_read_back_and_every_cut_is_refused() {
    let bytes = sample().leader.snapshot();
    assert_eq!(restore(bytes.clone()).unwrap().snapshot(), bytes);
    for cut in 0..bytes.len() {
        assert!(restore(bytes.slice(..cut)).is_err(), "{cut}");
    }
    assert_eq!(
        restore(Bytes::from_static(&[2])).unwrap_err(),
        DecodeError::Unknown {
            what: "snapshot format",
            value: 2
        }
    );
}

#[test]
fn the_bytes_do_not_depend_on_how_the_state_came_about() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    for n in 0..3000_u64 {
        bench.publish(&format!("s.{}", n % 7), &[], "x").unwrap();
        if n % 500 == 0 {
            bench.restart();
        }
    }
    for sequence in (1..2900_u64).filter(|sequence| sequence % 13 != 0) {
        let body = serde_json::json!({"seq": sequence});
        bench.ask("STREAM.MSG.DELETE.S", &body);
        if sequence % 700 == 0 {
            bench.restart();
        }
    }
    assert_eq!(bench.leader.snapshot(), bench.follower.snapshot());
}
