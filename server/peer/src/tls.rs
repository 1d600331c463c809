//! TLS 1.3 between members, certificates on both sides.
//!
//! Members come and go and change their addresses, so their certificates do not name them: all carry
//! the one name [`SERVER_NAME`], and each side demands of the other a certificate of the same
//! authority that carries it. The files are read for every connection (there are few), so that
//! renewed certificates count without a restart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::network::Stream;

/// The DNS name that every member's certificate carries among its alternative names.
pub const SERVER_NAME: &str = "peer.ordermill.internal";

/// Where the certificates are: paths of PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The authority that has signed the certificates of all members.
    pub ca: PathBuf,
    /// This member's certificate, followed by those between it and the authority; good for servers
    /// and clients alike.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

struct Files {
    roots: Arc<RootCertStore>,
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Tls {
    /// TLS with all three paths, none without any; with only some of them, what is wrong.
    pub fn from_paths(
        ca: Option<PathBuf>,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<Self>, &'static str> {
        match (ca, certificate, key) {
            (Some(ca), Some(certificate), Some(key)) => Ok(Some(Self { ca, certificate, key })),
            (None, None, None) => Ok(None),
            _ => Err("TLS between members needs all of authority, certificate and key, or none"),
        }
    }

    async fn read(&self) -> io::Result<Files> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca).await? {
            roots.add(certificate).map_err(|error| unusable(&self.ca, &error))?;
        }
        let key = bytes(&self.key).await?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| unusable(&self.key, &error))?;
        Ok(Files { roots: Arc::new(roots), certificates: certificates(&self.certificate).await?, key })
    }

    pub(crate) async fn connector(&self) -> io::Result<TlsConnector> {
        let Files { roots, certificates, key } = self.read().await?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates, key)
            .map_err(|error| unusable(&self.certificate, &error))?;
        Ok(TlsConnector::from(Arc::new(config)))
    }

    pub(crate) async fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let Files { roots, certificates, key } = self.read().await?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| unusable(&self.ca, &error))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .with_client_cert_verifier(clients)
            .with_single_cert(certificates, key)
            .map_err(|error| unusable(&self.certificate, &error))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Makes a connection safe that was made from here.
    pub(crate) async fn dialed(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let stream = self.connector().await?.connect(name(), stream).await?;
        Ok(Box::new(stream))
    }

    /// Makes a connection safe that was made from elsewhere.
    pub(crate) async fn accepted(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let stream = self.acceptor().await?.accept(stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate.ok_or_else(|| io::Error::other("the member has shown no certificate"))?;
        ParsedCertificate::try_from(certificate)
            .and_then(|certificate| verify_server_name(&certificate, &name()))
            .map_err(io::Error::other)?;
        Ok(Box::new(stream))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn name() -> ServerName<'static> {
    ServerName::try_from(SERVER_NAME).expect("the constant is a DNS name")
}

async fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    tokio::fs::read(path).await.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

async fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bytes = bytes(path).await?;
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| unusable(path, &error))?;
    if certificates.is_empty() {
        return Err(unusable(path, &"it holds no certificate"));
    }
    Ok(certificates)
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", path.display()))
}
