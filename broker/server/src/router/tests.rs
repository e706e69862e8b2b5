//! Who gets what, without sockets: receivers are inboxes.

use std::sync::Arc;

use bytes::Bytes;
use relevo_engine::input::{Assignment, DirectoryChange, Duty};
use relevo_engine::route::DirectoryView;
use relevo_protocol::frame::{Frame, Message, Work};
use relevo_protocol::identity::{ShardId, StreamId};
use relevo_protocol::name::{MemberName, StreamName};
use relevo_protocol::subject::{SubjectFilter, SubjectRef};
use tokio::sync::mpsc;

use super::Router;
use super::publisher::{Exchange, Published, Publisher, Scope};
use super::subscribed::Subscribed;
use super::subscription::Receiver;
use crate::board::Board;
use crate::clock::Clock;
use crate::counters::{Counters, read};
use crate::peer::lane::LaneQueue;
use crate::shards::{Inboxes, Shards, mailbox};

const EVERYBODY: Scope<'static> = Scope::Everybody { except: None };

struct Bench {
    exchange: Arc<Exchange>,
    publisher: Publisher,
    inboxes: Vec<Inboxes>,
}

struct Listener {
    _subscribed: Subscribed,
    inbox: mpsc::Receiver<Message>,
}

impl Bench {
    fn new() -> Self {
        let (mailboxes, inboxes): (Vec<_>, Vec<_>) = (0..2).map(|_| mailbox()).unzip();
        let name = MemberName::parse("a").unwrap();
        let exchange = Arc::new(Exchange {
            router: Router::new(1, DirectoryView::new(2)),
            shards: Shards::new(mailboxes),
            client_lane: LaneQueue::default(),
            counters: Counters::default(),
            board: Board::new(name, Clock::new(), true, 2),
        });
        let publisher = Publisher::new(Arc::clone(&exchange), 3);
        Self {
            exchange,
            publisher,
            inboxes,
        }
    }

    fn subscribe(&self, filter: &str, queue: Option<&'static str>) -> Listener {
        let (sender, inbox) = mpsc::channel(1000);
        let subscribed = self.begin(filter, queue, Receiver::Inbox(sender));
        Listener {
            _subscribed: subscribed,
            inbox,
        }
    }

    fn begin(&self, filter: &str, queue: Option<&'static str>, receiver: Receiver) -> Subscribed {
        let filter = SubjectFilter::parse(filter).unwrap();
        let queue = queue.map(|queue| Bytes::from_static(queue.as_bytes()));
        Subscribed::begin(&self.exchange, &filter, queue, receiver).unwrap()
    }

    fn publish(&mut self, subject: &str) -> bool {
        self.request(subject, None)
    }

    fn request(&mut self, subject: &str, reply: Option<&str>) -> bool {
        let subject = SubjectRef::parse(subject.as_bytes()).unwrap();
        let message = Published::new(subject, reply.map(str::as_bytes), b"", b"x");
        let taken = self.publisher.publish(&message, None);
        self.publisher.settle();
        taken
    }

    fn stream(&self, name: &str, shard: u16, subject: &str) {
        self.exchange
            .router
            .apply_directory(&DirectoryChange::Added {
                stream: StreamId(1),
                name: StreamName::parse(name).unwrap(),
                shard: ShardId(shard),
                subjects: vec![SubjectFilter::parse(subject).unwrap()],
            });
    }

    fn assign(&self, shard: u16, duty: Duty) {
        let assignment = Assignment {
            term: 1,
            duty,
            peer_complete: true,
        };
        self.exchange.shards.assign(ShardId(shard), assignment);
    }

    /// What was queued for the other broker.
    fn frames(&self) -> Vec<Frame> {
        let bytes = self.exchange.client_lane.take(Vec::new());
        let mut rest = bytes.as_slice();
        let mut frames = Vec::new();
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let (body, after) = after.split_at(u32::from_le_bytes(*len) as usize);
            frames.push(Frame::decode(Bytes::copy_from_slice(body)).unwrap());
            rest = after;
        }
        frames
    }
}

impl Listener {
    fn count(&mut self) -> usize {
        std::iter::from_fn(|| self.inbox.try_recv().ok()).count()
    }
}

#[test]
fn a_route_that_was_used_before_follows_every_change() {
    let mut bench = Bench::new();
    assert!(!bench.publish("a.b"));
    let mut literal = bench.subscribe("a.b", None);
    assert!(bench.publish("a.b"));
    let mut wildcard = bench.subscribe("a.*", None);
    assert!(bench.publish("a.b"));
    assert_eq!((literal.count(), wildcard.count()), (2, 1));
    drop(literal);
    assert!(bench.publish("a.b"));
    assert_eq!(wildcard.count(), 1);
    drop(wildcard);
    assert!(!bench.publish("a.b"));
}

#[test]
fn a_route_of_another_connection_follows_every_change_too() {
    let mut bench = Bench::new();
    let mut other = Publisher::new(Arc::clone(&bench.exchange), 9);
    let mut listener = bench.subscribe("a", None);
    let subject = SubjectRef::parse(b"a").unwrap();
    let message = Published::new(subject, None, b"", b"");
    assert!(other.publish(&message, None));
    assert!(bench.publish("a"));
    let mut second = bench.subscribe("a", None);
    assert!(other.publish(&message, None));
    assert!(bench.publish("a"));
    assert_eq!((listener.count(), second.count()), (4, 2));
}

#[test]
fn one_member_of_each_queue_group_gets_a_message_and_all_get_their_share() {
    let mut bench = Bench::new();
    let mut members = [
        bench.subscribe("a", Some("q")),
        bench.subscribe("*", Some("q")),
        bench.subscribe("a", Some("q")),
    ];
    let mut alone = bench.subscribe(">", Some("p"));
    for _ in 0..600 {
        assert!(bench.publish("a"));
    }
    let counts = members.each_mut().map(Listener::count);
    assert_eq!(counts.iter().sum::<usize>(), 600);
    assert!(counts.iter().all(|count| *count > 120), "{counts:?}");
    assert_eq!(alone.count(), 600);
}

#[test]
fn a_member_that_takes_nothing_is_passed_over() {
    let mut bench = Bench::new();
    let mut gone = bench.subscribe("a", Some("q"));
    gone.inbox.close();
    let mut there = bench.subscribe("a", Some("q"));
    for _ in 0..50 {
        assert!(bench.publish("a"));
    }
    assert_eq!(there.count(), 50);
}

#[test]
fn the_other_broker_gets_a_message_once_with_the_groups_that_have_nobody_here() {
    let mut bench = Bench::new();
    bench.exchange.client_lane.open(1);
    let _peers = [
        bench.begin("a", None, Receiver::Peer),
        bench.begin("*", None, Receiver::Peer),
        bench.begin("a", Some("near"), Receiver::Peer),
        bench.begin("a", Some("far"), Receiver::Peer),
    ];
    let mut near = bench.subscribe("a", Some("near"));
    assert!(bench.publish("a"));
    assert_eq!(near.count(), 1);
    let frames = bench.frames();
    let [Frame::Routed(routed)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert!(routed.plain);
    assert_eq!(routed.queues, ["far"]);
    bench.exchange.client_lane.close();
    drop(near);
    assert!(
        !bench.publish("a"),
        "nobody is there while the link is down"
    );
}

#[test]
fn what_the_other_broker_routed_is_not_routed_back() {
    let mut bench = Bench::new();
    bench.exchange.client_lane.open(1);
    let _peer = bench.begin("a", None, Receiver::Peer);
    let mut plain = bench.subscribe("a", None);
    let mut member = bench.subscribe("a", Some("q"));
    let message = Message {
        subject: Bytes::from_static(b"a"),
        reply: None,
        headers: Bytes::new(),
        payload: Bytes::new(),
    };
    let queues = [Bytes::from_static(b"q")];
    for (plain, queues) in [(true, [].as_slice()), (false, queues.as_slice())] {
        let published = Published::of(&message, None).unwrap();
        assert!(
            bench
                .publisher
                .deliver(&published, Scope::Here { plain, queues })
        );
    }
    bench.publisher.settle();
    assert_eq!((plain.count(), member.count()), (1, 1));
    assert_eq!(bench.frames(), []);
}

#[test]
fn work_goes_to_its_leader_here_or_there_and_is_refused_while_that_is_away() {
    let mut bench = Bench::new();
    bench.stream("S", 1, "s.*");
    let mut inbox = bench.subscribe("reply", None);
    assert!(
        bench.request("s.x", Some("reply")),
        "nobody has said who leads"
    );
    assert_eq!(inbox.count(), 1);

    bench.assign(1, Duty::Follow);
    assert!(bench.request("s.x", Some("reply")), "the link is down");
    assert_eq!(inbox.count(), 1);
    assert_eq!(read(&bench.exchange.counters.unavailable_requests), 2);

    bench.exchange.client_lane.open(1);
    assert!(bench.request("s.x", Some("reply")));
    let frames = bench.frames();
    assert!(
        matches!(
            frames.as_slice(),
            [Frame::Work {
                shard: ShardId(1),
                work: Work::Publish(_)
            }]
        ),
        "{frames:?}"
    );

    bench.assign(1, Duty::Lead);
    assert!(bench.request("s.x", Some("reply")));
    assert_eq!((inbox.count(), bench.frames().len()), (0, 0));
    assert!(bench.publisher.collected_bytes() > 0);
}

#[tokio::test]
async fn collected_work_is_handed_to_its_shard_in_one_batch() {
    let mut bench = Bench::new();
    bench.stream("S", 1, "s");
    bench.assign(1, Duty::LeadAlone);
    for _ in 0..3 {
        bench.publish("s");
    }
    bench.publisher.hand_over().await;
    assert_eq!(bench.publisher.collected_bytes(), 0);
    let [directory, data] = bench.inboxes.as_mut_slice() else {
        panic!("two shards");
    };
    assert_eq!(data.work.try_recv().unwrap().len(), 3);
    assert!(data.work.try_recv().is_err());
    assert!(directory.work.try_recv().is_err());
}

#[test]
fn a_delivery_is_routed_by_one_subject_and_shown_with_another() {
    let mut bench = Bench::new();
    bench.exchange.client_lane.open(1);
    let _peer = bench.begin("inbox.*", None, Receiver::Peer);
    let message = Message {
        subject: Bytes::from_static(b"inbox.1"),
        reply: None,
        headers: Bytes::new(),
        payload: Bytes::new(),
    };
    let shown = Bytes::from_static(b"orders.new");
    let published = Published::of(&message, Some(&shown)).unwrap();
    assert!(bench.publisher.deliver(&published, EVERYBODY));
    bench.publisher.settle();
    let frames = bench.frames();
    let [Frame::Routed(routed)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    let (split, found) = crate::peer::routed::split_subjects(routed.message.clone());
    assert_eq!(
        (split.subject, found),
        (message.subject.clone(), Some(shown))
    );
}
