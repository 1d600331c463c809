//! The connection to a cluster: made, thrown away and made anew. Decides nothing about what is sent on it.

use std::fmt;
use std::future::Future;

use ordermill_transactional::{Failure, Timestamp};
use parking_lot::RwLock;
use tikv_client::transaction::HeartbeatOption;
use tikv_client::{CheckLevel, TimestampExt as _, Transaction, TransactionClient, TransactionOptions};

use crate::begun::Begun;
use crate::{Config, diagnose, error};

/// A client of one TiKV cluster.
pub struct Client {
    config: Config,
    /// Replaced as a whole: the library forgets neither connections nor regions by itself when a server is
    /// gone, nor a stream of timestamps that has stopped.
    library: RwLock<TransactionClient>,
    pub(crate) begun: Begun,
}

impl Client {
    /// Connects to PD. `Refused` when the configuration can never work, certificates among it; `Unavailable` when PD
    /// does not answer.
    pub async fn connect(config: Config) -> Result<Self, Failure> {
        match open(&config).await {
            Ok(library) => Ok(Self { config, library: RwLock::new(library), begun: Begun::default() }),
            Err(failure) => Err(diagnose::explained(&config, failure).await),
        }
    }

    /// Connects anew and forgets everything else.
    pub(crate) async fn replace(&self) -> Result<(), Failure> {
        let library = open(&self.config).await?;
        *self.library.write() = library;
        self.begun.clear();
        Ok(())
    }

    /// The library's client as it is now.
    pub(crate) fn library(&self) -> TransactionClient {
        self.library.read().clone()
    }

    /// The transaction that began at `start`; from now on nobody else has it.
    pub(crate) fn transaction(&self, start: Timestamp) -> Result<Transaction, Failure> {
        let unknown = || Failure::Unavailable(format!("no transaction that began at {} is left", start.0));
        self.begun.take(start).ok_or_else(unknown)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).field("begun", &self.begun.len()).finish_non_exhaustive()
    }
}

async fn open(config: &Config) -> Result<TransactionClient, Failure> {
    let (endpoints, config) = (config.pd_endpoints.clone(), config.for_client()?);
    run(TransactionClient::new_with_config(endpoints, config)).await
}

/// Runs a call of the library so that its panics, of which there are some, are errors here.
///
/// A caller that stops waiting leaves the call to run to its end: whether a write has been sent could not
/// be told anyway, and the library does not forget look-ups of regions that were broken off.
pub(crate) async fn run<T: Send + 'static>(
    call: impl Future<Output = tikv_client::Result<T>> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::spawn(call).await {
        Ok(answer) => answer.map_err(error::failure),
        Err(error) => Err(Failure::Unavailable(format!("the client library failed: {error}"))),
    }
}

/// How a transaction writes.
///
/// In one phase where one request can hold all of it: the library turns to two phases by itself when the
/// keys lie in several regions. Not with asynchronous commit, whose locks readers do not resolve and whose
/// missing timestamps the library panics on. Without a heartbeat, which would leave a task behind for ten
/// seconds. Without a check that it was used: one that was begun and left has sent nothing.
pub(crate) fn writing() -> TransactionOptions {
    TransactionOptions::new_optimistic()
        .try_one_pc()
        .heartbeat_option(HeartbeatOption::NoHeartbeat)
        .drop_check(CheckLevel::None)
}

/// How a snapshot reads.
pub(crate) fn reading() -> TransactionOptions {
    TransactionOptions::new_optimistic().drop_check(CheckLevel::None)
}

/// A timestamp as the library writes it: milliseconds and a counter.
pub(crate) fn for_library(at: Timestamp) -> tikv_client::Timestamp {
    tikv_client::Timestamp::from_version(at.0)
}

/// A timestamp of the library as one number: the counter in the lowest 18 bits.
pub(crate) fn from_library(at: &tikv_client::Timestamp) -> Timestamp {
    Timestamp(at.version())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_keep_their_milliseconds_and_their_counter() {
        let at = Timestamp((1_767_225_600_123 << 18) | 0x4d);
        let theirs = for_library(at);
        assert_eq!((theirs.physical, theirs.logical), (1_767_225_600_123, 0x4d));
        assert_eq!(theirs.physical as u64, at.physical_ms());
        assert_eq!(from_library(&theirs), at);
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let panicked: Result<(), _> = run(async { panic!("as the library does") }).await;
        assert!(matches!(panicked, Err(Failure::Unavailable(_))), "{panicked:?}");
    }
}
