//! A subscription and what came for it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use crate::client::Client;
use crate::feed::{Feed, FeedEnd};
use crate::message::Message;

/// A subscription: the messages that come for it, as a stream or by [`Subscriber::next`]. Dropped, it is unsubscribed.
///
/// What is not taken waits, up to
/// [`ConnectOptions::subscription_capacity`](crate::ConnectOptions::subscription_capacity); over that the newest messages
/// are dropped and counted by [`Subscriber::lagged`].
#[derive(Debug)]
pub struct Subscriber {
    client: Client,
    sid: u64,
    feed: Arc<Feed>,
    /// Taken from the feed in one go.
    taken: VecDeque<Message>,
}

impl Subscriber {
    pub(crate) fn new(client: Client, sid: u64, feed: Arc<Feed>) -> Self {
        Self {
            client,
            sid,
            feed,
            taken: VecDeque::new(),
        }
    }

    /// The next message, as soon as there is one. `None` when the subscription has ended: by
    /// [`Subscriber::unsubscribe_after`], or because the client was closed.
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Message> {
        std::future::poll_fn(|context| self.poll_message(context)).await
    }

    /// The next message, if it is there.
    pub fn try_next(&mut self) -> Option<Message> {
        if self.taken.is_empty() {
            self.feed.take_now(&mut self.taken);
        }
        self.taken.pop_front()
    }

    /// How many messages were dropped since this was asked last, because they were not taken in time.
    pub fn lagged(&mut self) -> u64 {
        self.feed.take_dropped()
    }

    /// The subscription's number, as in [`Event::Lagged`](crate::Event::Lagged).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.sid
    }

    /// Ends the subscription once `count` messages came in all, those that came already counted in.
    pub fn unsubscribe_after(&mut self, count: u64) {
        let shared = self.client.shared();
        if self.feed.end_after(count) {
            shared.unsubscribe(self.sid);
        } else {
            shared.outgoing.unsubscribe_after(self.sid, count);
        }
    }

    /// Ends the subscription; what came already can still be taken.
    pub fn unsubscribe(&mut self) {
        self.client.shared().unsubscribe(self.sid);
        self.feed.end(FeedEnd::Done);
    }

    fn poll_message(&mut self, context: &Context<'_>) -> Poll<Option<Message>> {
        if self.taken.is_empty() && ready!(self.feed.poll_take(context, &mut self.taken)).is_err() {
            return Poll::Ready(None);
        }
        Poll::Ready(self.taken.pop_front())
    }
}

impl Stream for Subscriber {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_message(context)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.client.shared().unsubscribe(self.sid);
        self.feed.end(FeedEnd::Done);
    }
}
