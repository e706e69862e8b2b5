//! `relevo gateway`: one gateway process.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;
use relevo_gateway::{Config, Gateway, Limits};
use serde::Deserialize;

use crate::broker::HostPort;
use crate::exit::Failure;
use crate::supervised::{Report, stop_wanted};
use crate::{logging, settings};

/// Names of the settings, as a TOML file has them.
const KNOWN: &[&str] = &["nats", "http", "broker", "state", "original_api"];
const NATS_DEFAULT: &str = "127.0.0.1:4222";
const HTTP_DEFAULT: &str = "127.0.0.1:8080";

/// Flags of `relevo gateway`.
#[derive(Debug, Args)]
pub(crate) struct GatewayArguments {
    /// Read settings from this TOML file; its keys are the flags' names with _ for -. A flag wins.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: GatewaySettings,
    /// Tell the addresses on standard output and end when standard input ends.
    #[arg(long, hide = true)]
    supervised: bool,
}

/// What a gateway can be told, by flag or by file.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GatewaySettings {
    /// Where NATS clients and telnet connect, HOST:PORT; port 0 is any free one
    /// [default: 127.0.0.1:4222].
    #[arg(long, value_name = "HOST:PORT")]
    nats: Option<HostPort>,
    /// Where HTTP is served, HOST:PORT; port 0 is any free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<HostPort>,
    /// A broker's NATS address; once for each broker. In a file: a list.
    #[arg(long, value_name = "HOST:PORT")]
    broker: Vec<HostPort>,
    /// A directory for what must outlive the gateway.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Serve the original API too (/crearCola/… and so on). It changes state on GET.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    original_api: Option<bool>,
}

/// Runs `relevo gateway` until it is told to stop.
pub(crate) async fn run(arguments: GatewayArguments) -> Result<(), Failure> {
    logging::start();
    let supervised = arguments.supervised;
    let config = arguments.into_config()?;
    let stop = stop_wanted(supervised)?;
    let gateway = Gateway::start(config)
        .await
        .map_err(|error| Failure::new("start gateway", error))?;
    if supervised {
        let nats = gateway.nats_addr().to_string();
        let http = gateway.http_addr().to_string();
        Report::Gateway { nats, http }.send()?;
    }
    stop.await;
    gateway.shutdown().await;
    Ok(())
}

impl GatewayArguments {
    fn into_config(self) -> Result<Config, Failure> {
        let file: GatewaySettings = settings::read(self.config.as_deref(), KNOWN)?;
        let flags = self.settings;
        let brokers = if flags.broker.is_empty() {
            file.broker
        } else {
            flags.broker
        };
        Ok(Config {
            nats: resolve(flags.nats.or(file.nats), NATS_DEFAULT)?,
            http: resolve(flags.http.or(file.http), HTTP_DEFAULT)?,
            brokers: brokers.into_iter().map(|broker| broker.0).collect(),
            state: flags.state.or(file.state),
            original_api: flags.original_api.or(file.original_api).unwrap_or(false),
            limits: Limits::default(),
        })
    }
}

fn resolve(address: Option<HostPort>, default: &str) -> Result<SocketAddr, Failure> {
    let address = address.map_or_else(|| default.to_owned(), |address| address.0);
    let tried = || format!("look up {address}");
    address
        .to_socket_addrs()
        .map_err(|error| Failure::new(tried(), error))?
        .next()
        .ok_or_else(|| {
            Failure::new(
                tried(),
                "no address found; write HOST:PORT with an IP address",
            )
        })
}
