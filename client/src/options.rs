//! What a client is told before it connects.

use std::fmt;
use std::time::Duration;

use relevo_protocol::connect;

use crate::client::Client;
use crate::connection;
use crate::error::ConnectError;
use crate::feed::FeedLimits;

/// How long one server may take to be ready, by default.
pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// How long JetStream requests, acknowledgements and PubAcks are waited for, by default.
pub const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// How long a command waits for a connection and for room in the write buffer, by default.
pub const SEND_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);

/// How often an idle connection is tested, by default. After two tests without a word it is given up.
pub const PING_INTERVAL_DEFAULT: Duration = Duration::from_secs(20);

/// How many messages wait for a subscriber at most, by default.
pub const SUBSCRIPTION_MESSAGES_DEFAULT: usize = 512 * 1024;

/// How many bytes wait for a subscriber at most, by default.
pub const SUBSCRIPTION_BYTES_DEFAULT: usize = 64 * 1024 * 1024;

/// How to connect. Made with [`ConnectOptions::new`], used up by [`ConnectOptions::connect`].
///
/// `Debug` does not show secrets.
#[derive(Clone)]
pub struct ConnectOptions {
    pub(crate) servers: Vec<String>,
    pub(crate) discover: bool,
    pub(crate) name: Option<String>,
    pub(crate) login: Login,
    pub(crate) echo: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) feed_limits: FeedLimits,
}

/// Who the client says it is.
#[derive(Clone)]
pub(crate) enum Login {
    Nobody,
    Token(String),
    Password { user: String, password: String },
}

impl ConnectOptions {
    /// No server yet, and the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            servers: Vec::new(),
            discover: true,
            name: None,
            login: Login::Nobody,
            echo: true,
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            request_timeout: REQUEST_TIMEOUT_DEFAULT,
            send_timeout: SEND_TIMEOUT_DEFAULT,
            ping_interval: PING_INTERVAL_DEFAULT,
            feed_limits: FeedLimits {
                messages_max: SUBSCRIPTION_MESSAGES_DEFAULT,
                bytes_max: SUBSCRIPTION_BYTES_DEFAULT,
            },
        }
    }

    /// Adds a server, as `host:port` or `nats://host:port`; the port is 4222 when it is not said. Servers are tried in
    /// order, after a loss beginning behind the one that was lost.
    #[must_use]
    pub fn server(mut self, address: impl Into<String>) -> Self {
        self.servers.push(address.into());
        self
    }

    /// Stays with the servers that were named, and does not use those that a server names in its INFO.
    #[must_use]
    pub fn without_discovery(mut self) -> Self {
        self.discover = false;
        self
    }

    /// The client's name, shown by the server's tools.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Logs in with a token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.login = Login::Token(token.into());
        self
    }

    /// Logs in as a user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Login::Password {
            user: user.into(),
            password: password.into(),
        };
        self
    }

    /// The client's own messages do not come back to its own subscriptions.
    #[must_use]
    pub fn without_echo(mut self) -> Self {
        self.echo = false;
        self
    }

    /// How long one server may take to be ready; [`CONNECT_TIMEOUT_DEFAULT`].
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long JetStream requests, acknowledgements and PubAcks are waited for; [`REQUEST_TIMEOUT_DEFAULT`].
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long a command waits for a connection and for room in the write buffer; [`SEND_TIMEOUT_DEFAULT`].
    #[must_use]
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// How often an idle connection is tested, 10 ms at least; [`PING_INTERVAL_DEFAULT`]. After two tests without a word
    /// from the server the connection is given up.
    #[must_use]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// How much waits for a subscriber at most, [`SUBSCRIPTION_MESSAGES_DEFAULT`] and [`SUBSCRIPTION_BYTES_DEFAULT`].
    /// What is over it is dropped, the newest first, counted by [`Subscriber::lagged`](crate::Subscriber::lagged), and
    /// told as [`Event::Lagged`](crate::Event::Lagged).
    #[must_use]
    pub fn subscription_capacity(mut self, messages: usize, bytes: usize) -> Self {
        self.feed_limits = FeedLimits {
            messages_max: messages.max(1),
            bytes_max: bytes.max(1),
        };
        self
    }

    /// Connects: to the first server that takes the client.
    ///
    /// # Errors
    /// A [`ConnectError`] of the server that was tried last, when none did. Nothing goes on in the background then.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        connection::connect(self).await
    }

    /// Gives a client at once and connects in the background, for as long as the client lives. Until there is a connection
    /// its calls wait as they do after a loss, see [`Self::send_timeout`].
    ///
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn connect_in_background(self) -> Client {
        connection::connect_in_background(self)
    }

    /// What CONNECT says.
    pub(crate) fn to_wire(&self) -> connect::ConnectOptions {
        let mut wire = connect::ConnectOptions {
            verbose: false,
            pedantic: false,
            name: self.name.clone(),
            lang: "rust".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: 1,
            echo: self.echo,
            headers: true,
            no_responders: true,
            ..connect::ConnectOptions::default()
        };
        match &self.login {
            Login::Nobody => {}
            Login::Token(token) => wire.auth_token = Some(token.clone()),
            Login::Password { user, password } => {
                wire.user = Some(user.clone());
                wire.pass = Some(password.clone());
            }
        }
        wire
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = match &self.login {
            Login::Nobody => "nobody",
            Login::Token(_) => "token",
            Login::Password { user, .. } => user,
        };
        f.debug_struct("ConnectOptions")
            .field("servers", &self.servers)
            .field("name", &self.name)
            .field("login", &login)
            .finish_non_exhaustive()
    }
}
