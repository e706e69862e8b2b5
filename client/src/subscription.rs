//! Durable subscriptions to topics: the broker remembers where they are.

use std::time::Duration;

use relevo_protocol::convention::topic::{self as convention, TopicOptions};
use relevo_protocol::jetstream::api::{ConsumerAction, ConsumerCreateRequest, Success};
use relevo_protocol::jetstream::consumer::ConsumerInfo;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::name::{ConsumerName, StreamName, SubscriptionName, TopicName};
use relevo_protocol::verb::{StartFrom, VERB_MESSAGES_MAX};

use crate::client::Client;
use crate::error::JetStreamError;
use crate::jetstream::{Empty, Pull, StoredMessage, origin_of_delivery, pull_once};
use crate::lease::{LeaseError, LeaseHandle};
use crate::message::Message;

/// A durable subscription to a topic: each of its messages goes to one of its readers, and again if it is not
/// acknowledged within 30 s. A clone is the same subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    client: Client,
    stream: StreamName,
    name: SubscriptionName,
}

/// A message that a subscription gave.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub message: StoredMessage,
    /// How often it was given, this time included.
    pub attempts: u64,
    handle: LeaseHandle,
}

impl Subscription {
    pub(crate) async fn open(
        client: Client,
        topic: &TopicName,
        name: SubscriptionName,
        from: StartFrom,
    ) -> Result<Self, JetStreamError> {
        let stream = convention::stream_name(topic);
        let subscription = Self {
            client,
            stream,
            name,
        };
        if !subscription.exists().await? {
            subscription.create(topic, from).await?;
        }
        Ok(subscription)
    }

    /// The subscription's name.
    #[must_use]
    pub fn name(&self) -> &SubscriptionName {
        &self.name
    }

    /// The next message; `None` when none comes within `wait`, which may be zero.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such subscription.
    pub async fn next(&self, wait: Duration) -> Result<Option<Delivery>, JetStreamError> {
        Ok(self.fetch(1, wait).await?.pop())
    }

    /// Up to `max` messages, 1 to [`VERB_MESSAGES_MAX`], that are there, or else the first ones that come within `wait`.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such subscription.
    pub async fn fetch(&self, max: u32, wait: Duration) -> Result<Vec<Delivery>, JetStreamError> {
        let max = max.clamp(1, VERB_MESSAGES_MAX);
        let pulled = pull_once(
            &self.client,
            self.stream.clone(),
            self.consumer(),
            Pull {
                max,
                wait,
                lease: None,
            },
        )
        .await;
        let messages = match pulled {
            Err(error) if error.is_no_responders() => {
                // There is no such subscription, or nobody who would know.
                let _: ConsumerInfo = self.client.api(&self.info_endpoint(), &Empty {}).await?;
                return Err(error);
            }
            other => other?,
        };
        messages
            .iter()
            .map(|message| Delivery::new(&self.client, message))
            .collect()
    }

    /// Ends the subscription for all its readers: where it was is forgotten.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such subscription.
    pub async fn delete(&self) -> Result<(), JetStreamError> {
        let endpoint = Endpoint::ConsumerDelete(self.stream.clone(), self.consumer());
        let _: Success = self.client.api(&endpoint, &Empty {}).await?;
        Ok(())
    }

    fn consumer(&self) -> ConsumerName {
        self.name.clone().into()
    }

    fn info_endpoint(&self) -> Endpoint {
        Endpoint::ConsumerInfo(self.stream.clone(), self.consumer())
    }

    async fn exists(&self) -> Result<bool, JetStreamError> {
        Ok(self
            .client
            .consumer_info(self.stream.clone(), self.consumer())
            .await?
            .is_some())
    }

    async fn create(&self, topic: &TopicName, from: StartFrom) -> Result<(), JetStreamError> {
        let endpoint = Endpoint::ConsumerCreate {
            stream: self.stream.clone(),
            consumer: Some(self.consumer()),
            filter: None,
        };
        let request = ConsumerCreateRequest {
            stream_name: self.stream.clone(),
            config: convention::subscription_config(
                topic,
                &TopicOptions::default(),
                &self.name,
                from,
            ),
            action: ConsumerAction::Create,
            pedantic: false,
        };
        match self.client.api::<ConsumerInfo>(&endpoint, &request).await {
            // Another reader was faster.
            Err(conflict) if conflict.is_conflict() => Ok(()),
            other => other.map(drop),
        }
    }
}

impl Delivery {
    fn new(client: &Client, message: &Message) -> Result<Self, JetStreamError> {
        let origin = origin_of_delivery(message)?;
        let ack_subject = message.reply().unwrap_or_default().to_owned();
        Ok(Self {
            message: StoredMessage::from_delivery(message, &origin),
            attempts: origin.delivered,
            handle: LeaseHandle::new(client.clone(), ack_subject),
        })
    }

    /// The subscription is past this message. Durable when it returns.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn ack(&self) -> Result<(), LeaseError> {
        self.handle.ack().await
    }

    /// The message is given again, after `delay` or at once.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn nack(&self, delay: Option<Duration>) -> Result<(), LeaseError> {
        self.handle.nack(delay).await
    }
}
