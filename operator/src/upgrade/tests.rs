//! Upgrades over a world of three members, carried out as Kubernetes does.

use super::*;

/// With more at once, the first one still goes alone, and never more than so many are away.
#[test]
fn several_at_once_after_the_first() {
    let mut world = World::new(6);
    world.at_once = 2;
    world.step("two");
    assert_eq!((world.step("two").step, world.fresh("two")), (Step::Canary, 1));
    let several = world.step("two");
    assert_eq!((several.partition, several.why.as_str()), (3, "pods 3 to 4 are replaced"));
    let rest = world.decide("two");
    assert_eq!(
        (rest.partition, rest.delete.as_slice()),
        (3, &["shop-3".to_owned()][..]),
        "the other one Kubernetes has"
    );
    world.carry_out("two", &rest);
    assert_eq!(world.fresh("two"), 3);
    for _ in 0..6 {
        world.step("two");
    }
    assert_eq!(world.fresh("two"), 6);
}

fn strategy() -> Strategy {
    Strategy { watch_seconds: 60, deadline_seconds: 300, ..Strategy::default() }
}

/// Three members that run what they should, before anything new.
struct World {
    set: Set,
    pods: Vec<Pod>,
    work: Vec<Work>,
    refused: Option<(String, String)>,
    unrest: Option<&'static str>,
    at_once: u32,
}

impl World {
    fn new(replicas: i32) -> Self {
        let set = Set {
            replicas,
            template: "one".to_owned(),
            seen: true,
            partition: 0,
            current: "one".to_owned(),
            update: "one".to_owned(),
        };
        let mut world = Self { set, pods: Vec::new(), work: Vec::new(), refused: None, unrest: None, at_once: 1 };
        for ordinal in 0..replicas {
            world.start(ordinal, "one");
        }
        world
    }

    fn start(&mut self, ordinal: i32, revision: &str) {
        let name = format!("shop-{ordinal}");
        self.pods.retain(|pod| pod.ordinal != ordinal);
        self.work.retain(|work| work.pod != name);
        self.work.push(Work {
            pod: name.clone(),
            answered: 1_000,
            failed: 1,
            refused: 0,
            appends: 0,
            append_us: 0,
            waits: 1_000,
            wait_us: 2_000_000,
        });
        let pod = Pod {
            name,
            ordinal,
            revision: revision.to_owned(),
            ready: true,
            seconds: 1_000,
            stuck: None,
            stopping: false,
            tls: false,
        };
        self.pods.push(pod);
        self.pods.sort_by_key(|pod| pod.ordinal);
    }

    fn decide(&self, wanted: &str) -> Decision {
        next(&Facts {
            set: Some(&self.set),
            wanted,
            replicas: self.set.replicas,
            pods: &self.pods,
            work: &self.work,
            unrest: self.unrest,
            refused: self.refused.as_ref().map(|(template, why)| (template.as_str(), why.as_str())),
            strategy: &Strategy { max_unavailable: self.at_once, ..strategy() },
        })
    }

    /// What the operator writes, and what Kubernetes then does at once.
    fn carry_out(&mut self, wanted: &str, decision: &Decision) {
        if self.set.template != wanted {
            (self.set.template, self.set.update) = (wanted.to_owned(), wanted.to_owned());
        }
        self.set.partition = decision.partition;
        if decision.refuse {
            self.refused = Some((wanted.to_owned(), decision.why.clone()));
        }
        for name in &decision.delete {
            let ordinal = self.pods.iter().find(|pod| pod.name == *name).unwrap().ordinal;
            let revision =
                if ordinal < self.set.partition { self.set.current.clone() } else { self.set.update.clone() };
            self.start(ordinal, &revision);
        }
        // One after the other, from the last on.
        let old = |pod: &&Pod| pod.ordinal >= self.set.partition && pod.revision != self.set.update;
        if let Some(ordinal) = self.pods.iter().rev().find(old).map(|pod| pod.ordinal) {
            let update = self.set.update.clone();
            self.start(ordinal, &update);
        }
        if self.pods.iter().all(|pod| pod.revision == self.set.update && pod.ready) {
            self.set.current = self.set.update.clone();
        }
    }

    fn step(&mut self, wanted: &str) -> Decision {
        let decision = self.decide(wanted);
        self.carry_out(wanted, &decision);
        decision
    }

    fn fresh(&self, revision: &str) -> usize {
        self.pods.iter().filter(|pod| pod.revision == revision).count()
    }

    fn revisions(&self) -> Vec<&str> {
        self.pods.iter().map(|pod| pod.revision.as_str()).collect()
    }
}

#[test]
fn preflight_canary_the_others_and_done() {
    let mut world = World::new(3);
    assert_eq!(world.step("one"), Decision::new(Step::None, 0, ""));
    assert_eq!((world.step("two").step, world.revisions()), (Step::Preflight, vec!["one"; 3]));
    world.unrest = Some("2 shards are on their way");
    let waits = world.step("two");
    assert_eq!((waits.step, waits.why.as_str()), (Step::Preflight, "2 shards are on their way"));
    world.unrest = None;
    assert_eq!((world.step("two").step, world.revisions()), (Step::Canary, vec!["one", "one", "two"]));
    world.pods[2].seconds = 59;
    assert_eq!(world.step("two").why, "shop-2 is watched for 60 s");
    world.pods[2].seconds = 60;
    assert_eq!((world.step("two").step, world.revisions()), (Step::Rolling, vec!["one", "two", "two"]));
    (world.pods[1].ready, world.pods[1].seconds) = (false, 9);
    assert_eq!(world.step("two").why, "shop-1 does not serve yet");
    (world.pods[1].ready, world.pods[1].seconds) = (true, 9);
    assert_eq!((world.step("two").step, world.revisions()), (Step::Rolling, vec!["two"; 3]));
    assert_eq!(world.step("two"), Decision::new(Step::None, 0, ""));
}

#[test]
fn a_bad_image_is_taken_back_and_touches_no_other() {
    for replicas in [1, 3] {
        let mut world = World::new(replicas);
        world.step("two");
        world.step("two");
        let last = replicas as usize - 1;
        world.set.current = "one".to_owned();
        world.pods[last] = Pod { ready: false, stuck: Some("ImagePullBackOff".to_owned()), ..world.pods[last].clone() };
        let decision = world.step("two");
        assert!(decision.refuse && decision.why.contains("ImagePullBackOff"), "{decision:?}");
        assert_eq!((decision.step, decision.delete.as_slice()), (Step::RollingBack, &[format!("shop-{last}")][..]));
        assert_eq!(world.revisions(), vec!["one"; replicas as usize]);
        let done = world.step("two");
        assert_eq!((done.step, done.partition), (Step::RolledBack, replicas), "{done:?}");
        assert_eq!(world.step("two"), done, "it stays so");
        // Another spec is another attempt.
        assert_eq!(world.step("three").step, Step::Preflight);
    }
}

#[test]
fn what_gets_worse_is_taken_back_one_after_the_other() {
    let worse: [fn(&mut Work); 2] = [|work| work.failed = 50, |work| work.wait_us = 900_000_000];
    for spoil in worse {
        let mut world = World::new(3);
        for _ in 0..3 {
            world.step("two");
        }
        assert_eq!(world.revisions(), ["one", "two", "two"]);
        let name = "shop-1";
        spoil(world.work.iter_mut().find(|work| work.pod == name).unwrap());
        assert!(world.step("two").refuse);
        assert_eq!(world.revisions().iter().filter(|revision| **revision == "two").count(), 1);
        world.step("two");
        assert_eq!((world.step("two").step, world.revisions()), (Step::RolledBack, vec!["one"; 3]));
    }
}

#[test]
fn what_commands_wait_while_shards_come_is_not_held_against_a_pod() {
    for (waits, seconds, refused) in [(1_000, 2, false), (5, 100, false), (1_000, 100, true)] {
        let mut world = World::new(3);
        world.step("two");
        world.step("two");
        world.pods.iter_mut().find(|pod| pod.name == "shop-2").unwrap().seconds = seconds;
        let work = world.work.iter_mut().find(|work| work.pod == "shop-2").unwrap();
        (work.waits, work.wait_us) = (waits, waits * 700_000);
        assert_eq!(world.step("two").refuse, refused, "{waits} commands after {seconds} s");
    }
}

#[test]
fn without_measurements_it_waits_and_where_nobody_serves_it_does_not() {
    let mut world = World::new(3);
    world.step("two");
    world.step("two");
    world.work.retain(|work| work.pod != "shop-2");
    assert_eq!(world.step("two").why, "shop-2 does not tell its measurements");
    let mut world = World::new(3);
    world.pods.iter_mut().for_each(|pod| (pod.ready, pod.seconds) = (false, 29));
    world.step("two");
    assert_eq!(world.decide("two").partition, 3, "they may all be late for once");
    world.pods.iter_mut().for_each(|pod| pod.seconds = 30);
    assert_eq!(world.decide("two").partition, 0);
}

/// An operator that is started again knows nothing but what is there: every decision is made from that alone, so
/// whatever was carried out of one, or not, the next leads on to the same end.
#[test]
fn it_goes_on_from_every_step_that_was_carried_out_or_not() {
    for lost in 0..64_u32 {
        let mut world = World::new(3);
        for step in 0..40 {
            let decision = world.decide("two");
            if step >= 6 || lost & (1 << step) == 0 {
                world.carry_out("two", &decision);
            }
            let serving = world.pods.iter().filter(|pod| pod.ready).count();
            assert!(serving >= 2);
        }
        assert_eq!(world.revisions(), vec!["two"; 3], "{lost:b}");
    }
}
