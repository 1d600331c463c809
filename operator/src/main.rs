//! The operator's binary: settings from flags and environment, telemetry, the Lease, the loop, and a stop in order.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use futures::future::join_all;
use http::HeaderValue;
use http::header::USER_AGENT;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use metrics_exporter_prometheus::PrometheusBuilder;
use ordermill_operator::ask::Asker;
use ordermill_operator::leader::Leadership;
use ordermill_operator::pulse::Pulse;
use ordermill_operator::reconcile::Context;
use ordermill_operator::scaling::Memory;
use ordermill_operator::tenure::Tenure;
use ordermill_operator::validate::Defaults;
use ordermill_operator::{MANAGER, controller, limits, manifest, web};
use ordermill_station::clock;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// Runs Ordermill on Kubernetes: turns each OrderCluster into what it takes.
#[derive(Debug, Parser)]
#[command(name = "ordermill-operator", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Watch OrderClusters and run them.
    Run(Box<Run>),
    /// Print the CRD.
    Crd,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Watch these namespaces only, with commas between them [default: all]
    #[arg(long, env = "ORDERMILL_OPERATOR_NAMESPACES", value_name = "NAMES", value_delimiter = ',')]
    namespaces: Vec<String>,

    /// The namespace of the Lease by which one of several operators acts [default: the operator's own]
    #[arg(long, env = "ORDERMILL_OPERATOR_LEASE_NAMESPACE", value_name = "NAME")]
    lease_namespace: Option<String>,

    /// What this operator is called in the Lease [default: the name of the host]
    #[arg(long, env = "ORDERMILL_OPERATOR_IDENTITY", value_name = "NAME")]
    identity: Option<String>,

    /// Where /healthz, /readyz and /metrics are; port 0 takes a free one
    #[arg(long, env = "ORDERMILL_OPERATOR_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    listen: SocketAddr,

    /// The image of members that name none, without its tag
    #[arg(
        long,
        env = "ORDERMILL_OPERATOR_REPOSITORY",
        value_name = "IMAGE",
        default_value = "ghcr.io/ordermill/ordermill"
    )]
    repository: String,

    /// The tag of that image for new clusters
    #[arg(long, env = "ORDERMILL_OPERATOR_VERSION", value_name = "TAG", default_value = env!("CARGO_PKG_VERSION"))]
    version_default: String,

    /// Make no PodMonitors, even where Prometheus' operator is installed
    #[arg(long, env = "ORDERMILL_OPERATOR_NO_POD_MONITORS")]
    no_pod_monitors: bool,

    /// Labels of PodMonitors, by which a Prometheus selects them, with commas between them
    #[arg(
        long,
        env = "ORDERMILL_OPERATOR_POD_MONITOR_LABELS",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        value_parser = label
    )]
    pod_monitor_labels: Vec<(String, String)>,

    /// Call PD and members through this HTTP proxy, for an operator that runs outside of the cluster
    #[arg(long, env = "ORDERMILL_OPERATOR_PROXY", value_name = "URL")]
    proxy: Option<String>,

    /// Which logs are written, as JSON, to standard error
    #[arg(long, env = "ORDERMILL_OPERATOR_LOG_FILTER", value_name = "FILTER", default_value = "info")]
    log_filter: String,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a label is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Task::Run(settings) => run(*settings).await,
        Task::Crd => {
            use std::io::Write as _;
            Ok(std::io::stdout().write_all(manifest::yaml(&manifest::crd()).as_bytes())?)
        }
    }
}

async fn run(settings: Run) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log_filter).context("the log filter is not one")?;
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
    let metrics =
        PrometheusBuilder::new().install_recorder().context("the recorder of measurements cannot be installed")?;

    let mut config = Config::infer().await.context("there is no Kubernetes to be found: set KUBECONFIG")?;
    config.connect_timeout = Some(limits::CONNECT);
    config.write_timeout = Some(limits::CALL);
    let own_namespace = config.default_namespace.clone();
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let identity = settings.identity.unwrap_or_else(host);
    // Who it was, in the API server's audit log.
    let agent = format!("{MANAGER}/{} {identity}", env!("CARGO_PKG_VERSION"));
    let agent = HeaderValue::from_str(&agent).context("the identity cannot be put into a header")?;
    config.headers.push((USER_AGENT, agent));
    let watching = client(&config, limits::WATCH)?;
    let calling = client(&config, limits::CALL)?;

    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
    tracing::info!(address = %listener.local_addr()?, version = env!("CARGO_PKG_VERSION"), "started");
    let clock = clock::System::shared();
    let namespaces: Vec<(Option<String>, Pulse)> = match settings.namespaces {
        all if all.is_empty() => vec![(None, Pulse::new(clock.clone()))],
        some => some.into_iter().map(|one| (Some(one), Pulse::new(clock.clone()))).collect(),
    };
    let pulses = namespaces.iter().map(|(_, pulse)| pulse.clone()).collect();
    let (stop_web, web_stopped) = oneshot::channel::<()>();
    let web = tokio::spawn(web::serve(listener, metrics, pulses, async { drop(web_stopped.await) }));

    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened to")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened to")?;
    let mut told = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };

    let lease_namespace = settings.lease_namespace.unwrap_or(own_namespace);
    let mut leadership = Leadership::seek(calling.clone(), &lease_namespace, &identity).await?;
    let leading = metrics::gauge!("ordermill_operator_leader");
    leading.set(0.0);
    tracing::info!(identity, namespace = lease_namespace, "waits for the Lease");
    let stopped = tokio::select! {
        won = leadership.won() => won.map(|()| false)?,
        () = told() => true,
    };

    let mut lost = false;
    if !stopped {
        leading.set(1.0);
        tracing::info!(identity, "leads");
        let tenure = Tenure::of(calling.clone(), &lease_namespace, &identity, clock.clone());
        let acting = tenure.guard(calling, &lease_namespace);
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(identity) };
        let context = Context {
            client: acting.clone(),
            recorder: Recorder::new(acting, reporter),
            clock,
            memory: Memory::default(),
            asker: Asker::new(settings.proxy.as_deref(), tenure).context("the proxy is none")?,
            defaults: Defaults {
                repository: settings.repository,
                version: settings.version_default,
                monitors: (!settings.no_pod_monitors).then(|| settings.pod_monitor_labels.into_iter().collect()),
            },
        };
        let run = |(one, pulse)| controller::run(watching.clone(), one, context.clone(), pulse);
        let loops = namespaces.into_iter().map(run);
        lost = tokio::select! {
            _ = join_all(loops) => true,
            () = leadership.lost() => true,
            () = told() => false,
        };
        leading.set(0.0);
    }
    leadership.resign().await;
    let _ = stop_web.send(());
    web.await.context("the web server has failed")??;
    // A process that has led once begins anew: whatever it still had under way ends with it.
    anyhow::ensure!(!lost, "the Lease was lost");
    tracing::info!("stopped");
    Ok(())
}

fn client(config: &Config, silence: std::time::Duration) -> anyhow::Result<Client> {
    let mut config = config.clone();
    config.read_timeout = Some(silence);
    Client::try_from(config).context("the API server cannot be spoken to")
}
