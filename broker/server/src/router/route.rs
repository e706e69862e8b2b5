//! Who gets a message of one subject, found once and kept while nothing changes that could change
//! the answer.
//!
//! A [`Route`] remembers two counters as they stood before it was looked up: one that every wildcard
//! subscription raises, and one of [`STRIPES`] that literal subscriptions raise, chosen by their
//! subject. So the short-lived literal subscriptions of requests do not spoil the routes of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use relevo_engine::route::Target;

use super::subscription::Subscription;

/// Counters that literal subscriptions share.
const STRIPES: usize = 256;
/// Routes that one connection remembers.
const CACHE_SLOTS: usize = 512;

/// Who gets a message of one subject.
#[derive(Debug)]
pub(crate) struct Route {
    stamp: Stamp,
    /// Subscriptions here outside queue groups.
    pub(crate) plain: Box<[Arc<Subscription>]>,
    /// Whether the other broker has some.
    pub(crate) plain_at_peer: bool,
    /// Queue groups, in the order of their names.
    pub(crate) groups: Box<[Group]>,
    /// What the message is besides.
    pub(crate) target: Target,
}

/// A queue group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) queue: Bytes,
    /// Its members here.
    pub(crate) members: Vec<Arc<Subscription>>,
    /// Whether it has members at the other broker.
    pub(crate) at_peer: bool,
}

/// The counters that a route depends on, as they were before it was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    stripe: u16,
    wildcards: u64,
    literals: u64,
}

/// The counters themselves.
#[derive(Debug)]
pub(crate) struct Changes {
    wildcards: AtomicU64,
    literals: Box<[AtomicU64]>,
}

impl Route {
    /// `subscriptions` as the tree found them.
    pub(crate) fn new(stamp: Stamp, subscriptions: Vec<Arc<Subscription>>, target: Target) -> Self {
        let mut plain = Vec::new();
        let mut plain_at_peer = false;
        let mut groups: Vec<Group> = Vec::new();
        for subscription in subscriptions {
            let at_peer = subscription.is_peers();
            match subscription.wish().1.clone() {
                None if at_peer => plain_at_peer = true,
                None => plain.push(subscription),
                Some(queue) => {
                    let index = groups.binary_search_by(|group| group.queue.cmp(&queue));
                    let index = index.unwrap_or_else(|index| {
                        groups.insert(
                            index,
                            Group {
                                queue,
                                members: Vec::new(),
                                at_peer: false,
                            },
                        );
                        index
                    });
                    if at_peer {
                        groups[index].at_peer = true;
                    } else {
                        groups[index].members.push(subscription);
                    }
                }
            }
        }
        Self {
            stamp,
            plain: plain.into(),
            plain_at_peer,
            groups: groups.into(),
            target,
        }
    }
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            wildcards: AtomicU64::new(0),
            literals: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// To be taken before a route is looked up.
    pub(crate) fn stamp(&self, subject: &[u8]) -> Stamp {
        let stripe = stripe(subject);
        Stamp {
            stripe,
            wildcards: self.wildcards.load(Ordering::Acquire),
            literals: self.literals[usize::from(stripe)].load(Ordering::Acquire),
        }
    }

    /// Whether a route still holds.
    pub(crate) fn holds(&self, route: &Route) -> bool {
        let Stamp {
            stripe,
            wildcards,
            literals,
        } = route.stamp;
        self.wildcards.load(Ordering::Acquire) == wildcards
            && self.literals[usize::from(stripe)].load(Ordering::Acquire) == literals
    }

    /// To be called after a subscription with a literal subject came or went.
    pub(crate) fn literal(&self, subject: &[u8]) {
        self.literals[usize::from(stripe(subject))].fetch_add(1, Ordering::Release);
    }

    /// To be called after anything else changed.
    pub(crate) fn any(&self) {
        self.wildcards.fetch_add(1, Ordering::Release);
    }
}

/// A route and its subject.
type Cached = (Box<[u8]>, Arc<Route>);

/// The routes that one connection used last: one slot a hash, the newest stays.
#[derive(Debug, Default)]
pub(crate) struct RouteCache {
    slots: Vec<Option<Cached>>,
}

impl RouteCache {
    /// The route of `subject`: remembered, or looked up.
    pub(crate) fn get_or_insert(
        &mut self,
        subject: &[u8],
        changes: &Changes,
        look_up: impl FnOnce() -> Arc<Route>,
    ) -> &Route {
        if self.slots.is_empty() {
            self.slots.resize_with(CACHE_SLOTS, || None);
        }
        let slot = &mut self.slots[slot(subject)];
        let holds = |(found, route): &Cached| found.as_ref() == subject && changes.holds(route);
        if !slot.as_ref().is_some_and(holds) {
            *slot = None;
        }
        &slot.get_or_insert_with(|| (subject.into(), look_up())).1
    }
}

fn stripe(subject: &[u8]) -> u16 {
    u16::try_from(mix(subject) >> 32 & (STRIPES as u64 - 1)).unwrap_or(0)
}

fn slot(subject: &[u8]) -> usize {
    usize::try_from(mix(subject) & (CACHE_SLOTS as u64 - 1)).unwrap_or(0)
}

/// Spreads subjects over slots and stripes. Who makes subjects collide slows down only itself: the
/// caches are per connection, and a shared stripe costs a look-up.
fn mix(subject: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = subject.len() as u64;
    let (words, rest) = subject.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
        hash ^= hash >> 29;
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    hash ^ hash >> 32
}
