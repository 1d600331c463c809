//! This process as a member of a cluster: its connections, its part in the membership, its end.

use std::sync::{Arc, OnceLock};

use anyhow::Context;
use ordermill_journal::FORMAT;
use ordermill_members::{Formats, Incarnation, Member};
use ordermill_peer::{Hello, Network, Peers, Tcp};
use ordermill_routing::{Config, Router};
use ordermill_station::{clock, limits};
use ordermill_store::{Error, Store};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::{MemberSettings, Settings, Tls};
use crate::{garbage, process, store};

/// Names this run of the process among all that ever were.
pub(crate) fn incarnation() -> u64 {
    rand::random_range(1..=u64::MAX)
}

/// What runs beside the router as long as this process is a member.
pub(crate) struct Membership {
    stop: oneshot::Sender<()>,
    answering: JoinHandle<()>,
    collecting: Option<JoinHandle<()>>,
    /// Why this process may be a member no longer, once that is so.
    fault: Arc<OnceLock<String>>,
}

impl Membership {
    /// Answers other members no longer. Says why this process had to end, if it had to.
    pub(crate) async fn end(self) -> Option<String> {
        let _ = self.stop.send(());
        let _ = self.answering.await;
        if let Some(collecting) = self.collecting {
            collecting.abort();
        }
        self.fault.get().cloned()
    }
}

/// Sees that nobody is filling the cluster.
async fn check_filled(store: &dyn Store, cluster: u32) -> anyhow::Result<()> {
    let filled = loop {
        match ordermill_migrate::unfinished(store).await {
            Ok(filled) => break filled,
            Err(Error::Unavailable(why)) => tracing::warn!(error = why, "the store does not answer: waiting for it"),
            Err(error) => anyhow::bail!("the store cannot be read: {error}"),
        }
    };
    let Some(percent) = filled else { return Ok(()) };
    anyhow::bail!(
        "cluster {cluster} is being filled from a data directory ({percent} % are there): let `orderctl migrate` end first"
    )
}

/// Joins the cluster whose store the settings name. `failed` turns true when this build may not take
/// part any longer.
pub(crate) async fn join(
    settings: &Settings,
    member: &MemberSettings,
    routing: Config,
    clock: clock::Shared,
    failed: watch::Sender<bool>,
) -> anyhow::Result<(Router, Membership)> {
    let incarnation = incarnation();
    let store::Opened { store, collects } = store::open(settings, incarnation, clock.clone()).await?;
    check_filled(&*store, settings.store.cluster()).await?;
    let tls = member.tls.as_ref().map(|Tls { ca, certificate, key }| ordermill_peer::Tls {
        ca: ca.clone(),
        certificate: certificate.clone(),
        key: key.clone(),
    });
    let network = Tcp::new(tls).await.context("TLS between members cannot be set up")?;
    let listener = network.listen(&member.listen).await;
    let listener = listener.with_context(|| format!("cannot listen for other members on {}", member.listen))?;
    let address = match &member.advertise {
        Some(address) => address.clone(),
        None => listener.address().context("the address for other members is not known")?,
    };
    let hello = Hello { cluster: settings.store.cluster(), incarnation, name: member.name.clone() };
    let config = ordermill_peer::Config::new(hello, clock.clone());
    let peers = Peers::new(config.clone(), Arc::new(network));
    let me = Member {
        incarnation: Incarnation(incarnation),
        name: member.name.clone(),
        address: address.clone(),
        formats: Formats { min: FORMAT, max: FORMAT },
    };
    let busy = process::busy(clock.clone());
    let (router, service) = loop {
        let (store, me, peers) = (store.clone(), me.clone(), peers.clone());
        match Router::join(routing.clone(), store, clock.clone(), me, peers, busy.clone()).await {
            Ok(joined) => break joined,
            Err(ordermill_members::Error::Unavailable(why)) => {
                tracing::warn!(error = why, "the store does not answer: waiting for it");
                tokio::time::sleep(limits::JOIN_AGAIN).await;
            }
            Err(error) => anyhow::bail!("this process cannot join the cluster: {error}"),
        }
    };
    let (stop, stopped) = oneshot::channel();
    let answering = ordermill_peer::serve(config, listener, router.service(), async { drop(stopped.await) });
    let answering = tokio::spawn(answering);
    let (still, fault) = (router.clone(), Arc::new(OnceLock::new()));
    let why = fault.clone();
    tokio::spawn(async move {
        let error = tokio::select! {
            ended = service.run() => ended.err().map(|error| error.to_string()),
            () = still.stood_still() => Some("it stood still for too long".to_owned()),
        };
        if let Some(error) = error {
            tracing::error!(%error, "this process can be a member no longer");
            let _ = why.set(error);
            failed.send_replace(true);
        }
    });
    let collecting = collects.zip(router.members().cloned());
    let collecting = collecting.map(|(store, members)| tokio::spawn(garbage::collect(store, members, clock.clone())));
    tracing::info!(member = %member.name, incarnation = format!("{incarnation:016x}"), %address, "joined");
    Ok((router, Membership { stop, answering, collecting, fault }))
}
