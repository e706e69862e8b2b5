//! Queues: each message is worked on by one worker, until it says that it is done.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use relevo_protocol::convention::info::QueueInfo;
use relevo_protocol::convention::lease::Lease;
use relevo_protocol::convention::queue::{self as convention, QueueOptions};
use relevo_protocol::jetstream::api::{
    ConsumerAction, ConsumerCreateRequest, PurgeRequest, Purged, Success,
};
use relevo_protocol::jetstream::consumer::ConsumerInfo;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::name::{NameError, QueueName, StreamName};
use relevo_protocol::time::Timestamp;
use relevo_protocol::verb::{StartFrom, VERB_MESSAGES_MAX};

use crate::client::Client;
use crate::error::{BadAnswer, JetStreamError};
use crate::headers::Headers;
use crate::jetstream::{
    Creation, Empty, Pull, StoredMessage, kept_headers, origin_of_delivery, pull_once,
    read_messages,
};
use crate::lease::{LeaseError, LeaseHandle};
use crate::message::Message;
use crate::push::{PushOptions, Pushed};

/// How many queues are asked about at once when they are listed.
const LIST_AT_ONCE: usize = 16;

/// The subjects of all queues.
const ALL_QUEUES: &str = "$Q.*";

impl Client {
    /// The queue of this name, which may or may not exist.
    ///
    /// # Errors
    /// A [`NameError`] when the text is no queue's name.
    pub fn queue(&self, name: &str) -> Result<Queue, NameError> {
        Ok(Queue {
            client: self.clone(),
            name: QueueName::parse(name)?,
        })
    }

    /// All queues, in order of their names.
    ///
    /// # Errors
    /// A [`JetStreamError`].
    pub async fn queues(&self) -> Result<Vec<QueueInfo>, JetStreamError> {
        let streams = self.streams_of(ALL_QUEUES).await?;
        let asked = streams.into_iter().map(|stream| async move {
            let workers = self
                .consumer_info(stream.config.name.clone(), convention::workers())
                .await?;
            Ok::<_, JetStreamError>(QueueInfo::from_jetstream(&stream, workers.as_ref()))
        });
        let mut queues: Vec<_> = stream::iter(asked)
            .buffered(LIST_AT_ONCE)
            .try_filter_map(async |info| Ok(info))
            .try_collect()
            .await?;
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(queues)
    }
}

/// A queue by its name. A clone is the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    name: QueueName,
}

/// How messages are taken from a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PopOptions {
    /// How many messages at most, 1 to [`VERB_MESSAGES_MAX`].
    pub max: u32,
    /// How long to wait for the first message; zero answers at once.
    pub wait: Duration,
    /// How long the messages are the worker's own; `None` is as the queue has it. A stock nats-server knows only the
    /// latter.
    pub lease: Option<Duration>,
}

impl Default for PopOptions {
    fn default() -> Self {
        Self {
            max: 1,
            wait: Duration::ZERO,
            lease: None,
        }
    }
}

/// A message that is the worker's own until its lease runs out.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its sequence in the queue, from 1.
    pub seq: u64,
    /// What to show to answer for it; it works through any door and broker, see [`Client::lease`].
    pub lease: Lease,
    /// How often it was handed out, this time included.
    pub attempts: u64,
    /// When it was pushed.
    pub time: Timestamp,
    /// The subject that it was published on.
    pub subject: String,
    /// Its headers.
    pub headers: Headers,
    /// The payload.
    pub payload: Bytes,
    handle: LeaseHandle,
}

impl Queue {
    /// The queue's name.
    #[must_use]
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// Creates the queue.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_conflict`] holds when the queue is there with other options.
    pub async fn create(&self, options: &QueueOptions) -> Result<Creation, JetStreamError> {
        let config = convention::stream_config(&self.name, options);
        let creation = match self.client.create_stream(config).await {
            Ok(creation) => creation,
            Err(conflict) if conflict.is_conflict() => {
                return self.is_same(options, conflict).await;
            }
            Err(error) => return Err(error),
        };
        match self.create_workers(options).await {
            Ok(_) => Ok(creation),
            Err(conflict) if conflict.is_conflict() => self.is_same(options, conflict).await,
            Err(error) => Err(error),
        }
    }

    /// Deletes the queue and its messages.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such queue.
    pub async fn delete(&self) -> Result<(), JetStreamError> {
        let _: Success = self
            .client
            .api(&Endpoint::StreamDelete(self.stream()), &Empty {})
            .await?;
        Ok(())
    }

    /// Deletes the queue's messages, leased ones too. Gives how many went.
    ///
    /// # Errors
    /// A [`JetStreamError`].
    pub async fn purge(&self) -> Result<u64, JetStreamError> {
        let purged: Purged = self
            .client
            .api(
                &Endpoint::StreamPurge(self.stream()),
                &PurgeRequest::default(),
            )
            .await?;
        Ok(purged.purged)
    }

    /// How the queue stands.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such queue.
    pub async fn info(&self) -> Result<QueueInfo, JetStreamError> {
        let stream = self.client.stream_info(self.stream()).await?;
        let workers = self.workers().await?;
        QueueInfo::from_jetstream(&stream, workers.as_ref())
            .ok_or(JetStreamError::BadAnswer(BadAnswer::Json))
    }

    /// Puts a message in. When it returns, the message is as durable as the server promises.
    ///
    /// # Errors
    /// A [`JetStreamError`]. When its [`outcome`](JetStreamError::outcome) is unknown, push again with the same
    /// [`PushOptions::id`]; without an id that may store the message twice.
    pub async fn push(
        &self,
        payload: impl AsRef<[u8]> + Send,
        options: &PushOptions,
    ) -> Result<Pushed, JetStreamError> {
        let headers = options.to_headers()?;
        let subject = convention::subject(&self.name);
        let ack = self
            .client
            .stream_publish(&subject, Some(&headers), payload)
            .await?;
        Ok(ack.await?.into())
    }

    /// Takes messages out, each under a lease: a message that is not acknowledged in time is handed out again. Empty when
    /// there were none within [`PopOptions::wait`].
    ///
    /// Dropped while it waits, a message may be under way already: it is handed out again when its lease ends.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such queue.
    pub async fn pop(&self, options: &PopOptions) -> Result<Vec<Job>, JetStreamError> {
        let max = options.max.clamp(1, VERB_MESSAGES_MAX);
        let pulled = pull_once(
            &self.client,
            self.stream(),
            convention::workers(),
            Pull {
                max,
                wait: options.wait,
                lease: options.lease,
            },
        )
        .await;
        let messages = match pulled {
            Err(error) if error.is_no_responders() => {
                // There is no such queue, or nobody who would know.
                self.client.stream_info(self.stream()).await?;
                return Err(error);
            }
            other => other?,
        };
        messages
            .iter()
            .map(|message| Job::new(&self.client, message))
            .collect()
    }

    /// Looks at up to `max` messages, leased ones too; nothing is taken.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such queue.
    pub async fn peek(
        &self,
        from: StartFrom,
        max: u32,
    ) -> Result<Vec<StoredMessage>, JetStreamError> {
        read_messages(
            &self.client,
            &self.stream(),
            from,
            max.min(VERB_MESSAGES_MAX),
        )
        .await
    }

    fn stream(&self) -> StreamName {
        convention::stream_name(&self.name)
    }

    async fn workers(&self) -> Result<Option<ConsumerInfo>, JetStreamError> {
        self.client
            .consumer_info(self.stream(), convention::workers())
            .await
    }

    async fn create_workers(&self, options: &QueueOptions) -> Result<ConsumerInfo, JetStreamError> {
        let endpoint = Endpoint::ConsumerCreate {
            stream: self.stream(),
            consumer: Some(convention::workers()),
            filter: None,
        };
        let request = ConsumerCreateRequest {
            stream_name: self.stream(),
            config: convention::consumer_config(&self.name, options),
            action: ConsumerAction::Create,
            pedantic: false,
        };
        self.client.api(&endpoint, &request).await
    }

    /// Whether the queue that is there has these options; else the conflict.
    async fn is_same(
        &self,
        options: &QueueOptions,
        conflict: JetStreamError,
    ) -> Result<Creation, JetStreamError> {
        let stream = self.client.stream_info(self.stream()).await?;
        let workers = self.workers().await?.ok_or_else(|| conflict.clone())?;
        if convention::is_same(&self.name, options, &stream.config, &workers.config) {
            Ok(Creation::Exists)
        } else {
            Err(conflict)
        }
    }
}

impl Job {
    fn new(client: &Client, message: &Message) -> Result<Self, JetStreamError> {
        let origin = origin_of_delivery(message)?;
        let lease =
            Lease::from_ack(&origin).ok_or(JetStreamError::BadAnswer(BadAnswer::NoAckSubject))?;
        let ack_subject = message.reply().unwrap_or_default().to_owned();
        Ok(Self {
            seq: origin.stream_seq,
            lease,
            attempts: origin.delivered,
            time: origin.timestamp,
            subject: message.subject().to_owned(),
            headers: kept_headers(message),
            payload: message.payload(),
            handle: LeaseHandle::new(client.clone(), ack_subject),
        })
    }

    /// The message is done and goes. Durable when it returns.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn ack(&self) -> Result<(), LeaseError> {
        self.handle.ack().await
    }

    /// The message is not done: it is handed out again, after `delay` or at once.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn nack(&self, delay: Option<Duration>) -> Result<(), LeaseError> {
        self.handle.nack(delay).await
    }

    /// The lease goes on from now, for `by` or as long as the queue has it.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn extend(&self, by: Option<Duration>) -> Result<(), LeaseError> {
        self.handle.extend(by).await
    }

    /// The message will never be done: it is not handed out again.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn term(&self, reason: &str) -> Result<(), LeaseError> {
        self.handle.term(reason).await
    }
}
