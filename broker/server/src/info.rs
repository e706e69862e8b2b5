//! What clients are told of the broker in INFO.

use std::net::SocketAddr;

use relevo_protocol::info::ServerInfo;
use relevo_protocol::name::MemberName;

/// The nats-server release whose behaviour is matched. Clients turn features on by it: with 2.10 they
/// use named consumers, direct get, several filters and metadata, and nothing of what came with the
/// API levels of 2.11 and later (message TTL, consumer pause, priority groups, batches, counters).
pub(crate) const NATS_VERSION: &str = "2.10.29";
/// The version of the client protocol. Source: NATS client protocol, INFO.
pub(crate) const PROTO: i32 = 1;
/// The level of the JetStream API; levels begin with nats-server 2.11, whose level is 1.
const API_LEVEL: u32 = 0;

/// What does not change while the process lives.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) server_id: String,
    pub(crate) nats: SocketAddr,
    pub(crate) max_payload_bytes: usize,
}

impl Identity {
    /// INFO without a connection's number and address.
    pub(crate) fn info(&self, name: &MemberName) -> ServerInfo {
        ServerInfo {
            server_id: self.server_id.clone(),
            server_name: name.to_string(),
            version: NATS_VERSION.to_owned(),
            proto: PROTO,
            host: self.nats.ip().to_string(),
            port: self.nats.port(),
            headers: true,
            max_payload: self.max_payload_bytes as u64,
            jetstream: true,
            api_lvl: API_LEVEL,
            ..ServerInfo::default()
        }
    }
}
