//! What PD is told of where stores are, so that it keeps the copies of a row in different zones, and on different nodes of
//! one: a pure function from what is there.

use std::collections::BTreeMap;

use crate::pd::Store;
use crate::rolling::Place;

/// The labels of stores by which PD keeps copies apart, the widest first.
pub const LEVELS: [&str; 2] = ["zone", "host"];

/// What PD has to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// By which labels copies are kept apart: it goes by others, or by none.
    pub levels: bool,
    /// The labels of stores that have others.
    pub places: Vec<(u64, BTreeMap<String, String>)>,
    /// Pods that have a node and do not say in which zone.
    pub unknown: Vec<String>,
}

/// Takes it from where pods are, and from what PD knows of their stores: all that runs, once it is asked for at all.
pub fn next(places: &[Place], stores: &[Store], levels: &[String]) -> Next {
    let mut next = Next { levels: levels != LEVELS, ..Next::default() };
    for place in places {
        let Some(node) = &place.node else { continue };
        let Some(zone) = &place.zone else {
            next.unknown.push(place.pod.clone());
            continue;
        };
        let labels = LEVELS.into_iter().zip([zone, node]).map(|(label, value)| (label.to_owned(), value.clone()));
        let labels: BTreeMap<String, String> = labels.collect();
        let store = stores.iter().find(|store| !store.gone() && store.pod() == place.pod);
        // It may have labels of its own besides.
        let lacks = |store: &&Store| labels.iter().any(|(label, value)| store.labels.get(label) != Some(value));
        next.places.extend(store.filter(lacks).map(|store| (store.id, labels.clone())));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(pod: &str, node: Option<&str>, zone: Option<&str>) -> Place {
        Place { pod: pod.to_owned(), node: node.map(str::to_owned), zone: zone.map(str::to_owned) }
    }

    fn store(id: u64, labels: &[(&str, &str)]) -> Store {
        Store {
            id,
            address: format!("shop-tikv-{id}.shop-tikv-peers.orders.svc:20160"),
            state: "Up".to_owned(),
            used: 0,
            regions: 0,
            leaders: 0,
            labels: labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn pd_is_told_what_it_does_not_know_and_nothing_else() {
        let places = [
            place("shop-tikv-1", Some("node-1"), Some("a")),
            place("shop-tikv-2", Some("node-2"), Some("b")),
            place("shop-tikv-3", None, None),
        ];
        let told = store(1, &[("zone", "a"), ("host", "node-1"), ("disk", "ssd")]);
        let moved = next(&places, &[told.clone(), store(2, &[("zone", "b"), ("host", "node-9")])], &[]);
        let labels = [("host", "node-2"), ("zone", "b")].map(|(label, value)| (label.to_owned(), value.to_owned()));
        assert_eq!(moved, Next { levels: true, places: vec![(2, labels.clone().into())], unknown: Vec::new() });
        let levels = LEVELS.map(str::to_owned);
        let known = next(&places, &[told, store(2, &[("zone", "b"), ("host", "node-2")])], &levels);
        assert_eq!(known, Next::default());
    }

    #[test]
    fn one_that_is_gone_is_told_nothing_of_and_a_zone_that_is_not_told_is_missed() {
        let gone = Store { state: "Tombstone".to_owned(), ..store(1, &[]) };
        let levels = LEVELS.map(str::to_owned);
        let places = [place("shop-tikv-1", Some("node-1"), Some("a")), place("shop-tikv-2", Some("node-2"), None)];
        let next = next(&places, &[gone, store(2, &[])], &levels);
        assert_eq!(next, Next { unknown: vec!["shop-tikv-2".to_owned()], ..Next::default() });
    }
}
