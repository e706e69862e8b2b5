//! How a broker is set up: a plain value that the command line fills in.

use std::fmt;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use relevo_protocol::limits::{CONTROL_LINE_LEN_DEFAULT, PAYLOAD_LEN_DEFAULT, PAYLOAD_LEN_MAX};
use relevo_protocol::name::MemberName;
use relevo_store::seal::Keyring;

/// Data shards when nothing else is said: one led by each broker.
pub(crate) const DATA_SHARDS_DEFAULT: u16 = 2;
/// Most data shards.
pub const DATA_SHARDS_MAX: u16 = 16;
/// Bytes that may wait for a client before it counts as slow. Source: nats-server `const.go`,
/// `MAX_PENDING_SIZE`.
pub(crate) const MAX_PENDING_BYTES_DEFAULT: usize = 64 * 1024 * 1024;
/// How long a client may take nothing of what waits for it. Source: nats-server `const.go`,
/// `DEFAULT_FLUSH_DEADLINE`.
pub(crate) const WRITE_DEADLINE_DEFAULT: Duration = Duration::from_secs(10);
/// How often a silent client is sent a PING. Source: nats-server `const.go`,
/// `DEFAULT_PING_INTERVAL`.
pub(crate) const PING_INTERVAL_DEFAULT: Duration = Duration::from_secs(120);
/// PINGs without an answer after which a connection is stale. Source: nats-server `const.go`,
/// `DEFAULT_PING_MAX_OUT`.
pub(crate) const PINGS_OUT_MAX_DEFAULT: u32 = 2;
/// Client connections at a time. Source: nats-server `const.go`, `DEFAULT_MAX_CONNECTIONS`.
pub(crate) const MAX_CONNECTIONS_DEFAULT: usize = 64 * 1024;

/// Everything a broker has to be told.
#[derive(Debug)]
pub struct Config {
    /// Its name; the two brokers of a pair have different ones, for ever.
    pub name: MemberName,
    /// Where clients connect.
    pub nats: Listen,
    /// The other broker; `None` is a single broker, which acknowledges what its own disk holds.
    pub peer: Option<Peer>,
    /// Where `/healthz` and `/varz` are served.
    pub monitor: Option<Listen>,
    /// The store directory; made when it is not there.
    pub store: PathBuf,
    /// The keys that the store is sealed with. A store that was sealed needs them for ever.
    pub keyring: Option<Keyring>,
    /// Whether a new store is to stay unsealed although no key was given on purpose; refused for a
    /// store that is sealed, and beside a `keyring`.
    pub no_seal: bool,
    /// What clients may do.
    pub limits: Limits,
    /// How many data shards a new cluster has, 1 to [`DATA_SHARDS_MAX`]. An existing cluster keeps
    /// the number that it began with.
    pub data_shards: u16,
}

/// Where the other broker is, and where it finds this one.
#[derive(Debug)]
pub struct Peer {
    /// Where this broker listens for the other.
    pub listen: Listen,
    /// Where the other broker listens for this one.
    pub address: PeerAddress,
}

/// How to find the other broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// `host:port`; the host is looked up at each attempt.
    Fixed(String),
    /// A file that holds `host:port`, read at each attempt; one that is not there yet is waited for.
    File(PathBuf),
}

/// A place to listen at.
#[derive(Debug)]
pub enum Listen {
    /// `host:port`; port 0 is any free one, which [`crate::Broker::addresses`] tells.
    Address(String),
    /// A socket that listens already.
    Bound(TcpListener),
}

/// What clients may do. All limits are inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest headers and payload together, in bytes; at most 64 MiB.
    pub max_payload_bytes: usize,
    /// The longest control line, in bytes.
    pub max_control_line_bytes: usize,
    /// Bytes that may wait for a client before it is cut off as a slow consumer.
    pub max_pending_bytes: usize,
    /// How long a client may take nothing of what waits for it before it is cut off.
    pub write_deadline: Duration,
    /// How long a connection may be silent before it is sent a PING.
    pub ping_interval: Duration,
    /// PINGs without an answer after which a connection is closed.
    pub pings_out_max: u32,
    /// Client connections at a time.
    pub max_connections: usize,
}

/// What is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// `data_shards` is 0 or above [`DATA_SHARDS_MAX`].
    DataShards(u16),
    /// A limit is outside its range.
    Limit {
        /// Which.
        name: &'static str,
        /// The lowest value, inclusive.
        min: usize,
        /// The highest value, inclusive.
        max: usize,
    },
    /// A key and `no_seal` contradict each other.
    KeyWithNoSeal,
}

impl Config {
    /// A broker with nothing but defaults.
    #[must_use]
    pub fn new(name: MemberName, nats: Listen, store: PathBuf) -> Self {
        Self {
            name,
            nats,
            peer: None,
            monitor: None,
            store,
            keyring: None,
            no_seal: false,
            limits: Limits::default(),
            data_shards: DATA_SHARDS_DEFAULT,
        }
    }

    /// Whether the values make sense together.
    ///
    /// # Errors
    /// [`ConfigError`] names the first that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(1..=DATA_SHARDS_MAX).contains(&self.data_shards) {
            return Err(ConfigError::DataShards(self.data_shards));
        }
        if self.no_seal && self.keyring.is_some() {
            return Err(ConfigError::KeyWithNoSeal);
        }
        self.limits.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("max_payload", self.max_payload_bytes, 1, PAYLOAD_LEN_MAX),
            (
                "max_control_line",
                self.max_control_line_bytes,
                CONTROL_LINE_MIN,
                CONTROL_LINE_MAX,
            ),
            (
                "max_pending",
                self.max_pending_bytes,
                self.max_payload_bytes,
                usize::MAX,
            ),
            ("max_connections", self.max_connections, 1, usize::MAX),
        ];
        match ranges
            .into_iter()
            .find(|(_, value, min, max)| !(min..=max).contains(&value))
        {
            Some((name, _, min, max)) => Err(ConfigError::Limit { name, min, max }),
            None => Ok(()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload_bytes: PAYLOAD_LEN_DEFAULT,
            max_control_line_bytes: CONTROL_LINE_LEN_DEFAULT,
            max_pending_bytes: MAX_PENDING_BYTES_DEFAULT,
            write_deadline: WRITE_DEADLINE_DEFAULT,
            ping_interval: PING_INTERVAL_DEFAULT,
            pings_out_max: PINGS_OUT_MAX_DEFAULT,
            max_connections: MAX_CONNECTIONS_DEFAULT,
        }
    }
}

impl From<&str> for Listen {
    fn from(address: &str) -> Self {
        Self::Address(address.to_owned())
    }
}

impl From<String> for Listen {
    fn from(address: String) -> Self {
        Self::Address(address)
    }
}

impl From<TcpListener> for Listen {
    fn from(listener: TcpListener) -> Self {
        Self::Bound(listener)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::Bound(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("a socket of unknown address"),
            },
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataShards(found) => {
                write!(
                    f,
                    "data_shards is {found}; give a number from 1 to {DATA_SHARDS_MAX}"
                )
            }
            Self::Limit {
                name,
                min,
                max: usize::MAX,
            } => {
                write!(f, "{name} is too low; give {min} or more")
            }
            Self::Limit { name, min, max } => {
                write!(
                    f,
                    "{name} is out of range; give a number from {min} to {max}"
                )
            }
            Self::KeyWithNoSeal => {
                f.write_str("a key and --no-seal contradict each other; leave one of them out")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// The shortest control line that can be set, in bytes: the CONNECT of common clients fits.
const CONTROL_LINE_MIN: usize = 1024;
/// The longest control line that can be set, in bytes.
const CONTROL_LINE_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Config), expected: Result<(), &str>) {
        let name = MemberName::parse("a").unwrap();
        let mut config = Config::new(name, Listen::from("127.0.0.1:0"), PathBuf::from("store"));
        change(&mut config);
        let found = config.check().map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn defaults_are_valid_and_each_range_is_kept() {
        check(|_| {}, Ok(()));
        check(
            |config| config.data_shards = 17,
            Err("data_shards is 17; give a number from 1 to 16"),
        );
        check(
            |config| config.limits.max_payload_bytes = 64 * 1024 * 1024 + 1,
            Err("max_payload is out of range; give a number from 1 to 67108864"),
        );
        check(
            |config| config.limits.max_pending_bytes = 10,
            Err("max_pending is too low; give 1048576 or more"),
        );
    }
}
