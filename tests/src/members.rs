//! Members of one cluster as processes, numbered from 0, each of which a test asks, kills and starts again.

use crate::cluster::Cluster;
use crate::process::{Http, Server};

/// Members, and the PD and store that they share.
#[derive(Debug)]
pub struct Members {
    /// The members.
    pub servers: Vec<Server>,
    /// What they share; it ends after them.
    pub cluster: Cluster,
    shards: u32,
}

impl Members {
    /// Starts so many, one after the other.
    pub async fn start(cluster: Cluster, count: usize, shards: u32) -> Self {
        let mut members = Self { servers: Vec::new(), cluster, shards };
        for _ in 0..count {
            members.join().await;
        }
        members
    }

    /// Starts one more.
    pub async fn join(&mut self) {
        let settings = self.cluster.member(&name(self.servers.len()), self.shards);
        self.servers.push(Server::start(settings).await);
    }

    /// The addresses of all, but one if it is named.
    pub fn urls_but(&self, left_out: Option<usize>) -> Vec<String> {
        let kept = self.servers.iter().enumerate().filter(|(at, _)| Some(*at) != left_out);
        kept.map(|(_, server)| server.url()).collect()
    }

    /// A client that asks one after the other.
    pub fn http(&self) -> Http {
        Http::among(&self.urls_but(None))
    }

    /// Stops all of them in order.
    pub async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
        drop(self.cluster);
    }
}

/// The name of a member.
pub fn name(number: usize) -> String {
    format!("member-{number}")
}
