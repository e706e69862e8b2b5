//! Two brokers in one process, over real sockets and files.

mod support;

use support::{Client, Pair, get, ready};
use tokio::time::timeout;

#[tokio::test]
async fn a_subscriber_on_one_broker_hears_a_publisher_on_the_other() {
    let pair = Pair::new();
    let (a, b) = pair.start_both().await;
    let mut on_a = Client::connected(a.addresses().nats).await;
    let mut on_b = Client::connected(b.addresses().nats).await;
    on_a.send("SUB from.b.* 1").await;
    on_b.send("SUB from.a.* 2").await;
    on_a.publish_until_heard("from.a.x", &mut on_b).await;
    on_b.publish_until_heard("from.b.x", &mut on_a).await;
    on_b.send_bytes(b"HPUB from.b.y back 17 22\r\nNATS/1.0\r\nA:1\r\n\r\nhello\r\n")
        .await;
    on_a.expect(&["HMSG from.b.y 1 back 17 22", "NATS/1.0", "A:1", "", "hello"])
        .await;
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn a_request_and_its_answer_cross_the_link_without_waiting_for_interest() {
    let pair = Pair::new();
    let (a, b) = pair.start_both().await;
    let mut responder = Client::connected(b.addresses().nats).await;
    let mut asker = Client::connected(a.addresses().nats).await;
    responder.send("SUB ask 1").await;
    asker.publish_until_heard("ask", &mut responder).await;
    for round in 0..100 {
        let inbox = format!("inbox.{round}");
        asker
            .send_bytes(format!("SUB {inbox} 7\r\nPUB ask {inbox} 1\r\n?\r\n").as_bytes())
            .await;
        responder
            .expect(&[&format!("MSG ask 1 {inbox} 1"), "?"])
            .await;
        responder.send(&format!("PUB {inbox} 1\r\n!")).await;
        asker.expect(&[&format!("MSG {inbox} 7 1"), "!"]).await;
        asker.send("UNSUB 7").await;
    }
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn a_queue_group_takes_each_message_once_and_near_the_publisher_if_it_can() {
    let pair = Pair::new();
    let (a, b) = pair.start_both().await;
    let mut far = Client::connected(b.addresses().nats).await;
    far.send("SUB jobs workers 1").await;
    let mut publisher = Client::connected(a.addresses().nats).await;
    publisher.publish_until_heard("jobs", &mut far).await;
    let mut near = Client::connected(a.addresses().nats).await;
    near.send("SUB jobs workers 2").await;
    near.round_trip().await;
    publisher
        .send_bytes(b"PUB jobs 1\r\nx\r\nPUB jobs 1\r\ny\r\n")
        .await;
    near.expect(&["MSG jobs 2 1", "x", "MSG jobs 2 1", "y"])
        .await;
    far.round_trip().await;
    drop(near);
    publisher.publish_until_heard("jobs", &mut far).await;
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn a_lost_broker_is_noticed_and_its_return_heals_the_link() {
    let pair = Pair::new();
    let (a, b) = pair.start_both().await;
    let monitor = a.addresses().monitor.unwrap();
    assert_eq!(get(monitor, "/healthz").await.0, 200);
    let mut on_a = Client::connected(a.addresses().nats).await;
    on_a.send("SUB news 1").await;
    b.shutdown().await;
    let noticed = async {
        loop {
            let (status, body) = get(monitor, "/healthz").await;
            if status == 503 {
                return body;
            }
        }
    };
    let body = timeout(support::PATIENCE, noticed).await.unwrap();
    assert!(body.contains("no link to the other broker"), "{body}");
    let b = pair.start("b").await;
    ready(&a).await;
    ready(&b).await;
    let mut on_b = Client::connected(b.addresses().nats).await;
    on_b.publish_until_heard("news", &mut on_a).await;
    a.shutdown().await;
    let a = pair.start("a").await;
    ready(&a).await;
    ready(&b).await;
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn work_for_an_absent_broker_is_refused_at_once() {
    let pair = Pair::new();
    let a = pair.start("a").await;
    let mut client = Client::greeted(a.addresses().nats).await;
    client.send("QUEUE CREATE jobs").await;
    let answer = client.line().await;
    assert!(answer.starts_with("-ERR '"), "{answer}");
    assert!(answer.contains("peer away"), "{answer}");
    a.shutdown().await;
}
