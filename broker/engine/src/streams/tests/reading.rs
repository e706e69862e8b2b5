use relevo_protocol::frame::{Message, Order, Report, Work};
use relevo_protocol::identity::StreamId;
use relevo_protocol::jetstream::json::encode;
use relevo_protocol::jetstream::stream::StreamConfig;
use serde_json::{Value, json};

use super::bench::{Bench, SHARD, message, name, shorts};

fn filled() -> Bench {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    for (subject, text) in [
        ("s.a", "1"),
        ("s.b", "2"),
        ("s.a", "3"),
        ("s.c", "4"),
        ("s.b", "5"),
    ] {
        bench.publish(subject, &[], text).unwrap();
        bench.pass(std::time::Duration::from_secs(1));
    }
    bench.ask("STREAM.MSG.DELETE.S", &json!({"seq": 4}));
    bench
}

#[track_caller]
fn check_get(body: &Value, expected: Result<u64, u64>) {
    for from_log in [false, true] {
        let mut bench = filled();
        if from_log {
            bench.restart();
        }
        let answer = bench.ask("STREAM.MSG.GET.S", body);
        let found = answer["message"]["seq"]
            .as_u64()
            .ok_or(answer["error"]["err_code"].as_u64());
        assert_eq!(found, expected.map_err(Some), "{body}: {answer}");
    }
}

#[test]
fn one_message_is_got_by_sequence_or_subject() {
    check_get(&json!({"seq": 3}), Ok(3));
    check_get(&json!({"seq": 4}), Err(10037));
    check_get(&json!({"seq": 99}), Err(10037));
    check_get(&json!({"last_by_subj": "s.a"}), Ok(3));
    check_get(&json!({"last_by_subj": "s.*"}), Ok(5));
    check_get(&json!({"last_by_subj": "s.c"}), Err(10037));
    check_get(&json!({"next_by_subj": "s.a"}), Ok(1));
    check_get(&json!({"seq": 2, "next_by_subj": "s.a"}), Ok(3));
    check_get(&json!({"seq": 4, "next_by_subj": "s.a"}), Err(10037));
    check_get(&json!({"start_time": "2026-01-01T00:00:02Z"}), Ok(3));
    check_get(&json!({}), Err(10003));
    check_get(&json!({"seq": 1, "last_by_subj": "s.a"}), Err(10003));
}

#[test]
fn direct_get_answers_with_the_message_and_where_it_comes_from() {
    let mut bench = filled();
    let inbox = bench.api("DIRECT.GET.S", &json!({"seq": 2}));
    let got = bench.answer(&inbox);
    assert_eq!(got.text(), "2");
    let headers = [
        "Nats-Stream",
        "Nats-Subject",
        "Nats-Sequence",
        "Nats-Time-Stamp",
    ];
    assert_eq!(
        headers.map(|name| got.header(name).unwrap_or_default()),
        ["S", "s.b", "2", "2026-01-01T00:00:01Z"]
    );
    let inbox = bench.api("DIRECT.GET.S.s.a", &Value::Null);
    assert_eq!(bench.answer(&inbox).text(), "3");
    let statuses = [
        (json!({"seq": 4}), "404 Message Not Found"),
        (json!({"seq": 1, "last_by_subj": "s.a"}), "408 Bad Request"),
        (json!("x"), "408 Malformed Request"),
        (Value::Null, "408 Empty Request"),
    ];
    for (body, status) in statuses {
        let inbox = bench.api("DIRECT.GET.S", &body);
        assert_eq!(shorts(&bench.sent_to(&inbox)), [status], "{body}");
    }
}

#[track_caller]
fn check_batch(body: &Value, expected: &[&str], pending: &str) {
    for from_log in [false, true] {
        let mut bench = filled();
        if from_log {
            bench.restart();
        }
        let inbox = bench.api("DIRECT.GET.S", body);
        bench.answer_reads();
        let sent = bench.sent_to(&inbox);
        assert_eq!(shorts(&sent), expected, "{body}");
        assert_eq!(
            sent.last()
                .unwrap()
                .header("Nats-Num-Pending")
                .unwrap_or(""),
            pending
        );
    }
}

#[test]
fn direct_get_of_a_batch_ends_with_a_status() {
    check_batch(&json!({"batch": 2}), &["1", "2", "204 EOB"], "2");
    check_batch(
        &json!({"batch": 9, "seq": 2}),
        &["2", "3", "5", "204 EOB"],
        "0",
    );
    check_batch(
        &json!({"batch": 9, "next_by_subj": "s.b"}),
        &["2", "5", "204 EOB"],
        "0",
    );
    check_batch(
        &json!({"batch": 1, "next_by_subj": "s.b"}),
        &["2", "204 EOB"],
        "1",
    );
    check_batch(
        &json!({"batch": 9, "start_time": "2026-01-01T00:00:02Z"}),
        &["3", "5", "204 EOB"],
        "0",
    );
    check_batch(
        &json!({"batch": 9, "max_bytes": 9}),
        &["1", "2", "204 EOB"],
        "2",
    );
    check_batch(
        &json!({"batch": 9, "seq": 99}),
        &["404 Message Not Found"],
        "",
    );
}

#[test]
fn a_batch_may_be_as_long_as_a_batch_may_be() {
    const COUNT: usize = 1024;
    for from_log in [false, true] {
        let mut bench = Bench::with_stream(|_| {}, |_| {});
        for _ in 0..COUNT {
            bench.publish("s.a", &[], "x").unwrap();
        }
        if from_log {
            bench.restart();
        }
        let inbox = bench.api("DIRECT.GET.S", &json!({"batch": COUNT}));
        bench.answer_reads();
        let sent = bench.sent_to(&inbox);
        assert_eq!(sent.len(), COUNT + 1);
    }
}

#[test]
fn a_purge_removes_what_it_names() {
    let cases = [
        (Value::Null, 4, vec![]),
        (json!({"seq": 3}), 2, vec![3, 5]),
        (json!({"keep": 1}), 3, vec![5]),
        (json!({"filter": "s.a"}), 2, vec![2, 5]),
        (json!({"filter": "s.a", "keep": 1}), 1, vec![2, 3, 5]),
        (json!({"filter": "s.*", "seq": 3}), 2, vec![3, 5]),
        (json!({"keep": 99}), 0, vec![1, 2, 3, 5]),
    ];
    for (body, purged, left) in cases {
        let mut bench = filled();
        let answer = bench.ask("STREAM.PURGE.S", &body);
        assert_eq!(answer["purged"], json!(purged), "{body}: {answer}");
        let live: Vec<u64> = (1..=5)
            .filter(|sequence| bench.leader.is_live(1, *sequence))
            .collect();
        assert_eq!(live, left, "{body}");
    }
    let refused = filled().ask("STREAM.PURGE.S", &json!({"keep": 1, "seq": 1}));
    assert_eq!(refused["error"]["err_code"], json!(10110));
}

#[test]
fn what_a_stream_does_not_permit_is_refused() {
    let mut bench = Bench::with_stream(
        |config| (config.deny_purge, config.deny_delete) = (true, true),
        |_| {},
    );
    bench.publish_all("s.a", &["1"]);
    let purge = bench.ask("STREAM.PURGE.S", &Value::Null);
    assert_eq!(
        purge["error"]["description"],
        json!("stream purge not permitted")
    );
    let delete = bench.ask("STREAM.MSG.DELETE.S", &json!({"seq": 1}));
    assert_eq!(
        delete["error"]["description"],
        json!("message delete not permitted")
    );
}

#[test]
fn stream_info_tells_messages_per_subject_when_asked() {
    let mut bench = filled();
    let info = bench.ask("STREAM.INFO.S", &json!({"subjects_filter": ">"}));
    assert_eq!(info["state"]["subjects"], json!({"s.a": 2, "s.b": 2}));
    assert_eq!(info["state"]["num_subjects"], json!(2));
    assert_eq!(info["state"]["num_deleted"], json!(1));
    assert_eq!(info["cluster"]["leader"], json!("a"));
    assert_eq!(
        info["type"],
        json!("io.nats.jetstream.api.v1.stream_info_response")
    );
    let missing = bench.ask("STREAM.INFO.X", &Value::Null);
    assert_eq!(missing["error"]["err_code"], json!(10059));
}

#[test]
fn the_directory_may_create_twice_and_delete_twice() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    let records = bench.log.len();
    let config = bench.ask("STREAM.INFO.S", &Value::Null)["config"].clone();
    let order = Order::CreateStream {
        stream: StreamId(1),
        name: name("S"),
        config: config.to_string().into(),
        created: bench.now.wall,
        request: message("$JS.API.STREAM.CREATE.S", "_INBOX.c", &[], b""),
    };
    bench.act(|streams, desk| streams.on_order(desk, order));
    assert_eq!(
        bench.answer("_INBOX.c").json()["state"]["messages"],
        json!(0)
    );
    assert_eq!(bench.log.len(), records);
    let inbox = bench.pull(
        "S",
        "C",
        &json!({"batch": 1, "expires": 60_000_000_000_u64}),
    );
    for _ in 0..2 {
        let request = message("$JS.API.STREAM.DELETE.S", "_INBOX.d", &[], b"");
        let order = Order::DeleteStream {
            stream: StreamId(1),
            request: request.clone(),
        };
        bench.act(|streams, desk| streams.on_order(desk, order));
        let report = Report::StreamDeleted {
            stream: StreamId(1),
            request,
        };
        assert_eq!(bench.told.pop(), Some(Work::Report(report)));
    }
    assert_eq!(bench.answer(&inbox).short(), "409 Consumer Deleted");
    assert_eq!(bench.log.len(), records + 1);
    assert_eq!(bench.leader.next_timer(), None);
    assert_eq!(
        bench.publish("s.a", &[], "x"),
        Err((10059, "stream not found".into()))
    );
}

#[test]
fn a_deleted_stream_never_begins_again_under_its_number() {
    let mut bench = filled();
    let stream = StreamId(1);
    let request = message("$JS.API.STREAM.DELETE.S", "_INBOX.d", &[], b"");
    let order = Order::DeleteStream { stream, request };
    bench.act(|streams, desk| streams.on_order(desk, order));
    bench.told.clear();
    bench.restart();
    let request = message("$JS.API.STREAM.CREATE.S", "_INBOX.c", &[], b"");
    let order = Order::CreateStream {
        stream,
        name: name("S"),
        config: encode(&StreamConfig::new(name("S")).with_defaults()).into(),
        created: bench.now.wall,
        request: request.clone(),
    };
    let records = bench.log.len();
    bench.act(|streams, desk| streams.on_order(desk, order));
    let refused = bench.answer("_INBOX.c").json();
    assert_eq!(refused["error"]["err_code"], 10008);
    let request = Message {
        reply: None,
        ..request
    };
    let report = Report::StreamDeleted { stream, request };
    assert_eq!(bench.told.pop(), Some(Work::Report(report)));
    assert_eq!(bench.log.len(), records);
}

#[test]
fn streams_are_listed_on_followers_too() {
    let mut bench = filled();
    bench.fail_over();
    bench.unwritable = Some(crate::desk::Unwritable::PeerAway);
    bench.leader.ceased_to_lead();
    bench.act(|streams, desk| streams.on_order(desk, Order::ListStreams { ask: 7 }));
    let Some(Work::Report(Report::Streams { ask, shard, infos })) = bench.told.pop() else {
        panic!("no report");
    };
    assert_eq!((ask, shard, infos.len()), (7, SHARD, 1));
    let info: Value = serde_json::from_slice(&infos[0]).unwrap();
    assert_eq!(info["state"]["messages"], json!(4));
}

#[test]
fn a_request_for_a_newer_api_is_refused() {
    let mut bench = filled();
    let level = [("Nats-Required-Api-Level", "99")];
    bench.api_bytes("STREAM.INFO.S", "_INBOX.x", &level, b"");
    assert_eq!(
        bench.answer("_INBOX.x").json()["error"]["err_code"],
        json!(10185)
    );
    bench.api_bytes("DIRECT.GET.S", "_INBOX.y", &level, b"{\"seq\": 1}");
    assert_eq!(bench.answer("_INBOX.y").short(), "412 Required Api Level");
}

#[test]
fn the_last_message_of_a_subject_is_the_one_before_when_it_is_deleted() {
    let mut bench = filled();
    bench.ask("STREAM.MSG.DELETE.S", &json!({"seq": 3}));
    let got = bench.ask("STREAM.MSG.GET.S", &json!({"last_by_subj": "s.a"}));
    assert_eq!(got["message"]["seq"], json!(1));
    let expects = |last| [("Nats-Expected-Last-Subject-Sequence", last)];
    let wrong = bench.publish("s.a", &expects("3"), "x");
    assert_eq!(wrong, Err((10071, "wrong last sequence: 1".into())));
    assert_eq!(bench.publish("s.a", &expects("1"), "x"), Ok(6));
}
