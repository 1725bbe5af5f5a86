//! Health, readiness and metrics, without TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::metrics::Metrics;

/// Whether this replica has seen the cluster and answers the webhook.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// Sets that it has, and does.
    pub fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The routes: `/healthz` while the process runs, `/readyz` once it has seen the cluster, `/metrics`.
pub fn router(metrics: Metrics, ready: Ready) -> Router {
    let readiness = get(|State((_, ready)): State<(Metrics, Ready)>| async move {
        if ready.is() {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "the cluster is not listed yet")
        }
    });
    let figures = get(|State((metrics, _)): State<(Metrics, Ready)>| async move { metrics.text() });
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", readiness)
        .route("/metrics", figures)
        .with_state((metrics, ready))
}
