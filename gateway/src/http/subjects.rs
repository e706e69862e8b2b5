//! `POST /v1/subjects/{subject}`: to whoever listens at the moment.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use relevo_client::{Headers, RequestError};
use relevo_protocol::jetstream::publish::MSG_ID;
use relevo_protocol::subject::Subject;
use relevo_protocol::time::format_duration;

use super::name::OnSubject;
use super::params::Params;
use super::problem::{Problem, ProblemKind};
use super::refusal::{Deed, of_publish, of_request};
use super::{Api, body, header};

/// The shortest that a reply can be waited for.
const REPLY_WAIT_MIN: Duration = Duration::from_millis(1);

/// The longest that a reply can be waited for.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(60);

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/subjects/{subject}", post(publish))
}

async fn publish(
    State(api): State<Api>,
    OnSubject(subject): OnSubject,
    uri: Uri,
    request: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["reply"])?;
    let reply_wait = params.duration("reply", REPLY_WAIT_MIN, REPLY_WAIT_MAX)?;
    let kept = header::kept(&request)?;
    let mut headers = kept.headers;
    if let Some(id) = &kept.id {
        headers
            .append(MSG_ID, id)
            .map_err(|error| Problem::new(ProblemKind::BadHeader, error))?;
    }
    let payload = body::read(&request, body, api.body_len_max()).await?;
    match reply_wait {
        None => tell(&api, &subject, &headers, payload).await,
        Some(wait) => ask(&api, &subject, &headers, payload, wait).await,
    }
}

async fn tell(
    api: &Api,
    subject: &Subject,
    headers: &Headers,
    payload: Bytes,
) -> Result<Response, Problem> {
    let client = api.client();
    client
        .publish_with_headers(subject, headers, payload)
        .await
        .map_err(|error| of_publish(&error))?;
    // Only then does a broker have it.
    client
        .flush()
        .await
        .map_err(|error| of_request(&error, Deed::PublishWithoutId))?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn ask(
    api: &Api,
    subject: &Subject,
    headers: &Headers,
    payload: Bytes,
    wait: Duration,
) -> Result<Response, Problem> {
    let reply = tokio::select! {
        reply = api.client().request_with_headers(subject, headers, payload, wait) => reply,
        () = api.stop().cancelled() => {
            return Err(Problem::new(ProblemKind::OutcomeUnknown, "the gateway stops; the request was sent"));
        }
    };
    let reply = reply.map_err(|error| match error {
        RequestError::NoResponders => Problem::new(
            ProblemKind::NoResponders,
            format_args!("nobody listens on {subject}; start the service that answers there, or publish without reply="),
        ),
        RequestError::TimedOut => Problem::new(
            ProblemKind::NoReply,
            format_args!("no reply on {subject} within {}; whoever listens may be at work still", format_duration(wait)),
        ),
        RequestError::Unsent(_) | RequestError::TooManyPending | RequestError::ConnectionLost => {
            of_request(&error, Deed::PublishWithoutId)
        }
    })?;
    let mut response = reply.payload().into_response();
    match reply.headers() {
        Ok(None) => {}
        Ok(Some(block)) => header::copy_reply(block, response.headers_mut()),
        Err(error) => return Err(Problem::new(ProblemKind::BadAnswer, error)),
    }
    Ok(response)
}
