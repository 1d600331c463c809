//! The journal protocol on TiKV as a model whose every state is checked: that its rules are enough, and that each is
//! needed.
//!
//! It is one shard: a journal, a guard, a trim mark, some rows; members that take it over, append, flush and read; and
//! requests on their way, which land now, later or never. A pause is any number of other steps in between, so every
//! pause is covered. The walk is bounded by how much there is ([`bounds`]: members, takeovers, commands), never by how
//! far it goes. It models the rules, not the code: no store is opened here, and no time passes.
//!
//! | rule | in the model |
//! |---|---|
//! | 1. An append is one insert that must not exist | `journal`: an insert lands only where the key shows nothing; one that was sent before a record landed is refused for good, by the record or its tombstone |
//! | 2. A takeover is an insert; guard, mark and replay come after it | `takeover`: `Begin`, `ReadBack`, `Raise`, `Replay`; a `snapshot` shows what was there at its timestamp and *any* of what landed since, so also number n+1 without n |
//! | 2. A reader that meets a gap reads again | `read::Follow` |
//! | 3. Nothing is believed without evidence | `append`: every answer may come whatever the store did; what is believed is the number read back, compared by member and batch |
//! | 4. The trim mark comes first; an old append looks at it | `store::TrimMark`, `store::Delete`; `append::ReadBack { fresh }` and `ReadTrimMark` |
//! | 5. A flush reads the guard at the timestamp of its puts | `flush`: puts keep the order of their timestamps; one that lands ends all older ones; `Mark` is one transaction with the guard |
//! | 6. A read needs a proof of the tail begun after it arrived | `read`: `Look`, or an append sent after `Arrive` |
//! | A split ends a journal by a guard that nobody can have | `seal`: `Send` once all is flushed, `Land` only on the guard that was read; the children `Begin` when it is seen |
//! | 7. Locks are cleaned up, 8. calls have a bound | not modelled: they end a wait, and no promise here is about waiting |
//!
//! Where a rule can be read in two ways, the model holds the reading that is enough, and [`fault::Fault`] the other:
//!
//! - The age of an append (rule 4) counts from a moment at which its number was surely free: when the append before
//!   it, or the fence, was *sent*. Neither its own timestamp nor the moment at which the last success was *noticed*
//!   will do (`AgeFromTimestamp`, `AgeFromLastSuccess`).
//! - A look that finds the next number absent (rule 6) reads the trim mark too, after the look, when it is as old as
//!   that (`LookWithoutTrimMark`).
//! - An old append that finds its number trimmed, or another's record there, stops; but whether it was written is
//!   unknown: a newer owner may have taken it over before it was trimmed (`OldIsNotWritten`).
//! - A fence does not count if the guard's mark has reached its number: the number was used and trimmed
//!   (`FenceBehindMark`).
//! - Only a gap below the own fence, met while the guard is still one's own, is corrupt (`GapAboveIsCorrupt`,
//!   `GapBelowIsCorrupt`).
//! - The trim mark only rises (`TrimMarkFalls`), and a reader of the journal reads it in the snapshot in which it reads
//!   the records (`FollowPastTrimMark`): what landed on a tombstone looks like a record.
//! - A row must not be read back equal to an older one: rows carry the number of their record, and for a deleted row
//!   the number of its slot's last flush stands, which older puts meet as they would meet the row
//!   (`RowsWithoutNumber`).
//! - Whoever ends a journal stops when that is sent, and not when it is answered (`SealerGoesOn`); and children begin
//!   when the guard is seen sealed, and not when that was asked for (`BeginUnsealed`).
//!
//! Taken for granted: an old put or insert still meets the newer commit or the tombstone, that is, garbage collection
//! lags behind every request that may still land; and records stay untrimmed for longer than an append may stay fresh.

mod append;
pub mod bounds;
pub mod fault;
mod flush;
mod journal;
pub mod properties;
mod protocol;
mod read;
mod seal;
mod snapshot;
mod state;
mod store;
mod takeover;

pub use protocol::{Action, Protocol};
pub use state::State;

/// A member of the cluster: an incarnation, not a name.
pub type MemberId = u8;

/// A number of the journal; the first is 1, 0 means none.
pub type Number = u8;
