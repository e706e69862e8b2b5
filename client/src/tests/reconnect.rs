use std::time::Duration;

use serde_json::json;

use super::mock::{Mock, Peer};
use crate::client::Client;
use crate::error::{JetStreamError, Outcome, RequestError};
use crate::status::{Event, Status};

const LONG: Duration = Duration::from_secs(10);

async fn lose(client: &Client, peer: Peer) {
    let mut status = client.watch_status();
    status.mark_unchanged();
    drop(peer);
    status
        .wait_for(|status| *status == Status::Disconnected)
        .await
        .unwrap();
}

#[tokio::test]
async fn subscriptions_are_made_again_and_what_ended_is_not() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut all = client.subscribe("a.>").await.unwrap();
    let ended = client.subscribe("b").await.unwrap();
    let _group = client.queue_subscribe("c", "g").await.unwrap();
    let mut limited = client.subscribe("d").await.unwrap();
    limited.unsubscribe_after(5);
    drop(ended);
    for line in [
        "SUB a.> 2",
        "SUB b 3",
        "SUB c g 4",
        "SUB d 5",
        "UNSUB 5 5",
        "UNSUB 3",
    ] {
        peer.expect(line).await;
    }
    for _ in 0..2 {
        peer.deliver("d", "5", "", "x").await;
        limited.next().await.unwrap();
    }
    lose(&client, peer).await;
    let mut peer = mock.welcome().await;
    for line in ["SUB a.> 2", "SUB c g 4", "SUB d 5", "UNSUB 5 3"] {
        peer.expect(line).await;
    }
    limited.unsubscribe_after(4);
    peer.expect("UNSUB 5 2").await;
    peer.deliver("a.b", "2", "", "after").await;
    assert_eq!(all.next().await.unwrap().payload_slice(), b"after");
}

#[tokio::test]
async fn what_waits_for_an_answer_fails_with_an_unknown_outcome() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let ack = client.stream_publish("s", None, "x").await.unwrap();
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.request("q", "", LONG).await }
    });
    let flushing = tokio::spawn({
        let client = client.clone();
        async move { client.flush().await }
    });
    for _ in 0..3 {
        peer.heard().await;
    }
    drop(peer);
    let lost = RequestError::ConnectionLost;
    assert_eq!(lost.outcome(), Outcome::Unknown);
    assert_eq!(asking.await.unwrap().unwrap_err(), lost);
    assert_eq!(flushing.await.unwrap(), Err(lost.clone()));
    assert_eq!(ack.await, Err(JetStreamError::Request(lost)));
    assert_eq!(client.shared().pending.len(), 0);
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    client.publish("a", "before").await.unwrap();
    assert_eq!(peer.request("a").await.payload, "before");
    lose(&client, peer).await;
    let publishing = tokio::spawn({
        let client = client.clone();
        async move { client.publish("a", "meanwhile").await }
    });
    let mut peer = mock.welcome().await;
    assert_eq!(publishing.await.unwrap(), Ok(()));
    client.publish("a", "after").await.unwrap();
    assert_eq!(peer.request("a").await.payload, "meanwhile");
    assert_eq!(peer.request("a").await.payload, "after");
}

#[tokio::test]
async fn the_next_server_is_tried_first_and_all_is_told() {
    let (one, two) = (Mock::new().await, Mock::new().await);
    let (client, peer) = one.client_with(one.options().server(two.address())).await;
    let mut events = client.events();
    drop(peer);
    let _peer = two.welcome().await;
    let disconnected = events.recv().await.unwrap();
    assert!(
        matches!(&disconnected, Event::Disconnected { server, .. } if **server == one.address())
    );
    assert_eq!(
        events.recv().await,
        Ok(Event::Connected {
            server: two.address().into()
        })
    );
}

#[tokio::test]
async fn servers_that_a_server_tells_of_are_used() {
    let (one, two) = (Mock::new().await, Mock::new().await);
    let connecting = tokio::spawn(one.options().connect());
    let mut peer = one.accept().await;
    peer.greet(json!({"connect_urls": [two.address()]})).await;
    let client = connecting.await.unwrap().unwrap();
    drop(one);
    drop(peer);
    let _peer = two.welcome().await;
    let mut status = client.watch_status();
    status
        .wait_for(|status| *status == Status::Connected)
        .await
        .unwrap();
}

#[tokio::test]
async fn it_goes_on_trying_until_a_server_takes_it() {
    let mock = Mock::new().await;
    let (client, peer) = mock.client().await;
    let mut events = client.events();
    drop(peer);
    for _ in 0..3 {
        drop(mock.accept().await);
    }
    let _peer = mock.welcome().await;
    let mut failures = 0;
    loop {
        match events.recv().await.unwrap() {
            Event::ConnectFailed { .. } => failures += 1,
            Event::Connected { .. } => break,
            Event::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(failures, 3);
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_or_refuses_is_left() {
    for (said, reason) in [
        ("NONSENSE\r\n", "broke the protocol"),
        ("MSG a x 1\r\ny\r\n", "broke the protocol"),
        ("-ERR 'Stale Connection'\r\n", "Stale Connection"),
    ] {
        let mock = Mock::new().await;
        let (client, mut peer) = mock.client().await;
        let mut events = client.events();
        peer.say(said).await;
        let event = events.recv().await.unwrap();
        let Event::Disconnected { reason: told, .. } = &event else {
            panic!("{event:?}")
        };
        assert!(told.contains(reason), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_any_more_is_left() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock
        .client_with(mock.options().ping_interval(Duration::from_millis(100)))
        .await;
    let mut events = client.events();
    for _ in 0..3 {
        peer.expect("PING").await;
        peer.say("PONG\r\n").await;
    }
    let event = events.recv().await.unwrap();
    assert!(
        matches!(&event, Event::Disconnected { reason, .. } if reason.contains("nothing")),
        "{event:?}"
    );
}

#[tokio::test]
async fn a_lame_duck_is_told() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut events = client.events();
    peer.say_info(json!({"ldm": true})).await;
    assert_eq!(
        events.recv().await,
        Ok(Event::LameDuck {
            server: mock.address().into()
        })
    );
}
