//! What a client says about itself in CONNECT.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The JSON of CONNECT. A field that is not there, or is null, has its default; unknown fields are ignored.
///
/// Source: NATS client protocol, CONNECT; defaults as in nats-server 2.15 `client.go`, `defaultOpts`. `Debug` does not show secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Fields")]
pub struct ConnectOptions {
    /// Whether to answer each operation with `+OK`. Default true.
    pub verbose: bool,
    /// Whether to check subjects strictly. Default true.
    pub pedantic: bool,
    /// Whether the client insists on TLS.
    pub tls_required: bool,
    /// A token to log in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<String>,
    /// A user to log in as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<String>,
    /// A user JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
    /// The public nkey that `sig` is to be checked with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<String>,
    /// The signature of INFO's nonce, in base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<String>,
    /// The client's name for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The client library's language.
    pub lang: String,
    /// The client library's version.
    pub version: String,
    /// 0, or 1 for a client that takes an INFO at any time.
    pub protocol: i32,
    /// Whether the client's own messages come back to its subscriptions. Default true.
    pub echo: bool,
    /// Whether the client knows headers.
    pub headers: bool,
    /// Whether a request that nobody listens for is answered with status 503; needs `headers`.
    pub no_responders: bool,
}

/// The JSON as it comes: clients also send null for what they do not set.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    verbose: Option<bool>,
    pedantic: Option<bool>,
    tls_required: Option<bool>,
    auth_token: Option<String>,
    user: Option<String>,
    pass: Option<String>,
    jwt: Option<String>,
    nkey: Option<String>,
    sig: Option<String>,
    name: Option<String>,
    lang: Option<String>,
    version: Option<String>,
    protocol: Option<i32>,
    echo: Option<bool>,
    headers: Option<bool>,
    no_responders: Option<bool>,
}

/// Why bytes are not the JSON of CONNECT.
#[derive(Debug)]
pub enum ConnectError {
    /// It is no JSON, or a field has the wrong type.
    BadJson(serde_json::Error),
    /// It does not begin as an object does.
    NotAnObject,
}

impl ConnectOptions {
    /// Reads the JSON of CONNECT.
    ///
    /// # Errors
    /// [`ConnectError`] when it is not one JSON object, or a field has the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, ConnectError> {
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err(ConnectError::NotAnObject);
        }
        serde_json::from_slice(json).map_err(ConnectError::BadJson)
    }

    /// The JSON to send.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, integers and booleans always make JSON")
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Fields::default().into()
    }
}

impl From<Fields> for ConnectOptions {
    fn from(fields: Fields) -> Self {
        Self {
            verbose: fields.verbose.unwrap_or(true),
            pedantic: fields.pedantic.unwrap_or(true),
            tls_required: fields.tls_required.unwrap_or_default(),
            auth_token: fields.auth_token,
            user: fields.user,
            pass: fields.pass,
            jwt: fields.jwt,
            nkey: fields.nkey,
            sig: fields.sig,
            name: fields.name,
            lang: fields.lang.unwrap_or_default(),
            version: fields.version.unwrap_or_default(),
            protocol: fields.protocol.unwrap_or_default(),
            echo: fields.echo.unwrap_or(true),
            headers: fields.headers.unwrap_or_default(),
            no_responders: fields.no_responders.unwrap_or_default(),
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("verbose", &self.verbose)
            .field("pedantic", &self.pedantic)
            .field("tls_required", &self.tls_required)
            .field("user", &self.user)
            .field("nkey", &self.nkey)
            .field("name", &self.name)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("protocol", &self.protocol)
            .field("echo", &self.echo)
            .field("headers", &self.headers)
            .field("no_responders", &self.no_responders)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadJson(source) => Some(source),
            Self::NotAnObject => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadJson(source) => write!(f, "CONNECT takes a JSON object: {source}"),
            Self::NotAnObject => f.write_str("CONNECT takes a JSON object"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_nats_servers_defaults() {
        let options = ConnectOptions::parse(b"{}").unwrap();
        assert_eq!(options, ConnectOptions::default());
        assert!(options.verbose && options.pedantic && options.echo);
        assert!(!options.headers && !options.no_responders && !options.tls_required);
        assert_eq!(options.protocol, 0);
    }

    #[test]
    fn null_is_as_if_not_said_and_unknown_fields_are_ignored() {
        let json = br#"{"verbose":null,"echo":null,"user":null,"lang":null,"protocol":null,"from_the_future":[1]}"#;
        assert_eq!(
            ConnectOptions::parse(json).unwrap(),
            ConnectOptions::default()
        );
    }

    #[test]
    fn every_field_is_read() {
        let json = br#"{"verbose":false,"pedantic":false,"tls_required":true,"auth_token":"t","user":"u","pass":"p",
            "jwt":"j","nkey":"k","sig":"s","name":"n","lang":"rust","version":"1.2.3","protocol":1,"echo":false,
            "headers":true,"no_responders":true}"#;
        let options = ConnectOptions::parse(json).unwrap();
        let expected = ConnectOptions {
            verbose: false,
            pedantic: false,
            tls_required: true,
            auth_token: Some("t".into()),
            user: Some("u".into()),
            pass: Some("p".into()),
            jwt: Some("j".into()),
            nkey: Some("k".into()),
            sig: Some("s".into()),
            name: Some("n".into()),
            lang: "rust".into(),
            version: "1.2.3".into(),
            protocol: 1,
            echo: false,
            headers: true,
            no_responders: true,
        };
        assert_eq!(options, expected);
        assert_eq!(ConnectOptions::parse(&options.to_json()).unwrap(), expected);
    }

    #[test]
    fn a_wrong_type_is_named() {
        let error = ConnectOptions::parse(br#"{"verbose":1}"#)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("invalid type: integer `1`, expected a boolean"),
            "{error}"
        );
        for wrong in ["", "{", "[]", "1", "{} x", "\"a\""] {
            assert!(ConnectOptions::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let json = br#"{"auth_token":"secret1","pass":"secret2","jwt":"secret3","sig":"secret4","user":"alice"}"#;
        let shown = format!("{:?}", ConnectOptions::parse(json).unwrap());
        assert!(
            shown.contains("alice") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
