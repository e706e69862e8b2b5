//! How a child of `relevo up` lives: it tells its addresses in one line on standard output, and ends
//! when its standard input does, that is when its parent is gone.

use std::io::Write;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Failure;

/// What a child tells its parent once its listeners are bound.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// A broker's addresses.
    Broker {
        /// For clients.
        nats: String,
        /// For the other broker.
        peer: Option<String>,
        /// For `/healthz` and `/varz`.
        monitor: Option<String>,
    },
    /// A gateway's addresses.
    Gateway {
        /// For NATS clients.
        nats: String,
        /// For HTTP.
        http: String,
    },
}

impl Report {
    /// Writes the line.
    pub(crate) fn send(&self) -> Result<(), Failure> {
        let tried = "report addresses";
        let line = serde_json::to_string(self).map_err(|error| Failure::new(tried, error))?;
        let mut out = std::io::stdout();
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .map_err(|error| Failure::new(tried, error))
    }
}

/// Listens from now on for the end: SIGTERM, SIGINT unless the process is supervised (its parent gets
/// that one too and stops its children in order), the end of standard input if it is. The future is
/// ready when the process is to stop.
pub(crate) fn stop_wanted(supervised: bool) -> Result<impl Future<Output = ()>, Failure> {
    let tried = "listen for signals";
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| Failure::new(tried, error))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|error| Failure::new(tried, error))?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => if !supervised { return },
                () = end_of_input(), if supervised => return,
            }
        }
    })
}

async fn end_of_input() {
    let mut input = tokio::io::stdin();
    let mut buffer = [0; 256];
    while let Ok(1..) = input.read(&mut buffer).await {}
}
