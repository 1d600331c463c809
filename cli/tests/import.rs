//! The import against a server that misbehaves in every way it can: nothing is lost, nothing is
//! reported twice, and it goes on where it was.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fake::{Fake, Next};
use orderctl::client::Client;
use orderctl::import::input::Input;
use orderctl::import::state::{Counts, State, default_path};
use orderctl::import::{Config, Error, Layout, Outcome, csv, run};
use orderctl::progress::Meter;
use tokio_util::sync::CancellationToken;

struct Trial {
    dir: tempfile::TempDir,
    fake: Fake,
    config: Config,
    timeout: Duration,
}

impl Trial {
    async fn new(text: impl AsRef<[u8]>, next: impl IntoIterator<Item = Next>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orders.ndjson");
        std::fs::write(&path, text).unwrap();
        let config = Config {
            input: Input::File(path.clone()),
            layout: Layout::Ndjson,
            results: Some(dir.path().join("results")),
            rejects: Some(dir.path().join("rejects")),
            state: Some(default_path(&path)),
            restart: false,
            retry_for: Duration::from_secs(20),
            stall: Duration::from_millis(300),
            shown_rejects: 0,
        };
        Self { dir, fake: Fake::start(next).await, config, timeout: Duration::from_secs(20) }
    }

    async fn run(&self) -> Result<Outcome, Error> {
        self.run_until(&CancellationToken::new()).await
    }

    async fn run_until(&self, stop: &CancellationToken) -> Result<Outcome, Error> {
        let client = Client::new(&self.fake.url, None, None, self.timeout).unwrap();
        run(&client, self.config.clone(), Meter::hidden(), stop).await
    }

    fn state(&self) -> &Path {
        self.config.state.as_deref().unwrap()
    }

    /// The lines of the results or rejects.
    fn kept(&self, name: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.dir.path().join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every line was answered exactly once in the results, in order.
    fn assert_results_are(&self, lines: impl Iterator<Item = u64>) {
        let kept: Vec<_> = self.kept("results").iter().map(|result| result["line"].as_u64().unwrap()).collect();
        assert_eq!(kept, lines.collect::<Vec<_>>());
    }

    fn references(&self) -> usize {
        self.fake.seen.lock().unwrap().references.len()
    }
}

/// `count` orders, long enough that many chunks are needed.
fn orders(count: u64) -> String {
    let filler = "x".repeat(200);
    let mut text = String::new();
    for number in 1..=count {
        let _ = writeln!(text, "{{\"reference\":\"{number}\",\"filler\":\"{filler}\"}}");
    }
    text
}

fn counts(created: u64, duplicate: u64, refused: u64) -> Counts {
    Counts { created, duplicate, refused, unmatched: 0 }
}

#[tokio::test]
async fn every_line_is_answered_and_the_state_goes() {
    let trial = Trial::new(orders(10_000), []).await;
    let outcome = trial.run().await.unwrap();
    assert_eq!(outcome.counts, counts(10_000, 0, 0));
    assert!(!outcome.stopped && !trial.state().exists());
    trial.assert_results_are(1..=10_000);
    assert_eq!(trial.fake.seen.lock().unwrap().requests, 1);
}

#[tokio::test]
async fn a_lost_connection_is_taken_up_again() {
    let next = [Next::CutAfter(0), Next::CutAfter(1), Next::Busy, Next::CutAfter(3_000), Next::EndAfter(5)];
    let trial = Trial::new(orders(10_000), next).await;
    let outcome = trial.run().await.unwrap();
    assert_eq!(outcome.counts.lines(), 10_000);
    assert_eq!(trial.references(), 10_000);
    trial.assert_results_are(1..=10_000);
}

#[tokio::test]
async fn a_line_refused_for_now_is_sent_again() {
    let trial = Trial::new(orders(100), [Next::BusyAtLine(50), Next::BusyAtLine(1)]).await;
    let outcome = trial.run().await.unwrap();
    // Whatever came after line 50 in the first request was taken then.
    assert_eq!((outcome.counts.lines(), outcome.counts.refused), (100, 0));
    assert_eq!(trial.references(), 100);
    trial.assert_results_are(1..=100);
}

#[tokio::test]
async fn refused_lines_are_kept_with_what_was_sent() {
    let text =
        "{\"reference\":\"1\"}\n\n{\"reference\":\"bad\"}\n{\"reference\":\"1\"}\n  \nno json\n{\"reference\":\"2\"}";
    let trial = Trial::new(text, []).await;
    let outcome = trial.run().await.unwrap();
    assert_eq!((outcome.counts, outcome.refused()), (counts(2, 1, 2), 2));
    trial.assert_results_are([1, 3, 4, 6, 7].into_iter());
    let rejects = trial.kept("rejects");
    assert_eq!((&rejects[0]["line"], &rejects[0]["input"]["reference"]), (&3.into(), &"bad".into()));
    assert_eq!((&rejects[1]["line"], &rejects[1]["input"]), (&6.into(), &"no json".into()));
    assert_eq!(rejects[0]["problem"], "https://ordermill.io/errors/unknown-sku");
}

#[tokio::test]
async fn an_interrupted_import_goes_on_where_it_was() {
    let mut text = orders(3_000);
    text.push_str("{\"reference\":\"bad\"}\n");
    let trial = Trial::new(text, [Next::FallSilentAfter(1_000)]).await;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    let seen = trial.fake.seen.clone();
    tokio::spawn(async move {
        while seen.lock().unwrap().lines < 1_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    });
    let first = trial.run_until(&stop).await.unwrap();
    assert!(first.stopped);
    assert_eq!(first.counts, counts(1_000, 0, 0));
    assert_eq!(State::load(trial.state()).unwrap().map(|state| state.line), Some(1_000));

    // What came after the state was kept is cut off.
    let results = trial.config.results.as_ref().unwrap();
    std::fs::write(results, [std::fs::read(results).unwrap(), b"{\"line\":1001}\n".to_vec()].concat()).unwrap();

    let second = trial.run().await.unwrap();
    assert_eq!((second.resumed_from, second.counts), (1_000, counts(3_000, 0, 1)));
    trial.assert_results_are(1..=3_001);
    assert_eq!(trial.kept("rejects").len(), 1);
    assert_eq!(trial.fake.seen.lock().unwrap().lines, 3_001, "nothing was sent twice");
    assert!(!trial.state().exists());
}

#[tokio::test]
async fn another_file_or_restart_begins_anew() {
    let mut trial = Trial::new(orders(10), []).await;
    let half = |trial: &Trial| {
        let client = Client::new(&trial.fake.url, None, None, trial.timeout).unwrap();
        let input = trial.config.input.fingerprint().unwrap().unwrap();
        let mut state = State::new(orderctl::import::state::Identity::new(client.server(), input, None));
        (state.line, state.counts.created) = (5, 5);
        state.save(trial.state()).unwrap();
    };
    half(&trial);
    assert_eq!(trial.run().await.unwrap().resumed_from, 5);
    half(&trial);
    trial.config.restart = true;
    assert_eq!(trial.run().await.unwrap().resumed_from, 0);
    half(&trial);
    trial.config.restart = false;
    let path: PathBuf = trial.dir.path().join("orders.ndjson");
    std::fs::write(path, orders(11)).unwrap();
    let outcome = trial.run().await.unwrap();
    assert_eq!((outcome.resumed_from, outcome.counts.lines()), (0, 11));
}

#[tokio::test]
async fn something_that_holds_requests_back_gets_them_in_parts() {
    // More than may be on its way at once.
    let trial = Trial::new(orders(150_000), [Next::HoldBack, Next::HoldBack, Next::HoldBack, Next::HoldBack]).await;
    let outcome = trial.run().await.unwrap();
    assert_eq!(outcome.counts, counts(150_000, 0, 0));
    assert!(trial.fake.seen.lock().unwrap().requests > 1);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_in_time() {
    let mut trial = Trial::new(orders(10), [Next::FallSilentAfter(3)]).await;
    trial.timeout = Duration::ZERO;
    let outcome = trial.run().await.unwrap();
    assert_eq!(outcome.counts.lines(), 10);
    trial.assert_results_are(1..=10);
}

#[tokio::test]
async fn a_refused_import_fails_at_once_and_keeps_its_place() {
    let trial = Trial::new(orders(10), [Next::Unauthorized]).await;
    let error = trial.run().await.unwrap_err();
    assert!(matches!(&error, Error::Server(error) if error.kind().is_some()), "{error}");
    assert!(trial.state().exists());
}

#[tokio::test]
async fn a_server_that_stays_away_is_given_up() {
    let mut trial = Trial::new(orders(10), std::iter::repeat_n(Next::Busy, 100)).await;
    trial.config.retry_for = Duration::from_millis(500);
    let error = trial.run().await.unwrap_err();
    assert!(matches!(error, Error::GaveUp { .. }), "{error}");
}

#[tokio::test]
async fn a_line_without_an_answer_is_an_error() {
    let trial = Trial::new(orders(10), [Next::Forget(4)]).await;
    let error = trial.run().await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    assert_eq!(State::load(trial.state()).unwrap().map(|state| state.line), Some(3));
}

#[tokio::test]
async fn csv_is_imported_and_resumed_by_its_references() {
    let mut text = String::from("Ref,Sku,Qty,Price\n");
    for number in 0..5_000 {
        let _ = write!(text, "r{number},a,1,1.50\nr{number},b,2,2.50\n");
        if number == 2_500 {
            text.push_str("broken,a,one,1.50\nr-bad,a,1,1.50\n");
        }
    }
    let mut trial = Trial::new(text, [Next::CutAfter(2_000)]).await;
    let mapping = "reference=Ref,sku=Sku,quantity=Qty,unit_price=Price".parse().unwrap();
    let options = csv::Options { decimal_prices: true, ..csv::Options::new(mapping, "GBP") };
    trial.config.layout = Layout::Csv(Box::new(options));
    let outcome = trial.run().await.unwrap();
    assert_eq!((outcome.counts.lines(), outcome.refused()), (5_001, 2));
    let report = outcome.report.unwrap();
    assert_eq!((report.rows, report.orders, report.refused), (10_002, 5_001, 1));
    let rejects = trial.kept("rejects");
    assert_eq!(rejects.len(), 2);
    assert_eq!((&rejects[0]["row"], &rejects[0]["reference"]), (&5_004.into(), &"broken".into()));
    assert_eq!((&rejects[1]["row"], &rejects[1]["input"]["reference"]), (&5_005.into(), &"r-bad".into()));
    assert_eq!(trial.references(), 5_000);
    trial.assert_results_are(1..=5_001);
}
