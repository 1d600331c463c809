//! TLS to clients: the certificate that is shown, which may change while the server runs.
//!
//! TLS 1.3, and HTTP/2 or HTTP/1.1 as the client asks for. Knows no files: whoever reads them says what is in them.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;

/// What a client says that wants HTTP/2.
pub(crate) const HTTP2: &[u8] = b"h2";

/// A certificate and its key; cheap to clone, and all clones show the same.
#[derive(Clone)]
pub struct Tls {
    acceptor: Arc<RwLock<TlsAcceptor>>,
}

impl Tls {
    /// With a certificate, followed by those between it and its authority, and its key, all PEM. Says what is wrong with
    /// them.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, String> {
        Ok(Self { acceptor: Arc::new(RwLock::new(acceptor(certificate, key)?)) })
    }

    /// Shows another certificate from the next connection on; the one before stays when the new one is wrong.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<(), String> {
        let acceptor = acceptor(certificate, key)?;
        *self.acceptor.write() = acceptor;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.read().clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn acceptor(certificate: &[u8], key: &[u8]) -> Result<TlsAcceptor, String> {
    let certificates = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| format!("the certificate cannot be read: {error}"))?;
    if certificates.is_empty() {
        return Err("there is no certificate".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key cannot be read: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| format!("certificate and key do not fit: {error}"))?;
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
