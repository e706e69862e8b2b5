//! A gateway from its start to its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use relevo_client::{Client, ConnectOptions};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::balance::Brokers;
use crate::config::{BrokerAddressError, Config, check_broker_address};
use crate::http::{self, Api, Setting};
use crate::relay;

/// A gateway that serves. Dropping it without [`Gateway::shutdown`] leaves it serving until the runtime ends.
#[derive(Debug)]
pub struct Gateway {
    nats_addr: SocketAddr,
    http_addr: SocketAddr,
    stop_relay: CancellationToken,
    relay: JoinHandle<()>,
    stop_http: CancellationToken,
    http: JoinHandle<()>,
    api: Api,
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
        let (http, http_addr) = bind(Door::Http, config.http).await?;

        let setting = Setting {
            nats_addr,
            http_addr,
            body_len_max: config.limits.body_len_max,
            serves_original: config.original_api,
        };
        let client = connect(&config.brokers);
        let brokers = Arc::new(Brokers::new(config.brokers));
        let stop_http = CancellationToken::new();
        let api = Api::new(client, Arc::clone(&brokers), setting, stop_http.clone());
        let stop_relay = CancellationToken::new();
        let limits = config.limits;
        Ok(Self {
            nats_addr,
            http_addr,
            relay: tokio::spawn(relay::serve(
                nats,
                brokers,
                limits.nats_connections_max,
                stop_relay.clone(),
            )),
            stop_relay,
            http: tokio::spawn(http::serve(
                http,
                http::router(api.clone()),
                limits.http_connections_max,
                stop_http.clone(),
            )),
            stop_http,
            api,
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

    /// Stops in order: no new connections are taken and NATS connections are closed; HTTP requests under way are
    /// answered, those that wait are told to ask elsewhere; the gateway's own connection to the brokers is closed. Every
    /// task has ended when it returns, after at most [`SHUTDOWN_MAX`].
    pub async fn shutdown(self) {
        self.stop_relay.cancel();
        self.stop_http.cancel();
        join("relay", self.relay).await;
        join("HTTP", self.http).await;
        // Messages that were leased for clients that have gone are given back while there is a connection.
        if timeout(TASKS_END_MAX, self.api.tasks_ended())
            .await
            .is_err()
        {
            tracing::warn!(
                "stop gateway: leased messages were not given back; they come back when their leases expire"
            );
        }
        self.api.client().close().await;
    }
}

/// The longest that [`Gateway::shutdown`] takes.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(12);

/// How long leased messages may take to be given back once HTTP has stopped.
const TASKS_END_MAX: Duration = Duration::from_secs(4);

/// How long a broker may take to accept the gateway's own connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// How long a request waits for a connection to a broker.
const SEND_MAX: Duration = Duration::from_millis(1500);

/// How long a broker may take to answer a request.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How often the gateway's own connection is tested while it is quiet.
const PING_INTERVAL: Duration = Duration::from_secs(2);

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

/// The gateway's own connection, to one of the brokers at a time.
fn connect(brokers: &[String]) -> Client {
    let options = ConnectOptions::new()
        .name("relevo-gateway")
        .without_discovery()
        .connect_timeout(CONNECT_MAX)
        .send_timeout(SEND_MAX)
        .request_timeout(ANSWER_MAX)
        .ping_interval(PING_INTERVAL);
    brokers
        .iter()
        .fold(options, |options, broker| options.server(broker))
        .connect_in_background()
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
