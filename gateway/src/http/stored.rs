//! The answer to a message that was stored.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use relevo_client::Pushed;
use relevo_protocol::name::StreamName;
use serde::Serialize;

/// Where a message is stored.
#[derive(Debug, Serialize)]
pub(crate) struct Stored {
    stream: StreamName,
    seq: u64,
    /// Whether a message with its id was there before; then `seq` is that one's.
    duplicate: bool,
}

impl From<Pushed> for Stored {
    fn from(pushed: Pushed) -> Self {
        Self {
            stream: pushed.stream,
            seq: pushed.seq,
            duplicate: pushed.duplicate,
        }
    }
}

impl IntoResponse for Stored {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self)).into_response()
    }
}
