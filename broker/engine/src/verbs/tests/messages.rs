//! PUSH, POST, POP, PEEK, VIEW, ACK, NACK, EXTEND.

use super::script::check;

#[test]
fn push_is_a_publish_whose_puback_is_the_answer() {
    check(
        r#"
        > PUSH jobs hello world
        ? 0 $Q.jobs hello world
        ! 0 {"stream":"Q_jobs","seq":7}
        < +OK 7
        > PUSH jobs id=a delay=30s priority=5 key=k again
        ? 1 $Q.jobs [Nats-Msg-Id: a, Relevo-Delay: 30s, Relevo-Priority: 5, Relevo-Key: k] again
        ! 1 {"stream":"Q_jobs","seq":7,"duplicate":true}
        < +OK 7 duplicate
        > POST news first
        ? 2 $T.news first
        ! 2 {"stream":"T_news","seq":1}
        < +OK 1
        "#,
    );
}

#[test]
fn a_push_into_nothing_says_how_to_make_the_queue() {
    check(
        r#"
        > PUSH jobs x
        ? 0 $Q.jobs x
        ! 0 status 503
        < -ERR 'queue jobs does not exist; QUEUE CREATE jobs makes it'
        > POST news x
        ? 1 $T.news x
        ! 1 status 503
        < -ERR 'topic news does not exist; TOPIC CREATE news makes it'
        "#,
    );
}

#[test]
fn a_refused_push_says_why_in_words() {
    check(
        r#"
        > PUSH jobs x
        ? 0 $Q.jobs x
        ! 0 {"error":{"code":503,"err_code":10008,"description":"peer away, nothing was written; try again"},"stream":"Q_jobs","seq":0}
        < -ERR 'peer away, nothing was written; try again'
        > PUSH jobs x
        ? 1 $Q.jobs x
        ! 1 {"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"Q_jobs","seq":0}
        < -ERR 'queue jobs is full: maximum messages exceeded'
        > PUSH jobs x
        ? 2 $Q.jobs x
        ! 2 {"error":{"code":500,"err_code":10047,"description":"insufficient storage resources available"},"stream":"Q_jobs","seq":0}
        < -ERR 'the disk is full, nothing was written; make room and try again'
        > PUSH jobs x
        ? 3 $Q.jobs x
        ! 3 {"error":{"code":400}}
        < -ERR 'queue jobs refused it without a word (0)'
        "#,
    );
}

#[test]
fn what_another_subscriber_answers_to_a_push_is_not_its_puback() {
    check(
        r#"
        > PUSH jobs x
        ? 0 $Q.jobs x
        ! 0 thank you
        ! 0 {"stream":"Q_jobs","seq":8}
        < +OK 8
        "#,
    );
}

#[test]
fn a_push_without_an_answer_has_an_unknown_outcome() {
    check(
        "
        > PUSH jobs x
        ? 0 $Q.jobs x
        @ 4s
        @ 1s
        < -ERR 'no answer within 5s, the outcome is unknown; QUEUE PEEK jobs shows whether it is there; with id= a push can be repeated safely'
        > PUSH jobs id=1 x
        ? 1 $Q.jobs [Nats-Msg-Id: 1] x
        @ 5s
        < -ERR 'no answer within 5s, the outcome is unknown; push again with the same id=, it is kept only once'
        > POST news x
        ? 2 $T.news x
        @ 5s
        < -ERR 'no answer within 5s, the outcome is unknown; VIEW news from=last shows whether it is there'
        ",
    );
}

#[test]
fn an_answer_after_its_time_changes_nothing() {
    check(
        r#"
        > PUSH jobs id=1 x
        ? 0 $Q.jobs [Nats-Msg-Id: 1] x
        @ 5s
        < -ERR 'no answer within 5s, the outcome is unknown; push again with the same id=, it is kept only once'
        ! 0 {"stream":"Q_jobs","seq":8}
        "#,
    );
}

#[test]
fn pop_asks_for_what_is_there_and_shows_leases() {
    check(
        r#"
        > POP jobs
        ? 0 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"batch":1,"max_bytes":4194304,"no_wait":true}
        ! 0 delivery $JS.ACK.Q_jobs.workers.2.7.9.1700000000000000000.3 hello
        < +OK 1
        < MSG jobs jobs.7.2.9 5
        < hello
        > POP jobs max=3 wait=10s lease=1m
        ? 1 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers [Relevo-Lease: 1m] {"expires":10000000000,"batch":3,"max_bytes":4194304,"no_wait":true}
        ! 1 delivery $JS.ACK.Q_jobs.workers.1.8.10.0.1 a
        ! 1 delivery $JS.ACK.Q_jobs.workers.1.9.11.0.0 b
        ! 1 status 404 No Messages
        < +OK 2
        < MSG jobs jobs.8.1.10 1
        < a
        < MSG jobs jobs.9.1.11 1
        < b
        "#,
    );
}

#[test]
fn an_empty_queue_pops_nothing() {
    check(
        r#"
        > POP jobs
        ? 0 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"batch":1,"max_bytes":4194304,"no_wait":true}
        ! 0 status 404 No Messages
        < +OK 0
        > POP jobs wait=2s
        ? 1 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"expires":2000000000,"batch":1,"max_bytes":4194304,"no_wait":true}
        ! 1 status 100 Idle Heartbeat
        ! 1 status 408 Request Timeout | Nats-Pending-Messages: 1 | Nats-Pending-Bytes: 0
        < +OK 0
        "#,
    );
}

#[test]
fn a_pop_that_fails_says_why_unless_it_has_messages_to_show() {
    check(
        r#"
        > POP jobs
        ? 0 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"batch":1,"max_bytes":4194304,"no_wait":true}
        ! 0 status 503
        < -ERR 'queue jobs does not exist; QUEUE CREATE jobs makes it'
        > POP jobs
        ? 1 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"batch":1,"max_bytes":4194304,"no_wait":true}
        ! 1 status 503 peer away, nothing was written; try again
        < -ERR 'peer away, nothing was written; try again'
        > POP jobs wait=1m
        ? 2 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"expires":60000000000,"batch":1,"max_bytes":4194304,"no_wait":true}
        ! 2 status 409 Exceeded MaxWaiting
        < -ERR 'too many POPs wait at queue jobs; try again'
        > POP jobs max=2
        ? 3 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"batch":2,"max_bytes":4194304,"no_wait":true}
        ! 3 delivery $JS.ACK.Q_jobs.workers.1.8.10.0.1 a
        ! 3 status 409 Consumer Deleted
        < +OK 1
        < MSG jobs jobs.8.1.10 1
        < a
        "#,
    );
}

#[test]
fn a_pop_waits_five_seconds_longer_than_it_said() {
    check(
        r#"
        > POP jobs wait=10s
        ? 0 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"expires":10000000000,"batch":1,"max_bytes":4194304,"no_wait":true}
        @ 14s
        @ 1s
        < -ERR 'no answer within 5s, the outcome is unknown; POP again; a message that was leased meanwhile comes back when its lease ends'
        "#,
    );
}

#[test]
fn messages_popped_before_the_answers_stopped_are_shown() {
    check(
        r#"
        > POP jobs max=2
        ? 0 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"batch":2,"max_bytes":4194304,"no_wait":true}
        ! 0 delivery $JS.ACK.Q_jobs.workers.1.8.10.0.1 a
        @ 5s
        < +OK 1
        < MSG jobs jobs.8.1.10 1
        < a
        "#,
    );
}

#[test]
fn a_delivery_that_comes_too_late_is_given_back() {
    check(
        r#"
        > POP jobs
        ? 0 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"batch":1,"max_bytes":4194304,"no_wait":true}
        @ 5s
        < -ERR 'no answer within 5s, the outcome is unknown; POP again; a message that was leased meanwhile comes back when its lease ends'
        ! 0 delivery $JS.ACK.Q_jobs.workers.1.8.10.0.1 a
        ? - $JS.ACK.Q_jobs.workers.1.8.10.0.1 -NAK
        "#,
    );
}

#[test]
fn a_lease_is_acked_nacked_and_extended_on_its_ack_subject() {
    check(
        r#"
        > ACK jobs.7.2.9
        ? 0 $JS.ACK.Q_jobs.workers.2.7.9.0.0 +ACK
        ! 0 empty
        < +OK acked
        > NACK jobs.7.2.9
        ? 1 $JS.ACK.Q_jobs.workers.2.7.9.0.0 -NAK
        ! 1 empty
        < +OK nacked
        > NACK jobs.7.2.9 delay=10s
        ? 2 $JS.ACK.Q_jobs.workers.2.7.9.0.0 -NAK {"delay":10000000000}
        ! 2 empty
        < +OK nacked
        > EXTEND jobs.7.2.9
        ? 3 $JS.ACK.Q_jobs.workers.2.7.9.0.0 +WPI
        ! 3 empty
        < +OK extended
        > EXTEND jobs.7.2.9 for=1m
        ? 4 $JS.ACK.Q_jobs.workers.2.7.9.0.0 +WPI {"for":60000000000}
        ! 4 empty
        < +OK extended
        "#,
    );
}

#[test]
fn a_lease_that_is_not_known_any_more_is_an_error() {
    check(
        "
        > ACK jobs.7.2.9
        ? 0 $JS.ACK.Q_jobs.workers.2.7.9.0.0 +ACK
        ! 0 status 410 Lease Expired
        < -ERR 'lease jobs.7.2.9 is unknown or has expired; the message may have been delivered again'
        > ACK jobs.7.2.9
        ? 1 $JS.ACK.Q_jobs.workers.2.7.9.0.0 +ACK
        ! 1 status 503
        < -ERR 'queue jobs does not exist; QUEUE CREATE jobs makes it'
        > ACK jobs.7.2.9
        ? 2 $JS.ACK.Q_jobs.workers.2.7.9.0.0 +ACK
        ! 2 status 503 peer away, nothing was written; try again
        < -ERR 'peer away, nothing was written; try again'
        > ACK jobs.7.2.9
        ? 3 $JS.ACK.Q_jobs.workers.2.7.9.0.0 +ACK
        @ 5s
        < -ERR 'no answer within 5s, the outcome is unknown; ACK it again: an answer that the lease is unknown means that it is done or has expired'
        ",
    );
}

#[test]
fn view_and_peek_read_without_consuming() {
    check(
        r#"
        > VIEW news
        ? 0 $JS.API.DIRECT.GET.T_news {"seq":1,"batch":20,"max_bytes":4194304}
        ! 0 stored 1 first
        ! 0 stored 2 second
        ! 0 status 204 EOB | Nats-Num-Pending: 0 | Nats-Last-Sequence: 2
        < +OK 2
        < MSG news 1 5
        < first
        < MSG news 2 6
        < second
        > QUEUE PEEK jobs from=7 max=1
        ? 1 $JS.API.DIRECT.GET.Q_jobs {"seq":7,"batch":1,"max_bytes":4194304}
        ! 1 stored 9 x
        < +OK 1
        < MSG jobs 9 1
        < x
        > VIEW news from=2026-01-31T12:00:00Z
        ? 2 $JS.API.DIRECT.GET.T_news {"batch":20,"max_bytes":4194304,"start_time":"2026-01-31T12:00:00Z"}
        ! 2 status 404 No Results
        < +OK 0
        > VIEW none
        ? 3 $JS.API.DIRECT.GET.T_none {"seq":1,"batch":20,"max_bytes":4194304}
        ! 3 status 503
        < -ERR 'topic none does not exist; TOPIC CREATE none makes it'
        "#,
    );
}

#[test]
fn from_last_is_the_newest_message_alone() {
    check(
        r#"
        > QUEUE PEEK jobs from=last
        ? 0 $JS.API.DIRECT.GET.Q_jobs {"last_by_subj":">"}
        ! 0 stored 7 x
        < +OK 1
        < MSG jobs 7 1
        < x
        > VIEW news from=last max=5
        ? 1 $JS.API.DIRECT.GET.T_news {"last_by_subj":">"}
        ! 1 status 404 Message Not Found
        < +OK 0
        "#,
    );
}

#[test]
fn a_view_of_more_than_one_batch_goes_on_behind_the_last_message() {
    check(
        r#"
        > VIEW news max=4
        ? 0 $JS.API.DIRECT.GET.T_news {"seq":1,"batch":4,"max_bytes":4194304}
        ! 0 stored 1 a
        ! 0 stored 3 bb
        ! 0 status 204 EOB | Nats-Num-Pending: 7 | Nats-Last-Sequence: 3
        ? 1 $JS.API.DIRECT.GET.T_news {"seq":4,"batch":2,"max_bytes":4194301}
        ! 1 stored 4 c
        ! 1 status 204 EOB | Nats-Num-Pending: 6 | Nats-Last-Sequence: 4
        ? 2 $JS.API.DIRECT.GET.T_news {"seq":5,"batch":1,"max_bytes":4194300}
        ! 2 status 204 EOB | Nats-Num-Pending: 6 | Nats-Last-Sequence: 4
        < +OK 3
        < MSG news 1 1
        < a
        < MSG news 3 2
        < bb
        < MSG news 4 1
        < c
        "#,
    );
}

#[test]
fn a_read_without_an_answer_may_simply_be_tried_again() {
    check(
        r#"
        > VIEW news
        ? 0 $JS.API.DIRECT.GET.T_news {"seq":1,"batch":20,"max_bytes":4194304}
        @ 5s
        < -ERR 'no answer within 5s; try again'
        "#,
    );
}

#[test]
fn a_publisher_can_not_make_a_message_look_like_a_status() {
    let mut verbs = crate::verbs::Verbs::new(1024);
    let mut out = crate::verbs::Output::default();
    let now = crate::input::Monotonic(0);
    super::script::client_sends(&mut verbs, now, "VIEW news max=1\r\n", &mut out);
    let headers = b"NATS/1.0 404 Gone\r\nNats-Sequence: 99\r\nNats-Sequence: 1\r\n\r\n".as_slice();
    let answer = crate::verbs::Answer {
        headers: headers.into(),
        payload: "x".into(),
        ..Default::default()
    };
    verbs.answer(now, crate::verbs::AskId(0), answer, &mut out);
    assert_eq!(out.text, b"+OK 1\r\nMSG news 1 1\r\nx\r\n");
}
