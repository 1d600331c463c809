//! Where a TiKV cluster is and how it is reached. Reads no environment and no file but to see that it is there.

use std::path::PathBuf;
use std::time::Duration;

use ordermill_transactional::Failure;

/// Largest answer that is taken, 16 MiB. TiKV sends at most 10 MiB with its defaults; the client's own
/// limit of 4 MiB would refuse a page of a few large records.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The deadline that goes with each request to one server, 2 s: longer than a write of 1 MiB takes, shorter
/// than what a caller waits, so that a silent server does not use up the whole of it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// How a cluster is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Addresses of PD's members, as `host:port`; one that answers is enough to begin with.
    pub pd_endpoints: Vec<String>,
    /// Certificates, if the servers speak TLS; without, nothing is encrypted.
    pub tls: Option<Tls>,
}

/// Files in PEM form. TiKV's TLS is mutual: it takes all three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The authority that signed the servers' certificates.
    pub ca: PathBuf,
    /// The certificate of this client.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Config {
    /// The same as the client library wants it; `Refused` where it could never connect.
    pub(crate) fn for_client(&self) -> Result<tikv_client::Config, Failure> {
        if self.pd_endpoints.is_empty() {
            return Err(Failure::Refused("no address of PD is given".to_owned()));
        }
        let mut config = tikv_client::Config::default()
            .with_timeout(REQUEST_TIMEOUT)
            .with_grpc_max_decoding_message_size(ANSWER_BYTES_MAX);
        if let Some(tls) = &self.tls {
            for path in [&tls.ca, &tls.certificate, &tls.key] {
                std::fs::File::open(path)
                    .map_err(|error| Failure::Refused(format!("{} cannot be read: {error}", path.display())))?;
            }
            config = config.with_security(&tls.ca, &tls.certificate, &tls.key);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_connect_is_refused() {
        let refused = |config: &Config| matches!(config.for_client(), Err(Failure::Refused(_)));
        let mut config = Config::default();
        assert!(refused(&config), "no address");
        config.pd_endpoints.push("127.0.0.1:2379".to_owned());
        assert!(!refused(&config));
        let nowhere = PathBuf::from("/nowhere/at/all.pem");
        config.tls = Some(Tls { ca: nowhere.clone(), certificate: nowhere.clone(), key: nowhere });
        assert!(refused(&config), "no files");
    }
}
