//! Which store starts anew next, and what PD is asked for before: a pure function from what is there.
//!
//! A store gives its leaders away before its pod goes, so that nobody waits for a new leader, and leads again once it is
//! back. One at a time, none while another is away; a pod that does not run is made anew at once, as that costs nothing.
//! Remembered is only which store the operator itself has asked to lead nothing, so that it never asks for ever.

use super::Doing;
use crate::build::names;
use crate::crd::Restart;
use crate::pd::Store;
use crate::upgrade::Pod;

/// What is there.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The revision that pods are to have; None while their controller has not looked at the last change.
    pub revision: Option<&'a str>,
    /// How many pods there are to be.
    pub replicas: i32,
    /// The pods.
    pub pods: &'a [Pod],
    /// The stores, as PD sees them; None while PD does not say.
    pub stores: Option<&'a [Store]>,
    /// The store that was asked to lead nothing, and for how many seconds.
    pub restart: Option<(&'a Restart, u64)>,
    /// How long it may take until it does, seconds.
    pub patience: u64,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// What is asked of whom.
    pub step: Step,
    /// What is said of it.
    pub doing: Doing,
}

/// What is asked of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// PD is to have a store of a pod lead nothing, if it is not asked already.
    Evict(u64, String),
    /// A pod is made anew.
    Delete(String),
    /// PD is to let a store lead again; it is forgotten then.
    LetLead(u64),
}

fn waits(why: impl Into<String>) -> Next {
    Next { step: Step::Nothing, doing: Doing::not("Restarting", why) }
}

/// A pod is made anew.
fn anew(pod: &Pod, why: &str) -> Next {
    Next { step: Step::Delete(pod.name.clone()), ..waits(format!("{} is made anew{why}", pod.name)) }
}

/// A store is to lead nothing.
fn evict(store: u64, pod: &Pod) -> Next {
    let doing = Doing::not("EvictingLeaders", format!("{} gives away the regions that it leads", pod.name));
    Next { step: Step::Evict(store, pod.name.clone()), doing }
}

/// The next step.
pub fn next(facts: &Facts<'_>) -> Next {
    let store = |pod: &str| facts.stores.into_iter().flatten().find(|store| !store.gone() && store.pod() == pod);
    let Some(revision) = facts.revision else {
        let doing = facts.restart.map_or(Doing::Settled, |_| Doing::not("Restarting", "Kubernetes has not looked yet"));
        return Next { step: Step::Nothing, doing };
    };
    let old = |pod: &Pod| pod.revision != revision;
    if let Some((restart, seconds)) = facts.restart {
        let id = restart.id;
        let Some(pod) = facts.pods.iter().find(|pod| pod.name == restart.pod) else {
            // It left for good while it was to start anew.
            if names::ordinal(&restart.pod).is_none_or(|number| number >= facts.replicas) {
                return Next { step: Step::LetLead(id), ..waits(format!("{} has gone", restart.pod)) };
            }
            return waits(format!("{} starts", restart.pod));
        };
        if pod.stopping {
            return waits(format!("{} stops", pod.name));
        }
        if !old(pod) {
            let up = store(&pod.name).is_some_and(|store| ["Up", "Offline"].contains(&store.state.as_str()));
            return if pod.ready && (up || facts.stores.is_none()) {
                Next { step: Step::LetLead(id), ..waits(format!("{} may lead again", pod.name)) }
            } else {
                waits(format!("{} starts", pod.name))
            };
        }
        let leads = store(&pod.name).map_or(0, |store| store.leaders);
        if !pod.ready || leads == 0 && facts.stores.is_some() || seconds >= facts.patience {
            return anew(pod, "");
        }
        return evict(id, pod);
    }
    let Some(pod) = facts.pods.iter().rev().find(|pod| old(pod)) else {
        return Next { step: Step::Nothing, doing: Doing::Settled };
    };
    if let Some(dead) = facts.pods.iter().find(|pod| old(pod) && !pod.ready) {
        let next = anew(dead, ": it does not run");
        return if dead.stopping { Next { step: Step::Nothing, ..next } } else { next };
    }
    if let Some(other) = facts.pods.iter().find(|pod| !pod.serves()) {
        return waits(format!("{} starts", other.name));
    }
    if (facts.pods.len() as i32) < facts.replicas {
        return waits(format!("there are {} of {} pods", facts.pods.len(), facts.replicas));
    }
    let Some(stores) = facts.stores else { return waits("PD does not say how the stores are") };
    let away = stores.iter().find(|store| ["Disconnected", "Down"].contains(&store.state.as_str()));
    if let Some(away) = away {
        return waits(format!("PD does not hear {}", away.pod()));
    }
    let takers = stores.iter().any(|store| store.state == "Up" && store.pod() != pod.name);
    match store(&pod.name) {
        Some(store) if takers && facts.patience > 0 && store.leaders > 0 => evict(store.id, pod),
        _ => anew(pod, ""),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct World {
        pods: Vec<Pod>,
        stores: Vec<Store>,
        restart: Option<Restart>,
        seconds: u64,
    }

    impl World {
        fn new() -> Self {
            let pod = |ordinal: i32| Pod {
                name: format!("shop-tikv-{ordinal}"),
                ordinal,
                revision: "one".to_owned(),
                ready: true,
                seconds: 100,
                stuck: None,
                stopping: false,
                tls: false,
            };
            let store = |number: i32| Store {
                id: number as u64 + 10,
                address: format!("shop-tikv-{number}.shop-tikv-peers.orders.svc:20160"),
                state: "Up".to_owned(),
                used: 0,
                regions: 9,
                leaders: 3,
                labels: BTreeMap::new(),
            };
            Self { pods: (0..3).map(pod).collect(), stores: (0..3).map(store).collect(), restart: None, seconds: 0 }
        }

        fn next(&self, revision: &str) -> Next {
            next(&Facts {
                revision: Some(revision),
                replicas: 3,
                pods: &self.pods,
                stores: Some(&self.stores),
                restart: self.restart.as_ref().map(|restart| (restart, self.seconds)),
                patience: 300,
            })
        }

        /// Decides, and carries it out, with what PD and Kubernetes then do at once.
        fn step(&mut self, revision: &str) -> Step {
            let step = self.next(revision).step;
            match &step {
                Step::Nothing => {}
                Step::Evict(id, pod) => {
                    self.restart = Some(Restart { id: *id, pod: pod.clone(), since: String::new() });
                    self.stores.iter_mut().find(|store| store.id == *id).unwrap().leaders = 0;
                }
                Step::Delete(name) => {
                    let pod = self.pods.iter_mut().find(|pod| pod.name == *name).unwrap();
                    (pod.revision, pod.ready) = (revision.to_owned(), true);
                }
                Step::LetLead(id) => {
                    self.restart = None;
                    self.stores.iter_mut().find(|store| store.id == *id).unwrap().leaders = 3;
                }
            }
            step
        }
    }

    #[test]
    fn each_gives_its_leaders_away_starts_anew_and_leads_again() {
        let mut world = World::new();
        assert_eq!(world.next("one"), Next { step: Step::Nothing, doing: Doing::Settled });
        for number in [2, 1, 0] {
            let (id, pod) = (10 + number, format!("shop-tikv-{number}"));
            assert_eq!(world.step("two"), Step::Evict(id, pod.clone()));
            assert_eq!(world.step("two"), Step::Delete(pod));
            assert_eq!(world.step("two"), Step::LetLead(id));
        }
        assert_eq!(world.next("two"), Next { step: Step::Nothing, doing: Doing::Settled });
    }

    #[test]
    fn it_waits_for_leaders_for_a_while_and_for_the_pod_for_ever() {
        let mut world = World::new();
        world.step("two");
        world.stores[2].leaders = 1;
        assert_eq!(
            world.next("two").step,
            Step::Evict(12, "shop-tikv-2".to_owned()),
            "asked again: PD may have forgotten"
        );
        world.seconds = 300;
        assert_eq!(world.step("two"), Step::Delete("shop-tikv-2".to_owned()));
        world.pods[2].ready = false;
        assert_eq!(world.next("two").step, Step::Nothing);
        (world.pods[2].ready, world.stores[2].state) = (true, "Disconnected".to_owned());
        assert_eq!(world.next("two").step, Step::Nothing);
        world.stores[2].state = "Up".to_owned();
        assert_eq!(world.next("two").step, Step::LetLead(12));
    }

    #[test]
    fn none_goes_while_another_is_away_and_what_does_not_run_goes_first() {
        let mut world = World::new();
        world.stores[0].state = "Down".to_owned();
        assert_eq!(world.next("two").step, Step::Nothing);
        world.pods[0].ready = false;
        assert_eq!(world.step("two"), Step::Delete("shop-tikv-0".to_owned()), "what is new may help it");
        world.pods[0].ready = false;
        assert_eq!(world.next("two").step, Step::Nothing);
        world.pods.remove(0);
        assert_eq!(world.next("two").step, Step::Nothing);
    }

    #[test]
    fn what_was_asked_for_is_taken_back_when_it_is_not_wanted_any_more() {
        let mut world = World::new();
        world.step("two");
        assert_eq!(world.step("one"), Step::LetLead(12), "the old template is asked for again");
        world.step("two");
        world.pods.pop();
        let mut gone = World { restart: world.restart.take(), ..World::new() };
        gone.pods.pop();
        let facts = Facts {
            revision: Some("two"),
            replicas: 2,
            pods: &gone.pods,
            stores: Some(&gone.stores),
            restart: gone.restart.as_ref().map(|restart| (restart, 0)),
            patience: 300,
        };
        assert_eq!(next(&facts).step, Step::LetLead(12), "its pod is gone for good");
    }
}
