//! Autoscaling and scaling in of one cluster within a reconciliation: gathers what `autoscale` plans by, and has members
//! drained before their pods go.
//!
//! What counters stood at and what was wanted before is kept in memory: an operator that starts again begins with the
//! number that there is, and takes nobody away before it has looked for long enough.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::autoscale::{self, Facts, Load, Plan, Wish};
use crate::crd::Autoscaling;
use crate::members::{Crowd, Members};
use crate::upgrade::{Pod, Work};

/// What is remembered of clusters from look to look, by their uids.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<HashMap<String, Past>>>);

#[derive(Debug, Default)]
struct Past {
    /// What each pod's counters stood at, by its name.
    stood: HashMap<String, Work>,
    /// When they did, seconds.
    at: i64,
    /// What each pod said of the time between the last two looks.
    loads: HashMap<String, Load>,
    /// What was wanted, and when.
    wishes: Vec<(i64, i32)>,
}

/// Counters are compared over so long at least, seconds: looks may come one after the other.
const SPAN_SECONDS: i64 = 5;

/// One look at a cluster.
#[derive(Debug)]
pub struct Look<'a> {
    /// When, seconds of the operator's clock.
    pub at: i64,
    /// How many members there are to be now.
    pub replicas: i32,
    /// The pods that are there.
    pub pods: &'a [Pod],
    /// What they say.
    pub crowd: &'a Crowd,
    /// Whether an upgrade is under way, or pods are still coming or going.
    pub changing: bool,
}

impl Memory {
    /// How many members there should be.
    pub fn plan(&self, uid: &str, spec: &Autoscaling, look: Look<'_>) -> Plan {
        let Look { at, replicas: now, pods, crowd, changing } = look;
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let past = memory.entry(uid.to_owned()).or_default();
        past.look(crowd, at);
        let keep = i64::from(spec.scale_down_seconds);
        past.wishes.retain(|(when, _)| at - when <= keep);
        if past.wishes.is_empty() && past.stood.is_empty() {
            past.wishes.push((at, now));
        }
        let loads: Vec<Option<Load>> = pods.iter().map(|pod| past.loads.get(&pod.name).copied()).collect();
        let age = |when: i64| u64::try_from(at - when).unwrap_or_default();
        let wishes: Vec<Wish> =
            past.wishes.iter().map(|(when, replicas)| Wish { replicas: *replicas, seconds: age(*when) }).collect();
        let plan = autoscale::plan(&Facts { spec, replicas: now, loads: &loads, changing, wishes: &wishes });
        // What stays as it is keeps what it was: a while in which nothing was known is no while of little load.
        past.wishes.push((at, plan.wish.unwrap_or(now)));
        plan
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

impl Past {
    fn look(&mut self, crowd: &Crowd, at: i64) {
        if !self.stood.is_empty() && at - self.at < SPAN_SECONDS {
            return;
        }
        self.loads = crowd.work.iter().filter_map(|work| Some((work.pod.clone(), self.load(work, crowd)?))).collect();
        self.stood = crowd.work.iter().map(|work| (work.pod.clone(), work.clone())).collect();
        self.at = at;
    }

    /// What a pod's counters say of the time since the last look; None of one that was not seen then, or has started anew.
    fn load(&self, work: &Work, crowd: &Crowd) -> Option<Load> {
        let stood = self.stood.get(&work.pod)?;
        let said = crowd.seen.as_ref().ok()?.members.iter().find(|member| member.name == work.pod)?.load?;
        let refused = work.refused.checked_sub(stood.refused)?;
        let taken = work.answered.checked_sub(stood.answered)?.saturating_sub(refused);
        let appends = work.appends.checked_sub(stood.appends)?;
        let append_us = match appends {
            0 => 0,
            appends => work.append_us.saturating_sub(stood.append_us) / appends,
        };
        Some(Load {
            busy_permille: said.busy_permille,
            // A command waits for the append before it: as long as the store takes, and more members do not help.
            queue_delay_us: said.queue_delay_us.saturating_sub(append_us),
            taken,
            refused,
        })
    }
}

/// Has the members drained that are to go. None when all of them are, or nobody can be asked: a pod that is told to
/// stop hands its shards over by itself, so that only takes longer.
pub async fn drain(members: &Members<'_>, crowd: &Crowd, keep: i32) -> Option<Vec<String>> {
    let seen = crowd.seen.as_ref().ok()?;
    let going = |name: &str| members.serving().any(|pod| pod.name == name && pod.ordinal >= keep);
    let mut waits = Vec::new();
    for member in seen.members.iter().filter(|member| going(&member.name) && member.state != "drained") {
        if member.state != "draining" {
            tell(members, &member.name, "drain").await;
        }
        waits.push(member.name.clone());
    }
    waits.sort();
    (!waits.is_empty()).then_some(waits)
}

/// Lets members stay that were to go: those in `drained` that are kept after all.
pub async fn stay(members: &Members<'_>, drained: &[String], keep: i32) {
    for pod in members.pods.iter().filter(|pod| pod.ordinal < keep && drained.contains(&pod.name)) {
        tell(members, &pod.name, "uncordon").await;
    }
}

async fn tell(members: &Members<'_>, member: &str, what: &str) {
    let Members { cluster, namespace, .. } = *members;
    match members.change_member(member, what).await {
        Ok(()) => tracing::info!(cluster, namespace, member, what, "a member was told"),
        Err(error) => tracing::warn!(cluster, namespace, member, what, %error, "a member could not be told"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscale::Reason;
    use crate::members::{self, Member, Seen};

    fn pods() -> Vec<Pod> {
        let pod = |ordinal: i32| Pod {
            name: format!("shop-{ordinal}"),
            ordinal,
            revision: String::new(),
            ready: true,
            seconds: 100,
            stuck: None,
            stopping: false,
            tls: false,
        };
        (0..2).map(pod).collect()
    }

    /// Two members, so many of whose requests were answered and refused so far, and so many appends took a second each.
    fn crowd(answered: u64, refused: u64, appends: u64, delay_us: u64) -> Crowd {
        let work = |pod: Pod| Work {
            pod: pod.name,
            answered,
            failed: 0,
            refused,
            appends,
            append_us: appends * 1_000_000,
            waits: 0,
            wait_us: 0,
        };
        let member = |pod: Pod| Member {
            member: pod.name.clone(),
            name: pod.name,
            state: "serving".to_owned(),
            shards: 1,
            load: Some(members::Load { busy_permille: 600, queue_delay_us: delay_us }),
            format_max: 1,
        };
        let seen = Seen {
            members: pods().into_iter().map(member).collect(),
            shards: 2,
            moving: 0,
            format: 1,
            format_max: None,
            rebalancing: None,
        };
        Crowd { seen: Ok(seen), work: pods().into_iter().map(work).collect() }
    }

    #[test]
    fn counters_count_from_the_second_look_on_and_the_stores_time_is_left_out() {
        let spec = Autoscaling { max_replicas: 9, ..Autoscaling::default() };
        let memory = Memory::default();
        let look = |crowd: &Crowd, at| {
            let look = Look { at, replicas: 2, pods: &pods(), crowd, changing: false };
            let plan = memory.plan("uid", &spec, look);
            (plan.replicas, plan.reason)
        };
        assert_eq!(look(&crowd(1_000, 900, 10, 100), 0), (2, Reason::Frozen), "what was refused before is no load now");
        assert_eq!(look(&crowd(2_000, 900, 20, 1_000_000), 10), (2, Reason::Steady), "a second, as long as an append");
        assert_eq!(look(&crowd(3_000, 1_400, 30, 100), 20), (4, Reason::More), "half was refused");
        let silent = Crowd { seen: Err("away".to_owned()), work: Vec::new() };
        assert_eq!(look(&silent, 30), (2, Reason::Frozen));
        assert_eq!(look(&crowd(10, 0, 0, 100), 40), (2, Reason::Frozen), "it has started anew");
        assert_eq!(look(&crowd(20, 0, 0, 100), 50), (2, Reason::Steady));
    }
}
