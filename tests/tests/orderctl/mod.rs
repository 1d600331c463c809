//! The command line as people and scripts call it: the real `orderctl` and a real server, over one
//! shard and over many.

mod audit;
mod cluster;
mod csv;
mod events;
mod import;
mod items;
mod orders;
mod resume;
mod shell;

use std::path::PathBuf;

use futures::future::join_all;
use ordermill_tests::process::{Ended, Http, Orderctl, Server, Settings, audit as audited};
use serde_json::Value;
use tempfile::TempDir;

/// With one shard a record settles an order; with many, messages do.
const SHARDS: [u32; 2] = [1, 64];

/// Runs a test that mostly waits over one shard and over many, at the same time.
async fn over_all_shards<F: Future<Output = ()>>(test: impl Fn(u32) -> F) {
    join_all(SHARDS.map(test)).await;
}

/// A server in a directory of its own, with room for files beside it.
struct Shop {
    dir: TempDir,
    server: Server,
    http: Http,
    url: String,
}

impl Shop {
    /// A server with these items on its shelves.
    async fn open(shards: u32, items: &[(&str, u64)]) -> Self {
        println!("{shards} shards");
        let dir = TempDir::new().expect("a directory can be made");
        let server = Server::start(Settings::new(dir.path().join("data"), shards)).await;
        let (http, url) = (server.http(), server.url());
        let shop = Self { dir, server, http, url };
        for (sku, on_hand) in items {
            shop.ctl(&["items", "set", sku, "--on-hand", &on_hand.to_string()]).await.well();
        }
        shop
    }

    /// Calls orderctl.
    async fn ctl(&self, arguments: &[&str]) -> Ended {
        sane(Orderctl::run(&self.url, arguments).await)
    }

    /// Calls orderctl, which must succeed, say nothing beside it and answer in JSON.
    async fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let ended = self.ctl(arguments).await.well();
        assert_eq!(ended.stderr, "", "{arguments:?}");
        ended.json()
    }

    /// The same with one answer.
    async fn one(&self, arguments: &[&str]) -> Value {
        let mut all = self.json(arguments).await;
        assert_eq!(all.len(), 1, "{arguments:?}: {all:?}");
        all.remove(0)
    }

    /// Calls orderctl, which must succeed, say nothing beside it and answer with a table: its lines.
    async fn table(&self, arguments: &[&str]) -> Vec<String> {
        let ended = self.ctl(&[&["--output", "table"], arguments].concat()).await.well();
        assert_eq!(ended.stderr, "", "{arguments:?}");
        ended.stdout.lines().map(str::to_owned).collect()
    }

    /// Calls orderctl, which must fail; returns what it says.
    async fn fails(&self, arguments: &[&str]) -> String {
        failed(self.ctl(arguments).await)
    }

    /// Writes a file beside the store.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file can be written");
        path.into_os_string().into_string().expect("the path is UTF-8")
    }

    /// Where a file beside the store is.
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Audits it, and stops it in order. It must have said nothing of errors.
    async fn close(self) {
        audited(&self.url).await;
        let log = self.server.log();
        assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
        self.server.stop().await;
    }
}

/// What orderctl prints where there is no terminal is plain text: nothing is drawn.
#[track_caller]
fn sane(ended: Ended) -> Ended {
    for text in [&ended.stdout, &ended.stderr] {
        let drawn = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(drawn) && !text.contains("panicked"), "{text:?}");
    }
    ended
}

/// What a call says that failed: on standard error alone, what went wrong first.
#[track_caller]
fn failed(ended: Ended) -> String {
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    ended.stderr
}

/// Checks that `text` says each of `words`.
#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

/// The words of a line of a table.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
