//! Request and response bodies of the API endpoints.
//!
//! A response is `{"type": …}` followed by either the answer's members or `"error"`: [`Response`] writes that envelope,
//! [`decode_response`] reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::consumer::{ConsumerConfig, ConsumerInfo};
use super::error::{ApiError, JetStreamError};
use super::json::{self, empty_is_none, is_default, nanos, zero_time};
use super::status::Status;
use super::stream::{StreamConfig, StreamInfo};
use crate::name::{ConsumerName, StreamName};
use crate::time::Timestamp;

/// The most names in one page of a names response (nats-server `JSApiNamesLimit`).
pub const NAMES_PAGE_LIMIT: usize = 1024;

/// The most entries in one page of a list response (nats-server `JSApiListLimit`).
pub const LIST_PAGE_LIMIT: usize = 256;

/// The most subjects told in one stream info response (nats-server `JSMaxSubjectDetails`).
pub const SUBJECT_DETAILS_LIMIT: usize = 100_000;

/// The JetStream API level, told as `api.level` and in INFO as `api_lvl`: 0, the base API without any of the features
/// that a numbered level stands for (nats-server 2.15 tells 5).
pub const API_LEVEL: u32 = 0;

/// A response body: the answer, or why it was refused, under its `type`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Response<T> {
    /// The response type, `io.nats.jetstream.api.v1.…`; see [`super::endpoint::EndpointKind::response_type`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The answer or the refusal.
    #[serde(flatten)]
    pub outcome: Outcome<T>,
}

/// What a response carries beside its `type`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Outcome<T> {
    /// The request was refused.
    Refused {
        /// Why.
        error: ApiError,
        /// An empty page, in responses that always tell one.
        #[serde(flatten)]
        page: Option<Page>,
    },
    /// The request was done.
    Done(T),
}

impl<T: Serialize> Response<T> {
    /// A response of this type from a result.
    pub fn new(response_type: &str, result: Result<T, JetStreamError>) -> Self {
        let outcome = match result {
            Ok(answer) => Outcome::Done(answer),
            Err(error) => Outcome::Refused {
                error: ApiError::from(error),
                page: PAGED_RESPONSES.contains(&response_type).then(Page::default),
            },
        };
        Self {
            kind: response_type.to_owned(),
            outcome,
        }
    }

    /// The body as bytes.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }
}

/// Reads a response body, whatever its `type`.
///
/// # Errors
/// [`ResponseError`]: the refusal, or that the body is not such a response.
pub fn decode_response<T: DeserializeOwned>(body: &[u8]) -> Result<T, ResponseError> {
    let malformed = |error: serde_json::Error| ResponseError::Malformed {
        cause: error.to_string(),
    };
    let refusal: Refusal = serde_json::from_slice(body).map_err(malformed)?;
    match refusal.error {
        Some(error) => Err(ResponseError::Refused(error)),
        None => serde_json::from_slice(body).map_err(malformed),
    }
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Option<ApiError>,
}

/// Why a response holds no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseError {
    /// The request was refused.
    Refused(ApiError),
    /// The body is not the response that it should be.
    Malformed {
        /// What the JSON reader met.
        cause: String,
    },
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Malformed { cause } => write!(f, "decode response: {cause}"),
        }
    }
}

impl std::error::Error for ResponseError {}

/// Responses that tell a page even when they refuse; clients that check against nats-server's JSON schemas insist on it.
const PAGED_RESPONSES: [&str; 5] = [
    "io.nats.jetstream.api.v1.consumer_list_response",
    "io.nats.jetstream.api.v1.consumer_names_response",
    "io.nats.jetstream.api.v1.stream_info_response",
    "io.nats.jetstream.api.v1.stream_list_response",
    "io.nats.jetstream.api.v1.stream_names_response",
];

/// A refusal as a response body.
pub fn encode_error(response_type: &str, error: JetStreamError) -> Vec<u8> {
    Response::<Success>::new(response_type, Err(error)).encode()
}

/// A position in a paged request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PageRequest {
    /// How many entries to skip.
    #[serde(default, skip_serializing_if = "is_default")]
    pub offset: u64,
}

/// Which part of a list a response holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Page {
    /// How many entries there are in all.
    #[serde(default)]
    pub total: u64,
    /// How many were skipped.
    #[serde(default)]
    pub offset: u64,
    /// How many fit one response.
    #[serde(default)]
    pub limit: u64,
}

/// `{"success": true}`: STREAM.DELETE, STREAM.MSG.DELETE, CONSUMER.DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success {
    /// Always true in a response without an error.
    #[serde(default)]
    pub success: bool,
}

impl Success {
    /// Done.
    pub const DONE: Self = Self { success: true };
}

/// INFO: usage and limits of the account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountInfo {
    /// Bytes in memory streams.
    pub memory: u64,
    /// Bytes in file streams.
    pub storage: u64,
    /// Bytes of memory promised to streams.
    #[serde(default)]
    pub reserved_memory: u64,
    /// Bytes of disk promised to streams.
    #[serde(default)]
    pub reserved_storage: u64,
    /// How many streams there are.
    pub streams: u64,
    /// How many consumers there are.
    pub consumers: u64,
    /// The most there may be.
    pub limits: AccountLimits,
    /// The JetStream domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// The API itself.
    pub api: ApiStats,
}

/// The most of everything in an account; -1 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLimits {
    /// Bytes of memory.
    pub max_memory: i64,
    /// Bytes of disk.
    pub max_storage: i64,
    /// Streams.
    pub max_streams: i64,
    /// Consumers of each stream.
    pub max_consumers: i64,
    /// Unacknowledged messages of each consumer.
    #[serde(default)]
    pub max_ack_pending: i64,
    /// Bytes of one memory stream.
    #[serde(default)]
    pub memory_max_stream_bytes: i64,
    /// Bytes of one file stream.
    #[serde(default)]
    pub storage_max_stream_bytes: i64,
    /// Streams must set `max_bytes`.
    #[serde(default)]
    pub max_bytes_required: bool,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self {
            max_memory: -1,
            max_storage: -1,
            max_streams: -1,
            max_consumers: -1,
            max_ack_pending: -1,
            memory_max_stream_bytes: -1,
            storage_max_stream_bytes: -1,
            max_bytes_required: false,
        }
    }
}

/// How the API itself fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApiStats {
    /// The API level, see [`API_LEVEL`].
    #[serde(default)]
    pub level: u32,
    /// Requests since the start.
    pub total: u64,
    /// Requests that were refused.
    pub errors: u64,
    /// Requests that are being served.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inflight: u64,
}

/// STREAM.CREATE and STREAM.UPDATE: the configuration, and how strictly to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamConfigRequest {
    /// What the stream should be.
    #[serde(flatten)]
    pub config: StreamConfig,
    /// Refuse a configuration that the server would have to change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pedantic: bool,
}

/// STREAM.CREATE's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCreated {
    /// The stream.
    #[serde(flatten)]
    pub info: StreamInfo,
    /// False when the stream was there already, configured the same.
    #[serde(default, skip_serializing_if = "is_default")]
    pub did_create: bool,
}

/// STREAM.INFO.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamInfoRequest {
    /// How many subjects to skip.
    #[serde(default, skip_serializing_if = "is_default")]
    pub offset: u64,
    /// Tell the sequences that are gone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deleted_details: bool,
    /// Tell messages per subject, for matching subjects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subjects_filter: String,
}

/// STREAM.INFO's answer: the stream, and the page of its subjects when they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamInfoAnswer {
    /// Which part of the subjects it tells; zeroes when none were asked for.
    #[serde(flatten)]
    pub page: Page,
    /// The stream.
    #[serde(flatten)]
    pub info: StreamInfo,
}

/// STREAM.NAMES and STREAM.LIST.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamsRequest {
    /// How many entries to skip.
    #[serde(default, skip_serializing_if = "is_default")]
    pub offset: u64,
    /// Only streams whose subjects overlap with this one; may have wildcards.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
}

/// STREAM.NAMES' answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamNames {
    /// Which part it is.
    #[serde(flatten)]
    pub page: Page,
    /// The names, in order.
    #[serde(default)]
    pub streams: Vec<StreamName>,
}

/// STREAM.LIST's answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamList {
    /// Which part it is.
    #[serde(flatten)]
    pub page: Page,
    /// The streams, in order of their names.
    #[serde(default)]
    pub streams: Vec<StreamInfo>,
    /// Streams that exist but could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<StreamName>,
    /// Streams that are offline, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offline: BTreeMap<StreamName, String>,
}

/// STREAM.PURGE. [`Self::seq`] and [`Self::keep`] exclude each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PurgeRequest {
    /// Purge up to, not including, this sequence; 0 is all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seq: u64,
    /// Purge messages of matching subjects only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// Keep this many of the newest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep: u64,
}

/// STREAM.PURGE's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Always true in a response without an error.
    #[serde(default)]
    pub success: bool,
    /// How many messages went.
    #[serde(default)]
    pub purged: u64,
}

/// STREAM.MSG.GET and DIRECT.GET. Which message or messages; see nats-server ADR-8 and ADR-31.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MsgGetRequest {
    /// The message with this sequence; with [`Self::next_by_subj`] or [`Self::batch`] the first that may be told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seq: u64,
    /// The last message of a subject.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_by_subj: String,
    /// The next message of matching subjects, from [`Self::seq`] on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub next_by_subj: String,
    /// Direct get only: up to this many messages.
    #[serde(default, skip_serializing_if = "is_default")]
    pub batch: u64,
    /// Direct get only: at most this many bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_bytes: u64,
    /// The first message not older than this.
    #[serde(
        default,
        deserialize_with = "zero_time::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub start_time: Option<Timestamp>,
    /// Direct get only: the last message of each matching subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub multi_last: Vec<String>,
    /// With [`Self::multi_last`]: not after this sequence.
    #[serde(default, skip_serializing_if = "is_default")]
    pub up_to_seq: u64,
    /// With [`Self::multi_last`]: not after this time.
    #[serde(
        default,
        deserialize_with = "zero_time::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub up_to_time: Option<Timestamp>,
    /// Leave the headers out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_hdr: bool,
}

impl MsgGetRequest {
    /// Reads the body of a STREAM.MSG.GET.
    ///
    /// # Errors
    /// [`JetStreamError::InvalidJson`], or [`JetStreamError::BadRequest`] when it names no message, names two, or asks for
    /// what only direct get serves.
    pub fn decode(body: &[u8]) -> Result<Self, JetStreamError> {
        let request: Self = json::decode(body)?;
        let is_for_direct_get = request.batch > 0
            || request.max_bytes > 0
            || !request.multi_last.is_empty()
            || request.up_to_seq > 0
            || request.up_to_time.is_some();
        if request.is_empty() || request.contradicts_itself() || is_for_direct_get {
            return Err(JetStreamError::BadRequest);
        }
        Ok(request)
    }

    /// Reads the body of a DIRECT.GET.
    ///
    /// # Errors
    /// The status to answer with: 408 when it can not be read, names no message, or contradicts itself.
    pub fn decode_direct(body: &[u8]) -> Result<Self, Status> {
        if body.is_empty() {
            return Err(Status::EMPTY_REQUEST);
        }
        let request: Self = json::decode(body).map_err(|_| Status::MALFORMED_REQUEST)?;
        if request.is_empty() {
            return Err(Status::EMPTY_REQUEST);
        }
        if request.contradicts_itself() {
            return Err(Status::BAD_REQUEST);
        }
        Ok(request)
    }

    /// Reads the body of a DIRECT.GET whose subject names the subject of the message.
    ///
    /// # Errors
    /// The status to answer with: 408 when the body can not be read or names a message of its own.
    pub fn decode_direct_last(body: &[u8], subject: &str) -> Result<Self, Status> {
        let request: Self = json::decode(body).map_err(|_| Status::MALFORMED_REQUEST)?;
        let allowed = Self {
            no_hdr: request.no_hdr,
            max_bytes: request.max_bytes,
            ..Self::default()
        };
        if request != allowed {
            return Err(Status::BAD_REQUEST);
        }
        Ok(Self {
            last_by_subj: subject.to_owned(),
            ..allowed
        })
    }

    fn is_empty(&self) -> bool {
        self.seq == 0
            && self.last_by_subj.is_empty()
            && self.next_by_subj.is_empty()
            && self.multi_last.is_empty()
            && self.start_time.is_none()
    }

    fn contradicts_itself(&self) -> bool {
        let (seq, time) = (self.seq > 0, self.start_time.is_some());
        let (last, next, multi) = (
            !self.last_by_subj.is_empty(),
            !self.next_by_subj.is_empty(),
            !self.multi_last.is_empty(),
        );
        (seq && time)
            || (last && (seq || time || next || multi || self.batch > 0))
            || (next && multi)
            || (self.up_to_seq > 0 && self.up_to_time.is_some())
    }
}

/// STREAM.MSG.GET's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MsgGetAnswer {
    /// The message.
    pub message: StoredMessage,
}

/// A stored message as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// The subject it was published on.
    pub subject: String,
    /// Its sequence.
    pub seq: u64,
    /// The header block, from `NATS/1.0` to the empty line; base64 in JSON.
    #[serde(
        default,
        with = "json::base64",
        skip_serializing_if = "Bytes::is_empty"
    )]
    pub hdrs: Bytes,
    /// The payload; base64 in JSON.
    #[serde(
        default,
        with = "json::base64",
        skip_serializing_if = "Bytes::is_empty"
    )]
    pub data: Bytes,
    /// When it was stored.
    pub time: Timestamp,
}

/// STREAM.MSG.DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MsgDeleteRequest {
    /// The message's sequence.
    #[serde(default)]
    pub seq: u64,
    /// Do not overwrite the bytes on disk.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_erase: bool,
}

/// CONSUMER.CREATE and CONSUMER.DURABLE.CREATE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerCreateRequest {
    /// The stream; must be the one in the subject.
    pub stream_name: StreamName,
    /// What the consumer should be.
    pub config: ConsumerConfig,
    /// Whether it may or must exist already.
    #[serde(default, skip_serializing_if = "is_default")]
    pub action: ConsumerAction,
    /// Refuse a configuration that the server would have to change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pedantic: bool,
}

/// Whether a consumer may or must exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerAction {
    /// Create it, or update it when it is there.
    #[default]
    #[serde(rename = "")]
    CreateOrUpdate,
    /// It must be there.
    Update,
    /// It must not be there with another configuration.
    Create,
}

/// CONSUMER.NAMES' answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConsumerNames {
    /// Which part it is.
    #[serde(flatten)]
    pub page: Page,
    /// The names, in order.
    #[serde(default)]
    pub consumers: Vec<ConsumerName>,
}

/// CONSUMER.LIST's answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConsumerList {
    /// Which part it is.
    #[serde(flatten)]
    pub page: Page,
    /// The consumers, in order of their names.
    #[serde(default)]
    pub consumers: Vec<ConsumerInfo>,
    /// Consumers that exist but could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<ConsumerName>,
    /// Consumers that are offline, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offline: BTreeMap<ConsumerName, String>,
}

/// CONSUMER.MSG.NEXT: a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NextRequest {
    /// How long it may wait; zero is for ever, as long as its reply subject has interest.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub expires: Duration,
    /// How many messages at most; 0 is read as 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub batch: u64,
    /// How many bytes at most; 0 is no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_bytes: u64,
    /// Answer at once with what there is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_wait: bool,
    /// How often to say that it still waits; zero is never.
    #[serde(default, with = "nanos", skip_serializing_if = "is_default")]
    pub idle_heartbeat: Duration,
    /// The priority group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Serve only when at least this many messages are pending.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_pending: i64,
    /// Serve only when at least this many messages wait for acknowledgement.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_ack_pending: i64,
    /// The pinned client's id.
    #[serde(
        default,
        deserialize_with = "empty_is_none::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub id: Option<String>,
    /// Lower numbers are served first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i64,
}

impl NextRequest {
    /// Reads a pull request's body: JSON, a bare number for that many messages, anything else for one message, as
    /// nats-server does.
    ///
    /// # Errors
    /// The status to answer with: 400 for JSON that can not be read, or a heartbeat that is not at most half of
    /// [`Self::expires`].
    pub fn decode(body: &[u8]) -> Result<Self, Status> {
        let body = body.trim_ascii();
        let mut request = if body.starts_with(b"{") {
            json::decode::<Self>(body)
                .map_err(|error| Status::bad_pull_request(&error.description()))?
        } else {
            let batch = std::str::from_utf8(body)
                .ok()
                .and_then(|text| text.parse().ok());
            Self {
                batch: batch.unwrap_or_default(),
                ..Self::default()
            }
        };
        if request.idle_heartbeat.saturating_mul(2) > request.expires {
            return Err(Status::bad_pull_request("heartbeat value too large"));
        }
        request.batch = request.batch.max(1);
        Ok(request)
    }
}

#[cfg(test)]
mod tests;
