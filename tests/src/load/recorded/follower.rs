//! One client that follows the event feed from its beginning to its end, at whichever server.

use std::sync::Arc;
use std::time::Duration;

use ordermill_api::EventPage;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use tokio::time::timeout;

use super::Shared;
use super::seen::event_of;

/// Longest wait for a page.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two pages, milliseconds.
const REST_MS: std::ops::Range<u64> = 50..500;
/// Most events of a page.
const PAGE_MAX: usize = 200;

/// A client of the feed.
pub(super) struct Follower {
    shared: Arc<Shared>,
    random: StdRng,
    cursor: String,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, seed: u64) -> Self {
        Self { shared, random: StdRng::seed_from_u64(seed), cursor: String::new() }
    }

    /// Follows until everybody stops.
    pub(super) async fn run(mut self) -> Self {
        loop {
            let rest = Duration::from_millis(self.random.random_range(REST_MS));
            if self.shared.rest(rest).await {
                return self;
            }
            let size = self.random.random_range(1..=PAGE_MAX);
            // Whoever does not answer is asked again, or another one.
            let _ = self.read(size).await;
        }
    }

    /// Reads a page somewhere; says how many events it had.
    pub(super) async fn read(&mut self, size: usize) -> Result<usize, String> {
        let http = &self.shared.all;
        let path = format!("/v1/events?limit={size}&after={}", self.cursor);
        let answer = timeout(ANSWER, http.send(http.request(Method::GET, &path))).await;
        let answer = answer.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
        match answer.status {
            200 => {}
            500.. | 429 => return Err(answer.body),
            _ => panic!("the feed breaks off: {answer:?}"),
        }
        let page: EventPage = answer.json();
        self.shared.history.lock().events.extend(page.events.iter().map(event_of));
        self.cursor = page.next;
        Ok(page.events.len())
    }
}
