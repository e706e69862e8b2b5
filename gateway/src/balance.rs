//! Which broker a connection goes to: round robin over those that answer.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a broker may take to accept a connection, name resolution counted in.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// How long a broker may take to say its first word. A broker speaks first, so one that accepts and is silent hangs.
const GREETING_MAX: Duration = Duration::from_secs(1);

/// For how long a broker that did not answer is tried only after the others.
const DOWN_REMEMBERED: Duration = Duration::from_secs(2);

/// How an end that is gone is noticed by one that only listens: after a minute. For both sides of a relay.
pub(crate) const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(3);

/// The most that is read as a greeting, in bytes. What is behind it stays in the socket.
const GREETING_LEN_MAX: usize = 4 * 1024;

/// The brokers behind a gateway and what is remembered of their health.
#[derive(Debug)]
pub(crate) struct Brokers {
    list: Vec<Broker>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Broker {
    address: String,
    /// When it last did not answer; `None` since it last did.
    failed_at: Mutex<Option<Instant>>,
}

/// A connection to a broker that has begun to speak.
#[derive(Debug)]
pub(crate) struct Greeted {
    /// The connection, with what follows the greeting unread.
    pub(crate) stream: TcpStream,
    /// The first bytes of the broker, at least one.
    pub(crate) greeting: BytesMut,
}

/// No broker answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoBroker;

impl Brokers {
    /// The brokers at `addresses`, each `host:port`.
    pub(crate) fn new(addresses: Vec<String>) -> Self {
        let list = addresses
            .into_iter()
            .map(|address| Broker {
                address,
                failed_at: Mutex::new(None),
            })
            .collect();
        Self {
            list,
            next: AtomicUsize::new(0),
        }
    }

    /// Connects to the next broker in turn that answers. Tries each broker once.
    pub(crate) async fn connect(&self) -> Result<Greeted, NoBroker> {
        for broker in self.in_turn(Instant::now()) {
            match broker.greet().await {
                Ok(greeted) => {
                    broker.remember(None);
                    return Ok(greeted);
                }
                Err(error) => {
                    broker.remember(Some(Instant::now()));
                    tracing::debug!(broker = %broker.address, %error, "connect to broker: trying the next");
                }
            }
        }
        Err(NoBroker)
    }

    /// Asks every broker for its greeting, all at the same time: those that gave none, each with the reason.
    pub(crate) async fn silent(&self) -> Vec<(String, io::Error)> {
        let asked = self.list.iter().map(|broker| async move {
            let answer = broker.greet().await;
            broker.remember(answer.is_err().then(Instant::now));
            answer.err().map(|error| (broker.address.clone(), error))
        });
        futures_util::future::join_all(asked)
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    /// Whether no broker at all answers, asked now.
    pub(crate) async fn all_silent(&self) -> bool {
        self.silent().await.len() == self.list.len()
    }

    /// Every broker once: round robin, those that failed a moment ago last.
    fn in_turn(&self, now: Instant) -> Vec<&Broker> {
        let start = self.next.fetch_add(1, Ordering::Relaxed) % self.list.len().max(1);
        let (before, from) = self.list.split_at(start);
        let mut order: Vec<&Broker> = from.iter().chain(before).collect();
        order.sort_by_key(|broker| broker.is_down(now));
        order
    }
}

impl Broker {
    fn is_down(&self, now: Instant) -> bool {
        let failed_at = *self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| now.saturating_duration_since(at) < DOWN_REMEMBERED)
    }

    fn remember(&self, failed_at: Option<Instant>) {
        *self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = failed_at;
    }

    async fn greet(&self) -> io::Result<Greeted> {
        let mut stream = timeout(CONNECT_MAX, TcpStream::connect(&self.address))
            .await
            .map_err(|_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    "it did not accept the connection in time",
                )
            })??;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_keepalive(&KEEP_ALIVE)?;
        let mut greeting = BytesMut::with_capacity(GREETING_LEN_MAX);
        let read_len = timeout(GREETING_MAX, stream.read_buf(&mut greeting))
            .await
            .map_err(|_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    "it accepted the connection and said nothing",
                )
            })??;
        if read_len == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it closed the connection without a word",
            ));
        }
        Ok(Greeted { stream, greeting })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(brokers: &Brokers, now: Instant) -> String {
        brokers
            .in_turn(now)
            .iter()
            .map(|broker| broker.address.as_str())
            .collect()
    }

    fn abc() -> Brokers {
        Brokers::new(["a", "b", "c"].map(str::to_owned).to_vec())
    }

    #[test]
    fn each_connection_begins_with_the_next_broker() {
        let (brokers, now) = (abc(), Instant::now());
        let orders: Vec<_> = (0..4).map(|_| order(&brokers, now)).collect();
        assert_eq!(orders, ["abc", "bca", "cab", "abc"]);
    }

    #[test]
    fn a_broker_that_failed_a_moment_ago_comes_last_until_that_is_forgotten() {
        let (brokers, now) = (abc(), Instant::now());
        brokers.list[0].remember(Some(now));
        assert_eq!(order(&brokers, now), "bca");
        assert_eq!(order(&brokers, now), "bca");
        assert_eq!(order(&brokers, now), "cba");
        assert_eq!(order(&brokers, now + DOWN_REMEMBERED), "abc");
    }

    #[test]
    fn a_broker_that_answered_again_is_in_turn_again() {
        let (brokers, now) = (abc(), Instant::now());
        brokers.list[0].remember(Some(now));
        brokers.list[0].remember(None);
        assert_eq!(order(&brokers, now), "abc");
    }
}
