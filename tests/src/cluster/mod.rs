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
use crate::process::{own_address, until};

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

/// A PD, and a store if it has one.
#[derive(Debug)]
pub struct Cluster {
    pd: Pd,
    /// None of one that was there before.
    own: Option<Own>,
}

/// The processes of a cluster that was started here.
#[derive(Debug)]
struct Own {
    pd: Server,
    store: Server,
    /// Where the store listens.
    address: SocketAddr,
}

impl Cluster {
    /// Starts a PD and a store and waits until they can be read and written.
    pub async fn start() -> Self {
        let mut cluster = Self::without_store().await;
        cluster.start_store().await;
        cluster
    }

    /// The same on a machine of a network that a test has made.
    pub async fn start_on(network: &Network, machine: u8) -> Self {
        let mut cluster = Self::pd_at(network.address(machine), Some(network.name(machine))).await;
        cluster.start_store().await;
        cluster
    }

    /// Starts a PD alone.
    pub async fn without_store() -> Self {
        Self::pd_at(own_address().ip(), None).await
    }

    /// Starts a PD at an address, in a network namespace if one is named.
    async fn pd_at(address: IpAddr, namespace: Option<String>) -> Self {
        let [client, peer, store, status] = std::array::from_fn(|_| server::free_address(address));
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let own = Own {
            pd: Server::new("PD", namespace.clone(), binary("ORDERMILL_PD_SERVER"), |directory| {
                vec![
                    "--name=pd".to_owned(),
                    format!("--data-dir={}", directory.join("data").display()),
                    format!("--client-urls={client_url}"),
                    format!("--peer-urls={peer_url}"),
                ]
            }),
            store: Server::new("the store", namespace, binary("ORDERMILL_TIKV_SERVER"), |directory| {
                let (data, config) = (directory.join("data"), directory.join("config.toml"));
                // One that does not make its own directories.
                for name in ["kv", "raft"] {
                    std::fs::create_dir_all(data.join(name)).expect("a directory can be made");
                }
                std::fs::write(&config, STORE_CONFIG).expect("a file can be written");
                vec![
                    format!("--pd={client}"),
                    format!("--addr={store}"),
                    format!("--status-addr={status}"),
                    format!("--data-dir={}", data.display()),
                    format!("--config={}", config.display()),
                ]
            }),
            address: store,
        };
        let mut cluster = Self { pd: Pd::new(vec![client.to_string()]), own: Some(own) };
        cluster.start_pd().await;
        cluster
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

    /// Starts the store on its address and directory, for the first time or again. What it held before it
    /// may be unable to read for a moment longer: only the first time does PD know who leads.
    pub async fn start_store(&mut self) {
        let own = self.own.as_mut().expect(OWN);
        own.store.start();
        until("a store that listens and leads its regions", async || {
            own.store.check();
            TcpStream::connect(own.address).await.map_err(|error| error.to_string())?;
            self.pd.regions_have_leaders().await
        })
        .await;
    }

    /// The time, in milliseconds since the Unix epoch, before which old versions may be gone; none yet.
    pub async fn safe_point_ms(&self) -> Result<Option<u64>, String> {
        self.pd.safe_point_ms().await
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

    /// Kills the store with SIGKILL.
    pub async fn kill_store(&mut self) {
        self.own.as_mut().expect(OWN).store.kill().await;
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
    let make = async || match std::env::var_os("ORDERMILL_PD") {
        Some(named) => {
            let named = named.to_str().expect("addresses are text");
            Cluster { pd: Pd::new(named.split(',').map(|address| address.trim().to_owned()).collect()), own: None }
        }
        None => Cluster::start().await,
    };
    Shared(SHARED.get_or_init(make).await)
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
            own.store.show_log();
        }
    }
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
