//! Black-box tests of the engine live in `tests/`.

pub mod cluster;
pub mod conformance;
pub mod disk;
pub mod engine;
pub mod load;
pub mod members;
pub mod network;
pub mod process;
pub mod retail;
pub mod tls;
pub mod watched;

/// The seed of a test that draws lots: that of `ORDERMILL_SEED`, else a fresh one. Print it.
pub fn seed() -> u64 {
    let given = std::env::var_os("ORDERMILL_SEED").and_then(|seed| seed.to_str()?.parse().ok());
    given.unwrap_or_else(rand::random)
}
