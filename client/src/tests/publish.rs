use std::time::Duration;

use relevo_protocol::jetstream::error::{ErrorCode, JetStreamError as Refusal};
use relevo_protocol::subject::{Subject, SubjectError};
use serde_json::json;

use super::mock::{Mock, Published};
use crate::error::{BadAnswer, JetStreamError, Outcome, PublishError, RequestError};
use crate::headers::Headers;

fn published(subject: &str, reply: &str, headers: &str, payload: &str) -> Published {
    Published {
        subject: subject.into(),
        reply: reply.into(),
        headers: headers.into(),
        payload: payload.into(),
    }
}

#[tokio::test]
async fn messages_are_framed_in_the_order_in_which_they_were_published() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut headers = Headers::new();
    headers.append("Trace", "7").unwrap();
    client.publish("a.b", "one").await.unwrap();
    client
        .publish(&Subject::parse("c").unwrap(), Vec::from("two\r\n"))
        .await
        .unwrap();
    client
        .publish_with_headers("d", &headers, "")
        .await
        .unwrap();
    client
        .publish_request("e", "answers.here", None, "three")
        .await
        .unwrap();
    client
        .publish_request(&"f".to_owned(), "answers", Some(&headers), "")
        .await
        .unwrap();
    let block = "NATS/1.0\r\nTrace: 7\r\n\r\n";
    assert_eq!(peer.published().await, published("a.b", "", "", "one"));
    assert_eq!(peer.published().await, published("c", "", "", "two\r\n"));
    assert_eq!(peer.published().await, published("d", "", block, ""));
    assert_eq!(
        peer.published().await,
        published("e", "answers.here", "", "three")
    );
    assert_eq!(peer.published().await, published("f", "answers", block, ""));
}

#[tokio::test]
async fn what_the_server_would_not_take_is_not_sent() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let wildcard = Err(PublishError::InvalidSubject(SubjectError::Wildcard));
    assert_eq!(client.publish("a.*", "").await, wildcard);
    assert_eq!(client.publish_request("a", "b.>", None, "").await, wildcard);
    let too_large = PublishError::TooLarge {
        len: 1_048_577,
        max: 1_048_576,
    };
    assert_eq!(
        client.publish("a", vec![b'x'; 1_048_577]).await,
        Err(too_large)
    );

    peer.say_info(json!({"headers": false, "max_payload": 5}))
        .await;
    peer.say("PING\r\n").await;
    peer.expect("PONG").await;
    let mut headers = Headers::new();
    headers.append("A", "b").unwrap();
    assert_eq!(
        client.publish_with_headers("a", &headers, "").await,
        Err(PublishError::TooLarge { len: 18, max: 5 })
    );
    peer.say_info(json!({"headers": false})).await;
    peer.say("PING\r\n").await;
    peer.expect("PONG").await;
    assert_eq!(
        client.publish_with_headers("a", &headers, "").await,
        Err(PublishError::HeadersNotSupported)
    );
    client.publish("a", "last").await.unwrap();
    assert_eq!(peer.request("a").await.payload, "last");
}

#[tokio::test]
async fn publishers_wait_while_the_server_takes_no_bytes() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock
        .client_with(mock.options().send_timeout(Duration::from_millis(50)))
        .await;
    let payload = vec![b'x'; 1024 * 1024];
    let mut sent = 0;
    let error = loop {
        match client.publish("a", &payload).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1000, "the buffer has no end");
    };
    assert_eq!(error, PublishError::BufferFull);
    for _ in 0..sent {
        assert_eq!(peer.request("a").await.payload.len(), payload.len());
    }
    client.publish("a", "goes on").await.unwrap();
    assert_eq!(peer.request("a").await.payload, "goes on");
}

#[tokio::test]
async fn flush_waits_for_the_pong_behind_all_that_was_published() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    client.publish("a", "x").await.unwrap();
    let flushing = tokio::spawn({
        let client = client.clone();
        async move { client.flush().await }
    });
    peer.request("a").await;
    peer.expect("PING").await;
    assert!(!flushing.is_finished());
    peer.say("PONG\r\n").await;
    assert_eq!(flushing.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_flush_without_a_pong_times_out() {
    let mock = Mock::new().await;
    let (client, _peer) = mock
        .client_with(mock.options().request_timeout(Duration::from_millis(20)))
        .await;
    assert_eq!(client.flush().await, Err(RequestError::TimedOut));
}

#[tokio::test]
async fn a_window_bounds_what_is_under_way_and_answers_come_in_any_order() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let publisher = client.publisher(2);
    let first = publisher.publish("s", None, "1").await.unwrap();
    let second = publisher.publish("s", None, "2").await.unwrap();
    let third = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.publish("s", None, "3").await }
    });
    let (one, two) = (peer.request("s").await, peer.request("s").await);
    assert_ne!(one.reply, two.reply);
    assert!(!third.is_finished());
    peer.answer_json(&two, &json!({"stream": "S", "seq": 2, "duplicate": true}))
        .await;
    let three = peer.request("s").await;
    peer.answer_json(&three, &json!({"stream": "S", "seq": 3}))
        .await;
    peer.answer_json(&one, &json!({"stream": "S", "seq": 1}))
        .await;
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    let third = third.await.unwrap().unwrap().await.unwrap();
    assert_eq!((first.seq, first.duplicate), (1, false));
    assert_eq!((second.seq, second.duplicate), (2, true));
    assert_eq!((third.seq, third.stream.as_str()), (3, "S"));
}

#[tokio::test]
async fn a_place_in_the_window_comes_back_when_nobody_answers_or_listens() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock
        .client_with(mock.options().request_timeout(Duration::from_millis(50)))
        .await;
    let publisher = client.publisher(1);
    drop(publisher.publish("s", None, "forgotten").await.unwrap());
    let unanswered = publisher.publish("s", None, "unanswered").await.unwrap();
    let timed_out = JetStreamError::Request(RequestError::TimedOut);
    assert_eq!(unanswered.await, Err(timed_out.clone()));
    assert_eq!(timed_out.outcome(), Outcome::Unknown);
    assert!(publisher.publish("s", None, "next").await.is_ok());
    for payload in ["forgotten", "unanswered", "next"] {
        assert_eq!(peer.request("s").await.payload, payload);
    }
    assert!(client.shared().pending.len() <= 1);
}

#[tokio::test]
async fn what_is_no_pub_ack_is_told_apart() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut check = async |answer: &str, expected: JetStreamError| {
        let ack = client.stream_publish("s", None, "x").await.unwrap();
        let request = peer.request("s").await;
        match answer {
            "" => peer.answer_no_responders(&request).await,
            status if status.starts_with("NATS") => {
                peer.deliver_with(&request.reply, "1", status, "").await
            }
            json => peer.answer(&request, json).await,
        }
        assert_eq!(ack.await, Err(expected));
    };
    check("", JetStreamError::NoStream).await;
    check("hello", JetStreamError::BadAnswer(BadAnswer::Json)).await;
    let peer_away = JetStreamError::Status {
        code: 503,
        description: "peer away".into(),
    };
    assert!(peer_away.is_try_again());
    check("NATS/1.0 503 peer away\r\n\r\n", peer_away).await;
    let refused = JetStreamError::Refused(Refusal::PeerAway.into());
    assert_eq!(
        (refused.outcome(), refused.is_try_again()),
        (Outcome::NotDone, true)
    );
    let body = json!({"error": refused.refusal(), "stream": "S", "seq": 0}).to_string();
    check(&body, refused.clone()).await;
    let wrong = JetStreamError::Refused(Refusal::WrongLastSequence { seq: 4 }.into());
    assert!(wrong.refusal().unwrap().is(ErrorCode::WrongLastSequence) && !wrong.is_try_again());
    check(
        &json!({"error": wrong.refusal()}).to_string(),
        wrong.clone(),
    )
    .await;
}
