//! Certificates of an authority that a test makes, and a front that speaks TLS for servers that do not.
//!
//! A front takes only clients with a certificate of the authority, as TiKV and PD do that are told to.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// Files in PEM form.
#[derive(Clone, Debug)]
pub struct Files {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    /// A new one, whom nobody else knows.
    #[expect(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate can be made").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate, in PEM form.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate of this authority for these names, and its key, both in PEM form.
    pub fn certificate(&self, names: &[String]) -> (String, String) {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(names).expect("names and addresses");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a certificate of this authority for `address`, its key, and whom its owner trusts.
    pub fn issue(&self, folder: &Path, name: &str, address: IpAddr, trusted: &Self) -> Files {
        let (certificate, key) = self.certificate(&[address.to_string()]);
        let write = |what: &str, text: &str| {
            let path = folder.join(format!("{name}.{what}.pem"));
            std::fs::write(&path, text).expect("a file can be written");
            path
        };
        Files {
            ca: write("ca", &trusted.pem),
            certificate: write("certificate", &certificate),
            key: write("key", &key),
        }
    }
}

impl Files {
    /// The server's flags `--WHOM-ca`, `--WHOM-certificate` and `--WHOM-key`.
    pub fn flags(&self, whom: &str) -> Vec<String> {
        let files = [("ca", &self.ca), ("certificate", &self.certificate), ("key", &self.key)];
        files.iter().flat_map(|(what, path)| [format!("--{whom}-{what}"), path.display().to_string()]).collect()
    }

    fn acceptor(&self) -> TlsAcceptor {
        let read = |path: &Path| -> Vec<CertificateDer<'static>> {
            CertificateDer::pem_file_iter(path).expect("a file").map(|one| one.expect("a certificate")).collect()
        };
        let mut roots = RootCertStore::empty();
        read(&self.ca).into_iter().for_each(|certificate| roots.add(certificate).expect("an authority"));
        let provider = Arc::new(ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that ring knows")
            .with_client_cert_verifier(clients.build().expect("an authority"))
            .with_single_cert(read(&self.certificate), PrivateKeyDer::from_pem_file(&self.key).expect("a key"))
            .expect("a certificate and its key");
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What speaks TLS before a server; it ends when it is dropped.
#[derive(Debug)]
pub struct Front {
    taken: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Front {
    /// Listens at `address` and passes on to `server`.
    pub async fn start(address: SocketAddr, server: SocketAddr, files: &Files) -> Self {
        let listener = TcpListener::bind(address).await.expect("nobody else listens there");
        let (acceptor, taken) = (files.acceptor(), Arc::<AtomicUsize>::default());
        let count = taken.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), count.clone());
                tokio::spawn(async move {
                    // Whoever is refused has been told why.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    count.fetch_add(1, Ordering::Relaxed);
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    // One of them has ended it.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { taken, accepting }
    }

    /// How many clients were taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
