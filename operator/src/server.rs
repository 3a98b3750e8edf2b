//! HTTP server: health, metrics, alerts from Alertmanager, and links in messages.

use crate::metrics::Metrics;
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use p861_runs::leadership::Leadership;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// State behind the health endpoints.
#[derive(Clone, Debug)]
pub struct Health {
    /// The hub's API server was reached and the kinds are there.
    pub ready: Arc<AtomicBool>,
    /// Whether this replica acts.
    pub leadership: Leadership,
    /// The metrics.
    pub metrics: Metrics,
}

/// Serves `/healthz`, `/readyz`, `/metrics` and the `outside` routes until the process ends.
pub async fn serve(listener: tokio::net::TcpListener, health: Health, outside: Router) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
        .merge(outside);
    axum::serve(listener, router).await
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
