//! Readers of the event feed: pages from its beginning on, as fast as they come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use memchr::memmem;
use tokio::task::JoinSet;

use crate::client::Connection;

/// Events per second that so many readers get together; each begins again when it has read everything.
#[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
pub(crate) async fn run(address: SocketAddr, readers: u64, lasts: Duration) -> Result<f64> {
    let mut ready = Vec::new();
    for _ in 0..readers {
        ready.push(Connection::open(address).await?);
    }
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for mut connection in ready {
        running.spawn(async move {
            let (mut events, mut after) = (0, String::new());
            while begun.elapsed() < lasts {
                let path = format!("/v1/events?limit=1000{after}");
                let (status, page) = connection.call("GET", &path, "", "").await?;
                if status != 200 {
                    bail!("the feed was answered {status}: {}", String::from_utf8_lossy(page));
                }
                let of_page = memmem::find_iter(page, br#""specversion""#).count();
                events += of_page as u64;
                after = if of_page == 0 { String::new() } else { format!("&after={}", next(page)?) };
            }
            anyhow::Ok(events)
        });
    }
    let mut events = 0;
    while let Some(done) = running.join_next().await {
        events += done??;
    }
    Ok(events as f64 / begun.elapsed().as_secs_f64())
}

/// The cursor of a page, which stands behind its events.
fn next(page: &[u8]) -> Result<&str> {
    let mark: &[u8] = br#""next":""#;
    let at = memmem::rfind(page, mark).context("a page without a cursor")? + mark.len();
    let length = memchr::memchr(b'"', &page[at..]).context("the cursor does not end")?;
    Ok(std::str::from_utf8(&page[at..at + length])?)
}
