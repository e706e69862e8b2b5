use std::time::Duration;

use relevo_protocol::subject::SubjectError;

use super::mock::Mock;
use crate::error::{Outcome, PublishError, RequestError};
use crate::headers::Headers;

const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn each_answer_meets_its_request() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut headers = Headers::new();
    headers.append("A", "b").unwrap();
    let (first, second, ()) = tokio::join!(
        client.request("q", "1", LONG),
        client.request_with_headers("q", &headers, "2", LONG),
        async {
            let (one, two) = (peer.request("q").await, peer.request("q").await);
            assert_eq!((one.payload.as_str(), two.payload.as_str()), ("1", "2"));
            assert_eq!(two.headers, "NATS/1.0\r\nA: b\r\n\r\n");
            peer.answer(&two, "to 2").await;
            peer.answer(&one, "to 1").await;
            peer.answer(&one, "again").await;
        }
    );
    assert_eq!(first.unwrap().payload_slice(), b"to 1");
    assert_eq!(second.unwrap().payload_slice(), b"to 2");
    assert_eq!(client.shared().pending.len(), 0);
}

#[tokio::test]
async fn a_request_that_nobody_listens_for_says_so_at_once() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let (answer, ()) = tokio::join!(client.request("q", "", LONG), async {
        let request = peer.request("q").await;
        peer.answer_no_responders(&request).await;
    });
    let error = answer.unwrap_err();
    assert_eq!(
        (error.outcome(), error),
        (Outcome::NotDone, RequestError::NoResponders)
    );
}

#[tokio::test]
async fn a_late_answer_does_not_meet_a_later_request() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let late = client
        .request("q", "late", Duration::from_millis(20))
        .await
        .unwrap_err();
    assert_eq!(
        (late.outcome(), late),
        (Outcome::Unknown, RequestError::TimedOut)
    );
    let (answer, ()) = tokio::join!(client.request("q", "next", LONG), async {
        let (late, next) = (peer.request("q").await, peer.request("q").await);
        assert_ne!(late.reply, next.reply);
        peer.answer(&late, "for late").await;
        peer.answer(&next, "for next").await;
    });
    assert_eq!(answer.unwrap().payload_slice(), b"for next");
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_nothing_behind() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.request("q", "", LONG).await }
    });
    peer.request("q").await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    assert_eq!(client.shared().pending.len(), 0);
}

#[tokio::test]
async fn a_request_that_is_not_valid_is_not_sent() {
    let mock = Mock::new().await;
    let (client, _peer) = mock.client().await;
    let error = client.request("q.*", "", LONG).await.unwrap_err();
    assert_eq!(
        error,
        RequestError::Unsent(PublishError::InvalidSubject(SubjectError::Wildcard))
    );
    assert_eq!(client.shared().pending.len(), 0);
}
