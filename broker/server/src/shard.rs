//! One shard's task: owns its [`Engine`], brings it what happens and carries out what it wants.
//!
//! ```text
//! log thread ── answers ──┐                        ┌─> log thread   (one batch an iteration)
//! link ── events ─────────┤                        ├─> replication lane, client lane
//! other shards ── orders ─┼─> Engine::handle ──────┼─> subscribers  (one flush a batch)
//! connections ── work ────┘   while it admits work └─> other shards, the link's owner
//! ```
//!
//! The task waits for nobody but its log thread, which waits for nobody but the disk: so two brokers
//! whose queues are all full still move.

mod entry;
pub(crate) mod log;
pub(crate) mod open;

use std::sync::Arc;

use relevo_engine::input::{Effect, Fact, Input};
use relevo_engine::shard::Engine;
use relevo_protocol::frame::{Frame, Order, Report, ShardMessage, Work};
use relevo_protocol::identity::ShardId;
use relevo_protocol::mutation::LIST_LEN_MAX;
use relevo_protocol::record::Record;
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::peer::lane::{LaneQueue, Queued};
use crate::router::publisher::{Published, Publisher, Scope};
use crate::shards::{Event, Inboxes, Place};

use log::{LogHandle, LogJob};

/// Inputs after which a batch is closed although more are waiting; a batch of client work counts as
/// what it holds and is never split.
const BATCH_INPUTS_MAX: usize = 4096;
/// Bytes of client work after which a batch is closed. What is written for one batch goes to the other
/// broker in frames of at most so many bytes, but at least one record.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Completions that wait for the link's owner: one a shard at a time.
pub(crate) const COMPLETIONS_MAX: usize = 64;

/// What a shard's task is made of.
#[derive(Debug)]
pub(crate) struct ShardTask {
    pub(crate) shard: ShardId,
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    pub(crate) inboxes: Inboxes,
    pub(crate) log: LogHandle,
    pub(crate) publisher: Publisher,
    pub(crate) replication_lane: Arc<LaneQueue>,
    /// Shards whose other copy is complete again, to the link's owner.
    pub(crate) completions: mpsc::Sender<ShardId>,
    pub(crate) stop: CancellationToken,
    /// The link that replication goes over.
    pub(crate) link: Option<u64>,
    /// A link that came up while a batch was collected begins the next batch, so that what the
    /// engine said for the old link is not sent on the new one.
    pub(crate) held_event: Option<Event>,
}

/// One iteration's inputs and effects, kept for reuse.
#[derive(Debug, Default)]
struct Batch {
    inputs: Vec<Input>,
    /// Inputs that effects of this batch brought about; the next batch begins with them.
    again: Vec<Input>,
    /// Bytes of client work among the inputs.
    work_bytes: usize,
    effects: Vec<Effect>,
    jobs: Vec<LogJob>,
}

impl ShardTask {
    /// Serves the shard until `stop`, or until its log thread ends.
    pub(crate) async fn run(mut self) {
        let mut batch = Batch::default();
        while self.wait(&mut batch).await {
            self.collect(&mut batch);
            self.decide(&mut batch);
            self.carry_out(&mut batch);
            if !batch.jobs.is_empty() && !self.log.send(std::mem::take(&mut batch.jobs)).await {
                return;
            }
        }
    }

    /// Waits for the first input of a batch; false when there will be none.
    async fn wait(&mut self, batch: &mut Batch) -> bool {
        if let Some(event) = self.held_event.take() {
            self.take_event(event, batch);
        }
        batch.inputs.append(&mut batch.again);
        if !batch.inputs.is_empty() {
            return true;
        }
        let timer = self.engine.next_timer();
        let due = async {
            match timer {
                Some(time) => sleep_until(self.clock.instant(time)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            answers = self.log.answers() => match answers {
                Some(answers) => batch.inputs.extend(answers),
                None => return false,
            },
            Some(event) = self.inboxes.events.recv() => self.take_event(event, batch),
            Some(work) = self.inboxes.orders.recv() => batch.inputs.push(Input::Work(work)),
            () = due => batch.inputs.push(Input::Timer),
            Some(work) = self.inboxes.work.recv(), if self.engine.admits_work() => batch.add_work(work),
        }
        true
    }

    /// Adds what else is there, up to the bound.
    fn collect(&mut self, batch: &mut Batch) {
        while let Some(answers) = self.log.try_answers() {
            batch.inputs.extend(answers);
        }
        while batch.inputs.len() < BATCH_INPUTS_MAX {
            let Ok(event) = self.inboxes.events.try_recv() else {
                break;
            };
            if matches!(event, Event::PeerUp { .. }) && !batch.inputs.is_empty() {
                self.held_event = Some(event);
                return;
            }
            self.take_event(event, batch);
        }
        while batch.inputs.len() < BATCH_INPUTS_MAX {
            let Ok(work) = self.inboxes.orders.try_recv() else {
                break;
            };
            batch.inputs.push(Input::Work(work));
        }
        while batch.takes_work() && self.engine.admits_work() {
            let Ok(work) = self.inboxes.work.try_recv() else {
                break;
            };
            batch.add_work(work);
        }
    }

    fn take_event(&mut self, event: Event, batch: &mut Batch) {
        match event {
            Event::Assigned(assignment) => batch.inputs.push(Input::Assigned(assignment)),
            Event::PeerUp { link } => {
                self.link = Some(link);
                batch.inputs.push(Input::PeerUp);
            }
            Event::PeerDown => batch.inputs.push(Input::PeerDown),
            Event::Peer(message) => batch.inputs.push(Input::Peer(message)),
        }
    }

    fn decide(&mut self, batch: &mut Batch) {
        let now = self.clock.now();
        batch.work_bytes = 0;
        for input in batch.inputs.drain(..) {
            self.engine.handle(now, input, &mut batch.effects);
        }
        self.engine.finish_batch(&mut batch.effects);
        self.publisher
            .exchange()
            .board
            .set_shard(self.engine.status());
    }

    fn carry_out(&mut self, batch: &mut Batch) {
        for effect in batch.effects.drain(..) {
            match effect {
                Effect::Append { record, committed } => {
                    batch.jobs.push(LogJob::Append { record, committed });
                }
                Effect::Truncate(to) => batch.jobs.push(LogJob::Truncate(to)),
                Effect::ReadLog { from, max_bytes } => {
                    batch.jobs.push(LogJob::Read { from, max_bytes });
                }
                Effect::ReadMessage { ticket, group, key } => {
                    batch.jobs.push(LogJob::ReadMessage { ticket, group, key });
                }
                Effect::SaveSnapshot {
                    position,
                    state,
                    live,
                } => {
                    batch.jobs.push(LogJob::SaveSnapshot {
                        position,
                        state,
                        live,
                    });
                }
                Effect::Trim { group, first } => batch.jobs.push(LogJob::Trim { group, first }),
                Effect::StageBegin {
                    position,
                    epoch,
                    chain,
                    state,
                } => {
                    batch.jobs.push(LogJob::StageBegin {
                        position,
                        epoch,
                        chain,
                        state,
                    });
                }
                Effect::StageRecords(records) => batch.jobs.push(LogJob::StageRecords(records)),
                Effect::StageCommit => batch.jobs.push(LogJob::StageCommit),
                Effect::StageAbort => batch.jobs.push(LogJob::StageAbort),
                Effect::ToPeer(message) => self.tell_peer(message),
                Effect::Send {
                    message,
                    shown_subject,
                    delivery,
                } => {
                    let everybody = Scope::Everybody { except: None };
                    let taken = Published::of(&message, shown_subject.as_ref())
                        .is_some_and(|message| self.publisher.deliver(&message, everybody));
                    if let Some(delivery) = delivery
                        && !taken
                    {
                        batch.again.push(Input::Undelivered(delivery));
                    }
                }
                Effect::ToShard { shard, work } => {
                    if let Some(failed) = self.tell_shard(shard, work) {
                        batch.again.push(Input::OrderFailed(shard, failed));
                    }
                }
                Effect::Directory(change) => {
                    self.publisher.exchange().router.apply_directory(&change);
                }
                Effect::PeerComplete => {
                    if self.completions.try_send(self.shard).is_err() {
                        tracing::error!(shard = %self.shard, "report complete copy: the link is gone");
                    }
                }
                Effect::Fact(fact) => tell(self.shard, &fact),
            }
        }
        self.publisher.settle();
    }

    fn tell_peer(&mut self, message: ShardMessage) {
        let Some(link) = self.link else {
            return;
        };
        let shard = self.shard;
        let mut queued = Queued::Yes;
        for message in parts(message) {
            queued = self
                .replication_lane
                .push_frame(link, &Frame::Shard { shard, message });
        }
        if queued == Queued::Full {
            tracing::error!(%shard, "replicate: the other broker takes nothing; link is cut");
            self.replication_lane.close();
        }
    }

    /// Brings work to another shard's leader; an order that cannot be brought comes back.
    fn tell_shard(&mut self, shard: ShardId, work: Work) -> Option<Work> {
        let exchange = self.publisher.exchange();
        let leader_is_there = exchange.client_lane.is_open();
        let here = match (exchange.shards.place(shard), &work) {
            (Place::Here, _) => true,
            (Place::Peer, _) if leader_is_there => false,
            (Place::Peer | Place::Unknown, Work::Order(Order::ListStreams { .. })) => true,
            (Place::Peer | Place::Unknown, _) => return returned(shard, work),
        };
        if !here {
            self.publisher.send_work(shard, work);
            return None;
        }
        let mailbox = exchange.shards.mailbox(shard)?;
        match mailbox.orders.try_send(work) {
            Ok(()) => None,
            Err(refused) => returned(shard, refused.into_inner()),
        }
    }
}

impl Batch {
    fn takes_work(&self) -> bool {
        self.inputs.len() < BATCH_INPUTS_MAX && self.work_bytes < BATCH_BYTES_MAX
    }

    fn add_work(&mut self, work: Vec<Work>) {
        self.work_bytes += work.iter().map(work_len).sum::<usize>();
        self.inputs.extend(work.into_iter().map(Input::Work));
    }
}

fn work_len(work: &Work) -> usize {
    match work {
        Work::Publish(message) | Work::Api(message) | Work::Ack(message) => {
            message.headers.len() + message.payload.len()
        }
        Work::Order(_) | Work::Report(_) => 0,
    }
}

/// A message in frames of bounded length.
fn parts(message: ShardMessage) -> Vec<ShardMessage> {
    let (committed, records) = match message {
        ShardMessage::Append { committed, records } => (committed, records),
        other => return vec![other],
    };
    let mut parts: Vec<Vec<Record>> = Vec::new();
    let mut part_bytes = 0;
    for record in records {
        let len = record.encoded_len();
        match parts.last_mut() {
            Some(part) if part_bytes + len <= BATCH_BYTES_MAX && part.len() < LIST_LEN_MAX => {
                part_bytes += len;
                part.push(record);
            }
            Some(_) | None => {
                part_bytes = len;
                parts.push(vec![record]);
            }
        }
    }
    parts
        .into_iter()
        .map(|records| ShardMessage::Append { committed, records })
        .collect()
}

/// An order that did not arrive is its sender's to handle; a report that is lost costs the client a
/// second try.
fn returned(shard: ShardId, work: Work) -> Option<Work> {
    match work {
        Work::Order(
            Order::CreateStream { .. } | Order::DeleteStream { .. } | Order::ListStreams { .. },
        ) => Some(work),
        Work::Report(Report::StreamDeleted { .. } | Report::Streams { .. }) => {
            tracing::warn!(%shard, "report to shard: its leader is away");
            None
        }
        Work::Publish(_) | Work::Api(_) | Work::Ack(_) => None,
    }
}

fn tell(shard: ShardId, fact: &Fact) {
    match fact {
        Fact::Activated { epoch, at } => {
            tracing::info!(%shard, %epoch, position = %at, "shard leads");
        }
        Fact::InSync { at } => tracing::info!(%shard, position = %at, "both copies are complete"),
        Fact::PeerAway => tracing::warn!(%shard, "other broker is away: writes are refused"),
        Fact::Truncated { to, from } => {
            tracing::info!(%shard, %to, %from, "dropped records that were never acknowledged");
        }
        Fact::CopyStarted { position } => tracing::info!(%shard, %position, "full copy begins"),
        Fact::CopyFinished { position, records } => {
            tracing::info!(%shard, %position, records, "full copy is complete");
        }
        Fact::Diverged { at, why } => tracing::error!(
            %shard, position = %at, ?why,
            "the two copies contradict each other: shard stopped, nothing was changed; keep both stores and ask for help"
        ),
        Fact::LogFull => {
            tracing::error!(%shard, "disk is full: publishes are refused until there is space")
        }
    }
}
