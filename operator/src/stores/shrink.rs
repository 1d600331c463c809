//! How many stores there are to be next, and what PD is asked for before one goes: a pure function from what is there.
//!
//! One at a time, the last first, and a pod goes only when PD says that its store is gone for good. Every step is taken
//! from PD and the StatefulSet anew; remembered is only which store the operator itself has asked to leave.

use super::Doing;
use crate::crd::Leaving;
use crate::pd::Store;

/// What is there.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The name of the StatefulSet.
    pub set: &'a str,
    /// How many stores are asked for.
    pub asked: i32,
    /// How many pods the StatefulSet has to have now.
    pub there: i32,
    /// The stores, as PD sees them; None while PD does not say.
    pub stores: Option<&'a [Store]>,
    /// How many copies of a row PD keeps.
    pub copies: i32,
    /// The store that was asked to leave.
    pub leaving: Option<&'a Leaving>,
    /// Whether stores are being started anew.
    pub restarting: bool,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// How many pods the StatefulSet has to have.
    pub replicas: i32,
    /// The store that leaves from now on, or still.
    pub leaving: Option<Leaving>,
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
    /// PD is to move off a store what it holds, unless regions are hurt.
    TakeOff(u64),
    /// PD is to let it stay.
    LetStay(u64),
    /// The volume of a pod goes with it: what is on it belongs to a store that is gone for good.
    Drop(String),
}

/// The number of a pod of the StatefulSet.
fn ordinal(set: &str, pod: &str) -> Option<i32> {
    pod.strip_prefix(set)?.strip_prefix('-')?.parse().ok()
}

/// The next step.
pub fn next(facts: &Facts<'_>) -> Next {
    let stay =
        |doing: Doing| Next { replicas: facts.there, leaving: facts.leaving.cloned(), step: Step::Nothing, doing };
    let Some(stores) = facts.stores else {
        // More can come without PD; whether one can go only PD knows.
        let waits = facts.asked < facts.there || facts.leaving.is_some();
        let doing = if waits { Doing::not("PdSilent", "PD does not say how the stores are") } else { Doing::Settled };
        return Next { replicas: facts.there.max(facts.asked), ..stay(doing) };
    };
    if let Some(leaving) = facts.leaving {
        let place = ordinal(facts.set, &leaving.pod).unwrap_or(i32::MAX);
        let store = stores.iter().find(|store| store.id == leaving.id && !store.gone());
        match store {
            // Gone for good: its pod follows, even when it is wanted again; it comes back with an empty volume.
            None if place == facts.there - 1 => return drop_last(facts, &leaving.pod),
            None => return next(&Facts { leaving: None, ..facts.clone() }),
            Some(store) if place < facts.asked && store.state == "Offline" => {
                let why = format!("{} is wanted again, and stays", leaving.pod);
                return Next { step: Step::LetStay(store.id), ..stay(Doing::not("StoreStays", why)) };
            }
            Some(_) if place < facts.asked => return next(&Facts { leaving: None, ..facts.clone() }),
            Some(_) => {}
        }
    }
    if facts.asked >= facts.there {
        return Next { replicas: facts.asked, ..stay(Doing::Settled) };
    }
    let last = format!("{}-{}", facts.set, facts.there - 1);
    // A store that is none of our pods' may be any pod's, under another name.
    if let Some(stranger) = stores.iter().find(|store| !store.gone() && ordinal(facts.set, store.pod()).is_none()) {
        let why = format!("store {} is at {}, which is no pod of {}", stranger.id, stranger.address, facts.set);
        return stay(Doing::not("UnknownStore", why));
    }
    match stores.iter().find(|store| !store.gone() && store.pod() == last) {
        None => drop_last(facts, &last),
        Some(store) if store.state == "Offline" => {
            stay(Doing::not("StoreLeaves", format!("what {last} holds is moved off it")))
        }
        Some(_) if facts.restarting => {
            stay(Doing::not("Restarting", format!("{last} leaves once all have started anew")))
        }
        Some(store) => take_off(facts, stores, store),
    }
}

fn drop_last(facts: &Facts<'_>, pod: &str) -> Next {
    Next {
        replicas: facts.there - 1,
        leaving: None,
        step: Step::Drop(pod.to_owned()),
        doing: Doing::not("StoreGone", format!("{pod} holds nothing any more, and goes")),
    }
}

fn take_off(facts: &Facts<'_>, stores: &[Store], store: &Store) -> Next {
    let refuse = |doing| Next { replicas: facts.there, leaving: None, step: Step::Nothing, doing };
    let others = stores.iter().filter(|other| !other.gone() && other.id != store.id);
    let up = others.clone().filter(|other| other.state == "Up").count() as i32;
    if up < facts.copies {
        let (pod, copies) = (store.pod(), facts.copies);
        let why = format!("PD keeps {copies} copies of each row, and without {pod} {up} stores would be up");
        return refuse(Doing::not("NoHeadroom", why));
    }
    if let Some(away) = others.clone().find(|other| ["Disconnected", "Down"].contains(&other.state.as_str())) {
        let why = format!("PD does not hear {}, and another one must not leave now", away.pod());
        return refuse(Doing::not("StoresAway", why));
    }
    Next {
        replicas: facts.there,
        leaving: Some(Leaving { id: store.id, pod: store.pod().to_owned() }),
        step: Step::TakeOff(store.id),
        doing: Doing::not("StoreLeaves", format!("what {} holds is moved off it", store.pod())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn stores(states: &[&str]) -> Vec<Store> {
        let store = |(number, state): (usize, &&str)| Store {
            id: 10 + number as u64,
            address: format!("shop-tikv-{number}.shop-tikv-peers.orders.svc:20160"),
            state: (*state).to_owned(),
            used: 0,
            regions: 1,
            leaders: 1,
            labels: BTreeMap::new(),
        };
        states.iter().enumerate().map(store).collect()
    }

    fn facts<'a>(asked: i32, there: i32, stores: &'a [Store], leaving: Option<&'a Leaving>) -> Facts<'a> {
        Facts { set: "shop-tikv", asked, there, stores: Some(stores), copies: 3, leaving, restarting: false }
    }

    fn word(next: &Next) -> &str {
        next.doing.reason()
    }

    #[test]
    fn one_leaves_then_its_pod_goes_then_the_next() {
        let up = stores(&["Up"; 5]);
        let first = next(&facts(3, 5, &up, None));
        assert_eq!((first.replicas, &first.step), (5, &Step::TakeOff(14)));
        let leaving = first.leaving.unwrap();
        assert_eq!(next(&facts(3, 5, &up, Some(&leaving))).step, Step::TakeOff(14), "asked again: it was not heard");
        let offline = stores(&["Up", "Up", "Up", "Up", "Offline"]);
        let waits = next(&facts(3, 5, &offline, Some(&leaving)));
        assert_eq!((waits.replicas, &waits.step, word(&waits)), (5, &Step::Nothing, "StoreLeaves"));
        let gone = stores(&["Up", "Up", "Up", "Up", "Tombstone"]);
        let drops = next(&facts(3, 5, &gone, Some(&leaving)));
        assert_eq!((drops.replicas, &drops.step), (4, &Step::Drop("shop-tikv-4".to_owned())));
        assert_eq!(next(&facts(3, 4, &gone, None)).step, Step::TakeOff(13));
        // The status was not written when the pod went.
        let late = next(&facts(3, 4, &gone, Some(&leaving)));
        assert_eq!((late.step, late.leaving.map(|it| it.id)), (Step::TakeOff(13), Some(13)));
        let done = stores(&["Up", "Up", "Up", "Tombstone", "Tombstone"]);
        assert_eq!(word(&next(&facts(3, 3, &done, None))), "AsAsked");
        // And back: nothing of the old ones stands in the way.
        assert_eq!(next(&facts(5, 3, &done, None)).replicas, 5);
    }

    #[test]
    fn what_would_lose_copies_is_refused() {
        let three = stores(&["Up"; 3]);
        let refused = next(&facts(2, 3, &three, None));
        assert_eq!((refused.replicas, &refused.step, word(&refused)), (3, &Step::Nothing, "NoHeadroom"));
        let away = stores(&["Up", "Down", "Up", "Up", "Up"]);
        assert_eq!(word(&next(&facts(4, 5, &away, None))), "StoresAway");
        let two_away = stores(&["Up", "Disconnected", "Disconnected", "Up", "Up"]);
        assert_eq!(word(&next(&facts(4, 5, &two_away, None))), "NoHeadroom");
        // The one that leaves may be the one that is away.
        assert_eq!(next(&facts(3, 4, &stores(&["Up", "Up", "Up", "Down"]), None)).step, Step::TakeOff(13));
        let mut strange = stores(&["Up"; 5]);
        strange[4].address = "10.0.0.7:20160".to_owned();
        assert_eq!(word(&next(&facts(4, 5, &strange, None))), "UnknownStore");
    }

    #[test]
    fn one_that_is_wanted_again_stays_and_is_never_dropped_by_mistake() {
        let leaving = Leaving { id: 13, pod: "shop-tikv-3".to_owned() };
        let offline = stores(&["Up", "Up", "Up", "Offline"]);
        let stays = next(&facts(4, 4, &offline, Some(&leaving)));
        assert_eq!((stays.replicas, &stays.step), (4, &Step::LetStay(13)));
        let up = next(&facts(4, 4, &stores(&["Up"; 4]), Some(&leaving)));
        assert_eq!((up.leaving, up.doing), (None, Doing::Settled));
        // Somebody else has asked it to leave: that is theirs to take back.
        assert_eq!(next(&facts(4, 4, &offline, None)).step, Step::Nothing);
        // Too late: it comes back as another store.
        let gone = stores(&["Up", "Up", "Up", "Tombstone"]);
        assert_eq!(next(&facts(4, 4, &gone, Some(&leaving))).step, Step::Drop("shop-tikv-3".to_owned()));
    }

    #[test]
    fn a_silent_pd_and_a_restart_let_nobody_leave() {
        let silent = Facts { stores: None, ..facts(3, 4, &[], None) };
        assert_eq!((next(&silent).replicas, word(&next(&silent))), (4, "PdSilent"));
        assert_eq!(next(&Facts { asked: 6, ..silent }).replicas, 6, "more can come");
        let up = stores(&["Up"; 4]);
        let restarting = Facts { restarting: true, ..facts(3, 4, &up, None) };
        assert_eq!((next(&restarting).step, next(&restarting).doing.reason()), (Step::Nothing, "Restarting"));
    }
}
