//! `relevo broker`: one broker process.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use relevo_broker::{Broker, Config, Listen, Peer, PeerAddress};
use relevo_protocol::name::MemberName;
use relevo_protocol::size::parse_size;
use serde::Deserialize;

use crate::exit::Failure;
use crate::supervised::{Report, stop_wanted};
use crate::{key, logging, settings};

/// Names of the settings, as a TOML file has them.
const KNOWN: &[&str] = &[
    "name",
    "nats",
    "peer_listen",
    "peer",
    "monitor",
    "store",
    "key",
    "no_seal",
    "max_payload",
    "max_connections",
    "data_shards",
];

/// Flags of `relevo broker`.
#[derive(Debug, Args)]
pub(crate) struct BrokerArguments {
    /// Read settings from this TOML file; its keys are the flags' names with _ for -. A flag wins.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: BrokerSettings,
    /// Where to find the other broker's address, read anew at each attempt.
    #[arg(long, value_name = "FILE", hide = true, conflicts_with = "peer")]
    peer_file: Option<PathBuf>,
    /// Tell the addresses on standard output and end when standard input ends.
    #[arg(long, hide = true)]
    supervised: bool,
}

/// What a broker can be told, by flag or by file.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BrokerSettings {
    /// This broker's name, for ever: small letters, digits and -, up to 32. The two of a pair differ.
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// Where clients connect, HOST:PORT; port 0 is any free one [default: 127.0.0.1:4222].
    #[arg(long, value_name = "HOST:PORT")]
    nats: Option<HostPort>,
    /// Where the other broker finds this one, HOST:PORT; needed for a pair.
    #[arg(long, value_name = "HOST:PORT")]
    peer_listen: Option<HostPort>,
    /// Where the other broker listens for this one (its --peer-listen); without it this is a single
    /// broker, whose acknowledgements mean one disk.
    #[arg(long, value_name = "HOST:PORT")]
    peer: Option<HostPort>,
    /// Where /healthz and /varz are served, HOST:PORT [default: not served].
    #[arg(long, value_name = "HOST:PORT")]
    monitor: Option<HostPort>,
    /// The directory that holds everything this broker stores; made when missing.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Seal the store with the keys in this file (`relevo key new FILE` makes one).
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Say that a new store is to stay unsealed. Refused for a sealed one.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    no_seal: Option<bool>,
    /// The longest message, headers and payload together, up to 64MiB [default: 1MiB].
    #[arg(long, value_name = "SIZE")]
    max_payload: Option<Size>,
    /// The most client connections at a time [default: 65536].
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<usize>,
    /// How many data shards a new cluster has, 1 to 16; an old one keeps its number [default: 2].
    #[arg(long, value_name = "COUNT")]
    data_shards: Option<u16>,
}

/// Runs `relevo broker` until it is told to stop.
pub(crate) async fn run(arguments: BrokerArguments) -> Result<(), Failure> {
    logging::start();
    let supervised = arguments.supervised;
    let config = arguments.into_config()?;
    let stop = stop_wanted(supervised)?;
    let broker = Broker::start(config)
        .await
        .map_err(|error| Failure::new("start broker", error))?;
    if supervised {
        let addresses = broker.addresses();
        let report = Report::Broker {
            nats: addresses.nats.to_string(),
            peer: addresses.peer.map(|address| address.to_string()),
            monitor: addresses.monitor.map(|address| address.to_string()),
        };
        report.send()?;
    }
    stop.await;
    broker.shutdown().await;
    Ok(())
}

impl BrokerArguments {
    fn into_config(self) -> Result<Config, Failure> {
        let file: BrokerSettings = settings::read(self.config.as_deref(), KNOWN)?;
        let settings = self.settings.or(file);
        let name = settings
            .name
            .ok_or_else(|| missing("--name", "the broker's name, like a"))?
            .0;
        let store = settings
            .store
            .ok_or_else(|| missing("--store", "the directory to store in"))?;
        let nats = settings
            .nats
            .map_or_else(|| NATS_DEFAULT.to_owned(), |nats| nats.0);
        let mut config = Config::new(name, Listen::Address(nats), store);
        let peer_address = match (settings.peer, self.peer_file) {
            (Some(address), _) => Some(PeerAddress::Fixed(address.0)),
            (None, file) => file.map(PeerAddress::File),
        };
        config.peer = match (peer_address, settings.peer_listen) {
            (Some(address), Some(listen)) => Some(Peer {
                listen: Listen::Address(listen.0),
                address,
            }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(missing(
                    "--peer-listen",
                    "where the other broker finds this one",
                ));
            }
            (None, Some(_)) => {
                return Err(missing(
                    "--peer",
                    "where the other broker listens for this one",
                ));
            }
        };
        config.monitor = settings.monitor.map(|monitor| Listen::Address(monitor.0));
        config.keyring = settings.key.as_deref().map(key::read).transpose()?;
        config.no_seal = settings.no_seal.unwrap_or(false);
        if let Some(size) = settings.max_payload {
            config.limits.max_payload_bytes = size.0;
            config.limits.max_pending_bytes = config.limits.max_pending_bytes.max(size.0);
        }
        if let Some(count) = settings.max_connections {
            config.limits.max_connections = count;
        }
        if let Some(count) = settings.data_shards {
            config.data_shards = count;
        }
        config
            .check()
            .map_err(|error| Failure::new("check settings", error))?;
        Ok(config)
    }
}

impl BrokerSettings {
    fn or(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            nats: self.nats.or(other.nats),
            peer_listen: self.peer_listen.or(other.peer_listen),
            peer: self.peer.or(other.peer),
            monitor: self.monitor.or(other.monitor),
            store: self.store.or(other.store),
            key: self.key.or(other.key),
            no_seal: self.no_seal.or(other.no_seal),
            max_payload: self.max_payload.or(other.max_payload),
            max_connections: self.max_connections.or(other.max_connections),
            data_shards: self.data_shards.or(other.data_shards),
        }
    }
}

fn missing(flag: &str, what: &str) -> Failure {
    Failure::plain(format!("{flag} is missing: {what}"))
}

const NATS_DEFAULT: &str = "127.0.0.1:4222";

/// A member name, checked when it is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Name(MemberName);

/// A `host:port`, checked when it is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HostPort(pub(crate) String);

/// A size in bytes, checked when it is read.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Size(usize);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        MemberName::parse(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("'{text}' has no port; write HOST:PORT, like 127.0.0.1:4222"))?;
        if host.is_empty() {
            return Err(format!(
                "'{text}' has no host; write HOST:PORT, like 127.0.0.1{text}"
            ));
        }
        port.parse::<u16>()
            .map_err(|_| format!("'{port}' is no port; write a number from 0 to 65535"))?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = parse_size(text).map_err(|error| error.to_string())?;
        usize::try_from(bytes)
            .map(Self)
            .map_err(|_| format!("'{text}' is too large"))
    }
}

macro_rules! from_string {
    ($($name:ident),+) => { $(
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )+ };
}
from_string!(Name, HostPort, Size);

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Sample {
        #[command(flatten)]
        arguments: BrokerArguments,
    }

    #[test]
    fn every_setting_is_a_flag_and_every_visible_flag_is_a_setting() {
        let command = Sample::command();
        let mut flags: Vec<String> = command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
            .filter_map(|argument| argument.get_long())
            .filter(|flag| !["config", "help"].contains(flag))
            .map(|flag| flag.replace('-', "_"))
            .collect();
        flags.sort();
        let mut known = KNOWN.to_vec();
        known.sort_unstable();
        assert_eq!(flags, known);
    }

    #[test]
    fn addresses_and_sizes_say_what_is_wrong_with_them() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                text.parse::<HostPort>().map(|_| ()),
                Err(expected.to_owned())
            );
        };
        check(
            "4222",
            "'4222' has no port; write HOST:PORT, like 127.0.0.1:4222",
        );
        check(
            ":4222",
            "':4222' has no host; write HOST:PORT, like 127.0.0.1:4222",
        );
        check(
            "a:nats",
            "'nats' is no port; write a number from 0 to 65535",
        );
        assert!("1MiB".parse::<Size>().is_ok());
    }
}
