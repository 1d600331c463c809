//! One reconciliation, from observing to saying how it is.
//!
//! Holds no state of its own: a restarted operator goes on from what is there.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Client, Resource, ResourceExt};
use ordermill_station::clock;
use serde_json::json;

use crate::ask::{self, Asker};
use crate::build::{Stage, names};
use crate::crd::{Condition, Division, Managed, OrderCluster, OrderClusterStatus, StoreStatus, UpgradeStatus};
use crate::observe::Observed;
use crate::pd::{Pd, Seen};
use crate::scaling::Memory;
use crate::status::{self, Facts};
use crate::validate::{self, Cluster, Defaults, Refusal};
use crate::{MANAGER, advance, apply, build, limits, observe, regions, rolling, stage, stores};

/// Why a reconciliation has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not everything is as it should be.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// The API server did not answer as it should.
    #[error("{0}")]
    Call(#[from] Box<kube::Error>),
    /// It took longer than it may.
    #[error("it took longer than {:?}", limits::RECONCILE)]
    Late,
}

/// What every reconciliation needs.
#[derive(Clone)]
pub struct Context {
    /// For calls that end: not for watches.
    pub client: Client,
    /// For events.
    pub recorder: Recorder,
    /// The time.
    pub clock: clock::Shared,
    /// For calls to PD and to members.
    pub asker: Asker,
    /// What is remembered of loads.
    pub memory: Memory,
    /// The image of members that name none.
    pub defaults: Defaults,
}

/// Makes it so, and says how it is.
/// Answers when it is to be looked at again.
pub async fn reconcile(guard: &DeserializeGuard<OrderCluster>, context: &Context) -> Result<Duration, Error> {
    let cluster = match &guard.0 {
        Ok(cluster) => cluster,
        // The others are not kept waiting for one that cannot be read, by this version at least.
        Err(invalid) => {
            tracing::warn!(name = guard.name_any(), namespace = guard.namespace(), %invalid, "cannot be read");
            metrics::counter!("ordermill_operator_unreadable_total").increment(1);
            let event = event(EventType::Warning, "Unreadable", invalid.to_string());
            context.recorder.publish(&event, &guard.object_ref(&())).await.map_err(Box::new)?;
            return Ok(limits::RESYNC);
        }
    };
    // What is owned goes with its owner: the API server sees to that.
    if cluster.metadata.deletion_timestamp.is_some() {
        context.memory.forget(&cluster.uid().unwrap_or_default());
        return Ok(limits::RESYNC);
    }
    tokio::time::timeout(limits::RECONCILE, Box::pin(whole(cluster, context))).await.map_err(|_| Error::Late)?
}

async fn whole(cluster: &OrderCluster, context: &Context) -> Result<Duration, Error> {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let uid = cluster.uid().unwrap_or_default();
    let mut observed = observe::observe(&context.client, &namespace, &name, &uid).await.map_err(Box::new)?;
    let checked = validate::validate(cluster, &observed.running(&name), &context.defaults);
    let store = look(cluster, &observed, context).await;
    let stage = stage::of(cluster, &observed, store.as_ref());
    let mut running = None;
    let mut scaled = cluster.status.as_ref().and_then(|status| status.scaling.clone());
    let mut upgrade = cluster.status.as_ref().and_then(|status| status.upgrade.clone());
    let mut noted = Noted::new(cluster);
    let (mut plan, mut divided, mut told) = (None, None, None);
    let mut rebalanced = cluster.status.as_ref().and_then(|status| status.rebalanced.clone());
    let (refusal, applied) = match checked {
        Err(refusal) => (Some(refusal), Ok(())),
        Ok(_) if cluster.spec.suspend => (None, Ok(())),
        Ok(valid) => {
            let live = observed.stateful_set(&name);
            let mut next = advance::members(cluster, valid, live.as_ref(), context).await.map_err(Box::new)?;
            (running, scaled, upgrade) = (next.pods.image(), next.scaling, next.upgrade);
            (told, rebalanced) = (next.seen, next.rebalanced);
            // Why it goes back is written down before anything is: nothing else would remember it.
            if next.decision.refuse {
                metrics::counter!("ordermill_operator_rollbacks_total").increment(1);
                noted.upgrade(upgrade.clone(), context).await?;
            }
            let seen = store.as_ref().and_then(|store| store.as_ref().ok());
            if let (Some(managed), Some(databases)) = (stage::managed(cluster), &mut next.cluster.databases) {
                let pd = Pd::at(&context.asker, &names::pd_endpoint(&name, &namespace));
                plan = stores::plan(cluster, managed, &observed, seen, context).await.map_err(Box::new)?;
                if let Some(plan) = &mut plan {
                    plan.ask(&mut noted, &pd, context).await?;
                    databases.tikv.replicas = plan.replicas;
                }
                keep_copies(cluster, managed, &pd, seen).await;
                divided = divide(cluster, managed, &pd, seen, stage, seconds(&context.clock)).await;
            }
            let built = build::objects(&next.cluster, stage);
            let applied = apply::apply(&context.client, &namespace, &uid, &built, &mut observed).await;
            if applied.is_ok() {
                rolling::take_back(&context.client, &namespace, &next.decision, &next.pods).await.map_err(Box::new)?;
                if let Some(plan) = &plan {
                    plan.restart(cluster, context).await.map_err(Box::new)?;
                }
                if let Err(error) = keep_monitor(&next.cluster, context).await {
                    tracing::warn!(name, %error, "Prometheus is not told what to scrape");
                }
            }
            (taken(&applied), applied)
        }
    };
    let set = observed.stateful_set(&name);
    let now = written(seconds(&context.clock));
    let facts = Facts {
        cluster,
        refusal: refusal.as_ref(),
        stateful_set: set.as_ref(),
        stage,
        store: store.as_ref(),
        plan: plan.as_ref(),
        divided,
        members: told.as_ref(),
        rebalanced,
        upgrade,
        scaling: scaled,
        image: running,
        now: &now,
    };
    let status = status::of(&facts);
    let next = stage::look_again(cluster, &status);
    noted.tell(status, context).await?;
    applied?;
    Ok(next)
}

/// What Prometheus scrapes, where its operator is installed. Whatever goes wrong with it is no reason to leave anything else.
async fn keep_monitor(cluster: &Cluster, context: &Context) -> Result<(), Error> {
    let (client, namespace, uid) = (&context.client, &cluster.namespace, &cluster.owner.uid);
    let observed = observe::monitors(client, namespace, &cluster.name, uid).await.map_err(Box::new)?;
    let Some(mut observed) = observed else { return Ok(()) };
    let built: Vec<_> = build::monitor(cluster).into_iter().collect();
    Ok(apply::apply(client, namespace, uid, &built, &mut observed).await?)
}

/// How PD and TiKV are, where the operator runs them and has begun to.
async fn look(cluster: &OrderCluster, observed: &Observed, context: &Context) -> Option<Result<Seen, ask::Error>> {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    stage::managed(cluster)?;
    observed.stateful_set(&names::Database::Pd.of(&name))?;
    Some(Pd::at(&context.asker, &names::pd_endpoint(&name, &namespace)).look().await)
}

/// More copies once there are stores for them: PD was told a number when it was formed, and keeps its own.
async fn keep_copies(cluster: &OrderCluster, managed: &Managed, pd: &Pd<'_>, seen: Option<&Seen>) {
    let (name, copies) = (cluster.name_any(), managed.copies());
    if seen.is_none_or(|seen| seen.copies.is_none_or(|now| now >= copies) || seen.up() < copies as usize) {
        return;
    }
    match pd.keep_copies(copies).await {
        Ok(()) => tracing::info!(name, copies, "PD keeps more copies"),
        // The next look tries again, and the status says how many there are.
        Err(error) => tracing::warn!(name, %error, "PD was not told how many copies to keep"),
    }
}

/// Regions end at the bounds of shards once there are stores; how that went, if it was tried now. A single copy is for
/// trying out, and gains nothing by it.
async fn divide(
    cluster: &OrderCluster,
    managed: &Managed,
    pd: &Pd<'_>,
    seen: Option<&Seen>,
    stage: Stage,
    now: i64,
) -> Option<Division> {
    let before = cluster.status.as_ref().and_then(|status| status.store.as_ref()?.division.clone()).unwrap_or_default();
    let wanted = stage.stored && managed.copies() > 1 && regions::due(&before, now);
    if !wanted || seen.is_none_or(|seen| seen.up() < managed.copies() as usize) {
        return None;
    }
    let name = cluster.name_any();
    let divided = regions::divide(pd, cluster.spec.initial_shards);
    let divided = tokio::time::timeout(limits::DIVISION, divided).await;
    let done = matches!(divided, Ok(Ok(true)));
    match divided {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) | Err(_) => tracing::info!(name, "regions are not divided at the bounds of shards yet"),
        Ok(Err(error)) => tracing::warn!(name, %error, "regions are not divided at the bounds of shards yet"),
    }
    Some(Division { done, tries: before.tries + 1, last_try: written(now) })
}

/// An object that is somebody else's stands against the spec until a person has decided.
fn taken(applied: &Result<(), apply::Error>) -> Option<Refusal> {
    match applied {
        Err(error @ apply::Error::Taken { .. }) => Some(Refusal { reason: "NameTaken", message: error.to_string() }),
        _ => None,
    }
}

/// A status, as it was written last: what must be known before something is done is written first.
#[derive(Debug)]
pub struct Noted<'a> {
    /// The resource, as it was when the reconciliation began.
    pub cluster: &'a OrderCluster,
    written: Option<OrderClusterStatus>,
}

impl<'a> Noted<'a> {
    fn new(cluster: &'a OrderCluster) -> Self {
        Self { cluster, written: cluster.status.clone() }
    }

    /// Writes down how an upgrade is.
    async fn upgrade(&mut self, upgrade: Option<UpgradeStatus>, context: &Context) -> Result<(), Error> {
        let status = OrderClusterStatus { upgrade, ..self.written.clone().unwrap_or_default() };
        self.write(status, context).await
    }

    /// Writes down what is about to be done with stores.
    pub async fn store(&mut self, change: impl FnOnce(&mut StoreStatus), context: &Context) -> Result<(), Error> {
        let mut status = self.written.clone().unwrap_or_default();
        change(status.store.get_or_insert_default());
        self.write(status, context).await
    }

    async fn write(&mut self, status: OrderClusterStatus, context: &Context) -> Result<(), Error> {
        if self.written.as_ref() == Some(&status) {
            return Ok(());
        }
        let namespace = self.cluster.namespace().unwrap_or_default();
        let api: Api<OrderCluster> = Api::namespaced(context.client.clone(), &namespace);
        let body = json!({
            "apiVersion": OrderCluster::api_version(&()),
            "kind": OrderCluster::kind(&()),
            "status": status,
        });
        let params = PatchParams::apply(MANAGER).force();
        match api.patch_status(&self.cluster.name_any(), &params, &Patch::Apply(&body)).await {
            Ok(_) => {}
            // Deleted meanwhile: nobody is left to be told.
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            Err(error) => return Err(Box::new(error).into()),
        }
        self.written = Some(status);
        Ok(())
    }

    /// Writes the whole of it, with an event for each condition that says something else than before.
    async fn tell(mut self, status: OrderClusterStatus, context: &Context) -> Result<(), Error> {
        self.write(status.clone(), context).await?;
        let cluster = self.cluster;
        for condition in status::changed(cluster, &status) {
            let event = event(weight(cluster, condition), &condition.reason, condition.message.clone());
            // An event that is lost is no reason to do everything again.
            if let Err(error) = context.recorder.publish(&event, &cluster.object_ref(&())).await {
                tracing::warn!(%error, "an event could not be written");
            }
        }
        Ok(())
    }
}

/// A spec that cannot be carried out, and members that served and serve no longer, are worth a warning.
fn weight(cluster: &OrderCluster, condition: &Condition) -> EventType {
    let served = cluster.status.iter().flat_map(|status| &status.conditions);
    let served = served.into_iter().any(|before| before.type_ == "Available" && before.status == "True");
    match (condition.type_.as_str(), condition.status.as_str()) {
        ("Accepted", "False") => EventType::Warning,
        ("StoresSettled", "False") if stores::REFUSALS.contains(&condition.reason.as_str()) => EventType::Warning,
        ("Available", "False") if served && condition.reason != "Stopped" => EventType::Warning,
        _ => EventType::Normal,
    }
}

fn event(type_: EventType, reason: &str, note: String) -> Event {
    Event { type_, reason: reason.to_owned(), note: Some(note), action: "Reconcile".to_owned(), secondary: None }
}

/// The time, in whole seconds: what kubectl shows.
pub(crate) fn seconds(clock: &clock::Shared) -> i64 {
    i64::try_from(clock.now_ms() / 1_000).unwrap_or_default()
}

/// A time in seconds since 1970, as it stands in a status.
pub(crate) fn written(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// A resource that is shared with the queue.
pub type Shared = Arc<DeserializeGuard<OrderCluster>>;
