//! What a worker says about a message that it was given.

use std::fmt;
use std::time::Duration;

use relevo_protocol::convention::lease::{self, Lease};
use relevo_protocol::jetstream::ack::AckKind;
use relevo_protocol::jetstream::api::{ResponseError, decode_response};
use relevo_protocol::jetstream::error::ErrorCode;

use crate::client::Client;
use crate::error::{BadAnswer, JetStreamError, Outcome};

impl Client {
    /// A lease by its text, as a [`Job`](crate::Job) has it, wherever that came from.
    ///
    /// # Errors
    /// [`LeaseError::Malformed`] when the text is no lease.
    pub fn lease(&self, text: &str) -> Result<LeaseHandle, LeaseError> {
        let lease = Lease::parse(text).map_err(LeaseError::Malformed)?;
        Ok(LeaseHandle::new(
            self.clone(),
            lease.ack_subject().to_string(),
        ))
    }
}

/// One delivery of one message, to be answered.
#[derive(Clone, Debug)]
pub struct LeaseHandle {
    client: Client,
    ack_subject: String,
}

impl LeaseHandle {
    pub(crate) fn new(client: Client, ack_subject: String) -> Self {
        Self {
            client,
            ack_subject,
        }
    }

    /// The message is done and goes. Durable when it returns.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn ack(&self) -> Result<(), LeaseError> {
        self.say(AckKind::Ack).await
    }

    /// The message is not done: it is delivered again, after `delay` or at once.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn nack(&self, delay: Option<Duration>) -> Result<(), LeaseError> {
        self.say(AckKind::Nak { delay }).await
    }

    /// The lease goes on from now, for `by` or as long as it was given for first. A stock nats-server knows only the
    /// latter.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn extend(&self, by: Option<Duration>) -> Result<(), LeaseError> {
        self.say(AckKind::InProgress { wait: by }).await
    }

    /// The message will never be done: it is not delivered again.
    ///
    /// # Errors
    /// A [`LeaseError`].
    pub async fn term(&self, reason: &str) -> Result<(), LeaseError> {
        self.say(AckKind::Term {
            reason: reason.to_owned(),
        })
        .await
    }

    async fn say(&self, kind: AckKind) -> Result<(), LeaseError> {
        let timeout = self.client.shared().options.request_timeout;
        let answer = self
            .client
            .request(&self.ack_subject, kind.encode(), timeout)
            .await;
        let answer = answer.map_err(JetStreamError::from)?;
        if let Some(code) = answer.status() {
            return Err(match code {
                404 | 409 | 410 => LeaseError::Gone,
                _ => JetStreamError::status(code, &answer).into(),
            });
        }
        match answer.payload_slice() {
            // nats-server and relevo answer what they did with nothing.
            b"" => Ok(()),
            body => match decode_response::<serde::de::IgnoredAny>(body) {
                Ok(_) => Ok(()),
                Err(ResponseError::Refused(error)) if is_gone(error.err_code, error.code) => {
                    Err(LeaseError::Gone)
                }
                Err(ResponseError::Refused(error)) => Err(JetStreamError::Refused(error).into()),
                Err(ResponseError::Malformed { .. }) => {
                    Err(JetStreamError::BadAnswer(BadAnswer::Json).into())
                }
            },
        }
    }
}

fn is_gone(err_code: u16, code: u16) -> bool {
    let gone = [
        ErrorCode::ConsumerNotFound,
        ErrorCode::StreamNotFound,
        ErrorCode::NoMessageFound,
    ];
    matches!(code, 404 | 410) || gone.iter().any(|gone| gone.number() == err_code)
}

/// What a worker said was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseError {
    /// The text is no lease.
    Malformed(lease::LeaseError),
    /// The lease has run out, was answered before, or never was. The message, if it is still there, is or will be
    /// somebody else's.
    Gone,
    /// The request failed or was refused.
    JetStream(JetStreamError),
}

impl LeaseError {
    /// Whether what was said may have been taken.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Malformed(_) | Self::Gone => Outcome::NotDone,
            Self::JetStream(error) => error.outcome(),
        }
    }
}

impl std::error::Error for LeaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(source) => Some(source),
            Self::JetStream(source) => Some(source),
            Self::Gone => None,
        }
    }
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(source) => source.fmt(f),
            Self::Gone => f.write_str("unknown or expired lease"),
            Self::JetStream(source) => source.fmt(f),
        }
    }
}

impl From<JetStreamError> for LeaseError {
    fn from(error: JetStreamError) -> Self {
        Self::JetStream(error)
    }
}
