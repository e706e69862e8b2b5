//! How a child of `relevo up` lives: it tells its addresses in one line on standard output, and ends
//! when its standard input does, that is when its parent is gone.

use std::io::Write;

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

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
    let mut parent = supervised.then(Parent::watch).transpose()?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => if !supervised { return },
                () = Parent::gone(parent.as_mut()) => return,
            }
        }
    })
}

/// Who holds the other end of standard input.
struct Parent(oneshot::Receiver<()>);

impl Parent {
    /// Reads standard input until it ends, on a thread of its own: a read that waits cannot be called
    /// off, and the runtime would wait for its own threads when the process is to stop.
    fn watch() -> Result<Self, Failure> {
        let (here, gone) = oneshot::channel();
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                // What a parent says does not matter; an error is as good as the end.
                let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
                drop(here);
            })
            .map_err(|error| Failure::new("watch standard input", error))?;
        Ok(Self(gone))
    }

    /// Ready when it is gone; never without one.
    async fn gone(parent: Option<&mut Self>) {
        match parent {
            // Nothing is ever sent: the channel ends.
            Some(Self(gone)) => drop(gone.await),
            None => std::future::pending().await,
        }
    }
}
