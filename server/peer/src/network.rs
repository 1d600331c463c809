//! The seam below the connection: where streams of bytes come from. A simulation stands in here.

use std::fmt;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A stream that has been accepted and may still have to be made safe; polled by the task that
/// serves it, so that a slow one holds nobody up.
pub type Arriving = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Where members reach each other.
#[async_trait::async_trait]
pub trait Network: Send + Sync + fmt::Debug + 'static {
    /// Makes a connection to the member that listens at `address`.
    async fn dial(&self, address: &str) -> io::Result<Box<dyn Stream>>;

    /// Listens at `address`.
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>>;
}

/// Accepts connections.
#[async_trait::async_trait]
pub trait Listener: Send + Sync + 'static {
    /// Where it listens: with the port that was chosen when none was asked for.
    fn address(&self) -> io::Result<String>;

    /// The next connection. Safe to give up while waiting.
    async fn accept(&mut self) -> io::Result<Arriving>;
}
