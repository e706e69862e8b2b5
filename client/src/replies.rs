//! Any number of answers to one request.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::client::Client;
use crate::error::{PublishError, RequestError};
use crate::feed::{Feed, FeedEnd};
use crate::message::Message;
use crate::outgoing::Frame;
use crate::pending::{Pending, Token, Waiter};

/// A reply subject of its own and the answers that came to it. Ends with the connection; dropped, it is forgotten.
#[derive(Debug)]
pub(crate) struct Replies {
    client: Client,
    token: Token,
    feed: Arc<Feed>,
    taken: VecDeque<Message>,
}

impl Replies {
    /// `None` when too many wait already.
    pub(crate) fn new(client: Client) -> Option<Self> {
        let shared = client.shared();
        let feed = Arc::new(Feed::new(shared.options.feed_limits));
        let token = shared.pending.insert(Waiter::Many(Arc::clone(&feed)))?;
        Some(Self {
            client,
            token,
            feed,
            taken: VecDeque::new(),
        })
    }

    /// Publishes a request that is answered here.
    pub(crate) async fn ask(&self, subject: &str, payload: &[u8]) -> Result<(), PublishError> {
        let shared = self.client.shared();
        let reply = self.pending().reply_subject(self.token);
        let frame = Frame {
            subject: subject.as_bytes(),
            reply: Some(reply.as_bytes()),
            headers: &[],
            payload,
        };
        shared
            .outgoing
            .publish(frame, || Instant::now() + shared.options.send_timeout)
            .await
    }

    /// The next answer.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Result<Message, RequestError> {
        loop {
            if let Some(message) = self.taken.pop_front() {
                return Ok(message);
            }
            let Self { feed, taken, .. } = self;
            let take = std::future::poll_fn(|context| feed.poll_take(context, taken));
            match timeout_at(deadline, take).await {
                Ok(Ok(())) => {}
                Ok(Err(FeedEnd::ConnectionLost | FeedEnd::Done)) => {
                    return Err(RequestError::ConnectionLost);
                }
                Err(_) => return Err(RequestError::TimedOut),
            }
        }
    }

    fn pending(&self) -> &Pending {
        &self.client.shared().pending
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.pending().remove(self.token);
    }
}
