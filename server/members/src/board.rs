//! The board on which a plan is made: members with their numbers and loads, shards with their owners.
//!
//! Each step does one kind of move until nothing is left to improve or no more moves may be under way.
//! A shard that was moved on the board is not moved again on it.

use ordermill_station::limits;
use ordermill_store::ShardId;

use crate::map::{Incarnation, Map, State};
use crate::plan::{MemberView, Move, Policy, Reason};

/// A living member on the board.
struct Seat {
    incarnation: Incarnation,
    count: usize,
    load: u64,
    draining: bool,
    cordoned: bool,
    overloaded: bool,
}

/// A shard on the board.
struct Piece {
    id: ShardId,
    /// The owner that the map names, alive or not.
    named: Option<Incarnation>,
    /// The owner on the board.
    seat: Option<usize>,
    load: u64,
    /// May leave a member that drains.
    may_leave: bool,
    /// May move to make things even.
    may_move: bool,
    waits: bool,
}

impl Seat {
    /// Whether new shards may go here. Cordoned members take them only when nobody else is left.
    fn takes(&self, cordoned_too: bool) -> bool {
        !self.draining && (cordoned_too || !self.cordoned)
    }
}

pub(crate) struct Board {
    seats: Vec<Seat>,
    pieces: Vec<Piece>,
    /// The pieces of each seat. In no order.
    seated: Vec<Vec<usize>>,
    moves: Vec<Move>,
    /// Moves that may still begin.
    left: usize,
    eager: bool,
    /// Shards of a member that is gone are not served yet by those who own them now.
    taking_over: bool,
}

/// What lowers the highest load most.
struct Gain {
    /// The higher of the two loads afterwards.
    peak: u64,
    hot: usize,
    to: usize,
    cold: Option<usize>,
}

impl Board {
    pub(crate) fn new(map: &Map, members: &[MemberView], policy: &Policy) -> Self {
        let seat = |view: &MemberView| Seat {
            incarnation: view.incarnation,
            count: 0,
            load: 0,
            draining: map.is_draining(view.incarnation),
            cordoned: map.is_cordoned(view.incarnation),
            overloaded: policy.eager
                || view.busy_permille >= policy.overload_busy_permille
                || view.queue_delay >= policy.overload_queue_delay,
        };
        let mut seats: Vec<Seat> = members.iter().map(seat).collect();
        seats.sort_by_key(|seat| seat.incarnation);
        let mut loads: Vec<_> = members.iter().flat_map(|view| &view.shards).map(|one| (one.id, one.load)).collect();
        // The highest of what several members say of a shard that is on its way.
        loads.sort_unstable();
        let load_of = |id: ShardId| match loads.partition_point(|(other, _)| *other <= id).checked_sub(1) {
            Some(at) if loads[at].0 == id => loads[at].1,
            _ => 0,
        };
        let (mut under_way, mut taking_over) = (0, false);
        let mut pieces = Vec::with_capacity(map.shards.len());
        for shard in &map.shards {
            let settling = policy.is_settling(shard);
            let settled = shard.state == State::Settled;
            under_way += usize::from(settling && !settled);
            taking_over |= settling && !settled && shard.from.is_none();
            // A shard that its owner does not serve after the settle time may go elsewhere.
            let stuck = !settled && !settling && shard.moved_ms != 0;
            let seat = shard.owner.and_then(|owner| seats.binary_search_by_key(&owner, |seat| seat.incarnation).ok());
            let piece = Piece {
                id: shard.id,
                named: shard.owner,
                seat,
                load: load_of(shard.id),
                may_leave: settled || stuck,
                may_move: ((settled && !settling) || stuck) && shard.split.is_none(),
                waits: policy.gathering && shard.owner.is_none(),
            };
            if let Some(seat) = seat {
                seats[seat].count += 1;
                seats[seat].load += piece.load;
            }
            pieces.push(piece);
        }
        pieces.sort_by_key(|piece| piece.id);
        let mut seated = vec![Vec::new(); seats.len()];
        for (at, piece) in pieces.iter().enumerate() {
            piece.seat.into_iter().for_each(|seat| seated[seat].push(at));
        }
        let left = policy.rebalancing.moves_at_once.saturating_sub(under_way);
        Self { seats, pieces, seated, moves: Vec::new(), left, eager: policy.eager, taking_over }
    }

    pub(crate) fn into_moves(self) -> Vec<Move> {
        self.moves
    }

    /// The member with the fewest shards among those that take new ones.
    fn taker(&self) -> Option<usize> {
        let fewest = |cordoned_too: bool| {
            let takers = self.seats.iter().enumerate().filter(|(_, seat)| seat.takes(cordoned_too));
            takers.min_by_key(|(_, seat)| (seat.count, seat.load, seat.incarnation)).map(|(at, _)| at)
        };
        fewest(false).or_else(|| fewest(true))
    }

    fn shift(&mut self, piece: usize, to: Option<usize>, reason: Reason) {
        let seat = to.map(|to| self.seats[to].incarnation);
        let one = &mut self.pieces[piece];
        let load = one.load;
        self.moves.push(Move { shard: one.id, from: one.named, to: seat, reason });
        if let Some(from) = one.seat {
            self.seats[from].count -= 1;
            self.seats[from].load -= load;
            self.seated[from].retain(|&at| at != piece);
        }
        one.seat = to;
        (one.may_leave, one.may_move) = (false, false);
        if let Some(to) = to {
            self.seats[to].count += 1;
            self.seats[to].load += load;
            self.seated[to].push(piece);
        }
        self.left = self.left.saturating_sub(1);
    }

    /// Gives every shard whose owner is not alive another one, all at once; says whether there are such, or
    /// were lately.
    pub(crate) fn place(&mut self) -> bool {
        for at in 0..self.pieces.len() {
            let piece = &self.pieces[at];
            if piece.seat.is_some() || piece.waits {
                continue;
            }
            let reason = if piece.named.is_some() { Reason::Gone } else { Reason::Unowned };
            match self.taker() {
                None if piece.named.is_none() => {}
                to => self.shift(at, to, reason),
            }
        }
        self.taking_over || !self.moves.is_empty()
    }

    /// Moves shards away from draining members; says whether none has to wait for its turn.
    pub(crate) fn empty_draining(&mut self) -> bool {
        for at in 0..self.pieces.len() {
            let Some(seat) = self.pieces[at].seat else { continue };
            if !self.seats[seat].draining {
                continue;
            }
            let Some(to) = self.taker() else { return true };
            if self.left == 0 || !self.pieces[at].may_leave {
                return false;
            }
            self.shift(at, Some(to), Reason::Drain);
        }
        true
    }

    /// Moves shards from the members with most of them to the one with fewest, until any two differ by
    /// one at most.
    pub(crate) fn level_counts(&mut self) {
        while self.left > 0 {
            let open = self.seats.iter().enumerate().filter(|(_, seat)| seat.takes(false));
            let Some((to, _)) = open.min_by_key(|(_, seat)| (seat.count, seat.load, seat.incarnation)) else { return };
            let Some(piece) = self.surplus(to) else { return };
            self.shift(piece, Some(to), Reason::Count);
        }
    }

    /// A shard of the member with most shards that can spare one for `to`: the one that makes their loads
    /// most alike.
    fn surplus(&self, to: usize) -> Option<usize> {
        let receiver = &self.seats[to];
        let mut givers: Vec<usize> = (0..self.seats.len()).collect();
        givers.retain(|&at| !self.seats[at].draining && self.seats[at].count >= receiver.count + 2);
        givers.sort_by_key(|&at| {
            let seat = &self.seats[at];
            (std::cmp::Reverse((seat.count, seat.load)), seat.incarnation)
        });
        givers.into_iter().find_map(|from| {
            let ideal = self.seats[from].load.saturating_sub(receiver.load) / 2;
            self.movable(from).min_by_key(|&at| (self.pieces[at].load.abs_diff(ideal), self.pieces[at].id))
        })
    }

    fn movable(&self, seat: usize) -> impl Iterator<Item = usize> {
        self.seated[seat].iter().copied().filter(|&at| self.pieces[at].may_move)
    }

    /// The movable pieces of a seat, by load and number.
    fn by_load(&self, seat: usize) -> Vec<(u64, ShardId, usize)> {
        let mut pieces: Vec<_> = self.movable(seat).map(|at| (self.pieces[at].load, self.pieces[at].id, at)).collect();
        pieces.sort_unstable();
        pieces
    }

    /// Takes load off the most loaded member, if it is overloaded and that helps enough.
    pub(crate) fn level_loads(&mut self) {
        while self.left > 0 {
            let Some(gain) = self.best_gain() else { return };
            let Some(from) = self.pieces[gain.hot].seat else { return };
            self.shift(gain.hot, Some(gain.to), Reason::Load);
            if let Some(cold) = gain.cold {
                self.shift(cold, Some(from), Reason::Load);
            }
        }
    }

    /// What takes enough off one of the highest loads: off the highest if that can be, for one hot shard may be all of it.
    fn best_gain(&self) -> Option<Gain> {
        let staying = || self.seats.iter().enumerate().filter(|(_, seat)| !seat.draining);
        let total: u64 = staying().map(|(_, seat)| seat.load).sum();
        let mean = total / staying().count().max(1) as u64;
        let spread = if self.eager { 100 } else { limits::LOAD_SPREAD_PERCENT };
        let mut givers: Vec<(u64, usize)> = staying()
            .filter(|(_, seat)| seat.overloaded && seat.load * 100 > mean * spread)
            .map(|(at, seat)| (seat.load, at))
            .collect();
        givers.sort_unstable_by_key(|&(load, at)| (std::cmp::Reverse(load), at));
        givers.truncate(limits::LEVELLED_AT_ONCE);
        if givers.is_empty() {
            return None;
        }
        let colds: Vec<_> = (0..self.seats.len()).map(|seat| self.by_load(seat)).collect();
        givers.into_iter().find_map(|(load, from)| {
            let gains = self.movable(from).flat_map(|hot| self.gains_of(from, hot, &colds));
            let best = gains.min_by_key(|gain| {
                let cold = gain.cold.map(|cold| self.pieces[cold].id);
                (gain.peak, cold, self.pieces[gain.hot].id, self.seats[gain.to].incarnation)
            })?;
            (best.peak * 100 <= load * (100 - limits::LOAD_GAIN_PERCENT)).then_some(best)
        })
    }

    /// What comes of moving `hot` away from `from`, alone or in exchange for one of `colds`: to each member the
    /// best of both.
    fn gains_of(&self, from: usize, hot: usize, colds: &[Vec<(u64, ShardId, usize)>]) -> Vec<Gain> {
        let (giver, heat) = (&self.seats[from], self.pieces[hot].load);
        let mut gains = Vec::new();
        for (to, receiver) in self.seats.iter().enumerate() {
            if to == from || !receiver.takes(false) {
                continue;
            }
            // Alone only if the numbers stay as even as they are.
            if giver.count > receiver.count {
                gains.push(Gain { peak: (giver.load - heat).max(receiver.load + heat), hot, to, cold: None });
            }
            if self.left < 2 || !giver.takes(false) {
                continue;
            }
            // The more comes back, the less is left to the other: the best is beside where both are alike.
            let alike = (receiver.load + 2 * heat).saturating_sub(giver.load) / 2;
            let above = colds[to].partition_point(|(chill, ..)| *chill <= alike);
            let at_most = above.checked_sub(1).map(|last| colds[to].partition_point(|cold| cold.0 < colds[to][last].0));
            for place in at_most.into_iter().chain((above < colds[to].len()).then_some(above)) {
                let (chill, _, cold) = colds[to][place];
                let peak = (giver.load - heat + chill).max(receiver.load + heat - chill);
                gains.push(Gain { peak, hot, to, cold: Some(cold) });
            }
        }
        gains
    }
}
