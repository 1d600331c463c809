//! HTTP in, HTTP out: parses, validates, asks admission and the router, maps what comes back.
//!
//! The only crate that names axum. Decides nothing about orders and stores nothing; every answer
//! that is not a success is a problem of RFC 9457 with one of the types in `docs/errors/`.

mod answer;
mod app;
mod backend;
mod body;
mod call;
mod cluster;
mod config;
mod convert;
mod events;
mod headers;
mod import;
mod items;
mod measure;
mod openapi;
mod orders;
mod path;
mod problem;
mod query;
mod server;
mod site;
mod steps;
mod tenants;
mod tls;
mod view;
mod wire;

pub use backend::Backend;
pub use config::{Config, RenderMetrics};
pub use openapi::openapi_json;
pub use server::serve;
pub use tenants::Tenants;
pub use tls::Tls;

#[cfg(test)]
mod tests;
