//! Logs and measurements: installed once, before anything else runs.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use ordermill_station::measure;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// How often histograms are drained.
pub(crate) const UPKEEP: Duration = Duration::from_secs(5);

/// Sends logs to standard error.
pub(crate) fn log(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("the log filter {filter:?} is not one"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    installed.map_err(|error| anyhow::anyhow!("the log cannot be installed: {error}"))
}

/// Collects measurements.
pub(crate) fn metrics() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new().set_buckets(measure::BUCKETS_SECONDS)?;
    let handle = builder.install_recorder().context("the recorder of measurements cannot be installed")?;
    measure::describe();
    Ok(handle)
}
