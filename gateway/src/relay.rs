//! The NATS door: each connection is carried byte by byte to a broker that answers.
//!
//! Nothing is parsed: whatever a broker understands goes through, and a person with telnet sees the broker's own INFO.

use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::balance::{Brokers, Greeted, KEEP_ALIVE, NoBroker};
use crate::listen::{LINGER_MAX, accept, hang_up};

/// What a direction begins to hold, in bytes. Most connections are quiet: ten thousand of them need 160 MB.
const BUFFER_LEN_FIRST: usize = 8 * 1024;

/// The most that one direction of one connection holds, in bytes. Then its source is not read.
const BUFFER_LEN_MAX: usize = 64 * 1024;

/// How many refused connections are told so at a time; more are closed without a word.
const REFUSALS_MAX: usize = 64;

const TOO_MANY: &[u8] = b"-ERR 'maximum connections exceeded'\r\n";
const NO_BROKER: &[u8] = b"-ERR 'no broker answers; try again'\r\n";

/// Relays what `listener` accepts, at most `connections_max` at a time, until `stop`; then closes all and returns.
pub(crate) async fn serve(
    listener: TcpListener,
    brokers: Arc<Brokers>,
    connections_max: usize,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let connections = TaskTracker::new();
    while let Some(client) = accept(&listener, &stop).await {
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                let (brokers, stop) = (Arc::clone(&brokers), stop.clone());
                connections.spawn(async move {
                    stop.run_until_cancelled(relay(client, &brokers)).await;
                    drop(slot);
                });
            }
            Err(_) => {
                tracing::warn!(
                    connections_max,
                    "accept NATS connection: refused, too many are open"
                );
                if let Ok(slot) = Arc::clone(&refusals).try_acquire_owned() {
                    let stop = stop.clone();
                    connections.spawn(async move {
                        stop.run_until_cancelled(refuse(client, TOO_MANY)).await;
                        drop(slot);
                    });
                }
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn relay(client: TcpStream, brokers: &Brokers) {
    match brokers.connect().await {
        Ok(greeted) => carry(client, greeted).await,
        Err(NoBroker) => {
            tracing::warn!("relay NATS connection: no broker answers");
            refuse(client, NO_BROKER).await;
        }
    }
}

/// Says why, then closes so that the client can read it.
async fn refuse(mut client: TcpStream, error: &[u8]) {
    let (mut from_client, mut to_client) = client.split();
    if timeout(LINGER_MAX, to_client.write_all(error))
        .await
        .is_ok_and(|written| written.is_ok())
    {
        hang_up(&mut from_client, &mut to_client).await;
    }
}

/// Carries bytes both ways until the broker has closed, or the client is gone.
///
/// A client may close its half and still read what the broker has to say. A broker that has closed will read nothing
/// more, so that ends the connection.
async fn carry(
    mut client: TcpStream,
    Greeted {
        mut stream,
        greeting,
    }: Greeted,
) {
    let prepared = client
        .set_nodelay(true)
        .and_then(|()| SockRef::from(&client).set_tcp_keepalive(&KEEP_ALIVE));
    if let Err(error) = prepared {
        tracing::debug!(%error, "relay NATS connection: the client is gone");
        return;
    }
    let (mut from_client, mut to_client) = client.split();
    let (mut from_broker, mut to_broker) = stream.split();
    let broker_has_closed = {
        let mut up = Box::pin(pump(&mut from_client, &mut to_broker, BytesMut::new()));
        let mut down = pin!(pump(&mut from_broker, &mut to_client, greeting));
        let first_end = tokio::select! {
            end = &mut down => Ok(end),
            end = &mut up => Err(end),
        };
        drop(up);
        let down_end = match first_end {
            Ok(end) => Some(end),
            Err(end) => match end {
                // A client that is gone altogether looks the same until the system's probe finds nobody.
                End::SourceClosed => tokio::select! {
                    end = &mut down => Some(end),
                    _ = from_client.ready(Interest::ERROR) => None,
                },
                End::SourceFailed => None,
                // What the broker said before it stopped reading is still to be carried.
                End::SinkFailed => timeout(LINGER_MAX, down).await.ok(),
            },
        };
        match down_end {
            Some(End::SourceClosed | End::SourceFailed) => true,
            Some(End::SinkFailed) | None => false,
        }
    };
    if broker_has_closed {
        hang_up(&mut from_client, &mut to_client).await;
    }
}

/// How one direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The source closed its half; the sink was told.
    SourceClosed,
    /// The source broke.
    SourceFailed,
    /// The sink takes nothing any more.
    SinkFailed,
}

/// Copies `source` to `sink` until one of them ends. `buffer` holds what goes first.
async fn pump(
    source: &mut (impl AsyncRead + Unpin),
    sink: &mut (impl AsyncWrite + Unpin),
    mut buffer: BytesMut,
) -> End {
    let mut capacity = BUFFER_LEN_FIRST;
    loop {
        if sink.write_all(&buffer).await.is_err() {
            return End::SinkFailed;
        }
        if buffer.len() == capacity {
            capacity = (capacity * 2).min(BUFFER_LEN_MAX);
        }
        buffer.clear();
        buffer.reserve(capacity);
        match (&mut *source)
            .take(capacity as u64)
            .read_buf(&mut buffer)
            .await
        {
            Ok(0) => {
                return if sink.shutdown().await.is_ok() {
                    End::SourceClosed
                } else {
                    End::SinkFailed
                };
            }
            Ok(_) => {}
            Err(_) => return End::SourceFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::task::JoinHandle;

    use super::*;

    struct Relay {
        address: SocketAddr,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Relay {
        async fn start(brokers: &[SocketAddr], connections_max: usize) -> Self {
            let listener = listener().await;
            let address = listener.local_addr().unwrap();
            let brokers = Brokers::new(brokers.iter().map(SocketAddr::to_string).collect());
            let stop = CancellationToken::new();
            let task = tokio::spawn(serve(
                listener,
                Arc::new(brokers),
                connections_max,
                stop.clone(),
            ));
            Self {
                address,
                stop,
                task,
            }
        }

        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }

        async fn read_all(&self) -> String {
            read_to_end(&mut self.connect().await).await
        }
    }

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }

    /// An address that nothing listens on.
    async fn nowhere() -> SocketAddr {
        listener().await.local_addr().unwrap()
    }

    /// A broker that says `words` to every connection and closes it.
    async fn broker_that_says(words: &'static str) -> SocketAddr {
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(words.as_bytes()).await.unwrap();
            }
        });
        address
    }

    async fn read_to_end(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    async fn read_exactly(stream: &mut TcpStream, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    /// A client and a broker joined by a relay; the greeting is read.
    async fn joined() -> (Relay, TcpStream, TcpStream) {
        let listener = listener().await;
        let relay = Relay::start(&[listener.local_addr().unwrap()], 8).await;
        let mut client = relay.connect().await;
        let (mut broker, _) = listener.accept().await.unwrap();
        broker.write_all(b"INFO {}\r\n").await.unwrap();
        read_exactly(&mut client, "INFO {}\r\n").await;
        (relay, client, broker)
    }

    #[tokio::test]
    async fn connections_go_to_the_brokers_in_turn() {
        let brokers = [broker_that_says("a").await, broker_that_says("b").await];
        let relay = Relay::start(&brokers, 8).await;
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(relay.read_all().await);
        }
        assert_eq!(answers, ["a", "b", "a", "b"]);
    }

    #[tokio::test]
    async fn a_broker_that_is_down_is_skipped_within_the_same_connection() {
        let brokers = [nowhere().await, broker_that_says("b").await];
        let relay = Relay::start(&brokers, 8).await;
        for _ in 0..4 {
            assert_eq!(relay.read_all().await, "b");
        }
    }

    #[tokio::test]
    async fn a_broker_that_accepts_and_says_nothing_is_skipped() {
        let silent = listener().await;
        let brokers = [silent.local_addr().unwrap(), broker_that_says("b").await];
        let relay = Relay::start(&brokers, 8).await;
        assert_eq!(relay.read_all().await, "b");
    }

    #[tokio::test]
    async fn a_broker_that_closes_without_a_word_is_skipped() {
        let brokers = [broker_that_says("").await, broker_that_says("b").await];
        let relay = Relay::start(&brokers, 8).await;
        assert_eq!(relay.read_all().await, "b");
    }

    #[tokio::test]
    async fn without_a_broker_the_client_is_told_to_try_again() {
        let relay = Relay::start(&[nowhere().await, nowhere().await], 8).await;
        assert_eq!(
            relay.read_all().await,
            "-ERR 'no broker answers; try again'\r\n"
        );
    }

    #[tokio::test]
    async fn one_connection_too_many_is_told_so_and_a_freed_place_is_given_again() {
        let (relay, mut client, mut broker) = {
            let listener = listener().await;
            let relay = Relay::start(&[listener.local_addr().unwrap()], 1).await;
            let client = relay.connect().await;
            let (broker, _) = listener.accept().await.unwrap();
            (relay, client, broker)
        };
        assert_eq!(
            relay.read_all().await,
            "-ERR 'maximum connections exceeded'\r\n"
        );
        broker.write_all(b"bye").await.unwrap();
        drop(broker);
        assert_eq!(read_to_end(&mut client).await, "bye");
        drop(client);
        // The place is free a moment later; whoever comes then is told that the broker is gone, not that it is full.
        while relay.read_all().await != "-ERR 'no broker answers; try again'\r\n" {}
    }

    #[tokio::test]
    async fn a_client_that_is_gone_after_closing_its_half_gives_its_place_back() {
        let (relay, mut client, mut broker) = {
            let listener = listener().await;
            let relay = Relay::start(&[listener.local_addr().unwrap()], 1).await;
            let client = relay.connect().await;
            let (broker, _) = listener.accept().await.unwrap();
            (relay, client, broker)
        };
        broker.write_all(b"INFO {}\r\n").await.unwrap();
        read_exactly(&mut client, "INFO {}\r\n").await;
        client.write_all(b"POP jobs wait=1h\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        read_exactly(&mut broker, "POP jobs wait=1h\r\n").await;
        assert_eq!(broker.read(&mut [0; 1]).await.unwrap(), 0);
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        let freed =
            async { while relay.read_all().await != "-ERR 'no broker answers; try again'\r\n" {} };
        timeout(Duration::from_secs(30), freed).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_closed_its_half_still_reads_the_answer() {
        let (_relay, mut client, mut broker) = joined().await;
        client.write_all(b"PING\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut broker).await, "PING\r\n");
        broker.write_all(b"PONG\r\n").await.unwrap();
        drop(broker);
        assert_eq!(read_to_end(&mut client).await, "PONG\r\n");
    }

    #[tokio::test]
    async fn the_last_words_of_a_broker_reach_a_client_that_goes_on_sending() {
        let (_relay, mut client, mut broker) = joined().await;
        client.write_all(&[b'x'; 100_000]).await.unwrap();
        broker.write_all(b"-ERR 'enough'\r\n").await.unwrap();
        drop(broker);
        assert_eq!(read_to_end(&mut client).await, "-ERR 'enough'\r\n");
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_ends_the_connection_to_the_broker() {
        let (_relay, client, mut broker) = joined().await;
        drop(client);
        assert_eq!(read_to_end(&mut broker).await, "");
    }

    #[tokio::test]
    async fn bytes_arrive_whole_and_in_order_both_ways() {
        const LEN: usize = 3 * 1024 * 1024 + 1;
        let (_relay, client, mut broker) = joined().await;
        let sent: Arc<Vec<u8>> = Arc::new((0..LEN).map(|i| (i * i % 251) as u8).collect());
        let echoed = tokio::spawn(async move {
            let (mut read, mut write) = broker.split();
            tokio::io::copy(&mut read, &mut write).await
        });
        let (mut read, mut write) = client.into_split();
        let bytes = Arc::clone(&sent);
        let writer = tokio::spawn(async move {
            write.write_all(&bytes).await.unwrap();
            write.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        read.read_to_end(&mut received).await.unwrap();
        assert!(received == *sent);
        writer.await.unwrap();
        assert_eq!(echoed.await.unwrap().unwrap(), LEN as u64);
    }

    #[tokio::test]
    async fn stopping_closes_every_connection_and_the_listener() {
        let (relay, mut client, mut broker) = joined().await;
        relay.stop.cancel();
        relay.task.await.unwrap();
        assert_eq!(read_to_end(&mut client).await, "");
        assert_eq!(read_to_end(&mut broker).await, "");
        assert!(TcpStream::connect(relay.address).await.is_err());
    }
}
