//! Dialogues as text. Lines that drive:
//!
//! ```text
//! > POP jobs max=2                     the client sends a line
//! ! 0 {"stream":"Q_jobs","seq":7}      an answer to request 0: its body
//! ! 0 empty                            … an empty one
//! ! 0 status 404 No Messages           … a status, ` | Name: value` for each header
//! ! 0 delivery <ack subject> <text>    … a message that a consumer delivers
//! ! 0 stored <seq> <text>              … a message that a direct get tells
//! @ 5s                                 that much time passes, timers fire
//! written                              all that was shown is on its way
//! end of input                         the client sends no more
//! hang up                              the client is gone
//! ```
//! What must follow each of them, in this order, and nothing else:
//!
//! ```text
//! < +OK 7                              a line that the client is told
//! ? 0 $Q.jobs [Nats-Msg-Id: x] hello   request 0, or `-` for one that wants no answer; bodies over 200 bytes as `...`
//! close
//! ```

use std::time::Duration;

use relevo_protocol::headers::HeaderBlock;
use relevo_protocol::identity::{Position, ShardId};
use relevo_protocol::jetstream::publish::SEQUENCE;
use relevo_protocol::limits::Limits;
use relevo_protocol::name::MemberName;
use relevo_protocol::op::ClientOp;
use relevo_protocol::parse::{Mode, Parsed, parse_client};
use relevo_protocol::time::parse_duration;

use crate::input::Monotonic;
use crate::verbs::{Answer, Ask, AskId, BrokerStatus, Output, PeerStatus, ShardStatus, Verbs};

const PAYLOAD_MAX: usize = 1024 * 1024;
const BODY_SHOWN_MAX: usize = 200;

/// Runs a script on a new connection.
#[track_caller]
pub(super) fn check(script: &str) {
    run(&mut Verbs::new(PAYLOAD_MAX), script);
}

/// Runs a script; whatever differs from it fails with the whole trace.
#[track_caller]
pub(super) fn run(verbs: &mut Verbs, script: &str) {
    let mut now = Monotonic(1);
    let mut trace = Vec::new();
    let expected: Vec<_> = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    for line in &expected {
        let mut out = Output::default();
        if let Some(typed) = line.strip_prefix("> ") {
            client_sends(verbs, now, &format!("{typed}\r\n"), &mut out);
        } else if let Some(answer) = line.strip_prefix("! ") {
            let (ask, answer) = answer.split_once(' ').unwrap();
            verbs.answer(
                now,
                AskId(ask.parse().unwrap()),
                read_answer(answer),
                &mut out,
            );
        } else if let Some(duration) = line.strip_prefix("@ ") {
            now = pass(verbs, now, parse_duration(duration).unwrap(), &mut out);
        } else if *line == "written" {
            verbs.written(now, &mut out);
        } else if *line == "end of input" {
            verbs.end_of_input(now, &mut out);
        } else if *line == "hang up" {
            verbs.hang_up(now, &mut out);
        } else {
            continue;
        }
        trace.push((*line).to_owned());
        show(&out, &mut trace);
    }
    assert_eq!(trace.join("\n"), expected.join("\n"));
}

/// Feeds what a client sends, several lines or payloads at once if they are there.
pub(super) fn client_sends(verbs: &mut Verbs, now: Monotonic, input: &str, out: &mut Output) {
    let mut rest = input.as_bytes();
    while !rest.is_empty() {
        let Ok(Parsed::Op { op, consumed }) =
            parse_client(rest, &Limits::of_server(), Mode::Either)
        else {
            panic!("not a line: {input}");
        };
        match op {
            ClientOp::Verb(verb) => verbs.begin(now, verb, status, out),
            ClientOp::BadVerb(error) => verbs.refuse(now, &error, out),
            other => panic!("not a verb: {other:?}"),
        }
        rest = &rest[consumed..];
    }
}

fn pass(verbs: &mut Verbs, from: Monotonic, duration: Duration, out: &mut Output) -> Monotonic {
    let end = from.after(duration);
    let mut fired = 0;
    while let Some(due) = verbs.next_timer().filter(|due| *due <= end) {
        verbs.timer(due, out);
        fired += 1;
        assert!(fired < 1000, "a timer that is served must not stay due");
    }
    end
}

fn read_answer(text: &str) -> Answer {
    let bytes = |text: &str| bytes::Bytes::copy_from_slice(text.as_bytes());
    let message = |rest: &str| {
        let (first, payload) = rest.split_once(' ').unwrap();
        (first.to_owned(), bytes(payload))
    };
    if let Some(status) = text.strip_prefix("status ") {
        let block = format!("NATS/1.0 {}\r\n\r\n", status.replace(" | ", "\r\n"));
        return Answer {
            headers: bytes(&block),
            ..Answer::default()
        };
    }
    if let Some(delivery) = text.strip_prefix("delivery ") {
        let (reply, payload) = message(delivery);
        return Answer {
            reply: Some(bytes(&reply)),
            payload,
            ..Answer::default()
        };
    }
    if let Some(stored) = text.strip_prefix("stored ") {
        let (seq, payload) = message(stored);
        let headers = bytes(&format!("NATS/1.0\r\n{SEQUENCE}: {seq}\r\n\r\n"));
        return Answer {
            headers,
            payload,
            ..Answer::default()
        };
    }
    let body = if text == "empty" { "" } else { text };
    Answer {
        payload: bytes(body),
        ..Answer::default()
    }
}

fn show(out: &Output, trace: &mut Vec<String>) {
    let text = String::from_utf8_lossy(&out.text);
    trace.extend(
        text.split_terminator("\r\n")
            .map(|line| format!("< {line}")),
    );
    trace.extend(out.asks.iter().map(shown_ask));
    if out.close {
        trace.push("close".to_owned());
    }
}

fn shown_ask(ask: &Ask) -> String {
    let id = ask.id.map_or_else(|| "-".to_owned(), |id| id.0.to_string());
    let mut shown = format!("? {id} {}", ask.subject);
    if !ask.headers.is_empty() {
        let block = HeaderBlock::parse(&ask.headers).unwrap();
        let headers: Vec<_> = block
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        shown.push_str(&format!(" [{}]", headers.join(", ")));
    }
    if ask.payload.len() > BODY_SHOWN_MAX {
        shown.push_str(" ...");
    } else if !ask.payload.is_empty() {
        shown.push_str(&format!(" {}", String::from_utf8_lossy(&ask.payload)));
    }
    shown
}

pub(super) fn status() -> BrokerStatus {
    let member = |name| MemberName::parse(name).unwrap();
    BrokerStatus {
        name: member("a"),
        uptime: Duration::from_millis(62_500),
        connections: 3,
        peer: PeerStatus::InSync(member("b")),
        shards: vec![
            ShardStatus {
                shard: ShardId(0),
                leader: Some(member("a")),
                in_sync: true,
                position: Position(12),
            },
            ShardStatus {
                shard: ShardId(2),
                leader: None,
                in_sync: false,
                position: Position(0),
            },
        ],
    }
}
