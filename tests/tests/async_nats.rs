//! The stock Rust client, async-nats, against a running pair: it needs nothing that relevo does not have.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use async_nats::jetstream::{self, AckKind};
use async_nats::{Client, HeaderMap, RequestErrorKind, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use relevo_tests::harness::{Telnet, Up, WAIT_MAX};

async fn connect(address: &str) -> Client {
    async_nats::connect(address)
        .await
        .expect("a client connects")
}

async fn next(subscriber: &mut Subscriber) -> async_nats::Message {
    tokio::time::timeout(WAIT_MAX, subscriber.next())
        .await
        .expect("it comes in time")
        .expect("the subscription goes on")
}

#[tokio::test(flavor = "multi_thread")]
async fn core_nats() {
    let up = Up::start(&[]);
    let client = connect(&up.brokers[0]).await;
    let mut star = client.subscribe("weather.*").await.expect("subscribed");
    let mut rest = client.subscribe("weather.>").await.expect("subscribed");
    client
        .publish("weather.north", "cold".into())
        .await
        .expect("published");
    client
        .publish("weather.north.sea", "wet".into())
        .await
        .expect("published");
    client
        .publish("weather.south", "warm".into())
        .await
        .expect("published");
    assert_eq!(next(&mut star).await.payload, "cold");
    assert_eq!(next(&mut star).await.payload, "warm");
    for expected in ["cold", "wet", "warm"] {
        assert_eq!(next(&mut rest).await.payload, expected);
    }

    let mut headers = HeaderMap::new();
    headers.insert("App", "shop");
    headers.append("App", "bar");
    client
        .publish_with_headers("weather.told", headers, "x".into())
        .await
        .expect("published");
    let told = next(&mut star).await;
    let values: Vec<_> = told
        .headers
        .as_ref()
        .expect("headers")
        .get_all("App")
        .map(ToString::to_string)
        .collect();
    assert_eq!(values, ["shop", "bar"]);

    let mut service = client
        .queue_subscribe("adder", "adders".to_owned())
        .await
        .expect("subscribed");
    let mut other = client
        .queue_subscribe("adder", "adders".to_owned())
        .await
        .expect("subscribed");
    let answering = tokio::spawn({
        let client = client.clone();
        async move {
            for _ in 0..20 {
                let request = tokio::select! {
                    request = next(&mut service) => request,
                    request = next(&mut other) => request,
                };
                let reply = request.reply.expect("a request has a reply subject");
                client
                    .publish(reply, request.payload)
                    .await
                    .expect("answered");
            }
        }
    });
    for number in 0..20 {
        let answer = client
            .request("adder", number.to_string().into())
            .await
            .expect("answered");
        assert_eq!(answer.payload, number.to_string());
    }
    answering.await.expect("the service does not panic");
    let nobody = client
        .request("nobody.listens", Bytes::new())
        .await
        .expect_err("nobody answers");
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
    assert!(client.flush().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_a_stream_with_a_consumer() {
    let up = Up::start(&[]);
    Telnet::connect(&up.nats).expect("QUEUE CREATE jobs", "+OK created jobs");
    let js = jetstream::new(connect(&up.nats).await);
    let ack = js
        .publish("$Q.jobs", "one".into())
        .await
        .expect("sent")
        .await
        .expect("acknowledged");
    assert_eq!(
        (ack.stream.as_str(), ack.sequence, ack.duplicate),
        ("Q_jobs", 1, false)
    );
    for expected in [false, true] {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", "order-17");
        let ack = js
            .publish_with_headers("$Q.jobs", headers, "two".into())
            .await
            .expect("sent");
        let ack = ack.await.expect("acknowledged");
        assert_eq!((ack.sequence, ack.duplicate), (2, expected));
    }

    let stream = js.get_stream("Q_jobs").await.expect("a stream");
    let workers: PullConsumer = stream.get_consumer("workers").await.expect("a consumer");
    let mut batch = workers
        .batch()
        .max_messages(2)
        .expires(Duration::from_secs(1))
        .messages()
        .await
        .expect("pulled");
    let first = batch.next().await.expect("a message").expect("a message");
    assert_eq!(first.payload, "one");
    assert_eq!(first.info().expect("a delivery").stream_sequence, 1);
    first.double_ack().await.expect("acknowledged durably");
    let second = batch.next().await.expect("a message").expect("a message");
    second
        .ack_with(AckKind::Nak(None))
        .await
        .expect("given back");
    drop(batch);

    let mut again = workers
        .fetch()
        .max_messages(1)
        .messages()
        .await
        .expect("pulled");
    let second = match again.next().await {
        Some(message) => message.expect("a message"),
        // The nak may not have arrived yet when nothing is waited for.
        None => {
            let mut waiting = workers
                .batch()
                .max_messages(1)
                .expires(WAIT_MAX)
                .messages()
                .await
                .expect("pulled");
            waiting.next().await.expect("a message").expect("a message")
        }
    };
    assert_eq!(
        (
            second.payload.as_ref(),
            second.info().expect("a delivery").delivered
        ),
        (b"two".as_slice(), 2)
    );
    second.double_ack().await.expect("acknowledged durably");
    let mut stream = js.get_stream("Q_jobs").await.expect("a stream");
    assert_eq!(stream.info().await.expect("told").state.messages, 0);
    let empty = workers
        .fetch()
        .max_messages(1)
        .messages()
        .await
        .expect("pulled")
        .next()
        .await;
    assert!(empty.is_none(), "{empty:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_consumers_are_made_and_managed() {
    let up = Up::start(&[]);
    let js = jetstream::new(connect(&up.brokers[1]).await);
    let config = Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        retention: RetentionPolicy::Limits,
        max_messages: 1_000,
        ..Config::default()
    };
    let mut stream = js.create_stream(config.clone()).await.expect("created");
    assert_eq!(
        stream.info().await.expect("told").config.subjects,
        ["orders.>"]
    );
    js.create_stream(config.clone())
        .await
        .expect("the same again");
    let other = js
        .create_stream(Config {
            max_messages: 7,
            ..config.clone()
        })
        .await
        .expect_err("another one");
    assert!(
        matches!(other.kind(), CreateStreamErrorKind::JetStream(_)),
        "{other}"
    );
    for number in 1..=5_u64 {
        let ack = js
            .publish(format!("orders.{number}"), number.to_string().into())
            .await
            .expect("sent");
        assert_eq!(ack.await.expect("acknowledged").sequence, number);
    }
    let nowhere = js.publish("nowhere", "x".into()).await.expect("sent").await;
    assert!(nowhere.is_err(), "no stream takes this subject");

    let durable = pull::Config {
        durable_name: Some("billing".to_owned()),
        ack_policy: AckPolicy::Explicit,
        filter_subject: "orders.>".to_owned(),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(durable).await.expect("created");
    let mut messages = consumer.messages().await.expect("pulled");
    for number in 1..=5_u64 {
        let message = tokio::time::timeout(WAIT_MAX, messages.next())
            .await
            .expect("it comes in time");
        let message = message.expect("goes on").expect("a message");
        assert_eq!(message.payload, number.to_string());
        message.double_ack().await.expect("acknowledged");
    }
    drop(messages);
    let mut consumer: PullConsumer = stream.get_consumer("billing").await.expect("a consumer");
    let info = consumer.info().await.expect("told");
    assert_eq!(
        (
            info.num_pending,
            info.num_ack_pending,
            info.ack_floor.stream_sequence
        ),
        (0, 0, 5)
    );

    let third = stream.get_raw_message(3).await.expect("a message");
    assert_eq!(
        (third.subject.as_str(), third.payload.as_ref()),
        ("orders.3", b"3".as_slice())
    );
    let last = stream
        .get_last_raw_message_by_subject("orders.5")
        .await
        .expect("a message");
    assert_eq!(last.sequence, 5);
    assert!(stream.delete_message(3).await.expect("deleted"));
    assert!(stream.get_raw_message(3).await.is_err(), "it is gone");
    let purged = stream.purge().await.expect("purged");
    assert_eq!(purged.purged, 4);
    assert_eq!(stream.info().await.expect("told").state.last_sequence, 5);
    let names: Vec<_> = js
        .stream_names()
        .map(|name| name.expect("a name"))
        .collect()
        .await;
    assert_eq!(names, ["ORDERS"]);
    assert!(
        stream
            .delete_consumer("billing")
            .await
            .expect("deleted")
            .success
    );
    assert!(js.delete_stream("ORDERS").await.expect("deleted").success);
    assert!(js.get_stream("ORDERS").await.is_err(), "it is gone");
}
