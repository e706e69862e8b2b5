use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, durable, shorts};
use crate::desk::Unwritable;

const AWAY: &str = "peer away, nothing was written; try again";

#[test]
fn nothing_is_written_while_the_peer_is_away_and_everyone_is_told() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one", "two"]);
    let held = bench.fetch_messages("S", "C", 1);
    let waiting = bench.pull("S", "C", &json!({"batch": 1, "no_wait": true}));
    bench.sent_to(&waiting);
    let records = bench.log.len();
    bench.unwritable = Some(Unwritable::PeerAway);
    assert_eq!(bench.publish("s.a", &[], "x"), Err((10008, AWAY.into())));
    let answer = bench.try_consumer("S", durable("D"));
    assert_eq!(answer["error"]["code"], json!(503));
    assert_eq!(answer["error"]["description"], json!(AWAY));
    for request in ["CONSUMER.DELETE.S.C", "STREAM.PURGE.S"] {
        let answer = bench.ask(request, &Value::Null);
        assert_eq!(answer["error"]["description"], json!(AWAY), "{request}");
    }
    let delete = bench.ask("STREAM.MSG.DELETE.S", &json!({"seq": 1}));
    assert_eq!(delete["error"]["description"], json!(AWAY));
    let inbox = bench.pull("S", "C", &json!({"batch": 1}));
    assert_eq!(shorts(&bench.sent_to(&inbox)), [format!("503 {AWAY}")]);
    assert_eq!(bench.ack(&held[0].ack(), "+ACK"), format!("503 {AWAY}"));
    bench.ack_silently(&held[0].ack(), "+ACK");
    assert!(bench.sent().is_empty());
    assert_eq!(bench.log.len(), records);
    let got = bench.ask("STREAM.MSG.GET.S", &json!({"seq": 1}));
    assert_eq!(got["message"]["seq"], json!(1));
    bench.unwritable = None;
    assert_eq!(bench.ack(&held[0].ack(), "+ACK"), "");
}

#[test]
fn a_full_log_is_told_as_such() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.unwritable = Some(Unwritable::LogFull);
    let full = "insufficient storage resources available";
    assert_eq!(bench.publish("s.a", &[], "x"), Err((10047, full.into())));
}

#[test]
fn pulls_that_wait_are_served_when_the_peer_is_back() {
    let mut bench = Bench::with_stream(
        |_| {},
        |consumer| consumer.ack_wait = Duration::from_secs(1),
    );
    bench.publish_all("s.a", &["one"]);
    bench.fetch_messages("S", "C", 1);
    let inbox = bench.pull(
        "S",
        "C",
        &json!({"batch": 1, "expires": 60_000_000_000_u64}),
    );
    bench.unwritable = Some(Unwritable::PeerAway);
    let committed = bench.committed;
    bench.act(|streams, desk| streams.on_committed(desk, committed));
    bench.pass(Duration::from_secs(2));
    assert!(bench.sent_to(&inbox).is_empty());
    bench.unwritable = None;
    bench.act(|streams, desk| streams.on_committed(desk, committed));
    assert_eq!(shorts(&bench.sent_to(&inbox)), ["one"]);
}

#[test]
fn a_member_that_does_not_lead_writes_nothing_and_says_so() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.leader.ceased_to_lead();
    bench.unwritable = Some(Unwritable::PeerAway);
    assert_eq!(bench.publish("s.a", &[], "x"), Err((10008, AWAY.into())));
    let info = bench.ask("STREAM.INFO.S", &Value::Null);
    assert_eq!(info["error"]["description"], json!(AWAY));
    let inbox = bench.pull("S", "C", &Value::Null);
    assert_eq!(shorts(&bench.sent_to(&inbox)), [format!("503 {AWAY}")]);
    assert_eq!(
        bench.ack("$JS.ACK.S.C.1.1.1.1.0", ""),
        format!("503 {AWAY}")
    );
    assert_eq!(bench.leader.next_timer(), None);
}
