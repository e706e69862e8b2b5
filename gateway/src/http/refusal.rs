//! What the SDK could not do, as problems.

use std::fmt;

use relevo_client::{JetStreamError, LeaseError, Outcome, PublishError, RequestError};
use relevo_protocol::jetstream::error::{ApiError, ErrorCode};
use relevo_protocol::name::{QueueName, TopicName};

use super::problem::{Problem, ProblemKind};

/// What a request was about: it says what is missing when a stream is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About<'a> {
    /// All queues, or all topics.
    Lists,
    Lease,
    Queue(&'a QueueName),
    Topic(&'a TopicName),
}

/// What a request was to do: it says what an unknown outcome means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// To read: doing it again does no harm.
    Read,
    /// To change something that may be changed again in the same way: to create, delete, purge, acknowledge.
    Change,
    /// To store a message under an id.
    PublishWithId,
    /// To store a message that can not be told from its copy.
    PublishWithoutId,
    /// To lease messages.
    Lease,
}

/// A request to a stream that failed.
pub(crate) fn of_stream(error: &JetStreamError, about: About<'_>, deed: Deed) -> Problem {
    match error {
        JetStreamError::Name(error) => Problem::new(ProblemKind::BadName, error),
        JetStreamError::Header(error) => Problem::new(ProblemKind::BadHeader, error),
        JetStreamError::Request(error) => of_request(error, deed),
        JetStreamError::Refused(error) => of_refusal(error, about),
        JetStreamError::Status { code, description } => of_status(*code, description, about),
        JetStreamError::NoStream => about.not_found(),
        JetStreamError::BadAnswer(_) => match deed {
            Deed::Read => Problem::new(ProblemKind::BadAnswer, error),
            Deed::Change | Deed::PublishWithId | Deed::PublishWithoutId | Deed::Lease => {
                outcome_unknown(error, deed)
            }
        },
    }
}

/// A lease that was not acknowledged, given back or extended.
pub(crate) fn of_lease(error: &LeaseError) -> Problem {
    match error {
        LeaseError::Malformed(_) => Problem::new(
            ProblemKind::LeaseGone,
            "this is not a lease; send it as receive gave it, for example jobs.7.1.9",
        ),
        LeaseError::Gone => Problem::new(
            ProblemKind::LeaseGone,
            "the message was acknowledged, or its lease expired and it went back to the queue; receive it again",
        ),
        LeaseError::JetStream(error) => of_stream(error, About::Lease, Deed::Change),
    }
}

/// A request that got no answer.
pub(crate) fn of_request(error: &RequestError, deed: Deed) -> Problem {
    if let RequestError::Unsent(error) = error {
        return of_publish(error);
    }
    match error.outcome() {
        Outcome::NotDone => Problem::new(ProblemKind::Unavailable, error),
        Outcome::Unknown if deed == Deed::Read => Problem::new(
            ProblemKind::Unavailable,
            "no broker answered in time; try again",
        ),
        Outcome::Unknown => outcome_unknown(error, deed),
    }
}

/// A message that was not sent.
pub(crate) fn of_publish(error: &PublishError) -> Problem {
    match error {
        PublishError::InvalidSubject(error) => Problem::new(ProblemKind::BadName, error),
        PublishError::HeadersNotSupported => Problem::new(ProblemKind::BadHeader, error),
        PublishError::TooLarge { .. } => Problem::new(ProblemKind::TooLarge, error),
        PublishError::NotConnected => {
            Problem::new(ProblemKind::Unavailable, "no broker answers; try again")
        }
        PublishError::BufferFull | PublishError::Closed => {
            Problem::new(ProblemKind::Unavailable, error)
        }
    }
}

impl About<'_> {
    /// What it is about does not exist.
    pub(crate) fn not_found(self) -> Problem {
        match self {
            Self::Queue(name) => Problem::new(
                ProblemKind::QueueNotFound,
                format_args!("queue {name} does not exist; create it with PUT /v1/queues/{name}"),
            ),
            Self::Topic(name) => Problem::new(
                ProblemKind::TopicNotFound,
                format_args!("topic {name} does not exist; create it with PUT /v1/topics/{name}"),
            ),
            Self::Lease => Problem::new(
                ProblemKind::LeaseGone,
                "the queue of this lease does not exist any more",
            ),
            Self::Lists => Problem::new(
                ProblemKind::BadAnswer,
                "a queue or topic went while the list was made; try again",
            ),
        }
    }

    fn exists(self) -> Problem {
        let path = match self {
            Self::Queue(name) => format!("/v1/queues/{name}"),
            Self::Topic(name) => format!("/v1/topics/{name}"),
            Self::Lists | Self::Lease => {
                return Problem::new(ProblemKind::BadAnswer, "nothing was to be created");
            }
        };
        Problem::new(
            ProblemKind::Exists,
            format_args!(
                "{path} exists with other options; send the same options, or DELETE it first"
            ),
        )
    }
}

fn of_refusal(error: &ApiError, about: About<'_>) -> Problem {
    let problem = match ErrorCode::from_number(error.err_code) {
        Some(ErrorCode::StreamNotFound | ErrorCode::ConsumerNotFound) => about.not_found(),
        Some(
            ErrorCode::StreamNameExists
            | ErrorCode::ConsumerAlreadyExists
            | ErrorCode::ConsumerNameExists,
        ) => about.exists(),
        Some(
            ErrorCode::WrongLastSequence
            | ErrorCode::WrongLastSequenceConstant
            | ErrorCode::WrongLastMsgId
            | ErrorCode::StreamNotMatch
            | ErrorCode::DuplicateMessageConflict,
        ) => Problem::new(ProblemKind::Conflict, &error.description),
        Some(ErrorCode::MessageExceedsMaximum | ErrorCode::HeaderExceedsMaximum) => {
            Problem::new(ProblemKind::TooLarge, &error.description)
        }
        Some(ErrorCode::StorageResourcesExceeded) => {
            Problem::new(ProblemKind::DiskFull, &error.description)
        }
        _ => Problem::new(kind_of_code(error.code), &error.description),
    };
    problem.with_err_code(error.err_code)
}

fn of_status(code: u16, description: &str, about: About<'_>) -> Problem {
    match code {
        404 => about.not_found(),
        // A consumer says 409 when it cannot serve at the moment: too many wait, its leader moves, its broker stops.
        409 => Problem::new(
            ProblemKind::Unavailable,
            format_args!("{description}; try again"),
        ),
        503 => Problem::new(
            ProblemKind::Unavailable,
            "nobody serves this at the moment; try again",
        ),
        _ => Problem::new(kind_of_code(code), description),
    }
}

fn kind_of_code(code: u16) -> ProblemKind {
    match code {
        413 => ProblemKind::TooLarge,
        429 => ProblemKind::TooManyRequests,
        400..=499 => ProblemKind::Refused,
        503 => ProblemKind::Unavailable,
        _ => ProblemKind::Failed,
    }
}

fn outcome_unknown(error: &impl fmt::Display, deed: Deed) -> Problem {
    let remedy = match deed {
        Deed::Read | Deed::Change => "it may have been done; the same request may be sent again",
        Deed::PublishWithId => {
            "outcome unknown, retry with the same Idempotency-Key: what is stored already is not stored again"
        }
        Deed::PublishWithoutId => {
            "outcome unknown: the message may be stored. With an Idempotency-Key it could be sent again safely; \
             without one, look before you retry"
        }
        Deed::Lease => {
            "messages may have been leased; they come back when their lease expires. Try again"
        }
    };
    Problem::new(
        ProblemKind::OutcomeUnknown,
        format_args!("{error}; {remedy}"),
    )
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use relevo_protocol::jetstream::error::JetStreamError as Refusal;

    use super::*;

    fn jobs() -> QueueName {
        QueueName::parse("jobs").unwrap()
    }

    #[test]
    fn a_refusal_keeps_its_number_and_gets_the_status_that_fits() {
        let check = |refusal: Refusal, status: u16| {
            let api = ApiError::from(&refusal);
            let problem = of_stream(
                &JetStreamError::Refused(api.clone()),
                About::Queue(&jobs()),
                Deed::Change,
            );
            assert_eq!(problem.kind.status().as_u16(), status, "{refusal}");
            assert_eq!(problem.err_code, Some(api.err_code));
        };
        check(Refusal::StreamNotFound, 404);
        check(Refusal::ConsumerNotFound, 404);
        check(Refusal::StreamNameExists, 409);
        check(Refusal::WrongLastSequence { seq: 4 }, 409);
        check(Refusal::MessageExceedsMaximum, 413);
        check(Refusal::StorageResourcesExceeded, 507);
        check(Refusal::PeerAway, 503);
        check(
            Refusal::StreamStoreFailed {
                err: "maximum messages exceeded".into(),
            },
            503,
        );
        check(Refusal::TooManyRequests, 429);
        check(Refusal::BadRequest, 400);
        check(Refusal::StreamCreate { err: "no".into() }, 500);
    }

    #[test]
    fn what_is_missing_is_named_with_how_to_make_it() {
        let problem = of_stream(&JetStreamError::NoStream, About::Queue(&jobs()), Deed::Read);
        assert_eq!(problem.kind, ProblemKind::QueueNotFound);
        assert_eq!(
            problem.detail,
            "queue jobs does not exist; create it with PUT /v1/queues/jobs"
        );
    }

    #[test]
    fn only_what_was_surely_not_done_is_unavailable() {
        let check = |error: RequestError, deed, expected| {
            let problem = of_stream(&JetStreamError::Request(error.clone()), About::Lists, deed);
            assert_eq!(problem.kind, expected, "{error} {deed:?}");
        };
        let publish = Deed::PublishWithId;
        check(
            RequestError::Unsent(PublishError::NotConnected),
            publish,
            ProblemKind::Unavailable,
        );
        check(
            RequestError::TooManyPending,
            publish,
            ProblemKind::Unavailable,
        );
        check(RequestError::TimedOut, publish, ProblemKind::OutcomeUnknown);
        check(
            RequestError::ConnectionLost,
            publish,
            ProblemKind::OutcomeUnknown,
        );
        check(
            RequestError::TimedOut,
            Deed::Change,
            ProblemKind::OutcomeUnknown,
        );
        check(RequestError::TimedOut, Deed::Read, ProblemKind::Unavailable);
    }

    #[test]
    fn an_unknown_outcome_says_how_to_retry() {
        let detail = |deed| of_request(&RequestError::TimedOut, deed).detail;
        assert!(
            detail(Deed::PublishWithId)
                .contains("outcome unknown, retry with the same Idempotency-Key")
        );
        assert!(detail(Deed::PublishWithoutId).contains("With an Idempotency-Key"));
        assert_eq!(
            ProblemKind::OutcomeUnknown.status(),
            StatusCode::GATEWAY_TIMEOUT
        );
    }
}
