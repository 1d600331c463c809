//! `ordermill serve`: listens, recovers, serves, and stops in order.

use std::sync::Arc;

use anyhow::Context;
use ordermill_admission::Admission;
use ordermill_embedded::Embedded;
use ordermill_ingress::{Backend, Tenants};
use ordermill_routing::Router;
use ordermill_station::{clock, limits};
use ordermill_store::Error as StoreError;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::Settings;
use crate::{process, telemetry};

/// The cluster of an embedded store: it has its directory for itself.
const CLUSTER: u32 = 1;

/// Serves until it is told to stop.
pub(crate) fn run(settings: Settings) -> anyhow::Result<()> {
    telemetry::log(settings.log, &settings.log_filter)?;
    let metrics = telemetry::metrics()?;
    process::prepare();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the server cannot be started")?;
    runtime.block_on(serve(settings, metrics))
}

async fn serve(settings: Settings, metrics: metrics_exporter_prometheus::PrometheusHandle) -> anyhow::Result<()> {
    let clock = clock::System::shared();
    let stop = stop_on_signals()?;
    let listener = bind(&settings).await?;
    let address = listener.local_addr().context("the address that was bound is not known")?;
    tokio::spawn(upkeep(metrics.clone()));

    let mut config = ordermill_ingress::Config::new(clock.clone());
    config.cluster = CLUSTER;
    config.metrics = Arc::new(move || metrics.render());
    if !settings.api_keys.is_empty() {
        let keys = settings.api_keys.clone();
        config.tenants = Tenants::with_keys(keys).map_err(|why| anyhow::anyhow!("the settings do not fit: {why}"))?;
    }
    let backend = Backend::default();
    let admission = Admission::new(ordermill_admission::Config::default());
    let mut told = stop.clone();
    let shutdown = async move { drop(told.wait_for(|stop| *stop).await) };
    let mut http = tokio::spawn(ordermill_ingress::serve(config, listener, backend.clone(), admission, shutdown));

    let router = open(&settings, clock).await?;
    backend.open(router.clone());
    let mut told = stop.clone();
    tokio::select! {
        ready = router.ready() => ready.map_err(|error| anyhow::anyhow!("the store cannot be recovered: {error}"))?,
        _ = told.wait_for(|stop| *stop) => {}
    }
    if !*stop.borrow() {
        crate::print(&format!("listening on http://{address}"))?;
        tracing::info!(%address, data_dir = %settings.data_dir.display(), shards = settings.shards, "ready");
    }
    (&mut http).await.context("the HTTP server has failed")?;
    router.close().await.map_err(|error| anyhow::anyhow!("the store could not be closed: {error}"))?;
    tracing::info!("stopped");
    Ok(())
}

async fn bind(settings: &Settings) -> anyhow::Result<TcpListener> {
    TcpListener::bind(settings.listen).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{} is in use: stop what listens there, or choose another address with --listen (port 0 takes a free one)",
            settings.listen
        ),
        _ => anyhow::anyhow!("cannot listen on {}: {error}", settings.listen),
    })
}

async fn open(settings: &Settings, clock: clock::Shared) -> anyhow::Result<Router> {
    let config = ordermill_embedded::Config {
        segment_bytes: settings.segment_bytes,
        free_bytes_min: settings.min_free_bytes,
        accept_corruption: settings.accept_corruption,
        ..ordermill_embedded::Config::new(&settings.data_dir, CLUSTER, settings.shards)
    };
    let store_clock = clock.clone();
    let store = tokio::task::spawn_blocking(move || Embedded::open(config, store_clock))
        .await
        .context("the store failed while it was opened")?
        .map_err(|error| anyhow::anyhow!(what_to_do(&error)))?;
    let config = ordermill_routing::Config {
        cluster: CLUSTER,
        shards: settings.shards,
        cache_bytes: settings.cache_bytes,
        flush_bytes: settings.flush_bytes,
        flush_interval: limits::FLUSH_INTERVAL,
        journal_retention: settings.journal_retention,
        idempotency_retention: settings.idempotency_retention,
    };
    Ok(Router::open(config, Arc::new(store), clock))
}

/// Why the store does not open, and what to do about it.
fn what_to_do(error: &StoreError) -> String {
    match error {
        // The store says what helps; where its setting does, the flag of that name.
        StoreError::Corrupt(what) => {
            format!("the data directory is damaged: {}", what.replace("`accept_corruption`", "--accept-corruption"))
        }
        StoreError::Full(what) => format!("there is no room in the data directory: {what}"),
        StoreError::Invalid(what) | StoreError::Unavailable(what) | StoreError::Unknown(what) => what.clone(),
        StoreError::Fenced(_) => error.to_string(),
    }
}

async fn upkeep(metrics: metrics_exporter_prometheus::PrometheusHandle) {
    let mut ticks = tokio::time::interval(telemetry::UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// Turns true with the first SIGTERM or SIGINT; the second ends the process at once.
fn stop_on_signals() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened to")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened to")?;
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                tracing::info!(signal = name, "stopping: no more requests are taken, those that run are finished");
                stop.send_replace(true);
            } else {
                tracing::warn!(signal = name, "told a second time: stopped at once");
                std::process::exit(1);
            }
        }
    });
    Ok(stopping)
}
