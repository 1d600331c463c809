//! Why no PD answers, where that can be told. Certificates that do not fit, or are missing, do not get better by
//! waiting: the library says of them only that nobody responds. Never writes anything that PD understands.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ordermill_transactional::Failure;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore};

use crate::config::{Config, Tls};

/// Longest wait for one step of one look, 1 s: somebody waits for the answer, and whoever is there answers at once.
const LOOK: Duration = Duration::from_secs(1);
/// How every client of PD begins: it makes a server answer that expects something else.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The first byte of a server that speaks TLS and did not understand.
const ALERT: u8 = 21;

/// The same failure, or `Refused` with the reason why waiting does not help.
pub(crate) async fn explained(config: &Config, failure: Failure) -> Failure {
    if !matches!(failure, Failure::Unavailable(_)) {
        return failure;
    }
    for endpoint in &config.pd_endpoints {
        let address = endpoint.rsplit("://").next().unwrap_or(endpoint);
        let Ok(Ok(stream)) = timeout(LOOK, TcpStream::connect(address)).await else { continue };
        let why = match &config.tls {
            None => speaks_tls(stream).await.then(|| "it speaks TLS, and no certificates are given".to_owned()),
            Some(tls) => refused(stream, address, tls).await,
        };
        if let Some(why) = why {
            return Failure::Refused(format!("{endpoint}: {why}"));
        }
    }
    failure
}

async fn speaks_tls(mut stream: TcpStream) -> bool {
    matches!(first_byte(&mut stream).await, Ok(ALERT))
}

/// What TLS says against one of the two; nothing if it is content, or cannot tell.
async fn refused(stream: TcpStream, address: &str, tls: &Tls) -> Option<String> {
    let connector = match connector(tls) {
        Ok(connector) => connector,
        Err(why) => return Some(why),
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let answer = match timeout(LOOK, connector.connect(name, stream)).await.ok()? {
        // Whether it takes our certificate it says afterwards.
        Ok(mut stream) => first_byte(&mut stream).await.map(drop),
        Err(error) => Err(error),
    };
    match answer.err()?.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(why) => Some(format!("its certificate is not trusted: {why}")),
        Error::AlertReceived(why) => Some(format!("it refuses the certificate that was given: {why:?}")),
        Error::InvalidMessage(_) => Some("it does not speak TLS, and certificates are given".to_owned()),
        _ => None,
    }
}

fn connector(tls: &Tls) -> Result<TlsConnector, String> {
    let unusable =
        |path: &std::path::Path, why: &dyn std::fmt::Display| format!("{} cannot be used: {why}", path.display());
    let read = |path: &std::path::Path| -> Result<Vec<CertificateDer<'static>>, String> {
        let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let found = found.map_err(|why| unusable(path, &why))?;
        if found.is_empty() { Err(unusable(path, &"it holds no certificate")) } else { Ok(found) }
    };
    let mut roots = RootCertStore::empty();
    for certificate in read(&tls.ca)? {
        roots.add(certificate).map_err(|why| unusable(&tls.ca, &why))?;
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|why| unusable(&tls.key, &why))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?
        .with_root_certificates(roots)
        .with_client_auth_cert(read(&tls.certificate)?, key);
    let mut config = config.map_err(|why| unusable(&tls.certificate, &why))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn first_byte(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<u8> {
    let look = async {
        stream.write_all(PREFACE).await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    timeout(LOOK, look).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
