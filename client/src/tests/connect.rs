use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use super::mock::{Mock, within};
use crate::error::{ConnectErrorKind, PublishError, RequestError, SubscribeError};
use crate::options::ConnectOptions;
use crate::status::{Event, Status};

#[tokio::test]
async fn connect_says_who_it_is_and_waits_for_the_pong() {
    let mock = Mock::new().await;
    let options = mock
        .options()
        .name("tester")
        .user("alice", "secret")
        .without_echo();
    let (client, peer) = mock.client_with(options).await;
    assert_eq!(client.status(), Status::Connected);
    let hello = &peer.hello;
    let expected = json!([
        false, false, true, true, "tester", "alice", "secret", false, 1
    ]);
    let said = [
        "verbose",
        "pedantic",
        "headers",
        "no_responders",
        "name",
        "user",
        "pass",
        "echo",
        "protocol",
    ];
    assert_eq!(json!(said.map(|field| hello[field].clone())), expected);
    assert_eq!(client.server_info().unwrap().server_id, "S");
}

#[tokio::test]
async fn operations_may_come_in_any_pieces_and_behind_the_pong() {
    let mock = Mock::new().await;
    let connecting = tokio::spawn(mock.options().connect());
    let mut peer = mock.accept().await;
    peer.say("IN").await;
    peer.say("FO {\"max_payload\":10,\"headers\":true}\r\n")
        .await;
    assert!(peer.line().await.starts_with("CONNECT {"));
    peer.expect("PING").await;
    peer.say("PONG\r\nPING\r\n").await;
    let client = connecting.await.unwrap().unwrap();
    peer.expect_answers_sub().await;
    peer.expect("PONG").await;
    assert_eq!(
        client.publish("a", [0; 11]).await,
        Err(PublishError::TooLarge { len: 11, max: 10 })
    );
}

#[tokio::test]
async fn the_first_server_that_takes_the_client_is_taken() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone_address = gone.local_addr().unwrap().to_string();
    drop(gone);
    let mock = Mock::new().await;
    let options = ConnectOptions::new()
        .server(gone_address)
        .server(mock.address());
    let (client, _peer) = mock.client_with(options).await;
    assert_eq!(client.status(), Status::Connected);
}

#[track_caller]
fn check_kind(kind: &ConnectErrorKind, expected: &str) {
    let shown = format!("{kind:?}");
    assert!(shown.starts_with(expected), "{shown}");
}

async fn check_greeting(greeting: &str, expected: &str) {
    let mock = Mock::new().await;
    let connecting = tokio::spawn(
        mock.options()
            .connect_timeout(Duration::from_secs(5))
            .connect(),
    );
    let mut peer = mock.accept().await;
    peer.say(greeting).await;
    drop(peer);
    let error = connecting.await.unwrap().unwrap_err();
    check_kind(&error.kind, expected);
    assert_eq!(error.server, mock.address());
    assert!(error.to_string().contains(&mock.address()), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_take_the_client_is_named_with_its_reason() {
    check_greeting("", "HungUp").await;
    check_greeting("HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol(UnknownOp)").await;
    check_greeting("INFO {\r\n", "BadInfo").await;
    check_greeting("INFO {\"tls_required\":true}\r\n", "TlsRequired").await;
    check_greeting(
        "-ERR 'maximum connections exceeded'\r\n",
        "Refused(\"maximum connections exceeded\")",
    )
    .await;
    check_greeting(
        "INFO {}\r\n-ERR 'Authorization Violation'\r\n",
        "Unauthorized(\"Authorization Violation\")",
    )
    .await;
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let mock = Mock::new().await;
    let error = mock
        .options()
        .connect_timeout(Duration::from_millis(20))
        .connect()
        .await
        .unwrap_err();
    check_kind(&error.kind, "TimedOut");
}

#[tokio::test]
async fn without_a_server_or_an_address_there_is_nothing_to_connect_to() {
    check_kind(
        &ConnectOptions::new().connect().await.unwrap_err().kind,
        "NoServers",
    );
    check_kind(
        &ConnectOptions::new()
            .server("")
            .connect()
            .await
            .unwrap_err()
            .kind,
        "BadAddress",
    );
    check_kind(
        &ConnectOptions::new()
            .server("host:port")
            .connect()
            .await
            .unwrap_err()
            .kind,
        "Io",
    );
}

#[tokio::test]
async fn a_background_client_waits_for_its_first_connection() {
    let mock = Mock::new().await;
    let client = mock.options().connect_in_background();
    assert_eq!(client.status(), Status::Connecting);
    let publishing = tokio::spawn({
        let client = client.clone();
        async move { client.publish("a", "early").await }
    });
    let mut peer = mock.welcome().await;
    assert_eq!(publishing.await.unwrap(), Ok(()));
    assert_eq!(peer.request("a").await.payload, "early");
}

#[tokio::test]
async fn without_a_connection_commands_give_up_in_time() {
    let client = ConnectOptions::new()
        .send_timeout(Duration::from_millis(20))
        .connect_in_background();
    assert_eq!(
        client.publish("a", "x").await,
        Err(PublishError::NotConnected)
    );
    let unsent = RequestError::Unsent(PublishError::NotConnected);
    assert_eq!(
        client
            .request("a", "x", Duration::from_secs(5))
            .await
            .unwrap_err(),
        unsent
    );
    assert_eq!(client.flush().await, Err(unsent));
    assert!(client.subscribe("a").await.is_ok());
}

#[tokio::test]
async fn close_sends_what_is_on_its_way_and_then_nothing_is_taken() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut events = client.events();
    let mut subscriber = client.subscribe("a").await.unwrap();
    client.publish("b", "last").await.unwrap();
    client.close().await;
    peer.expect("SUB a 2").await;
    assert_eq!(peer.request("b").await.payload, "last");
    peer.expect_end().await;
    assert_eq!(client.status(), Status::Closed);
    assert_eq!(events.recv().await, Ok(Event::Closed));
    assert!(subscriber.next().await.is_none());
    assert_eq!(
        client.publish("b", "later").await,
        Err(PublishError::Closed)
    );
    assert_eq!(
        client.subscribe("b").await.unwrap_err(),
        SubscribeError::Closed
    );
    client.close().await;
}

#[tokio::test]
async fn the_connection_ends_with_the_last_handle() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let subscriber = client.subscribe("a").await.unwrap();
    client.publish("b", "x").await.unwrap();
    drop(client);
    peer.expect("SUB a 2").await;
    peer.request("b").await;
    drop(subscriber);
    within(peer.expect("UNSUB 2")).await;
    peer.expect_end().await;
}

#[tokio::test]
async fn drain_takes_what_was_on_its_way_to_subscribers() {
    let mock = Mock::new().await;
    let (client, mut peer) = mock.client().await;
    let mut subscriber = client.subscribe("a").await.unwrap();
    peer.expect("SUB a 2").await;
    let draining = tokio::spawn({
        let client = client.clone();
        async move { client.drain().await }
    });
    peer.expect("UNSUB 2").await;
    peer.expect("PING").await;
    peer.deliver("a", "2", "", "on its way").await;
    peer.say("PONG\r\n").await;
    assert_eq!(draining.await.unwrap(), Ok(()));
    assert_eq!(
        subscriber.next().await.unwrap().payload_slice(),
        b"on its way"
    );
    assert!(subscriber.next().await.is_none());
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let options = ConnectOptions::new().user("alice", "secret");
    assert!(!format!("{options:?}").contains("secret"));
    assert!(!format!("{:?}", ConnectOptions::new().token("secret")).contains("secret"));
}
