//! `/consumir`: the answers that wait for a caller.

use axum::extract::State;

use super::answer::{About, Answer};
use super::input::Mailbox;
use super::queues::take_oldest;
use crate::http::Api;

/// `/consumir`: the caller's next answer.
pub(super) async fn take(State(api): State<Api>, Mailbox(mailbox): Mailbox) -> Answer {
    const NOTHING: Answer = Answer::of("Sin respuestas");
    match take_oldest(&api, &mailbox).await {
        Ok(Some(answer)) => Answer::of_payload(&answer),
        Ok(None) => NOTHING,
        // Who has not asked anything yet has no mailbox.
        Err(answer) if answer == Answer::of(About::Queue.missing()) => NOTHING,
        Err(answer) => answer,
    }
}
