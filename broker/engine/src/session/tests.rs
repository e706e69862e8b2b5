use relevo_protocol::limits::Limits;
use relevo_protocol::parse::{Parsed, parse_client};

use super::*;

/// Feeds everything that a client sends, as the read task does. Gives what the client is answered, and a line for each
/// thing that the server is to do.
fn run(session: &mut Session, input: &[u8]) -> (String, Vec<String>) {
    let mut out = Vec::new();
    let mut actions = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let action = match parse_client(rest, &Limits::of_server(), session.mode()) {
            Ok(Parsed::Op { op, consumed }) => {
                let action = session.handle(op, &mut out);
                rest = &rest[consumed..];
                action
            }
            Ok(Parsed::Incomplete { need }) => panic!("{need} bytes are missing"),
            Err(error) => session.refuse(error, &mut out),
        };
        if action != Action::Nothing {
            actions.push(shown(&action));
        }
        if let Action::Close(_) = action {
            break;
        }
    }
    (String::from_utf8(out).unwrap(), actions)
}

fn shown(action: &Action<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match action {
        Action::Nothing => "nothing".to_owned(),
        Action::Publish(Publish {
            subject,
            reply,
            headers,
            payload,
        }) => {
            let reply = reply
                .map(|reply| format!(" reply {}", text(reply)))
                .unwrap_or_default();
            format!(
                "publish {subject}{reply} {}+{}",
                headers.len(),
                text(payload)
            )
        }
        Action::Subscribe(Subscribe {
            id,
            sid,
            filter,
            queue,
        }) => {
            let queue = queue
                .map(|queue| format!(" queue {}", text(queue)))
                .unwrap_or_default();
            format!("subscribe {} {filter}{queue} sid {}", id.0, text(sid))
        }
        Action::Unsubscribe { id, after: None } => format!("unsubscribe {}", id.0),
        Action::Unsubscribe {
            id,
            after: Some(count),
        } => format!("unsubscribe {} after {count}", id.0),
        Action::Verb(verb) => format!("verb {verb:?}"),
        Action::BadVerb(error) => format!("bad verb {error}"),
        Action::Close(reason) => format!("close {reason:?}"),
    }
}

#[track_caller]
fn check(input: &[u8], answered: &str, actions: &[&str]) {
    let mut session = Session::new(SessionConfig::default());
    let (out, done) = run(&mut session, input);
    assert_eq!(out, answered, "{}", input.escape_ascii());
    assert_eq!(done, actions, "{}", input.escape_ascii());
}

/// After a CONNECT that turns verbose off.
#[track_caller]
fn check_quiet(input: &[u8], answered: &str, actions: &[&str]) {
    check(
        &[b"CONNECT {\"verbose\":false}\r\n", input].concat(),
        answered,
        actions,
    );
}

#[test]
fn nothing_has_to_be_said_before_anything_else() {
    check(b"PUB a 1\r\nx\r\n", "+OK\r\n", &["publish a 0+x"]);
    check(
        b"SUB a.* q 7\r\n",
        "+OK\r\n",
        &["subscribe 0 a.* queue q sid 7"],
    );
    check(b"ping\r\n", "PONG\r\n", &[]);
}

#[test]
fn verbose_confirms_every_operation_but_ping_pong_and_info() {
    check(
        b"CONNECT {}\r\nSUB a 1\r\nPUB a r 1\r\nx\r\nUNSUB 1\r\nUNSUB 99\r\nPING\r\nPONG\r\nINFO {}\r\n",
        "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\nPONG\r\n",
        &["subscribe 0 a sid 1", "publish a reply r 0+x", "unsubscribe 0"],
    );
}

#[test]
fn a_session_that_is_not_verbose_gets_no_ok() {
    check_quiet(
        b"SUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\nPING\r\n",
        "PONG\r\n",
        &["subscribe 0 a sid 1", "publish a 0+x", "unsubscribe 0"],
    );
}

#[test]
fn a_second_connect_changes_what_it_names_and_leaves_the_rest() {
    check_quiet(
        b"CONNECT {}\r\nCONNECT {\"verbose\":null}\r\nPUB a 1\r\nx\r\n",
        "",
        &["publish a 0+x"],
    );
    check_quiet(
        b"CONNECT {\"verbose\":true}\r\nPUB a 1\r\nx\r\n",
        "+OK\r\n+OK\r\n",
        &["publish a 0+x"],
    );

    let mut session = Session::new(SessionConfig::default());
    run(&mut session, b"CONNECT {\"echo\":false,\"headers\":true,\"name\":\"n\"}\r\nCONNECT {\"no_responders\":true}\r\n");
    let options = session.options();
    assert!(!options.echo && options.headers && options.no_responders);
    assert_eq!(options.name.as_deref(), Some("n"));
}

#[test]
fn a_connect_that_can_not_be_read_closes() {
    let answered = "-ERR 'Parser Error: CONNECT takes a JSON object'\r\n";
    for json in ["{\"verb", "{\"verbose\":\"x\"}", "[]", "null", "{} x"] {
        check(
            format!("CONNECT {json}\r\n").as_bytes(),
            answered,
            &["close BadConnect"],
        );
        check_quiet(
            format!("CONNECT {json}\r\n").as_bytes(),
            answered,
            &["close BadConnect"],
        );
    }
}

#[test]
fn connect_is_refused_for_options_that_contradict() {
    check(
        b"CONNECT {\"no_responders\":true}\r\nPING\r\n",
        "-ERR 'no responders requires headers support'\r\n",
        &["close NoRespondersNeedsHeaders"],
    );
    check(
        b"CONNECT {\"no_responders\":true,\"headers\":true}\r\n",
        "+OK\r\n",
        &[],
    );
    for protocol in [-1, 2] {
        check(
            format!("CONNECT {{\"protocol\":{protocol}}}\r\n").as_bytes(),
            "-ERR 'invalid client protocol'\r\n",
            &["close UnknownClientProtocol"],
        );
    }
    check(b"CONNECT {\"protocol\":1}\r\n", "+OK\r\n", &[]);
}

#[test]
fn a_publish_to_no_subject_is_answered_once_and_the_connection_stays() {
    for subject in ["a..b", ".a", "a.", "a.*", ">", "a.>"] {
        let publish = format!("PUB {subject} 1\r\nx\r\nPING\r\n");
        let answered = "-ERR 'Invalid Publish Subject'\r\nPONG\r\n";
        check(publish.as_bytes(), answered, &[]);
        check_quiet(publish.as_bytes(), answered, &[]);
    }
    check_quiet(
        b"PUB a\xff 1\r\nx\r\n",
        "-ERR 'Invalid Publish Subject'\r\n",
        &[],
    );
}

#[test]
fn a_request_to_the_api_may_name_a_filter_in_its_subject() {
    for subject in [
        "$JS.API.CONSUMER.CREATE.ORDERS.dur.orders.*",
        "$JS.API.CONSUMER.CREATE.ORDERS.dur.>",
    ] {
        check_quiet(
            format!("PUB {subject} r 1\r\nx\r\n").as_bytes(),
            "",
            &[&format!("publish {subject} reply r 0+x")],
        );
    }
}

#[test]
fn a_reply_subject_may_be_any_word_that_is_not_too_long() {
    check_quiet(b"PUB a r..* 1\r\nx\r\n", "", &["publish a reply r..* 0+x"]);
    let publish = format!("PUB a {} 1\r\nx\r\n", "r".repeat(SUBJECT_LEN_MAX + 1));
    check_quiet(publish.as_bytes(), "-ERR 'Invalid Reply Subject'\r\n", &[]);
}

#[test]
fn headers_are_taken_only_from_a_client_that_said_it_knows_them() {
    let publish = b"HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n";
    let answered =
        "-ERR 'message headers not supported; send CONNECT {\"headers\":true} first'\r\n";
    check(publish, answered, &["close HeadersNotEnabled"]);
    check_quiet(publish, answered, &["close HeadersNotEnabled"]);
    let connect = b"CONNECT {\"headers\":true,\"verbose\":false}\r\n".as_slice();
    check(&[connect, publish].concat(), "", &["publish a 12+x"]);
    check(
        &[connect, b"HPUB a 5 6\r\nhellox\r\n"].concat(),
        "",
        &["publish a 5+x"],
    );
}

#[test]
fn a_subscription_to_no_subject_is_refused_and_the_connection_stays() {
    for subject in ["a..b", "a.>.b", "."] {
        let subscribe = format!("SUB {subject} 1\r\nPING\r\n");
        check(
            subscribe.as_bytes(),
            "-ERR 'Invalid Subject'\r\nPONG\r\n",
            &[],
        );
    }
}

#[test]
fn a_sid_in_use_is_not_subscribed_again() {
    check_quiet(b"SUB a 1\r\nSUB b 1\r\n", "", &["subscribe 0 a sid 1"]);
    check(
        b"SUB a 1\r\nSUB b 1\r\n",
        "+OK\r\n+OK\r\n",
        &["subscribe 0 a sid 1"],
    );
}

#[test]
fn a_sid_can_be_used_again_once_its_subscription_has_ended() {
    check_quiet(
        b"SUB a 1\r\nUNSUB 1\r\nSUB b 1\r\nUNSUB 1\r\nUNSUB 1\r\n",
        "",
        &[
            "subscribe 0 a sid 1",
            "unsubscribe 0",
            "subscribe 1 b sid 1",
            "unsubscribe 1",
        ],
    );
}

#[test]
fn an_unsub_with_a_count_keeps_the_sid_until_the_server_says_that_it_ended() {
    let mut session = Session::new(SessionConfig::default());
    let (_, actions) = run(
        &mut session,
        b"SUB a 1\r\nUNSUB 1 3\r\nUNSUB 1 5\r\nSUB b 1\r\n",
    );
    assert_eq!(
        actions,
        [
            "subscribe 0 a sid 1",
            "unsubscribe 0 after 3",
            "unsubscribe 0 after 5"
        ]
    );
    session.ended(b"1", SubscriptionId(0));
    let (_, actions) = run(&mut session, b"SUB b 1\r\n");
    assert_eq!(actions, ["subscribe 1 b sid 1"]);
    session.ended(b"1", SubscriptionId(0));
    session.ended(b"2", SubscriptionId(7));
    assert_eq!(
        session.subscriptions_count(),
        1,
        "a late report about the first use changes nothing"
    );
}

#[test]
fn subscriptions_and_their_words_are_bounded() {
    let config = SessionConfig {
        subscriptions_max: 2,
        ..SessionConfig::default()
    };
    let mut session = Session::new(config);
    let (out, actions) = run(
        &mut session,
        b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nSUB a 2\r\nSUB a 3\r\nUNSUB 1\r\nSUB a 3\r\n",
    );
    assert_eq!(out, "-ERR 'maximum subscriptions exceeded'\r\n");
    assert_eq!(
        actions,
        [
            "subscribe 0 a sid 1",
            "subscribe 1 a sid 2",
            "unsubscribe 0",
            "subscribe 2 a sid 3"
        ]
    );

    let long_sid = format!("SUB a {}\r\n", "s".repeat(SID_LEN_MAX + 1));
    check_quiet(
        long_sid.as_bytes(),
        "-ERR 'Invalid Subscription Identifier'\r\n",
        &[],
    );
    let long_queue = format!("SUB a {} 1\r\n", "q".repeat(SUBJECT_LEN_MAX + 1));
    check_quiet(long_queue.as_bytes(), "-ERR 'Invalid Queue Group'\r\n", &[]);
}

#[test]
fn bytes_that_are_no_protocol_are_answered_as_nats_does_and_close() {
    check_quiet(
        b"FOO\r\n",
        "-ERR 'Unknown Protocol Operation'\r\n",
        &["close Protocol(UnknownOp)"],
    );
    check_quiet(
        b"PUB a 1\r\nxyz\r\n",
        "-ERR 'Unknown Protocol Operation'\r\n",
        &["close Protocol(PayloadNotTerminated)"],
    );
    check_quiet(
        b"PUB a 2000000\r\n",
        "-ERR 'Maximum Payload Violation'\r\n",
        &["close Protocol(PayloadTooLarge)"],
    );
    let long = [b"PUB ".as_slice(), &b"a".repeat(5000), b" 1\r\n"].concat();
    check_quiet(
        &long,
        "-ERR 'maximum control line exceeded'\r\n",
        &["close Protocol(ControlLineTooLong)"],
    );
}

#[test]
fn a_mistyped_verb_is_forgiven_before_connect_and_closes_after_it() {
    check(
        b"FOLOW news\r\nPING\r\n",
        "PONG\r\n",
        &["bad verb Unknown verb FOLOW, did you mean FOLLOW; HELP lists them"],
    );
    check_quiet(
        b"FOLOW news\r\n",
        "-ERR 'Unknown Protocol Operation'\r\n",
        &["close Protocol(UnknownOp)"],
    );
}

#[test]
fn a_verb_and_its_mistakes_are_handed_on_to_be_answered_in_their_turn() {
    let mut session = Session::new(SessionConfig::default());
    let mut out = Vec::new();
    let limits = Limits::of_server();
    let Ok(Parsed::Op { op, .. }) = parse_client(b"QUEUE LIST\r\n", &limits, session.mode()) else {
        panic!("a verb is an operation");
    };
    assert_eq!(
        session.handle(op, &mut out),
        Action::Verb(Box::new(Verb::QueueList))
    );
    assert_eq!(out, b"");
    let (answered, actions) = run(&mut session, b"QUEUE CREATE jobs nonsense=1\r\n");
    assert_eq!(answered, "");
    assert!(actions[0].starts_with("bad verb "), "{actions:?}");
}

#[test]
fn a_client_that_answers_no_ping_is_closed() {
    let mut session = Session::new(SessionConfig::default());
    let mut out = Vec::new();
    assert_eq!(session.ping(&mut out), Action::Nothing);
    assert_eq!(session.ping(&mut out), Action::Nothing);
    run(&mut session, b"PONG\r\n");
    assert_eq!(session.ping(&mut out), Action::Nothing);
    assert_eq!(session.ping(&mut out), Action::Nothing);
    assert_eq!(session.ping(&mut out), Action::Close(CloseReason::Stale));
    assert_eq!(
        out,
        b"PING\r\nPING\r\nPING\r\nPING\r\n-ERR 'Stale Connection'\r\n"
    );
}

#[test]
fn a_closed_session_does_nothing_more() {
    let mut session = Session::new(SessionConfig::default());
    let mut out = Vec::new();
    session.refuse(ParseError::UnknownOp, &mut out);
    out.clear();
    assert_eq!(session.handle(ClientOp::Ping, &mut out), Action::Nothing);
    assert_eq!(session.ping(&mut out), Action::Nothing);
    assert_eq!(out, b"");
}
