//! Every verb, and every mistake with its answer.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::time::Timestamp;

fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap()
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn lease() -> Lease {
    Lease::parse(LEASE).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[track_caller]
fn check(line: &str, expected: Verb) {
    match read(line.as_bytes()) {
        VerbLine::Whole(Ok(verb)) => assert_eq!(verb, expected, "{line}"),
        other => panic!("{line}: {other:?}"),
    }
}

#[track_caller]
fn check_with_payload(line: &str, expected_len: usize, expected: Verb) {
    match read(line.as_bytes()) {
        VerbLine::WithPayload { to: Ok(to), len } => {
            assert_eq!(len, expected_len, "{line}");
            assert_eq!(to.carrying(Bytes::from_static(b"x")), expected, "{line}");
        }
        other => panic!("{line}: {other:?}"),
    }
}

#[track_caller]
fn check_err(line: impl AsRef<[u8]>, expected: &str) {
    let line = line.as_ref();
    let error = match read(line) {
        VerbLine::Whole(Err(error)) | VerbLine::WithPayload { to: Err(error), .. } => error,
        VerbLine::NotAVerb => VerbError::unknown(line),
        other => panic!("{}: {other:?}", line.escape_ascii()),
    };
    assert_eq!(error.to_string(), expected, "{}", line.escape_ascii());
}

fn push(options: PushOptions, text: &'static str) -> Verb {
    Verb::Push {
        queue: queue("jobs"),
        options,
        payload: Bytes::from_static(text.as_bytes()),
    }
}

fn post(text: &'static str) -> Verb {
    Verb::Post {
        topic: topic("news"),
        payload: Bytes::from_static(text.as_bytes()),
    }
}

fn pop(wait: Duration, max: u32, lease: Option<Duration>) -> Verb {
    Verb::Pop {
        queue: queue("jobs"),
        wait,
        max,
        lease,
    }
}

#[test]
fn queues_are_made_and_looked_at() {
    let name = || queue("jobs");
    check(
        "QUEUE CREATE jobs",
        Verb::QueueCreate {
            name: name(),
            options: QueueOptions::default(),
        },
    );
    check("QUEUE DELETE jobs", Verb::QueueDelete { name: name() });
    check("QUEUE PURGE jobs", Verb::QueuePurge { name: name() });
    check("QUEUE INFO jobs", Verb::QueueInfo { name: name() });
    check("QUEUE LIST", Verb::QueueList);
    check(
        "QUEUE PEEK jobs",
        Verb::QueuePeek {
            name: name(),
            from: StartFrom::First,
            max: 20,
        },
    );
    check(
        "QUEUE PEEK jobs max=10000 from=7",
        Verb::QueuePeek {
            name: name(),
            from: StartFrom::Sequence(7),
            max: VERB_MESSAGES_MAX,
        },
    );
}

#[test]
fn topics_are_made_and_looked_at() {
    let name = || topic("news");
    check(
        "TOPIC CREATE news",
        Verb::TopicCreate {
            name: name(),
            options: TopicOptions::default(),
        },
    );
    check("TOPIC DELETE news", Verb::TopicDelete { name: name() });
    check("TOPIC INFO news", Verb::TopicInfo { name: name() });
    check("TOPIC LIST", Verb::TopicList);
    check(
        "VIEW news",
        Verb::View {
            topic: name(),
            from: StartFrom::First,
            max: 20,
        },
    );
    check(
        "VIEW news from=last max=1",
        Verb::View {
            topic: name(),
            from: StartFrom::Last,
            max: 1,
        },
    );
    let time = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
    check(
        "VIEW news from=2026-01-31T12:00:00Z",
        Verb::View {
            topic: name(),
            from: StartFrom::Time(time),
            max: 20,
        },
    );
}

#[test]
fn options_of_create_are_the_queues_and_topics_own() {
    for name in QueueOptions::NAMES {
        assert!(
            help(Some("QUEUE CREATE"))
                .unwrap()
                .iter()
                .any(|line| line.contains(&format!("{name}=")))
        );
    }
    for name in TopicOptions::NAMES {
        assert!(
            help(Some("TOPIC CREATE"))
                .unwrap()
                .iter()
                .any(|line| line.contains(&format!("{name}=")))
        );
    }
}

#[test]
fn push_takes_known_options_and_then_text() {
    let none = PushOptions::default;
    check("PUSH jobs hello", push(none(), "hello"));
    check(
        "PUSH jobs  hello  big world ",
        push(none(), "hello  big world "),
    );
    check("PUSH jobs a=b", push(none(), "a=b"));
    check("PUSH jobs a=b delay=5s", push(none(), "a=b delay=5s"));
    check("PUSH jobs DELAY=5s x", push(none(), "DELAY=5s x"));
    check("PUSH jobs \u{e9}", push(none(), "\u{e9}"));
    check(
        "PUSH jobs delay=5s x",
        push(
            PushOptions {
                delay: Some(seconds(5)),
                ..none()
            },
            "x",
        ),
    );
    let all = PushOptions {
        delay: Some(seconds(90)),
        priority: Some(9),
        key: Some("k=1".to_owned()),
        id: Some("i".to_owned()),
    };
    check(
        "PUSH jobs id=i key=k=1 priority=9 delay=1m30s x delay=y",
        push(all, "x delay=y"),
    );
}

#[test]
fn two_dashes_end_options_and_what_follows_is_text_as_it_is() {
    let none = PushOptions::default;
    check("PUSH jobs -- delay=5s", push(none(), "delay=5s"));
    check(
        "PUSH jobs id=i -- id=j x",
        push(
            PushOptions {
                id: Some("i".to_owned()),
                ..none()
            },
            "id=j x",
        ),
    );
    check("PUSH jobs -- #5", push(none(), "#5"));
    check("PUSH jobs -- --", push(none(), "--"));
    check("POST news -- x", post("x"));
}

#[test]
fn a_number_sign_and_digits_in_place_of_the_text_announce_a_payload() {
    let verb = push(PushOptions::default(), "x");
    check_with_payload("PUSH jobs #5", 5, verb.clone());
    check_with_payload("PUSH jobs #0 ", 0, verb);
    let options = PushOptions {
        delay: Some(seconds(5)),
        ..PushOptions::default()
    };
    check_with_payload("PUSH jobs delay=5s #12", 12, push(options, "x"));
    check_with_payload("POST news #7", 7, post("x"));
    check_with_payload("POST news #99999999999999999999999", usize::MAX, post("x"));
    for text in ["#5 x", "#", "#x", "#5x", "# 5", "x #5", "#-5"] {
        let payload = Bytes::copy_from_slice(text.as_bytes());
        check(
            &format!("POST news {text}"),
            Verb::Post {
                topic: topic("news"),
                payload,
            },
        );
    }
}

#[test]
fn post_has_no_options() {
    check("POST news first", post("first"));
    check("POST news id=1 x", post("id=1 x"));
}

#[test]
fn pop_answers_at_once_with_one_message_unless_told_otherwise() {
    check("POP jobs", pop(Duration::ZERO, 1, None));
    check(
        "POP jobs wait=5s max=10 lease=1m",
        pop(seconds(5), 10, Some(seconds(60))),
    );
    check(
        "POP jobs lease=250ms wait=1d",
        pop(WAIT_MAX, 1, Some(Duration::from_millis(250))),
    );
}

#[test]
fn leases_are_answered_by_themselves() {
    check(&format!("ACK {LEASE}"), Verb::Ack { lease: lease() });
    check(
        &format!("NACK {LEASE}"),
        Verb::Nack {
            lease: lease(),
            delay: None,
        },
    );
    check(
        &format!("NACK {LEASE} delay=10s"),
        Verb::Nack {
            lease: lease(),
            delay: Some(seconds(10)),
        },
    );
    check(
        &format!("EXTEND {LEASE}"),
        Verb::Extend {
            lease: lease(),
            r#for: None,
        },
    );
    check(
        &format!("EXTEND {LEASE} for=1h"),
        Verb::Extend {
            lease: lease(),
            r#for: Some(seconds(3600)),
        },
    );
}

#[test]
fn topics_are_followed_by_name_or_not() {
    let alice = SubscriptionName::parse("alice").unwrap();
    let follow = |subscription, from| Verb::Follow {
        topic: topic("news"),
        subscription,
        from,
    };
    check("FOLLOW news", follow(None, None));
    check("FOLLOW news as=alice", follow(Some(alice.clone()), None));
    check(
        "FOLLOW news from=first as=alice",
        follow(Some(alice.clone()), Some(StartFrom::First)),
    );
    check(
        "UNFOLLOW news",
        Verb::Unfollow {
            topic: topic("news"),
            subscription: None,
        },
    );
    check(
        "UNFOLLOW news as=alice",
        Verb::Unfollow {
            topic: topic("news"),
            subscription: Some(alice),
        },
    );
}

#[test]
fn the_connection_has_verbs_of_its_own() {
    check("STATUS", Verb::Status);
    check("QUIT", Verb::Quit);
    check("HELP", Verb::Help(None));
    check(
        "HELP  queue   create ",
        Verb::Help(Some("queue create".to_owned())),
    );
    check(
        "AUTH secret",
        Verb::Auth(Credentials::Token("secret".to_owned())),
    );
    let password = Credentials::Password {
        user: "alice".to_owned(),
        password: "secret".to_owned(),
    };
    check("AUTH alice secret", Verb::Auth(password));
}

#[test]
fn verbs_are_in_any_case_and_any_blanks_apart() {
    check("queue list", Verb::QueueList);
    check("\tQueue \t LIST ", Verb::QueueList);
    check("pop\tjobs", pop(Duration::ZERO, 1, None));
    check("post news  Hello", post("Hello"));
}

#[test]
fn an_unknown_verb_is_answered_with_what_may_have_been_meant() {
    check_err(
        "POSH jobs x",
        "Unknown verb POSH, did you mean PUSH or POST; HELP lists them",
    );
    check_err(
        "popp jobs",
        "Unknown verb popp, did you mean POP or POST; HELP lists them",
    );
    check_err(
        "PBU foo 1",
        "Unknown verb PBU, did you mean PUB or POP; HELP lists them",
    );
    check_err(
        "QEUE LIST",
        "Unknown verb QEUE, did you mean QUEUE; HELP lists them",
    );
    check_err(
        "list",
        "Unknown verb list, did you mean QUEUE LIST or TOPIC LIST; HELP lists them",
    );
    check_err(
        "PURGE jobs",
        "Unknown verb PURGE, did you mean QUEUE PURGE; HELP lists them",
    );
    check_err("xyzzy", "Unknown verb xyzzy; HELP lists them");
    check_err("caf\u{e9} x", "Unknown verb caf\u{e9}; HELP lists them");
    check_err(
        b"\xff\xfe",
        "Unknown verb \u{fffd}\u{fffd}; HELP lists them",
    );
    check_err(
        "QUEUE CRATE jobs",
        "Unknown verb QUEUE CRATE, did you mean QUEUE CREATE; HELP lists them",
    );
    check_err(
        "topic purge x",
        "Unknown verb TOPIC purge, did you mean TOPIC CREATE or TOPIC DELETE or TOPIC INFO or TOPIC LIST; HELP lists them",
    );
    check_err(
        "TOPIC",
        "Unknown verb TOPIC, did you mean TOPIC CREATE or TOPIC DELETE or TOPIC INFO or TOPIC LIST; HELP lists them",
    );
    let long = "x".repeat(4000);
    check_err(
        &long,
        &format!("Unknown verb {}...; HELP lists them", &long[..40]),
    );
}

#[test]
fn a_missing_argument_is_answered_with_the_line_to_type() {
    check_err(
        "QUEUE DELETE",
        "the queue is missing; write QUEUE DELETE <queue>",
    );
    check_err(
        "TOPIC INFO ",
        "the topic is missing; write TOPIC INFO <topic>",
    );
    check_err("ACK", "the lease is missing; write ACK <lease>");
    check_err(
        "POST",
        "the name is missing; write POST <topic> <text> | #<bytes>",
    );
    check_err(
        "POST #3",
        "the name is missing; write POST <topic> <text> | #<bytes>",
    );
    check_err(
        "POST news",
        "the text is missing; write POST <topic> <text> | #<bytes>",
    );
    check_err(
        "POST news -- ",
        "the text is missing; write POST <topic> <text> | #<bytes>",
    );
    check_err(
        "PUSH jobs delay=5s",
        "the text is missing; write PUSH <queue> [delay=30s] [priority=5] [key=<key>] [id=<id>] <text> | #<bytes>",
    );
    check_err(
        "AUTH",
        "a user or a token is missing; write AUTH <user> <password> | <token>",
    );
}

#[test]
fn a_word_too_many_is_answered_with_the_line_to_type() {
    check_err("QUEUE LIST jobs", "unexpected \"jobs\"; write QUEUE LIST");
    check_err(
        "QUEUE DELETE jobs now",
        "unexpected \"now\"; write QUEUE DELETE <queue>",
    );
    check_err(
        "POP jobs 5",
        "unexpected \"5\"; write POP <queue> [wait=5s] [max=10] [lease=30s]",
    );
    check_err("STATUS x", "unexpected \"x\"; write STATUS");
    check_err("QUIT now", "unexpected \"now\"; write QUIT");
    check_err(
        "AUTH a b c",
        "unexpected \"***\"; write AUTH <user> <password> | <token>",
    );
    check_err(
        format!("ACK {LEASE} x"),
        "unexpected \"x\"; write ACK <lease>",
    );
}

#[test]
fn an_unknown_option_is_answered_with_the_nearest_or_all() {
    check_err(
        "POP jobs wiat=5s",
        "unknown option \"wiat\" for POP, did you mean wait=",
    );
    check_err(
        "POP jobs timeout=5s",
        "unknown option \"timeout\" for POP, did you mean wait= or max= or lease=",
    );
    check_err(
        "FOLLOW news form=1",
        "unknown option \"form\" for FOLLOW, did you mean from=",
    );
    check_err(
        "UNFOLLOW news from=1",
        "unknown option \"from\" for UNFOLLOW, did you mean as=",
    );
    check_err(
        "POP jobs WAIT=5s",
        "unknown option \"WAIT\" for POP, did you mean wait=",
    );
    check_err(
        "POP jobs =5s",
        "unknown option \"\" for POP, did you mean wait= or max= or lease=",
    );
}

#[test]
fn an_option_twice_is_refused() {
    check_err(
        "POP jobs max=1 max=2",
        "option max= stands there twice; write it once",
    );
    check_err(
        "PUSH jobs id=1 id=2 x",
        "option id= stands there twice; write it once",
    );
}

#[test]
fn a_bad_value_is_answered_with_what_the_option_takes() {
    check_err(
        "POP jobs max=0",
        "bad max=: \"0\" is not a whole number from 1 to 10000",
    );
    check_err(
        "POP jobs max=ten",
        "bad max=: \"ten\" is not a whole number from 1 to 10000",
    );
    check_err(
        "VIEW news max=10001",
        "bad max=: \"10001\" is not a whole number from 1 to 10000",
    );
    check_err(
        "PUSH jobs priority=10 x",
        "bad priority=: \"10\" is not a whole number from 0 to 9",
    );
    check_err("POP jobs wait=25h", "bad wait=: write 0s to 1d");
    check_err("POP jobs lease=0s", "bad lease=: write 100ms to 365d");
    check_err(
        format!("EXTEND {LEASE} for=366d"),
        "bad for=: write 100ms to 365d",
    );
    check_err(
        format!("NACK {LEASE} delay=366d"),
        "bad delay=: write 0s to 365d",
    );
    check_err(
        "VIEW news from=0",
        "bad from=: \"0\"; write first, last, a sequence from 1 on, or a time as 2026-01-31T12:00:00Z",
    );
    check_err(
        "PUSH jobs key= x",
        "bad key=: write 1 to 128 bytes, no blanks or control characters",
    );
    check_err(
        format!("PUSH jobs key={} x", "k".repeat(129)),
        "bad key=: write 1 to 128 bytes, no blanks or control characters",
    );
    check_err(
        "PUSH jobs id=a\rb x",
        "bad id=: write 1 to 256 bytes, no blanks or control characters",
    );
    check_err(
        format!("PUSH jobs id={} x", "i".repeat(257)),
        "bad id=: write 1 to 256 bytes, no blanks or control characters",
    );
}

#[test]
fn what_other_types_refuse_is_told_in_their_words() {
    let duration = parse_error("POP jobs wait=5");
    assert!(
        matches!(&duration, VerbError::BadDuration { option: "wait", .. }),
        "{duration:?}"
    );
    assert!(
        duration.to_string().starts_with("bad wait=: "),
        "{duration}"
    );
    for line in [
        "POP no.dots",
        "PUSH a=b x",
        "FOLLOW news as=a.b",
        "QUEUE CREATE \u{e9}",
    ] {
        assert!(matches!(parse_error(line), VerbError::BadName(_)), "{line}");
    }
    assert!(matches!(parse_error("ACK ?"), VerbError::BadLease(_)));
}

#[track_caller]
fn parse_error(line: &str) -> VerbError {
    match read(line.as_bytes()) {
        VerbLine::Whole(Err(error)) => error,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_line_that_is_not_utf8_is_refused_with_its_payload() {
    let text = "the line is not UTF-8; send other bytes as #<bytes> CR LF and then the bytes";
    check_err(b"POST news \xff", text);
    check_err(b"PUSH \xff x", text);
    assert!(matches!(
        read(b"PUSH \xff #5"),
        VerbLine::WithPayload {
            to: Err(VerbError::NotUtf8),
            len: 5
        }
    ));
}

#[test]
fn every_verb_of_the_table_is_one_and_its_example_too() {
    for row in VERBS {
        assert!(
            !matches!(read(row.name.as_bytes()), VerbLine::NotAVerb),
            "{}",
            row.name
        );
        let example = row.example.replace("<the lease that POP showed>", LEASE);
        assert!(
            matches!(read(example.as_bytes()), VerbLine::Whole(Ok(_))),
            "{example}"
        );
        for option in row.options {
            let shown = row.arguments.contains(&format!("[{option}="))
                || row.arguments.contains("[option=value ...]");
            assert!(shown, "{} {option}", row.name);
        }
    }
}

#[test]
fn help_shows_all_verbs_some_or_one() {
    let all = help(None).unwrap();
    assert_eq!(all.len(), VERBS.len() + 1);
    assert!(
        all.contains(&"QUEUE LIST - shows the queues and how many messages each has".to_owned()),
        "{all:?}"
    );
    assert!(all.iter().all(|line| !line.contains(['\r', '\n'])));
    let one = help(Some("nack")).unwrap();
    let expected = [
        "NACK <lease> [delay=10s]",
        "gives a leased message back to its queue",
        "options: delay=",
        "example: NACK <the lease that POP showed> delay=10s",
    ];
    assert_eq!(one, expected);
    assert_eq!(help(Some("queue")).unwrap().len(), 6);
    assert_eq!(help(Some("QUEUE list")).unwrap()[0], "QUEUE LIST");
    assert!(help(Some("pub")).unwrap()[0].contains("PUB <subject>"));
    assert_eq!(
        help(Some("POSH")).unwrap_err().to_string(),
        "Unknown verb POSH, did you mean PUSH or POST; HELP lists them"
    );
    assert_eq!(
        help(Some("QUEUE CRATE")).unwrap_err().to_string(),
        "Unknown verb QUEUE CRATE, did you mean QUEUE CREATE; HELP lists them"
    );
}

#[test]
fn debug_shows_no_secret() {
    for credentials in [
        Credentials::Token("secret".to_owned()),
        Credentials::Password {
            user: "alice".to_owned(),
            password: "secret".to_owned(),
        },
    ] {
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}

/// A text that is a lease.
const LEASE: &str = "jobs.7.1.9";
