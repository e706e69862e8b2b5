//! One subscription, as publishers see it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use relevo_engine::session::SubscriptionId;
use relevo_engine::subject_tree::SubscriptionKey;
use relevo_protocol::frame::Message;
use tokio::sync::mpsc;

use super::interest::Wish;
use crate::outbound::Outbound;

/// A connection's number, never given twice in the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What others need of a client connection: where its bytes go, and where they leave word of
/// subscriptions that ended by themselves.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ConnectionId,
    pub(crate) outbound: Outbound,
    takes_headers: AtomicBool,
    ended: Mutex<Vec<Ended>>,
}

/// A subscription that has had its last message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) id: SubscriptionId,
    pub(crate) sid: Bytes,
}

/// Where messages of a subscription go.
#[derive(Debug)]
pub(crate) enum Receiver {
    /// A client, under its own name for the subscription.
    Client {
        /// Whose.
        client: Arc<Client>,
        /// The connection's name for it.
        id: SubscriptionId,
        /// The client's name for it.
        sid: Bytes,
    },
    /// A task of this broker; what does not fit in its queue is dropped and counted.
    Inbox(mpsc::Sender<Message>),
    /// The other broker, for its own clients.
    Peer,
}

/// A receiver that wants messages.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) receiver: Receiver,
    /// What it wants.
    wish: Wish,
    /// Its place in the tree, once it is there.
    key: OnceLock<SubscriptionKey>,
    delivered_count: AtomicU64,
    /// Ends after so many messages since it began; 0 is never.
    max_count: AtomicU64,
}

/// Whether one more message may be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    Granted,
    /// Yes, and it is the last one: the caller takes the subscription out.
    Last,
    /// No, it has ended.
    Ended,
}

impl Client {
    pub(crate) fn new(id: ConnectionId, outbound: Outbound) -> Self {
        Self {
            id,
            outbound,
            takes_headers: AtomicBool::new(false),
            ended: Mutex::new(Vec::new()),
        }
    }

    /// Whether the client said that it knows headers; until then messages come without theirs.
    pub(crate) fn takes_headers(&self) -> bool {
        self.takes_headers.load(Ordering::Relaxed)
    }

    pub(crate) fn set_takes_headers(&self, takes: bool) {
        self.takes_headers.store(takes, Ordering::Relaxed);
    }

    /// Leaves word that a subscription has had its last message. Bounded by the number of
    /// subscriptions: each ends once.
    pub(crate) fn note_ended(&self, ended: Ended) {
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(ended);
    }

    /// The subscriptions that ended since the last call.
    pub(crate) fn take_ended(&self) -> Vec<Ended> {
        std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Subscription {
    pub(crate) const fn new(receiver: Receiver, wish: Wish) -> Self {
        Self {
            receiver,
            wish,
            key: OnceLock::new(),
            delivered_count: AtomicU64::new(0),
            max_count: AtomicU64::new(0),
        }
    }

    /// The subject and queue group it wants.
    pub(crate) const fn wish(&self) -> &Wish {
        &self.wish
    }

    /// Its place in the tree; nothing before it is there.
    pub(crate) fn key(&self) -> Option<SubscriptionKey> {
        self.key.get().copied()
    }

    /// Says its place in the tree, once.
    pub(crate) fn set_key(&self, key: SubscriptionKey) {
        let fresh = self.key.set(key).is_ok();
        debug_assert!(fresh, "a subscription is put into the tree once");
    }

    /// Counts one message.
    pub(crate) fn admit(&self) -> Admission {
        let count = self.delivered_count.fetch_add(1, Ordering::SeqCst) + 1;
        match self.max_count.load(Ordering::SeqCst) {
            0 => Admission::Granted,
            max if count < max => Admission::Granted,
            max if count == max => Admission::Last,
            _ => Admission::Ended,
        }
    }

    /// Ends it after `max` messages in all, 1 or more. False when it has had them already: the
    /// caller takes it out.
    ///
    /// Sequentially consistent with [`Self::admit`]: of a publisher that counts the last message and
    /// a client that says at the same time that it is the last, at least one notices.
    pub(crate) fn end_after(&self, max: u64) -> bool {
        self.max_count.store(max, Ordering::SeqCst);
        self.delivered_count.load(Ordering::SeqCst) < max
    }

    /// Whether it stands for clients of the other broker.
    pub(crate) const fn is_peers(&self) -> bool {
        matches!(self.receiver, Receiver::Peer)
    }

    /// Whether it belongs to this connection.
    pub(crate) fn is_of(&self, connection: ConnectionId) -> bool {
        match &self.receiver {
            Receiver::Client { client, .. } => client.id == connection,
            Receiver::Inbox(_) | Receiver::Peer => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_with_an_end_has_exactly_so_many_messages() {
        let subscription = Subscription::new(Receiver::Peer, (Bytes::from_static(b"a"), None));
        assert_eq!(subscription.admit(), Admission::Granted);
        assert!(subscription.end_after(3));
        assert_eq!(subscription.admit(), Admission::Granted);
        assert_eq!(subscription.admit(), Admission::Last);
        assert_eq!(subscription.admit(), Admission::Ended);
        assert!(!subscription.end_after(2));
    }
}
