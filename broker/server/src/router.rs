//! Who subscribes to what, on this broker and on the other, and which shard a subject is work for.
//!
//! Publishers do not ask the tree for each message: a connection remembers the routes that it used
//! last, behind it all connections share those of literal subjects, and only behind that lies the
//! tree. No lock is taken while another is held, and none is held across an await.

pub(crate) mod interest;
pub(crate) mod publisher;
pub(crate) mod route;
pub(crate) mod subscribed;
pub(crate) mod subscription;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use dashmap::DashMap;
use relevo_engine::input::DirectoryChange;
use relevo_engine::route::{DirectoryView, Refusal};
use relevo_engine::subject_tree::{SubjectTree, TreeFull};
use relevo_protocol::subject::{SubjectFilter, SubjectRef};

use interest::Interest;
use route::{Changes, Route};
use subscription::{Receiver, Subscription};

/// Routes that all connections share; when there are more, all are forgotten.
const SHARED_ROUTES_MAX: usize = 65_536;
/// Subjects that are used once, for one answer or one acknowledgement: their routes are not shared.
const USED_ONCE: [&str; 2] = ["_INBOX.", "$JS.ACK."];

/// The subscriptions of all connections.
#[derive(Debug)]
pub(crate) struct Router {
    tree: RwLock<SubjectTree<Arc<Subscription>>>,
    directory: RwLock<DirectoryView>,
    changes: Changes,
    shared: DashMap<Box<[u8]>, Arc<Route>>,
    shared_count: AtomicUsize,
    interest: Interest,
}

impl Router {
    /// `seed` is random, so that clients cannot choose subjects that collide.
    pub(crate) fn new(seed: u64, directory: DirectoryView) -> Self {
        Self {
            tree: RwLock::new(SubjectTree::new(seed)),
            directory: RwLock::new(directory),
            changes: Changes::new(),
            shared: DashMap::new(),
            shared_count: AtomicUsize::new(0),
            interest: Interest::default(),
        }
    }

    /// Begins a subscription.
    pub(crate) fn subscribe(
        &self,
        filter: &SubjectFilter,
        queue: Option<Bytes>,
        receiver: Receiver,
    ) -> Result<Arc<Subscription>, TreeFull> {
        let subject = Bytes::copy_from_slice(filter.as_str().as_bytes());
        let subscription = Arc::new(Subscription::new(receiver, (subject, queue)));
        {
            let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
            subscription.set_key(tree.insert(filter, Arc::clone(&subscription))?);
        }
        self.changed(filter.is_literal(), &subscription);
        if !subscription.is_peers() {
            self.interest.add(subscription.wish().clone());
        }
        Ok(subscription)
    }

    /// Ends a subscription; one that has ended already stays so.
    pub(crate) fn unsubscribe(&self, subscription: &Subscription) {
        let Some(key) = subscription.key() else {
            return;
        };
        let removed = {
            let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
            tree.remove(key)
        };
        if removed.is_none() {
            return;
        }
        let literal = !subscription
            .wish()
            .0
            .iter()
            .any(|byte| matches!(byte, b'*' | b'>'));
        self.changed(literal, subscription);
        if !subscription.is_peers() {
            self.interest.remove(subscription.wish().clone());
        }
    }

    /// The directory says something new about streams.
    pub(crate) fn apply_directory(&self, change: &DirectoryChange) {
        let applied = {
            let mut directory = self
                .directory
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            directory.apply(change)
        };
        self.changes.any();
        if let Err(full) = applied {
            tracing::error!(?change, "show stream: {full}; its messages are not kept");
        }
    }

    /// The answer to a message whose shard cannot be reached.
    pub(crate) fn unavailable(&self, subject: SubjectRef<'_>) -> Option<Refusal> {
        self.directory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .unavailable(subject)
    }

    /// What the clients of this broker want, for the other broker.
    pub(crate) const fn interest(&self) -> &Interest {
        &self.interest
    }

    /// How many subscriptions there are.
    pub(crate) fn subscriptions_count(&self) -> usize {
        self.tree
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub(crate) const fn changes(&self) -> &Changes {
        &self.changes
    }

    fn route(&self, subject: SubjectRef<'_>) -> Arc<Route> {
        let text = subject.as_str();
        let shared = !USED_ONCE.iter().any(|prefix| text.starts_with(prefix));
        if shared {
            let found = self
                .shared
                .get(text.as_bytes())
                .map(|route| Arc::clone(&route));
            if let Some(route) = found
                && self.changes.holds(&route)
            {
                return route;
            }
        }
        let route = Arc::new(self.look_up(subject));
        if shared {
            self.share(text.as_bytes(), Arc::clone(&route));
        }
        route
    }

    fn look_up(&self, subject: SubjectRef<'_>) -> Route {
        let stamp = self.changes.stamp(subject.as_str().as_bytes());
        let mut subscriptions = Vec::new();
        self.tree
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .matches(subject, &mut subscriptions);
        let target = self
            .directory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .target(subject);
        Route::new(stamp, subscriptions, target)
    }

    fn share(&self, subject: &[u8], route: Arc<Route>) {
        if self.shared.insert(subject.into(), route).is_none()
            && self.shared_count.fetch_add(1, Ordering::Relaxed) >= SHARED_ROUTES_MAX
        {
            self.shared_count.store(0, Ordering::Relaxed);
            self.shared.clear();
        }
    }

    fn changed(&self, literal: bool, subscription: &Subscription) {
        if literal {
            self.changes.literal(&subscription.wish().0);
        } else {
            self.changes.any();
        }
    }
}

#[cfg(test)]
mod tests;
