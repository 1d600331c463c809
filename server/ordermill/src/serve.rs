//! `ordermill serve`: listens, recovers, serves, and stops in order.

use std::sync::Arc;

use anyhow::Context;
use ordermill_admission::Admission;
use ordermill_ingress::Backend;
use ordermill_routing::Router;
use ordermill_station::{clock, limits};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::Settings;
use crate::{certificates, keys, member, process, store, telemetry};

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
    let (failed, stop) = stop_on_signals()?;
    let listener = bind(&settings).await?;
    let address = listener.local_addr().context("the address that was bound is not known")?;
    tokio::spawn(upkeep(metrics.clone()));

    let mut config = ordermill_ingress::Config::new(clock.clone());
    config.cluster = settings.store.cluster();
    config.metrics = Arc::new(move || metrics.render());
    config.tls = settings.tls.clone().map(|(certificate, key)| certificates::tls(certificate, key)).transpose()?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    config.tenants = keys::tenants(settings.api_keys.clone(), settings.api_keys_dir.clone())?;
    let backend = Backend::default();
    let admission = Admission::new(ordermill_admission::Config::default());
    let mut told = stop.clone();
    let shutdown = async move { drop(told.wait_for(|stop| *stop).await) };
    let mut http = tokio::spawn(ordermill_ingress::serve(config, listener, backend.clone(), admission, shutdown));

    let mut told_early = stop.clone();
    let (router, membership) = tokio::select! {
        opened = open(&settings, clock, failed) => opened?,
        // While PD is waited for there is nothing to finish.
        _ = told_early.wait_for(|stop| *stop) => {
            (&mut http).await.context("the HTTP server has failed")?;
            tracing::info!("stopped");
            return Ok(());
        }
    };
    backend.open(router.clone());
    let mut told = stop.clone();
    tokio::select! {
        ready = router.ready() => ready.map_err(|error| anyhow::anyhow!("the store cannot be recovered: {error}"))?,
        _ = told.wait_for(|stop| *stop) => {}
    }
    if !*stop.borrow() {
        crate::print(&format!("listening on {scheme}://{address}"))?;
        tracing::info!(%address, store = ?settings.store, shards = settings.shards, "ready");
    }
    (&mut http).await.context("the HTTP server has failed")?;
    let closed = router.close().await.map_err(|error| anyhow::anyhow!("the store could not be closed: {error}"));
    let fault = match membership {
        Some(membership) => membership.end().await,
        None => None,
    };
    closed?;
    if let Some(fault) = fault {
        anyhow::bail!("this process can be a member no longer: {fault}");
    }
    tracing::info!("stopped");
    Ok(())
}

/// The way to the shards, and what runs beside it where they are shared.
async fn open(
    settings: &Settings,
    clock: clock::Shared,
    failed: watch::Sender<bool>,
) -> anyhow::Result<(Router, Option<member::Membership>)> {
    let Some(member) = &settings.member else {
        let store = store::open(settings, member::incarnation(), clock.clone()).await?.store;
        return Ok((Router::open(routing(settings), store, clock), None));
    };
    let (router, membership) = member::join(settings, member, routing(settings), clock, failed).await?;
    Ok((router, Some(membership)))
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

fn routing(settings: &Settings) -> ordermill_routing::Config {
    ordermill_routing::Config {
        cluster: settings.store.cluster(),
        shards: settings.shards,
        cache_bytes: settings.cache_bytes,
        flush_bytes: settings.flush_bytes,
        flush_interval: limits::FLUSH_INTERVAL,
        journal_retention: settings.journal_retention,
        idempotency_retention: settings.idempotency_retention,
    }
}

async fn upkeep(metrics: metrics_exporter_prometheus::PrometheusHandle) {
    let mut ticks = tokio::time::interval(telemetry::UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// Turns true with the first SIGTERM or SIGINT, or by whoever has another reason; the second signal ends
/// the process at once.
fn stop_on_signals() -> anyhow::Result<(watch::Sender<bool>, watch::Receiver<bool>)> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened to")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened to")?;
    let (stop, stopping) = watch::channel(false);
    let other_reasons = stop.clone();
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
    Ok((other_reasons, stopping))
}
