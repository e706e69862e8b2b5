//! Who waits for whom, what is bounded, and the verbs that ask nothing.

use super::script::{check, client_sends};
use crate::input::Monotonic;
use crate::verbs::{AskId, Output, VERBS_WAITING_BYTES_MAX, VERBS_WAITING_MAX, Verbs};

#[test]
fn pushes_overlap_and_are_answered_in_their_order() {
    check(
        r#"
        > PUSH jobs a
        ? 0 $Q.jobs a
        > POST news b
        ? 1 $T.news b
        > PUSH jobs c
        ? 2 $Q.jobs c
        ! 1 {"stream":"T_news","seq":1}
        ! 2 {"stream":"Q_jobs","seq":2}
        ! 0 {"stream":"Q_jobs","seq":1}
        < +OK 1
        < +OK 1
        < +OK 2
        "#,
    );
}

#[test]
fn anything_else_waits_for_what_is_before_it() {
    check(
        r#"
        > PUSH jobs a
        ? 0 $Q.jobs a
        > POP jobs
        > PUSH jobs b
        > QUEUE LSIT
        > HELP QUIT
        ! 0 {"stream":"Q_jobs","seq":1}
        < +OK 1
        ? 1 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"batch":1,"max_bytes":4194304,"no_wait":true}
        ! 1 status 404 No Messages
        < +OK 0
        ? 2 $Q.jobs b
        ! 2 {"stream":"Q_jobs","seq":2}
        < +OK 2
        < -ERR 'Unknown verb QUEUE LSIT, did you mean QUEUE LIST; HELP lists them'
        < +OK 3
        < QUIT
        < ends the connection
        < example: QUIT
        "#,
    );
}

#[test]
fn a_waiting_pop_delays_later_verbs_until_its_time_is_over() {
    check(
        r#"
        > POP jobs wait=1m
        ? 0 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"expires":60000000000,"batch":1,"max_bytes":4194304,"no_wait":true}
        > STATUS
        ! 0 status 408 Request Timeout
        < +OK 0
        < +OK 4
        < broker a up 1m2s connections 3
        < peer b in sync
        < shard 0 leader a in sync position 12
        < shard 2 leader nobody not in sync position 0
        "#,
    );
}

#[test]
fn quit_is_answered_in_its_turn_and_ends_all() {
    check(
        r#"
        > PUSH jobs a
        ? 0 $Q.jobs a
        > QUIT
        > PUSH jobs never
        ! 0 {"stream":"Q_jobs","seq":1}
        < +OK 1
        < +OK bye
        close
        > PUSH jobs never
        "#,
    );
}

#[test]
fn after_the_end_of_input_what_is_pending_is_answered_and_then_the_connection_closed() {
    check(
        r#"
        > PUSH jobs a
        ? 0 $Q.jobs a
        > POP jobs wait=1m
        > HELP QUIT
        end of input
        ! 0 {"stream":"Q_jobs","seq":1}
        < +OK 1
        ? 1 $JS.API.CONSUMER.MSG.NEXT.Q_jobs.workers {"expires":60000000000,"batch":1,"max_bytes":4194304,"no_wait":true}
        ! 1 status 408 Request Timeout
        < +OK 0
        < +OK 3
        < QUIT
        < ends the connection
        < example: QUIT
        close
        "#,
    );
}

#[test]
fn the_end_of_input_waits_no_longer_than_the_verbs_themselves() {
    check(
        r#"
        > PUSH jobs a
        ? 0 $Q.jobs a
        end of input
        @ 5s
        < -ERR 'no answer within 5s, the outcome is unknown; QUEUE PEEK jobs shows whether it is there; with id= a push can be repeated safely'
        close
        "#,
    );
}

#[test]
fn the_end_of_input_closes_at_once_when_nothing_is_pending() {
    check(
        "
        end of input
        close
        ",
    );
}

#[test]
fn quit_before_the_end_of_input_closes_once() {
    check(
        r#"
        > PUSH jobs a
        ? 0 $Q.jobs a
        > QUIT
        end of input
        ! 0 {"stream":"Q_jobs","seq":1}
        < +OK 1
        < +OK bye
        close
        "#,
    );
}

#[test]
fn auth_says_that_there_are_no_users() {
    check(
        "
        > AUTH alice secret
        < -ERR 'there are no users in this version; go on without AUTH'
        ",
    );
}

#[test]
fn the_queue_is_full_at_its_bounds_and_not_after_answers() {
    let mut verbs = Verbs::new(64 * 1024 * 1024);
    let mut out = Output::default();
    let now = Monotonic(0);
    for _ in 0..VERBS_WAITING_MAX {
        assert!(!verbs.is_full());
        client_sends(&mut verbs, now, "PUSH jobs x\r\n", &mut out);
    }
    assert!(verbs.is_full());
    let ack = || crate::verbs::Answer {
        payload: r#"{"stream":"Q_jobs","seq":1}"#.into(),
        ..Default::default()
    };
    verbs.answer(now, AskId(0), ack(), &mut out);
    assert!(!verbs.is_full());

    let mut verbs = Verbs::new(64 * 1024 * 1024);
    let megabyte = format!(
        "PUSH jobs #{}\r\n{}\r\n",
        1024 * 1024,
        "x".repeat(1024 * 1024)
    );
    let count = VERBS_WAITING_BYTES_MAX / (1024 * 1024);
    for number in 0..=count {
        assert!(!verbs.is_full(), "{number}");
        client_sends(&mut verbs, now, &megabyte, &mut out);
    }
    assert!(verbs.is_full());
    for ask in 0..=count {
        verbs.answer(now, AskId(ask as u64), ack(), &mut out);
    }
    assert!(!verbs.is_full() && verbs.is_idle());
    assert_eq!(verbs.next_timer(), None);
}
