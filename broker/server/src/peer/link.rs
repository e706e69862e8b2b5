//! The owner of the link: makes contact, carries out what the engine's [`LinkEnd`] decides, and
//! tells the shards.
//!
//! It owns the register's value on disk. Nothing else of the broker dials, greets or writes it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relevo_engine::input::Assignment;
use relevo_engine::link::{CloseReason, LinkEffect, LinkEnd, LinkInput};
use relevo_protocol::frame::{Frame, Hello, Lane};
use relevo_protocol::identity::ShardId;
use relevo_protocol::name::MemberName;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::client_lane::ClientLane;
use super::contact::{Arrival, ContactError, Halves, Lanes, dial};
use super::frames::{FrameReader, LaneError};
use super::lane::LaneQueue;
use super::writer::write_lane;
use crate::board::LinkStatus;
use crate::config::PeerAddress;
use crate::counters;
use crate::fatal;
use crate::register::Register;
use crate::router::publisher::Exchange;
use crate::shards::Event;

/// How long after a lost link the next attempt is made; doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Doublings that take the pause to its longest.
const RETRY_DOUBLINGS_MAX: u32 = 5;
/// The pause after the two have found that they must not work together.
const RETRY_REFUSED: Duration = Duration::from_secs(5);

/// The owner of the link.
#[derive(Debug)]
pub(crate) struct LinkOwner {
    pub(crate) member: MemberName,
    pub(crate) end: LinkEnd,
    pub(crate) register: Register,
    pub(crate) address: PeerAddress,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) replication_lane: Arc<LaneQueue>,
    pub(crate) hello: watch::Sender<Hello>,
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    pub(crate) completions: mpsc::Receiver<ShardId>,
    pub(crate) stop: CancellationToken,
    pub(crate) contact: ContactState,
}

/// What is known about making contact.
#[derive(Debug, Default)]
pub(crate) struct ContactState {
    halves: Halves,
    pause: Option<Duration>,
    /// The other broker's name sorts before this one's: it dials.
    is_dialled: bool,
    /// The last thing that was said in the log, so that it is said once.
    told: Option<String>,
    links_count: u64,
    /// Links in a row that did not come up.
    failures_count: u32,
}

/// Why a link ended.
#[derive(Debug)]
enum LinkLoss {
    /// The broker stops.
    Stopped,
    /// One of its lanes.
    Lane(Lane, LaneError),
    /// The engine's decision.
    Closed(CloseReason),
    /// The other broker came with a new link: this one is dead.
    Replaced(Box<Lanes>),
    /// The cluster has another number of shards than this broker has opened.
    ShardCount {
        /// The cluster's.
        agreed: usize,
    },
}

impl LinkOwner {
    /// Keeps the link until the broker stops.
    pub(crate) async fn run(mut self) {
        let mut next = None;
        loop {
            let lanes = match next.take() {
                Some(lanes) => lanes,
                None => match self.make_contact().await {
                    Some(lanes) => lanes,
                    None => return,
                },
            };
            let loss = self.keep(lanes).await;
            let failures = self.contact.failures_count.min(RETRY_DOUBLINGS_MAX);
            self.contact.pause = Some((RETRY_MIN * (1 << failures)).min(RETRY_MAX));
            self.contact.failures_count += 1;
            match loss {
                LinkLoss::Stopped => return,
                LinkLoss::Replaced(lanes) => next = Some(*lanes),
                LinkLoss::Lane(lane, error) => {
                    self.say(format!(
                        "link to the other broker is lost ({lane:?} lane): {error}"
                    ));
                }
                LinkLoss::Closed(CloseReason::Unexpected) => {
                    self.say(
                        "link to the other broker is closed: it sent what does not belong there"
                            .to_owned(),
                    );
                }
                LinkLoss::Closed(CloseReason::Refused(refusal)) => {
                    self.refuse(format!("the brokers must not work together: {refusal}"));
                }
                LinkLoss::Closed(CloseReason::Version(version)) => {
                    self.refuse(format!(
                        "the other broker speaks version {version} of the link; run the same relevo on both"
                    ));
                }
                LinkLoss::Closed(CloseReason::Register) => {
                    self.refuse(
                        "the other broker's register cannot be read; run the same relevo on both"
                            .to_owned(),
                    );
                }
                LinkLoss::ShardCount { agreed } => {
                    self.refuse(format!(
                        "the cluster has {} data shards, this broker was started with {}; start it again",
                        agreed.saturating_sub(1),
                        self.exchange.shards.count().saturating_sub(1)
                    ));
                }
            }
        }
    }

    /// Waits for the two lanes of a link; nothing when the broker stops.
    async fn make_contact(&mut self) -> Option<Lanes> {
        self.contact.is_dialled |= self.end.value().is_some_and(|value| {
            let first = value
                .members
                .as_slice()
                .iter()
                .map(|member| member.name.as_str())
                .min();
            first.is_some_and(|first| first < self.member.as_str())
        });
        let mut pause = self.contact.pause.take().unwrap_or(Duration::ZERO);
        let mut next_dial = Instant::now() + pause;
        loop {
            let due = async {
                if self.contact.is_dialled {
                    std::future::pending().await
                } else {
                    sleep_until(next_dial).await;
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                arrival = self.arrivals.recv() => match arrival? {
                    Arrival::Half(half) => if let Some(lanes) = self.contact.halves.add(*half) {
                        return Some(lanes);
                    },
                    Arrival::Knock => if pause < RETRY_REFUSED {
                        next_dial = Instant::now();
                    },
                },
                () = due => {
                    let hello = self.end.hello(Lane::Replication);
                    let dialled = tokio::select! {
                        () = self.stop.cancelled() => return None,
                        dialled = dial(&self.address, &hello) => dialled,
                    };
                    match dialled {
                        Ok(lanes) => return Some(lanes),
                        Err(ContactError::IsToDial(_)) => self.contact.is_dialled = true,
                        Err(error) => {
                            self.say(format!("{error}; trying on"));
                            pause = (pause * 2).clamp(RETRY_MIN, RETRY_MAX);
                            next_dial = Instant::now() + pause;
                        }
                    }
                }
            }
        }
    }

    /// Works with a link until it is lost, and leaves no trace of it.
    async fn keep(&mut self, lanes: Lanes) -> LinkLoss {
        self.contact.links_count += 1;
        let link = self.contact.links_count;
        let Lanes {
            replication,
            client,
        } = lanes;
        self.replication_lane.open(link);
        let mut tasks = JoinSet::new();
        let lane = Arc::clone(&self.replication_lane);
        tasks.spawn(async move {
            let written = write_lane(replication.writer, &lane, None).await;
            (
                Lane::Replication,
                written.map_or_else(LaneError::Io, |()| LaneError::Closed),
            )
        });
        let mut link = Link {
            number: link,
            reader: replication.reader,
            client: Some((client.reader, client.writer)),
            client_boot: client.hello.boot,
            tasks,
        };
        let greeting = [
            LinkInput::Connected,
            LinkInput::Frame(Box::new(Frame::Hello(replication.hello))),
        ];
        let loss = match self.advance(&mut link, greeting).await {
            Err(loss) => loss,
            Ok(()) => self.serve(&mut link).await,
        };
        link.tasks.shutdown().await;
        if self
            .advance(&mut link, [LinkInput::Disconnected])
            .await
            .is_err()
        {
            tracing::debug!("link end had more to say after it was lost");
        }
        self.replication_lane.close();
        loss
    }

    async fn serve(&mut self, link: &mut Link) -> LinkLoss {
        loop {
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled() => return LinkLoss::Stopped,
                Some(ended) = link.tasks.join_next() => return match ended {
                    Ok((lane, error)) => LinkLoss::Lane(lane, error),
                    Err(error) => {
                        tracing::error!("link lane: {error}");
                        LinkLoss::Lane(Lane::Client, LaneError::Panicked)
                    }
                },
                Some(arrival) = self.arrivals.recv() => {
                    if let Arrival::Half(half) = arrival
                        && let Some(lanes) = self.contact.halves.add(*half)
                    {
                        return LinkLoss::Replaced(Box::new(lanes));
                    }
                    continue;
                }
                Some(shard) = self.completions.recv() => LinkInput::PeerComplete(shard),
                frame = link.reader.next() => match frame {
                    Ok(frame) => LinkInput::Frame(Box::new(frame)),
                    Err(error) => return LinkLoss::Lane(Lane::Replication, error),
                },
            };
            if let Err(loss) = self.advance(link, [input]).await {
                return loss;
            }
        }
    }

    /// Gives inputs to the link end and carries out its effects, those of stored registers too.
    async fn advance(
        &mut self,
        link: &mut Link,
        inputs: impl IntoIterator<Item = LinkInput>,
    ) -> Result<(), LinkLoss> {
        let mut effects = Vec::new();
        for input in inputs {
            self.end.handle(input, &mut effects);
        }
        while !effects.is_empty() {
            let mut stored = false;
            for effect in std::mem::take(&mut effects) {
                match effect {
                    // Each lane was greeted before there was a link.
                    LinkEffect::Send(Frame::Hello(_)) => {}
                    LinkEffect::Send(frame) => {
                        self.replication_lane.push_frame(link.number, &frame);
                    }
                    LinkEffect::StoreRegister(value) => {
                        self.store(value).await;
                        stored = true;
                    }
                    LinkEffect::Assigned(assignments) => self.assign(assignments).await?,
                    LinkEffect::PeerUp { peer, boot } => self.peer_up(link, &peer, boot).await?,
                    LinkEffect::PeerDown => self.peer_down().await,
                    LinkEffect::Shard(shard, message) => {
                        if let Some(mailbox) = self.exchange.shards.mailbox(shard) {
                            // A shard's task ends only when the broker stops.
                            let _ = mailbox.events.send(Event::Peer(message)).await;
                        }
                    }
                    LinkEffect::Close(reason) => return Err(LinkLoss::Closed(reason)),
                }
            }
            if stored {
                self.end.handle(LinkInput::RegisterStored, &mut effects);
                self.hello.send_replace(self.end.hello(Lane::Replication));
            }
        }
        Ok(())
    }

    async fn store(&mut self, value: Bytes) {
        if let Err(error) = self.register.store(value).await {
            fatal::exit("store register", &error);
        }
    }

    async fn assign(&self, assignments: Vec<(ShardId, Assignment)>) -> Result<(), LinkLoss> {
        if assignments.len() != self.exchange.shards.count() {
            return Err(LinkLoss::ShardCount {
                agreed: assignments.len(),
            });
        }
        for (shard, assignment) in assignments {
            self.exchange.shards.assign(shard, assignment);
            self.tell(shard, Event::Assigned(assignment)).await;
        }
        Ok(())
    }

    async fn peer_up(
        &mut self,
        link: &mut Link,
        peer: &MemberName,
        boot: u64,
    ) -> Result<(), LinkLoss> {
        let Some((reader, writer)) = link.client.take().filter(|_| link.client_boot == boot) else {
            return Err(LinkLoss::Lane(Lane::Client, LaneError::OutOfPlace));
        };
        tracing::info!(%peer, "link to the other broker is up");
        self.contact.told = None;
        self.contact.failures_count = 0;
        self.exchange.board.set_link(|status| {
            *status = LinkStatus {
                peer: Some(peer.clone()),
                is_up: true,
                trouble: None,
            };
        });
        counters::count(&self.exchange.counters.link_ups);
        self.exchange.client_lane.open(link.number);
        self.exchange.router.interest().listen();
        for shard in self.exchange.shards.ids() {
            self.tell(shard, Event::PeerUp { link: link.number }).await;
        }
        let exchange = Arc::clone(&self.exchange);
        link.tasks.spawn(async move {
            let interest = exchange.router.interest();
            let written = write_lane(writer, &exchange.client_lane, Some(interest)).await;
            (
                Lane::Client,
                written.map_or_else(LaneError::Io, |()| LaneError::Closed),
            )
        });
        let lane = ClientLane::new(reader, Arc::clone(&self.exchange));
        link.tasks
            .spawn(async move { (Lane::Client, lane.run().await) });
        Ok(())
    }

    async fn peer_down(&self) {
        tracing::warn!("link to the other broker is down");
        self.exchange.board.set_link(|status| status.is_up = false);
        self.exchange.client_lane.close();
        self.replication_lane.close();
        self.exchange.router.interest().stop();
        for shard in self.exchange.shards.ids() {
            self.tell(shard, Event::PeerDown).await;
        }
    }

    async fn tell(&self, shard: ShardId, event: Event) {
        if let Some(mailbox) = self.exchange.shards.mailbox(shard) {
            // A shard's task ends only when the broker stops.
            let _ = mailbox.events.send(event).await;
        }
    }

    fn refuse(&mut self, trouble: String) {
        self.contact.pause = Some(RETRY_REFUSED);
        if self.contact.told.as_ref() != Some(&trouble) {
            tracing::error!("{trouble}");
        }
        self.note(trouble);
    }

    fn say(&mut self, trouble: String) {
        if self.contact.told.as_ref() != Some(&trouble) {
            tracing::warn!("{trouble}");
        }
        self.note(trouble);
    }

    fn note(&mut self, trouble: String) {
        self.exchange
            .board
            .set_link(|status| status.trouble = Some(trouble.clone()));
        self.contact.told = Some(trouble);
    }
}

/// A link while it is kept.
struct Link {
    number: u64,
    reader: FrameReader,
    /// The client lane until it is put to work.
    client: Option<(FrameReader, tokio::net::tcp::OwnedWriteHalf)>,
    client_boot: u64,
    tasks: JoinSet<(Lane, LaneError)>,
}
