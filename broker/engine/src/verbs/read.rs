//! QUEUE PEEK and VIEW: messages are read where they lie, nothing is consumed.

use bytes::Bytes;
use relevo_protocol::encode;
use relevo_protocol::jetstream::api::MsgGetRequest;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::publish::{NUM_PENDING, SEQUENCE};
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::verb::StartFrom;

use super::answer::{Answer, Failure};
use super::place::Place;
use super::plan::{Request, Step};

/// The plan of QUEUE PEEK or VIEW. One batch holds less than a person may ask for, so there may be several.
#[derive(Debug)]
pub(super) struct Read {
    place: Place,
    from: StartFrom,
    max: u32,
    max_bytes: usize,
    messages: Vec<(u64, Bytes)>,
    bytes: usize,
    /// How many messages there were when the open request was made.
    before: usize,
}

impl Read {
    /// `max_bytes` bounds what is gathered; a message that is larger by itself is still shown alone.
    pub(super) const fn new(place: Place, from: StartFrom, max: u32, max_bytes: usize) -> Self {
        Self {
            place,
            from,
            max,
            max_bytes,
            messages: Vec::new(),
            bytes: 0,
            before: 0,
        }
    }

    pub(super) fn begin(&self) -> Request {
        let batch = MsgGetRequest {
            batch: u64::from(self.max).saturating_sub(self.messages.len() as u64),
            max_bytes: self.max_bytes.saturating_sub(self.bytes) as u64,
            ..MsgGetRequest::default()
        };
        let request = match self.from {
            StartFrom::First => MsgGetRequest { seq: 1, ..batch },
            StartFrom::Sequence(seq) => MsgGetRequest { seq, ..batch },
            StartFrom::Time(time) => MsgGetRequest {
                start_time: Some(time),
                ..batch
            },
            // The newest of whatever subject: there is one message then, and a batch can not ask for it.
            StartFrom::Last => MsgGetRequest {
                last_by_subj: ">".to_owned(),
                ..MsgGetRequest::default()
            },
        };
        Request::api(&Endpoint::DirectGet(self.place.stream()), &request)
    }

    pub(super) fn answer(&mut self, answer: Answer) -> Step {
        // Looked at before the status: a publisher may have put anything into the headers.
        let Some(seq) = answer.header(SEQUENCE).and_then(|seq| seq.parse().ok()) else {
            return answer
                .status()
                .map_or(Step::Wait, |status| self.ended(&answer, status));
        };
        self.bytes += answer.payload.len();
        self.messages.push((seq, answer.payload));
        if self.from == StartFrom::Last || self.is_full() {
            Step::Done(self.shown())
        } else {
            Step::Wait
        }
    }

    fn ended(&mut self, answer: &Answer, status: Status) -> Step {
        match status.code {
            204 => {
                let left = answer
                    .header(NUM_PENDING)
                    .and_then(|count| count.parse::<u64>().ok());
                let (Some(1..), Some((last, _))) = (left, self.messages.last()) else {
                    return Step::Done(self.shown());
                };
                if self.messages.len() == self.before {
                    return Step::Done(self.shown());
                }
                self.from = StartFrom::Sequence(last.saturating_add(1));
                self.before = self.messages.len();
                Step::Ask(self.begin())
            }
            404 => Step::Done(self.shown()),
            _ => Step::err(&self.place.sentence(&Failure::Status(status))),
        }
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= self.max as usize || self.bytes >= self.max_bytes
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
