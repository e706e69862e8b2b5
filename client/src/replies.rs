//! Any number of answers to requests.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use relevo_protocol::limits::PAYLOAD_LEN_MAX;
use relevo_protocol::verb::VERB_MESSAGES_MAX;
use tokio::time::{Instant, timeout_at};

use crate::client::Client;
use crate::error::{PublishError, RequestError};
use crate::feed::{Feed, FeedEnd, FeedLimits};
use crate::inbox::new_inbox;
use crate::message::Message;
use crate::outgoing::{Frame, Interest, Lives};

/// How much may wait to be taken. Twice what is asked for at once, so that nothing is dropped.
const LIMITS: FeedLimits = FeedLimits {
    messages_max: 2 * VERB_MESSAGES_MAX as usize,
    bytes_max: 4 * ASKED_BYTES_MAX as usize,
};

/// How many bytes of messages are asked for at once: the largest message there can be, with room for its subjects.
pub(crate) const ASKED_BYTES_MAX: u64 = PAYLOAD_LEN_MAX as u64 + 64 * 1024;

/// A reply subject of its own and the messages that come to it. A subscription of its own is needed: messages of a stream
/// arrive with the subject that they were published on. It ends with the connection; dropped, it is unsubscribed.
#[derive(Debug)]
pub(crate) struct Replies {
    client: Client,
    sid: u64,
    inbox: String,
    feed: Arc<Feed>,
    taken: VecDeque<Message>,
}

impl Replies {
    pub(crate) async fn new(client: Client) -> Result<Self, PublishError> {
        let (sid, feed) = client.shared().new_feed(LIMITS);
        let replies = Self {
            client,
            sid,
            inbox: new_inbox(),
            feed,
            taken: VecDeque::new(),
        };
        let interest = Interest {
            filter: replies.inbox.clone(),
            group: None,
            received_max: None,
            feed: Some(Arc::clone(&replies.feed)),
            received_before: 0,
            lives: Lives::WithItsConnection,
        };
        let shared = replies.client.shared();
        shared
            .outgoing
            .subscribe(sid, interest, Instant::now() + shared.options.send_timeout)
            .await?;
        Ok(replies)
    }

    /// Publishes a request that is answered here.
    pub(crate) async fn ask(&self, subject: &str, payload: &[u8]) -> Result<(), PublishError> {
        self.ask_with_headers(subject, &Bytes::new(), payload).await
    }

    /// [`Self::ask`] with a header block, which may be empty.
    pub(crate) async fn ask_with_headers(
        &self,
        subject: &str,
        headers: &Bytes,
        payload: &[u8],
    ) -> Result<(), PublishError> {
        let shared = self.client.shared();
        let reply = Some(self.inbox.as_bytes());
        let frame = Frame {
            subject: subject.as_bytes(),
            reply,
            headers,
            payload,
        };
        shared
            .outgoing
            .publish_for(
                self.sid,
                frame,
                Instant::now() + shared.options.send_timeout,
            )
            .await
    }

    /// The next answer. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Result<Message, RequestError> {
        if let Some(message) = self.taken.pop_front() {
            return Ok(message);
        }
        let Self { feed, taken, .. } = self;
        let take = std::future::poll_fn(|context| feed.poll_take(context, taken));
        match timeout_at(deadline, take).await {
            Ok(Ok(())) => self.taken.pop_front().ok_or(RequestError::TimedOut),
            Ok(Err(FeedEnd::ConnectionLost | FeedEnd::Done)) => Err(RequestError::ConnectionLost),
            Err(_) => Err(RequestError::TimedOut),
        }
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.client.shared().unsubscribe(self.sid);
    }
}
