//! `/healthz`, `/readyz` and `/metrics` of the operator itself.

use std::future::Future;

use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

/// Answers until `stop`. An operator that waits for the Lease is ready: it is what takes over.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let rendered = move || {
        metrics.run_upkeep();
        std::future::ready(metrics.render())
    };
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
        .route("/metrics", get(rendered));
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}
