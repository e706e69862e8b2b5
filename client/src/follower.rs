//! Following a topic across losses of the connection.

use std::time::Duration;

use futures_util::stream::{self, Stream};
use relevo_protocol::convention::topic::{self as convention, TopicOptions};
use relevo_protocol::jetstream::api::{ConsumerAction, ConsumerCreateRequest};
use relevo_protocol::jetstream::consumer::ConsumerInfo;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::name::TopicName;
use relevo_protocol::verb::StartFrom;
use tokio::time::sleep;

use crate::client::Client;
use crate::error::JetStreamError;
use crate::jetstream::{Puller, StoredMessage, origin_of_delivery};
use crate::status::Status;

/// The wait after the first failure to go on.
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// The wait is doubled after each further failure, up to this.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Every message of a topic from some place on, in order, each once.
///
/// When the connection is lost, or the broker forgets the follower, it goes on by itself behind the message that it gave
/// last. It asks again for as long as it is read: until the topic is gone, or the client is closed.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    topic: TopicName,
    /// Where to begin when the consumer has to be made again.
    resume: StartFrom,
    consumer: Option<Consumer>,
    retry_wait: Duration,
    ended: bool,
}

/// A consumer that nobody needs to remember.
#[derive(Debug)]
struct Consumer {
    puller: Puller,
    /// The count of its deliveries so far. One that is not the next one shows a gap.
    deliveries: u64,
}

impl Follower {
    pub(crate) async fn open(
        client: Client,
        topic: TopicName,
        from: StartFrom,
    ) -> Result<Self, JetStreamError> {
        let mut follower = Self {
            client,
            topic,
            resume: from,
            consumer: None,
            retry_wait: RETRY_WAIT,
            ended: false,
        };
        follower.consumer = Some(follower.make_consumer().await?);
        Ok(follower)
    }

    /// The next message, however long it takes to come. After an error, and when the client was closed, there is `None`.
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<StoredMessage, JetStreamError>> {
        while !self.ended {
            let Some(consumer) = &mut self.consumer else {
                if let Err(error) = self.resume().await {
                    self.ended = true;
                    return Some(Err(error));
                }
                continue;
            };
            match consumer.next().await {
                Some(message) => {
                    self.resume = StartFrom::Sequence(message.seq.saturating_add(1));
                    self.retry_wait = RETRY_WAIT;
                    return Some(Ok(message));
                }
                None => {
                    self.consumer = None;
                    self.pause().await;
                }
            }
        }
        None
    }

    /// The messages as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<StoredMessage, JetStreamError>> + Send {
        stream::unfold(self, async |mut follower| {
            follower.next().await.map(|message| (message, follower))
        })
    }

    /// Makes a consumer again, or waits a little. An error is one that does not go away.
    async fn resume(&mut self) -> Result<(), JetStreamError> {
        match self.make_consumer().await {
            Ok(consumer) => self.consumer = Some(consumer),
            Err(_) if self.client.status() == Status::Closed => self.ended = true,
            Err(error) if error.may_go_away() => self.pause().await,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits a little, longer each time until a message comes.
    async fn pause(&mut self) {
        let wait = self.retry_wait;
        self.retry_wait = (wait * 2).min(RETRY_WAIT_MAX);
        sleep(wait).await;
    }

    async fn make_consumer(&mut self) -> Result<Consumer, JetStreamError> {
        let stream = convention::stream_name(&self.topic);
        let request = ConsumerCreateRequest {
            stream_name: stream.clone(),
            config: convention::follower_config(&self.topic, &TopicOptions::default(), self.resume),
            action: ConsumerAction::Create,
            pedantic: false,
        };
        let endpoint = Endpoint::ConsumerCreate {
            stream: stream.clone(),
            consumer: None,
            filter: None,
        };
        let made: ConsumerInfo = self.client.api(&endpoint, &request).await?;
        if self.resume == StartFrom::Last && made.delivered.stream_seq > 0 {
            // What is the last one now must not be another one when the consumer has to be made again.
            self.resume = StartFrom::Sequence(made.delivered.stream_seq + 1);
        }
        let puller = Puller::new(&self.client, stream, made.name).await?;
        Ok(Consumer {
            puller,
            deliveries: 0,
        })
    }
}

impl Consumer {
    /// The next message; `None` when the consumer is of no more use.
    async fn next(&mut self) -> Option<StoredMessage> {
        let message = self.puller.next().await.ok()?;
        let origin = origin_of_delivery(&message).ok()?;
        if origin.consumer_seq != self.deliveries + 1 {
            return None;
        }
        self.deliveries += 1;
        Some(StoredMessage::from_delivery(&message, &origin))
    }
}
