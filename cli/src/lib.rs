//! What `orderctl` is made of: the calls of the HTTP API, the bulk import, the audit and what is
//! printed. The binary is thin over it, and black-box tests may call it with a server's URL.
//!
//! Knows the API's words and nothing of the engine behind it.

pub mod args;
pub mod audit;
pub mod capacity;
pub mod client;
pub mod commands;
pub mod feed;
pub mod import;
pub mod money;
pub mod output;
pub mod pattern;
pub mod progress;
pub mod stock;
