//! The election of one member, look by look.

use super::*;

const ME: Incarnation = Incarnation(1);
const OTHER: Incarnation = Incarnation(2);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn place(term: u64, incarnation: Option<Incarnation>, beat: u64) -> Option<Bytes> {
    Some(Place { term, incarnation, address: "b:1".into(), beat }.encode())
}

fn member() -> Election {
    Election::new(ME, "a:1".into())
}

/// A look that takes 10 ms.
fn look(election: &mut Election, at: u64, value: Option<Bytes>) -> Step {
    election.looked(ms(at), ms(at + 10), value, true).unwrap()
}

#[test]
fn a_place_that_nobody_has_is_claimed_at_once() {
    let mut election = member();
    let Step::Claim(claim) = look(&mut election, 0, None) else { panic!("nobody coordinates") };
    assert_eq!((claim.expected.clone(), claim.term, claim.silent), (None, 1, None));
    election.claimed(ms(20), claim);
    assert_eq!(election.term(), Some(1));
    let mut election = member();
    let Step::Claim(claim) = look(&mut election, 0, place(7, None, 3)) else { panic!("the place was left") };
    assert_eq!((claim.term, claim.silent), (8, None));
}

#[test]
fn a_coordinator_is_silent_only_after_the_full_time() {
    let mut election = member();
    let stands = place(3, Some(OTHER), 9);
    assert_eq!(look(&mut election, 0, stands.clone()), Step::Follow);
    for at in [200, 400, 600, 800, 1_000] {
        assert_eq!(look(&mut election, at, stands.clone()), Step::Follow, "at {at} ms");
    }
    let Step::Claim(claim) = look(&mut election, 1_200, stands.clone()) else { panic!("silent for 1,190 ms") };
    assert_eq!((claim.expected.clone(), claim.term, claim.silent), (stands, 4, Some(OTHER)));
    election.claimed(ms(1_210), claim);
    assert_eq!((election.term(), election.silent()), (Some(4), Some(OTHER)));
}

#[test]
fn a_renewal_or_a_failed_look_begins_the_time_anew() {
    let mut election = member();
    (0..5).for_each(|n| assert_eq!(look(&mut election, n * 200, place(3, Some(OTHER), 9)), Step::Follow));
    (5..10).for_each(|n| assert_eq!(look(&mut election, n * 200, place(3, Some(OTHER), 10)), Step::Follow));
    election.failed();
    for at in [2_000, 2_200, 2_400, 2_600, 2_800] {
        assert_eq!(look(&mut election, at, place(3, Some(OTHER), 10)), Step::Follow, "at {at} ms");
    }
    assert!(matches!(look(&mut election, 3_000, place(3, Some(OTHER), 10)), Step::Claim(_)));
}

#[test]
fn a_member_that_stood_still_has_heard_no_silence() {
    let mut election = member();
    look(&mut election, 0, place(3, Some(OTHER), 9));
    assert_eq!(look(&mut election, 60_000, place(3, Some(OTHER), 9)), Step::Follow);
}

#[test]
fn who_leaves_lets_others_go_first() {
    let mut election = member();
    let mut at = |at, value| election.looked(ms(at), ms(at), value, false).unwrap();
    for n in 0..10 {
        assert_eq!(at(n * 200, place(3, None, 9)), Step::Follow);
    }
    assert!(matches!(at(2_000, place(3, None, 9)), Step::Claim(_)), "but does not wait for ever");
}

fn coordinating() -> Election {
    let mut election = member();
    let Step::Claim(claim) = look(&mut election, 0, None) else { panic!("nobody coordinates") };
    election.claimed(ms(10), claim);
    election
}

#[test]
fn a_refused_renewal_ends_it_unless_the_place_is_still_mine() {
    let mut election = coordinating();
    let (expected, new) = election.renewal().unwrap();
    assert_ne!(expected, new);
    assert_eq!(election.renewal(), None, "what the store holds is uncertain");
    assert_eq!(look(&mut election, 300, Some(new.clone())), Step::Renew, "the renewal had landed");
    assert_eq!(election.renewal().map(|(expected, _)| expected), Some(new));
    assert_eq!(look(&mut election, 600, place(2, Some(OTHER), 1)), Step::Follow);
    assert_eq!((election.term(), election.coordinator().map(|known| known.incarnation)), (None, Some(OTHER)));
}

#[test]
fn a_coordinator_without_the_store_steps_down_and_may_come_back() {
    let mut election = coordinating();
    let (expected, _) = election.renewal().unwrap();
    assert!(!election.lapse(ms(1_009)));
    assert!(election.lapse(ms(1_010)));
    assert_eq!((election.term(), election.coordinator()), (None, None));
    // Nobody has taken the place meanwhile.
    assert_eq!(look(&mut election, 5_000, Some(expected)), Step::Begin);
    assert_eq!((election.term(), election.silent()), (Some(1), None));
}

#[test]
fn who_hears_of_a_later_term_steps_down() {
    let mut election = coordinating();
    election.heard_of(1);
    assert_eq!(election.term(), Some(1));
    election.heard_of(2);
    assert_eq!(election.term(), None);
    let mut election = coordinating();
    assert!(election.learn(Coordinator { term: 2, incarnation: OTHER, address: "b:1".into() }));
    assert_eq!(election.term(), None);
    assert!(!election.learn(Coordinator { term: 1, incarnation: ME, address: "a:1".into() }), "old news");
}

#[test]
fn a_claim_whose_answer_was_lost_counts_when_it_is_seen() {
    let mut election = member();
    let stands = place(3, Some(OTHER), 9);
    (0..6).for_each(|n| drop(look(&mut election, n * 200, stands.clone())));
    let Step::Claim(claim) = look(&mut election, 1_200, stands) else { panic!("silent") };
    election.failed();
    assert_eq!(look(&mut election, 1_400, Some(claim.new)), Step::Begin);
    assert_eq!((election.term(), election.silent()), (Some(4), Some(OTHER)));
}

#[test]
fn a_coordinator_that_leaves_says_so() {
    let mut election = coordinating();
    let (_, left) = election.resign().unwrap();
    let left = Place::decode(&left).unwrap();
    assert_eq!((left.term, left.incarnation, election.term()), (1, None, None));
}
