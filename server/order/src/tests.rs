//! The state machine under any sequence of commands, in one shard and in several that only speak
//! by messages which come late, twice and in any order.

mod properties;
mod steps;
mod table;
mod world;
