//! A queue or a topic, and the sentences about it.

use relevo_protocol::convention::{queue, topic};
use relevo_protocol::jetstream::error::{ApiError, ErrorCode};
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::name::{QueueName, StreamName, TopicName};

use super::answer::Failure;

/// What a verb is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Queue(QueueName),
    Topic(TopicName),
}

impl Place {
    /// Its name alone.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Queue(name) => name.as_str(),
            Self::Topic(name) => name.as_str(),
        }
    }

    /// What it is, in lower case.
    pub(super) const fn noun(&self) -> &'static str {
        match self {
            Self::Queue(_) => "queue",
            Self::Topic(_) => "topic",
        }
    }

    /// What it is, as verbs begin.
    pub(super) const fn verb(&self) -> &'static str {
        match self {
            Self::Queue(_) => "QUEUE",
            Self::Topic(_) => "TOPIC",
        }
    }

    /// The stream that it is.
    pub(super) fn stream(&self) -> StreamName {
        match self {
            Self::Queue(name) => queue::stream_name(name),
            Self::Topic(name) => topic::stream_name(name),
        }
    }

    /// The subject that its messages are published on.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::Queue(name) => queue::subject(name),
            Self::Topic(name) => topic::subject(name),
        }
    }

    /// That it is not there, and how to make it.
    pub(super) fn missing(&self) -> String {
        let (noun, verb, name) = (self.noun(), self.verb(), self.name());
        format!("{noun} {name} does not exist; {verb} CREATE {name} makes it")
    }

    /// Why a request about it was not done, as a sentence.
    pub(super) fn sentence(&self, failure: &Failure) -> String {
        match failure {
            Failure::Api(error) => self.api_sentence(error),
            Failure::Status(status) => self.status_sentence(status),
            Failure::Malformed => format!(
                "something that is no {} answered for {}; look who subscribes to {}",
                self.noun(),
                self.name(),
                self.subject()
            ),
        }
    }

    fn api_sentence(&self, error: &ApiError) -> String {
        match error.error_code() {
            Some(ErrorCode::StreamNotFound | ErrorCode::ConsumerNotFound) => self.missing(),
            Some(ErrorCode::StorageResourcesExceeded) => {
                "the disk is full, nothing was written; make room and try again".to_owned()
            }
            Some(ErrorCode::StreamStoreFailed) => {
                format!(
                    "{} {} is full: {}",
                    self.noun(),
                    self.name(),
                    error.description
                )
            }
            Some(ErrorCode::MessageExceedsMaximum) => {
                format!(
                    "the message is larger than {} {} takes",
                    self.noun(),
                    self.name()
                )
            }
            // The others say it themselves, PeerAway word for word as it was agreed.
            Some(_) | None if error.description.is_empty() => {
                format!(
                    "{} {} refused it without a word ({})",
                    self.noun(),
                    self.name(),
                    error.err_code
                )
            }
            Some(_) | None => error.description.clone(),
        }
    }

    fn status_sentence(&self, status: &Status) -> String {
        match status.code {
            // "No responders": there is no stream behind the subject.
            503 if status.description.is_empty() => self.missing(),
            409 if *status == Status::CONSUMER_DELETED => self.missing(),
            409 if *status == Status::EXCEEDED_MAX_WAITING => {
                format!(
                    "too many POPs wait at {} {}; try again",
                    self.noun(),
                    self.name()
                )
            }
            code if status.description.is_empty() => {
                format!(
                    "{} {} answered with status {code}",
                    self.noun(),
                    self.name()
                )
            }
            _ => status.description.clone().into_owned(),
        }
    }
}
