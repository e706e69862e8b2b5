//! `/v1/topics`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use relevo_client::PostOptions;
use relevo_protocol::convention::info::TopicInfo;
use relevo_protocol::convention::topic::TopicOptions;
use relevo_protocol::name::TopicName;
use serde::Serialize;

use super::message::{MessageJson, encode_array};
use super::name::Named;
use super::page::{LIST_MESSAGES_DEFAULT, LIST_MESSAGES_MAX, Source};
use super::params::Params;
use super::problem::Problem;
use super::queues::{created, json_text};
use super::refusal::{About, Deed, of_stream};
use super::stored::Stored;
use super::{Api, body, events, header};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/topics", get(list))
        .route("/v1/topics/{topic}", put(create).get(info).delete(delete))
        .route("/v1/topics/{topic}/messages", post(publish).get(view))
        .route("/v1/topics/{topic}/events", get(events::events))
}

#[derive(Serialize)]
struct Topics {
    topics: Vec<TopicInfo>,
}

async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let topics = api
        .client()
        .topics()
        .await
        .map_err(|error| of_stream(&error, About::Lists, Deed::Read))?;
    Ok(Json(Topics { topics }).into_response())
}

async fn create(
    State(api): State<Api>,
    Named(name): Named<TopicName>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let options: TopicOptions = body::read_options(&headers, body).await?;
    let creation = api
        .topic(&name)?
        .create(&options)
        .await
        .map_err(|error| of_stream(&error, About::Topic(&name), Deed::Change))?;
    Ok(created(creation, name.as_str()))
}

async fn info(
    State(api): State<Api>,
    Named(name): Named<TopicName>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let info = api
        .topic(&name)?
        .info()
        .await
        .map_err(|error| of_stream(&error, About::Topic(&name), Deed::Read))?;
    Ok(Json(info).into_response())
}

async fn delete(
    State(api): State<Api>,
    Named(name): Named<TopicName>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    Params::read(&uri, &[])?;
    api.topic(&name)?
        .delete()
        .await
        .map_err(|error| of_stream(&error, About::Topic(&name), Deed::Change))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn publish(
    State(api): State<Api>,
    Named(name): Named<TopicName>,
    uri: Uri,
    request: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let kept = header::kept(&request)?;
    let deed = if kept.id.is_some() {
        Deed::PublishWithId
    } else {
        Deed::PublishWithoutId
    };
    let options = PostOptions {
        id: kept.id,
        headers: kept.headers,
    };
    let payload = body::read(&request, body, api.body_len_max()).await?;
    let published = api
        .topic(&name)?
        .publish(payload, &options)
        .await
        .map_err(|error| of_stream(&error, About::Topic(&name), deed))?;
    Ok(Stored::from(published).into_response())
}

async fn view(
    State(api): State<Api>,
    Named(name): Named<TopicName>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["from", "limit"])?;
    let from = params.start("from")?.unwrap_or_default();
    let limit = params
        .count("limit", 1, LIST_MESSAGES_MAX)?
        .unwrap_or(LIST_MESSAGES_DEFAULT);
    let messages = Source::Topic(&api.topic(&name)?)
        .page(from, limit)
        .await
        .map_err(|error| of_stream(&error, About::Topic(&name), Deed::Read))?;
    Ok(json_text(encode_array(
        messages.iter().map(MessageJson::published),
    )))
}
