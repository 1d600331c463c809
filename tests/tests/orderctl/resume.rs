//! An import that is interrupted, by whomever, goes on where it was: in the end every order is
//! there once.
//!
//! A gate before the server holds the import back until it has been disturbed, so that it never
//! ends before.

use std::collections::BTreeSet;

use ordermill_tests::process::{Ended, Everything, Gate, Orderctl, until};
use serde_json::Value;

use super::import::{CSV, HEAD, STOCK, counts, gzip, line, lines, row};
use super::{Shop, over_all_shards, sane, says};

const COUNT: usize = 3_000;
/// How far the import comes between two disturbances.
const STAGE_BYTES: usize = 60_000;

/// What befalls an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// SIGKILL.
    ClientKilled,
    /// SIGINT, as Ctrl-C sends it.
    ClientInterrupted,
    /// SIGTERM.
    ClientTerminated,
    /// SIGKILL, and started again.
    ServerKilled,
    /// SIGTERM, and started again.
    ServerStopped,
}

use Blow::{ClientInterrupted, ClientKilled, ClientTerminated, ServerKilled, ServerStopped};

fn customer(number: usize) -> String {
    format!("c-{}", number % 500)
}

/// An import under way, behind a gate.
struct Trial {
    shop: Shop,
    gate: Gate,
    arguments: Vec<String>,
    file: String,
}

impl Trial {
    async fn new(shards: u32, name: &str, content: impl AsRef<[u8]>, options: &[&str]) -> Self {
        let shop = Shop::open(shards, &STOCK).await;
        let gate = Gate::before(&shop.url).await;
        let file = shop.file(name, content);
        let results = shop.path("results").into_os_string().into_string().expect("the path is UTF-8");
        // The server asks for no key, and nobody may read this one.
        let first = ["import", &file, "--results", &results, "--retry-for", "60s", "--api-key", "secret"];
        let arguments = first.iter().chain(options).map(|&word| word.to_owned()).collect();
        Self { shop, gate, arguments, file }
    }

    fn start(&self) -> Orderctl {
        Orderctl::start(self.gate.url(), &self.arguments)
    }

    /// How many lines are answered, as far as is remembered.
    fn remembered(&self) -> u64 {
        let text = std::fs::read(format!("{}.orderctl-import", self.file)).unwrap_or_default();
        let state: Value = serde_json::from_slice(&text).unwrap_or_default();
        state["line"].as_u64().unwrap_or(0)
    }

    /// Lets the import come further, and waits until that is remembered.
    async fn further(&self) -> u64 {
        let before = self.remembered();
        self.gate.allow(STAGE_BYTES);
        let moved = || async {
            let now = self.remembered();
            if now > before { Ok(now) } else { Err(format!("it stands at line {now}")) }
        };
        until("the import to come further", moved).await
    }

    /// Strikes; returns the import that goes on.
    async fn strike(&mut self, blow: Blow, mut import: Orderctl) -> Orderctl {
        let reached = self.remembered();
        match blow {
            ClientKilled => import.kill().await,
            ClientInterrupted | ClientTerminated => {
                if blow == ClientInterrupted {
                    import.interrupt();
                } else {
                    import.terminate();
                }
                self.check_interrupted(&sane(import.ended().await), reached);
            }
            ServerKilled | ServerStopped => {
                if blow == ServerStopped {
                    self.shop.server.terminate();
                }
                self.gate.cut();
                import.says("waiting for the server", 1).await;
                self.shop.server.kill().await;
                self.shop.server.restart().await;
                return import;
            }
        }
        self.gate.cut();
        let import = self.start();
        import.says("going on after line ", 1).await;
        import
    }

    /// An import that is told to stop says how far it has come and how to go on.
    fn check_interrupted(&self, ended: &Ended, reached: u64) {
        assert_eq!(ended.code, Some(130), "{}", ended.stderr);
        says(&ended.stderr, &["interrupted; to go on:", "import", &self.file]);
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
        let summary = ended.json().remove(0);
        let lines: u64 = ["created", "duplicate", "refused"].iter().filter_map(|name| summary[name].as_u64()).sum();
        assert_eq!((&summary["complete"], lines), (&Value::Bool(false), self.remembered()), "{summary}");
        assert!(lines >= reached && lines < COUNT as u64, "{summary}");
    }

    /// Lets it end undisturbed, and looks at what is there then.
    async fn end(self, import: Orderctl) {
        self.gate.open();
        let ended = sane(import.ended().await).well();
        let summary = ended.json().remove(0);
        let [created, duplicate] = ["created", "duplicate"].map(|name| summary[name].as_u64().expect("a number"));
        println!("{created} created, {duplicate} were there already");
        assert_eq!((created + duplicate, &summary["complete"]), (COUNT as u64, &Value::Bool(true)), "{summary}");
        assert!(!std::fs::exists(format!("{}.orderctl-import", self.file)).expect("a directory can be read"));

        let before = Everything::read(&self.shop.http).await;
        let references: BTreeSet<_> = before.orders.iter().map(|order| (&order.customer, &order.reference)).collect();
        let expected: Vec<_> = (0..COUNT).map(|number| (Some(customer(number)), Some(format!("r-{number}")))).collect();
        assert_eq!(before.orders.len(), COUNT, "every order is there once");
        assert!(expected.iter().all(|(customer, reference)| references.contains(&(customer, reference))));
        // Every line's answer was kept once, too.
        let results = std::fs::read_to_string(self.shop.path("results")).expect("the answers were kept");
        let numbers = results.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["line"].as_u64());
        assert!(numbers.eq((1..=COUNT as u64).map(Some)), "an answer is missing or stands twice");

        let again = sane(self.start().ended().await);
        counts(&again, [0, COUNT, 0]);
        assert!(Everything::read(&self.shop.http).await == before, "sent again, nothing is new");
        self.shop.close().await;
    }
}

/// Imports with one blow after another.
async fn survives(mut trial: Trial, blows: &[Blow]) {
    let mut import = trial.start();
    for blow in blows {
        let line = trial.further().await;
        println!("{blow:?} after line {line}");
        // Some lines are on their way when it happens.
        trial.gate.allow(STAGE_BYTES / 4);
        import = trial.strike(*blow, import).await;
    }
    trial.end(import).await;
}

#[tokio::test]
async fn a_killed_import_goes_on() {
    over_all_shards(async |shards| {
        let text = lines((0..COUNT).map(|number| line(&customer(number), number)));
        let trial = Trial::new(shards, "orders.ndjson", text, &[]).await;
        survives(trial, &[ClientKilled, ClientInterrupted]).await;
    })
    .await;
}

#[tokio::test]
async fn an_import_outlives_its_server() {
    over_all_shards(async |shards| {
        let text = lines((0..COUNT).map(|number| line(&customer(number), number)));
        let trial = Trial::new(shards, "orders.ndjson.gz", gzip(&text), &[]).await;
        survives(trial, &[ServerKilled, ServerStopped]).await;
    })
    .await;
}

#[tokio::test]
async fn csv_goes_on_whoever_is_killed() {
    over_all_shards(async |shards| {
        let rows = (0..COUNT).map(|number| row(&customer(number), number));
        let text = lines([HEAD.to_owned()].into_iter().chain(rows));
        let trial = Trial::new(shards, "orders.csv.gz", gzip(&text), &CSV).await;
        survives(trial, &[ServerKilled, ClientTerminated, ClientKilled]).await;
    })
    .await;
}
