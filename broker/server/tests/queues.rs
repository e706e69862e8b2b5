//! Queues end to end through the human verbs: what the whole broker does, over real files.

mod support;

use support::{Client, Pair, TestDir, ready, single};

/// POPs one message and gives its lease and text.
async fn pop(client: &mut Client, queue: &str) -> (String, String) {
    client.send(&format!("POP {queue} wait=10s")).await;
    assert_eq!(client.line().await, "+OK 1");
    let head = client.line().await;
    let lease = head.split(' ').nth(2).unwrap().to_owned();
    (lease, client.line().await)
}

async fn asked(client: &mut Client, verb: &str) -> String {
    client.send(verb).await;
    client.line().await
}

async fn acked(client: &mut Client, lease: &str) {
    let answer = asked(client, &format!("ACK {lease}")).await;
    assert!(answer.starts_with("+OK"), "{lease}: {answer}");
}

#[tokio::test]
async fn a_single_brokers_queue_survives_its_restart() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let mut client = Client::greeted(broker.addresses().nats).await;
    assert_eq!(
        asked(&mut client, "QUEUE CREATE jobs").await,
        "+OK created jobs"
    );
    assert_eq!(
        asked(&mut client, "QUEUE CREATE jobs").await,
        "+OK exists jobs"
    );
    assert_eq!(asked(&mut client, "PUSH jobs one").await, "+OK 1");
    assert_eq!(asked(&mut client, "PUSH jobs two").await, "+OK 2");
    broker.shutdown().await;

    let broker = single(&dir, |_| {}).await;
    let mut client = Client::greeted(broker.addresses().nats).await;
    let (lease, text) = pop(&mut client, "jobs").await;
    assert_eq!(text, "one");
    acked(&mut client, &lease).await;
    broker.shutdown().await;

    let broker = single(&dir, |_| {}).await;
    let mut client = Client::greeted(broker.addresses().nats).await;
    assert_eq!(pop(&mut client, "jobs").await.1, "two");
    assert_eq!(asked(&mut client, "POP jobs").await, "+OK 0");
    assert!(
        asked(&mut client, "QUEUE DELETE jobs")
            .await
            .starts_with("+OK")
    );
    client.send("QUEUE LIST").await;
    client.expect(&["+OK 0"]).await;
    broker.shutdown().await;
}

#[tokio::test]
async fn what_is_pushed_through_one_broker_is_popped_through_the_other() {
    let pair = Pair::new();
    let (a, b) = pair.start_both().await;
    let mut on_a = Client::greeted(a.addresses().nats).await;
    let mut on_b = Client::greeted(b.addresses().nats).await;
    for queue in ["one", "two", "three"] {
        let created = asked(&mut on_a, &format!("QUEUE CREATE {queue}")).await;
        assert_eq!(created, format!("+OK created {queue}"));
        assert_eq!(
            asked(&mut on_a, &format!("PUSH {queue} from a")).await,
            "+OK 1"
        );
        assert_eq!(
            asked(&mut on_b, &format!("PUSH {queue} from b")).await,
            "+OK 2"
        );
        let (lease, text) = pop(&mut on_b, queue).await;
        assert_eq!(text, "from a");
        acked(&mut on_a, &lease).await;
        assert_eq!(pop(&mut on_a, queue).await.1, "from b");
    }
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn while_a_broker_is_away_pushes_are_refused_and_all_is_there_when_it_returns() {
    let pair = Pair::new();
    let (a, b) = pair.start_both().await;
    let mut on_a = Client::greeted(a.addresses().nats).await;
    for queue in ["one", "two"] {
        assert_eq!(
            asked(&mut on_a, &format!("QUEUE CREATE {queue}")).await,
            format!("+OK created {queue}")
        );
        assert_eq!(
            asked(&mut on_a, &format!("PUSH {queue} first")).await,
            "+OK 1"
        );
    }
    b.shutdown().await;
    for queue in ["one", "two"] {
        let answer = asked(&mut on_a, &format!("PUSH {queue} lost")).await;
        assert!(
            answer.starts_with("-ERR '") && answer.contains("peer away"),
            "{answer}"
        );
    }
    let b = pair.start("b").await;
    ready(&a).await;
    ready(&b).await;
    let mut on_b = Client::greeted(b.addresses().nats).await;
    for queue in ["one", "two"] {
        assert_eq!(
            asked(&mut on_b, &format!("PUSH {queue} second")).await,
            "+OK 2"
        );
        assert_eq!(pop(&mut on_b, queue).await.1, "first");
        assert_eq!(pop(&mut on_a, queue).await.1, "second");
    }
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn a_broker_that_lost_its_disk_is_filled_and_works_on() {
    let pair = Pair::new();
    let (a, b) = pair.start_both().await;
    let mut on_a = Client::greeted(a.addresses().nats).await;
    for queue in ["one", "two"] {
        assert_eq!(
            asked(&mut on_a, &format!("QUEUE CREATE {queue}")).await,
            format!("+OK created {queue}")
        );
        for number in 1..=20 {
            let pushed = asked(&mut on_a, &format!("PUSH {queue} m{number}")).await;
            assert_eq!(pushed, format!("+OK {number}"));
        }
    }
    b.shutdown().await;
    std::fs::remove_dir_all(pair.dir.path().join("b")).unwrap();
    let b = pair.start("b").await;
    ready(&a).await;
    ready(&b).await;
    a.shutdown().await;
    let a = pair.start("a").await;
    ready(&a).await;
    ready(&b).await;
    let mut on_b = Client::greeted(b.addresses().nats).await;
    for queue in ["one", "two"] {
        assert_eq!(
            asked(&mut on_b, &format!("PUSH {queue} m21")).await,
            "+OK 21"
        );
        for number in 1..=21 {
            assert_eq!(pop(&mut on_b, queue).await.1, format!("m{number}"));
        }
    }
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn a_topic_is_followed_across_brokers() {
    let pair = Pair::new();
    let (a, b) = pair.start_both().await;
    let mut on_a = Client::greeted(a.addresses().nats).await;
    let mut on_b = Client::greeted(b.addresses().nats).await;
    assert_eq!(
        asked(&mut on_a, "TOPIC CREATE news").await,
        "+OK created news"
    );
    assert_eq!(asked(&mut on_a, "POST news one").await, "+OK 1");
    assert_eq!(asked(&mut on_b, "FOLLOW news").await, "+OK following news");
    on_b.expect(&["MSG news 1 3", "one"]).await;
    for number in 2..=300 {
        assert_eq!(
            asked(&mut on_a, &format!("POST news n{number}")).await,
            format!("+OK {number}")
        );
        let text = format!("n{number}");
        on_b.expect(&[&format!("MSG news {number} {}", text.len()), &text])
            .await;
    }
    a.shutdown().await;
    b.shutdown().await;
}
