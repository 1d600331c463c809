//! A real PD and a real store of a TiKV cluster, as processes that a test stops and starts.
//!
//! Everything is on loopback, on ports of its own, in directories of its own, and ends with the test run.
//! Which binaries: those that `cargo xtask servers` builds, or others that were named to
//! `cargo xtask test`. Knows the protocols of PD and TiKV, and nothing of Ordermill's store.

mod orphan;
mod pd;
mod server;

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;

use ordermill_tikv::{Client, Config};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use self::pd::Pd;
use self::server::Server;
use crate::network::Network;
use crate::process::{Settings, own_address, until};

/// How both servers are told to be quick and small. A store of one has nobody to wait for; TiKV's defaults
/// would want more open files than many machines allow. Either server ignores what is the other's. The store for tests
/// does not start again once it has dropped a file of its log that it has not read back yet, of which it keeps three.
const STORE_CONFIG: &str = r#"
[raftstore]
raft-base-tick-interval = "100ms"
raft-store-max-leader-lease = "900ms"
pd-heartbeat-tick-interval = "1s"
[engine]
vlog-file-size = 67108864
[rocksdb]
max-open-files = 1024
[raftdb]
max-open-files = 1024
"#;

/// Copies of a region that PD keeps where there are stores enough, unless told otherwise.
const COPIES: usize = 3;

/// A PD, and a store or several if it has any.
#[derive(Debug)]
pub struct Cluster {
    pd: Pd,
    /// What members call it: tells those of several tests in one PD apart.
    number: u32,
    /// None of one that was there before.
    own: Option<Own>,
}

/// The processes of a cluster that was started here.
#[derive(Debug)]
struct Own {
    pd: Server,
    stores: Vec<Store>,
    /// The addresses that PD and the stores tell their clients, and where they listen, if that is elsewhere.
    fronts: Vec<(SocketAddr, SocketAddr)>,
}

#[derive(Debug)]
struct Store {
    server: Server,
    /// Where it listens.
    address: SocketAddr,
}

impl Cluster {
    /// Starts a PD and its stores and waits until they can be read and written.
    pub async fn start() -> Self {
        let mut cluster = Self::without_store().await;
        cluster.start_store().await;
        cluster
    }

    /// The PD and stores of `ORDERMILL_PD` where they are named, else such that are started. A test that may be given
    /// others' stops nothing, and sees nothing of what else is there.
    pub async fn named_or_start() -> Self {
        match std::env::var_os("ORDERMILL_PD") {
            Some(named) => Self::named(named.to_str().expect("addresses are text")),
            None => Self::start().await,
        }
    }

    fn named(addresses: &str) -> Self {
        let endpoints = addresses.split(',').map(|address| address.trim().to_owned());
        Self { pd: Pd::new(endpoints.collect()), number: rand::random_range(2..u32::MAX), own: None }
    }

    /// Whether it was started here, and may be stopped.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The same as [`Cluster::start`] on a machine of a network that a test has made.
    pub async fn start_on(network: &Network, machine: u8) -> Self {
        let mut cluster = Self::pd_at(network.address(machine), Some(network.name(machine)), None).await;
        cluster.start_store().await;
        cluster
    }

    /// The same, and it tells its clients that it is at addresses of the test itself: see [`Cluster::fronts`].
    pub async fn start_behind(network: &Network, machine: u8) -> Self {
        let (address, name) = (network.address(machine), network.name(machine));
        let mut cluster = Self::pd_at(address, Some(name), Some(network.own_address())).await;
        cluster.start_store().await;
        cluster
    }

    /// The addresses that PD, and then each store, tells its clients, and for each where it listens.
    pub fn fronts(&self) -> &[(SocketAddr, SocketAddr)] {
        &self.own.as_ref().expect(OWN).fronts
    }

    /// Starts a PD alone.
    pub async fn without_store() -> Self {
        Self::pd_at(own_address().ip(), None, None).await
    }

    /// Starts a PD at an address, in a network namespace if one is named. Clients are told of `front` if it is given;
    /// PD itself is named first all the same, as its stores do not go by the front.
    async fn pd_at(address: IpAddr, namespace: Option<String>, front: Option<IpAddr>) -> Self {
        let [client, peer] = std::array::from_fn(|_| server::free_address(address));
        let told = |listens: SocketAddr| front.map(|front| SocketAddr::new(front, listens.port()));
        let urls = [Some(client), told(client)].into_iter().flatten().map(|address| format!("http://{address}"));
        let urls: Vec<String> = urls.collect();
        let pd = Server::new("PD", namespace.clone(), binary("ORDERMILL_PD_SERVER"), |directory| {
            vec![
                "--name=pd".to_owned(),
                format!("--data-dir={}", directory.join("data").display()),
                format!("--client-urls=http://{client}"),
                format!("--advertise-client-urls={}", urls.join(",")),
                format!("--peer-urls=http://{peer}"),
            ]
        });
        let stores: Vec<Store> = (0..stores()).map(|_| store(client, namespace.clone(), told)).collect();
        let addresses = [client].into_iter().chain(stores.iter().map(|store| store.address));
        let fronts = addresses.filter_map(|address| Some((told(address)?, address))).collect();
        let own = Own { pd, stores, fronts };
        let mut cluster = Self { pd: Pd::new(vec![client.to_string()]), number: 1, own: Some(own) };
        cluster.start_pd().await;
        cluster
    }

    /// How a member of it is started.
    pub fn member(&self, name: &str, shards: u32) -> Settings {
        let settings = Settings::member(&self.pd_endpoints(), name, shards);
        settings.with(&["--cluster-id", &self.number.to_string()])
    }

    /// Addresses of PD.
    pub fn pd_endpoints(&self) -> Vec<String> {
        self.pd.endpoints.clone()
    }

    /// A client of it. It belongs to the runtime that it is made in.
    pub async fn client(&self) -> Client {
        let config = Config { pd_endpoints: self.pd_endpoints(), tls: None };
        Client::connect(config).await.unwrap_or_else(|failure| panic!("no client of {self:?}: {failure}"))
    }

    /// Starts PD on its address and directory, for the first time or again.
    pub async fn start_pd(&mut self) {
        let server = &mut self.own.as_mut().expect(OWN).pd;
        server.start();
        until("PD to have a leader", async || {
            server.check();
            self.pd.has_leader().await
        })
        .await;
    }

    /// Starts the store, or all of them, on its address and directory, for the first time or again. What it held before it
    /// may be unable to read for a moment longer: only the first time does PD know who leads.
    pub async fn start_store(&mut self) {
        let own = self.own.as_mut().expect(OWN);
        own.stores.iter_mut().for_each(|store| store.server.start());
        let copies = own.stores.len().min(COPIES);
        until("stores that listen and lead their regions", async || {
            for store in &own.stores {
                store.server.check();
                TcpStream::connect(store.address).await.map_err(|error| error.to_string())?;
            }
            self.pd.regions_have_leaders(copies).await
        })
        .await;
    }

    /// The time, in milliseconds since the Unix epoch, before which old versions may be gone; none yet.
    pub async fn safe_point_ms(&self) -> Result<Option<u64>, String> {
        self.pd.safe_point_ms().await
    }

    /// What runs of a cluster that was started here: what it is, and its process.
    pub fn processes(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let own = self.own.as_ref().expect(OWN);
        let stores = own.stores.iter().filter_map(|store| Some(("store", store.server.pid()?)));
        own.pd.pid().map(|pid| ("PD", pid)).into_iter().chain(stores)
    }

    /// Makes sure that `key` begins a region. The store for tests has several from the beginning, and at
    /// that key; TiKV is asked to split.
    pub async fn split_at(&self, key: &[u8]) {
        until("a region of its own", async || self.pd.split(key).await).await;
    }

    /// Kills PD with SIGKILL.
    pub async fn kill_pd(&mut self) {
        self.own.as_mut().expect(OWN).pd.kill().await;
    }

    /// Kills the store, or all of them, with SIGKILL.
    pub async fn kill_store(&mut self) {
        for store in &mut self.own.as_mut().expect(OWN).stores {
            store.server.kill().await;
        }
    }
}

/// Why a test may stop servers.
const OWN: &str = "only a cluster that was started here is stopped here";

/// A cluster that all tests of one process use side by side: with keys of their own, and without stopping
/// anything. That of `ORDERMILL_PD` where it is named, else one that is started.
#[derive(Debug)]
pub struct Shared(&'static Cluster);

/// The shared cluster, started by whoever asks first.
pub async fn shared() -> Shared {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    Shared(SHARED.get_or_init(Cluster::named_or_start).await)
}

impl Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The cluster itself outlives the test.
        if std::thread::panicking()
            && let Some(own) = &self.0.own
        {
            own.pd.show_log();
            own.stores.iter().for_each(|store| store.server.show_log());
        }
    }
}

/// A store of the PD at `pd` that does not run yet, and what it tells clients of the address where it listens.
fn store(pd: SocketAddr, namespace: Option<String>, told: impl Fn(SocketAddr) -> Option<SocketAddr>) -> Store {
    let [address, status] = std::array::from_fn(|_| server::free_address(pd.ip()));
    let server = Server::new("the store", namespace, binary("ORDERMILL_TIKV_SERVER"), |directory| {
        let (data, config) = (directory.join("data"), directory.join("config.toml"));
        // One that does not make its own directories.
        for name in ["kv", "raft"] {
            std::fs::create_dir_all(data.join(name)).expect("a directory can be made");
        }
        std::fs::write(&config, STORE_CONFIG).expect("a file can be written");
        vec![
            format!("--pd={pd}"),
            format!("--addr={address}"),
            format!("--advertise-addr={}", told(address).unwrap_or(address)),
            format!("--status-addr={status}"),
            format!("--data-dir={}", data.display()),
            format!("--config={}", config.display()),
        ]
    });
    Store { server, address }
}

/// How many stores a cluster has that is started: one, unless `ORDERMILL_TIKV_STORES` says otherwise. The store that is
/// built for tests is for one.
fn stores() -> usize {
    std::env::var_os("ORDERMILL_TIKV_STORES").map_or(1, |count| {
        count.to_str().and_then(|count| count.parse().ok()).expect("ORDERMILL_TIKV_STORES is a number")
    })
}

/// The binary that an environment variable names.
fn binary(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.filter(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "{variable} names no file: run the tests with `cargo xtask test`, or set ORDERMILL_PD_SERVER and \
             ORDERMILL_TIKV_SERVER to the two paths that `cargo xtask servers` prints"
        )
    })
}
