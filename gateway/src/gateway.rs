//! A gateway from its start to its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::balance::Brokers;
use crate::config::{BrokerAddressError, Config, check_broker_address};
use crate::relay;

/// A gateway that serves. Dropping it without [`Gateway::shutdown`] leaves it serving until the runtime ends.
#[derive(Debug)]
pub struct Gateway {
    nats_addr: SocketAddr,
    http_addr: SocketAddr,
    stop_relay: CancellationToken,
    relay: JoinHandle<()>,
}

impl Gateway {
    /// Binds both doors, then serves them. Brokers need not answer yet.
    ///
    /// # Errors
    /// [`StartError`] when the configuration does not hold or a door cannot be bound; then nothing is served.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if config.brokers.is_empty() {
            return Err(StartError::NoBrokers);
        }
        for address in &config.brokers {
            check_broker_address(address).map_err(|reason| StartError::BrokerAddress {
                address: address.clone(),
                reason,
            })?;
        }
        if let Some(path) = &config.state {
            tokio::fs::create_dir_all(path)
                .await
                .map_err(|source| StartError::State {
                    path: path.clone(),
                    source,
                })?;
        }
        let (nats, nats_addr) = bind(Door::Nats, config.nats).await?;
        let (_http, http_addr) = bind(Door::Http, config.http).await?;

        let brokers = Arc::new(Brokers::new(config.brokers));
        let stop_relay = CancellationToken::new();
        let relay = tokio::spawn(relay::serve(
            nats,
            brokers,
            config.limits.nats_connections_max,
            stop_relay.clone(),
        ));
        Ok(Self {
            nats_addr,
            http_addr,
            stop_relay,
            relay,
        })
    }

    /// Where NATS connections are taken, with the port that was really bound.
    #[must_use]
    pub fn nats_addr(&self) -> SocketAddr {
        self.nats_addr
    }

    /// Where HTTP is served, with the port that was really bound.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Stops in order: no new connections, HTTP requests under way are answered, NATS connections are closed, the
    /// gateway's own connection to the brokers is closed. Returns when every task has ended, after at most
    /// [`SHUTDOWN_MAX`].
    pub async fn shutdown(self) {
        self.stop_relay.cancel();
        join("relay", self.relay).await;
    }
}

/// The longest that [`Gateway::shutdown`] takes.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(8);

/// One of the two places where a gateway listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// NATS and the verbs.
    Nats,
    /// HTTP.
    Http,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nats => "NATS",
            Self::Http => "HTTP",
        })
    }
}

/// Why a gateway did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration names no broker.
    NoBrokers,
    /// A broker's address is not `host:port`.
    BrokerAddress {
        /// The address as it was given.
        address: String,
        /// What is wrong with it.
        reason: BrokerAddressError,
    },
    /// The directory for state cannot be made.
    State {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A door cannot be bound.
    Bind {
        /// Which one.
        door: Door,
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBrokers => {
                f.write_str("a gateway needs at least one broker; name it as host:port")
            }
            Self::BrokerAddress { address, reason } => {
                write!(f, "'{address}' is not the address of a broker: {reason}")
            }
            Self::State { path, source } => {
                write!(f, "make the state directory {}: {source}", path.display())
            }
            Self::Bind {
                door,
                address,
                source,
            } => {
                write!(
                    f,
                    "listen for {door} on {address}: {source}; port 0 takes any free port"
                )
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoBrokers => None,
            Self::BrokerAddress { reason, .. } => Some(reason),
            Self::State { source, .. } | Self::Bind { source, .. } => Some(source),
        }
    }
}

async fn bind(door: Door, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind {
        door,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn join(name: &'static str, task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "join {name}: the task did not end by itself");
    }
}
