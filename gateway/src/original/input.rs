//! What a request to the original API says. Input that cannot be read is answered in its own shape, too.

use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use relevo_protocol::convention::mailbox::mailbox;
use relevo_protocol::name::QueueName;
use serde::de::DeserializeOwned;

use super::answer::Answer;
use crate::http::Caller;

/// The words of a path, decoded.
#[derive(Clone, Debug)]
pub(super) struct Words<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Words<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send + 'static,
{
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Answer> {
        match parts.extract::<Path<T>>().await {
            Ok(Path(words)) => Ok(Self(words)),
            Err(_) => Err(Answer::of(
                "La direccion no es UTF-8; escribe los nombres y mensajes en UTF-8",
            )),
        }
    }
}

/// The mailbox of whoever sent a request: named with `?cliente=`, or else known by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox(pub(super) QueueName);

impl<S: Send + Sync> FromRequestParts<S> for Mailbox {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Answer> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = pairs.map_err(|_| UNKNOWN_CALLER)?;
        let named = pairs
            .into_iter()
            .find(|(name, value)| name == "cliente" && !value.is_empty());
        if let Some((_, name)) = named {
            return Ok(Self(mailbox(&name)));
        }
        let Caller(address) = parts.extensions.get().ok_or(UNKNOWN_CALLER)?;
        Ok(Self(mailbox(&address.to_string())))
    }
}

const UNKNOWN_CALLER: Answer = Answer::of("No se sabe quien llama; agrega ?cliente=nombre");

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[tokio::test]
    async fn a_caller_is_known_by_its_name_or_else_its_address() {
        let check = async |uri: &str, address: &str, expected: &str| {
            let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
            parts.extensions.insert(Caller(address.parse().unwrap()));
            let Mailbox(name) = Mailbox::from_request_parts(&mut parts, &()).await.unwrap();
            assert_eq!(name.as_str(), expected, "{uri}");
        };
        check("/consumir", "127.0.0.1", "reply_127_0_0_1").await;
        check("/consumir", "::1", "reply___1").await;
        check("/consumir?cliente=", "10.0.0.7", "reply_10_0_0_7").await;
        check("/consumir?cliente=ana", "127.0.0.1", "reply_ana").await;
        check(
            "/consumir?cliente=ana+maria",
            "127.0.0.1",
            "reply_ana_maria",
        )
        .await;
        check(
            "/consumir?otro=1&cliente=ana&cliente=eva",
            "127.0.0.1",
            "reply_ana",
        )
        .await;
    }
}
