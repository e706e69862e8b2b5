//! A subscription in the hands of whoever began it.

use std::sync::Arc;

use bytes::Bytes;
use relevo_engine::subject_tree::TreeFull;
use relevo_protocol::subject::SubjectFilter;

use super::publisher::Exchange;
use super::subscription::{Receiver, Subscription};

/// A subscription that ends when this is dropped, however its owner ends.
#[derive(Debug)]
pub(crate) struct Subscribed {
    exchange: Arc<Exchange>,
    subscription: Arc<Subscription>,
}

impl Subscribed {
    /// Begins a subscription.
    pub(crate) fn begin(
        exchange: &Arc<Exchange>,
        filter: &SubjectFilter,
        queue: Option<Bytes>,
        receiver: Receiver,
    ) -> Result<Self, TreeFull> {
        let subscription = exchange.router.subscribe(filter, queue, receiver)?;
        Ok(Self {
            exchange: Arc::clone(exchange),
            subscription,
        })
    }

    /// As publishers see it.
    pub(crate) fn subscription(&self) -> &Subscription {
        &self.subscription
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.exchange.router.unsubscribe(&self.subscription);
    }
}
