//! Requests to the JetStream API, and messages that streams keep.

mod pull;
mod read;
mod stored;

pub(crate) use pull::{Pull, Puller, pull_once};
pub use read::READ_BYTES_MAX;
pub(crate) use read::read_messages;
pub use stored::StoredMessage;
pub(crate) use stored::{kept_headers, origin_of_delivery};

use relevo_protocol::jetstream::api::{
    ResponseError, StreamConfigRequest, StreamCreated, StreamInfoRequest, StreamList,
    StreamsRequest, decode_response,
};
use relevo_protocol::jetstream::consumer::ConsumerInfo;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::stream::{StreamConfig, StreamInfo};
use relevo_protocol::name::{ConsumerName, StreamName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::{BadAnswer, JetStreamError};

/// The most pages of a list that are asked for.
const LIST_PAGES_MAX: usize = 4096;

/// Whether creating made something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It was not there and is now.
    Created,
    /// It was there, with the same options.
    Exists,
}

impl Client {
    /// A request to the JetStream API: any endpoint, with the types of [`relevo_protocol::jetstream::api`].
    ///
    /// # Errors
    /// A [`JetStreamError`]; [`JetStreamError::Refused`] with what the server said.
    pub async fn api<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        request: &(impl Serialize + Sync),
    ) -> Result<T, JetStreamError> {
        let timeout = self.shared().options.request_timeout;
        let answer = self
            .request(&endpoint.subject(), json::encode(request), timeout)
            .await?;
        if let Some(code) = answer.status() {
            return Err(JetStreamError::status(code, &answer));
        }
        decode_response(answer.payload_slice()).map_err(|error| match error {
            ResponseError::Refused(error) => JetStreamError::Refused(error),
            ResponseError::Malformed { .. } => JetStreamError::BadAnswer(BadAnswer::Json),
        })
    }

    pub(crate) async fn create_stream(
        &self,
        config: StreamConfig,
    ) -> Result<Creation, JetStreamError> {
        let endpoint = Endpoint::StreamCreate(config.name.clone());
        let asked = Instant::now();
        let created: StreamCreated = self
            .api(
                &endpoint,
                &StreamConfigRequest {
                    config,
                    pedantic: false,
                },
            )
            .await?;
        // A nats-server of its own says of every stream that it made it (observed on 2.15.2): look at its age too.
        let age = created
            .info
            .ts
            .saturating_duration_since(created.info.created);
        let is_new = created.did_create && age <= asked.elapsed();
        Ok(if is_new {
            Creation::Created
        } else {
            Creation::Exists
        })
    }

    pub(crate) async fn stream_info(
        &self,
        stream: StreamName,
    ) -> Result<StreamInfo, JetStreamError> {
        self.api(&Endpoint::StreamInfo(stream), &StreamInfoRequest::default())
            .await
    }

    /// `None` when there is no such consumer.
    pub(crate) async fn consumer_info(
        &self,
        stream: StreamName,
        consumer: ConsumerName,
    ) -> Result<Option<ConsumerInfo>, JetStreamError> {
        match self
            .api(&Endpoint::ConsumerInfo(stream, consumer), &Empty {})
            .await
        {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.is_consumer_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every stream whose subjects overlap with `subject`.
    pub(crate) async fn streams_of(
        &self,
        subject: &str,
    ) -> Result<Vec<StreamInfo>, JetStreamError> {
        let mut streams: Vec<StreamInfo> = Vec::new();
        for _ in 0..LIST_PAGES_MAX {
            let request = StreamsRequest {
                offset: streams.len() as u64,
                subject: subject.to_owned(),
            };
            let page: StreamList = self.api(&Endpoint::StreamList, &request).await?;
            let is_last = page.streams.is_empty();
            streams.extend(page.streams);
            if is_last || streams.len() as u64 >= page.page.total {
                break;
            }
        }
        Ok(streams)
    }
}

/// A request that says nothing.
#[derive(Serialize)]
pub(crate) struct Empty {}
