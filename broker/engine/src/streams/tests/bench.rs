//! A leader and a follower of one shard without disks and links: what the leader writes is committed
//! when the test says so, and the follower then has to hold the same state.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::frame::{Message, Order, Work};
use relevo_protocol::headers::HeaderBlock;
use relevo_protocol::identity::{Epoch, Position, ShardId, StreamId};
use relevo_protocol::jetstream::consumer::{AckPolicy, ConsumerConfig};
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::stream::{RetentionPolicy, StreamConfig};
use relevo_protocol::mutation::Mutation;
use relevo_protocol::name::{ConsumerName, MemberName, StreamName};
use relevo_protocol::record::Record;
use relevo_protocol::time::Timestamp;
use serde_json::{Value, json};

use crate::desk::{Desk, Pen, Unwritable};
use crate::input::{DeliveryId, Effect, Monotonic, Now};
use crate::outbox::Outbox;
use crate::streams::Streams;
use crate::streams::config::settle;

pub(super) const SHARD: ShardId = ShardId(1);

/// Something that left.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) to: String,
    pub(super) message: Message,
    pub(super) shown: Option<String>,
    pub(super) delivery: Option<DeliveryId>,
}

pub(super) struct Bench {
    pub(super) leader: Streams,
    pub(super) follower: Streams,
    pen: Pen,
    outbox: Outbox,
    shown: Outbox,
    batch: Vec<Record>,
    pub(super) log: Vec<Record>,
    pub(super) committed: Position,
    pub(super) now: Now,
    pub(super) unwritable: Option<Unwritable>,
    /// Commit after every input.
    pub(super) commits: bool,
    pub(super) reads: VecDeque<(u64, u64, u64)>,
    sent: VecDeque<Sent>,
    pub(super) told: Vec<Work>,
    inbox_count: u64,
    streams_count: u64,
}

impl Sent {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.message.payload).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.message.payload).unwrap()
    }

    pub(super) fn status(&self) -> Option<(u16, String)> {
        if self.message.headers.is_empty() {
            return None;
        }
        let block = HeaderBlock::parse(&self.message.headers).unwrap();
        block
            .status()
            .map(|status| (status.code, status.description.to_owned()))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        HeaderBlock::parse(&self.message.headers).ok()?.get(name)
    }

    pub(super) fn ack(&self) -> String {
        String::from_utf8(self.message.reply.clone().expect("a delivery").to_vec()).unwrap()
    }

    /// `payload` of a message, `code words` of a status.
    pub(super) fn short(&self) -> String {
        match self.status() {
            Some((code, words)) => format!("{code} {words}"),
            None => self.text().to_owned(),
        }
    }
}

pub(super) fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

pub(super) fn consumer_name(text: &str) -> ConsumerName {
    ConsumerName::parse(text).unwrap()
}

pub(super) fn durable(text: &str) -> ConsumerConfig {
    ConsumerConfig {
        durable_name: Some(consumer_name(text)),
        ack_policy: AckPolicy::Explicit,
        ..ConsumerConfig::default()
    }
}

pub(super) fn headers(pairs: &[(&str, &str)]) -> Bytes {
    if pairs.is_empty() {
        return Bytes::new();
    }
    let mut block = String::from("NATS/1.0\r\n");
    for (name, value) in pairs {
        block.push_str(&format!("{name}: {value}\r\n"));
    }
    block.push_str("\r\n");
    block.into()
}

impl Bench {
    pub(super) fn new() -> Self {
        let member = |text| MemberName::parse(text).unwrap();
        let mut leader = Streams::new(SHARD, member("a"));
        let now = Now {
            monotonic: Monotonic(1_000_000_000),
            wall: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(),
        };
        leader.began_to_lead(now);
        Self {
            leader,
            follower: Streams::new(SHARD, member("b")),
            pen: Pen {
                epoch: Epoch { term: 1, sub: 1 },
                end: Position::ZERO,
                chain: 0,
                in_flight: VecDeque::new(),
                in_flight_bytes: 0,
                counted: Position::ZERO,
            },
            outbox: Outbox::default(),
            shown: Outbox::default(),
            batch: Vec::new(),
            log: Vec::new(),
            committed: Position::ZERO,
            now,
            unwritable: None,
            commits: true,
            reads: VecDeque::new(),
            sent: VecDeque::new(),
            told: Vec::new(),
            inbox_count: 0,
            streams_count: 0,
        }
    }

    /// A bench with a queue `jobs` (stream `Q_jobs`, subject `$Q.jobs`) and its consumer `workers`.
    pub(super) fn with_queue(change: impl FnOnce(&mut ConsumerConfig)) -> Self {
        let mut bench = Self::new();
        bench.stream("Q_jobs", |config| {
            config.subjects = vec!["$Q.jobs".into()];
            config.retention = RetentionPolicy::WorkQueue;
            config.allow_direct = true;
            config.metadata.insert("relevo.kind".into(), "queue".into());
        });
        let mut config = durable("workers");
        change(&mut config);
        bench.consumer("Q_jobs", config);
        bench
    }

    /// A bench with a stream `S` on `s.>` and a durable consumer `C` that waits for explicit acks.
    pub(super) fn with_stream(
        change: impl FnOnce(&mut StreamConfig),
        change_consumer: impl FnOnce(&mut ConsumerConfig),
    ) -> Self {
        let mut bench = Self::new();
        bench.stream("S", |config| {
            config.subjects = vec!["s.>".into()];
            config.allow_direct = true;
            change(config);
        });
        let mut config = durable("C");
        change_consumer(&mut config);
        bench.consumer("S", config);
        bench
    }

    pub(super) fn act(&mut self, act: impl FnOnce(&mut Streams, &mut Desk<'_>)) {
        let mut effects = Vec::new();
        self.on_desk(&mut effects, act);
        self.carry_out(effects);
        if self.commits {
            self.commit_all();
        }
    }

    fn on_desk(
        &mut self,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Streams, &mut Desk<'_>),
    ) {
        let mut desk = Desk {
            now: self.now,
            unwritable: self.unwritable,
            committed: self.committed,
            pen: &mut self.pen,
            outbox: &mut self.outbox,
            shown: &mut self.shown,
            records: &mut self.batch,
            effects,
        };
        act(&mut self.leader, &mut desk);
        self.batch.clear();
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Append { record, .. } => self.log.push(record),
                Effect::ReadMessage { ticket, group, key } => {
                    self.reads.push_back((ticket, group, key));
                }
                Effect::Send {
                    message,
                    shown_subject,
                    delivery,
                } => {
                    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                    self.sent.push_back(Sent {
                        to: text(&message.subject),
                        shown: shown_subject.as_ref().map(text),
                        message,
                        delivery,
                    });
                }
                Effect::ToShard { shard, work } => {
                    assert_eq!(shard, ShardId::DIRECTORY);
                    self.told.push(work);
                }
                Effect::Trim { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Commits one record more, if there is one.
    pub(super) fn commit_one(&mut self) -> bool {
        let position = self.committed.next();
        let Some(record) = self
            .log
            .iter()
            .find(|record| record.position == position)
            .cloned()
        else {
            return false;
        };
        let mutation = Mutation::decode(record.body).unwrap();
        self.follower.apply(position, &mutation, None).unwrap();
        self.committed = position;
        let mut effects = Vec::new();
        self.outbox.release(position, &mut effects);
        self.on_desk(&mut effects, |streams, desk| {
            streams.on_committed(desk, position)
        });
        self.carry_out(effects);
        if self.committed == self.pen.end {
            assert_eq!(
                self.leader.snapshot(),
                self.follower.snapshot(),
                "after {mutation:?}"
            );
        }
        true
    }

    pub(super) fn commit_all(&mut self) {
        while self.commit_one() {}
    }

    /// Answers every read from the log.
    pub(super) fn answer_reads(&mut self) {
        while let Some((ticket, group, key)) = self.reads.pop_front() {
            let mut records = self.log.iter();
            let record = records
                .find(|record| (record.group, record.key) == (group, key))
                .cloned();
            self.act(|streams, desk| streams.on_message_read(desk, ticket, record));
        }
    }

    /// Time passes; timers run when they are due.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now.monotonic.after(duration);
        while let Some(at) = self.leader.next_timer().filter(|at| *at <= end) {
            self.set_time(at.max(self.now.monotonic));
            self.act(Streams::on_timer);
        }
        self.set_time(end);
    }

    fn set_time(&mut self, monotonic: Monotonic) {
        let passed = Duration::from_nanos(monotonic.0 - self.now.monotonic.0);
        self.now = Now {
            monotonic,
            wall: self.now.wall.saturating_add(passed),
        };
    }

    /// The leader starts anew from a snapshot of its state and leads again.
    pub(super) fn restart(&mut self) {
        self.commit_all();
        let member = MemberName::parse("a").unwrap();
        self.leader = Streams::restore(SHARD, member, self.leader.snapshot()).unwrap();
        self.leader.began_to_lead(self.now);
        self.reads.clear();
    }

    /// The follower leads from now on; the old leader follows.
    pub(super) fn fail_over(&mut self) {
        self.commit_all();
        self.leader.ceased_to_lead();
        std::mem::swap(&mut self.leader, &mut self.follower);
        self.leader.began_to_lead(self.now);
        let committed = self.committed;
        self.reads.clear();
        self.act(|streams, desk| streams.on_committed(desk, committed));
    }

    /// What left since the last call.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        self.sent.drain(..).collect()
    }

    /// What left to `inbox` since the last call, in short; the rest stays.
    pub(super) fn sent_to(&mut self, inbox: &str) -> Vec<Sent> {
        let (own, rest): (Vec<Sent>, Vec<Sent>) =
            self.sent.drain(..).partition(|sent| sent.to == inbox);
        self.sent = rest.into();
        own
    }

    pub(super) fn inbox(&mut self) -> String {
        self.inbox_count += 1;
        format!("_INBOX.{}", self.inbox_count)
    }

    /// The one answer to `inbox`.
    #[track_caller]
    pub(super) fn answer(&mut self, inbox: &str) -> Sent {
        let mut answers = self.sent_to(inbox);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    pub(super) fn create_stream(&mut self, config: StreamConfig) -> String {
        self.streams_count += 1;
        let inbox = self.inbox();
        let config = settle(config).unwrap();
        let order = Order::CreateStream {
            stream: StreamId(self.streams_count),
            name: config.name.clone(),
            config: json::encode(&config).into(),
            created: self.now.wall,
            request: message("$JS.API.STREAM.CREATE.x", &inbox, &[], b""),
        };
        self.act(|streams, desk| streams.on_order(desk, order));
        inbox
    }

    #[track_caller]
    pub(super) fn stream(&mut self, stream: &str, change: impl FnOnce(&mut StreamConfig)) {
        let mut config = StreamConfig::new(name(stream));
        change(&mut config);
        let inbox = self.create_stream(config);
        self.commit_all();
        let answer = self.answer(&inbox).json();
        assert_eq!(answer["did_create"], json!(true), "{answer}");
    }

    pub(super) fn api(&mut self, subject: &str, body: &Value) -> String {
        let inbox = self.inbox();
        let body = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body).unwrap()
        };
        self.api_bytes(subject, &inbox, &[], &body);
        inbox
    }

    pub(super) fn api_bytes(
        &mut self,
        subject: &str,
        inbox: &str,
        pairs: &[(&str, &str)],
        body: &[u8],
    ) {
        let subject = format!("$JS.API.{subject}");
        let endpoint = Endpoint::parse(&subject).unwrap();
        let request = message(&subject, inbox, pairs, body);
        self.act(|streams, desk| streams.on_api(desk, endpoint, request));
    }

    /// An API request and its JSON answer.
    #[track_caller]
    pub(super) fn ask(&mut self, subject: &str, body: &Value) -> Value {
        let inbox = self.api(subject, body);
        self.answer_reads();
        self.commit_all();
        self.answer(&inbox).json()
    }

    #[track_caller]
    pub(super) fn consumer(&mut self, stream: &str, config: ConsumerConfig) -> Value {
        let answer = self.try_consumer(stream, config);
        assert_eq!(answer["error"], Value::Null, "{answer}");
        answer
    }

    #[track_caller]
    pub(super) fn try_consumer(&mut self, stream: &str, config: ConsumerConfig) -> Value {
        let named = config.durable_name.clone().or(config.name.clone());
        let subject = match named {
            Some(named) => format!("CONSUMER.CREATE.{stream}.{named}"),
            None => format!("CONSUMER.CREATE.{stream}"),
        };
        self.ask(&subject, &json!({"stream_name": stream, "config": config}))
    }

    pub(super) fn publish_with(
        &mut self,
        subject: &str,
        pairs: &[(&str, &str)],
        payload: &str,
    ) -> String {
        let inbox = self.inbox();
        let request = message(subject, &inbox, pairs, payload.as_bytes());
        self.act(|streams, desk| streams.on_publish(desk, request));
        inbox
    }

    /// Publishes; the sequence, or the error's number and text.
    #[track_caller]
    pub(super) fn publish(
        &mut self,
        subject: &str,
        pairs: &[(&str, &str)],
        payload: &str,
    ) -> Result<u64, (u64, String)> {
        let inbox = self.publish_with(subject, pairs, payload);
        self.commit_all();
        let answer = self.answer(&inbox).json();
        match &answer["error"] {
            Value::Null => Ok(answer["seq"].as_u64().unwrap()),
            error => Err((
                error["err_code"].as_u64().unwrap(),
                error["description"].as_str().unwrap().to_owned(),
            )),
        }
    }

    pub(super) fn publish_all(&mut self, subject: &str, payloads: &[&str]) {
        for payload in payloads {
            self.publish(subject, &[], payload).unwrap();
        }
    }

    /// Asks for messages; the inbox that they come to.
    pub(super) fn pull(&mut self, stream: &str, consumer: &str, body: &Value) -> String {
        self.api(&format!("CONSUMER.MSG.NEXT.{stream}.{consumer}"), body)
    }

    /// Asks for `batch` messages and waits for no more than there are.
    pub(super) fn fetch(&mut self, stream: &str, consumer: &str, batch: u64) -> Vec<Sent> {
        let inbox = self.pull(stream, consumer, &json!({"batch": batch, "no_wait": true}));
        self.answer_reads();
        self.commit_all();
        self.sent_to(&inbox)
    }

    /// The same, without statuses.
    pub(super) fn fetch_messages(&mut self, stream: &str, consumer: &str, batch: u64) -> Vec<Sent> {
        let mut sent = self.fetch(stream, consumer, batch);
        sent.retain(|sent| sent.status().is_none());
        sent
    }

    /// Says something about a delivery and asks for an answer; in short.
    #[track_caller]
    pub(super) fn ack(&mut self, ack: &str, body: &str) -> String {
        let inbox = self.inbox();
        let request = message(ack, &inbox, &[], body.as_bytes());
        self.act(|streams, desk| streams.on_ack(desk, request));
        self.commit_all();
        self.answer(&inbox).short()
    }

    pub(super) fn ack_silently(&mut self, ack: &str, body: &str) {
        let request = Message {
            reply: None,
            ..message(ack, "x", &[], body.as_bytes())
        };
        self.act(|streams, desk| streams.on_ack(desk, request));
    }
}

pub(super) fn message(
    subject: &str,
    reply: &str,
    pairs: &[(&str, &str)],
    payload: &[u8],
) -> Message {
    Message {
        subject: Bytes::copy_from_slice(subject.as_bytes()),
        reply: Some(Bytes::copy_from_slice(reply.as_bytes())),
        headers: headers(pairs),
        payload: Bytes::copy_from_slice(payload),
    }
}

pub(super) fn shorts(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(Sent::short).collect()
}
