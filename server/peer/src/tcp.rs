//! The network of real machines: TCP, with TLS on both sides where it is configured.

use std::io;

use tokio::net::{TcpListener, TcpStream};

use crate::network::{Arriving, Listener, Network, Stream};
use crate::tls::Tls;

/// TCP, with mutual TLS if configured.
#[derive(Debug)]
pub struct Tcp {
    tls: Option<Tls>,
}

impl Tcp {
    /// TCP; with `tls`, both ends of every connection must hold certificates of the authority. Fails
    /// when its files cannot be used.
    pub async fn new(tls: Option<Tls>) -> io::Result<Self> {
        if let Some(tls) = &tls {
            tls.connector().await?;
            tls.acceptor().await?;
        }
        Ok(Self { tls })
    }
}

#[async_trait::async_trait]
impl Network for Tcp {
    async fn dial(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => tls.dialed(stream).await,
        }
    }

    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        let listener = TcpListener::bind(address).await?;
        Ok(Box::new(Accepting { listener, tls: self.tls.clone() }))
    }
}

struct Accepting {
    listener: TcpListener,
    tls: Option<Tls>,
}

#[async_trait::async_trait]
impl Listener for Accepting {
    fn address(&self) -> io::Result<String> {
        Ok(self.listener.local_addr()?.to_string())
    }

    async fn accept(&mut self) -> io::Result<Arriving> {
        let (stream, _) = self.listener.accept().await?;
        let tls = self.tls.clone();
        Ok(Box::pin(async move {
            stream.set_nodelay(true)?;
            match tls {
                None => Ok(Box::new(stream) as Box<dyn Stream>),
                Some(tls) => tls.accepted(stream).await,
            }
        }))
    }
}
