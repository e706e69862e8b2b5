//! A broker dies without a word while requests of the other one's clients are under way.

mod support;

use std::time::Duration;

use relevo_broker::Broker;
use support::{Client, Pair, ready};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// What a verb may take beyond its own wait (five seconds), and what a busy machine adds.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// More than one connection has under way at a time.
const PUSHES: usize = 300;
/// After so many answers the other broker dies.
const PUSHES_BEFORE: usize = 20;
/// Queues live in the data shards by turns, so each broker leads one of two.
const QUEUES: [&str; 2] = ["one", "two"];

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Two brokers, the second of them on a runtime of its own.
struct TwoRuntimes {
    pair: Pair,
    a: Broker,
    b: Broker,
    on_b: Runtime,
}

impl TwoRuntimes {
    fn start(on_a: &Runtime) -> Self {
        let on_b = runtime();
        let pair = Pair::new();
        let a = on_a.block_on(pair.start("a"));
        let b = on_b.block_on(pair.start("b"));
        on_a.block_on(async {
            ready(&a).await;
            ready(&b).await;
        });
        Self { pair, a, b, on_b }
    }

    /// Drops every task of broker b where it stands, and with them its sockets.
    fn lose_b(self) -> (Pair, Broker) {
        self.on_b.shutdown_background();
        drop(self.b);
        (self.pair, self.a)
    }
}

async fn in_time<T>(answers: impl Future<Output = T>) -> T {
    timeout(ANSWER_MAX, answers)
        .await
        .expect("every verb is answered in time")
}

async fn create_queues(client: &mut Client) {
    for queue in QUEUES {
        client.send(&format!("QUEUE CREATE {queue}")).await;
        client.expect(&[&format!("+OK created {queue}")]).await;
    }
}

#[test]
fn every_push_under_way_is_answered_within_its_time() {
    let on_a = runtime();
    let brokers = TwoRuntimes::start(&on_a);
    let nats = brokers.a.addresses().nats;
    let mut client = on_a.block_on(async {
        let mut client = Client::greeted(nats).await;
        create_queues(&mut client).await;
        let pushes: String = (0..PUSHES)
            .map(|number| format!("PUSH {} {number}\r\n", QUEUES[number % QUEUES.len()]))
            .collect();
        client.send_bytes(pushes.as_bytes()).await;
        for _ in 0..PUSHES_BEFORE {
            let answer = client.line().await;
            assert!(answer.starts_with("+OK "), "{answer}");
        }
        client
    });
    let (_pair, a) = brokers.lose_b();
    let answers = on_a.block_on(in_time(async {
        let mut answers = Vec::new();
        for _ in PUSHES_BEFORE..PUSHES {
            answers.push(client.line().await);
        }
        answers
    }));
    for answer in answers {
        assert!(
            answer.starts_with("+OK ")
                || answer.contains("the outcome is unknown")
                || answer.contains("peer away, nothing was written"),
            "{answer}"
        );
    }
    on_a.block_on(a.shutdown());
}

#[test]
fn a_pop_that_waits_at_the_lost_broker_is_answered_within_its_time() {
    let on_a = runtime();
    let brokers = TwoRuntimes::start(&on_a);
    let nats = brokers.a.addresses().nats;
    let mut poppers = on_a.block_on(async {
        create_queues(&mut Client::greeted(nats).await).await;
        let mut poppers = Vec::new();
        for queue in QUEUES {
            let mut popper = Client::greeted(nats).await;
            popper.send(&format!("POP {queue} wait=1s\r\nPING")).await;
            popper.expect(&["PONG"]).await;
            poppers.push(popper);
        }
        // One lane carries all requests: those before one that is answered have arrived.
        for queue in QUEUES {
            let mut later = Client::greeted(nats).await;
            later.send(&format!("QUEUE INFO {queue}")).await;
            let answer = later.line().await;
            assert!(answer.starts_with("+OK "), "{answer}");
        }
        poppers
    });
    let (_pair, a) = brokers.lose_b();
    let answers = on_a.block_on(in_time(async {
        let mut answers = Vec::new();
        for popper in &mut poppers {
            answers.push(popper.line().await);
        }
        answers
    }));
    for answer in answers {
        assert!(
            answer == "+OK 0" || answer.starts_with("-ERR '"),
            "{answer}"
        );
    }
    on_a.block_on(a.shutdown());
}
