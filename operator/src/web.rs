//! `/healthz`, `/readyz` and `/metrics` of the operator itself.

use std::future::Future;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use crate::pulse::Pulse;

/// Answers until `stop`. An operator that waits for the Lease is ready: it is what takes over. One that does not get on
/// is not healthy, and is started anew.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    pulses: Vec<Pulse>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let rendered = move || {
        metrics.run_upkeep();
        std::future::ready(metrics.render())
    };
    let routes = Router::new()
        .route("/healthz", get(move || std::future::ready(health(&pulses))))
        .route("/readyz", get(|| async { "ok" }))
        .route("/metrics", get(rendered));
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

fn health(pulses: &[Pulse]) -> (StatusCode, String) {
    let stuck: Vec<String> = pulses.iter().filter_map(Pulse::stuck).collect();
    if stuck.is_empty() {
        return (StatusCode::OK, "ok".to_owned());
    }
    tracing::error!(?stuck, "does not get on");
    (StatusCode::SERVICE_UNAVAILABLE, stuck.join("; "))
}
