use std::time::Duration;

use relevo_protocol::jetstream::consumer::AckPolicy;
use serde_json::json;

use super::bench::{Bench, shorts};

const LEASE: Duration = Duration::from_secs(30);

#[test]
fn a_message_comes_again_when_its_lease_ends_and_not_before() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one", "two"]);
    let first = bench.fetch_messages("S", "C", 2);
    assert_eq!(shorts(&first), ["one", "two"]);
    assert!(first[0].ack().starts_with("$JS.ACK.S.C.1.1.1."));
    assert!(first[0].ack().ends_with(".1"));
    assert!(first[1].ack().ends_with(".0"));
    bench.ack_silently(&first[0].ack(), "+ACK");
    bench.pass(LEASE - Duration::from_millis(1));
    assert_eq!(shorts(&bench.fetch("S", "C", 2)), ["404 No Messages"]);
    bench.pass(Duration::from_millis(1));
    let again = bench.fetch_messages("S", "C", 2);
    assert_eq!(shorts(&again), ["two"]);
    assert!(again[0].ack().starts_with("$JS.ACK.S.C.2.2.3."));
}

#[test]
fn an_acknowledgement_is_answered_when_it_is_committed() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    let delivered = bench.fetch_messages("S", "C", 1);
    bench.commits = false;
    let request = super::bench::message(&delivered[0].ack(), "_INBOX.x", &[], b"+ACK");
    bench.act(|streams, desk| streams.on_ack(desk, request));
    assert!(bench.sent().is_empty());
    bench.commit_all();
    assert_eq!(bench.answer("_INBOX.x").short(), "");
}

#[test]
fn a_delivery_leaves_only_when_it_stands_in_the_log() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    bench.commits = false;
    let inbox = bench.pull("S", "C", &json!({"batch": 1, "no_wait": true}));
    assert!(bench.sent().is_empty());
    bench.commit_all();
    assert_eq!(shorts(&bench.sent_to(&inbox)), ["one"]);
}

#[test]
fn a_waiting_pull_gets_what_is_published_with_one_commit_for_both() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    let inbox = bench.pull("S", "C", &json!({"batch": 2, "expires": 5_000_000_000_u64}));
    bench.commits = false;
    bench.publish_with("s.a", &[], "one");
    assert_eq!(bench.log.len(), 4, "stream, consumer, message, delivery");
    bench.commit_all();
    assert_eq!(shorts(&bench.sent_to(&inbox)), ["one"]);
    bench.commits = true;
    bench.pass(Duration::from_secs(5));
    assert_eq!(shorts(&bench.sent_to(&inbox)), ["408 Request Timeout"]);
}

#[test]
fn negative_acknowledgement_gives_back_at_once_or_after_its_delay() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    let first = bench.fetch_messages("S", "C", 1);
    assert_eq!(bench.ack(&first[0].ack(), "-NAK"), "");
    let second = bench.fetch_messages("S", "C", 1);
    assert_eq!(shorts(&second), ["one"]);
    bench.ack(&second[0].ack(), "-NAK {\"delay\": 2000000000}");
    assert_eq!(shorts(&bench.fetch("S", "C", 1)), ["404 No Messages"]);
    bench.pass(Duration::from_secs(2));
    assert_eq!(shorts(&bench.fetch_messages("S", "C", 1)), ["one"]);
}

#[test]
fn progress_begins_the_lease_anew() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    let first = bench.fetch_messages("S", "C", 1);
    bench.pass(LEASE - Duration::from_secs(1));
    bench.ack(&first[0].ack(), "+WPI");
    bench.pass(LEASE - Duration::from_secs(1));
    assert_eq!(shorts(&bench.fetch("S", "C", 1)), ["404 No Messages"]);
    bench.ack(&first[0].ack(), "+WPI {\"for\": 60000000000}");
    bench.pass(Duration::from_secs(59));
    assert_eq!(shorts(&bench.fetch("S", "C", 1)), ["404 No Messages"]);
    bench.pass(Duration::from_secs(1));
    assert_eq!(shorts(&bench.fetch_messages("S", "C", 1)), ["one"]);
}

#[test]
fn a_terminated_message_never_comes_again() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    let first = bench.fetch_messages("S", "C", 1);
    assert_eq!(bench.ack(&first[0].ack(), "+TERM because"), "");
    bench.pass(LEASE * 2);
    assert_eq!(shorts(&bench.fetch("S", "C", 1)), ["404 No Messages"]);
}

#[test]
fn next_acknowledges_and_asks_for_more() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one", "two"]);
    let first = bench.fetch_messages("S", "C", 1);
    assert_eq!(bench.ack(&first[0].ack(), "+NXT"), "two");
    let info = bench.ask("CONSUMER.INFO.S.C", &json!(null));
    assert_eq!(info["num_ack_pending"], json!(1));
}

#[test]
fn an_ack_of_an_earlier_delivery_counts_on_an_ordinary_stream() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    let first = bench.fetch_messages("S", "C", 1);
    bench.pass(LEASE);
    let second = bench.fetch_messages("S", "C", 1);
    assert_eq!(bench.ack(&first[0].ack(), "+ACK"), "");
    assert_eq!(bench.ack(&second[0].ack(), "+ACK"), "409 Lease Expired");
}

#[test]
fn ack_all_covers_what_was_delivered_before() {
    let mut bench = Bench::with_stream(|_| {}, |consumer| consumer.ack_policy = AckPolicy::All);
    bench.publish_all("s.a", &["one", "two", "three"]);
    let delivered = bench.fetch_messages("S", "C", 3);
    assert_eq!(bench.ack(&delivered[1].ack(), ""), "");
    let info = bench.ask("CONSUMER.INFO.S.C", &json!(null));
    assert_eq!(info["num_ack_pending"], json!(1));
    assert_eq!(
        info["ack_floor"],
        json!({"consumer_seq": 2, "stream_seq": 2})
    );
    bench.pass(LEASE);
    assert_eq!(shorts(&bench.fetch_messages("S", "C", 3)), ["three"]);
}

#[test]
fn ack_after_redelivery_does_not_move_floor_back() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one", "two"]);
    let first = bench.fetch_messages("S", "C", 2);
    bench.ack(&first[1].ack(), "+ACK");
    let floor =
        |bench: &mut Bench| bench.ask("CONSUMER.INFO.S.C", &json!(null))["ack_floor"].clone();
    assert_eq!(
        floor(&mut bench),
        json!({"consumer_seq": 0, "stream_seq": 0})
    );
    bench.pass(LEASE);
    let again = bench.fetch_messages("S", "C", 2);
    assert_eq!(
        floor(&mut bench),
        json!({"consumer_seq": 0, "stream_seq": 0})
    );
    bench.ack(&again[0].ack(), "+ACK");
    assert_eq!(
        floor(&mut bench),
        json!({"consumer_seq": 3, "stream_seq": 2})
    );
}

#[test]
fn without_acks_a_delivery_is_done() {
    let mut bench = Bench::with_stream(|_| {}, |consumer| consumer.ack_policy = AckPolicy::None);
    bench.publish_all("s.a", &["one", "two"]);
    let delivered = bench.fetch_messages("S", "C", 1);
    assert_eq!(bench.ack(&delivered[0].ack(), "+ACK"), "409 Lease Expired");
    bench.restart();
    bench.pass(LEASE * 2);
    assert_eq!(shorts(&bench.fetch_messages("S", "C", 5)), ["two"]);
}

#[test]
fn max_deliver_is_how_often_a_message_comes_at_most() {
    let mut bench = Bench::with_stream(|_| {}, |consumer| consumer.max_deliver = 2);
    bench.publish_all("s.a", &["one"]);
    for _ in 0..2 {
        assert_eq!(shorts(&bench.fetch_messages("S", "C", 1)), ["one"]);
        bench.pass(LEASE);
    }
    assert_eq!(shorts(&bench.fetch("S", "C", 1)), ["404 No Messages"]);
    let info = bench.ask("CONSUMER.INFO.S.C", &json!(null));
    assert_eq!(info["num_ack_pending"], json!(0));
}

#[test]
fn backoff_is_the_lease_of_each_delivery_in_turn() {
    let seconds = Duration::from_secs;
    let mut bench = Bench::with_stream(
        |_| {},
        |consumer| consumer.backoff = vec![seconds(1), seconds(3)],
    );
    bench.publish_all("s.a", &["one"]);
    for lease in [1, 3, 3] {
        assert_eq!(shorts(&bench.fetch_messages("S", "C", 1)), ["one"]);
        bench.pass(seconds(lease) - Duration::from_millis(1));
        assert_eq!(shorts(&bench.fetch("S", "C", 1)), ["404 No Messages"]);
        bench.pass(Duration::from_millis(1));
    }
}

#[test]
fn max_ack_pending_holds_new_messages_back_but_not_redeliveries() {
    let mut bench = Bench::with_stream(|_| {}, |consumer| consumer.max_ack_pending = 2);
    bench.publish_all("s.a", &["one", "two", "three"]);
    let first = bench.fetch("S", "C", 5);
    assert_eq!(shorts(&first), ["one", "two", "408 Request Timeout"]);
    bench.ack(&first[1].ack(), "-NAK");
    let again = bench.fetch_messages("S", "C", 5);
    assert_eq!(shorts(&again), ["two"]);
    bench.ack(&again[0].ack(), "+ACK");
    assert_eq!(shorts(&bench.fetch_messages("S", "C", 5)), ["three"]);
}

#[test]
fn a_restart_gives_every_pending_message_a_fresh_lease() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    bench.fetch_messages("S", "C", 1);
    bench.pass(LEASE - Duration::from_secs(1));
    bench.restart();
    bench.pass(LEASE - Duration::from_millis(1));
    assert_eq!(shorts(&bench.fetch("S", "C", 1)), ["404 No Messages"]);
    bench.pass(Duration::from_millis(1));
    let again = bench.fetch_messages("S", "C", 1);
    assert!(again[0].ack().starts_with("$JS.ACK.S.C.2.1.2."));
}

#[test]
fn what_nobody_received_comes_again_at_once() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    let wait = json!({"batch": 5, "expires": 60_000_000_000_u64});
    let gone = bench.pull("S", "C", &wait);
    let delivered = bench.sent_to(&gone);
    assert_eq!(shorts(&delivered), ["one"]);
    let other = bench.pull("S", "C", &wait);
    let id = delivered[0].delivery.clone().unwrap();
    bench.act(|streams, desk| streams.on_undelivered(desk, id));
    assert_eq!(shorts(&bench.sent_to(&other)), ["one"]);
    bench.publish_all("s.a", &["two"]);
    assert!(bench.sent_to(&gone).is_empty());
    assert_eq!(shorts(&bench.sent_to(&other)), ["two"]);
}

#[test]
fn nonsense_on_an_ack_subject_is_answered() {
    let mut bench = Bench::with_stream(|_| {}, |_| {});
    bench.publish_all("s.a", &["one"]);
    let first = bench.fetch_messages("S", "C", 1);
    let unknown = "400 Bad Request - unknown acknowledgement; use +ACK, -NAK, +WPI, +NXT or +TERM";
    assert_eq!(bench.ack(&first[0].ack(), "+WHAT"), unknown);
    assert_eq!(
        bench.ack("$JS.ACK.x", ""),
        "400 Bad Request - not an ack subject"
    );
    assert_eq!(bench.ack("$JS.ACK.S.X.1.1.1.1.0", ""), "409 Lease Expired");
}
