//! What a person types.

use relevo_protocol::encode;
use relevo_protocol::limits::Limits;
use relevo_protocol::op::ClientOp;
use relevo_protocol::parse::{Mode, Parsed, parse_client};
use relevo_protocol::verb::{Verb, VerbError, help};

/// A line, and a payload behind it: it is a verb, or it is answered with one clear line, in any case of its letters.
pub fn fuzz_verbs(data: &[u8]) {
    let limits = Limits::of_server();
    let line = [data, b"\r\n"].concat();
    let Ok(Parsed::Op { op, .. }) = parse_client(&line, &limits, Mode::Either) else {
        return;
    };
    match op {
        ClientOp::Verb(verb) => check_verb(&verb),
        ClientOp::BadVerb(error) => check_answer(&error),
        ClientOp::Unknown(unknown) => check_answer(&VerbError::unknown(unknown)),
        ClientOp::Connect(_)
        | ClientOp::Pub(_)
        | ClientOp::Sub { .. }
        | ClientOp::Unsub { .. }
        | ClientOp::Ping
        | ClientOp::Pong
        | ClientOp::Info(_) => {}
    }
}

fn check_verb(verb: &Verb) {
    if let Verb::Help(asked) = verb {
        match help(asked.as_deref()) {
            Ok(lines) => assert!(lines.iter().all(|line| !line.contains(['\r', '\n']))),
            Err(error) => check_answer(&error),
        }
    }
    assert!(!format!("{verb:?}").is_empty());
}

/// One line, with a sentence in it, whatever was typed.
fn check_answer(error: &VerbError) {
    let mut answer = Vec::new();
    encode::err(&mut answer, &error.to_string());
    let inner = answer
        .strip_prefix(b"-ERR '")
        .and_then(|rest| rest.strip_suffix(b"'\r\n"))
        .expect("an error is one line in quotes");
    assert!(!inner.is_empty());
    assert!(!inner.iter().any(|byte| byte.is_ascii_control()));
}
