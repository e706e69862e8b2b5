//! `/v1/queues`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use relevo_client::{Creation, PushOptions};
use relevo_protocol::convention::info::QueueInfo;
use relevo_protocol::convention::queue::QueueOptions;
use relevo_protocol::jetstream::publish::{MAX_DELAY, MAX_KEY_LEN, MAX_PRIORITY};
use relevo_protocol::name::QueueName;
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::message::{MessageJson, encode_array};
use super::name::Named;
use super::page::{LIST_MESSAGES_DEFAULT, LIST_MESSAGES_MAX, Source};
use super::params::Params;
use super::problem::Problem;
use super::refusal::{About, Deed, of_stream};
use super::stored::Stored;
use super::{body, header, receive};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/queues", get(list))
        .route("/v1/queues/{queue}", put(create).get(info).delete(delete))
        .route("/v1/queues/{queue}/purge", post(purge))
        .route("/v1/queues/{queue}/messages", post(push).get(peek))
        .route("/v1/queues/{queue}/receive", post(receive::receive))
}

#[derive(Serialize)]
struct Queues {
    queues: Vec<QueueInfo>,
}

async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let queues = api
        .client()
        .queues()
        .await
        .map_err(|error| of_stream(&error, About::Lists, Deed::Read))?;
    Ok(Json(Queues { queues }).into_response())
}

async fn create(
    State(api): State<Api>,
    Named(name): Named<QueueName>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let options: QueueOptions = body::read_options(&headers, body).await?;
    let creation = api
        .queue(&name)?
        .create(&options)
        .await
        .map_err(|error| of_stream(&error, About::Queue(&name), Deed::Change))?;
    Ok(created(creation, name.as_str()))
}

async fn info(
    State(api): State<Api>,
    Named(name): Named<QueueName>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let info = api
        .queue(&name)?
        .info()
        .await
        .map_err(|error| of_stream(&error, About::Queue(&name), Deed::Read))?;
    Ok(Json(info).into_response())
}

async fn delete(
    State(api): State<Api>,
    Named(name): Named<QueueName>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    Params::read(&uri, &[])?;
    api.queue(&name)?
        .delete()
        .await
        .map_err(|error| of_stream(&error, About::Queue(&name), Deed::Change))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn purge(
    State(api): State<Api>,
    Named(name): Named<QueueName>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let purged = api
        .queue(&name)?
        .purge()
        .await
        .map_err(|error| of_stream(&error, About::Queue(&name), Deed::Change))?;
    Ok(Json(json!({ "purged": purged })).into_response())
}

async fn push(
    State(api): State<Api>,
    Named(name): Named<QueueName>,
    uri: Uri,
    request: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["delay", "priority", "key"])?;
    let priority = params.count("priority", 0, u32::from(MAX_PRIORITY))?;
    let kept = header::kept(&request)?;
    let deed = if kept.id.is_some() {
        Deed::PublishWithId
    } else {
        Deed::PublishWithoutId
    };
    let options = PushOptions {
        delay: params.duration("delay", Duration::ZERO, MAX_DELAY)?,
        // Above the bound nothing comes here.
        priority: priority.map(|priority| u8::try_from(priority).unwrap_or(MAX_PRIORITY)),
        key: params.word("key", MAX_KEY_LEN)?,
        id: kept.id,
        headers: kept.headers,
    };
    let payload = body::read(&request, body, api.body_len_max()).await?;
    let pushed = api
        .queue(&name)?
        .push(payload, &options)
        .await
        .map_err(|error| of_stream(&error, About::Queue(&name), deed))?;
    Ok(Stored::from(pushed).into_response())
}

async fn peek(
    State(api): State<Api>,
    Named(name): Named<QueueName>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["from", "limit"])?;
    let from = params.start("from")?.unwrap_or_default();
    let limit = params
        .count("limit", 1, LIST_MESSAGES_MAX)?
        .unwrap_or(LIST_MESSAGES_DEFAULT);
    let messages = Source::Queue(&api.queue(&name)?)
        .page(from, limit)
        .await
        .map_err(|error| of_stream(&error, About::Queue(&name), Deed::Read))?;
    Ok(json_text(encode_array(
        messages.iter().map(MessageJson::peeked),
    )))
}

/// The answer to a PUT.
pub(super) fn created(creation: Creation, name: &str) -> Response {
    let (code, created) = match creation {
        Creation::Created => (StatusCode::CREATED, true),
        Creation::Exists => (StatusCode::OK, false),
    };
    (code, Json(json!({ "name": name, "created": created }))).into_response()
}

/// A JSON text as an answer.
pub(super) fn json_text(text: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
