//! HTTP server: health, metrics, alerts from Alertmanager, and links in messages.
//!
//! Some of it is open to the outside, so every connection is bounded in number, time and size, and nobody can keep the kubelet's probes out: a connection serves one
//! request, and when there are too many the oldest is closed for the newest.
//!
//! It has a thread of its own: however much the operator has to do, probes are answered, and they tell a process that starves from one that is dead (`pulse.rs`).

use crate::{metrics::Metrics, pulse::Pulse};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use p861_runs::leadership::Leadership;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::Semaphore,
    task::{AbortHandle, JoinHandle},
};
use tower::ServiceExt as _;

/// What one client, and all of them together, may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Open connections. The oldest makes room for the newest.
    connections: usize,
    /// From a connection to the end of its request's head.
    head_time: Duration,
    /// From a connection to the last byte of its answer.
    time: Duration,
    /// Bytes of a request's head: request line and headers.
    head_bytes: usize,
    /// Headers of a request.
    headers: usize,
    /// Requests other than the kubelet's that are answered at a time.
    requests: usize,
}

/// The server's limits. A post of alerts has limits of its own (`maintenance::alerts`), within these.
const LIMITS: Limits =
    Limits { connections: 256, head_time: Duration::from_secs(10), time: Duration::from_mins(1), head_bytes: 16 << 10, headers: 64, requests: 32 };
/// Wait after an error of accepting, for example when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// State behind the health endpoints.
#[derive(Clone, Debug)]
pub struct Health {
    /// The hub's API server was reached and the kinds are there.
    pub ready: Arc<AtomicBool>,
    /// That of the runtime.
    pub pulse: Pulse,
    /// Whether this replica acts.
    pub leadership: Leadership,
    /// The metrics.
    pub metrics: Metrics,
}

/// Serves `/healthz`, `/readyz` and `/metrics` on a thread of its own until the process ends, and the `outside` routes in the runtime that calls this: they ask the API server with
/// a client that belongs to it.
///
/// # Errors
/// If the thread can't be started.
pub fn start(listener: std::net::TcpListener, health: Health, outside: Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let router = routes(health.clone(), outside.layer(middleware::from_fn_with_state(Handle::current(), in_runtime)), LIMITS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener)?
    };
    tokio::spawn(health.pulse.clone().keep_beating());
    let serves = async move {
        tokio::join!(serve_within(listener, router, LIMITS), health.pulse.watch());
    };
    std::thread::Builder::new().name("server".into()).spawn(move || runtime.block_on(serves))?;
    Ok(())
}

/// Work in another runtime, which ends with whoever waits for it.
struct Elsewhere<T>(JoinHandle<T>);

impl<T> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn in_runtime(State(runtime): State<Handle>, request: Request, next: Next) -> Response {
    let mut answer = Elsewhere(runtime.spawn(next.run(request)));
    match (&mut answer.0).await {
        Ok(answer) => answer,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// The kubelet's probes are answered always, the others within their number.
fn routes(health: Health, outside: Router, limits: Limits) -> Router {
    let turns = Arc::new(Semaphore::new(limits.requests));
    let bounded = Router::new().route("/metrics", get(metrics)).with_state(health.clone()).merge(outside).layer(middleware::from_fn_with_state(turns, in_turn));
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(health).merge(bounded)
}

async fn in_turn(State(turns): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match turns.try_acquire() {
        Ok(_turn) => next.run(request).await,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time: try again\n").into_response(),
    }
}

async fn serve_within(listener: TcpListener, router: Router, limits: Limits) {
    let open = OpenConnections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => open.serve(stream, router.clone(), limits),
            Err(error) => {
                tracing::warn!("a connection can't be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The open connections, the oldest first.
#[derive(Clone, Default)]
struct OpenConnections(Arc<Mutex<VecDeque<AbortHandle>>>);

impl OpenConnections {
    fn serve(&self, stream: TcpStream, router: Router, limits: Limits) {
        let mut open = self.0.lock();
        open.retain(|connection| !connection.is_finished());
        if open.len() >= limits.connections
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(tokio::spawn(connection(stream, router, limits)).abort_handle());
    }
}

/// Answers the one request of a connection.
async fn connection(stream: TcpStream, router: Router, limits: Limits) {
    let service = TowerToHyperService::new(router.map_request(|request: Request<Incoming>| request.map(Body::new)));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head_bytes).max_headers(limits.headers).keep_alive(false);
    let served = server.serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limits.time, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a connection ended: {error}"),
        Err(_) => tracing::debug!("a connection took longer than {:?}", limits.time),
    }
}

/// A replica that waits for the lease, or gets too little processor time, is alive: nothing is won by its restart.
async fn healthz(State(health): State<Health>) -> impl IntoResponse {
    if health.pulse.has_stopped() {
        (StatusCode::SERVICE_UNAVAILABLE, "the process does not get round to its tasks any more, though it has processor time\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    if health.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the hub's API server was not reached yet, or the CRDs are not installed\n")
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    health.metrics.leader.set(i64::from(health.leadership.holds()));
    match health.metrics.text() {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into_bytes()),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
