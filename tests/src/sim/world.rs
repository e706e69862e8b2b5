//! The simulated world: time, network, disks, faults.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use relevo_engine::input::{Effect, Fact, Input, Monotonic, Now};
use relevo_engine::link::{LinkEffect, LinkInput};
use relevo_engine::route::Target;
use relevo_protocol::frame::{Frame, Lane as HelloLane, Message, Order, Work};
use relevo_protocol::identity::{Position, ShardId};
use relevo_protocol::subject::SubjectRef;
use relevo_protocol::time::Timestamp;
use relevo_store::seal::Keyring;
use relevo_store::sim_disk::{SimDisk, Unsynced};

use super::checker::{Checker, Violation};
use super::client::{Ask, Client};
use super::node::{Node, Origin, SHARDS};
use super::schedule::{Event, Lane, Schedule};

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
/// The wall clock at the start of every run.
const WALL_START: u64 = 1_800_000_000 * SECOND;
/// Without faults everything must be healed in this time.
const HEAL_MAX: u64 = 60 * SECOND;
const CLIENTS: usize = 4;
const NAMES: [&str; 2] = ["a", "b"];

/// What a run is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Simulated seconds with faults.
    pub seconds: u64,
    /// Mean seconds between two faults.
    pub fault_every_seconds: u64,
    /// Report a record as durable when it is written, not when it is synced: the run must then find a
    /// violation, or the checker checks nothing.
    pub lie_about_durability: bool,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Equal for equal seeds.
    pub trace: u64,
    /// Acknowledged messages.
    pub acked: usize,
    /// Confirmed consumer acknowledgements.
    pub confirmed: usize,
    /// Faults that were made.
    pub faults: usize,
    /// How often the rarer paths were taken.
    pub coverage: Coverage,
    /// Broken promises; none, one hopes.
    pub violations: Vec<Violation>,
}

/// How often the rarer paths were taken: a run that takes none proves little about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Snapshots saved.
    pub snapshots: usize,
    /// Followers that dropped records.
    pub truncations: usize,
    /// Full copies put in their place.
    pub copies: usize,
    /// Segments removed.
    pub segments_freed: u64,
    /// Stores wiped.
    pub wipes: usize,
}

impl std::ops::AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        self.snapshots += other.snapshots;
        self.truncations += other.truncations;
        self.copies += other.copies;
        self.segments_freed += other.segments_freed;
        self.wipes += other.wipes;
    }
}

/// Runs one simulation to its end.
#[must_use]
pub fn run(options: Options) -> Outcome {
    let mut world = World::new(options);
    world.begin();
    while let Some((time, event)) = world.schedule.next() {
        if time > world.end || !world.checker.violations.is_empty() {
            break;
        }
        world.now = time;
        world.handle(event);
    }
    if world.checker.violations.is_empty() {
        world.checker.on_quiet(&mut world.nodes);
    }
    Outcome {
        trace: world.trace.finish(),
        acked: world.checker.acked_count(),
        confirmed: world.checker.confirmed_count(),
        faults: world.faults,
        coverage: world.coverage,
        violations: world.checker.violations,
    }
}

struct World {
    options: Options,
    random: fastrand::Rng,
    faults_random: fastrand::Rng,
    schedule: Schedule,
    now: u64,
    end: u64,
    calm_from: u64,
    quiet_from: u64,
    nodes: [Option<Node>; 2],
    disks: [Arc<SimDisk>; 2],
    keyring: Option<Arc<Keyring>>,
    /// The connection's number; frames of older ones are lost.
    link: u64,
    connected: bool,
    /// When the last frame to a node on a lane arrives: frames keep their order.
    arrival: [[u64; 2]; 2],
    boots: u64,
    clients: Vec<Client>,
    checker: Checker,
    trace: DefaultHasher,
    faults: usize,
    coverage: Coverage,
    slow_until: u64,
}

impl World {
    fn new(options: Options) -> Self {
        let mut random = fastrand::Rng::with_seed(options.seed);
        let mut part = || random.u64(..);
        let disks = [0, 1].map(|_| Arc::new(SimDisk::new(part())));
        let clients = (0..CLIENTS)
            .map(|number| Client::new(number, part()))
            .collect();
        let faults_random = fastrand::Rng::with_seed(part());
        let sealed = random.bool();
        let keyring = sealed.then(|| {
            let mut key = [0; 64];
            random.fill(&mut key);
            let text = Keyring::generate(key);
            Arc::new(Keyring::parse(&text).expect("a generated key file can be read"))
        });
        let calm_from = options.seconds * SECOND;
        Self {
            options,
            random,
            faults_random,
            schedule: Schedule::default(),
            now: 0,
            end: calm_from + HEAL_MAX,
            calm_from,
            quiet_from: calm_from + HEAL_MAX / 2,
            nodes: [None, None],
            disks,
            keyring,
            link: 0,
            connected: false,
            arrival: [[0; 2]; 2],
            boots: 0,
            clients,
            checker: Checker::default(),
            trace: DefaultHasher::new(),
            faults: 0,
            coverage: Coverage::default(),
            slow_until: 0,
        }
    }

    fn begin(&mut self) {
        for node in 0..2 {
            self.schedule.at(0, Event::Restart { node });
        }
        self.schedule.at(MILLISECOND, Event::Connect);
        for client in 0..CLIENTS {
            self.schedule.at(10 * MILLISECOND, Event::Client { client });
        }
        self.plan_fault();
        self.schedule.at(self.calm_from, Event::Heal);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Shard { node, boot, shard } => self.on_shard(node, boot, shard),
            Event::Log { node, boot, shard } => self.on_log(node, boot, shard),
            Event::Register { node, boot } => self.on_register(node, boot),
            Event::Frame {
                to,
                link,
                lane,
                frame,
            } => self.on_frame(to, link, lane, *frame),
            Event::Connect => self.connect(),
            Event::Fault => self.fault(),
            Event::Restart { node } => self.restart(node),
            Event::Client { client } => self.on_client(client),
            Event::Timers { node, boot } => self.on_timers(node, boot),
            Event::Heal => self.heal(),
        }
    }

    fn time(&self) -> Now {
        let wall = Timestamp::from_nanos(WALL_START + self.now);
        Now {
            monotonic: Monotonic(self.now),
            wall,
        }
    }

    fn note(&mut self, what: impl Hash) {
        (self.now, what).hash(&mut self.trace);
    }

    fn running(&mut self, node: usize, boot: u64) -> Option<&mut Node> {
        self.nodes[node]
            .as_mut()
            .filter(|running| running.boot == boot)
    }

    // === Faults ===

    fn plan_fault(&mut self) {
        let mean = self.options.fault_every_seconds * SECOND;
        let at = self.now + self.faults_random.u64(mean / 10..2 * mean);
        if at < self.calm_from {
            self.schedule.at(at, Event::Fault);
        }
    }

    fn fault(&mut self) {
        let node = self.faults_random.usize(..2);
        match self.faults_random.u8(..10) {
            0..=3 => self.crash(node),
            4 => {
                self.crash(0);
                self.crash(1);
            }
            5..=7 => {
                self.cut();
                let later = self.now + self.random.u64(MILLISECOND..3 * SECOND);
                self.schedule.at(later, Event::Connect);
            }
            8 => {
                self.slow_until = self.now + SECOND;
                self.faults += 1;
            }
            _ => self.wipe(node),
        }
        self.plan_fault();
    }

    fn crash(&mut self, node: usize) {
        if self.nodes[node].take().is_none() {
            return;
        }
        self.faults += 1;
        self.note(("crash", node));
        let unsynced = Unsynced::ALL[self.faults_random.usize(..Unsynced::ALL.len())];
        self.disks[node].crash(unsynced);
        self.cut();
        let later = self.now + self.faults_random.u64(10 * MILLISECOND..4 * SECOND);
        self.schedule.at(later, Event::Restart { node });
    }

    fn restart(&mut self, node: usize) {
        if self.nodes[node].is_some() {
            return;
        }
        self.boots += 1;
        let origin = Origin {
            name: NAMES[node],
            boot: self.boots,
            disk: &self.disks[node],
            keyring: self.keyring.clone(),
            random: &mut self.random,
        };
        match Node::start(origin) {
            Err(why) => self.checker.violations.push(Violation::DoesNotStart(why)),
            Ok(started) => {
                for shard in 0..SHARDS {
                    let durable = started.shards[shard].engine.status().durable;
                    self.checker.durable[node][shard] = durable;
                }
                let assigned = started.link.assignments();
                self.nodes[node] = Some(started);
                self.note(("start", node));
                for (shard, assignment) in assigned {
                    self.post(node, usize::from(shard.0), Input::Assigned(assignment));
                }
                let boot = self.boots;
                self.schedule
                    .at(self.now + MILLISECOND, Event::Timers { node, boot });
                self.schedule.at(self.now + 5 * MILLISECOND, Event::Connect);
            }
        }
    }

    /// A disk is only lost while the other member holds everything: losing both is beyond the promise.
    fn wipe(&mut self, node: usize) {
        let complete = self.nodes.iter().flatten().count() == 2
            && self.nodes.iter().flatten().all(|node| {
                let value = node.link.value();
                node.link.is_up()
                    && value.is_some_and(|value| {
                        value
                            .shards
                            .iter()
                            .all(|one| one.in_sync == relevo_quorum::InSync::All)
                    })
            });
        if !complete {
            return;
        }
        self.faults += 1;
        self.coverage.wipes += 1;
        self.note(("wipe", node));
        self.nodes[node] = None;
        self.disks[node] = Arc::new(SimDisk::new(self.faults_random.u64(..)));
        // What the lost disk had synced counts until the next start: an answer may be under way.
        self.cut();
        let later = self.now + self.faults_random.u64(10 * MILLISECOND..2 * SECOND);
        self.schedule.at(later, Event::Restart { node });
    }

    fn heal(&mut self) {
        self.note("heal");
        for node in 0..2 {
            self.schedule
                .at(self.now + MILLISECOND, Event::Restart { node });
        }
        self.schedule
            .at(self.now + 20 * MILLISECOND, Event::Connect);
    }

    // === Network ===

    fn connect(&mut self) {
        if self.connected || self.nodes.iter().any(Option::is_none) {
            return;
        }
        self.link += 1;
        self.connected = true;
        self.note("connect");
        for node in 0..2 {
            self.link_input(node, LinkInput::Connected);
        }
    }

    fn cut(&mut self) {
        if !self.connected {
            return;
        }
        self.connected = false;
        self.faults += 1;
        self.note("cut");
        for node in 0..2 {
            self.link_input(node, LinkInput::Disconnected);
        }
    }

    fn send(&mut self, from: usize, lane: Lane, frame: Frame) {
        if !self.connected {
            return;
        }
        let to = 1 - from;
        let delay = if self.now < self.slow_until {
            self.random.u64(MILLISECOND..200 * MILLISECOND)
        } else {
            self.random.u64(50_000..2 * MILLISECOND)
        };
        let at = (self.now + delay).max(self.arrival[to][lane as usize] + 1);
        self.arrival[to][lane as usize] = at;
        // What travels is bytes: every frame is encoded and read again.
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        match Frame::decode(bytes.split_off(4).into()) {
            Ok(frame) => {
                let (link, frame) = (self.link, Box::new(frame));
                self.schedule.at(
                    at,
                    Event::Frame {
                        to,
                        link,
                        lane,
                        frame,
                    },
                );
            }
            Err(error) => self
                .checker
                .violations
                .push(Violation::Halted(error.to_string())),
        }
    }

    fn on_frame(&mut self, to: usize, link: u64, lane: Lane, frame: Frame) {
        if link != self.link || !self.connected || self.nodes[to].is_none() {
            return;
        }
        match (lane, frame) {
            (Lane::Replication, frame) => self.link_input(to, LinkInput::Frame(Box::new(frame))),
            (Lane::Client, Frame::Work { shard, work }) => {
                self.post(to, usize::from(shard.0), Input::Work(work));
            }
            (Lane::Client, _) => {}
        }
    }

    fn link_input(&mut self, at: usize, input: LinkInput) {
        let mut effects = Vec::new();
        let Some(node) = &mut self.nodes[at] else {
            return;
        };
        node.link.handle(input, &mut effects);
        debug_assert_eq!(node.link.hello(HelloLane::Client).lane, HelloLane::Client);
        for effect in effects {
            self.carry_out_link(at, effect);
        }
    }

    fn carry_out_link(&mut self, at: usize, effect: LinkEffect) {
        match effect {
            LinkEffect::Send(frame) => self.send(at, Lane::Replication, frame),
            LinkEffect::StoreRegister(value) => {
                let Some(node) = &mut self.nodes[at] else {
                    return;
                };
                node.registers_due.push_back(value.to_vec());
                let boot = node.boot;
                let later = self.now + self.random.u64(100_000..3 * MILLISECOND);
                self.schedule.at(later, Event::Register { node: at, boot });
            }
            LinkEffect::Assigned(assigned) => {
                for (shard, assignment) in assigned {
                    self.post(at, usize::from(shard.0), Input::Assigned(assignment));
                }
            }
            LinkEffect::PeerUp { .. } => {
                for shard in 0..SHARDS {
                    self.post(at, shard, Input::PeerUp);
                }
            }
            LinkEffect::PeerDown => {
                for shard in 0..SHARDS {
                    self.post(at, shard, Input::PeerDown);
                }
            }
            LinkEffect::Shard(shard, message) => {
                self.post(at, usize::from(shard.0), Input::Peer(message));
            }
            LinkEffect::Close(why) => {
                self.note(format!("close {why:?}"));
                self.cut();
                self.schedule
                    .at(self.now + 50 * MILLISECOND, Event::Connect);
            }
        }
    }

    fn on_register(&mut self, at: usize, boot: u64) {
        let Some(node) = self.running(at, boot) else {
            return;
        };
        let Some(value) = node.registers_due.pop_front() else {
            return;
        };
        match node.register.store(&value) {
            Ok(()) => self.link_input(at, LinkInput::RegisterStored),
            Err(error) => {
                self.checker
                    .violations
                    .push(Violation::StoreFailed(error.to_string()));
            }
        }
    }

    // === Shards and their logs ===

    fn post(&mut self, at: usize, shard: usize, input: Input) {
        let Some(node) = &mut self.nodes[at] else {
            return;
        };
        let boot = node.boot;
        let mailbox = &mut node.shards[shard].mailbox;
        mailbox.push_back(input);
        if mailbox.len() == 1 {
            let later = self.now + self.random.u64(1_000..200_000);
            self.schedule.at(
                later,
                Event::Shard {
                    node: at,
                    boot,
                    shard,
                },
            );
        }
    }

    fn on_shard(&mut self, at: usize, boot: u64, shard: usize) {
        let now = self.time();
        let Some(node) = self.running(at, boot) else {
            return;
        };
        for effect in node.shards[shard].run(now) {
            self.note((at, shard, format!("{effect:?}")));
            self.carry_out(at, shard, effect);
        }
    }

    fn carry_out(&mut self, at: usize, shard: usize, effect: Effect) {
        match effect {
            Effect::ToPeer(message) => {
                let shard = shard_id(shard);
                self.send(at, Lane::Replication, Frame::Shard { shard, message });
            }
            Effect::Send { message, .. } => self.deliver(&message),
            Effect::ToShard { shard, work } => self.give_to_shard(at, shard, work),
            Effect::Directory(change) => {
                if let Some(node) = &mut self.nodes[at]
                    && node.view.apply(&change).is_err()
                {
                    self.checker
                        .violations
                        .push(Violation::Halted("the view is full".to_owned()));
                }
            }
            Effect::PeerComplete => self.link_input(at, LinkInput::PeerComplete(shard_id(shard))),
            Effect::Fact(Fact::Diverged { at: position, why }) => {
                let text = format!("node {at} shard {shard} at {position}: {why:?}");
                self.checker.violations.push(Violation::Halted(text));
            }
            Effect::Fact(_) => {}
            Effect::Append { .. }
            | Effect::Truncate(_)
            | Effect::ReadLog { .. }
            | Effect::ReadMessage { .. }
            | Effect::SaveSnapshot { .. }
            | Effect::Trim { .. }
            | Effect::StageBegin { .. }
            | Effect::StageRecords(_)
            | Effect::StageCommit
            | Effect::StageAbort => self.carry_to_log(at, shard, effect),
        }
    }

    fn carry_to_log(&mut self, at: usize, shard: usize, effect: Effect) {
        if let Effect::Append { record, .. } = &effect {
            self.checker.on_append(shard, record);
            if self.options.lie_about_durability {
                let position = record.position;
                self.post(at, shard, Input::Durable(position));
            }
        }
        match &effect {
            Effect::SaveSnapshot { .. } => self.coverage.snapshots += 1,
            Effect::Truncate(_) => self.coverage.truncations += 1,
            Effect::StageCommit => self.coverage.copies += 1,
            _ => {}
        }
        let Some(node) = &mut self.nodes[at] else {
            return;
        };
        node.shards[shard].log_queue.push_back(effect);
        self.plan_log_step(at, shard);
    }

    fn plan_log_step(&mut self, at: usize, shard: usize) {
        let slow = self.now < self.slow_until;
        let Some(node) = &mut self.nodes[at] else {
            return;
        };
        let boot = node.boot;
        let state = &mut node.shards[shard];
        if state.log_busy || (state.log_queue.is_empty() && state.written.is_none()) {
            return;
        }
        state.log_busy = true;
        let delay = if slow {
            self.random.u64(MILLISECOND..100 * MILLISECOND)
        } else {
            self.random.u64(20_000..2 * MILLISECOND)
        };
        self.schedule.at(
            self.now + delay,
            Event::Log {
                node: at,
                boot,
                shard,
            },
        );
    }

    fn on_log(&mut self, at: usize, boot: u64, shard: usize) {
        let Some(node) = self.running(at, boot) else {
            return;
        };
        let state = &mut node.shards[shard];
        state.log_busy = false;
        let stepped = state.log_step();
        let freed = std::mem::take(&mut state.segments_freed);
        let state = &node.shards[shard];
        let end = state.log.durable();
        self.coverage.segments_freed += freed;
        match stepped {
            Err(why) => self.checker.violations.push(Violation::StoreFailed(why)),
            Ok(inputs) => {
                if inputs.iter().any(|input| {
                    matches!(input, Input::Durable(_) | Input::Truncated | Input::Staged)
                }) {
                    self.checker.durable[at][shard] = Position(end);
                }
                for input in inputs {
                    self.post(at, shard, input);
                }
            }
        }
        self.plan_log_step(at, shard);
    }

    fn on_timers(&mut self, at: usize, boot: u64) {
        let now = Monotonic(self.now);
        let Some(node) = self.running(at, boot) else {
            return;
        };
        let due: Vec<usize> = (0..SHARDS)
            .filter(|shard| {
                node.shards[*shard]
                    .engine
                    .next_timer()
                    .is_some_and(|at| at <= now)
            })
            .collect();
        for shard in due {
            self.post(at, shard, Input::Timer);
        }
        self.schedule.at(
            self.now + 20 * MILLISECOND,
            Event::Timers { node: at, boot },
        );
    }

    /// Work goes to the shard's leader: here, or over the link; or it comes back.
    fn give_to_shard(&mut self, at: usize, shard: ShardId, work: Work) {
        let Some(node) = &self.nodes[at] else { return };
        let value = node.link.value();
        let leader = value
            .and_then(|value| value.shards.get(usize::from(shard.0)))
            .map(|entry| usize::from(entry.leader));
        let up = node.link.is_up();
        match leader {
            Some(leader) if leader == at => {
                self.post(at, usize::from(shard.0), Input::Work(work));
            }
            Some(_) if up => self.send(at, Lane::Client, Frame::Work { shard, work }),
            Some(_) | None => {
                if matches!(work, Work::Order(Order::ListStreams { .. })) {
                    self.post(at, usize::from(shard.0), Input::Work(work));
                } else if matches!(work, Work::Order(_)) {
                    self.post(at, 0, Input::OrderFailed(shard, work));
                }
            }
        }
    }

    // === Clients ===

    fn on_client(&mut self, client: usize) {
        if self.now >= self.quiet_from {
            return;
        }
        if let Some(ask) = self.clients[client].act(&mut self.checker) {
            self.ask(ask);
        }
        let pause = self.random.u64(MILLISECOND..60 * MILLISECOND);
        self.schedule.at(self.now + pause, Event::Client { client });
    }

    fn ask(&mut self, ask: Ask) {
        let Some(node) = &self.nodes[ask.node] else {
            return;
        };
        let Ok(subject) = SubjectRef::parse(&ask.message.subject) else {
            return;
        };
        let (shard, work) = match node.view.target(subject) {
            Target::None | Target::Refused(_) => return,
            Target::Stream(shard) => (shard, Work::Publish(ask.message)),
            Target::Api(shard) => (shard, Work::Api(ask.message)),
            Target::Ack(shard) => (shard, Work::Ack(ask.message)),
        };
        self.give_to_shard(ask.node, shard, work);
    }

    /// What a broker publishes reaches the client at once: being told is what counts.
    fn deliver(&mut self, message: &Message) {
        let subject = String::from_utf8_lossy(&message.subject).into_owned();
        let mut words = subject.split('.').skip(1);
        let client = words.next().and_then(|word| word.parse::<usize>().ok());
        let inbox = words.next().and_then(|word| word.parse::<u64>().ok());
        let (Some(client), Some(inbox)) = (client, inbox) else {
            return;
        };
        let Some(client) = self.clients.get_mut(client) else {
            return;
        };
        if let Some(ask) = client.on_message(inbox, message, &mut self.checker) {
            self.ask(ask);
        }
    }
}

fn shard_id(shard: usize) -> ShardId {
    ShardId(u16::try_from(shard).unwrap_or(0))
}
