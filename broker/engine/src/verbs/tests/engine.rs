//! The verbs against the engines that answer them, one broker alone: nothing here is said by a script.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::frame::{Message, Work};
use relevo_protocol::identity::ShardId;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::mutation::Mutation;
use relevo_protocol::name::MemberName;
use relevo_protocol::record::Record;
use relevo_protocol::time::Timestamp;

use super::script::client_sends;
use crate::input::{Assignment, Duty, Effect, Input, Monotonic, Now};
use crate::route::{DirectoryView, Target};
use crate::shard::{Engine, EngineConfig, Recovered};
use crate::verbs::{Answer, Ask, AskId, Output, Verbs};

const INBOX: &str = "_INBOX.test.";
const PAYLOAD_MAX: usize = 1024 * 1024;

/// The directory and one data shard, their logs, and one connection.
struct Broker {
    engines: Vec<Engine>,
    logs: Vec<Vec<Record>>,
    view: DirectoryView,
    verbs: Verbs,
    passed: Duration,
    inputs: VecDeque<(usize, Input)>,
    asks: VecDeque<Ask>,
    text: Vec<u8>,
}

impl Broker {
    fn new() -> Self {
        let engine = |shard| {
            let member = MemberName::parse("a").unwrap();
            let config = EngineConfig {
                shard: ShardId(shard),
                member,
                data_shards: 1,
                snapshot_every_bytes: usize::MAX,
            };
            Engine::open(config, Recovered::default()).unwrap()
        };
        let mut broker = Self {
            engines: vec![engine(0), engine(1)],
            logs: vec![Vec::new(), Vec::new()],
            view: DirectoryView::new(0),
            verbs: Verbs::new(PAYLOAD_MAX),
            passed: Duration::ZERO,
            inputs: VecDeque::new(),
            asks: VecDeque::new(),
            text: Vec::new(),
        };
        for shard in 0..broker.engines.len() {
            let assignment = Assignment {
                term: 1,
                duty: Duty::LeadAlone,
                peer_complete: true,
            };
            broker
                .inputs
                .push_back((shard, Input::Assigned(assignment)));
        }
        broker.settle();
        broker
    }

    fn now(&self) -> Now {
        let start = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        Now {
            monotonic: Monotonic(1).after(self.passed),
            wall: start.saturating_add(self.passed),
        }
    }

    /// The client sends a line; what it is told.
    fn says(&mut self, line: &str) -> String {
        let mut out = Output::default();
        let now = self.now().monotonic;
        client_sends(&mut self.verbs, now, &format!("{line}\r\n"), &mut out);
        self.take(out);
        self.told()
    }

    /// Time passes; what the client is told meanwhile.
    fn waits(&mut self, duration: Duration) -> String {
        const STEP: Duration = Duration::from_millis(250);
        let end = self.passed + duration;
        while self.passed < end {
            self.passed += STEP;
            for shard in 0..self.engines.len() {
                if self.engines[shard]
                    .next_timer()
                    .is_some_and(|due| due <= self.now().monotonic)
                {
                    self.inputs.push_back((shard, Input::Timer));
                }
            }
            let mut out = Output::default();
            let now = self.now().monotonic;
            self.verbs.timer(now, &mut out);
            self.take(out);
        }
        self.told()
    }

    fn told(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.text)).unwrap()
    }

    fn take(&mut self, out: Output) {
        self.collect(out);
        self.settle();
        let mut written = Output::default();
        let now = self.now().monotonic;
        self.verbs.written(now, &mut written);
        if written != Output::default() {
            self.take(written);
        }
    }

    fn collect(&mut self, out: Output) {
        self.text.extend(out.text);
        self.asks.extend(out.asks);
    }

    fn settle(&mut self) {
        loop {
            if let Some(ask) = self.asks.pop_front() {
                self.publish(ask);
            } else if let Some((shard, input)) = self.inputs.pop_front() {
                let mut effects = Vec::new();
                let now = self.now();
                self.engines[shard].handle(now, input, &mut effects);
                self.engines[shard].finish_batch(&mut effects);
                for effect in effects {
                    self.carry_out(shard, effect);
                }
            } else {
                return;
            }
        }
    }

    fn publish(&mut self, ask: Ask) {
        let reply = ask.id.map(|id| Bytes::from(format!("{INBOX}{}", id.0)));
        let target = self.view.target(ask.subject.as_ref());
        let subject = Bytes::copy_from_slice(ask.subject.as_str().as_bytes());
        let message = Message {
            subject,
            reply,
            headers: ask.headers,
            payload: ask.payload,
        };
        let (shard, work) = match target {
            Target::Stream(shard) => (shard, Work::Publish(message)),
            Target::Api(shard) => (shard, Work::Api(message)),
            Target::Ack(shard) => (shard, Work::Ack(message)),
            Target::Refused(refusal) => {
                return self.answer(ask.id, None, refusal.headers, refusal.payload);
            }
            Target::None => {
                let headers = Status::NO_RESPONDERS.header_block(&[]).into();
                return self.answer(ask.id, None, headers, Bytes::new());
            }
        };
        self.inputs
            .push_back((usize::from(shard.0), Input::Work(work)));
    }

    fn answer(&mut self, id: Option<AskId>, reply: Option<Bytes>, headers: Bytes, payload: Bytes) {
        if let Some(id) = id {
            let mut out = Output::default();
            let now = self.now().monotonic;
            self.verbs.answer(
                now,
                id,
                Answer {
                    reply,
                    headers,
                    payload,
                },
                &mut out,
            );
            self.collect(out);
        }
    }

    fn carry_out(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::Append { record, .. } => {
                self.inputs
                    .push_back((shard, Input::Durable(record.position)));
                self.logs[shard].push(record);
            }
            Effect::ReadMessage { ticket, group, key } => {
                let is_asked_for = |record: &&Record| match Mutation::decode(record.body.clone()) {
                    Ok(Mutation::Publish(publish)) => {
                        publish.stream.0 == group && publish.sequence == key
                    }
                    Ok(_) | Err(_) => false,
                };
                let record = self.logs[shard].iter().find(is_asked_for).cloned();
                self.inputs
                    .push_back((shard, Input::MessageRead { ticket, record }));
            }
            Effect::Send { message, .. } => {
                let subject = str::from_utf8(&message.subject).unwrap();
                if let Some(id) = subject.strip_prefix(INBOX) {
                    let id = AskId(id.parse().unwrap());
                    self.answer(Some(id), message.reply, message.headers, message.payload);
                }
            }
            Effect::ToShard { shard, work } => {
                self.inputs
                    .push_back((usize::from(shard.0), Input::Work(work)));
            }
            Effect::Directory(change) => self.view.apply(&change).unwrap(),
            other @ (Effect::Trim { .. } | Effect::Fact(_)) => drop(other),
            other => panic!("one broker alone has no use for {other:?}"),
        }
    }
}

/// The lease in `+OK 1`, `MSG jobs <lease> …`.
fn lease(popped: &str) -> String {
    popped
        .lines()
        .nth(1)
        .and_then(|line| line.split(' ').nth(2))
        .expect(popped)
        .to_owned()
}

#[test]
fn a_job_is_pushed_popped_and_acked() {
    let mut broker = Broker::new();
    assert_eq!(
        broker.says("PUSH jobs hello"),
        "-ERR 'queue jobs does not exist; QUEUE CREATE jobs makes it'\r\n"
    );
    assert_eq!(
        broker.says("POP jobs"),
        "-ERR 'queue jobs does not exist; QUEUE CREATE jobs makes it'\r\n"
    );
    assert_eq!(broker.says("QUEUE CREATE jobs"), "+OK created jobs\r\n");
    assert_eq!(broker.says("QUEUE CREATE jobs"), "+OK exists jobs\r\n");
    assert_eq!(broker.says("POP jobs"), "+OK 0\r\n");
    assert_eq!(broker.says("PUSH jobs id=1 hello"), "+OK 1\r\n");
    assert_eq!(broker.says("PUSH jobs id=1 hello"), "+OK 1 duplicate\r\n");
    assert_eq!(broker.says("QUEUE LIST"), "+OK 1\r\njobs 1\r\n");
    let popped = broker.says("POP jobs");
    assert!(popped.ends_with(" 5\r\nhello\r\n"), "{popped}");
    assert_eq!(broker.says("POP jobs"), "+OK 0\r\n");
    let ack = format!("ACK {}", lease(&popped));
    assert_eq!(broker.says(&ack), "+OK acked\r\n");
    assert_eq!(broker.says("QUEUE LIST"), "+OK 1\r\njobs 0\r\n");
    assert!(broker.says(&ack).starts_with("-ERR 'lease "));
    assert_eq!(broker.says("QUEUE DELETE jobs"), "+OK deleted jobs\r\n");
    assert_eq!(broker.says("QUEUE LIST"), "+OK 0\r\n");
}

#[test]
fn a_nacked_job_comes_back_and_an_extended_one_stays_away() {
    let mut broker = Broker::new();
    broker.says("QUEUE CREATE jobs lease=10s");
    broker.says("PUSH jobs x");
    let popped = broker.says("POP jobs");
    assert_eq!(
        broker.says(&format!("NACK {}", lease(&popped))),
        "+OK nacked\r\n"
    );
    let again = broker.says("POP jobs");
    assert_ne!(lease(&again), lease(&popped));
    broker.waits(Duration::from_secs(8));
    assert_eq!(
        broker.says(&format!("EXTEND {} for=1m", lease(&again))),
        "+OK extended\r\n"
    );
    broker.waits(Duration::from_secs(30));
    assert_eq!(broker.says("POP jobs"), "+OK 0\r\n");
    broker.waits(Duration::from_secs(31));
    assert!(broker.says("POP jobs").starts_with("+OK 1\r\n"));
    assert!(
        broker
            .says(&format!("ACK {}", lease(&again)))
            .starts_with("-ERR 'lease ")
    );
}

#[test]
fn a_waiting_pop_is_answered_by_the_first_push_or_by_time() {
    let mut broker = Broker::new();
    broker.says("QUEUE CREATE jobs");
    assert_eq!(broker.says("POP jobs wait=5s max=3"), "");
    let told = broker.says("PUSH jobs late");
    assert_eq!(told, "", "the push waits for the pop before it");
    assert_eq!(broker.waits(Duration::from_secs(6)), "+OK 0\r\n+OK 1\r\n");
    let popped = broker.says("POP jobs wait=5s max=3");
    assert!(
        popped.starts_with("+OK 1\r\nMSG jobs "),
        "what is there is not waited beyond: {popped}"
    );
}

#[test]
fn what_a_queue_tells_and_shows() {
    let mut broker = Broker::new();
    broker.says("QUEUE CREATE jobs lease=10s");
    for text in ["a", "b", "c"] {
        broker.says(&format!("PUSH jobs {text}"));
    }
    broker.says("POP jobs");
    let info = broker.says("QUEUE INFO jobs");
    let json: serde_json::Value =
        serde_json::from_str(info.strip_prefix("+OK ").expect(&info)).unwrap();
    assert_eq!(
        (&json["messages"], &json["ready"], &json["leased"]),
        (&3.into(), &2.into(), &1.into())
    );
    assert_eq!(
        broker.says("QUEUE PEEK jobs max=2"),
        "+OK 2\r\nMSG jobs 1 1\r\na\r\nMSG jobs 2 1\r\nb\r\n"
    );
    assert_eq!(
        broker.says("QUEUE PEEK jobs from=last"),
        "+OK 1\r\nMSG jobs 3 1\r\nc\r\n"
    );
    assert_eq!(broker.says("QUEUE PEEK jobs from=9"), "+OK 0\r\n");
    let refused = broker.says("QUEUE CREATE jobs");
    assert!(
        refused.starts_with("-ERR 'queue jobs exists with lease=10s instead of lease=30s"),
        "{refused}"
    );
    assert_eq!(broker.says("QUEUE PURGE jobs"), "+OK purged 3\r\n");
    assert_eq!(broker.says("QUEUE PEEK jobs"), "+OK 0\r\n");
}

#[test]
fn a_topic_is_viewed_from_anywhere() {
    let mut broker = Broker::new();
    assert_eq!(broker.says("TOPIC CREATE news"), "+OK created news\r\n");
    for number in 1..=100 {
        assert_eq!(
            broker.says(&format!("POST news {number}")),
            format!("+OK {number}\r\n")
        );
    }
    let view = broker.says("VIEW news from=11 max=80");
    assert!(
        view.starts_with("+OK 80\r\nMSG news 11 2\r\n11\r\n"),
        "{view}"
    );
    assert!(view.ends_with("MSG news 90 2\r\n90\r\n"), "{view}");
    assert_eq!(
        broker.says("VIEW news from=last"),
        "+OK 1\r\nMSG news 100 3\r\n100\r\n"
    );
    assert!(
        broker
            .says("VIEW news from=2026-01-31T12:00:00Z max=1")
            .starts_with("+OK 1\r\nMSG news 1 ")
    );
    assert_eq!(
        broker.says("VIEW news from=2027-01-31T12:00:00Z"),
        "+OK 0\r\n"
    );
}

#[test]
fn a_follow_shows_what_is_there_and_what_comes() {
    let mut broker = Broker::new();
    broker.says("TOPIC CREATE news");
    for number in 1..=300 {
        broker.says(&format!("POST news {number}"));
    }
    let told = broker.says("FOLLOW news");
    assert!(
        told.starts_with("+OK following news\r\nMSG news 1 1\r\n1\r\n"),
        "{told}"
    );
    assert!(told.ends_with("MSG news 300 3\r\n300\r\n"), "{told}");
    assert_eq!(broker.waits(Duration::from_secs(120)), "");
    assert_eq!(
        broker.says("POST news x"),
        "+OK 301\r\nMSG news 301 1\r\nx\r\n"
    );
    assert_eq!(broker.says("UNFOLLOW news"), "+OK unfollowed news\r\n");
    assert_eq!(broker.says("POST news y"), "+OK 302\r\n");
    assert!(
        broker
            .says("FOLLOW news from=last")
            .contains("MSG news 302 1\r\ny\r\n")
    );
}

#[test]
fn a_durable_follow_goes_on_where_it_stopped() {
    let mut broker = Broker::new();
    broker.says("TOPIC CREATE news");
    for number in 1..=300 {
        broker.says(&format!("POST news {number}"));
    }
    assert!(
        broker
            .says("FOLLOW news as=alice from=200")
            .contains("MSG news 200 3\r\n200\r\n")
    );
    assert_eq!(
        broker.says("UNFOLLOW news as=alice"),
        "+OK unfollowed news as=alice\r\n"
    );
    broker.waits(Duration::from_secs(60));
    broker.says("POST news x");
    assert_eq!(
        broker.says("FOLLOW news as=alice"),
        "+OK following news\r\nMSG news 301 1\r\nx\r\n"
    );
}
