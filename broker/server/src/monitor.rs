//! `/healthz` and `/varz`, for people and for monitors; names as nats-server has them where it has
//! the same thing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use relevo_engine::input::Duty;
use relevo_engine::shard::ShardStatus;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::counters::read;
use crate::info::Identity;
use crate::router::publisher::Exchange;

/// What the monitor shows.
#[derive(Clone, Debug)]
pub(crate) struct Monitor {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) identity: Arc<Identity>,
}

/// Serves until the broker stops.
pub(crate) async fn run(listener: TcpListener, monitor: Monitor, shutdown: CancellationToken) {
    let routes = Router::new()
        .route("/", get(root))
        .route("/healthz", get(healthz))
        .route("/varz", get(varz))
        .with_state(monitor);
    let served = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!("serve monitor: {error}");
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

async fn root() -> Response {
    let text =
        "A relevo broker. GET /healthz says whether it is ready, GET /varz what it has done.\n";
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

async fn healthz(State(monitor): State<Monitor>) -> Response {
    let reasons = monitor.exchange.board.troubles();
    if reasons.is_empty() {
        Json(Health {
            status: "ok",
            reasons,
        })
        .into_response()
    } else {
        let health = Health {
            status: "unavailable",
            reasons,
        };
        (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response()
    }
}

#[derive(Serialize)]
struct Varz<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'static str,
    relevo_version: &'static str,
    proto: i32,
    now: String,
    uptime: String,
    host: String,
    port: u16,
    max_payload: usize,
    connections: u64,
    total_connections: u64,
    subscriptions: usize,
    routes: u8,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    slow_consumers: u64,
    stale_connections: u64,
    relevo: Extras,
}

/// What nats-server has no name for.
#[derive(Serialize)]
struct Extras {
    peer: Option<String>,
    link_up: bool,
    link_ups: u64,
    routed_msgs: u64,
    unavailable_requests: u64,
    dropped_msgs: u64,
    log_syncs: u64,
    log_records: u64,
    shards: Vec<Shard>,
}

#[derive(Serialize)]
struct Shard {
    shard: u16,
    duty: Option<&'static str>,
    writable: bool,
    epoch: String,
    end: u64,
    durable: u64,
    committed: u64,
    halted: bool,
}

async fn varz(State(monitor): State<Monitor>) -> Response {
    let Monitor { exchange, identity } = monitor;
    let counters = &exchange.counters;
    let link = exchange.board.link().unwrap_or_default();
    let uptime = exchange.board.clock().uptime();
    let varz = Varz {
        server_id: &identity.server_id,
        server_name: exchange.board.name().as_str(),
        version: crate::info::NATS_VERSION,
        relevo_version: env!("CARGO_PKG_VERSION"),
        proto: crate::info::PROTO,
        now: clock::wall().to_string(),
        uptime: relevo_protocol::time::format_duration(std::time::Duration::from_secs(
            uptime.as_secs(),
        )),
        host: identity.nats.ip().to_string(),
        port: identity.nats.port(),
        max_payload: identity.max_payload_bytes,
        connections: read(&counters.connections),
        total_connections: read(&counters.total_connections),
        subscriptions: exchange.router.subscriptions_count(),
        routes: u8::from(link.is_up),
        in_msgs: read(&counters.in_msgs),
        out_msgs: read(&counters.out_msgs),
        in_bytes: read(&counters.in_bytes),
        out_bytes: read(&counters.out_bytes),
        slow_consumers: read(&counters.slow_consumers),
        stale_connections: read(&counters.stale_connections),
        relevo: Extras {
            peer: link.peer.map(|name| name.to_string()),
            link_up: link.is_up,
            link_ups: read(&counters.link_ups),
            routed_msgs: read(&counters.routed_msgs),
            unavailable_requests: read(&counters.unavailable_requests),
            dropped_msgs: read(&counters.dropped_msgs),
            log_syncs: read(&counters.log_syncs),
            log_records: read(&counters.log_records),
            shards: exchange.board.shards().iter().map(Shard::of).collect(),
        },
    };
    Json(varz).into_response()
}

impl Shard {
    fn of(status: &ShardStatus) -> Self {
        Self {
            shard: status.shard.0,
            duty: status.duty.map(|duty| match duty {
                Duty::LeadAlone => "lead_alone",
                Duty::Lead => "lead",
                Duty::Follow => "follow",
                Duty::Give => "give",
                Duty::Take => "take",
            }),
            writable: status.writable,
            epoch: status.epoch.to_string(),
            end: status.end.0,
            durable: status.durable.0,
            committed: status.committed.0,
            halted: status.halted.is_some(),
        }
    }
}
