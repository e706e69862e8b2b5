//! `POST /v1/queues/{queue}/receive`: leases messages, and gives back what a client that hung up was not told.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use relevo_client::{JetStreamError, Job, PopOptions, Queue, RequestError};
use relevo_protocol::convention::queue::{MAX_LEASE, MIN_LEASE};
use relevo_protocol::name::QueueName;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::message::{MessageJson, encode_array};
use super::name::Named;
use super::page::{ANSWER_LEN, BATCH_MESSAGES};
use super::params::Params;
use super::problem::{Problem, ProblemKind};
use super::refusal::{About, Deed, of_stream};
use super::{Api, body};

/// The most messages of one answer.
const RECEIVE_MESSAGES_MAX: u32 = 1_000;

/// The longest that a client may wait for a message.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// For how long a broker is asked to wait at a time. A client that hung up keeps a request there for no longer.
const WAIT_SLICE: Duration = Duration::from_secs(2);

/// How many messages are given back at a time.
const GIVE_BACK_AT_ONCE: usize = 32;

const CONNECTION_LOST: JetStreamError = JetStreamError::Request(RequestError::ConnectionLost);

pub(super) async fn receive(
    State(api): State<Api>,
    Named(name): Named<QueueName>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["max", "wait", "lease"])?;
    let wanted = Wanted {
        max: params.count("max", 1, RECEIVE_MESSAGES_MAX)?.unwrap_or(1),
        wait: params
            .duration("wait", Duration::ZERO, WAIT_MAX)?
            .unwrap_or_default(),
        lease: params.duration("lease", MIN_LEASE, MAX_LEASE)?,
    };
    // Whether the client hangs up can only be seen behind its body.
    body::read_nothing(&headers, body).await?;

    let queue = api.queue(&name)?;
    let (hand_over, arrival) = oneshot::channel();
    let task_api = api.clone();
    api.spawn(async move {
        let jobs = pop(&queue, wanted, &hand_over, &task_api).await;
        // When nobody is there to take them, what comes back is dropped, and that gives the messages back.
        drop(hand_over.send(jobs.map(|jobs| Held::new(jobs, task_api))));
    });
    let arrived = tokio::select! {
        arrived = arrival => arrived,
        () = api.stop().cancelled() => {
            return Err(Problem::new(ProblemKind::Unavailable, "the gateway stops; ask another one, or try again"));
        }
    };
    match arrived {
        Ok(Ok(held)) => Ok(held.into_response()),
        Ok(Err(error)) => Err(of_stream(&error, About::Queue(&name), Deed::Lease)),
        Err(_) => Err(Problem::new(
            ProblemKind::Failed,
            "the request was not carried out; try again",
        )),
    }
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    max: u32,
    wait: Duration,
    lease: Option<Duration>,
}

type HandOver = oneshot::Sender<Result<Held, JetStreamError>>;

/// Waits for the first messages as long as `wanted` says and somebody is there to take them; then takes more while there
/// are any.
async fn pop(
    queue: &Queue,
    wanted: Wanted,
    hand_over: &HandOver,
    api: &Api,
) -> Result<Vec<Job>, JetStreamError> {
    let options = |max, wait| PopOptions {
        max,
        wait,
        lease: wanted.lease,
    };
    let until = Instant::now() + wanted.wait;
    let first = wanted.max.min(BATCH_MESSAGES);
    let mut jobs = loop {
        let left = until.saturating_duration_since(Instant::now());
        let popped = queue.pop(&options(first, left.min(WAIT_SLICE))).await;
        let is_last = left <= WAIT_SLICE || hand_over.is_closed() || api.stop().is_cancelled();
        match popped {
            Ok(jobs) if is_last || !jobs.is_empty() => break jobs,
            Err(error) if is_last || error != CONNECTION_LOST => return Err(error),
            // Nothing came, or its broker is gone and another one can be asked.
            Ok(_) | Err(_) => {}
        }
    };
    let mut came = count(&jobs);
    let mut len = payload_len(&jobs);
    while came == BATCH_MESSAGES
        && count(&jobs) < wanted.max
        && len < ANSWER_LEN
        && !hand_over.is_closed()
    {
        let max = (wanted.max - count(&jobs)).min(BATCH_MESSAGES);
        match queue.pop(&options(max, Duration::ZERO)).await {
            Ok(more) => {
                came = count(&more);
                len += payload_len(&more);
                jobs.extend(more);
            }
            Err(error) => {
                tracing::debug!(%error, "receive from queue: answering with what is there");
                break;
            }
        }
    }
    Ok(jobs)
}

fn count(jobs: &[Job]) -> u32 {
    u32::try_from(jobs.len()).unwrap_or(u32::MAX)
}

fn payload_len(jobs: &[Job]) -> usize {
    jobs.iter().map(|job| job.payload.len()).sum()
}

/// Leased messages that nobody has been told of. Dropped so, they are given back to their queue.
struct Held {
    jobs: Vec<Job>,
    api: Api,
}

impl Held {
    fn new(jobs: Vec<Job>, api: Api) -> Self {
        Self { jobs, api }
    }

    /// They are on their way: from now on they are the client's.
    fn told(mut self) {
        self.jobs.clear();
    }

    fn into_response(self) -> Response {
        if self.jobs.is_empty() {
            return StatusCode::NO_CONTENT.into_response();
        }
        let text = Bytes::from(encode_array(self.jobs.iter().map(MessageJson::leased)));
        let len = HeaderValue::from(text.len());
        let body = Body::from_stream(stream::once(async move {
            self.told();
            Ok::<_, Infallible>(text)
        }));
        (
            [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (CONTENT_LENGTH, len),
            ],
            body,
        )
            .into_response()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let jobs = std::mem::take(&mut self.jobs);
        if !jobs.is_empty() {
            tracing::debug!(
                messages = jobs.len(),
                "receive from queue: the client hung up, giving the messages back"
            );
            self.api.spawn(give_back(jobs));
        }
    }
}

async fn give_back(jobs: Vec<Job>) {
    let each = |job: Job| async move {
        if let Err(error) = job.nack(None).await {
            tracing::debug!(%error, lease = %job.lease, "give message back: it comes back when its lease expires");
        }
    };
    stream::iter(jobs)
        .for_each_concurrent(GIVE_BACK_AT_ONCE, each)
        .await;
}
