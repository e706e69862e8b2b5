//! What a gateway is told when it starts.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How many NATS connections are relayed at a time by default.
pub(crate) const NATS_CONNECTIONS_DEFAULT: usize = 10_000;

/// How many HTTP connections are served at a time by default.
pub(crate) const HTTP_CONNECTIONS_DEFAULT: usize = 4_096;

/// The longest HTTP request body by default, in bytes: what brokers take as a payload by default.
pub(crate) const BODY_LEN_DEFAULT: usize = relevo_protocol::limits::PAYLOAD_LEN_DEFAULT;

/// Where a gateway listens and which brokers it stands in front of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where NATS clients and people with telnet connect. Port 0 takes any free port.
    pub nats: SocketAddr,
    /// Where HTTP is served. Port 0 takes any free port.
    pub http: SocketAddr,
    /// The NATS addresses of the brokers as `host:port`, at least one. Names are resolved anew for each connection.
    pub brokers: Vec<String>,
    /// Where the gateway may keep what must outlive it. It is made when it is not there; nothing is kept in it so far.
    pub state: Option<PathBuf>,
    /// Whether the original API (`/crearCola/…`) is served. It changes state on GET, so it is off unless asked for.
    pub original_api: bool,
    /// How much the gateway takes on.
    pub limits: Limits,
}

/// Bounds on what a gateway takes on at a time. All are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// NATS connections at a time; one more is answered with an error and closed.
    pub nats_connections_max: usize,
    /// HTTP connections at a time; more wait in the listener's backlog.
    pub http_connections_max: usize,
    /// The longest HTTP request body, in bytes; a longer one is answered with 413.
    pub body_len_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nats_connections_max: NATS_CONNECTIONS_DEFAULT,
            http_connections_max: HTTP_CONNECTIONS_DEFAULT,
            body_len_max: BODY_LEN_DEFAULT,
        }
    }
}

/// Checks that `text` is `host:port` with a port that can be connected to.
pub(crate) fn check_broker_address(text: &str) -> Result<(), BrokerAddressError> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(BrokerAddressError::NoPort);
    };
    if host.is_empty() || host.contains("//") {
        return Err(BrokerAddressError::NoHost);
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => Err(BrokerAddressError::BadPort),
    }
}

/// Why a text is not the address of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerAddressError {
    /// There is no `:port` at its end.
    NoPort,
    /// There is nothing before the port, or a URL where a bare host belongs.
    NoHost,
    /// The port is not a number from 1 to 65535.
    BadPort,
}

impl fmt::Display for BrokerAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPort => "it has no port; write it as host:port, like 127.0.0.1:4223",
            Self::NoHost => "it has no plain host; write it as host:port, like 127.0.0.1:4223",
            Self::BadPort => "its port is not a number from 1 to 65535; write it as host:port, like 127.0.0.1:4223",
        })
    }
}

impl std::error::Error for BrokerAddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_address_is_a_host_and_a_port() {
        let check =
            |text: &str, expected| assert_eq!(check_broker_address(text), expected, "{text}");
        check("127.0.0.1:4223", Ok(()));
        check("broker-a.example:4222", Ok(()));
        check("[::1]:4222", Ok(()));
        check("broker", Err(BrokerAddressError::NoPort));
        check(":4222", Err(BrokerAddressError::NoHost));
        check("nats://broker:4222", Err(BrokerAddressError::NoHost));
        check("broker:0", Err(BrokerAddressError::BadPort));
        check("broker:65536", Err(BrokerAddressError::BadPort));
        check("broker:nats", Err(BrokerAddressError::BadPort));
    }
}
