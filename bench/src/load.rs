//! Load over many connections: a closed loop for rates, an open loop for latencies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::client::Connection;
use crate::requests::{Answer, Requests, Wire, Workload};
use crate::shape;

/// How long a server may not be ready for an item, and how often it is asked meanwhile.
const READY_WITHIN: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Units of an item that are enough for everybody.
pub(crate) const PLENTY: u64 = 1 << 40;

/// What a load has brought.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Requests that were answered.
    pub(crate) count: u64,
    /// Orders that were placed.
    pub(crate) placed: u64,
    /// Orders that were confirmed.
    pub(crate) confirmed: u64,
    /// Requests per second.
    pub(crate) per_s: f64,
    /// Latencies, microseconds.
    pub(crate) latency_us: Histogram<u64>,
}

impl Outcome {
    /// Nothing yet.
    pub(crate) fn new(latency_us: Histogram<u64>) -> Self {
        Self { count: 0, placed: 0, confirmed: 0, per_s: 0.0, latency_us }
    }

    /// Takes another one's part in.
    pub(crate) fn add(&mut self, part: Self) -> Result<()> {
        self.count += part.count;
        self.placed += part.placed;
        self.confirmed += part.confirmed;
        Ok(self.latency_us.add(part.latency_us)?)
    }

    /// A quantile of the latencies, milliseconds.
    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.latency_us.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// Connections at once.
    pub(crate) connections: u64,
    /// How long.
    pub(crate) lasts: Duration,
    /// What is sent.
    pub(crate) workload: Workload,
    /// In whose words.
    pub(crate) wire: Wire,
    /// Requests per second, sent whether or not the ones before are answered; `None`: each
    /// connection sends when it has its answer.
    pub(crate) rate: Option<f64>,
    /// Number of the first order: distinct keys for every load on one server.
    pub(crate) first: u64,
}

impl Load {
    /// Runs it.
    #[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
    pub(crate) async fn run(self) -> Result<Outcome> {
        let next = Arc::new(AtomicU64::new(self.first));
        // Connecting and laying out histograms is no part of what is measured.
        let mut ready = Vec::new();
        for _ in 0..self.connections {
            ready.push((Connection::open(self.address).await?, touched()?));
        }
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for (connection, latency_us) in ready {
            running.spawn(self.connection(connection, latency_us, next.clone(), begun));
        }
        together(running, begun).await
    }

    #[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
    async fn connection(
        self,
        mut connection: Connection,
        latency_us: Histogram<u64>,
        next: Arc<AtomicU64>,
        begun: Instant,
    ) -> Result<Outcome> {
        let mut part = Outcome::new(latency_us);
        let mut requests = Requests::new(self.workload, self.wire);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            // Late or not, a request counts from when it should have been sent: coordinated
            // omission would otherwise hide the requests that a slow answer held up.
            let due = match self.rate {
                None => Instant::now(),
                Some(rate) => begun + Duration::from_secs_f64((number - self.first) as f64 / rate),
            };
            if due.saturating_duration_since(begun) >= self.lasts {
                return Ok(part);
            }
            tokio::time::sleep_until(due.into()).await;
            let answer = requests.send(&mut connection, number).await?;
            part.latency_us.record(due.elapsed().as_micros() as u64)?;
            part.count += 1;
            part.placed += u64::from(matches!(answer, Answer::Confirmed | Answer::Placed));
            part.confirmed += u64::from(answer == Answer::Confirmed);
        }
    }
}

/// What loads have brought together that `begun` at the same time.
pub(crate) async fn together(mut running: JoinSet<Result<Outcome>>, begun: Instant) -> Result<Outcome> {
    let mut all = Outcome::new(histogram());
    while let Some(done) = running.join_next().await {
        all.add(done??)?;
    }
    all.per_s = all.count as f64 / begun.elapsed().as_secs_f64();
    Ok(all)
}

/// Latencies in microseconds, to ten minutes.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are in order")
}

/// A histogram whose memory is there already, where latencies usually fall.
pub(crate) fn touched() -> Result<Histogram<u64>> {
    let mut histogram = histogram();
    for exponent in 0..20 {
        histogram.record(1 << exponent)?;
    }
    histogram.reset();
    Ok(histogram)
}

/// Sets the items of the workloads.
pub(crate) async fn stock(address: SocketAddr, hot_on_hand: u64) -> Result<()> {
    let mut running = JoinSet::new();
    for part in 0..16 {
        running.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mine =
                (0..shape::ITEMS).filter(|number| number % 16 == part).map(|number| (shape::sku(number), PLENTY));
            for (sku, on_hand) in mine.chain((part == 0).then(|| (shape::HOT.to_owned(), hot_on_hand))) {
                put_item(&mut connection, &sku, on_hand).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

/// Sets one item; a server that is not ready for it is asked again for a while.
#[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
pub(crate) async fn put_item(connection: &mut Connection, sku: &str, on_hand: u64) -> Result<()> {
    let (path, body) = (format!("/v1/items/{sku}"), format!(r#"{{"on_hand":{on_hand}}}"#));
    let begun = Instant::now();
    loop {
        let (status, answer) = connection.call("PUT", &path, "", &body).await?;
        match status {
            200 | 201 => return Ok(()),
            503 if begun.elapsed() < READY_WITHIN => {}
            _ => bail!("item {sku} was answered {status}: {}", String::from_utf8_lossy(answer)),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// How many units of an item are held.
pub(crate) async fn held(address: SocketAddr, sku: &str) -> Result<u64> {
    let mut connection = Connection::open(address).await?;
    let (_, answer) = connection.call("GET", &format!("/v1/items/{sku}"), "", "").await?;
    // A peer tells less of an item.
    #[derive(Deserialize)]
    struct Item {
        held: u64,
    }
    let item: Item = serde_json::from_slice(answer).context("an item")?;
    Ok(item.held)
}
