//! Customers, a warehouse and an import at work over HTTP, while the server comes and goes.
//!
//! Whatever is not acknowledged is sent again under the same key until it is. What is acknowledged
//! is entered in the [`Books`]. Where every answer counts, and not only what must not be lost, [`recorded`] is the load.

mod books;
mod outages;
pub mod recorded;
mod writer;

use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::sync::{RwLock, Semaphore, watch};
use tokio::task::JoinHandle;

pub use books::Books;
pub use outages::{Before, Outages};
use writer::{Importer, Writer};

use crate::process::{Http, in_time};

/// How many items there are.
const ITEMS: usize = 16;
/// Pieces of work that are left to do when enough has been acknowledged: a kill comes in the midst.
const MORE_THAN_ENOUGH: usize = 100;

fn sku(index: usize) -> String {
    format!("sku-{index:02}")
}

/// What all writers share.
#[derive(Clone, Debug)]
struct Shared {
    http: Http,
    books: Arc<Mutex<Books>>,
    /// Pieces of work that have been acknowledged.
    acknowledged: watch::Sender<u64>,
    /// Pieces of work that may be begun; closed when no more shall be.
    allowed: Arc<Semaphore>,
    /// Held for reading during every piece of work.
    work: Arc<RwLock<()>>,
}

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    shared: Shared,
    acknowledged: watch::Receiver<u64>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Creates the items and sets `customers` to work, and an import beside them.
    pub async fn start(http: Http, customers: usize, seed: u64) -> Self {
        let mut books = Books::default();
        for index in 0..ITEMS {
            // Of some there is plenty, some run out, and some may be waited for.
            let on_hand = [20_000, 500, 200][index % 3];
            let body = json!({"on_hand": on_hand, "backorder": index % 3 == 2});
            http.put(&format!("/v1/items/{}", sku(index)), &body).await.expect(201);
            books.received(&sku(index), on_hand);
        }
        let (acknowledged, count) = watch::channel(0);
        let books = Arc::new(Mutex::new(books));
        let allowed = Arc::new(Semaphore::new(0));
        let shared = Shared { http, books, acknowledged, allowed, work: Arc::default() };
        let mut seeds = StdRng::seed_from_u64(seed);
        let mut writers: Vec<_> = (0..customers)
            .map(|number| tokio::spawn(Writer::new(shared.clone(), number, seeds.random()).run()))
            .collect();
        writers.push(tokio::spawn(Importer::new(shared.clone(), seeds.random()).run()));
        Self { shared, acknowledged: count, writers }
    }

    /// How many pieces of work have been acknowledged.
    pub fn acknowledged(&self) -> u64 {
        *self.acknowledged.borrow()
    }

    /// Waits until so many more pieces of work have been acknowledged. Others are under way then.
    ///
    /// # Panics
    ///
    /// When a writer has failed.
    pub async fn more(&self, count: u64) {
        assert!(!self.writers.iter().any(JoinHandle::is_finished), "a writer has failed: see above");
        let left = self.shared.allowed.available_permits();
        self.shared.allowed.add_permits((count as usize + MORE_THAN_ENOUGH).saturating_sub(left));
        let mut acknowledged = self.acknowledged.clone();
        let target = *acknowledged.borrow() + count;
        let reached = acknowledged.wait_for(|count| *count >= target);
        in_time("more acknowledgements", reached).await.expect("the writers are at work");
    }

    /// What has been acknowledged up to now.
    pub fn books(&self) -> Books {
        self.shared.books.lock().clone()
    }

    /// Does something while no request is under way.
    pub async fn at_rest<T>(&self, work: impl Future<Output = T>) -> T {
        let _rest = in_time("a moment of rest", self.shared.work.write()).await;
        work.await
    }

    /// Lets every writer finish what it has begun; returns the books.
    ///
    /// # Panics
    ///
    /// When a writer did.
    pub async fn finish(self) -> Books {
        self.shared.allowed.close();
        for writer in self.writers {
            in_time("a writer's end", writer).await.expect("no writer has failed");
        }
        self.shared.books.lock().clone()
    }
}
