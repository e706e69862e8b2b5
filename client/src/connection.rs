//! The one task that owns the socket: it connects, reads, writes, and connects again.

mod dial;
mod read;
mod servers;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use relevo_protocol::error::ParseError;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use self::dial::{Dialled, dial};
use self::read::Reader;
use self::servers::Servers;
use crate::client::{Client, Shared};
use crate::error::{ConnectError, ConnectErrorKind};
use crate::options::ConnectOptions;
use crate::status::{Event, Status};

/// The wait before the first try to connect again is random, up to this.
const RECONNECT_FIRST_WAIT_MAX: Duration = Duration::from_millis(20);

/// The wait after the first round over all servers that failed.
const RECONNECT_WAIT: Duration = Duration::from_millis(100);

/// The wait is doubled after each further round, up to this.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(4);

/// How long a closed client may take to send what callers were told is on its way.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often requests whose time is over are given up.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// The shortest interval between tests of an idle connection.
const PING_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// After this many tests without a word from the server the connection is given up.
const SILENT_TESTS_MAX: u32 = 2;

/// Why a connection ended.
#[derive(Debug)]
enum Loss {
    Closing,
    HungUp,
    Io(io::Error),
    Protocol(ParseError),
    Refused(String),
    Silent,
}

/// Connects once over all servers.
pub(crate) async fn connect(options: ConnectOptions) -> Result<Client, ConnectError> {
    let mut servers = Servers::new(&options);
    let dialled = dial_any(&options, &mut servers).await?;
    let client = Client::new(options);
    tokio::spawn(run(Arc::clone(client.shared()), servers, Some(dialled)));
    client.wait_until_up().await;
    Ok(client)
}

pub(crate) fn connect_in_background(options: ConnectOptions) -> Client {
    let servers = Servers::new(&options);
    let client = Client::new(options);
    tokio::spawn(run(Arc::clone(client.shared()), servers, None));
    client
}

async fn run(shared: Arc<Shared>, mut servers: Servers, mut first: Option<Dialled>) {
    loop {
        let dialled = match first.take() {
            Some(dialled) => dialled,
            None => tokio::select! {
                dialled = dial_until_connected(&shared, &mut servers) => dialled,
                () = shared.closing.cancelled() => break,
            },
        };
        let server = Arc::clone(&dialled.server);
        let loss = serve(&shared, &mut servers, dialled).await;
        if let Loss::Closing = loss {
            break;
        }
        let reason = loss.to_string();
        info!(server = &*server, reason, "connection lost");
        shared.set_status(Status::Disconnected);
        shared.tell(Event::Disconnected { server, reason });
        let wait = RECONNECT_FIRST_WAIT_MAX.mul_f64(fastrand::f64());
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.closing.cancelled() => break,
        }
    }
    shared.end();
}

/// Serves one connection until it ends.
async fn serve(shared: &Shared, servers: &mut Servers, dialled: Dialled) -> Loss {
    let Dialled {
        server,
        info,
        read,
        mut write,
        unread,
    } = dialled;
    servers.learn(&info);
    shared.set_info(info);
    if !shared.outgoing.up(shared.server_limits()) {
        return Loss::Closing;
    }
    debug!(server = &*server, "connected");
    shared.set_status(Status::Connected);
    shared.tell(Event::Connected {
        server: Arc::clone(&server),
    });

    let mut reader = Reader::new(shared, servers, &server, read, unread);
    let mut batch = BytesMut::new();
    let loss = tokio::select! {
        loss = reader.run() => loss,
        loss = write_all(shared, &mut write, &mut batch) => loss,
        () = keep_alive(shared) => Loss::Silent,
        () = shared.closing.cancelled() => Loss::Closing,
    };
    if let Loss::Closing = loss {
        write_the_rest(shared, &mut write, &mut batch).await;
    }
    shared.down();
    loss
}

/// Writes what is to be sent. Cancelled, it leaves in `batch` what of it was not written.
async fn write_all(shared: &Shared, write: &mut OwnedWriteHalf, batch: &mut BytesMut) -> Loss {
    loop {
        shared.outgoing.take(batch).await;
        if let Err(error) = write.write_all_buf(batch).await {
            return Loss::Io(error);
        }
    }
}

/// What was on its way when the client was closed.
async fn write_the_rest(shared: &Shared, write: &mut OwnedWriteHalf, batch: &mut BytesMut) {
    let rest = async {
        write.write_all_buf(batch).await?;
        if shared.outgoing.take_now(batch) {
            write.write_all_buf(batch).await?;
        }
        write.shutdown().await
    };
    match timeout(LAST_WRITE_TIMEOUT, rest).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "write the rest at close"),
        Err(_) => debug!("the server took no more bytes at close"),
    }
}

/// Gives up overdue requests and tests the connection. Ends when the server says nothing any more.
async fn keep_alive(shared: &Shared) {
    let ping_interval = shared.options.ping_interval.max(PING_INTERVAL_MIN);
    let mut sweeps = interval(SWEEP_INTERVAL);
    let mut pings = interval(ping_interval);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent_tests = 0;
    pings.tick().await;
    loop {
        tokio::select! {
            _ = sweeps.tick() => shared.pending.give_up_overdue(Instant::now()),
            _ = pings.tick() => {
                silent_tests = if shared.take_heard() { 0 } else { silent_tests + 1 };
                if silent_tests > SILENT_TESTS_MAX {
                    return;
                }
                shared.outgoing.keepalive();
            }
        }
    }
}

async fn dial_until_connected(shared: &Shared, servers: &mut Servers) -> Dialled {
    let mut wait = RECONNECT_WAIT;
    loop {
        let error = match dial_any(&shared.options, servers).await {
            Ok(dialled) => return dialled,
            Err(error) => error,
        };
        warn!(%error, "no server can be connected to");
        shared.tell(Event::ConnectFailed {
            reason: error.to_string(),
        });
        sleep(with_jitter(wait)).await;
        wait = (wait * 2).min(RECONNECT_WAIT_MAX);
    }
}

/// Between half of it and all of it.
fn with_jitter(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// One round over all servers.
async fn dial_any(
    options: &ConnectOptions,
    servers: &mut Servers,
) -> Result<Dialled, ConnectError> {
    let mut last = ConnectError {
        server: String::new(),
        kind: ConnectErrorKind::NoServers,
    };
    for server in servers.next_round() {
        match dial(options, &server).await {
            Ok(dialled) => {
                servers.connected_to(&server);
                return Ok(dialled);
            }
            Err(kind) => {
                last = ConnectError {
                    server: server.to_string(),
                    kind,
                }
            }
        }
    }
    Err(last)
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closing => f.write_str("the client was closed"),
            Self::HungUp => f.write_str("the server closed the connection"),
            Self::Io(error) => error.fmt(f),
            Self::Protocol(error) => write!(f, "the server broke the protocol: {error}"),
            Self::Refused(text) => write!(f, "the server said: {text}"),
            Self::Silent => f.write_str("the server says nothing any more"),
        }
    }
}
