//! Postgres on a directory of its own, reached over its unix socket; every commit waits for its log to be on the disk.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use ordermill_api::NewOrder;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, Statement};

use super::{Round, until};
use crate::load::{self, Outcome};
use crate::server::{self, Server};
use crate::shape::{self, Orders};

/// The account that Debian's package makes: Postgres refuses to run as root.
const ACCOUNT: &str = "postgres";
const SCHEMA: &str = include_str!("postgres.sql");

/// A running Postgres; it ends with this value.
#[derive(Debug)]
pub(super) struct Postgres {
    child: Child,
    /// Its data and its socket.
    dir: TempDir,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Postgres {
    /// A new one, with the tables.
    pub(super) async fn start(programs: &Path) -> Result<Self> {
        // On a disk, and in a place that every account can reach.
        let dir = tempfile::Builder::new().prefix("ordermill-postgres-").tempdir_in("/var/tmp")?;
        let account = account()?;
        chown(dir.path(), Some(account.0), Some(account.1)).context("Postgres' directory must be its own")?;
        let data = dir.path().join("data");
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.uid(account.0).gid(account.1).current_dir(dir.path()).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut init = command("initdb");
        init.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--pgdata"]).arg(&data);
        ensure!(init.status()?.success(), "initdb failed: {init:?}");
        let mut server = command("postgres");
        server.arg("-D").arg(&data).arg("-k").arg(dir.path());
        for setting in settings() {
            server.args(["-c", &setting]);
        }
        let postgres = Self { child: server.spawn().context("Postgres cannot be started")?, dir };
        let client = until("Postgres", || postgres.connect()).await?;
        client.batch_execute(SCHEMA).await?;
        Ok(postgres)
    }

    /// The thin server over it.
    pub(super) fn server(&self, services: &Path) -> Result<Server> {
        let mut command = Command::new(services);
        command.arg("postgres").arg("--socket").arg(self.dir.path());
        Server::start(command)
    }

    async fn connect(&self) -> Result<Client> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.dir.path()).user("postgres").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        // Its error, if it has one, is the client's too.
        tokio::spawn(connection);
        Ok(client)
    }

    /// The same orders without HTTP: each connection calls the function when it has its answer.
    #[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
    pub(super) async fn direct(&self, round: Round, orders: Orders, first: u64) -> Result<Outcome> {
        let next = Arc::new(AtomicU64::new(first));
        let mut ready = Vec::new();
        for _ in 0..round.connections {
            let client = self.connect().await?;
            let call = client.prepare("SELECT id, status FROM place_order($1, $2, $3, $4, $5, $6)").await?;
            ready.push((client, call, load::touched()?));
        }
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for (client, call, latency_us) in ready {
            let next = next.clone();
            running.spawn(async move {
                let mut part = Outcome::new(latency_us);
                while begun.elapsed() < round.lasts {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let sent = Instant::now();
                    part.confirmed += u64::from(place(&client, &call, number, orders).await?);
                    part.latency_us.record(sent.elapsed().as_micros() as u64)?;
                    (part.count, part.placed) = (part.count + 1, part.placed + 1);
                }
                anyhow::Ok(part)
            });
        }
        load::together(running, begun).await
    }
}

/// Places order `number`; whether it was confirmed.
async fn place(client: &Client, call: &Statement, number: u64, orders: Orders) -> Result<bool> {
    let mut text = String::new();
    shape::order(&mut text, number, orders, false);
    let order: NewOrder = serde_json::from_str(&text)?;
    let (mut skus, mut quantities, mut prices) = (Vec::new(), Vec::new(), Vec::new());
    for line in &order.lines {
        skus.push(line.sku.as_str());
        quantities.push(line.quantity as i64);
        prices.push(line.unit_price.amount as i64);
    }
    let (key, customer) = (format!("k-{number}"), order.customer.as_deref().unwrap_or_default());
    let row = client.query_one(call, &[&key, &customer, &skus, &quantities, &prices, &"GBP"]).await?;
    Ok(row.get::<_, &str>(1) == "confirmed")
}

/// Its documentation's advice for a machine of its own: a quarter of the memory for buffers, room in the log between
/// checkpoints, statistics of the disk that it has. What makes commits durable stays as it is by default: on.
fn settings() -> Vec<String> {
    let memory_mib = server::memory_total_mib();
    vec![
        format!("shared_buffers={}MB", memory_mib / 4),
        format!("effective_cache_size={}MB", memory_mib / 4 * 3),
        "max_wal_size=8GB".to_owned(),
        "checkpoint_timeout=15min".to_owned(),
        "random_page_cost=1.1".to_owned(),
        "max_connections=200".to_owned(),
        "listen_addresses=".to_owned(),
        "synchronous_commit=on".to_owned(),
        "fsync=on".to_owned(),
    ]
}

/// User and group of Postgres' account.
fn account() -> Result<(u32, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    for line in accounts.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [ACCOUNT, _, user, group, ..] = fields[..] {
            return Ok((user.parse()?, group.parse()?));
        }
    }
    bail!("there is no account {ACCOUNT:?}, which Postgres runs as")
}
