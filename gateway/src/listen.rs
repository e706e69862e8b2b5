//! Taking connections, and closing them so that the last words arrive.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long the last bytes of one end may take to reach the other when a connection ends.
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(2);

/// How long to pause when the system refuses to accept (it is out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// Closes towards a peer so that it can read what it was sent last: its own bytes are read and dropped until it closes
/// too. Closing with unread bytes would reset the connection and may destroy what is on its way.
pub(crate) async fn hang_up(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) {
    let closed: Result<io::Result<u64>, _> = timeout(LINGER_MAX, async {
        to.shutdown().await?;
        tokio::io::copy(from, &mut tokio::io::sink()).await
    })
    .await;
    match closed {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::trace!(%error, "close connection: the peer is gone"),
        Err(_) => tracing::trace!("close connection: the peer did not close in time"),
    }
}
