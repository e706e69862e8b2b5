use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, Sent, shorts};

const LEASE: Duration = Duration::from_secs(30);

fn push(bench: &mut Bench, pairs: &[(&str, &str)], payload: &str) {
    bench.publish("$Q.jobs", pairs, payload).unwrap();
}

fn pop(bench: &mut Bench, max: u64) -> Vec<Sent> {
    bench.fetch_messages("Q_jobs", "workers", max)
}

fn pop_texts(bench: &mut Bench, max: u64) -> Vec<String> {
    shorts(&pop(bench, max))
}

#[test]
fn a_lease_with_another_deliverys_number_is_none() {
    let mut bench = Bench::with_queue(|_| {});
    push(&mut bench, &[], "one");
    assert_eq!(pop(&mut bench, 1).len(), 1);
    for lease in ["1.1.9", "1.1.0", "1.2.1"] {
        let subject = format!("$JS.ACK.Q_jobs.workers.{}.0.0", swapped(lease));
        assert_eq!(bench.ack(&subject, "+ACK"), "409 Lease Expired", "{lease}");
    }
    let subject = format!("$JS.ACK.Q_jobs.workers.{}.0.0", swapped("1.1.1"));
    assert_eq!(bench.ack(&subject, "+ACK"), "");
}

/// A lease's numbers in the order of an ack subject: delivery count, stream, consumer.
fn swapped(lease: &str) -> String {
    let numbers: Vec<&str> = lease.split('.').collect();
    format!("{}.{}.{}", numbers[1], numbers[0], numbers[2])
}

#[test]
fn an_acknowledged_message_is_gone() {
    let mut bench = Bench::with_queue(|_| {});
    push(&mut bench, &[], "one");
    push(&mut bench, &[], "two");
    let popped = pop(&mut bench, 1);
    assert_eq!(bench.ack(&popped[0].ack(), "+ACK"), "");
    let info = bench.ask("STREAM.INFO.Q_jobs", &json!(null));
    assert_eq!(info["state"]["messages"], json!(1));
    assert!(!bench.leader.is_live(1, 1));
    assert!(bench.leader.is_live(1, 2));
    let popped = pop(&mut bench, 5);
    assert_eq!(shorts(&popped), ["two"]);
    assert_eq!(bench.ack(&popped[0].ack(), "+TERM"), "");
    assert!(!bench.leader.is_live(1, 2));
}

#[test]
fn only_the_holder_of_the_lease_may_speak_about_it() {
    let mut bench = Bench::with_queue(|_| {});
    push(&mut bench, &[], "one");
    let first = pop(&mut bench, 1);
    bench.pass(LEASE);
    for body in ["+ACK", "-NAK", "+WPI", "+TERM"] {
        assert_eq!(
            bench.ack(&first[0].ack(), body),
            "409 Lease Expired",
            "{body}"
        );
    }
    let second = pop(&mut bench, 1);
    assert_eq!(bench.ack(&first[0].ack(), "+ACK"), "409 Lease Expired");
    assert_eq!(bench.ack(&second[0].ack(), "-NAK"), "");
    assert_eq!(bench.ack(&second[0].ack(), "+ACK"), "409 Lease Expired");
    let third = pop(&mut bench, 1);
    assert_eq!(bench.ack(&third[0].ack(), "+ACK"), "");
    assert_eq!(bench.ack(&third[0].ack(), "+ACK"), "409 Lease Expired");
}

#[test]
fn a_pop_may_choose_its_lease() {
    let mut bench = Bench::with_queue(|_| {});
    push(&mut bench, &[], "one");
    let subject = "CONSUMER.MSG.NEXT.Q_jobs.workers";
    bench.api_bytes(
        subject,
        "_INBOX.x",
        &[("Relevo-Lease", "2s")],
        b"{\"no_wait\": true}",
    );
    assert_eq!(shorts(&bench.sent_to("_INBOX.x")), ["one"]);
    bench.pass(Duration::from_millis(1999));
    assert!(pop(&mut bench, 1).is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(pop_texts(&mut bench, 1), ["one"]);
    bench.api_bytes(subject, "_INBOX.y", &[("Relevo-Lease", "1ms")], b"");
    let refusal = "400 Bad Request - Relevo-Lease must be between 100ms and 365d";
    assert_eq!(shorts(&bench.sent_to("_INBOX.y")), [refusal]);
}

#[test]
fn higher_priority_goes_first_and_equals_keep_their_order() {
    let mut bench = Bench::with_queue(|_| {});
    for (priority, text) in [("0", "a"), ("5", "b"), ("9", "c"), ("5", "d"), ("0", "e")] {
        push(&mut bench, &[("Relevo-Priority", priority)], text);
    }
    assert_eq!(pop_texts(&mut bench, 3), ["c", "b", "d"]);
    bench.restart();
    push(&mut bench, &[("Relevo-Priority", "1")], "f");
    assert_eq!(pop_texts(&mut bench, 9), ["f", "a", "e"]);
    bench.pass(LEASE);
    assert_eq!(pop_texts(&mut bench, 9), ["c", "b", "d", "f", "a", "e"]);
}

#[test]
fn a_delayed_message_waits_for_its_time_also_over_a_restart() {
    let mut bench = Bench::with_queue(|_| {});
    push(&mut bench, &[("Relevo-Delay", "10s")], "late");
    push(&mut bench, &[], "now");
    assert_eq!(pop_texts(&mut bench, 5), ["now"]);
    let wait = json!({"batch": 1, "expires": 60_000_000_000_u64});
    bench.pass(Duration::from_secs(4));
    bench.fail_over();
    let inbox = bench.pull("Q_jobs", "workers", &wait);
    bench.pass(Duration::from_millis(5_999));
    bench.answer_reads();
    assert!(bench.sent_to(&inbox).is_empty());
    bench.pass(Duration::from_millis(1));
    bench.answer_reads();
    assert_eq!(shorts(&bench.sent_to(&inbox)), ["late"]);
}

#[test]
fn messages_of_one_key_are_handed_out_one_at_a_time_and_in_order() {
    let mut bench = Bench::with_queue(|_| {});
    for (key, text) in [("k", "k1"), ("k", "k2"), ("l", "l1"), ("k", "k3")] {
        push(&mut bench, &[("Relevo-Key", key)], text);
    }
    push(&mut bench, &[], "free");
    let first = pop(&mut bench, 9);
    assert_eq!(shorts(&first), ["k1", "l1", "free"]);
    bench.ack(&first[0].ack(), "-NAK {\"delay\": 1000000000}");
    assert!(pop(&mut bench, 9).is_empty());
    bench.pass(Duration::from_secs(1));
    let again = pop(&mut bench, 9);
    assert_eq!(shorts(&again), ["k1"]);
    bench.ack(&again[0].ack(), "+ACK");
    bench.restart();
    let next = pop(&mut bench, 9);
    assert_eq!(shorts(&next), ["k2"]);
    bench.ack(&next[0].ack(), "+TERM");
    assert_eq!(pop_texts(&mut bench, 9), ["k3"]);
}

#[test]
fn a_message_of_a_key_that_was_given_up_does_not_block_the_others() {
    let mut bench = Bench::with_queue(|consumer| consumer.max_deliver = 1);
    push(&mut bench, &[("Relevo-Key", "k")], "k1");
    push(&mut bench, &[("Relevo-Key", "k")], "k2");
    assert_eq!(pop_texts(&mut bench, 9), ["k1"]);
    bench.pass(LEASE);
    assert_eq!(pop_texts(&mut bench, 9), ["k2"]);
    bench.ask("STREAM.MSG.DELETE.Q_jobs", &json!({"seq": 1}));
    assert!(pop(&mut bench, 9).is_empty());
}

#[test]
fn a_waiting_pop_gets_the_next_message_of_a_key_when_the_one_before_is_done() {
    let mut bench = Bench::with_queue(|_| {});
    push(&mut bench, &[("Relevo-Key", "k")], "k1");
    push(&mut bench, &[("Relevo-Key", "k")], "k2");
    let first = pop(&mut bench, 1);
    let inbox = bench.pull(
        "Q_jobs",
        "workers",
        &json!({"batch": 1, "expires": 60_000_000_000_u64}),
    );
    assert!(bench.sent_to(&inbox).is_empty());
    bench.ack(&first[0].ack(), "+ACK");
    assert_eq!(shorts(&bench.sent_to(&inbox)), ["k2"]);
}

#[test]
fn bad_values_are_refused_with_what_to_write_instead() {
    let mut bench = Bench::with_queue(|_| {});
    let cases = [
        (
            "Relevo-Delay",
            "soon",
            "invalid Relevo-Delay: use a duration of at most 365d, as 30s or 5m",
        ),
        (
            "Relevo-Priority",
            "10",
            "invalid Relevo-Priority: use a number from 0 to 9",
        ),
        ("Relevo-Key", "", "invalid Relevo-Key: use 1 to 128 bytes"),
    ];
    for (header, value, text) in cases {
        assert_eq!(
            bench.publish("$Q.jobs", &[(header, value)], "x"),
            Err((10077, text.into()))
        );
    }
}

#[test]
fn purging_a_queue_forgets_what_its_messages_asked_for() {
    let mut bench = Bench::with_queue(|_| {});
    push(&mut bench, &[("Relevo-Key", "k")], "k1");
    push(&mut bench, &[("Relevo-Priority", "3")], "p");
    push(&mut bench, &[("Relevo-Delay", "3s")], "d");
    pop(&mut bench, 1);
    let purged = bench.ask("STREAM.PURGE.Q_jobs", &json!(null));
    assert_eq!(
        (&purged["success"], &purged["purged"]),
        (&json!(true), &json!(3))
    );
    push(&mut bench, &[("Relevo-Key", "k")], "k2");
    bench.pass(Duration::from_secs(60));
    assert_eq!(pop_texts(&mut bench, 9), ["k2"]);
}

#[test]
fn a_lease_names_its_message_by_its_time_or_by_its_numbers_alone() {
    let mut bench = Bench::with_queue(|_| {});
    push(&mut bench, &[], "one");
    let popped = pop(&mut bench, 1);
    let ack = popped[0].ack();
    let other = ack.replace(".17672256", ".17672257");
    assert_ne!(ack, other);
    assert_eq!(bench.ack(&other, "+ACK"), "409 Lease Expired");
    let typed = "$JS.ACK.Q_jobs.workers.1.1.1.0.0";
    assert_eq!(bench.ack(typed, "+ACK"), "");
}
