//! A lane's writing end: what is queued, the interest of this broker's clients before it, and a
//! heartbeat when there is nothing else to say.

use std::io;
use std::time::Duration;

use relevo_protocol::frame::Frame;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::timeout;

use super::lane::LaneQueue;
use crate::router::interest::Interest;

/// How long a lane says nothing before it sends a heartbeat.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(250);

/// Writes a lane until its queue is closed or the socket breaks. `interest` is told on the client
/// lane, always before messages that were queued after it changed.
pub(crate) async fn write_lane(
    mut socket: OwnedWriteHalf,
    lane: &LaneQueue,
    interest: Option<&Interest>,
) -> io::Result<()> {
    let mut heartbeat = Vec::new();
    Frame::Heartbeat.encode(&mut heartbeat);
    let mut queued = Vec::new();
    let mut told = Vec::new();
    loop {
        if !lane.is_open() {
            return Ok(());
        }
        queued = lane.take(queued);
        if let Some(interest) = interest {
            interest.take_frames(&mut told);
        }
        if queued.is_empty() && told.is_empty() {
            let news = async {
                match interest {
                    Some(interest) => tokio::select! {
                        () = lane.filled() => {}
                        () = interest.changed() => {}
                    },
                    None => lane.filled().await,
                }
            };
            if timeout(HEARTBEAT_INTERVAL, news).await.is_err() {
                socket.write_all(&heartbeat).await?;
            }
            continue;
        }
        socket.write_all(&told).await?;
        told.clear();
        socket.write_all(&queued).await?;
        lane.written();
    }
}
