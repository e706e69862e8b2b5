//! What a server says about itself in INFO.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The JSON of INFO. Optional fields are left out when they have their default; unknown fields are ignored.
///
/// Source: NATS client protocol, INFO; nats-server 2.15 `server.go`, `Info`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// A name for this run of the server, that no other has.
    pub server_id: String,
    /// The server's name.
    pub server_name: String,
    /// The nats-server release whose behaviour is matched, as X.Y.Z: clients turn features on by it.
    pub version: String,
    /// The protocol's version, 1.
    pub proto: i32,
    /// The version of Go that the server was built with; empty in a server that was not.
    pub go: String,
    /// Where the server listens.
    pub host: String,
    /// Where the server listens.
    pub port: u16,
    /// Whether HPUB and HMSG are known.
    pub headers: bool,
    /// The longest payload, headers counted in, in bytes.
    pub max_payload: u64,
    /// Whether there is JetStream.
    #[serde(skip_serializing_if = "is_default")]
    pub jetstream: bool,
    /// The level of the JetStream API.
    #[serde(skip_serializing_if = "is_default")]
    pub api_lvl: u32,
    /// The server's number for this connection.
    #[serde(skip_serializing_if = "is_default")]
    pub client_id: u64,
    /// The client's address as the server sees it.
    #[serde(skip_serializing_if = "is_default")]
    pub client_ip: String,
    /// What a client with an nkey has to sign.
    #[serde(skip_serializing_if = "is_default")]
    pub nonce: String,
    /// The cluster's name.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: String,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "is_default")]
    pub domain: String,
    /// Whether a client has to log in.
    #[serde(skip_serializing_if = "is_default")]
    pub auth_required: bool,
    /// Whether a client has to turn TLS on.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_required: bool,
    /// Whether a client has to show a certificate.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_verify: bool,
    /// Whether a client may turn TLS on.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_available: bool,
    /// Where else clients can connect, as `host:port`.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_urls: Vec<String>,
    /// Where WebSocket clients can connect, as `host:port`.
    #[serde(skip_serializing_if = "is_default")]
    pub ws_connect_urls: Vec<String>,
    /// Lame duck: the server is about to stop, connect elsewhere.
    #[serde(skip_serializing_if = "is_default")]
    pub ldm: bool,
    /// The key that an auth callout encrypts to.
    #[serde(skip_serializing_if = "is_default")]
    pub xkey: String,
    /// Whether the connection is in the system account.
    #[serde(skip_serializing_if = "is_default")]
    pub acc_is_sys: bool,
}

/// Why bytes are not the JSON of INFO.
#[derive(Debug)]
pub enum InfoError {
    /// It is no JSON, or a field has the wrong type.
    BadJson(serde_json::Error),
    /// It does not begin as an object does.
    NotAnObject,
}

impl ServerInfo {
    /// Reads the JSON of INFO.
    ///
    /// # Errors
    /// [`InfoError`] when it is not one JSON object, or a field has the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, InfoError> {
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err(InfoError::NotAnObject);
        }
        serde_json::from_slice(json).map_err(InfoError::BadJson)
    }

    /// The JSON to send.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, integers and booleans always make JSON")
    }
}

impl std::error::Error for InfoError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadJson(source) => Some(source),
            Self::NotAnObject => None,
        }
    }
}

impl fmt::Display for InfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadJson(source) => write!(f, "INFO takes a JSON object: {source}"),
            Self::NotAnObject => f.write_str("INFO takes a JSON object"),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_nats_server_sends_is_read() {
        let json = br#"{"server_id":"NA","server_name":"a","version":"2.15.2","proto":1,"git_commit":"x","go":"go1.25",
            "host":"0.0.0.0","port":4222,"headers":true,"max_payload":1048576,"jetstream":true,"client_id":7,
            "client_ip":"127.0.0.1","nonce":"n","cluster":"c","connect_urls":["h:1","h:2"],"ldm":true,"api_lvl":5}"#;
        let info = ServerInfo::parse(json).unwrap();
        assert_eq!(
            (info.port, info.max_payload, info.client_id, info.api_lvl),
            (4222, 1_048_576, 7, 5)
        );
        assert_eq!(info.connect_urls, ["h:1", "h:2"]);
        assert!(info.headers && info.jetstream && info.ldm && !info.auth_required);
        assert_eq!(ServerInfo::parse(&info.to_json()).unwrap(), info);
    }

    #[test]
    fn optional_fields_are_left_out_when_they_say_nothing() {
        let json = String::from_utf8(ServerInfo::default().to_json()).unwrap();
        let expected = r#"{"server_id":"","server_name":"","version":"","proto":0,"go":"","host":"","port":0,"headers":false,"max_payload":0}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn a_wrong_type_is_named() {
        let error = ServerInfo::parse(br#"{"port":"4222"}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected u16"), "{error}");
        assert!(ServerInfo::parse(b"[]").is_err());
    }
}
