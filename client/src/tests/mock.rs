//! A server whose every word is in the test.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use relevo_protocol::jetstream::error::{ApiError, JetStreamError as Refusal};
use relevo_protocol::limits::Limits;
use relevo_protocol::op::ClientOp;
use relevo_protocol::parse::{Mode, Parsed, parse_client};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::client::Client;
use crate::options::ConnectOptions;

/// No dialogue is silent for longer than this.
const SILENCE_MAX: Duration = Duration::from_secs(10);

pub(super) struct Mock {
    listener: TcpListener,
}

/// One connection, from the server's side.
pub(super) struct Peer {
    stream: TcpStream,
    unread: BytesMut,
    heard: VecDeque<Heard>,
    /// What CONNECT said.
    pub(super) hello: Value,
}

/// One operation of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// An operation without a payload, as a line.
    Line(String),
    Pub(Published),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) subject: String,
    pub(super) reply: String,
    pub(super) headers: String,
    pub(super) payload: String,
}

impl Mock {
    pub(super) async fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    pub(super) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub(super) fn options(&self) -> ConnectOptions {
        ConnectOptions::new().server(self.address())
    }

    /// A connection that was not greeted.
    pub(super) async fn accept(&self) -> Peer {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        Peer {
            stream,
            unread: BytesMut::new(),
            heard: VecDeque::new(),
            hello: Value::Null,
        }
    }

    /// A connection up to its first PING and PONG, and the subscription for answers.
    pub(super) async fn welcome(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.greet(json!({})).await;
        peer.expect_answers_sub().await;
        peer
    }

    /// A client and its connection.
    pub(super) async fn client(&self) -> (Client, Peer) {
        self.client_with(self.options()).await
    }

    pub(super) async fn client_with(&self, options: ConnectOptions) -> (Client, Peer) {
        let (client, peer) = tokio::join!(options.connect(), self.welcome());
        (client.unwrap(), peer)
    }
}

impl Peer {
    /// INFO, CONNECT, PING, PONG. `info` is added to a usual INFO.
    pub(super) async fn greet(&mut self, info: Value) {
        self.say_info(info).await;
        let connect = self.line().await;
        self.hello = serde_json::from_str(connect.strip_prefix("CONNECT ").unwrap()).unwrap();
        self.expect("PING").await;
        self.say("PONG\r\n").await;
    }

    pub(super) async fn say_info(&mut self, info: Value) {
        let mut all = json!({"server_id": "S", "version": "2.15.2", "proto": 1, "headers": true, "max_payload": 1_048_576});
        all.as_object_mut()
            .unwrap()
            .extend(info.as_object().unwrap().clone());
        self.say(&format!("INFO {all}\r\n")).await;
    }

    pub(super) async fn expect_answers_sub(&mut self) {
        let sub = self.line().await;
        assert!(
            sub.starts_with("SUB _INBOX.") && sub.ends_with(".* 1"),
            "{sub}"
        );
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.say_bytes(text.as_bytes()).await;
    }

    pub(super) async fn say_bytes(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// A message for a subscription.
    pub(super) async fn deliver(&mut self, subject: &str, sid: &str, reply: &str, payload: &str) {
        let space = if reply.is_empty() { "" } else { " " };
        self.say(&format!(
            "MSG {subject} {sid} {reply}{space}{}\r\n{payload}\r\n",
            payload.len()
        ))
        .await;
    }

    /// A message with headers for a subscription.
    pub(super) async fn deliver_with(
        &mut self,
        subject: &str,
        sid: &str,
        headers: &str,
        payload: &str,
    ) {
        let len = headers.len() + payload.len();
        self.say(&format!(
            "HMSG {subject} {sid} {} {len}\r\n{headers}{payload}\r\n",
            headers.len()
        ))
        .await;
    }

    /// An answer to a request.
    pub(super) async fn answer(&mut self, request: &Published, payload: &str) {
        self.deliver(&request.reply, "1", "", payload).await;
    }

    pub(super) async fn answer_json(
        &mut self,
        request: &Published,
        payload: &impl serde::Serialize,
    ) {
        self.answer(request, &serde_json::to_string(payload).unwrap())
            .await;
    }

    pub(super) async fn refuse(&mut self, request: &Published, refusal: Refusal) {
        let error = ApiError::from(refusal);
        self.answer_json(
            request,
            &json!({"type": "io.nats.jetstream.api.v1.any", "error": error}),
        )
        .await;
    }

    pub(super) async fn answer_no_responders(&mut self, request: &Published) {
        self.deliver_with(&request.reply, "1", "NATS/1.0 503\r\n\r\n", "")
            .await;
    }

    pub(super) async fn heard(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let read = within(self.stream.read_buf(&mut self.unread))
                .await
                .unwrap();
            assert!(read > 0, "the client hung up");
            self.parse();
        }
    }

    pub(super) async fn line(&mut self) -> String {
        match self.heard().await {
            Heard::Line(line) => line,
            Heard::Pub(published) => panic!("a line was expected: {published:?}"),
        }
    }

    pub(super) async fn expect(&mut self, line: &str) {
        assert_eq!(self.line().await, line);
    }

    pub(super) async fn published(&mut self) -> Published {
        match self.heard().await {
            Heard::Pub(published) => published,
            Heard::Line(line) => panic!("a message was expected: {line}"),
        }
    }

    /// A message to this subject.
    pub(super) async fn request(&mut self, subject: &str) -> Published {
        let published = self.published().await;
        assert_eq!(published.subject, subject);
        published
    }

    /// A subscription and a message whose answers it takes. Gives the sid and the message.
    pub(super) async fn request_with_inbox(&mut self, subject: &str) -> (String, Published) {
        let sub = self.line().await;
        let (inbox, sid) = sub.strip_prefix("SUB ").unwrap().split_once(' ').unwrap();
        let published = self.request(subject).await;
        assert_eq!(published.reply, inbox);
        (sid.to_owned(), published)
    }

    /// The client hangs up.
    pub(super) async fn expect_end(&mut self) {
        while within(self.stream.read_buf(&mut self.unread))
            .await
            .unwrap_or(0)
            > 0
        {}
        self.parse();
        assert_eq!(self.heard, []);
    }

    fn parse(&mut self) {
        loop {
            let parsed = parse_client(&self.unread, &Limits::of_server(), Mode::Nats).unwrap();
            let Parsed::Op { op, consumed } = parsed else {
                return;
            };
            self.heard.push_back(Heard::from_op(op));
            self.unread.advance(consumed);
        }
    }
}

impl Heard {
    fn from_op(op: ClientOp<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match op {
            ClientOp::Connect(json) => Self::Line(format!("CONNECT {}", text(json))),
            ClientOp::Pub(published) => Self::Pub(Published {
                subject: text(published.subject),
                reply: text(published.reply.unwrap_or_default()),
                headers: text(published.headers),
                payload: text(published.payload),
            }),
            ClientOp::Sub {
                subject,
                queue: None,
                sid,
            } => Self::Line(format!("SUB {} {}", text(subject), text(sid))),
            ClientOp::Sub {
                subject,
                queue: Some(queue),
                sid,
            } => Self::Line(format!(
                "SUB {} {} {}",
                text(subject),
                text(queue),
                text(sid)
            )),
            ClientOp::Unsub { sid, max: None } => Self::Line(format!("UNSUB {}", text(sid))),
            ClientOp::Unsub {
                sid,
                max: Some(max),
            } => Self::Line(format!("UNSUB {} {max}", text(sid))),
            ClientOp::Ping => Self::Line("PING".to_owned()),
            ClientOp::Pong => Self::Line("PONG".to_owned()),
            other => panic!("no client sends {other:?}"),
        }
    }
}

pub(super) async fn within<F: Future>(future: F) -> F::Output {
    timeout(SILENCE_MAX, future)
        .await
        .expect("the other side is silent")
}
