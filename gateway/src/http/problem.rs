//! Errors as RFC 9457 problem details.

use std::fmt;
use std::time::Duration;

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What a client is told to wait before it tries again.
pub(crate) const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// An error as it is answered: what kind it is, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    /// What is wrong with this request, and the remedy.
    pub(crate) detail: String,
    /// JetStream's number, where it has one.
    pub(crate) err_code: Option<u16>,
}

macro_rules! problem_kinds {
    ($( $(#[$doc:meta])* $variant:ident $status:ident $slug:literal $title:literal )+) => {
        /// Every kind of error that the gateway answers with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum ProblemKind {
            $( $(#[$doc])* $variant, )+
        }

        impl ProblemKind {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            pub(crate) const fn status(self) -> StatusCode {
                match self {
                    $( Self::$variant => StatusCode::$status, )+
                }
            }

            /// The `type` member: it names the kind and leads nowhere.
            pub(crate) const fn type_uri(self) -> &'static str {
                match self {
                    $( Self::$variant => concat!("urn:relevo:problem:", $slug), )+
                }
            }

            pub(crate) const fn title(self) -> &'static str {
                match self {
                    $( Self::$variant => $title, )+
                }
            }
        }
    };
}

problem_kinds! {
    /// A queue, topic or subject name that is none.
    BadName BAD_REQUEST "bad-name" "The name is not valid"
    /// A query parameter that does not exist or has a value that it does not take.
    BadParameter BAD_REQUEST "bad-parameter" "A query parameter is not valid"
    /// A header that cannot be taken.
    BadHeader BAD_REQUEST "bad-header" "A header is not valid"
    /// Options that do not exist or have values that they do not take.
    BadOptions BAD_REQUEST "bad-options" "The options are not valid"
    /// The body broke off or is not what belongs there.
    BadBody BAD_REQUEST "bad-body" "The body is not valid"
    /// A broker found the request bad.
    Refused BAD_REQUEST "refused" "The request was refused"
    /// No such path.
    NoSuchPath NOT_FOUND "no-such-path" "There is nothing at this path"
    QueueNotFound NOT_FOUND "queue-not-found" "The queue does not exist"
    TopicNotFound NOT_FOUND "topic-not-found" "The topic does not exist"
    /// Nobody answers requests on the subject.
    NoResponders NOT_FOUND "no-responders" "Nobody listens on this subject"
    MethodNotAllowed METHOD_NOT_ALLOWED "method-not-allowed" "The method is not allowed here"
    /// The body did not arrive in time.
    BodyTimeout REQUEST_TIMEOUT "body-timeout" "The body did not arrive in time"
    /// It exists with other options.
    Exists CONFLICT "exists" "It exists with other options"
    /// An expectation of the publisher does not hold.
    Conflict CONFLICT "conflict" "What the request expects does not hold"
    LeaseGone GONE "lease-gone" "The lease is unknown or has expired"
    TooLarge PAYLOAD_TOO_LARGE "too-large" "The message is too large"
    TooManyRequests TOO_MANY_REQUESTS "too-many-requests" "There are too many requests at the moment"
    /// A broker failed in its own way.
    Failed INTERNAL_SERVER_ERROR "failed" "The broker failed"
    /// A broker's answer makes no sense.
    BadAnswer BAD_GATEWAY "bad-answer" "The broker's answer makes no sense"
    /// Nothing was written.
    Unavailable SERVICE_UNAVAILABLE "unavailable" "Nothing was done; try again"
    /// It may have been written.
    OutcomeUnknown GATEWAY_TIMEOUT "outcome-unknown" "The outcome is unknown"
    NoReply GATEWAY_TIMEOUT "no-reply" "No reply came in time"
    DiskFull INSUFFICIENT_STORAGE "disk-full" "There is no room for the message"
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, detail: impl fmt::Display) -> Self {
        Self {
            kind,
            detail: detail.to_string(),
            err_code: None,
        }
    }

    pub(crate) fn with_err_code(mut self, err_code: u16) -> Self {
        self.err_code = Some(err_code);
        self
    }

    /// The members as RFC 9457 names them.
    pub(crate) fn body(&self) -> ProblemBody<'_> {
        ProblemBody {
            kind: self.kind.type_uri(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            err_code: self.err_code,
        }
    }
}

/// A problem as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ProblemBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    err_code: Option<u16>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Texts and numbers always serialise.
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = (self.kind.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match self.kind.status() {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(
                    RETRY_AFTER,
                    HeaderValue::from(RETRY_AFTER_DEFAULT.as_secs()),
                );
            }
            // What is left of the body is not read, so nothing can follow it on this connection.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_is_answered_as_rfc_9457_has_it() {
        let problem = Problem::new(ProblemKind::QueueNotFound, "queue jobs does not exist")
            .with_err_code(10059);
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 4096)
            .await
            .unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:relevo:problem:queue-not-found",
                "title": "The queue does not exist",
                "status": 404,
                "detail": "queue jobs does not exist",
                "err_code": 10059,
            })
        );
    }

    #[test]
    fn a_client_is_told_when_to_try_again_only_where_that_helps() {
        for kind in ProblemKind::ALL.iter().copied() {
            let response = Problem::new(kind, "").into_response();
            let expected = matches!(
                kind,
                ProblemKind::Unavailable | ProblemKind::TooManyRequests
            );
            assert_eq!(
                response.headers().contains_key(RETRY_AFTER),
                expected,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn kinds_have_types_of_their_own() {
        let mut types: Vec<_> = ProblemKind::ALL
            .iter()
            .map(|kind| kind.type_uri())
            .collect();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), ProblemKind::ALL.len());
    }
}
