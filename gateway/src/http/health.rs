//! `GET /healthz`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Api;

#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// Whether every broker answers, asked now. While one is away nothing can be written, so that counts as ill.
pub(super) async fn health(State(api): State<Api>) -> Response {
    let silent = api.brokers().silent().await;
    let reasons: Vec<_> = silent
        .into_iter()
        .map(|(address, error)| format!("broker {address} does not answer: {error}"))
        .collect();
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    (
        code,
        [(CACHE_CONTROL, "no-store")],
        Json(Health { status, reasons }),
    )
        .into_response()
}
