//! Answers in the original's shape and words.

use std::borrow::Cow;
use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use relevo_client::{JetStreamError, LeaseError, Outcome, PublishError, RequestError};
use relevo_protocol::jetstream::error::ErrorCode;
use relevo_protocol::name::{NameError, NameKind};
use serde::Serialize;

use crate::http::Api;

/// `{"Respuesta": "…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    #[serde(rename = "Respuesta")]
    text: Cow<'static, str>,
}

/// What an action was about: it says what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Queue,
    Topic,
}

impl Answer {
    pub(super) const fn of(text: &'static str) -> Self {
        Self {
            text: Cow::Borrowed(text),
        }
    }

    /// A message's payload.
    pub(super) fn of_payload(payload: &[u8]) -> Self {
        Self {
            text: Cow::Owned(String::from_utf8_lossy(payload).into_owned()),
        }
    }

    /// Several texts, with commas between.
    pub(super) fn of_list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut list = String::new();
        for (at, text) in texts.into_iter().enumerate() {
            if at > 0 {
                list.push(',');
            }
            list.push_str(text.as_ref());
        }
        Self {
            text: Cow::Owned(list),
        }
    }

    /// A name that is none.
    pub(super) fn of_bad_name(error: NameError) -> Self {
        let text = match error {
            NameError::Empty(kind) => format!("Falta el nombre {}", of(kind)),
            NameError::TooLong(kind) => {
                format!(
                    "El nombre {} es demasiado largo, el maximo es {} caracteres",
                    of(kind),
                    kind.max_len()
                )
            }
            NameError::InvalidCharacter(kind, c) => {
                format!(
                    "El nombre {} no puede contener {c:?}; usa letras, numeros, '_' y '-'",
                    of(kind)
                )
            }
        };
        Self {
            text: Cow::Owned(text),
        }
    }

    /// What could not be done, and whether every broker is away.
    pub(super) async fn of_error(api: &Api, error: &JetStreamError, about: About) -> Self {
        match error {
            JetStreamError::Request(error) => Self::of_request_error(api, error).await,
            JetStreamError::NoStream => Self::of(about.missing()),
            JetStreamError::Refused(error) => match ErrorCode::from_number(error.err_code) {
                Some(ErrorCode::StreamNotFound | ErrorCode::ConsumerNotFound) => {
                    Self::of(about.missing())
                }
                _ if error.code == 503 => Self::of(TRY_AGAIN),
                _ => Self::of_failure(error),
            },
            JetStreamError::Status { code: 404, .. } => Self::of(about.missing()),
            JetStreamError::Name(error) => Self::of_bad_name(*error),
            JetStreamError::Header(_)
            | JetStreamError::Status { .. }
            | JetStreamError::BadAnswer(_) => Self::of_failure(error),
        }
    }

    /// A lease that could not be ended.
    pub(super) async fn of_lease_error(api: &Api, error: &LeaseError, about: About) -> Self {
        match error {
            LeaseError::JetStream(error) => Self::of_error(api, error, about).await,
            LeaseError::Malformed(_) | LeaseError::Gone => Self::of(TRY_AGAIN),
        }
    }

    async fn of_request_error(api: &Api, error: &RequestError) -> Self {
        let not_connected = *error == RequestError::Unsent(PublishError::NotConnected);
        if not_connected || api.brokers().all_silent().await {
            return Self::of(NO_BROKER);
        }
        match error.outcome() {
            Outcome::NotDone => Self::of(TRY_AGAIN),
            Outcome::Unknown => {
                Self::of("No hubo respuesta a tiempo; comprueba si se hizo antes de repetirlo")
            }
        }
    }

    fn of_failure(error: &impl fmt::Display) -> Self {
        Self {
            text: Cow::Owned(format!("No se pudo hacer: {error}")),
        }
    }
}

/// The original's own words when none of its servers could be reached.
const NO_BROKER: &str = "Todos los servidores estan fuera de servicio!";

const TRY_AGAIN: &str = "Un servidor esta fuera de servicio, no se hizo nada; intenta de nuevo";

impl About {
    pub(super) const fn missing(self) -> &'static str {
        match self {
            Self::Queue => "Cola no existe",
            Self::Topic => "Topico no existe",
        }
    }
}

const fn of(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Queue => "de la cola",
        NameKind::Topic => "del topico",
        NameKind::Subscription => "del suscriptor",
        NameKind::Stream | NameKind::Consumer | NameKind::Member => "",
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use relevo_protocol::name::{QueueName, SubscriptionName};

    use super::*;

    #[test]
    fn an_answer_has_the_originals_shape() {
        let json = serde_json::to_string(&Answer::of("Cola creada")).unwrap();
        assert_eq!(json, r#"{"Respuesta":"Cola creada"}"#);
    }

    #[test]
    fn a_list_has_commas_between() {
        let check =
            |texts: &[&str], expected: &str| assert_eq!(Answer::of_list(texts).text, expected);
        check(&[], "");
        check(&["a"], "a");
        check(&["a", "b", ""], "a,b,");
    }

    #[test]
    fn a_bad_name_is_told_with_the_remedy() {
        let check = |error: NameError, expected: &str| {
            assert_eq!(Answer::of_bad_name(error).text, expected)
        };
        check(
            QueueName::parse("a b").unwrap_err(),
            "El nombre de la cola no puede contener ' '; usa letras, numeros, '_' y '-'",
        );
        check(
            SubscriptionName::parse(&"a".repeat(129)).unwrap_err(),
            "El nombre del suscriptor es demasiado largo, el maximo es 128 caracteres",
        );
    }
}
