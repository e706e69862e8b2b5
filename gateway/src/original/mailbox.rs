//! The mailbox in which a caller's answers wait.

use axum::Extension;
use axum::extract::{Query, State};
use relevo_protocol::convention::mailbox::mailbox;
use relevo_protocol::name::QueueName;
use serde::Deserialize;

use super::answer::{About, Answer};
use super::queues::take_oldest;
use crate::http::{Api, Caller};

/// How a caller may name itself.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    cliente: Option<String>,
}

/// The mailbox of whoever sent a request.
pub(super) fn of_caller(
    Query(Named { cliente }): &Query<Named>,
    Extension(Caller(address)): Extension<Caller>,
) -> QueueName {
    match cliente.as_deref() {
        Some(name) if !name.is_empty() => mailbox(name),
        _ => mailbox(&address.to_string()),
    }
}

/// `/consumir`: the caller's next answer.
pub(super) async fn take(
    State(api): State<Api>,
    query: Query<Named>,
    caller: Extension<Caller>,
) -> Answer {
    const NOTHING: Answer = Answer::of("Sin respuestas");
    match take_oldest(&api, &of_caller(&query, caller)).await {
        Ok(Some(answer)) => Answer::of_payload(&answer),
        Ok(None) => NOTHING,
        // Nobody has asked anything yet, so there is no mailbox.
        Err(answer) if answer == Answer::of(About::Queue.missing()) => NOTHING,
        Err(answer) => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_known_by_its_name_or_else_its_address() {
        let check = |cliente: Option<&str>, address: &str, expected: &str| {
            let query = Query(Named {
                cliente: cliente.map(str::to_owned),
            });
            let caller = Extension(Caller(address.parse().unwrap()));
            assert_eq!(of_caller(&query, caller).as_str(), expected);
        };
        check(None, "127.0.0.1", "reply_127_0_0_1");
        check(None, "::1", "reply___1");
        check(Some(""), "10.0.0.7", "reply_10_0_0_7");
        check(Some("ana"), "127.0.0.1", "reply_ana");
        check(Some("ana maria"), "127.0.0.1", "reply_ana_maria");
    }
}
