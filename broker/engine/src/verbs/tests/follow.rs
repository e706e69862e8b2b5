//! FOLLOW and UNFOLLOW.

use relevo_protocol::jetstream::consumer::{ConsumerConfig, ConsumerInfo, SequenceInfo};
use relevo_protocol::jetstream::json;
use relevo_protocol::time::Timestamp;

use super::script::{check, client_sends};
use crate::input::Monotonic;
use crate::verbs::{Answer, AskId, FOLLOWS_MAX, Output, Verbs};

const PULL: &str =
    r#"{"expires":30000000000,"batch":128,"max_bytes":4194304,"idle_heartbeat":5000000000}"#;

fn consumer(name: &str, deliveries: u64, deliver_subject: &str) -> String {
    let info = ConsumerInfo {
        stream_name: "T_news".parse().unwrap(),
        name: name.parse().unwrap(),
        created: Timestamp::UNIX_EPOCH,
        config: ConsumerConfig {
            deliver_subject: deliver_subject.to_owned(),
            ..ConsumerConfig::default()
        },
        delivered: SequenceInfo {
            consumer_seq: deliveries,
            ..SequenceInfo::default()
        },
        ack_floor: SequenceInfo::default(),
        num_ack_pending: 0,
        num_redelivered: 0,
        num_waiting: 0,
        num_pending: 0,
        cluster: None,
        push_bound: false,
        paused: false,
        pause_remaining: std::time::Duration::ZERO,
        ts: Timestamp::UNIX_EPOCH,
        priority_groups: Vec::new(),
    };
    String::from_utf8(json::encode(&info)).unwrap()
}

fn error(err_code: u16, description: &str) -> String {
    format!(r#"{{"error":{{"code":404,"err_code":{err_code},"description":"{description}"}}}}"#)
}

/// A script that begins with a FOLLOW without a name whose consumer is `f1`; requests 0 and 1 are its own.
#[track_caller]
fn check_following(rest: &str) {
    check(&format!(
        "
        > FOLLOW news
        ? 0 $JS.API.CONSUMER.CREATE.T_news ...
        ! 0 {}
        < +OK following news
        ? 1 $JS.API.CONSUMER.MSG.NEXT.T_news.f1 {PULL}
        {rest}
        ",
        consumer("f1", 0, ""),
    ));
}

#[test]
fn messages_are_shown_as_they_come_and_later_verbs_do_not_wait() {
    check_following(
        r#"
        ! 1 delivery $JS.ACK.T_news.f1.1.3.1.0.0 first
        < MSG news 3 5
        < first
        > POST news second
        ? 2 $T.news second
        ! 1 delivery $JS.ACK.T_news.f1.1.4.2.0.0 second
        < MSG news 4 6
        < second
        ! 2 {"stream":"T_news","seq":4}
        < +OK 4
        written
        > UNFOLLOW news
        < +OK unfollowed news
        ? - $JS.API.CONSUMER.DELETE.T_news.f1
        ! 1 delivery $JS.ACK.T_news.f1.1.5.3.0.0 late
        ? - $JS.ACK.T_news.f1.1.5.3.0.0 -NAK
        "#,
    );
}

#[test]
fn the_next_request_leaves_when_the_last_one_ended_and_its_messages_are_written() {
    check_following(&format!(
        "
        ! 1 status 408 Request Timeout
        ? 2 $JS.API.CONSUMER.MSG.NEXT.T_news.f1 {PULL}
        ! 2 delivery $JS.ACK.T_news.f1.1.3.1.0.0 a
        < MSG news 3 1
        < a
        ! 2 status 408 Request Timeout
        written
        ? 3 $JS.API.CONSUMER.MSG.NEXT.T_news.f1 {PULL}
        written
        "
    ));
}

#[test]
fn a_full_batch_waits_until_it_is_written() {
    let mut verbs = Verbs::new(1024);
    let mut out = Output::default();
    let now = Monotonic(0);
    client_sends(&mut verbs, now, "FOLLOW news\r\n", &mut out);
    let created = Answer {
        payload: consumer("f1", 0, "").into(),
        ..Answer::default()
    };
    verbs.answer(now, AskId(0), created, &mut out);
    out.asks.clear();
    for number in 1..=128 {
        let reply = format!("$JS.ACK.T_news.f1.1.{number}.{number}.0.0");
        verbs.answer(
            now,
            AskId(1),
            Answer {
                reply: Some(reply.into()),
                ..Answer::default()
            },
            &mut out,
        );
    }
    assert_eq!(
        out.text.split(|byte| *byte == b'\n').count(),
        1 + 2 * 128 + 1
    );
    assert_eq!((out.asks.len(), verbs.next_timer()), (0, None));
    verbs.written(now, &mut out);
    assert_eq!(out.asks.len(), 1);
}

#[test]
fn a_durable_cursor_moves_when_what_was_shown_is_written() {
    check(&format!(
        "
        > FOLLOW news as=alice from=7
        ? 0 $JS.API.CONSUMER.INFO.T_news.alice
        ! 0 {}
        ? 1 $JS.API.CONSUMER.DURABLE.CREATE.T_news.alice ...
        ! 1 {}
        < +OK following news
        ? 2 $JS.API.CONSUMER.MSG.NEXT.T_news.alice {PULL}
        ! 2 delivery $JS.ACK.T_news.alice.1.7.1.0.0 a
        < MSG news 7 1
        < a
        ! 2 delivery $JS.ACK.T_news.alice.1.9.3.0.0 b
        < MSG news 9 1
        < b
        written
        ? - $JS.ACK.T_news.alice.1.7.1.0.0 +ACK
        ? - $JS.ACK.T_news.alice.1.9.3.0.0 +ACK
        > UNFOLLOW news as=bob
        < -ERR 'not following news as=bob; UNFOLLOW news as=alice ends the other'
        > UNFOLLOW news
        < +OK unfollowed news as=alice
        ",
        error(10014, "consumer not found"),
        consumer("alice", 0, ""),
    ));
}

#[test]
fn a_subscription_that_is_there_is_gone_on_with() {
    check(&format!(
        "
        > FOLLOW news as=alice
        ? 0 $JS.API.CONSUMER.INFO.T_news.alice
        ! 0 {}
        < +OK following news
        ? 1 $JS.API.CONSUMER.MSG.NEXT.T_news.alice {PULL}
        ! 1 delivery $JS.ACK.T_news.alice.1.50.41.0.0 a
        < MSG news 50 1
        < a
        ",
        consumer("alice", 40, ""),
    ));
}

#[test]
fn a_subscription_that_another_client_makes_meanwhile_is_used() {
    check(&format!(
        "
        > FOLLOW news as=alice
        ? 0 $JS.API.CONSUMER.INFO.T_news.alice
        ! 0 {}
        ? 1 $JS.API.CONSUMER.DURABLE.CREATE.T_news.alice ...
        ! 1 {}
        ? 2 $JS.API.CONSUMER.INFO.T_news.alice
        ! 2 {}
        < +OK following news
        ? 3 $JS.API.CONSUMER.MSG.NEXT.T_news.alice {PULL}
        ",
        error(10014, "consumer not found"),
        error(10148, "consumer already exists"),
        consumer("alice", 0, ""),
    ));
}

#[test]
fn what_can_not_be_followed_is_refused() {
    check(&format!(
        "
        > FOLLOW none
        ? 0 $JS.API.CONSUMER.CREATE.T_none ...
        ! 0 {}
        < -ERR 'topic none does not exist; TOPIC CREATE none makes it'
        > FOLLOW news as=push
        ? 1 $JS.API.CONSUMER.INFO.T_news.push
        ! 1 {}
        < -ERR 'consumer push of topic news is a push consumer; choose another as='
        > FOLLOW news
        ? 2 $JS.API.CONSUMER.CREATE.T_news ...
        @ 5s
        < -ERR 'no answer within 5s; try again'
        > UNFOLLOW news
        < -ERR 'not following news; FOLLOW news does'
        ",
        error(10059, "stream not found"),
        consumer("push", 0, "deliver.here"),
    ));
}

#[test]
fn the_same_is_not_followed_twice_but_two_cursors_are() {
    check_following(&format!(
        "
        > FOLLOW news
        < -ERR 'already following news; UNFOLLOW news ends it'
        > FOLLOW news as=alice
        ? 2 $JS.API.CONSUMER.INFO.T_news.alice
        ! 2 {}
        < +OK following news
        ? 3 $JS.API.CONSUMER.MSG.NEXT.T_news.alice {PULL}
        > FOLLOW news as=alice
        < -ERR 'already following news as=alice; UNFOLLOW news as=alice ends it'
        ",
        consumer("alice", 0, ""),
    ));
}

#[test]
fn a_missing_delivery_makes_the_follower_begin_again_behind_what_it_showed() {
    check_following(&format!(
        "
        ! 1 delivery $JS.ACK.T_news.f1.1.3.1.0.0 a
        < MSG news 3 1
        < a
        ! 1 delivery $JS.ACK.T_news.f1.1.5.3.0.0 c
        ? - $JS.API.CONSUMER.DELETE.T_news.f1
        ? 2 $JS.API.CONSUMER.CREATE.T_news ...
        ! 2 {}
        written
        ? 3 $JS.API.CONSUMER.MSG.NEXT.T_news.f2 {PULL}
        ! 3 delivery $JS.ACK.T_news.f2.1.4.1.0.0 b
        < MSG news 4 1
        < b
        ! 3 status 100 Idle Heartbeat | Nats-Last-Consumer: 1 | Nats-Last-Stream: 4
        ! 3 status 100 Idle Heartbeat | Nats-Last-Consumer: 2 | Nats-Last-Stream: 5
        ? - $JS.API.CONSUMER.DELETE.T_news.f2
        ? 4 $JS.API.CONSUMER.CREATE.T_news ...
        ",
        consumer("f2", 0, ""),
    ));
}

#[test]
fn a_follower_that_begins_again_asks_for_what_follows_the_last_shown() {
    let mut verbs = Verbs::new(1024);
    let mut out = Output::default();
    let now = Monotonic(0);
    client_sends(&mut verbs, now, "FOLLOW news from=last\r\n", &mut out);
    assert!(
        out.asks[0]
            .payload
            .windows(6)
            .any(|bytes| bytes == b"\"last\"")
    );
    let created = Answer {
        payload: consumer("f1", 0, "").into(),
        ..Answer::default()
    };
    verbs.answer(now, AskId(0), created, &mut out);
    let delivery = |reply: &'static str| Answer {
        reply: Some(reply.into()),
        ..Answer::default()
    };
    verbs.answer(
        now,
        AskId(1),
        delivery("$JS.ACK.T_news.f1.1.41.1.0.0"),
        &mut out,
    );
    out.asks.clear();
    verbs.answer(
        now,
        AskId(1),
        delivery("$JS.ACK.T_news.f1.1.43.3.0.0"),
        &mut out,
    );
    let body: serde_json::Value = serde_json::from_slice(&out.asks[1].payload).unwrap();
    assert_eq!(body["config"]["deliver_policy"], "by_start_sequence");
    assert_eq!(body["config"]["opt_start_seq"], 42);
}

#[test]
fn a_consumer_that_falls_silent_is_looked_for_again() {
    check_following(&format!(
        "
        @ 10s
        ! 1 status 100 Idle Heartbeat
        @ 10s
        @ 2s
        ? - $JS.API.CONSUMER.DELETE.T_news.f1
        ? 2 $JS.API.CONSUMER.CREATE.T_news ...
        @ 6s
        ? - $JS.API.CONSUMER.DELETE.T_news.f1
        ? 3 $JS.API.CONSUMER.CREATE.T_news ...
        ! 3 {}
        @ 1s
        ? - $JS.API.CONSUMER.DELETE.T_news.f1
        ? 4 $JS.API.CONSUMER.CREATE.T_news ...
        ! 4 {}
        ? 5 $JS.API.CONSUMER.MSG.NEXT.T_news.f2 {PULL}
        ",
        error(10008, "peer away, nothing was written; try again"),
        consumer("f2", 0, ""),
    ));
}

#[test]
fn a_refused_request_is_repeated_after_a_pause() {
    check_following(&format!(
        "
        ! 1 status 409 Consumer Deleted
        @ 1s
        ? - $JS.API.CONSUMER.DELETE.T_news.f1
        ? 2 $JS.API.CONSUMER.CREATE.T_news ...
        ! 2 {}
        ? 3 $JS.API.CONSUMER.MSG.NEXT.T_news.f2 {PULL}
        ! 3 status 503
        @ 1s
        ? - $JS.API.CONSUMER.DELETE.T_news.f2
        ? 4 $JS.API.CONSUMER.CREATE.T_news ...
        ! 4 {}
        < -ERR 'topic news was deleted, FOLLOW has ended'
        > UNFOLLOW news
        < -ERR 'not following news; FOLLOW news does'
        ",
        consumer("f2", 0, ""),
        error(10059, "stream not found"),
    ));
}

#[test]
fn a_deleted_subscription_ends_its_follow() {
    check(&format!(
        "
        > FOLLOW news as=alice
        ? 0 $JS.API.CONSUMER.INFO.T_news.alice
        ! 0 {}
        < +OK following news
        ? 1 $JS.API.CONSUMER.MSG.NEXT.T_news.alice {PULL}
        ! 1 status 409 Consumer Deleted
        @ 1s
        ? 2 $JS.API.CONSUMER.INFO.T_news.alice
        ! 2 {}
        < -ERR 'subscription alice of topic news was deleted, FOLLOW has ended; FOLLOW news as=alice makes it again'
        ",
        consumer("alice", 0, ""),
        error(10014, "consumer not found"),
    ));
}

#[test]
fn a_hang_up_takes_away_what_nobody_needs() {
    check_following(
        "
        > POP jobs wait=1h
        ? 2 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {\"expires\":3600000000000,\"batch\":1,\"max_bytes\":4194304,\"no_wait\":true}
        hang up
        ? - $JS.API.CONSUMER.DELETE.T_news.f1
        @ 2h
        ",
    );
}

#[test]
fn the_end_of_input_ends_follows_at_once() {
    check_following(
        "
        > POP jobs
        ? 2 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {\"batch\":1,\"max_bytes\":4194304,\"no_wait\":true}
        end of input
        ? - $JS.API.CONSUMER.DELETE.T_news.f1
        ! 2 status 404 No Messages
        < +OK 0
        close
        ",
    );
}

#[test]
fn a_follow_that_begins_after_the_end_of_input_shows_nothing() {
    check(&format!(
        "
        > FOLLOW news
        ? 0 $JS.API.CONSUMER.CREATE.T_news ...
        end of input
        ! 0 {}
        < +OK following news
        ? - $JS.API.CONSUMER.DELETE.T_news.f1
        close
        ",
        consumer("f1", 0, ""),
    ));
}

#[test]
fn one_connection_follows_a_bounded_number_of_topics() {
    let mut verbs = Verbs::new(1024);
    let mut out = Output::default();
    let now = Monotonic(0);
    for number in 0..FOLLOWS_MAX {
        client_sends(&mut verbs, now, &format!("FOLLOW t{number}\r\n"), &mut out);
        let ask = out.asks.pop().unwrap().id.unwrap();
        let created = Answer {
            payload: consumer("f", 0, "").into(),
            ..Answer::default()
        };
        verbs.answer(now, ask, created, &mut out);
    }
    out = Output::default();
    client_sends(&mut verbs, now, "FOLLOW more\r\n", &mut out);
    assert_eq!(
        String::from_utf8(out.text).unwrap(),
        "-ERR 'this connection follows 64 topics, the most; UNFOLLOW one or connect again'\r\n"
    );
}
