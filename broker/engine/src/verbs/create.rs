//! QUEUE CREATE and TOPIC CREATE.
//!
//! ```text
//! STREAM.CREATE -- made, or there and the same --> CONSUMER.DURABLE.CREATE (queues) --> +OK
//!       |                                                  |
//!       | there, and not the same                          | there, and not the same
//!       v                                                  v
//! STREAM.INFO -----------------------------------> CONSUMER.INFO --> compare the options
//! ```
//! What another client made with the same options but, say, another description, counts as the same.

use relevo_protocol::convention::queue::{self, QueueOptions};
use relevo_protocol::convention::topic::{self, TopicOptions};
use relevo_protocol::jetstream::api::{
    ConsumerAction, ConsumerCreateRequest, StreamConfigRequest, StreamCreated, StreamInfoAnswer,
};
use relevo_protocol::jetstream::consumer::{ConsumerConfig, ConsumerInfo};
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::error::ErrorCode;
use relevo_protocol::jetstream::stream::StreamConfig;
use relevo_protocol::name::{QueueName, TopicName};
use serde::Serialize;
use serde_json::{Map, Value};

use super::answer::{Answer, Failure};
use super::place::Place;
use super::plan::{Request, Step, outcome_unknown};

/// The plan of QUEUE CREATE or TOPIC CREATE.
#[derive(Debug)]
pub(super) struct Create {
    wanted: Wanted,
    place: Place,
    state: State,
}

#[derive(Debug)]
enum Wanted {
    Queue(QueueName, QueueOptions),
    Topic(TopicName, TopicOptions),
}

/// What is being asked.
#[derive(Debug)]
enum State {
    CreateStream,
    /// `made`: the stream is new.
    CreateWorkers {
        made: bool,
    },
    StreamInfo,
    WorkersInfo(Box<StreamConfig>),
}

impl Create {
    pub(super) fn queue(name: QueueName, options: QueueOptions) -> Self {
        let place = Place::Queue(name.clone());
        Self {
            wanted: Wanted::Queue(name, options),
            place,
            state: State::CreateStream,
        }
    }

    pub(super) fn topic(name: TopicName, options: TopicOptions) -> Self {
        let place = Place::Topic(name.clone());
        Self {
            wanted: Wanted::Topic(name, options),
            place,
            state: State::CreateStream,
        }
    }

    pub(super) fn begin(&self) -> Request {
        let config = match &self.wanted {
            Wanted::Queue(name, options) => queue::stream_config(name, options),
            Wanted::Topic(name, options) => topic::stream_config(name, options),
        };
        Request::api(
            &Endpoint::StreamCreate(self.place.stream()),
            &StreamConfigRequest {
                config,
                pedantic: false,
            },
        )
    }

    pub(super) fn answer(&mut self, answer: &Answer) -> Step {
        match &self.state {
            State::CreateStream => self.stream_created(answer),
            State::CreateWorkers { made } => self.workers_created(answer, *made),
            State::StreamInfo => self.stream_told(answer),
            State::WorkersInfo(stream) => {
                let stream = stream.clone();
                self.workers_told(answer, &stream)
            }
        }
    }

    pub(super) fn time_over(&self) -> String {
        let (verb, name) = (self.place.verb(), self.place.name());
        outcome_unknown(&format!(
            "send {verb} CREATE {name} again, that changes nothing when it is done"
        ))
    }

    fn stream_created(&mut self, answer: &Answer) -> Step {
        match (answer.api::<StreamCreated>(), &self.wanted) {
            (Ok(created), Wanted::Queue(name, options)) => {
                let request = create_workers(name, options);
                self.state = State::CreateWorkers {
                    made: created.did_create,
                };
                Step::Ask(request)
            }
            (Ok(created), Wanted::Topic(..)) => self.there(created.did_create),
            (Err(Failure::Api(error)), _) if error.is(ErrorCode::StreamNameExists) => {
                self.ask_stream()
            }
            (Err(failure), _) => Step::err(&self.place.sentence(&failure)),
        }
    }

    fn workers_created(&mut self, answer: &Answer, made: bool) -> Step {
        match answer.api::<ConsumerInfo>() {
            Ok(_) => self.there(made),
            Err(Failure::Api(error))
                if error.is(ErrorCode::ConsumerAlreadyExists)
                    || error.is(ErrorCode::ConsumerNameExists) =>
            {
                self.ask_stream()
            }
            Err(failure) => Step::err(&self.place.sentence(&failure)),
        }
    }

    fn stream_told(&mut self, answer: &Answer) -> Step {
        let stream = match answer.api::<StreamInfoAnswer>() {
            Ok(answer) => answer.info.config,
            Err(failure) => return Step::err(&self.place.sentence(&failure)),
        };
        match &self.wanted {
            Wanted::Topic(name, options) if topic::is_same(name, options, &stream) => {
                self.there(false)
            }
            Wanted::Topic(name, options) => {
                let wanted = topic::options_from(&topic::stream_config(name, options));
                self.exists_otherwise(&wanted, &topic::options_from(&stream))
            }
            Wanted::Queue(..) => {
                self.state = State::WorkersInfo(Box::new(stream));
                Step::Ask(Request::api_bare(&Endpoint::ConsumerInfo(
                    self.place.stream(),
                    queue::workers(),
                )))
            }
        }
    }

    fn workers_told(&mut self, answer: &Answer, stream: &StreamConfig) -> Step {
        let Wanted::Queue(name, options) = &self.wanted else {
            return self.there(false);
        };
        let own = queue::consumer_config(name, options);
        let (workers, found) = match answer.api::<ConsumerInfo>() {
            Ok(info) => (info.config, true),
            Err(Failure::Api(error)) if error.is(ErrorCode::ConsumerNotFound) => {
                (own.clone(), false)
            }
            Err(failure) => return Step::err(&self.place.sentence(&failure)),
        };
        if !queue::is_same(name, options, stream, &workers) {
            let wanted = queue::options_from(&queue::stream_config(name, options), &own);
            return self.exists_otherwise(&wanted, &queue::options_from(stream, &workers));
        }
        if found {
            return self.there(false);
        }
        let request = create_workers(name, options);
        self.state = State::CreateWorkers { made: false };
        Step::Ask(request)
    }

    fn ask_stream(&mut self) -> Step {
        self.state = State::StreamInfo;
        Step::Ask(Request::api_bare(&Endpoint::StreamInfo(
            self.place.stream(),
        )))
    }

    fn there(&self, made: bool) -> Step {
        Step::ok(&format!(
            "{} {}",
            if made { "created" } else { "exists" },
            self.place.name()
        ))
    }

    fn exists_otherwise(&self, wanted: &impl Serialize, found: &impl Serialize) -> Step {
        let (noun, verb, name) = (self.place.noun(), self.place.verb(), self.place.name());
        let differences = differences(&options_of(wanted), &options_of(found));
        Step::err(&format!(
            "{noun} {name} exists with {differences}; choose another name, or {verb} DELETE {name} first"
        ))
    }
}

/// Made as it is asked for or not at all: one that is there is not changed.
fn create_workers(name: &QueueName, options: &QueueOptions) -> Request {
    let stream_name = queue::stream_name(name);
    let endpoint = Endpoint::DurableCreate(stream_name.clone(), queue::workers());
    let config: ConsumerConfig = queue::consumer_config(name, options);
    let request = ConsumerCreateRequest {
        stream_name,
        config,
        action: ConsumerAction::Create,
        pedantic: false,
    };
    Request::api(&endpoint, &request)
}

fn options_of(options: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(options) {
        Ok(Value::Object(options)) => options,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// `lease=30s instead of lease=10s, …`: the options that differ, as a person writes them.
fn differences(wanted: &Map<String, Value>, found: &Map<String, Value>) -> String {
    let shown = |options: &Map<String, Value>, name: &str| match options.get(name) {
        None => format!("{name}=none"),
        Some(Value::String(text)) => format!("{name}={text}"),
        Some(value) => format!("{name}={value}"),
    };
    let mut names: Vec<_> = wanted.keys().chain(found.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differing = names
        .into_iter()
        .filter(|name| wanted.get(*name) != found.get(*name));
    let differing: Vec<_> = differing
        .map(|name| format!("{} instead of {}", shown(found, name), shown(wanted, name)))
        .collect();
    if differing.is_empty() {
        "other settings".to_owned()
    } else {
        differing.join(", ")
    }
}
