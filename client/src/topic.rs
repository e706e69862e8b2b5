//! Topics: messages that are kept, for everybody to read from where they like.

use relevo_protocol::convention::info::TopicInfo;
use relevo_protocol::convention::topic::{self as convention, TopicOptions};
use relevo_protocol::jetstream::api::Success;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::name::{NameError, StreamName, SubscriptionName, TopicName};
use relevo_protocol::verb::{StartFrom, VERB_MESSAGES_MAX};

use crate::client::Client;
use crate::error::{BadAnswer, JetStreamError};
use crate::follower::Follower;
use crate::jetstream::{Creation, Empty, StoredMessage, read_messages};
use crate::push::{PostOptions, Pushed};
use crate::subscription::Subscription;

/// The subjects of all topics.
const ALL_TOPICS: &str = "$T.>";

impl Client {
    /// The topic of this name, which may or may not exist.
    ///
    /// # Errors
    /// A [`NameError`] when the text is no topic's name.
    pub fn topic(&self, name: &str) -> Result<Topic, NameError> {
        Ok(Topic {
            client: self.clone(),
            name: TopicName::parse(name)?,
        })
    }

    /// All topics, in order of their names.
    ///
    /// # Errors
    /// A [`JetStreamError`].
    pub async fn topics(&self) -> Result<Vec<TopicInfo>, JetStreamError> {
        let streams = self.streams_of(ALL_TOPICS).await?;
        let mut topics: Vec<_> = streams
            .iter()
            .filter_map(TopicInfo::from_jetstream)
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }
}

/// A topic by its name. A clone is the same topic.
#[derive(Clone, Debug)]
pub struct Topic {
    client: Client,
    name: TopicName,
}

impl Topic {
    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// Creates the topic.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_conflict`] holds when the topic is there with other options.
    pub async fn create(&self, options: &TopicOptions) -> Result<Creation, JetStreamError> {
        let config = convention::stream_config(&self.name, options);
        match self.client.create_stream(config).await {
            Err(conflict) if conflict.is_conflict() => {
                let stream = self.client.stream_info(self.stream()).await?;
                let is_same = convention::is_same(&self.name, options, &stream.config);
                if is_same {
                    Ok(Creation::Exists)
                } else {
                    Err(conflict)
                }
            }
            other => other,
        }
    }

    /// Deletes the topic, its messages and its subscriptions.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such topic.
    pub async fn delete(&self) -> Result<(), JetStreamError> {
        let _: Success = self
            .client
            .api(&Endpoint::StreamDelete(self.stream()), &Empty {})
            .await?;
        Ok(())
    }

    /// How the topic stands.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such topic.
    pub async fn info(&self) -> Result<TopicInfo, JetStreamError> {
        let stream = self.client.stream_info(self.stream()).await?;
        TopicInfo::from_jetstream(&stream).ok_or(JetStreamError::BadAnswer(BadAnswer::Json))
    }

    /// Publishes a message. When it returns, the message is as durable as the server promises.
    ///
    /// # Errors
    /// A [`JetStreamError`]. When its [`outcome`](JetStreamError::outcome) is unknown, publish again with the same
    /// [`PostOptions::id`]; without an id that may store the message twice.
    pub async fn publish(
        &self,
        payload: impl AsRef<[u8]> + Send,
        options: &PostOptions,
    ) -> Result<Pushed, JetStreamError> {
        let headers = options.to_headers()?;
        let subject = convention::subject(&self.name);
        let ack = self
            .client
            .stream_publish(&subject, Some(&headers), payload)
            .await?;
        Ok(ack.await?.into())
    }

    /// Up to `max` messages that are there.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such topic.
    pub async fn view(
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

    /// Every message from there on: those that are there, then those that come. Nobody remembers where the follower is.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such topic.
    pub async fn follow(&self, from: StartFrom) -> Result<Follower, JetStreamError> {
        Follower::open(self.client.clone(), self.name.clone(), from).await
    }

    /// Every message that comes from now on.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such topic.
    pub async fn follow_new(&self) -> Result<Follower, JetStreamError> {
        let info = self.info().await?;
        self.follow(StartFrom::Sequence(info.last_seq.saturating_add(1)))
            .await
    }

    /// The durable subscription of this name. When it is new, it begins at `from`; else it goes on where it was.
    ///
    /// # Errors
    /// A [`JetStreamError`]; one for which [`JetStreamError::is_not_found`] holds when there is no such topic.
    pub async fn subscribe(
        &self,
        name: &str,
        from: StartFrom,
    ) -> Result<Subscription, JetStreamError> {
        let name = SubscriptionName::parse(name)?;
        Subscription::open(self.client.clone(), &self.name, name, from).await
    }

    fn stream(&self) -> StreamName {
        convention::stream_name(&self.name)
    }
}
