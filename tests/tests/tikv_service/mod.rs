//! The service that a shared store stands on, as it is: TiKV's client on a real PD and a real store.
//!
//! Every method does what the trait says, and where the client does worse than one would think, a test
//! says so: whoever builds on it must not believe more.

mod faults;
mod locks;
mod reads;
mod writes;

use std::ops::Deref;

use bytes::Bytes;
use ordermill_tests::cluster::{self, Cluster, Shared};
use ordermill_tikv::Client;
use ordermill_transactional::{Failure, Mutation, Service as _, Timestamp};

/// A client of a cluster, and keys that no other test has.
struct Room {
    client: Client,
    prefix: String,
    cluster: Place,
}

/// Which cluster a test is on.
enum Place {
    Shared(Shared),
    Own(Box<Cluster>),
}

impl Deref for Place {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        match self {
            Self::Shared(cluster) => cluster,
            Self::Own(cluster) => cluster,
        }
    }
}

impl Room {
    async fn new() -> Self {
        Self::on(Place::Shared(cluster::shared().await)).await
    }

    /// On a cluster of its own, for a test that ends transactions: the store for tests looks for locks in
    /// whole regions, whatever range it is asked for.
    async fn alone() -> Self {
        Self::on(Place::Own(Box::new(Cluster::start().await))).await
    }

    async fn on(cluster: Place) -> Self {
        Self { client: cluster.client().await, prefix: prefix(), cluster }
    }

    /// A key of this test. The store for tests begins with regions that end at `m`, `n`, `t` and `u`:
    /// keys with other first letters lie in other ones.
    fn key_at(&self, first: char, name: &str) -> Bytes {
        format!("{first}{}{name}", self.prefix).into()
    }

    fn key(&self, name: &str) -> Bytes {
        self.key_at('k', name)
    }

    /// The same key in each of five regions, in their order.
    fn keys_everywhere(&self, name: &str) -> Vec<Bytes> {
        ['a', 'm', 'n', 't', 'v'].map(|first| self.key_at(first, name)).into()
    }
}

/// Something that no other test's keys begin with, in this run or an earlier one.
fn prefix() -> String {
    format!("-{:016x}-", rand::random::<u64>())
}

fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Writes in a transaction that begins now.
async fn put(client: &Client, mutations: Vec<Mutation>) -> Result<(), Failure> {
    let start = client.begin().await?;
    client.write(start, mutations).await
}

/// Inserts in a transaction that begins now.
async fn insert(client: &Client, key: &Bytes, text: &str) -> Result<(), Failure> {
    let start = client.begin().await?;
    client.insert(start, key.clone(), value(text)).await
}

/// What `key` holds now.
async fn now(client: &Client, key: &Bytes) -> Result<Option<Bytes>, Failure> {
    let at = client.timestamp().await?;
    client.get(at, key.clone()).await
}

/// The timestamp of this moment.
async fn timestamp(client: &Client) -> Timestamp {
    client.timestamp().await.expect("PD answers")
}

/// The start of a transaction of this moment.
async fn begin(client: &Client) -> Timestamp {
    client.begin().await.expect("PD answers")
}
