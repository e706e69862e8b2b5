use std::time::Duration;

use relevo_protocol::jetstream::consumer::{AckPolicy, ConsumerConfig, DeliverPolicy};
use relevo_protocol::jetstream::stream::RetentionPolicy;
use relevo_protocol::time::Timestamp;
use serde_json::json;

use super::bench::{Bench, consumer_name, durable, shorts};

/// Publishes `s.a` 1, `s.b` 2, `s.a` 3, `s.c` 4, a second apart, then looks at what a consumer gets.
#[track_caller]
fn check_start(change: impl FnOnce(&mut ConsumerConfig), expected: &[&str]) {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    for (subject, text) in [("s.a", "1"), ("s.b", "2"), ("s.a", "3"), ("s.c", "4")] {
        bench.publish(subject, &[], text).unwrap();
        bench.pass(Duration::from_secs(1));
    }
    let mut config = durable("D");
    change(&mut config);
    let info = bench.consumer("S", config);
    assert_eq!(info["num_pending"], json!(expected.len()), "{info}");
    bench.restart();
    bench.publish("s.a", &[], "5").unwrap();
    let mut all: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
    all.push("5".to_owned());
    assert_eq!(shorts(&bench.fetch_messages("S", "D", 10)), all);
}

#[test]
fn a_consumer_begins_where_its_policy_says() {
    check_start(|_| {}, &["1", "2", "3", "4"]);
    check_start(|config| config.deliver_policy = DeliverPolicy::Last, &["4"]);
    check_start(|config| config.deliver_policy = DeliverPolicy::New, &[]);
    check_start(
        |config| {
            (config.deliver_policy, config.opt_start_seq) = (DeliverPolicy::ByStartSequence, 3)
        },
        &["3", "4"],
    );
    check_start(
        |config| {
            config.deliver_policy = DeliverPolicy::ByStartTime;
            config.opt_start_time = Some(Timestamp::parse("2026-01-01T00:00:01Z").unwrap());
        },
        &["2", "3", "4"],
    );
    check_start(
        |config| {
            config.deliver_policy = DeliverPolicy::LastPerSubject;
            config.filter_subject = "s.>".into();
        },
        &["2", "3", "4"],
    );
    check_start(|config| config.filter_subject = "s.a".into(), &["1", "3"]);
    check_start(
        |config| config.filter_subjects = vec!["s.a".into(), "s.c".into()],
        &["1", "3", "4"],
    );
    check_start(
        |config| {
            config.deliver_policy = DeliverPolicy::Last;
            config.filter_subject = "s.a".into();
        },
        &["3"],
    );
}

#[track_caller]
fn check_refused(bench: &mut Bench, config: ConsumerConfig, code: u64, text: &str) {
    let answer = bench.try_consumer("S", config);
    assert_eq!(
        (
            answer["error"]["err_code"].as_u64(),
            answer["error"]["description"].as_str()
        ),
        (Some(code), Some(text)),
        "{answer}"
    );
}

#[test]
fn what_is_not_served_or_makes_no_sense_is_refused() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    let with = |change: fn(&mut ConsumerConfig)| {
        let mut config = durable("D");
        change(&mut config);
        config
    };
    let push =
        "push consumers are not supported by this server; leave deliver_subject out and pull";
    check_refused(
        &mut bench,
        with(|c| c.deliver_subject = "x".into()),
        10012,
        push,
    );
    let sampled = "sample_freq is not supported by this server; leave it out";
    check_refused(
        &mut bench,
        with(|c| c.sample_freq = "100%".into()),
        10012,
        sampled,
    );
    let subset = "consumer filter subject is not a valid subset of the interest subjects";
    check_refused(
        &mut bench,
        with(|c| c.filter_subject = "t.a".into()),
        10093,
        subset,
    );
    let overlap = "consumer subject filters cannot overlap";
    check_refused(
        &mut bench,
        with(|c| c.filter_subjects = vec!["s.a".into(), "s.*".into()]),
        10138,
        overlap,
    );
    let backoff = "max deliver is required to be > length of backoff values";
    check_refused(
        &mut bench,
        with(|c| (c.max_deliver, c.backoff) = (1, vec![Duration::from_secs(1)])),
        10116,
        backoff,
    );
    let start = "consumer delivery policy is deliver by start sequence, but optional start sequence is not set";
    check_refused(
        &mut bench,
        with(|c| c.deliver_policy = DeliverPolicy::ByStartSequence),
        10094,
        start,
    );
}

#[test]
fn the_same_again_is_its_info_and_another_is_an_update_or_a_refusal() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    bench.fetch_messages("S", "C", 1);
    let records = bench.log.len();
    let again = bench.consumer("S", durable("C"));
    assert_eq!(again["num_ack_pending"], json!(1));
    assert_eq!(bench.log.len(), records);
    let mut config = durable("C");
    config.ack_wait = Duration::from_secs(5);
    let updated = bench.consumer("S", config.clone());
    assert_eq!(updated["config"]["ack_wait"], json!(5_000_000_000_u64));
    assert_eq!(updated["num_ack_pending"], json!(1));
    config.ack_policy = AckPolicy::All;
    check_refused(&mut bench, config, 10012, "ack policy can not be updated");
    let body = |action: &str, name: &str| json!({"stream_name": "S", "action": action, "config": {"durable_name": name}});
    let create = bench.ask("CONSUMER.CREATE.S.C", &body("create", "C"));
    assert_eq!(create["error"]["err_code"], json!(10148));
    let update = bench.ask("CONSUMER.CREATE.S.X", &body("update", "X"));
    assert_eq!(update["error"]["err_code"], json!(10149));
}

#[test]
fn the_three_create_requests_check_their_names() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    let cases = [
        ("CONSUMER.CREATE.S", json!({"durable_name": "D"}), 10020),
        ("CONSUMER.CREATE.S.D", json!({"durable_name": "E"}), 10017),
        (
            "CONSUMER.CREATE.S.D",
            json!({"durable_name": "D", "name": "E"}),
            10132,
        ),
        (
            "CONSUMER.CREATE.S.D.s.a",
            json!({"durable_name": "D"}),
            10131,
        ),
        (
            "CONSUMER.CREATE.S.D.s.a",
            json!({"durable_name": "D", "filter_subjects": ["s.a"]}),
            10137,
        ),
        ("CONSUMER.DURABLE.CREATE.S.D", json!({}), 10018),
        (
            "CONSUMER.DURABLE.CREATE.S.D",
            json!({"durable_name": "E"}),
            10017,
        ),
    ];
    for (subject, config, code) in cases {
        let answer = bench.ask(subject, &json!({"stream_name": "S", "config": config}));
        assert_eq!(
            answer["error"]["err_code"],
            json!(code),
            "{subject} {answer}"
        );
    }
    let mismatch = bench.ask(
        "CONSUMER.CREATE.S",
        &json!({"stream_name": "T", "config": {}}),
    );
    assert_eq!(mismatch["error"]["err_code"], json!(10056));
    let filtered = json!({"durable_name": "D", "filter_subject": "s.a"});
    let body = json!({"stream_name": "S", "config": filtered});
    let made = bench.ask("CONSUMER.CREATE.S.D.s.a", &body);
    assert_eq!(made["name"], json!("D"), "{made}");
}

#[test]
fn an_ephemeral_consumer_lives_on_the_leader_and_goes_when_nobody_uses_it() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one", "two"]);
    let records = bench.log.len();
    let made = bench.ask(
        "CONSUMER.CREATE.S",
        &json!({"stream_name": "S", "config": {"ack_policy": "explicit"}}),
    );
    let name = made["name"].as_str().unwrap().to_owned();
    let delivered = bench.fetch_messages("S", &name, 1);
    assert_eq!(shorts(&delivered), ["one"]);
    assert_eq!(bench.ack(&delivered[0].ack(), "+ACK"), "");
    assert_eq!(bench.log.len(), records);
    bench.pass(Duration::from_millis(4_999));
    assert_eq!(shorts(&bench.fetch_messages("S", &name, 1)), ["two"]);
    let names =
        |bench: &mut Bench| bench.ask("CONSUMER.NAMES.S", &json!(null))["consumers"].clone();
    assert_eq!(names(&mut bench), json!(["C", name]));
    bench.pass(Duration::from_secs(5));
    assert_eq!(names(&mut bench), json!(["C"]));
    let inbox = bench.pull("S", &name, &json!(null));
    assert_eq!(shorts(&bench.sent_to(&inbox)), ["503 "]);
}

#[test]
fn an_ephemeral_consumer_sees_only_what_is_committed() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    let config = ConsumerConfig {
        name: Some(consumer_name("E")),
        ..ConsumerConfig::default()
    };
    bench.consumer("S", config);
    let inbox = bench.pull(
        "S",
        "E",
        &json!({"batch": 1, "expires": 60_000_000_000_u64}),
    );
    bench.commits = false;
    bench.publish_with("s.a", &[], "one");
    assert!(bench.sent_to(&inbox).is_empty());
    bench.commit_all();
    assert_eq!(shorts(&bench.sent_to(&inbox)), ["one"]);
}

#[test]
fn deleting_a_consumer_ends_its_pulls() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    let inbox = bench.pull(
        "S",
        "C",
        &json!({"batch": 3, "expires": 60_000_000_000_u64}),
    );
    let deleted = bench.ask("CONSUMER.DELETE.S.C", &json!(null));
    assert_eq!(deleted["success"], json!(true));
    let ended = bench.answer(&inbox);
    assert_eq!(ended.short(), "409 Consumer Deleted");
    assert_eq!(ended.header("Nats-Pending-Messages"), Some("3"));
    let again = bench.ask("CONSUMER.DELETE.S.C", &json!(null));
    assert_eq!(again["error"]["err_code"], json!(10014));
}

#[test]
fn a_work_queue_has_one_consumer_for_each_message() {
    let mut bench = Bench::with_stream(
        |config| config.retention = RetentionPolicy::WorkQueue,
        |consumer| {
            consumer.filter_subject = "s.a".into();
        },
    );
    let filtered = |name: &str, filter: &str| ConsumerConfig {
        filter_subject: filter.into(),
        ..durable(name)
    };
    let unique = "filtered consumer not unique on workqueue stream";
    check_refused(&mut bench, filtered("D", "s.*"), 10100, unique);
    let unfiltered = "multiple non-filtered consumers not allowed on workqueue stream";
    check_refused(&mut bench, durable("D"), 10099, unfiltered);
    let explicit = "consumer in pull mode requires explicit ack policy on workqueue stream";
    let all = ConsumerConfig {
        ack_policy: AckPolicy::All,
        ..filtered("D", "s.b")
    };
    check_refused(&mut bench, all, 10084, explicit);
    let late = ConsumerConfig {
        deliver_policy: DeliverPolicy::New,
        ..filtered("D", "s.b")
    };
    check_refused(
        &mut bench,
        late,
        10101,
        "consumer must be deliver all on workqueue stream",
    );
    bench.consumer("S", filtered("D", "s.b"));
}

#[test]
fn a_pull_is_answered_by_what_it_asks_for() {
    let mut bench = Bench::with_stream(
        |_| {},
        |consumer| {
            consumer.max_waiting = 1;
            consumer.max_batch = 5;
            consumer.max_expires = Duration::from_secs(60);
        },
    );
    let minute = 60_000_000_000_u64;
    let cases = [
        (json!({"batch": 6}), "409 Exceeded MaxRequestBatch of 5"),
        (
            json!({"expires": minute + 1}),
            "409 Exceeded MaxRequestExpires of 1m",
        ),
        (
            json!({"expires": minute, "idle_heartbeat": minute}),
            "400 Bad Request - heartbeat value too large",
        ),
        (
            json!({"group": "g"}),
            "400 Bad Request - priority groups are not supported by this server",
        ),
        (json!({"no_wait": true}), "404 No Messages"),
    ];
    for (body, expected) in cases {
        let inbox = bench.pull("S", "C", &body);
        assert_eq!(shorts(&bench.sent_to(&inbox)), [expected], "{body}");
    }
    let first = bench.pull(
        "S",
        "C",
        &json!({"batch": 2, "expires": minute, "idle_heartbeat": minute / 4}),
    );
    let second = bench.pull("S", "C", &json!({"batch": 2, "expires": minute}));
    assert_eq!(shorts(&bench.sent_to(&second)), ["409 Exceeded MaxWaiting"]);
    bench.pass(Duration::from_secs(20));
    let beats = bench.sent_to(&first);
    assert_eq!(shorts(&beats), ["100 Idle Heartbeat"]);
    assert_eq!(beats[0].header("Nats-Last-Consumer"), Some("0"));
    bench.publish_all("s.a", &["one"]);
    let one = bench.sent_to(&first);
    assert_eq!(shorts(&one), ["one"]);
    bench.ack_silently(&one[0].ack(), "+ACK");
    bench.pass(Duration::from_secs(40));
    let rest = bench.sent_to(&first);
    let texts = [
        "100 Idle Heartbeat",
        "100 Idle Heartbeat",
        "408 Request Timeout",
    ];
    assert_eq!(shorts(&rest), texts);
    assert_eq!(rest[2].header("Nats-Pending-Messages"), Some("1"));
}

#[test]
fn a_pull_ends_where_its_bytes_end() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["12345", "12345", "12345"]);
    let inbox = bench.pull("S", "C", &json!({"batch": 5, "max_bytes": 20}));
    let sent = bench.sent_to(&inbox);
    assert_eq!(
        shorts(&sent),
        ["12345", "12345", "409 Message Size Exceeds MaxBytes"]
    );
    assert_eq!(sent[2].header("Nats-Pending-Messages"), Some("3"));
    assert_eq!(sent[2].header("Nats-Pending-Bytes"), Some("4"));
    let inbox = bench.pull("S", "C", &json!({"batch": 1, "max_bytes": 20}));
    assert_eq!(
        shorts(&bench.sent_to(&inbox)),
        ["12345", "409 Batch Completed"]
    );
}

#[test]
fn pulls_are_served_in_the_order_in_which_they_came() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    let body = json!({"batch": 2, "expires": 60_000_000_000_u64});
    let inboxes = [bench.pull("S", "C", &body), bench.pull("S", "C", &body)];
    bench.publish_all("s.a", &["1", "2", "3"]);
    assert_eq!(shorts(&bench.sent_to(&inboxes[0])), ["1", "2"]);
    assert_eq!(shorts(&bench.sent_to(&inboxes[1])), ["3"]);
}

#[test]
fn bodies_that_are_read_from_the_log_leave_in_order() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["1", "2", "3"]);
    bench.restart();
    bench.publish_all("s.a", &["4"]);
    let inbox = bench.pull("S", "C", &json!({"batch": 9, "no_wait": true}));
    assert!(bench.sent_to(&inbox).is_empty());
    assert_eq!(bench.reads.len(), 3);
    bench.reads.make_contiguous().reverse();
    bench.answer_reads();
    assert_eq!(
        shorts(&bench.sent_to(&inbox)),
        ["1", "2", "3", "4", "408 Request Timeout"]
    );
}

#[test]
fn headers_only_tells_the_size_of_what_is_left_out() {
    let mut bench = Bench::with_stream(|_| {}, |consumer| consumer.headers_only = true);
    bench.publish("s.a", &[("X", "y")], "12345").unwrap();
    let sent = bench.fetch_messages("S", "C", 1);
    assert_eq!(sent[0].text(), "");
    assert_eq!(
        (sent[0].header("X"), sent[0].header("Nats-Msg-Size")),
        (Some("y"), Some("5"))
    );
    assert_eq!(sent[0].shown.as_deref(), Some("s.a"));
}

#[test]
fn a_pull_that_does_not_wait_is_answered_at_once_also_behind_one_that_does() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    let wait = json!({"batch": 2, "expires": 60_000_000_000_u64});
    let patient = bench.pull("S", "C", &wait);
    assert_eq!(shorts(&bench.fetch("S", "C", 1)), ["404 No Messages"]);
    bench.publish_all("s.a", &["one"]);
    assert_eq!(shorts(&bench.sent_to(&patient)), ["one"]);
}

#[test]
fn those_who_wait_hear_of_the_end_also_while_bodies_are_read() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    bench.restart();
    let wait = json!({"batch": 1, "expires": 60_000_000_000_u64});
    bench.pull("S", "C", &wait);
    let waiting = bench.pull("S", "C", &wait);
    bench.ask("CONSUMER.DELETE.S.C", &json!(null));
    assert_eq!(shorts(&bench.sent_to(&waiting)), ["409 Consumer Deleted"]);
    bench.answer_reads();
}

#[test]
fn another_filter_changes_what_is_still_to_come() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    for (subject, text) in [("s.a", "1"), ("s.b", "2"), ("s.a", "3"), ("s.b", "4")] {
        bench.publish(subject, &[], text).unwrap();
    }
    assert_eq!(shorts(&bench.fetch_messages("S", "C", 1)), ["1"]);
    let mut config = durable("C");
    config.filter_subject = "s.b".into();
    assert_eq!(bench.consumer("S", config)["num_pending"], json!(2));
    assert_eq!(shorts(&bench.fetch_messages("S", "C", 9)), ["2", "4"]);
}

#[test]
fn a_durable_consumer_that_nobody_uses_goes_where_it_says_so() {
    let mut bench = Bench::with_stream(
        |_| {},
        |consumer| consumer.inactive_threshold = Duration::from_secs(10),
    );
    bench.unwritable = Some(crate::desk::Unwritable::PeerAway);
    bench.pass(Duration::from_secs(15));
    assert_eq!(
        bench.ask("CONSUMER.INFO.S.C", &json!(null))["name"],
        json!("C")
    );
    bench.unwritable = None;
    bench.pass(Duration::from_secs(10));
    let gone = bench.ask("CONSUMER.INFO.S.C", &json!(null));
    assert_eq!(gone["error"]["err_code"], json!(10014));
}
