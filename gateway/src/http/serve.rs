//! HTTP connections: their bounds, and their end.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::listen::{accept, hang_up};

/// How long a connection may be quiet between requests, and how long the head of a request may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);

/// The longest head of a request, in bytes.
const HEAD_LEN_MAX: usize = 64 * 1024;

/// How long requests under way may take to be answered once the gateway stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Who sent a request: the address of the other end of its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller(pub(crate) IpAddr);

/// Serves what `listener` accepts, at most `connections_max` at a time, until `stop`; then answers what is under way
/// and returns.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    while let Some(Ok(slot)) = stop
        .run_until_cancelled(Arc::clone(&slots).acquire_owned())
        .await
    {
        let Some(stream) = accept(&listener, &stop).await else {
            break;
        };
        let (router, stop, cut) = (router.clone(), stop.clone(), cut.clone());
        connections.spawn(async move {
            cut.run_until_cancelled(connection(stream, router, stop))
                .await;
            drop(slot);
        });
    }
    drop(listener);
    connections.close();
    if timeout(DRAIN_MAX, connections.wait()).await.is_err() {
        tracing::warn!(
            "stop HTTP: cutting {} connections that are still busy",
            connections.len()
        );
        cut.cancel();
        connections.wait().await;
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let peer = stream.set_nodelay(true).and_then(|()| stream.peer_addr());
    let peer = match peer {
        Ok(peer) => peer,
        Err(error) => {
            tracing::debug!(%error, "serve HTTP connection: the client is gone");
            return;
        }
    };
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |request| -> Pin<Box<_>> {
        Box::pin(routes.call(with_caller(request, peer)))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_header_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(stream), service);

    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    match ended {
        Ok(()) => {
            let mut stream = connection.into_parts().io.into_inner();
            let (mut from, mut to) = stream.split();
            hang_up(&mut from, &mut to).await;
        }
        Err(error) => tracing::debug!(%error, %peer, "serve HTTP connection: it broke off"),
    }
}

fn with_caller(request: Request<Incoming>, peer: SocketAddr) -> Request<Body> {
    let mut request = request.map(Body::new);
    request
        .extensions_mut()
        .insert(Caller(peer.ip().to_canonical()));
    request
}
