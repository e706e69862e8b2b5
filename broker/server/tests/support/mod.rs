//! Brokers on free ports over directories of their own, and a client that speaks lines.

#![expect(dead_code, reason = "each test file uses its own part of this")]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use relevo_broker::{Broker, Config, Listen, Peer, PeerAddress};
use relevo_protocol::name::MemberName;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that goes when the test ends.
pub(crate) struct TestDir(PathBuf);

impl TestDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("relevo-broker-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A single broker.
pub(crate) async fn single(dir: &TestDir, change: impl FnOnce(&mut Config)) -> Broker {
    let name = MemberName::parse("a").unwrap();
    let mut config = Config::new(name, Listen::from("127.0.0.1:0"), dir.path().join("a"));
    change(&mut config);
    let broker = Broker::start(config).await.unwrap();
    ready(&broker).await;
    broker
}

pub(crate) async fn ready(broker: &Broker) {
    timeout(PATIENCE, broker.ready())
        .await
        .expect("broker becomes ready");
}

/// A pair whose members find each other through files, so that a restarted one may have another port.
pub(crate) struct Pair {
    pub(crate) dir: TestDir,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self {
            dir: TestDir::new(),
        }
    }

    pub(crate) async fn start(&self, name: &str) -> Broker {
        let other = if name == "a" { "b" } else { "a" };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let partial = self.dir.path().join(format!("{name}.partial"));
        std::fs::write(&partial, address.to_string()).unwrap();
        std::fs::rename(&partial, self.address_file(name)).unwrap();
        let member = MemberName::parse(name).unwrap();
        let nats = Listen::from("127.0.0.1:0");
        let mut config = Config::new(member, nats, self.dir.path().join(name));
        config.peer = Some(Peer {
            listen: Listen::from(listener),
            address: PeerAddress::File(self.address_file(other)),
        });
        config.monitor = Some(Listen::from("127.0.0.1:0"));
        Broker::start(config).await.unwrap()
    }

    pub(crate) async fn start_both(&self) -> (Broker, Broker) {
        let (a, b) = (self.start("a").await, self.start("b").await);
        ready(&a).await;
        ready(&b).await;
        (a, b)
    }

    fn address_file(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.address"))
    }
}

/// A client that sends text and reads lines.
pub(crate) struct Client {
    socket: BufReader<TcpStream>,
    pub(crate) info: serde_json::Value,
}

impl Client {
    /// Connects and reads INFO, says nothing.
    pub(crate) async fn greeted(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut socket = BufReader::new(socket);
        let mut line = String::new();
        socket.read_line(&mut line).await.unwrap();
        let info = serde_json::from_str(line.strip_prefix("INFO ").unwrap()).unwrap();
        Self { socket, info }
    }

    /// Connects as client libraries do.
    pub(crate) async fn connected(address: SocketAddr) -> Self {
        let mut client = Self::greeted(address).await;
        client
            .send(
                r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#,
            )
            .await;
        client.round_trip().await;
        client
    }

    /// Sends a line.
    pub(crate) async fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\r\n").as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Sends no more, and goes on listening.
    pub(crate) async fn end_input(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Goes without a goodbye, as a process that crashed with unread bytes.
    pub(crate) fn reset(self) {
        let socket = self.socket.into_inner().into_std().unwrap();
        socket2::SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// The next line; empty at the end of the stream.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.socket.read_until(b'\n', &mut line);
        timeout(PATIENCE, read)
            .await
            .expect("a line comes")
            .unwrap();
        String::from_utf8(line)
            .unwrap()
            .trim_end_matches("\r\n")
            .to_owned()
    }

    pub(crate) async fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.line().await, *line);
        }
    }

    /// Everything sent before was done.
    pub(crate) async fn round_trip(&mut self) {
        self.send("PING").await;
        self.expect(&["PONG"]).await;
    }

    /// All that comes until the broker closes.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = self.socket.read_to_end(&mut rest);
        timeout(PATIENCE, read)
            .await
            .expect("the broker closes")
            .unwrap();
        String::from_utf8(rest).unwrap()
    }

    /// Publishes `subject` again and again until a message comes back: interest has arrived.
    pub(crate) async fn publish_until_heard(&mut self, subject: &str, subscriber: &mut Self) {
        let heard = async {
            let mut tries = 0u64;
            loop {
                tries += 1;
                self.send(&format!("PUB {subject} 0\r\n")).await;
                self.round_trip().await;
                subscriber.send("PING").await;
                if subscriber.line().await != "PONG" {
                    while subscriber.line().await != "PONG" {}
                    return tries;
                }
            }
        };
        timeout(PATIENCE, heard)
            .await
            .expect("interest reaches the other broker");
    }
}

/// GETs a path; the status code and the body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: relevo\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}
