//! `GET /v1/topics/{topic}/events`: a topic as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use relevo_client::{Follower, JetStreamError, StoredMessage};
use relevo_protocol::name::TopicName;
use relevo_protocol::verb::StartFrom;

use super::Api;
use super::message::MessageJson;
use super::name::Named;
use super::params::{Params, quoted};
use super::problem::{Problem, ProblemKind};
use super::refusal::{About, Deed, of_stream};

/// How often a comment is sent while there is nothing to tell, so that nothing on the way takes the connection for dead.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// How long a client is told to wait before it comes back.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn events(
    State(api): State<Api>,
    Named(name): Named<TopicName>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["from"])?;
    let from = last_event_id(&headers)?
        .or(params.start("from")?)
        .unwrap_or_default();
    let follower = api
        .topic(&name)?
        .follow(from)
        .await
        .map_err(|error| of_stream(&error, About::Topic(&name), Deed::Read))?;

    let hello = Event::default()
        .retry(RECONNECT_AFTER)
        .comment(format!("following {name}"));
    let told = stream::iter([Ok(hello)])
        .chain(tell(follower, name))
        .take_until(api.stop().clone().cancelled_owned());
    let keep_alive = KeepAlive::new()
        .interval(KEEP_ALIVE_EVERY)
        .text("keep-alive");
    // Proxies that gather an answer before they pass it on are asked not to.
    Ok((
        [("x-accel-buffering", "no")],
        Sse::new(told).keep_alive(keep_alive),
    )
        .into_response())
}

/// The message after the last one that the client saw.
fn last_event_id(headers: &HeaderMap) -> Result<Option<StartFrom>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    match text.parse::<u64>() {
        Ok(seq) => Ok(Some(StartFrom::Sequence(seq.saturating_add(1)))),
        Err(_) => Err(Problem::new(
            ProblemKind::BadHeader,
            format_args!(
                "Last-Event-ID cannot be '{}'; send the id of an event of this topic",
                quoted(text)
            ),
        )),
    }
}

/// The messages of a follower as events; after what went wrong, told as a last event, it ends.
fn tell(follower: Follower, name: TopicName) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(Some((follower, name)), |state| async move {
        let (mut follower, name) = state?;
        match follower.next().await? {
            Ok(message) => Some((Ok(message_event(&message)), Some((follower, name)))),
            Err(error) => Some((Ok(problem_event(&error, &name)), None)),
        }
    })
}

fn message_event(message: &StoredMessage) -> Event {
    let json = MessageJson::published(message).encode();
    // JSON has no raw line ends, and is UTF-8.
    Event::default()
        .id(message.seq.to_string())
        .event("message")
        .data(String::from_utf8_lossy(&json))
}

fn problem_event(error: &JetStreamError, name: &TopicName) -> Event {
    let problem = of_stream(error, About::Topic(name), Deed::Read);
    Event::default()
        .event("problem")
        .data(serde_json::to_string(&problem.body()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_client_that_comes_back_goes_on_behind_what_it_saw() {
        let check = |value: &'static str, expected: Result<u64, ProblemKind>| {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", HeaderValue::from_static(value));
            let from = last_event_id(&headers).map_err(|problem| problem.kind);
            assert_eq!(
                from,
                expected.map(|seq| Some(StartFrom::Sequence(seq))),
                "{value}"
            );
        };
        check("7", Ok(8));
        check("0", Ok(1));
        check("18446744073709551615", Ok(u64::MAX));
        check("", Err(ProblemKind::BadHeader));
        check("-1", Err(ProblemKind::BadHeader));
        check("seven", Err(ProblemKind::BadHeader));
        assert_eq!(last_event_id(&HeaderMap::new()), Ok(None));
    }
}
