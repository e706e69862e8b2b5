//! One broker, raw sockets: what the server does around the engine.

mod support;

use relevo_broker::Listen;
use support::{Client, PATIENCE, TestDir, get, single};
use tokio::time::timeout;

#[tokio::test]
async fn a_message_reaches_plain_wildcard_and_one_of_each_queue_group() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let nats = broker.addresses().nats;
    let mut subscriber = Client::connected(nats).await;
    subscriber
        .send_bytes(
            b"SUB a.b 1\r\nSUB a.* 2\r\nSUB > 3\r\nSUB a.b q 4\r\nSUB a.> q 5\r\nSUB a.c 6\r\n",
        )
        .await;
    subscriber.round_trip().await;
    let mut publisher = Client::connected(nats).await;
    publisher.send_bytes(b"PUB a.b back 5\r\nhello\r\n").await;
    publisher.round_trip().await;
    subscriber.send("PING").await;
    let mut heads = Vec::new();
    loop {
        match subscriber.line().await.as_str() {
            "PONG" => break,
            "hello" => {}
            head => heads.push(head.to_owned()),
        }
    }
    heads.sort();
    let queue = heads.pop().unwrap();
    assert_eq!(
        heads,
        ["MSG a.b 1 back 5", "MSG a.b 2 back 5", "MSG a.b 3 back 5"]
    );
    assert!(
        ["MSG a.b 4 back 5", "MSG a.b 5 back 5"].contains(&queue.as_str()),
        "{queue}"
    );
    broker.shutdown().await;
}

#[tokio::test]
async fn messages_to_a_queue_group_are_spread_over_its_members() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let mut client = Client::connected(broker.addresses().nats).await;
    client.send_bytes(b"SUB a q 1\r\nSUB a q 2\r\n").await;
    client
        .send_bytes("PUB a 0\r\n\r\n".repeat(200).as_bytes())
        .await;
    client.send("PING").await;
    let mut counts = [0; 2];
    loop {
        match client.line().await.as_str() {
            "PONG" => break,
            "MSG a 1 0" => counts[0] += 1,
            "MSG a 2 0" => counts[1] += 1,
            "" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(counts.iter().sum::<i32>(), 200);
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    broker.shutdown().await;
}

#[tokio::test]
async fn a_subscription_ends_after_the_messages_that_it_asked_for_and_its_sid_is_free() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let nats = broker.addresses().nats;
    let mut client = Client::connected(nats).await;
    client.send_bytes(b"SUB a 1\r\nUNSUB 1 2\r\n").await;
    client.round_trip().await;
    let mut publisher = Client::connected(nats).await;
    publisher
        .send_bytes(b"PUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\n")
        .await;
    publisher.round_trip().await;
    client.expect(&["MSG a 1 1", "1", "MSG a 1 1", "2"]).await;
    client.send("SUB b 1").await;
    client.round_trip().await;
    publisher
        .send_bytes(b"PUB a 1\r\n4\r\nPUB b 1\r\n5\r\n")
        .await;
    client.expect(&["MSG b 1 1", "5"]).await;
    client.send_bytes(b"UNSUB 1 1\r\n").await;
    client.round_trip().await;
    publisher.send_bytes(b"PUB b 1\r\n6\r\n").await;
    publisher.round_trip().await;
    client.round_trip().await;
    broker.shutdown().await;
}

#[tokio::test]
async fn a_request_that_nobody_listens_for_is_answered_at_once() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let mut client = Client::connected(broker.addresses().nats).await;
    client
        .send_bytes(b"SUB inbox 9\r\nPUB nobody inbox 0\r\n\r\n")
        .await;
    client
        .expect(&[
            "HMSG inbox 9 38 38",
            "NATS/1.0 503",
            "Nats-Subject: nobody",
            "",
            "",
        ])
        .await;
    client.round_trip().await;
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_without_echo_does_not_hear_itself_and_one_without_headers_gets_none() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let nats = broker.addresses().nats;
    let mut silent = Client::greeted(nats).await;
    silent
        .send(r#"CONNECT {"verbose":false,"echo":false,"headers":true}"#)
        .await;
    silent.send_bytes(b"SUB a 1\r\n").await;
    let mut bare = Client::greeted(nats).await;
    bare.send(r#"CONNECT {"verbose":false}"#).await;
    bare.send("SUB a 1").await;
    bare.round_trip().await;
    silent
        .send_bytes(b"HPUB a 17 18\r\nNATS/1.0\r\nA:1\r\n\r\nx\r\n")
        .await;
    bare.send("PING").await;
    silent.round_trip().await;
    let mut lines = [bare.line().await, bare.line().await, bare.line().await];
    lines.sort();
    assert_eq!(lines, ["MSG a 1 1", "PONG", "x"]);
    broker.shutdown().await;
}

#[tokio::test]
async fn answers_come_in_the_order_of_what_they_answer() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let mut client = Client::greeted(broker.addresses().nats).await;
    client
        .send_bytes(b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\nPUB a..b 0\r\n\r\n")
        .await;
    client
        .expect(&[
            "+OK",
            "+OK",
            "MSG a 1 1",
            "x",
            "PONG",
            "-ERR 'Invalid Publish Subject'",
        ])
        .await;
    broker.shutdown().await;
}

#[tokio::test]
async fn info_tells_the_truth_about_this_broker() {
    let dir = TestDir::new();
    let broker = single(&dir, |config| config.limits.max_payload_bytes = 1000).await;
    let client = Client::greeted(broker.addresses().nats).await;
    assert_eq!(client.info["server_name"], "a");
    assert_eq!(client.info["max_payload"], 1000);
    assert_eq!(client.info["port"], broker.addresses().nats.port());
    assert_eq!(client.info["headers"], true);
    assert_eq!(client.info["jetstream"], true);
    assert_eq!(client.info["client_id"], 1);
    assert_eq!(client.info["client_ip"], "127.0.0.1");
    broker.shutdown().await;
}

#[tokio::test]
async fn a_payload_over_the_limit_is_told_before_the_connection_closes() {
    let dir = TestDir::new();
    let broker = single(&dir, |config| config.limits.max_payload_bytes = 1000).await;
    let mut client = Client::connected(broker.addresses().nats).await;
    let mut bytes = b"PUB a 100000\r\n".to_vec();
    bytes.resize(100_000, b'x');
    client.send_bytes(&bytes).await;
    assert_eq!(client.rest().await, "-ERR 'Maximum Payload Violation'\r\n");
    broker.shutdown().await;
}

#[tokio::test]
async fn large_messages_cross_in_both_directions_unchanged() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let nats = broker.addresses().nats;
    let mut subscriber = Client::connected(nats).await;
    subscriber.send("SUB a 1").await;
    subscriber.round_trip().await;
    let mut publisher = Client::connected(nats).await;
    for len in [4095, 4096, 100_000, 1_048_576] {
        let payload = "x".repeat(len);
        publisher.send(&format!("PUB a {len}\r\n{payload}")).await;
        subscriber
            .expect(&[&format!("MSG a 1 {len}"), &payload])
            .await;
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn a_slow_consumer_is_cut_off_and_counted_and_others_go_on() {
    let dir = TestDir::new();
    let broker = single(&dir, |config| {
        config.limits.max_payload_bytes = 64 * 1024;
        config.limits.max_pending_bytes = 64 * 1024;
        config.monitor = Some(Listen::from("127.0.0.1:0"));
    })
    .await;
    let nats = broker.addresses().nats;
    let mut slow = Client::connected(nats).await;
    slow.send("SUB a 1").await;
    slow.round_trip().await;
    let mut publisher = Client::connected(nats).await;
    let message = format!("PUB a 60000\r\n{}\r\n", "x".repeat(60_000));
    for _ in 0..400 {
        publisher.send_bytes(message.as_bytes()).await;
    }
    publisher.round_trip().await;
    assert!(slow.rest().await.ends_with("-ERR 'Slow Consumer'\r\n"));
    let (status, varz) = get(broker.addresses().monitor.unwrap(), "/varz").await;
    assert_eq!(status, 200);
    let varz: serde_json::Value = serde_json::from_str(&varz).unwrap();
    assert_eq!(varz["slow_consumers"], 1);
    broker.shutdown().await;
}

#[tokio::test]
async fn connections_over_the_limit_are_refused_with_a_reason() {
    let dir = TestDir::new();
    let broker = single(&dir, |config| config.limits.max_connections = 1).await;
    let nats = broker.addresses().nats;
    let first = Client::connected(nats).await;
    let mut socket = tokio::net::TcpStream::connect(nats).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer)
        .await
        .unwrap();
    assert_eq!(answer, "-ERR 'maximum connections exceeded'\r\n");
    drop(first);
    broker.shutdown().await;
}

#[tokio::test]
async fn health_is_ok_when_all_shards_take_writes() {
    let dir = TestDir::new();
    let broker = single(&dir, |config| {
        config.monitor = Some(Listen::from("127.0.0.1:0"))
    })
    .await;
    let monitor = broker.addresses().monitor.unwrap();
    assert_eq!(
        get(monitor, "/healthz").await,
        (200, r#"{"status":"ok"}"#.to_owned())
    );
    broker.shutdown().await;
}

#[tokio::test]
async fn a_stop_tells_clients_and_ends_everything() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let mut client = Client::connected(broker.addresses().nats).await;
    broker.shutdown().await;
    assert_eq!(client.rest().await, "-ERR 'Server Shutdown'\r\n");
    single(&dir, |_| {}).await.shutdown().await;
}

#[tokio::test]
async fn verbs_that_ask_nothing_are_answered_in_their_turn() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let mut client = Client::greeted(broker.addresses().nats).await;
    client
        .send_bytes(b"STATUS\r\nnonsense\r\nPING\r\nQUIT\r\n")
        .await;
    let status = client.line().await;
    let count: usize = status.strip_prefix("+OK ").unwrap().parse().unwrap();
    assert!(client.line().await.starts_with("broker a up "), "{status}");
    for _ in 1..count {
        client.line().await;
    }
    assert!(client.line().await.starts_with("-ERR 'Unknown verb"));
    client.expect(&["PONG"]).await;
    assert!(client.rest().await.starts_with("+OK"));
    broker.shutdown().await;
}

#[tokio::test]
async fn a_client_that_closed_its_half_and_then_broke_is_not_served_until_its_verb_is_over() {
    let dir = TestDir::new();
    let broker = single(&dir, |config| {
        config.monitor = Some(Listen::from("127.0.0.1:0"));
    })
    .await;
    let monitor = broker.addresses().monitor.unwrap();
    let mut client = Client::greeted(broker.addresses().nats).await;
    client
        .send_bytes(b"QUEUE CREATE jobs\r\nPOP jobs wait=1h\r\n")
        .await;
    client.expect(&["+OK created jobs"]).await;
    client.end_input().await;
    client.reset();
    let gone = async {
        loop {
            let (_, body) = get(monitor, "/varz").await;
            let varz: serde_json::Value = serde_json::from_str(&body).unwrap();
            if varz["connections"] == 0 {
                return;
            }
        }
    };
    timeout(PATIENCE, gone).await.expect("the connection ends");
    broker.shutdown().await;
}

#[tokio::test]
async fn the_brokers_stop_does_not_wait_for_verbs_of_a_client_that_closed_its_half() {
    let dir = TestDir::new();
    let broker = single(&dir, |_| {}).await;
    let mut client = Client::greeted(broker.addresses().nats).await;
    client
        .send_bytes(b"QUEUE CREATE jobs\r\nPOP jobs wait=1h\r\n")
        .await;
    client.expect(&["+OK created jobs"]).await;
    client.end_input().await;
    broker.shutdown().await;
    assert_eq!(client.rest().await, "-ERR 'Server Shutdown'\r\n");
}
