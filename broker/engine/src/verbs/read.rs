//! QUEUE PEEK and VIEW: messages are read where they lie, nothing is consumed.

use bytes::Bytes;
use relevo_protocol::encode;
use relevo_protocol::jetstream::api::{MsgGetRequest, StreamInfoAnswer};
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::publish::SEQUENCE;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::verb::StartFrom;

use super::answer::{Answer, Failure};
use super::place::Place;
use super::plan::{Request, Step};

/// The plan of QUEUE PEEK or VIEW.
#[derive(Debug)]
pub(super) struct Read {
    place: Place,
    from: StartFrom,
    max: u32,
    max_bytes: usize,
    state: State,
    messages: Vec<(u64, Bytes)>,
    bytes: usize,
}

/// What is being asked.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Where a topic ends: its messages have many subjects, so its last one is found by its sequence.
    LastSequence,
    Messages,
}

impl Read {
    /// `max_bytes` bounds what is gathered; a message that is larger by itself is still shown alone.
    pub(super) const fn new(place: Place, from: StartFrom, max: u32, max_bytes: usize) -> Self {
        let state = match (&place, from) {
            (Place::Topic(_), StartFrom::Last) => State::LastSequence,
            (Place::Queue(_) | Place::Topic(_), _) => State::Messages,
        };
        Self {
            place,
            from,
            max,
            max_bytes,
            state,
            messages: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn begin(&self) -> Request {
        match self.state {
            State::LastSequence => Request::api_bare(&Endpoint::StreamInfo(self.place.stream())),
            State::Messages => self.ask_messages(),
        }
    }

    pub(super) fn answer(&mut self, answer: Answer) -> Step {
        match self.state {
            State::LastSequence => self.stream_told(&answer),
            State::Messages => self.message(answer),
        }
    }

    fn ask_messages(&self) -> Request {
        let batch = MsgGetRequest {
            batch: self.max.into(),
            max_bytes: self.max_bytes as u64,
            ..MsgGetRequest::default()
        };
        let request = match self.from {
            StartFrom::First => MsgGetRequest { seq: 1, ..batch },
            StartFrom::Sequence(seq) => MsgGetRequest { seq, ..batch },
            StartFrom::Time(time) => MsgGetRequest {
                start_time: Some(time),
                ..batch
            },
            StartFrom::Last => MsgGetRequest {
                last_by_subj: self.place.subject(),
                ..MsgGetRequest::default()
            },
        };
        Request::api(&Endpoint::DirectGet(self.place.stream()), &request)
    }

    fn stream_told(&mut self, answer: &Answer) -> Step {
        match answer.api::<StreamInfoAnswer>() {
            Ok(answer) if answer.info.state.messages == 0 => Step::Done(self.shown()),
            Ok(answer) => {
                self.from = StartFrom::Sequence(answer.info.state.last_seq.max(1));
                self.state = State::Messages;
                Step::Ask(self.ask_messages())
            }
            Err(failure) => Step::err(&self.place.sentence(&failure)),
        }
    }

    fn message(&mut self, answer: Answer) -> Step {
        // Looked at before the status: a publisher may have put anything into the headers.
        let Some(seq) = answer.header(SEQUENCE).and_then(|seq| seq.parse().ok()) else {
            return answer
                .status()
                .map_or(Step::Wait, |status| self.ended(status));
        };
        self.bytes += answer.payload.len();
        self.messages.push((seq, answer.payload));
        let is_single = self.from == StartFrom::Last;
        let is_full = self.messages.len() >= self.max as usize || self.bytes >= self.max_bytes;
        if is_single || is_full {
            Step::Done(self.shown())
        } else {
            Step::Wait
        }
    }

    fn ended(&self, status: Status) -> Step {
        match status.code {
            204 | 404 => Step::Done(self.shown()),
            _ => Step::err(&self.place.sentence(&Failure::Status(status))),
        }
    }

    fn shown(&self) -> Vec<u8> {
        let mut answer = Vec::new();
        encode::answer(&mut answer, &self.messages.len().to_string());
        for (seq, payload) in &self.messages {
            encode::verb_message_at(&mut answer, self.place.name(), *seq, payload);
        }
        answer
    }
}
