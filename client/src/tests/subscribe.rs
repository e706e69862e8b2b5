use futures_util::StreamExt;

use super::mock::Mock;
use crate::error::SubscribeError;
use crate::status::Event;
use crate::subscriber::Subscriber;
use relevo_protocol::subject::SubjectError;

async fn payload(subscriber: &mut Subscriber) -> String {
    let message = subscriber.next().await.unwrap();
    String::from_utf8(message.payload().to_vec()).unwrap()
}

#[tokio::test]
async fn messages_reach_the_subscription_that_they_are_for() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut all = client.subscribe("a.>").await.unwrap();
    let mut group = client.queue_subscribe("a.*", "workers").await.unwrap();
    peer.expect("SUB a.> 2").await;
    peer.expect("SUB a.* workers 3").await;
    peer.say("MSG a.b 2 2\r\nm1\r\nMSG a.b 3 reply.to 2\r\nm2\r\nMSG a.c.d 2 2\r\nm3\r\n")
        .await;
    peer.deliver_with("a.b", "3", "NATS/1.0\r\nA: b\r\n\r\n", "m4")
        .await;
    assert_eq!(payload(&mut all).await, "m1");
    let message = all.next().await.unwrap();
    assert_eq!(
        (message.subject(), message.reply(), message.payload_slice()),
        ("a.c.d", None, b"m3".as_slice())
    );
    let message = group.next().await.unwrap();
    assert_eq!(
        (message.subject(), message.reply(), message.payload_slice()),
        ("a.b", Some("reply.to"), b"m2".as_slice())
    );
    let message = StreamExt::next(&mut group).await.unwrap();
    assert_eq!(message.headers().unwrap().unwrap().get("A"), Some("b"));
    assert_eq!(
        (message.status(), message.payload_slice()),
        (None, b"m4".as_slice())
    );
    assert!(all.try_next().is_none());
}

#[tokio::test]
async fn what_is_no_filter_is_refused() {
    let mock = Mock::new().await;
    let (client, _peer) = mock.client().await;
    let empty_token = SubscribeError::InvalidFilter(SubjectError::EmptyToken);
    assert_eq!(client.subscribe("a..b").await.unwrap_err(), empty_token);
    let blank = SubscribeError::InvalidFilter(SubjectError::ForbiddenCharacter);
    assert_eq!(
        client.queue_subscribe("a", "my group").await.unwrap_err(),
        blank
    );
}

#[tokio::test]
async fn a_dropped_subscriber_is_unsubscribed() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    drop(client.subscribe("a").await.unwrap());
    let mut kept = client.subscribe("b").await.unwrap();
    peer.expect("SUB a 2").await;
    peer.expect("UNSUB 2").await;
    peer.expect("SUB b 3").await;
    peer.deliver("a", "2", "", "late").await;
    peer.deliver("b", "3", "", "last").await;
    assert_eq!(payload(&mut kept).await, "last");
    kept.unsubscribe();
    peer.expect("UNSUB 3").await;
    assert!(kept.next().await.is_none());
}

#[tokio::test]
async fn a_subscription_ends_after_as_many_messages_as_were_asked_for() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut subscriber = client.subscribe("a").await.unwrap();
    subscriber.unsubscribe_after(2);
    peer.expect("SUB a 2").await;
    peer.expect("UNSUB 2 2").await;
    for text in ["m1", "m2", "m3"] {
        peer.deliver("a", "2", "", text).await;
    }
    assert_eq!(payload(&mut subscriber).await, "m1");
    assert_eq!(payload(&mut subscriber).await, "m2");
    assert!(subscriber.next().await.is_none());
    assert!(client.shared().feed(2).is_none());
}

#[tokio::test]
async fn messages_over_the_capacity_are_dropped_counted_and_told() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock
        .client_with(mock.options().subscription_capacity(2, 1024))
        .await;
    let mut events = client.events();
    let mut subscriber = client.subscribe("a").await.unwrap();
    peer.expect("SUB a 2").await;
    peer.say(&"MSG a 2 1\r\nx\r\n".repeat(5)).await;
    peer.say(&format!("MSG a 2 2000\r\n{}\r\nPING\r\n", "x".repeat(2000)))
        .await;
    peer.expect("PONG").await;
    let mut dropped = 0;
    while dropped < 4 {
        let event = events.recv().await.unwrap();
        let Event::Lagged {
            subscription: 2,
            dropped: more,
        } = event
        else {
            panic!("{event:?}")
        };
        dropped += more;
    }
    assert_eq!(
        (dropped, subscriber.lagged(), subscriber.lagged()),
        (4, 4, 0)
    );
    assert!(subscriber.try_next().is_some() && subscriber.try_next().is_some());
    assert!(subscriber.try_next().is_none());
    peer.deliver("a", "2", "", "room again").await;
    assert_eq!(payload(&mut subscriber).await, "room again");
}

#[tokio::test]
async fn a_large_message_in_many_pieces_is_whole() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut subscriber = client.subscribe("a").await.unwrap();
    peer.expect("SUB a 2").await;
    let large: String = ('a'..='z').cycle().take(3_000_000).collect();
    peer.deliver("a", "2", "", "small").await;
    peer.deliver("a", "2", "", &large).await;
    peer.deliver("a", "2", "", "small").await;
    assert_eq!(payload(&mut subscriber).await, "small");
    assert_eq!(payload(&mut subscriber).await, large);
    assert_eq!(payload(&mut subscriber).await, "small");
}

#[tokio::test]
async fn a_permission_error_is_told_and_the_connection_stays() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut events = client.events();
    let text = "Permissions Violation for Subscription to \"a\"";
    peer.say(&format!("-ERR '{text}'\r\nPING\r\n")).await;
    assert_eq!(
        events.recv().await,
        Ok(Event::ServerError { text: text.into() })
    );
    peer.expect("PONG").await;
}
