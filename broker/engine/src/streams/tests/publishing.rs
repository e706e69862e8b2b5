use std::time::Duration;

use relevo_protocol::jetstream::stream::{DiscardPolicy, StreamConfig};
use serde_json::{Value, json};

use super::bench::Bench;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn stored(bench: &mut Bench) -> Vec<u64> {
    let info = bench.ask("STREAM.INFO.S", &json!({"deleted_details": true}));
    let state = &info["state"];
    let (first, last) = (
        state["first_seq"].as_u64().unwrap(),
        state["last_seq"].as_u64().unwrap(),
    );
    let deleted: Vec<u64> = match &state["deleted"] {
        Value::Null => Vec::new(),
        list => serde_json::from_value(list.clone()).unwrap(),
    };
    let kept: Vec<u64> = (first..=last)
        .filter(|seq| !deleted.contains(seq))
        .collect();
    assert_eq!(state["messages"], json!(kept.len()), "{info}");
    kept
}

/// Publishes `subjects` one after the other into a stream of this configuration and looks at what is
/// kept.
#[track_caller]
fn check_limits(change: impl FnOnce(&mut StreamConfig), subjects: &[&str], expected: &[u64]) {
    let mut bench = Bench::with_stream(change, |_| {});
    for subject in subjects {
        let _ = bench.publish(subject, &[], "12345");
    }
    assert_eq!(stored(&mut bench), expected);
}

#[track_caller]
fn check(bench: &mut Bench, subject: &str, pairs: Pairs<'_>, expected: Result<u64, (u64, &str)>) {
    let outcome = bench.publish(subject, pairs, "x");
    let outcome = outcome
        .as_ref()
        .map_err(|(code, text)| (*code, text.as_str()));
    assert_eq!(outcome.copied(), expected, "{pairs:?}");
}

#[test]
fn limits_drop_the_oldest_or_refuse_the_newest() {
    let two = |config: &mut StreamConfig| config.max_msgs = 2;
    check_limits(two, &["s.a", "s.b", "s.c"], &[2, 3]);
    check_limits(
        |config| (config.max_msgs, config.discard) = (2, DiscardPolicy::New),
        &["s.a", "s.b", "s.c"],
        &[1, 2],
    );
    check_limits(
        |config| config.max_bytes = 17,
        &["s.a", "s.b", "s.c"],
        &[2, 3],
    );
    check_limits(
        |config| (config.max_bytes, config.discard) = (17, DiscardPolicy::New),
        &["s.a", "s.b", "s.c"],
        &[1, 2],
    );
    check_limits(
        |config| config.max_msgs_per_subject = 1,
        &["s.a", "s.b", "s.a", "s.c", "s.b"],
        &[3, 4, 5],
    );
    check_limits(
        |config| config.max_msgs_per_subject = 2,
        &["s.a", "s.b", "s.a", "s.a", "s.a"],
        &[2, 4, 5],
    );
    check_limits(|config| config.max_msg_size = 4, &["s.a"], &[]);
    check_limits(
        |config| config.first_seq = 100,
        &["s.a", "s.b"],
        &[100, 101],
    );
}

#[test]
fn a_refusal_at_a_limit_says_which() {
    let mut bench = Bench::with_stream(
        |config| {
            config.discard = DiscardPolicy::New;
            config.discard_new_per_subject = true;
            config.max_msgs_per_subject = 1;
            config.max_msgs = 2;
            config.max_msg_size = 10;
        },
        |_| {},
    );
    check(&mut bench, "s.a", &[], Ok(1));
    check(
        &mut bench,
        "s.a",
        &[],
        Err((10077, "maximum messages per subject exceeded")),
    );
    check(&mut bench, "s.b", &[], Ok(2));
    check(
        &mut bench,
        "s.c",
        &[],
        Err((10077, "maximum messages exceeded")),
    );
    let too_large = bench.publish("s.d", &[], "12345678901");
    assert_eq!(
        too_large,
        Err((10054, "message size exceeds maximum allowed".into()))
    );
}

#[test]
fn an_id_seen_before_is_answered_with_the_first_sequence_while_the_window_lasts() {
    let mut bench = Bench::with_stream(
        |config| config.duplicate_window = Duration::from_secs(10),
        |_| {},
    );
    let id: Pairs<'_> = &[("Nats-Msg-Id", "one")];
    check(&mut bench, "s.a", id, Ok(1));
    bench.publish("s.a", &[], "other").unwrap();
    let inbox = bench.publish_with("s.a", id, "x");
    assert_eq!(
        bench.answer(&inbox).json(),
        json!({"stream": "S", "seq": 1, "duplicate": true})
    );
    bench.ask("STREAM.MSG.DELETE.S", &json!({"seq": 1}));
    check(&mut bench, "s.a", id, Ok(1));
    bench.restart();
    bench.pass(Duration::from_millis(9_900));
    check(&mut bench, "s.a", id, Ok(1));
    bench.pass(Duration::from_millis(100));
    check(&mut bench, "s.a", id, Ok(3));
}

#[test]
fn a_duplicate_is_answered_only_when_the_original_is_committed() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.commits = false;
    let first = bench.publish_with("s.a", &[("Nats-Msg-Id", "one")], "x");
    let second = bench.publish_with("s.a", &[("Nats-Msg-Id", "one")], "x");
    assert!(bench.sent().is_empty());
    bench.commit_all();
    let answers: Vec<String> = bench.sent().iter().map(|sent| sent.to.clone()).collect();
    assert_eq!(answers, [first, second]);
}

#[test]
fn a_message_is_stored_only_where_the_publisher_expects_the_stream_to_be() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    check(
        &mut bench,
        "s.a",
        &[("Nats-Msg-Id", "m1"), ("Nats-Expected-Stream", "S")],
        Ok(1),
    );
    check(
        &mut bench,
        "s.a",
        &[("Nats-Expected-Stream", "T")],
        Err((10060, "expected stream does not match")),
    );
    check(
        &mut bench,
        "s.b",
        &[("Nats-Expected-Last-Sequence", "1")],
        Ok(2),
    );
    check(
        &mut bench,
        "s.b",
        &[("Nats-Expected-Last-Sequence", "1")],
        Err((10071, "wrong last sequence: 2")),
    );
    check(
        &mut bench,
        "s.b",
        &[("Nats-Expected-Last-Msg-Id", "m1")],
        Err((10070, "wrong last msg ID: ")),
    );
    let of_subject = "Nats-Expected-Last-Subject-Sequence";
    check(&mut bench, "s.a", &[(of_subject, "1")], Ok(3));
    check(
        &mut bench,
        "s.a",
        &[(of_subject, "1")],
        Err((10071, "wrong last sequence: 3")),
    );
    check(&mut bench, "s.new", &[(of_subject, "0")], Ok(4));
    let subject = "Nats-Expected-Last-Subject-Sequence-Subject";
    check(
        &mut bench,
        "s.b",
        &[(of_subject, "4"), (subject, "s.*")],
        Ok(5),
    );
    check(
        &mut bench,
        "s.b",
        &[(subject, "s.*")],
        Err((
            10193,
            "missing sequence for expected last sequence per subject",
        )),
    );
}

#[test]
fn headers_that_ask_for_what_is_not_built_are_refused() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    let ttl = "per-message TTL is disabled";
    check(&mut bench, "s.a", &[("Nats-TTL", "5s")], Err((10166, ttl)));
    let rollup = "rollup not permitted; this server does not serve Nats-Rollup";
    check(
        &mut bench,
        "s.a",
        &[("Nats-Rollup", "sub")],
        Err((10077, rollup)),
    );
    let schedules = "message schedules is disabled";
    check(
        &mut bench,
        "s.a",
        &[("Nats-Schedule-Target", "x")],
        Err((10188, schedules)),
    );
    let atomic = "atomic publish is disabled";
    check(
        &mut bench,
        "s.a",
        &[("Nats-Batch-Id", "x")],
        Err((10174, atomic)),
    );
    check(
        &mut bench,
        "s.a",
        &[("Nats-Incr", "1")],
        Err((10168, "message counters is disabled")),
    );
    let level = "JetStream minimum api level required";
    check(
        &mut bench,
        "s.a",
        &[("Nats-Required-Api-Level", "99")],
        Err((10185, level)),
    );
    let queues = "Relevo-Delay, Relevo-Priority and Relevo-Key are for queues; this stream is none";
    check(
        &mut bench,
        "s.a",
        &[("Relevo-Delay", "1s")],
        Err((10077, queues)),
    );
    check(&mut bench, "s.a", &[("X-Own", "1")], Ok(1));
}

#[test]
fn messages_go_when_they_are_too_old() {
    let mut bench = Bench::with_stream(|config| config.max_age = Duration::from_secs(10), |_| {});
    for _ in 0..3 {
        bench.publish("s.a", &[], "x").unwrap();
        bench.pass(Duration::from_secs(4));
    }
    assert_eq!(stored(&mut bench), [2, 3]);
    bench.restart();
    bench.pass(Duration::from_secs(2));
    assert_eq!(stored(&mut bench), [3]);
    bench.pass(Duration::from_secs(10));
    assert_eq!(stored(&mut bench), [] as [u64; 0]);
    assert_eq!(bench.leader.live_from(), [(1, 4)]);
}

#[test]
fn a_wall_clock_that_jumps_expires_nothing() {
    let mut bench = Bench::with_stream(|config| config.max_age = Duration::from_secs(10), |_| {});
    bench.publish("s.a", &[], "x").unwrap();
    bench.now.wall = bench.now.wall.saturating_add(Duration::from_secs(3600));
    bench.pass(Duration::from_secs(9));
    assert_eq!(stored(&mut bench), [1]);
    bench.publish("s.a", &[], "y").unwrap();
    let got = bench.ask("STREAM.MSG.GET.S", &json!({"seq": 2}));
    assert_eq!(got["message"]["time"], json!("2026-01-01T00:00:09Z"));
}

#[test]
fn readers_see_a_message_only_when_it_is_committed() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.commits = false;
    let ack = bench.publish_with("s.a", &[], "hello");
    let seen = |bench: &mut Bench| {
        let inbox = bench.api("STREAM.INFO.S", &Value::Null);
        let info = bench.answer(&inbox).json();
        let inbox = bench.api("CONSUMER.INFO.S.C", &Value::Null);
        let consumer = bench.answer(&inbox).json();
        let inbox = bench.api("STREAM.MSG.GET.S", &json!({"last_by_subj": "s.a"}));
        let found = bench.answer(&inbox).json()["message"]["data"].clone();
        (
            info["state"]["messages"].clone(),
            consumer["num_pending"].clone(),
            found,
        )
    };
    assert_eq!(seen(&mut bench), (json!(0), json!(0), Value::Null));
    assert!(bench.sent_to(&ack).is_empty());
    bench.commit_all();
    assert_eq!(seen(&mut bench), (json!(1), json!(1), json!("aGVsbG8=")));
    assert_eq!(bench.answer(&ack).json(), json!({"stream": "S", "seq": 1}));
}

#[test]
fn ids_older_than_the_window_are_forgotten_with_the_next_message() {
    let window = Duration::from_secs(10);
    let mut bench = Bench::with_stream(|config| config.duplicate_window = window, |_| {});
    check(&mut bench, "s.a", &[("Nats-Msg-Id", "first-id")], Ok(1));
    let knows = |bench: &Bench| {
        let state = bench.leader.snapshot();
        state.windows(8).any(|bytes| bytes == b"first-id")
    };
    bench.publish("s.a", &[], "x").unwrap();
    assert!(knows(&bench));
    bench.pass(window);
    bench.publish("s.a", &[], "x").unwrap();
    assert!(!knows(&bench));
}
