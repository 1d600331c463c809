//! The table of routes, and what all handlers share.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post, put};
use ordermill_admission::Admission;
use ordermill_api::ProblemKind;
use tokio::sync::watch;

use crate::config::Config;
use crate::measure::{Measured, Measures};
use crate::problem::Failure;
use crate::{Backend, cluster, events, import, items, orders, path, site, steps};

/// What all handlers share.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) backend: Backend,
    pub(crate) admission: Admission,
    /// True once the server is about to stop: streams end.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Waits until the server is about to stop.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// All routes.
pub(crate) fn routes(app: &Arc<App>) -> Router {
    let measures = Measures::new(app);
    let route = |router: Router<Arc<App>>, path: &'static str, methods: MethodRouter<Arc<App>>| {
        router.route(path, methods.fallback(wrong_method).layer(Measured::layer(&measures, path)))
    };
    let mut router = Router::new();
    for (path, methods) in [
        ("/v1/orders", post(orders::create).get(orders::list)),
        ("/v1/orders/import", post(import::import)),
        ("/v1/orders/{id}", get(orders::get)),
        ("/v1/orders/{id}/cancel", post(steps::cancel)),
        ("/v1/orders/{id}/payments", post(steps::pay)),
        ("/v1/orders/{id}/fulfillments", post(steps::fulfil)),
        ("/v1/orders/{id}/returns", post(steps::take_back)),
        ("/v1/items", get(items::list)),
        ("/v1/items/{sku}", put(items::put).get(items::get)),
        ("/v1/items/{sku}/adjustments", post(items::adjust)),
        ("/v1/events", get(events::read)),
        ("/v1/cluster", get(cluster::summary)),
        ("/v1/cluster/members", get(cluster::members)),
        ("/v1/cluster/members/{member}/drain", post(cluster::actions::drain)),
        ("/v1/cluster/members/{member}/cordon", post(cluster::actions::cordon)),
        ("/v1/cluster/members/{member}/uncordon", post(cluster::actions::uncordon)),
        ("/v1/cluster/shards", get(cluster::shards)),
        ("/v1/cluster/shards/{shard}/move", post(cluster::actions::move_shard)),
        ("/v1/cluster/shards/{shard}/split", post(cluster::actions::split_shard)),
        ("/v1/cluster/rebalance", post(cluster::actions::rebalance)),
        ("/v1/cluster/rebalancing", post(cluster::actions::change_rebalancing)),
        ("/v1/cluster/format", post(cluster::actions::raise_format)),
        ("/healthz", get(site::alive)),
        ("/readyz", get(site::ready)),
        ("/metrics", get(site::metrics)),
        ("/openapi.json", get(site::openapi)),
        ("/docs", get(site::docs)),
        ("/", get(site::home)),
    ] {
        router = route(router, path, methods);
    }
    let unknown = axum::routing::any(unknown_path).layer(Measured::layer(&measures, "unknown"));
    router.fallback_service(unknown.with_state(Arc::clone(app))).with_state(Arc::clone(app))
}

async fn unknown_path(uri: Uri) -> Failure {
    match path::check(&uri) {
        Ok(()) => Failure::not_found(format!("there is nothing at {}", uri.path())),
        Err(failure) => failure,
    }
}

async fn wrong_method(method: Method, request: Request<Body>) -> Result<Response, Failure> {
    let detail = format!("{} does not take {method}", request.uri().path());
    Err(Failure::new(ProblemKind::MethodNotAllowed, detail))
}
