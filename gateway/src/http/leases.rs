//! `/v1/leases`: what is done with a message that was received.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::{delete, post};
use relevo_client::{JetStreamError, LeaseError, LeaseHandle, RequestError};
use relevo_protocol::convention::lease::Lease;
use relevo_protocol::convention::queue::{MAX_LEASE, MIN_LEASE};
use relevo_protocol::jetstream::publish::MAX_DELAY;

use super::Api;
use super::name::Text;
use super::params::Params;
use super::problem::Problem;
use super::refusal::of_lease;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/leases/{lease}", delete(ack))
        .route("/v1/leases/{lease}/nack", post(nack))
        .route("/v1/leases/{lease}/extend", post(extend))
}

async fn ack(State(api): State<Api>, Text(lease): Text, uri: Uri) -> Result<StatusCode, Problem> {
    Params::read(&uri, &[])?;
    let done = lease_of(&api, &lease)?.ack().await;
    answer(&api, &lease, done).await
}

async fn nack(State(api): State<Api>, Text(lease): Text, uri: Uri) -> Result<StatusCode, Problem> {
    let params = Params::read(&uri, &["delay"])?;
    let delay = params.duration("delay", Duration::ZERO, MAX_DELAY)?;
    let done = lease_of(&api, &lease)?.nack(delay).await;
    answer(&api, &lease, done).await
}

async fn extend(
    State(api): State<Api>,
    Text(lease): Text,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    let params = Params::read(&uri, &["for"])?;
    let by = params.duration("for", MIN_LEASE, MAX_LEASE)?;
    let done = lease_of(&api, &lease)?.extend(by).await;
    answer(&api, &lease, done).await
}

fn lease_of(api: &Api, text: &str) -> Result<LeaseHandle, Problem> {
    api.client().lease(text).map_err(|error| of_lease(&error))
}

async fn answer(
    api: &Api,
    lease: &str,
    done: Result<(), LeaseError>,
) -> Result<StatusCode, Problem> {
    let Err(error) = done else {
        return Ok(StatusCode::NO_CONTENT);
    };
    if error == LeaseError::JetStream(JetStreamError::Request(RequestError::NoResponders))
        && let Ok(Lease { queue, .. }) = Lease::parse(lease)
        && api
            .queue(&queue)?
            .info()
            .await
            .is_err_and(|error| error.is_not_found())
    {
        return Err(of_lease(&LeaseError::Gone));
    }
    Err(of_lease(&error))
}
