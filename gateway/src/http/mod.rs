//! The HTTP door. One file a resource; all of them read their input into the protocol's types, ask the SDK, and answer.

mod body;
mod events;
mod header;
mod health;
mod home;
mod leases;
mod message;
mod name;
mod page;
mod params;
mod problem;
mod queues;
mod receive;
mod refusal;
mod serve;
mod stored;
mod subjects;
mod topics;

pub(crate) use page::{LIST_MESSAGES_MAX, Source};
pub(crate) use serve::{Caller, serve};

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::OriginalUri;
use axum::http::Method;
use axum::routing::get;
use relevo_client::{Client, Queue, Topic};
use relevo_protocol::name::{QueueName, TopicName};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::balance::Brokers;
use crate::original;
use params::quoted;
use problem::{Problem, ProblemKind};

/// What every handler works with. A clone is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    brokers: Arc<Brokers>,
    nats_addr: SocketAddr,
    http_addr: SocketAddr,
    body_len_max: usize,
    serves_original: bool,
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Where and how HTTP is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) nats_addr: SocketAddr,
    pub(crate) http_addr: SocketAddr,
    /// The longest body of a message, in bytes.
    pub(crate) body_len_max: usize,
    /// Whether the original API is on.
    pub(crate) serves_original: bool,
}

impl Api {
    /// Must be made within a tokio runtime.
    pub(crate) fn new(
        client: Client,
        brokers: Arc<Brokers>,
        setting: Setting,
        stop: CancellationToken,
    ) -> Self {
        let Setting {
            nats_addr,
            http_addr,
            body_len_max,
            serves_original,
        } = setting;
        Self(Arc::new(Shared {
            client,
            brokers,
            nats_addr,
            http_addr,
            body_len_max,
            serves_original,
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop,
        }))
    }

    /// The connection to the brokers.
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn brokers(&self) -> &Brokers {
        &self.0.brokers
    }

    pub(crate) fn queue(&self, name: &QueueName) -> Result<Queue, Problem> {
        self.client()
            .queue(name.as_str())
            .map_err(|error| Problem::new(ProblemKind::BadName, error))
    }

    pub(crate) fn topic(&self, name: &TopicName) -> Result<Topic, Problem> {
        self.client()
            .topic(name.as_str())
            .map_err(|error| Problem::new(ProblemKind::BadName, error))
    }

    /// Says when it is time to answer whoever waits.
    fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Runs `task` to its end, whatever becomes of the request that it belongs to. May be called from anywhere.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.tasks.spawn_on(task, &self.0.runtime));
    }

    /// Waits for what [`Self::spawn`] started, once no request can start more.
    pub(crate) async fn tasks_ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn nats_addr(&self) -> SocketAddr {
        self.0.nats_addr
    }

    fn http_addr(&self) -> SocketAddr {
        self.0.http_addr
    }

    fn body_len_max(&self) -> usize {
        self.0.body_len_max
    }

    fn serves_original(&self) -> bool {
        self.0.serves_original
    }
}

/// Every path that is served.
pub(crate) fn router(api: Api) -> Router {
    let mut router = Router::new()
        .route("/", get(home::home))
        .route("/healthz", get(health::health))
        .merge(queues::routes())
        .merge(leases::routes())
        .merge(topics::routes())
        .merge(subjects::routes());
    if api.serves_original() {
        router = router.merge(original::routes());
    }
    router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(no_such_path)
        .with_state(api)
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::new(
        ProblemKind::NoSuchPath,
        format_args!(
            "there is nothing at {}; GET / shows what there is",
            quoted(uri.path())
        ),
    )
}

async fn method_not_allowed(method: Method, OriginalUri(uri): OriginalUri) -> Problem {
    Problem::new(
        ProblemKind::MethodNotAllowed,
        format_args!(
            "{} does not take {method}; the Allow header names what it takes",
            quoted(uri.path())
        ),
    )
}
