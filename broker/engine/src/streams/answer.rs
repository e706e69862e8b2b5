//! How decisions are told to clients: JSON answers, refusals and status lines.

use bytes::Bytes;
use relevo_protocol::frame::Message;
use relevo_protocol::headers::HeaderBlock;
use relevo_protocol::jetstream::api::{API_LEVEL, Response, encode_error};
use relevo_protocol::jetstream::endpoint::EndpointKind;
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::publish::REQUIRED_API_LEVEL;
use relevo_protocol::jetstream::status::Status;
use serde::Serialize;

use crate::desk::{Outgoing, Unwritable};

/// The refusal of a write.
pub(super) const fn unwritable(why: Unwritable) -> JetStreamError {
    match why {
        Unwritable::PeerAway => JetStreamError::PeerAway,
        Unwritable::LogFull => JetStreamError::StorageResourcesExceeded,
    }
}

/// The answer of an endpoint to a request; nothing when the client does not listen.
pub(super) fn api<T: Serialize>(
    kind: EndpointKind,
    request: &Message,
    result: Result<T, JetStreamError>,
) -> Option<Outgoing> {
    let reply = request.reply.clone()?;
    let body = Response::new(kind.response_type()?, result).encode();
    Some(Outgoing::answer(reply, body.into()))
}

/// The refusal of an endpoint.
pub(super) fn api_error(
    kind: EndpointKind,
    request: &Message,
    error: JetStreamError,
) -> Option<Outgoing> {
    let reply = request.reply.clone()?;
    Some(Outgoing::answer(
        reply,
        encode_error(kind.response_type()?, error).into(),
    ))
}

/// A status line.
pub(super) fn status(reply: Bytes, status: &Status) -> Outgoing {
    Outgoing::status(reply, status.header_block(&[]).into())
}

/// A status line that ends a pull request.
pub(super) fn last_status(reply: Bytes, status: &Status, messages: u64, bytes: u64) -> Outgoing {
    Outgoing::status(
        reply,
        status.header_block_with_pending(messages, bytes).into(),
    )
}

/// A refusal as a status line.
pub(super) fn status_of(error: &JetStreamError) -> Status {
    match error {
        JetStreamError::RequiredApiLevel => Status::REQUIRED_API_LEVEL,
        error => Status {
            code: error.code(),
            description: one_line(&error.description()).into(),
        },
    }
}

/// A request that makes no sense, as a status line.
pub(super) fn bad_request(why: &str) -> Status {
    Status {
        code: 400,
        description: format!("Bad Request - {}", one_line(why)).into(),
    }
}

/// The value of a header of a request.
pub(super) fn header<'a>(request: &'a Message, name: &str) -> Option<&'a str> {
    if request.headers.is_empty() {
        return None;
    }
    HeaderBlock::parse(&request.headers).ok()?.get(name)
}

/// Whether a request asks for an API level that this version does not have.
pub(super) fn needs_newer_api(request: &Message) -> bool {
    header(request, REQUIRED_API_LEVEL)
        .is_some_and(|level| level.parse::<u32>().map_or(true, |level| level > API_LEVEL))
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}
