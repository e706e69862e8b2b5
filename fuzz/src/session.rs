//! One connection: operations and verbs, and answers to what the verbs ask.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use relevo_engine::input::Monotonic;
use relevo_engine::session::{Action, Session, SessionConfig};
use relevo_engine::verbs::{Answer, BrokerStatus, Output, PeerStatus, Verbs};
use relevo_protocol::limits::{Limits, PAYLOAD_LEN_DEFAULT};
use relevo_protocol::name::MemberName;
use relevo_protocol::parse::{Parsed, parse_client};

/// Between the stream and the answers, and between these.
const SEPARATOR: u8 = 0;

/// How many requests of the verbs are answered; a plan may ask again and again.
const ANSWERS_MAX: usize = 200;

/// A client's stream, then answers (reply subject, header block and body, `|` between them) that anybody may have sent to
/// the verbs' requests, in turn: every verb ends, by them or by its time.
pub fn fuzz_session(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == SEPARATOR);
    let mut stream = parts.next().unwrap_or_default();
    let answers: Vec<Answer> = parts.map(answer).collect();

    let limits = Limits::of_server();
    let mut connection = Connection::new(answers);
    let mut text = Vec::new();
    while let Ok(Parsed::Op { op, consumed }) =
        parse_client(stream, &limits, connection.session.mode())
    {
        stream = &stream[consumed..];
        match connection.session.handle(op, &mut text) {
            Action::Verb(verb) => {
                connection
                    .verbs
                    .begin(connection.now, *verb, status, &mut connection.out)
            }
            Action::BadVerb(error) => {
                connection
                    .verbs
                    .refuse(connection.now, &error, &mut connection.out);
            }
            Action::Close(_) => break,
            Action::Nothing
            | Action::Publish(_)
            | Action::Subscribe(_)
            | Action::Unsubscribe { .. } => {}
        }
        connection.answer_asks();
    }
    connection.let_time_pass();
    connection
        .verbs
        .hang_up(connection.now, &mut connection.out);
    assert!(connection.verbs.is_idle());
}

struct Connection {
    session: Session,
    verbs: Verbs,
    out: Output,
    now: Monotonic,
    answers: VecDeque<Answer>,
    answered_count: usize,
}

impl Connection {
    fn new(answers: Vec<Answer>) -> Self {
        Self {
            session: Session::new(SessionConfig::default()),
            verbs: Verbs::new(PAYLOAD_LEN_DEFAULT),
            out: Output::default(),
            now: Monotonic::default(),
            answers: answers.into(),
            answered_count: 0,
        }
    }

    fn answer_asks(&mut self) {
        let mut asks: VecDeque<_> = std::mem::take(&mut self.out.asks).into();
        while let Some(ask) = asks.pop_front() {
            let Some(id) = ask.id else { continue };
            if self.answered_count >= ANSWERS_MAX {
                return;
            }
            self.answered_count += 1;
            if let Some(answer) = self.answers.pop_front() {
                self.answers.push_back(answer.clone());
                self.verbs.answer(self.now, id, answer, &mut self.out);
                self.verbs.written(self.now, &mut self.out);
            }
            asks.extend(std::mem::take(&mut self.out.asks));
        }
    }

    /// Two days, more than any verb waits. Only a FOLLOW goes on for ever.
    fn let_time_pass(&mut self) {
        for _ in 0..ANSWERS_MAX {
            let Some(timer) = self.verbs.next_timer() else {
                return;
            };
            assert!(timer <= self.now.after(Duration::from_secs(48 * 60 * 60)));
            self.now = self.now.max(timer);
            self.verbs.timer(self.now, &mut self.out);
            self.out.asks.clear();
        }
    }
}

fn answer(part: &[u8]) -> Answer {
    let mut lines = part.splitn(3, |byte| *byte == b'|');
    let mut next = || Bytes::copy_from_slice(lines.next().unwrap_or_default());
    let (reply, headers, payload) = (next(), next(), next());
    Answer {
        reply: (!reply.is_empty()).then_some(reply),
        headers,
        payload,
    }
}

fn status() -> BrokerStatus {
    BrokerStatus {
        name: MemberName::parse("a").expect("a letter is a name"),
        uptime: Duration::ZERO,
        connections: 1,
        peer: PeerStatus::None,
        shards: Vec::new(),
    }
}
