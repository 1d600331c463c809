//! What a server says of itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the server lives, or is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or why not: `recovering`, `draining`, `stopped`. A full disk is `ok`: reads go on.
    pub status: String,
}

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerInfo {
    /// The build's version.
    pub version: String,
    /// Shards served.
    pub shards: u32,
}
