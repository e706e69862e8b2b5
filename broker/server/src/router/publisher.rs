//! One task's way to publish: routes that it used last, and what it owes at the end of its burst.
//!
//! Frames go straight into each subscriber's buffer. Everything that would cost a system call, a
//! shared lock or a wait is collected, and settled once a burst by [`Publisher::settle`], which
//! never waits, and [`Publisher::hand_over`], which may.

use std::cell::OnceCell;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use relevo_engine::route::{Refusal, Target};
use relevo_protocol::encode;
use relevo_protocol::frame::{Frame, Message, Routed, Work};
use relevo_protocol::identity::ShardId;
use relevo_protocol::subject::SubjectRef;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use super::Router;
use super::route::{Group, Route, RouteCache};
use super::subscription::{Admission, Client, ConnectionId, Ended, Receiver, Subscription};
use crate::board::Board;
use crate::counters::{Counters, Tally};
use crate::outbound::Pushed;
use crate::peer::lane::{LaneQueue, Queued};
use crate::peer::routed::join_subjects;
use crate::shards::{Place, Shards};

/// The longest that one burst of a client's waits for subscribers that are behind.
const HOLD_BACK_MAX: Duration = Duration::from_millis(10);
/// Most clients that one burst waits for; the rest are waited for by the next.
const BEHIND_MAX: usize = 64;

/// What all publishers share.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) router: Router,
    pub(crate) shards: Shards,
    /// The way to the other broker's clients and shards.
    pub(crate) client_lane: LaneQueue,
    pub(crate) counters: Counters,
    pub(crate) board: Board,
}

/// A message, as slices of whatever buffer it was read into.
#[derive(Debug)]
pub(crate) struct Published<'a> {
    /// What it is routed by.
    pub(crate) subject: SubjectRef<'a>,
    /// What its receivers see as subject.
    pub(crate) shown: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
    owned: OnceCell<Message>,
}

/// Who may get a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    /// Everybody who wants it, on both brokers, except the connection that said it wants no echo.
    Everybody {
        /// The connection without echo.
        except: Option<ConnectionId>,
    },
    /// Those here whom the other broker chose.
    Here {
        /// Subscribers outside queue groups.
        plain: bool,
        /// Queue groups of which one member gets it.
        queues: &'a [Bytes],
    },
}

/// One task's publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    exchange: Arc<Exchange>,
    cache: RouteCache,
    debts: Debts,
}

/// What is settled at the end of a burst.
#[derive(Debug)]
struct Debts {
    rng: fastrand::Rng,
    /// Clients whose flush this task owes.
    flushes: Vec<Arc<Client>>,
    /// Clients that do not keep up with what this task publishes.
    behind: Vec<Arc<Client>>,
    /// Subscriptions that have had their last message.
    ended: Vec<Arc<Subscription>>,
    /// Encoded frames for the other broker.
    to_peer: Vec<u8>,
    /// Work for the shards that are led here, by shard.
    work: Vec<Vec<Work>>,
    /// Bytes of the messages in it.
    work_bytes: usize,
    tally: Tally,
}

impl<'a> Published<'a> {
    /// A message that a client sent.
    pub(crate) fn new(
        subject: SubjectRef<'a>,
        reply: Option<&'a [u8]>,
        headers: &'a [u8],
        payload: &'a [u8],
    ) -> Self {
        let shown = subject.as_str().as_bytes();
        Self {
            subject,
            shown,
            reply,
            headers,
            payload,
            owned: OnceCell::new(),
        }
    }

    /// A message that this broker or the other one made; nothing when its subject is none.
    pub(crate) fn of(message: &'a Message, shown: Option<&'a Bytes>) -> Option<Self> {
        let subject = SubjectRef::parse(&message.subject).ok()?;
        let owned = OnceCell::new();
        let _ = owned.set(message.clone());
        Some(Self {
            subject,
            shown: shown.unwrap_or(&message.subject),
            reply: message.reply.as_deref(),
            headers: &message.headers,
            payload: &message.payload,
            owned,
        })
    }

    fn len(&self) -> u64 {
        (self.headers.len() + self.payload.len()) as u64
    }

    /// A copy that owns its bytes, in one allocation; made once.
    fn owned(&self) -> Message {
        self.owned.get_or_init(|| self.copy()).clone()
    }

    fn copy(&self) -> Message {
        let subject = self.subject.as_str().as_bytes();
        let reply = self.reply.unwrap_or_default();
        let len = subject.len() + reply.len() + self.headers.len() + self.payload.len();
        let mut bytes = BytesMut::with_capacity(len);
        for part in [subject, reply, self.headers, self.payload] {
            bytes.extend_from_slice(part);
        }
        let mut bytes = bytes.freeze();
        let subject = bytes.split_to(subject.len());
        let reply_bytes = bytes.split_to(reply.len());
        let headers = bytes.split_to(self.headers.len());
        Message {
            subject,
            reply: self.reply.map(|_| reply_bytes),
            headers,
            payload: bytes,
        }
    }
}

impl Publisher {
    /// `seed` is random: it chooses among the members of queue groups.
    pub(crate) fn new(exchange: Arc<Exchange>, seed: u64) -> Self {
        let shards_count = exchange.shards.count();
        let debts = Debts {
            rng: fastrand::Rng::with_seed(seed),
            flushes: Vec::new(),
            behind: Vec::new(),
            ended: Vec::new(),
            to_peer: Vec::new(),
            work: (0..shards_count).map(|_| Vec::new()).collect(),
            work_bytes: 0,
            tally: Tally::default(),
        };
        Self {
            exchange,
            cache: RouteCache::default(),
            debts,
        }
    }

    /// What all publishers share.
    pub(crate) const fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// Publishes what a client sent: to subscribers on both brokers and to the shard that it is work
    /// for. False when nobody at all takes it.
    pub(crate) fn publish(
        &mut self,
        message: &Published<'_>,
        except: Option<ConnectionId>,
    ) -> bool {
        let Self {
            exchange,
            cache,
            debts,
        } = self;
        debts.tally.in_msgs += 1;
        debts.tally.in_bytes += message.len();
        let route = route(exchange, cache, message.subject);
        let taken = debts.deliver(exchange, route, message, Scope::Everybody { except });
        let refusal = match &route.target {
            Target::None => return taken,
            Target::Refused(refusal) => Some(refusal.clone()),
            Target::Stream(shard) => debts.work(exchange, *shard, message, Work::Publish),
            Target::Api(shard) => debts.work(exchange, *shard, message, Work::Api),
            Target::Ack(shard) => debts.work(exchange, *shard, message, Work::Ack),
        };
        if let (Some(refusal), Some(reply)) = (refusal, message.reply) {
            self.answer(reply, refusal);
        }
        true
    }

    /// Delivers what is no work for a shard: answers, deliveries, messages that the other broker
    /// routed. False when nobody takes it.
    pub(crate) fn deliver(&mut self, message: &Published<'_>, scope: Scope<'_>) -> bool {
        let Self {
            exchange,
            cache,
            debts,
        } = self;
        let route = route(exchange, cache, message.subject);
        debts.deliver(exchange, route, message, scope)
    }

    /// Delivers an answer made on the spot to a client's reply subject.
    pub(crate) fn answer(&mut self, reply: &[u8], refusal: Refusal) {
        let Ok(subject) = SubjectRef::parse(reply) else {
            return;
        };
        let Refusal { headers, payload } = refusal;
        let answer = Published::new(subject, None, &headers, &payload);
        self.deliver(&answer, Scope::Everybody { except: None });
    }

    /// The caller has pushed frames of its own to `client` and owes a flush.
    pub(crate) fn owe_flush(&mut self, client: &Arc<Client>) {
        self.debts.flushes.push(Arc::clone(client));
    }

    /// Gives work to a shard's leader on behalf of the other broker.
    pub(crate) fn give_work(&mut self, shard: ShardId, work: Work) {
        if let Some(batch) = self.debts.work.get_mut(usize::from(shard.0)) {
            batch.push(work);
        }
    }

    /// Sends work to a shard's leader at the other broker.
    pub(crate) fn send_work(&mut self, shard: ShardId, work: Work) {
        Frame::Work { shard, work }.encode(&mut self.debts.to_peer);
    }

    /// Bytes that wait for [`Self::hand_over`].
    pub(crate) const fn collected_bytes(&self) -> usize {
        self.debts.work_bytes + self.debts.to_peer.len()
    }

    /// Settles everything that needs no waiting. Call before every await.
    pub(crate) fn settle(&mut self) {
        let Self {
            exchange, debts, ..
        } = self;
        for subscription in debts.ended.drain(..) {
            exchange.router.unsubscribe(&subscription);
        }
        debts.behind.clear();
        for client in debts.flushes.drain(..) {
            client.outbound.flush();
            if debts.behind.len() < BEHIND_MAX && client.outbound.is_behind() {
                debts.behind.push(client);
            }
        }
        if !debts.to_peer.is_empty() {
            if exchange.client_lane.push(&debts.to_peer) == Queued::Full {
                debts.tally.dropped_msgs += 1;
            }
            debts.to_peer.clear();
            debts.to_peer.shrink_to(KEPT_CAPACITY_MAX);
        }
        exchange.counters.add(&mut debts.tally);
    }

    /// Holds a client's publishing back while its subscribers are behind, at most [`HOLD_BACK_MAX`] a
    /// burst: one that is merely not as fast catches up, one that takes nothing is cut off all the
    /// same. nats-server stalls fast producers for as long (`client.go`, `stallTotalAllowed`).
    pub(crate) async fn hold_back(&mut self) {
        if self.debts.behind.is_empty() {
            return;
        }
        let behind = mem::take(&mut self.debts.behind);
        let all_caught_up = async {
            for client in &behind {
                client.outbound.caught_up().await;
            }
        };
        // Who has not caught up by then has had its chance.
        let _ = timeout(HOLD_BACK_MAX, all_caught_up).await;
    }

    /// Hands collected work to its shards, and waits while a shard or the link has enough to do.
    pub(crate) async fn hand_over(&mut self) {
        let sent_to_peer = !self.debts.to_peer.is_empty();
        self.settle();
        self.debts.work_bytes = 0;
        for (shard, batch) in self.debts.work.iter_mut().enumerate() {
            if batch.is_empty() {
                continue;
            }
            let shard = ShardId(u16::try_from(shard).unwrap_or(u16::MAX));
            if let Some(mailbox) = self.exchange.shards.mailbox(shard) {
                // A shard's task ends only when the broker stops.
                let _ = mailbox.work.send(mem::take(batch)).await;
            }
        }
        if sent_to_peer {
            self.exchange.client_lane.room().await;
        }
    }
}

fn route<'a>(exchange: &Exchange, cache: &'a mut RouteCache, subject: SubjectRef<'_>) -> &'a Route {
    let text = subject.as_str().as_bytes();
    cache.get_or_insert(text, exchange.router.changes(), || {
        exchange.router.route(subject)
    })
}

impl Debts {
    fn deliver(
        &mut self,
        exchange: &Exchange,
        route: &Route,
        message: &Published<'_>,
        scope: Scope<'_>,
    ) -> bool {
        let (except, plain) = match scope {
            Scope::Everybody { except } => (except, true),
            Scope::Here { plain, .. } => (None, plain),
        };
        let mut taken = false;
        if plain {
            for subscription in &route.plain {
                if except.is_none_or(|connection| !subscription.is_of(connection)) {
                    taken |= self.give(subscription, message);
                }
            }
        }
        let mut queues_at_peer = Vec::new();
        for group in &route.groups {
            let wanted = match scope {
                Scope::Everybody { .. } => true,
                Scope::Here { queues, .. } => queues.contains(&group.queue),
            };
            if wanted && self.give_one(group, message, except) {
                taken = true;
            } else if group.at_peer && matches!(scope, Scope::Everybody { .. }) {
                queues_at_peer.push(group.queue.clone());
            }
        }
        let plain_at_peer = route.plain_at_peer && matches!(scope, Scope::Everybody { .. });
        if (plain_at_peer || !queues_at_peer.is_empty()) && exchange.client_lane.is_open() {
            self.route_to_peer(message, plain_at_peer, &queues_at_peer);
            taken = true;
        }
        taken
    }

    /// Gives the message to one member of a group, chosen at random; to another one when that takes
    /// nothing any more.
    fn give_one(
        &mut self,
        group: &Group,
        message: &Published<'_>,
        except: Option<ConnectionId>,
    ) -> bool {
        let count = group.members.len();
        if count == 0 {
            return false;
        }
        let first = self.rng.usize(..count);
        let (before, after) = group.members.split_at(first);
        after.iter().chain(before).any(|member| {
            except.is_none_or(|connection| !member.is_of(connection)) && self.give(member, message)
        })
    }

    fn give(&mut self, subscription: &Arc<Subscription>, message: &Published<'_>) -> bool {
        let admission = subscription.admit();
        if admission == Admission::Ended {
            return false;
        }
        if admission == Admission::Last {
            self.ended.push(Arc::clone(subscription));
        }
        let taken = match &subscription.receiver {
            Receiver::Client { client, id, sid } => {
                if admission == Admission::Last {
                    client.note_ended(Ended {
                        id: *id,
                        sid: sid.clone(),
                    });
                }
                self.push(client, sid, message)
            }
            Receiver::Inbox(inbox) => match inbox.try_send(message.owned()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    self.tally.dropped_msgs += 1;
                    false
                }
                Err(TrySendError::Closed(_)) => false,
            },
            Receiver::Peer => false,
        };
        if taken {
            self.tally.out_msgs += 1;
            self.tally.out_bytes += message.len();
        }
        taken
    }

    fn push(&mut self, client: &Arc<Client>, sid: &[u8], message: &Published<'_>) -> bool {
        let headers = if client.takes_headers() {
            message.headers
        } else {
            &[]
        };
        let Published {
            shown,
            reply,
            payload,
            ..
        } = message;
        let reply_len = reply.map_or(0, <[u8]>::len);
        let len = encode::msg_len_max(
            shown.len(),
            sid.len(),
            reply_len,
            headers.len(),
            payload.len(),
        );
        let pushed = client.outbound.push(len, |out| {
            encode::msg(out, shown, sid, *reply, headers, payload)
        });
        match pushed {
            Pushed::Queued => true,
            Pushed::FlushOwed => {
                self.flushes.push(Arc::clone(client));
                true
            }
            Pushed::Refused => false,
            Pushed::CutOff => {
                self.tally.slow_consumers += 1;
                false
            }
        }
    }

    fn route_to_peer(&mut self, message: &Published<'_>, plain: bool, queues: &[Bytes]) {
        let mut parts = queues.chunks(ROUTED_QUEUES_MAX);
        let mut route = |plain: bool, queues: &[Bytes]| {
            let message = join_subjects(message.owned(), message.shown);
            let routed = Routed {
                message,
                plain,
                queues: queues.to_vec(),
            };
            Frame::Routed(routed).encode(&mut self.to_peer);
        };
        route(plain, parts.next().unwrap_or_default());
        parts.for_each(|queues| route(false, queues));
        self.tally.routed_msgs += 1;
    }

    /// Gives work to its shard's leader; the refusal when that is away.
    fn work(
        &mut self,
        exchange: &Exchange,
        shard: ShardId,
        message: &Published<'_>,
        work: impl FnOnce(Message) -> Work,
    ) -> Option<Refusal> {
        match exchange.shards.place(shard) {
            Place::Here => {
                self.work_bytes += message.headers.len() + message.payload.len();
                self.work
                    .get_mut(usize::from(shard.0))?
                    .push(work(message.owned()));
                None
            }
            Place::Peer if exchange.client_lane.is_open() => {
                let work = work(message.owned());
                Frame::Work { shard, work }.encode(&mut self.to_peer);
                None
            }
            Place::Peer | Place::Unknown => {
                self.tally.unavailable_requests += 1;
                exchange.router.unavailable(message.subject)
            }
        }
    }
}

/// Queue groups that one frame names: with names of the greatest length the frame stays below its
/// limit beside the longest message.
const ROUTED_QUEUES_MAX: usize = 256;
/// Emptied buffers above this many bytes are given back to the allocator.
const KEPT_CAPACITY_MAX: usize = 256 * 1024;
