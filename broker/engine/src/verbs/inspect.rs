//! QUEUE INFO, TOPIC INFO, QUEUE LIST and TOPIC LIST.

use relevo_protocol::convention::info::{QueueInfo, TopicInfo};
use relevo_protocol::convention::{queue, topic};
use relevo_protocol::jetstream::api::{StreamInfoAnswer, StreamList, StreamsRequest};
use relevo_protocol::jetstream::consumer::ConsumerInfo;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::error::ErrorCode;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::stream::StreamInfo;
use relevo_protocol::name::{QueueName, StreamName};
use serde::Serialize;

use super::answer::{Answer, Failure};
use super::place::Place;
use super::plan::{Request, Step, lines};

/// The plan of QUEUE INFO or TOPIC INFO.
#[derive(Debug)]
pub(super) struct Info {
    place: Place,
    /// The queue's stream, once it was told; its workers are asked for next.
    stream: Option<Box<StreamInfo>>,
}

impl Info {
    pub(super) const fn new(place: Place) -> Self {
        Self {
            place,
            stream: None,
        }
    }

    pub(super) fn begin(&self) -> Request {
        Request::api_bare(&Endpoint::StreamInfo(self.place.stream()))
    }

    pub(super) fn answer(&mut self, answer: &Answer) -> Step {
        if let Some(stream) = &self.stream {
            return self.workers_told(answer, stream);
        }
        let stream = match answer.api::<StreamInfoAnswer>() {
            Ok(answer) => answer.info,
            Err(failure) => return Step::err(&self.place.sentence(&failure)),
        };
        match &self.place {
            Place::Topic(_) => self.told(TopicInfo::from_jetstream(&stream)),
            Place::Queue(_) => {
                self.stream = Some(Box::new(stream));
                Step::Ask(Request::api_bare(&Endpoint::ConsumerInfo(
                    self.place.stream(),
                    queue::workers(),
                )))
            }
        }
    }

    fn workers_told(&self, answer: &Answer, stream: &StreamInfo) -> Step {
        match answer.api::<ConsumerInfo>() {
            Ok(workers) => self.told(QueueInfo::from_jetstream(stream, Some(&workers))),
            Err(Failure::Api(error)) if error.is(ErrorCode::ConsumerNotFound) => {
                self.told(QueueInfo::from_jetstream(stream, None))
            }
            Err(failure) => Step::err(&self.place.sentence(&failure)),
        }
    }

    fn told(&self, info: Option<impl Serialize>) -> Step {
        match info {
            Some(info) => Step::ok(&String::from_utf8_lossy(&json::encode(&info))),
            None => Step::err(&self.place.sentence(&Failure::Malformed)),
        }
    }
}

/// The plan of QUEUE LIST or TOPIC LIST.
#[derive(Debug)]
pub(super) struct List {
    kind: Kind,
    /// How many streams were told so far, of whatever kind.
    offset: u64,
    lines: Vec<String>,
}

/// What is listed.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Queues,
    Topics,
}

impl List {
    pub(super) const fn queues() -> Self {
        Self {
            kind: Kind::Queues,
            offset: 0,
            lines: Vec::new(),
        }
    }

    pub(super) const fn topics() -> Self {
        Self {
            kind: Kind::Topics,
            offset: 0,
            lines: Vec::new(),
        }
    }

    pub(super) fn begin(&self) -> Request {
        let subject = match self.kind {
            Kind::Queues => format!("{}*", queue::SUBJECT_PREFIX),
            Kind::Topics => format!("{}>", topic::SUBJECT_PREFIX),
        };
        Request::api(
            &Endpoint::StreamList,
            &StreamsRequest {
                offset: self.offset,
                subject,
            },
        )
    }

    pub(super) fn answer(&mut self, answer: &Answer) -> Step {
        let page = match answer.api::<StreamList>() {
            Ok(page) => page,
            Err(failure) => return Step::err(&sentence(&failure)),
        };
        if !page.missing.is_empty() || !page.offline.is_empty() {
            return Step::err("a broker is away and not all can be listed; try again");
        }
        let count = page.streams.len() as u64;
        self.offset += count;
        self.lines.extend(page.streams.iter().filter_map(|stream| {
            let name = self.kind.name(&stream.config.name)?;
            Some(format!("{name} {}", stream.state.messages))
        }));
        if count > 0 && self.offset < page.page.total {
            return Step::Ask(self.begin());
        }
        Step::Done(lines(&self.lines))
    }
}

impl Kind {
    fn name(self, stream: &StreamName) -> Option<String> {
        match self {
            Self::Queues => queue::is_queue_stream(stream)
                .as_ref()
                .map(QueueName::to_string),
            Self::Topics => topic::is_topic_stream(stream).map(|name| name.to_string()),
        }
    }
}

fn sentence(failure: &Failure) -> String {
    match failure {
        Failure::Api(error) => error.description.clone(),
        Failure::Status(status) if status.description.is_empty() => {
            "nobody answers for the directory; try again".to_owned()
        }
        Failure::Status(status) => status.description.clone().into_owned(),
        Failure::Malformed => "the directory's answer can not be read; try again".to_owned(),
    }
}
