//! What comes back to a request, taken apart.

use bytes::Bytes;
use relevo_protocol::jetstream::ack::AckSubject;
use relevo_protocol::jetstream::api::{ResponseError, decode_response};
use relevo_protocol::jetstream::error::ApiError;
use relevo_protocol::jetstream::status::Status;
use serde::de::DeserializeOwned;

/// A message that arrived at the reply subject of an [`super::Ask`], as a subscriber would be shown it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Where it can be answered: the ack subject of a delivery.
    pub reply: Option<Bytes>,
    /// The header block, or empty. A request that nobody listens for is answered with `NATS/1.0 503`.
    pub headers: Bytes,
    /// The body.
    pub payload: Bytes,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The API refused it.
    Api(ApiError),
    /// It was answered with a status line.
    Status(Status),
    /// The answer is not what the request is answered with.
    Malformed,
}

impl Answer {
    /// The status, when the answer is one and not a message.
    pub(super) fn status(&self) -> Option<Status> {
        Status::parse(self.header_lines().next()?)
    }

    /// The last value of a header: what a stream adds stands behind what the publisher wrote.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let values = self.header_lines().skip(1).filter_map(|line| {
            let (own, value) = line.split_once(':')?;
            (own == name).then_some(value.trim())
        });
        values.last()
    }

    /// Which delivery of which message it is.
    pub(super) fn delivery(&self) -> Option<AckSubject> {
        AckSubject::parse(str::from_utf8(self.reply.as_deref()?).ok()?).ok()
    }

    /// The body of an API response.
    pub(super) fn api<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if let Some(status) = self.status() {
            return Err(Failure::Status(status));
        }
        decode_response(&self.payload).map_err(|error| match error {
            ResponseError::Refused(error) => Failure::Api(error),
            ResponseError::Malformed { .. } => Failure::Malformed,
        })
    }

    /// The lines of the header block that are text; a publisher's own headers may be anything.
    fn header_lines(&self) -> impl Iterator<Item = &str> {
        let lines = self.headers.split(|byte| *byte == b'\n');
        lines.filter_map(|line| {
            str::from_utf8(line)
                .ok()
                .map(|line| line.trim_end_matches('\r'))
        })
    }
}
