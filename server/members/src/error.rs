//! What a caller can do about a refusal of the members.

use std::time::Duration;

/// Why something about the members did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This build does not know the store's format: another build has to run here.
    #[error("the store is in format {store}; this build reads and writes formats {min} to {max}")]
    Format {
        /// The store's format.
        store: u32,
        /// The oldest format of this build.
        min: u32,
        /// The newest format of this build.
        max: u32,
    },
    /// The store, or the coordinator, cannot be asked now: ask again.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// There is no newer map yet.
    #[error("there is no map newer than version {version} after {} ms", waited.as_millis())]
    NotNewer {
        /// The version that is known.
        version: u64,
        /// How long a newer one was waited for.
        waited: Duration,
    },
    /// The request makes no sense as things are; the text says why.
    #[error("refused: {0}")]
    Refused(String),
    /// What is stored, or was sent, is not what it should be: a human has to decide.
    #[error("corrupt: {0}")]
    Corrupt(String),
}
