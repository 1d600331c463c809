//! Restate's server on a directory of its own, and the service that it calls.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::until;
use crate::client::Connection;
use crate::server::{self, Server};

/// A running Restate; it ends with this value.
#[derive(Debug)]
pub(super) struct Restate {
    child: Child,
    _service: Server,
    _dir: TempDir,
    /// Where its ingress listens.
    pub(super) ingress: SocketAddr,
}

impl Drop for Restate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Restate {
    /// A new one, with the service registered.
    pub(super) async fn start(program: &Path, services: &Path) -> Result<Self> {
        let dir = server::fresh()?;
        let (ingress, admin, node) = (free()?, free()?, free()?);
        let mut command = Command::new(program);
        command.arg("--base-dir").arg(dir.path());
        for (name, value) in [
            ("RESTATE_INGRESS__BIND_ADDRESS", ingress.to_string()),
            ("RESTATE_ADMIN__BIND_ADDRESS", admin.to_string()),
            ("RESTATE_BIND_ADDRESS", node.to_string()),
            ("RESTATE_ADVERTISED_ADDRESS", format!("http://{node}")),
            ("RESTATE_LOG_FILTER", "error".to_owned()),
            ("DO_NOT_TRACK", "1".to_owned()),
            // A proxy of the machine is not for its own loopback.
            ("NO_PROXY", "*".to_owned()),
        ] {
            command.env(name, value);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut service = Command::new(services);
        service.arg("restate");
        let service = Server::start(service)?;
        let child = command.spawn().context("Restate cannot be started")?;
        let uri = format!(r#"{{"uri":"http://{}"}}"#, service.address);
        let restate = Self { child, _service: service, _dir: dir, ingress };
        until("Restate's admin API", || async {
            let mut connection = Connection::open(admin).await?;
            match connection.call("POST", "/deployments", "", &uri).await? {
                (200 | 201, _) => Ok(()),
                (status, answer) => bail!("it answers {status}: {}", String::from_utf8_lossy(answer)),
            }
        })
        .await?;
        until("Restate's ingress", || async { restate.held("any").await.map(drop) }).await?;
        Ok(restate)
    }

    /// Sets what is on hand of an item.
    pub(super) async fn set(&self, sku: &str, on_hand: u64) -> Result<()> {
        self.item(sku, "set", &on_hand.to_string()).await.map(drop)
    }

    /// Units of an item that are held.
    pub(super) async fn held(&self, sku: &str) -> Result<u64> {
        self.item(sku, "held", "").await?.trim().parse().context("a number of units")
    }

    async fn item(&self, sku: &str, handler: &str, body: &str) -> Result<String> {
        let mut connection = Connection::open(self.ingress).await?;
        let (status, answer) = connection.call("POST", &format!("/Item/{sku}/{handler}"), "", body).await?;
        let answer = String::from_utf8_lossy(answer).into_owned();
        if !matches!(status, 200 | 202) {
            bail!("item {sku} was answered {status}: {answer}");
        }
        Ok(answer)
    }
}

/// An address that nobody listens at now.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
