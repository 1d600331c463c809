//! Black-box tests of the engine live in `tests/`.

pub mod conformance;
pub mod engine;
