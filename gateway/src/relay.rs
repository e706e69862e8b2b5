//! The NATS door: each connection is carried byte by byte to a broker that answers.
//!
//! Nothing is parsed: whatever a broker understands goes through, and a person with telnet sees the broker's own INFO.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::balance::{Brokers, Greeted, NoBroker};

/// What a direction begins to hold, in bytes. Most connections are quiet: ten thousand of them need 160 MiB.
const BUFFER_LEN_FIRST: usize = 8 * 1024;

/// The most that one direction of one connection holds, in bytes. Then its source is not read.
const BUFFER_LEN_MAX: usize = 64 * 1024;

/// How long the last bytes of one end may take to reach the other when a connection ends.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// How long to pause when the system refuses to accept (it is out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
                // Beyond the bound the connection is closed without a word.
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

/// How many refused connections are told so at a time.
const REFUSALS_MAX: usize = 64;

/// The next connection, or `None` when it is time to stop.
pub(crate) async fn accept(listener: &TcpListener, stop: &CancellationToken) -> Option<TcpStream> {
    stop.run_until_cancelled(async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) => {
                    tracing::warn!(%error, "accept connection: trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
    .await
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
        linger(&mut from_client, &mut to_client).await;
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
    if let Err(error) = client.set_nodelay(true) {
        tracing::debug!(%error, "relay NATS connection: the client is gone");
        return;
    }
    let (mut from_client, mut to_client) = client.split();
    let (mut from_broker, mut to_broker) = stream.split();
    let broker_has_closed = {
        let mut up = pin!(pump(&mut from_client, &mut to_broker, BytesMut::new()));
        let mut down = pin!(pump(&mut from_broker, &mut to_client, greeting));
        let down_end = tokio::select! {
            end = &mut down => end,
            end = &mut up => match end {
                End::SourceClosed => down.await,
                End::SourceFailed => return,
                // What the broker said before it stopped reading is still to be carried.
                End::SinkFailed => match timeout(LINGER_MAX, down).await {
                    Ok(end) => end,
                    Err(_) => return,
                },
            },
        };
        match down_end {
            End::SourceClosed | End::SourceFailed => true,
            End::SinkFailed => false,
        }
    };
    if broker_has_closed {
        linger(&mut from_client, &mut to_client).await;
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

/// Closes towards a peer so that it can read what it was sent last: its own bytes are read and dropped until it closes
/// too. Closing with unread bytes would reset the connection and may destroy what is on its way.
async fn linger(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) {
    let closed = timeout(LINGER_MAX, async {
        to.shutdown().await?;
        tokio::io::copy(from, &mut tokio::io::sink()).await
    });
    let closed: Result<io::Result<u64>, _> = closed.await;
    match closed {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::trace!(%error, "close connection: the client is gone"),
        Err(_) => tracing::trace!("close connection: the client did not close in time"),
    }
}
