//! What an administrator, or the operator, may ask of the coordinator.
//!
//! Each request is safe to send again: asking for what is so already changes nothing.

use ordermill_station::limits;
use ordermill_store::ShardId;

use crate::election::Coordinator;
use crate::map::{Formats, Incarnation, Levelling, Map, Member, State};
use crate::overview::Told;
use crate::plan::{Move, Policy, Reason};
use crate::roster::{Roster, add};
use crate::split;

/// A request to the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Moves all shards away from a member.
    Drain(Incarnation),
    /// Lets nothing new go to a member.
    Cordon(Incarnation),
    /// Lets shards go to a member again: ends its cordon, and a drain that it did not ask for itself.
    Uncordon(Incarnation),
    /// Moves a shard to a member. The numbers of shards stay even: another may move in exchange.
    Move {
        /// Which shard.
        shard: ShardId,
        /// Its new owner.
        to: Incarnation,
    },
    /// Levels loads now, although nobody is overloaded.
    Rebalance,
    /// Changes how much may change by itself; what is not named stays as it is.
    Rebalancing {
        /// What shards move for.
        levelling: Option<Levelling>,
        /// How many at once.
        moves_at_once: Option<u32>,
    },
    /// Splits a shard in two. Rows do not move.
    Split {
        /// Which shard.
        shard: ShardId,
        /// The first slot of the right one; the middle, if none is named.
        at: Option<u16>,
    },
    /// Raises the store's format, if every member can write it. It never goes back.
    RaiseFormat(u32),
}

/// A request was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The map's version in which it holds.
    pub version: u64,
}

/// What a member answers to another that passes a request on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Done; it holds from this version of the map on.
    Done { version: u64 },
    /// It makes no sense as things are.
    Refused(String),
    /// It cannot be done now.
    Unavailable(String),
    /// Somebody else coordinates, or nobody is known to.
    Elsewhere(Option<Coordinator>),
    /// What the coordinator knows.
    Overview(Told),
}

impl Request {
    /// Makes the change in `map`, or says why not.
    pub(crate) fn apply(self, map: &mut Map, roster: &mut Roster, policy: &Policy) -> Result<(), String> {
        match self {
            Self::Drain(member) => {
                known(map, member)?;
                add(&mut map.drains, member);
            }
            Self::Cordon(member) => {
                known(map, member)?;
                add(&mut map.cordons, member);
            }
            Self::Uncordon(member) => {
                known(map, member)?;
                if roster.is_leaving(member) {
                    return Err(format!("{member} is about to stop"));
                }
                map.cordons.retain(|other| *other != member);
                map.drains.retain(|other| *other != member);
            }
            Self::Move { shard, to } => move_shard(map, policy, shard, to)?,
            Self::Rebalance if map.rebalancing.levelling == Levelling::Paused => {
                return Err("rebalancing is paused".to_owned());
            }
            Self::Rebalance => roster.eager = true,
            Self::Rebalancing { levelling, moves_at_once } => rebalancing(map, levelling, moves_at_once)?,
            Self::RaiseFormat(format) => raise_format(map, format)?,
            Self::Split { shard, at } => split::ask_for(map, shard, at)?,
        }
        Ok(())
    }
}

fn known(map: &Map, member: Incarnation) -> Result<(), String> {
    map.member(member).map(drop).ok_or_else(|| format!("there is no member {member}"))
}

fn move_shard(map: &mut Map, policy: &Policy, id: ShardId, to: Incarnation) -> Result<(), String> {
    known(map, to)?;
    let shard = map.shard(id).ok_or_else(|| format!("there is no shard {id}"))?;
    if shard.owner == Some(to) {
        return Ok(());
    }
    if map.is_draining(to) || map.is_cordoned(to) {
        return Err(format!("{to} is cordoned or being drained"));
    }
    if shard.state == State::Moving && policy.is_settling(shard) {
        return Err(format!("shard {id} is on its way to another member"));
    }
    Move { shard: id, from: shard.owner, to: Some(to), reason: Reason::Wanted }.apply(map, policy.age_ms);
    Ok(())
}

fn rebalancing(map: &mut Map, levelling: Option<Levelling>, moves_at_once: Option<u32>) -> Result<(), String> {
    let asked = moves_at_once.map_or(map.rebalancing.moves_at_once, |asked| asked as usize);
    if !(1..=limits::MOVES_AT_ONCE_MAX).contains(&asked) {
        return Err(format!("{asked} moves at once: 1 to {} can be", limits::MOVES_AT_ONCE_MAX));
    }
    map.rebalancing.moves_at_once = asked;
    map.rebalancing.levelling = levelling.unwrap_or(map.rebalancing.levelling);
    Ok(())
}

fn raise_format(map: &mut Map, format: u32) -> Result<(), String> {
    if format < map.format {
        return Err(format!("the store is in format {} already, and never goes back to {format}", map.format));
    }
    let mut older = map.members.iter().filter(|member| !member.formats.contains(format));
    let named: Vec<_> = older.by_ref().take(limits::MEMBERS_NAMED).map(knows).collect();
    if !named.is_empty() {
        let others = match older.count() {
            0 => String::new(),
            more => format!(", and of {more} more"),
        };
        return Err(format!("format {format} is not known to the build of {}{others}", named.join(", of ")));
    }
    map.format = format;
    Ok(())
}

/// Which formats the build of a member knows.
fn knows(member: &Member) -> String {
    let Formats { min, max } = member.formats;
    format!("{} ({}: formats {min} to {max})", member.name, member.incarnation)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::map::Rebalancing;

    const ONE: Incarnation = Incarnation(1);
    const TWO: Incarnation = Incarnation(2);

    fn cluster() -> (Map, Roster, Policy) {
        let member = |incarnation, max| Member {
            incarnation,
            name: "pod".into(),
            address: String::new(),
            formats: Formats { min: 1, max },
        };
        let mut map = Map::alone(4, member(ONE, 1));
        map.members.push(member(TWO, 2));
        (map, Roster::new(1, Duration::ZERO), Policy::at(100_000))
    }

    #[test]
    fn a_request_twice_is_a_request_once() {
        let (mut map, mut roster, policy) = cluster();
        let to = TWO;
        for request in [Request::Drain(ONE), Request::Cordon(ONE), Request::Move { shard: ShardId(1), to }] {
            request.apply(&mut map, &mut roster, &policy).unwrap();
            let once = map.clone();
            request.apply(&mut map, &mut roster, &policy).unwrap();
            assert_eq!(map, once);
        }
        Request::Uncordon(ONE).apply(&mut map, &mut roster, &policy).unwrap();
        assert!(map.drains.is_empty() && map.cordons.is_empty());
        let shard = map.shard(ShardId(1)).unwrap();
        assert_eq!((shard.owner, shard.from, shard.moved_ms), (Some(TWO), Some(ONE), 100_000));
    }

    #[test]
    fn what_is_not_named_stays_and_what_is_paused_is_not_done() {
        let (mut map, mut roster, policy) = cluster();
        let change = |levelling, moves_at_once| Request::Rebalancing { levelling, moves_at_once };
        for request in [change(None, Some(3)), change(Some(Levelling::Paused), None), change(None, None)] {
            request.apply(&mut map, &mut roster, &policy).unwrap();
        }
        let changed = Rebalancing { levelling: Levelling::Paused, moves_at_once: 3 };
        assert_eq!(map.rebalancing, changed);
        for (request, why) in [
            (change(None, Some(0)), "0 moves at once: 1 to 256 can be"),
            (change(Some(Levelling::Load), Some(257)), "257 moves at once: 1 to 256 can be"),
            (Request::Rebalance, "rebalancing is paused"),
        ] {
            assert_eq!(request.apply(&mut map, &mut roster, &policy).unwrap_err(), why);
        }
        assert_eq!((map.rebalancing, roster.eager), (changed, false));
        change(Some(Levelling::Count), None).apply(&mut map, &mut roster, &policy).unwrap();
        Request::Rebalance.apply(&mut map, &mut roster, &policy).unwrap();
        assert!(roster.eager);
    }

    #[test]
    fn whoever_does_not_know_a_format_is_named_unless_there_are_too_many() {
        let (mut map, mut roster, policy) = cluster();
        let (one, two) = (map.members[0].clone(), map.members[1].clone());
        map.members.extend((3..9).map(|number| Member { incarnation: Incarnation(number), ..one.clone() }));
        let refused = Request::RaiseFormat(2).apply(&mut map, &mut roster, &policy).unwrap_err();
        assert!(refused.ends_with("of pod (0000000000000004: formats 1 to 1), and of 4 more"), "{refused}");
        map.members = vec![one, two];
        let refused = Request::RaiseFormat(3).apply(&mut map, &mut roster, &policy).unwrap_err();
        let (first, second) = ("pod (0000000000000001: formats 1 to 1)", "pod (0000000000000002: formats 1 to 2)");
        assert_eq!(refused, format!("format 3 is not known to the build of {first}, of {second}"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let (mut map, mut roster, policy) = cluster();
        map.cordons.push(TWO);
        let before = map.clone();
        let nobody = Incarnation(9);
        for (request, why) in [
            (Request::Drain(nobody), "no member"),
            (Request::Move { shard: ShardId(9), to: ONE }, "no shard"),
            (Request::Move { shard: ShardId(1), to: TWO }, "cordoned"),
            (Request::RaiseFormat(0), "never goes back"),
            (Request::RaiseFormat(2), "format 2 is not known to the build of pod (0000000000000001: formats 1 to 1)"),
        ] {
            let refused = request.apply(&mut map, &mut roster, &policy).unwrap_err();
            assert!(refused.contains(why), "{refused}");
            assert_eq!(map, before);
        }
        map.members.remove(0);
        Request::RaiseFormat(2).apply(&mut map, &mut roster, &policy).unwrap();
        assert_eq!(map.format, 2);
        let raised = map.clone();
        Request::RaiseFormat(2).apply(&mut map, &mut roster, &policy).unwrap();
        assert_eq!(map, raised);
    }
}
