//! Which pods may run what the spec says now: a pure function from what is there to the next step.
//!
//! A StatefulSet replaces the pods from its partition on, and makes those below it anew as they were. So the partition
//! is the step, nothing else needs to be remembered, and the way back is a partition above all pods. What is kept in
//! the status is only which template was refused, and why. Knows no clock: ages come in.

use crate::crd::Strategy;

/// A pod of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its number.
    pub ordinal: i32,
    /// The revision of the template that it was made from.
    pub revision: String,
    /// Whether it serves.
    pub ready: bool,
    /// For how long it has served, or not, seconds.
    pub seconds: u64,
    /// Why it cannot start, as its kubelet says.
    pub stuck: Option<String>,
    /// Whether it is being stopped.
    pub stopping: bool,
    /// Whether it speaks TLS: those that are replaced may differ from those that replace them.
    pub tls: bool,
}

impl Pod {
    /// Whether it takes requests, and is to go on doing so.
    pub fn serves(&self) -> bool {
        self.ready && !self.stopping
    }
}

/// What a pod says of its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its pod.
    pub pod: String,
    /// Requests that it has answered since it started.
    pub answered: u64,
    /// Those of them that failed through no fault of the client.
    pub failed: u64,
    /// Those of them that were refused for want of capacity.
    pub refused: u64,
    /// Records that the store has appended for it.
    pub appends: u64,
    /// How long they took together, microseconds.
    pub append_us: u64,
    /// Commands that have waited for a shard of it.
    pub waits: u64,
    /// How long they waited together, microseconds.
    pub wait_us: u64,
}

impl Work {
    /// How long commands have waited for a shard since it started, microseconds; not known after a few.
    fn delay_us(&self) -> Option<u64> {
        (self.waits >= WAITS_MIN).then(|| self.wait_us / self.waits)
    }
}

/// Commands whose waits say something.
const WAITS_MIN: u64 = 20;
/// How long a pod has to serve before waits count against it, seconds: while shards come to it, all commands wait.
const SETTLING_SECONDS: u64 = 10;

/// How long no pod has to serve before there is nothing to protect any more, seconds.
const AWAY_SECONDS: u64 = 30;

/// What the members' StatefulSet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// How many pods there are to be.
    pub replicas: i32,
    /// The hash of the template that was built into it.
    pub template: String,
    /// Whether its controller has seen that.
    pub seen: bool,
    /// Pods below are left as they are.
    pub partition: i32,
    /// The revision that all had before.
    pub current: String,
    /// The revision of the template.
    pub update: String,
}

/// What a step is decided by.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The StatefulSet, if there is one.
    pub set: Option<&'a Set>,
    /// The hash of the template that the spec gives.
    pub wanted: &'a str,
    /// How many members are asked for.
    pub replicas: i32,
    /// The pods.
    pub pods: &'a [Pod],
    /// What they say of their work: those that have answered.
    pub work: &'a [Work],
    /// Why shards are not at rest; None when they are.
    pub unrest: Option<&'a str>,
    /// The template that was refused before, and why.
    pub refused: Option<(&'a str, &'a str)>,
    /// What is asked of upgrades.
    pub strategy: &'a Strategy,
}

/// How far an upgrade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none.
    None,
    /// Nothing is touched until all is well.
    Preflight,
    /// One pod runs what is new, and is watched.
    Canary,
    /// One pod after the other.
    Rolling,
    /// What is new is taken back.
    RollingBack,
    /// All is as it was, until the spec says something else.
    RolledBack,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How far it is.
    pub step: Step,
    /// Pods below are left as they are.
    pub partition: i32,
    /// Pods to delete, so that they are made anew as they were.
    pub delete: Vec<String>,
    /// What it waits for, or why it went back.
    pub why: String,
    /// Whether the template is refused from now on.
    pub refuse: bool,
}

impl Decision {
    fn new(step: Step, partition: i32, why: impl Into<String>) -> Self {
        Self { step, partition, delete: Vec::new(), why: why.into(), refuse: false }
    }
}

/// The next step.
pub fn next(facts: &Facts<'_>) -> Decision {
    let Some(set) = facts.set else { return Decision::new(Step::None, 0, "") };
    let above = set.replicas.max(facts.replicas);
    if facts.refused.is_none_or(|(template, _)| template != facts.wanted) && set.template != facts.wanted {
        return Decision::new(Step::Preflight, above, "the new template is written first, and replaces no pod yet");
    }
    if !set.seen {
        let step = if set.partition > 0 { Step::Preflight } else { Step::None };
        return Decision::new(step, set.partition, "Kubernetes has not looked at the new template yet");
    }
    if set.current == set.update {
        return Decision::new(Step::None, 0, "");
    }
    let fresh: Vec<&Pod> = facts.pods.iter().filter(|pod| pod.revision == set.update).collect();
    if let Some((_, why)) = facts.refused.filter(|(template, _)| *template == facts.wanted) {
        return back(facts, above, &fresh, why);
    }
    if let Some(why) = facts.strategy.rollback.then(|| verdict(facts, &fresh)).flatten() {
        let decision = back(facts, above, &fresh, &why);
        return Decision { refuse: true, ..decision };
    }
    forward(facts, set, &fresh)
}

/// Takes back what is new: what does not serve at once, what serves one after the other.
fn back(facts: &Facts<'_>, above: i32, fresh: &[&Pod], why: &str) -> Decision {
    if fresh.is_empty() {
        return Decision::new(Step::RolledBack, above, why);
    }
    let mut decision = Decision::new(Step::RollingBack, above, why);
    let there = |pod: &&&Pod| !pod.stopping;
    decision.delete = fresh.iter().filter(there).filter(|pod| !pod.ready).map(|pod| pod.name.clone()).collect();
    let whole = facts.pods.len() as i32 >= facts.replicas && facts.pods.iter().all(Pod::serves);
    if decision.delete.is_empty() && whole {
        decision.delete.extend(fresh.iter().filter(there).map(|pod| pod.name.clone()).next());
    }
    decision
}

/// What stands against what is new; None while nothing does.
fn verdict(facts: &Facts<'_>, fresh: &[&Pod]) -> Option<String> {
    let strategy = facts.strategy;
    let deadline = u64::from(strategy.deadline_seconds);
    for pod in fresh.iter().filter(|pod| !pod.stopping) {
        if let Some(stuck) = &pod.stuck {
            return Some(format!("{} cannot start: {stuck}", pod.name));
        }
        if !pod.ready && pod.seconds > deadline {
            return Some(format!("{} does not serve {deadline} s after its start", pod.name));
        }
    }
    let is_fresh = |work: &&Work| fresh.iter().any(|pod| pod.name == work.pod);
    let (new, old): (Vec<&Work>, Vec<&Work>) = facts.work.iter().partition(is_fresh);
    let sum = |works: &[&Work], of: fn(&Work) -> u64| works.iter().map(|work| of(work)).sum::<u64>();
    let permille = |failed: u64, answered: u64| failed.saturating_mul(1_000) / answered.max(1);
    let usual = permille(sum(&old, |work| work.failed), sum(&old, |work| work.answered));
    let mut delays: Vec<u64> = old.iter().filter_map(|work| work.delay_us()).collect();
    delays.sort_unstable();
    let usual_delay = delays.get(delays.len() / 2).copied().unwrap_or_default();
    for work in new {
        let failing = permille(work.failed, work.answered);
        // A few failures are chance.
        if work.failed >= 5 && failing > u64::from(strategy.max_error_permille).max(usual * 2) {
            return Some(format!("{} fails {failing} of 1,000 requests, the others {usual}", work.pod));
        }
        let most = (u64::from(strategy.max_queue_delay_ms) * 1_000).max(usual_delay * 3);
        let settled = fresh.iter().any(|pod| pod.name == work.pod && pod.ready && pod.seconds >= SETTLING_SECONDS);
        if let Some(delay) = work.delay_us().filter(|delay| settled && *delay > most) {
            let (delay, usual) = (delay / 1_000, usual_delay / 1_000);
            return Some(format!("commands waited {delay} ms each at {}, {usual} ms at the others", work.pod));
        }
    }
    None
}

/// Goes on, or says what it waits for.
fn forward(facts: &Facts<'_>, set: &Set, fresh: &[&Pod]) -> Decision {
    // There is nothing to protect: whatever is new can only be better. For a moment nobody may look ready on a machine
    // that is short of processors.
    let nobody_serves = facts.pods.iter().all(|pod| !pod.ready && pod.seconds >= AWAY_SECONDS);
    if nobody_serves && fresh.is_empty() {
        return Decision::new(Step::Rolling, 0, "no member serves: all are replaced");
    }
    let partition = set.partition.min(set.replicas);
    let step = match partition {
        all if all >= set.replicas => Step::Preflight,
        one if one == set.replicas - 1 => Step::Canary,
        _ => Step::Rolling,
    };
    let stay = |why: String| Decision::new(step, set.partition, why);
    // Those that the partition lets go have to be new first.
    let due = (set.replicas - partition).max(0);
    let several = facts.strategy.max_unavailable > 1 && step == Step::Rolling;
    if (fresh.len() as i32) < due && (set.partition > 0 || several) {
        let mut decision = stay(format!("{} of {due} pods are replaced", fresh.len()));
        // Kubernetes would replace them one after the other.
        if several {
            let due = |pod: &&Pod| pod.ordinal >= set.partition && pod.revision != set.update && !pod.stopping;
            decision.delete = facts.pods.iter().filter(due).map(|pod| pod.name.clone()).collect();
        }
        return decision;
    }
    if let Some(pod) = facts.pods.iter().find(|pod| !pod.serves()) {
        return stay(format!("{} does not serve yet", pod.name));
    }
    if (facts.pods.len() as i32) < set.replicas {
        return stay(format!("there are {} of {} pods", facts.pods.len(), set.replicas));
    }
    // Whoever does not want it watched need not let the operator reach the pods.
    let watch = u64::from(facts.strategy.watch_seconds);
    let silent = |pod: &&&Pod| watch > 0 && !facts.work.iter().any(|work| work.pod == pod.name);
    if let Some(pod) = fresh.iter().find(silent) {
        return stay(format!("{} does not tell its measurements", pod.name));
    }
    if let Some(unrest) = facts.unrest.filter(|_| watch > 0) {
        return stay(unrest.to_owned());
    }
    if let Some(pod) = fresh.iter().find(|pod| step == Step::Canary && pod.seconds < watch) {
        return stay(format!("{} is watched for {watch} s", pod.name));
    }
    // The first one alone, whatever is asked.
    let at_once = if step == Step::Preflight { 1 } else { facts.strategy.max_unavailable as i32 };
    let next = (partition - at_once.max(1)).max(0);
    let step = if next == set.replicas - 1 { Step::Canary } else { Step::Rolling };
    let why = match partition - next {
        several if several > 1 => format!("pods {next} to {} are replaced", partition - 1),
        _ => format!("pod {next} is replaced"),
    };
    Decision::new(step, next, why)
}

#[cfg(test)]
mod tests;
