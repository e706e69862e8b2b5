//! The clients' port: accepts connections and starts their tasks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use relevo_protocol::encode;
use relevo_protocol::info::ServerInfo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Limits, Listen};
use crate::connection::Connection;
use crate::counters;
use crate::outbound::Outbound;
use crate::random;
use crate::router::publisher::{Exchange, Publisher};
use crate::router::subscription::{Client, ConnectionId};

/// How long no connection is accepted after the system refused one (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client that is one too many may take to read so.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);
/// After so long without a byte the system asks whether the client is still there.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// How often it asks again.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The clients' port.
#[derive(Debug)]
pub(crate) struct ClientPort {
    pub(crate) listener: TcpListener,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) limits: Limits,
    /// What every connection is told; its number and address are added.
    pub(crate) info: ServerInfo,
    pub(crate) connections: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

/// Opens a listening socket.
pub(crate) async fn bind(listen: Listen) -> io::Result<TcpListener> {
    match listen {
        Listen::Address(address) => {
            let mut refused = None;
            for address in tokio::net::lookup_host(&address).await? {
                match bind_address(address) {
                    Ok(listener) => return Ok(listener),
                    Err(error) => refused = Some(error),
                }
            }
            Err(refused.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
        }
        Listen::Bound(listener) => {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        }
    }
}

fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until `shutdown`; the system refusing a connection for a moment does not end it.
pub(crate) async fn accept(
    listener: &TcpListener,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) => {
                tracing::warn!("accept connection: {error}");
                tokio::select! {
                    () = shutdown.cancelled() => return None,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}

impl ClientPort {
    /// Serves clients until the broker stops.
    pub(crate) async fn run(self) {
        let next_id = AtomicU64::new(1);
        while let Some((socket, address)) = accept(&self.listener, &self.shutdown).await {
            let open = counters::read(&self.exchange.counters.connections);
            if open >= self.limits.max_connections as u64 {
                self.connections.spawn(refuse(socket));
                continue;
            }
            let id = ConnectionId(next_id.fetch_add(1, Ordering::Relaxed));
            self.serve(socket, address, id);
        }
    }

    fn serve(&self, socket: TcpStream, address: SocketAddr, id: ConnectionId) {
        if let Err(error) = set_options(&socket) {
            tracing::debug!(%address, "set socket options: {error}");
        }
        let socket = Arc::new(socket);
        let Limits {
            max_pending_bytes,
            write_deadline,
            ..
        } = self.limits;
        let outbound = Outbound::new(Arc::clone(&socket), max_pending_bytes, write_deadline);
        let client = Arc::new(Client::new(id, outbound));
        let publisher = Publisher::new(Arc::clone(&self.exchange), random::seed());
        let connection = Connection::new(socket, Arc::clone(&client), publisher, &self.limits);
        let info = ServerInfo {
            client_id: id.0,
            client_ip: address.ip().to_string(),
            ..self.info.clone()
        };
        let open = Open::new(Arc::clone(&self.exchange));
        let shutdown = self.shutdown.clone();
        let writer = self
            .connections
            .spawn(async move { client.outbound.write_leftovers().await });
        self.connections.spawn(async move {
            let _open = open;
            tracing::debug!(connection = id.0, %address, "client connected");
            connection.run(&info.to_json(), shutdown, writer).await;
            tracing::debug!(connection = id.0, %address, "client gone");
        });
    }
}

fn set_options(socket: &TcpStream) -> io::Result<()> {
    // Frames are collected before they are written: waiting for more would only add delay.
    socket.set_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(socket).set_tcp_keepalive(&probes)
}

/// Counts a connection while it lives, however it ends.
struct Open(Arc<Exchange>);

impl Open {
    fn new(exchange: Arc<Exchange>) -> Self {
        counters::count(&exchange.counters.connections);
        counters::count(&exchange.counters.total_connections);
        Self(exchange)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn refuse(mut socket: TcpStream) {
    let mut answer = Vec::new();
    encode::err(&mut answer, "maximum connections exceeded");
    // A client that does not listen learns it from the closed socket.
    let _ = timeout(REFUSAL_DEADLINE, socket.write_all(&answer)).await;
}
