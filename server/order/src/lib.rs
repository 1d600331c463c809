//! The order state machine: commands and rows in, changed rows, events and messages out.
//!
//! Pure: never reads a clock, never draws a random number, does no IO, logs nothing, and iterates
//! over no hash map. Time, identities and rows come in as inputs. Knows nothing of journals,
//! shards' tasks or HTTP; knows slots only to tell whether a message is needed.

pub mod command;
mod create;
mod credit;
pub mod hold;
pub mod id;
pub mod item;
pub mod machine;
pub mod memory;
pub mod order;
pub mod payment;
pub mod rows;
mod settle;
mod steps;
mod stock;

pub use command::{Action, Command, Halt, IdempotencyKey, NewLine, NewOrder, Outcome, Refusal, Step};
pub use id::{OrderId, Partition, SlotRange};
pub use item::Item;
pub use machine::{Context, apply, preview};
pub use order::{Line, Order, Reason, Reservation, Status};
pub use rows::{Event, Missing, Rows};

#[cfg(test)]
mod tests;
