//! TiKV as the [`Service`](ordermill_transactional::Service) under a store that several processes share.
//!
//! The only crate that names `tikv_client`. It calls, and translates what comes back; it never tries
//! again, never waits for a time to pass, and believes no answer more than the trait promises.
//!
//! What is known of tikv-client 0.4.0, and shown in `tests/tests/tikv_service`: a commit whose look-up
//! of a region fails sends nothing and answers `Ok`. Reads report such a failure, all of them: the error
//! is lost only where a request is cut into batches, which is done for prewrite and commit.

mod begun;
mod client;
mod config;
mod diagnose;
mod error;
mod service;
mod value;

pub use client::Client;
pub use config::{Config, Tls};
