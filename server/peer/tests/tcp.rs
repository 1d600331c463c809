//! The same over real sockets of this machine, with and without TLS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{LONG, Member, answers, config, get, mail, row, until};
use ordermill_peer::{Error, Network, Peers, SERVER_NAME, Tcp, Tls};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANY: &str = "127.0.0.1:0";

async fn tcp(tls: Option<Tls>) -> Arc<dyn Network> {
    Arc::new(Tcp::new(tls).await.unwrap())
}

fn peers(network: &Arc<dyn Network>) -> Peers {
    Peers::new(config("a", 7), network.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_and_mail_over_a_socket() {
    let network = tcp(None).await;
    let member = Member::start(network.as_ref(), ANY, config("b", 7)).await;
    let peers = peers(&network);
    let calls: Vec<_> = (0..2_000u16)
        .map(|number| {
            let (peers, address) = (peers.clone(), member.address.clone());
            tokio::spawn(async move {
                let key = format!("key {number}");
                assert_eq!(peers.call(&address, get(number % 7, &key), LONG).await, Ok(row(&key)));
            })
        })
        .collect();
    (0..2_000).for_each(|number| peers.send(&member.address, vec![mail(number)]));
    for call in calls {
        call.await.unwrap();
    }
    until(|| member.service.mail.lock().len() == 2_000).await;
    assert_eq!(*member.service.mail.lock(), (0..2_000).map(mail).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_comes_back_is_found_again() {
    let network = tcp(None).await;
    let member = Member::start(network.as_ref(), ANY, config("b", 7)).await;
    let (peers, address) = (peers(&network), member.address.clone());
    assert!(answers(&peers, &address).await);
    member.kill().await;
    let gone = peers.call(&address, get(0, "x"), LONG).await;
    assert!(matches!(gone, Err(Error::Unavailable(_) | Error::Unknown(_))), "{gone:?}");
    let again = Member::start(network.as_ref(), &address, config("b", 7)).await;
    let mut attempts = 0;
    while !answers(&peers, &address).await {
        attempts += 1;
        assert!(attempts < 5, "not found in {attempts} attempts");
    }
    again.stop();
    again.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_port_does_no_harm() {
    let network = tcp(None).await;
    let mut impatient = config("b", 7);
    impatient.dial = Duration::from_millis(200);
    let member = Member::start(network.as_ref(), ANY, impatient).await;
    let mut silent = TcpStream::connect(&member.address).await.unwrap();
    let mut loud = TcpStream::connect(&member.address).await.unwrap();
    loud.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let peers = peers(&network);
    assert!(answers(&peers, &member.address).await);
    for stream in [&mut silent, &mut loud] {
        // Ended or reset, but over.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert!(answers(&peers, &member.address).await);
}

/// An authority that signs certificates for one name.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// The files of a member: a certificate of this authority for `name`, which trusts `trusted`.
    fn member(&self, folder: &Path, file: &str, name: &str, trusted: &Self) -> Tls {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let write = |end: &str, text: &str| {
            let path = folder.join(format!("{file}.{end}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        Tls {
            ca: write("ca.pem", &trusted.1),
            certificate: write("crt.pem", &certificate.pem()),
            key: write("key.pem", &key.serialize_pem()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_lets_members_of_the_authority_in_and_nobody_else() {
    let folder = TempDir::new().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let network = tcp(Some(ours.member(folder.path(), "b", SERVER_NAME, &ours))).await;
    let member = Member::start(network.as_ref(), ANY, config("b", 7)).await;

    let good = tcp(Some(ours.member(folder.path(), "a", SERVER_NAME, &ours))).await;
    let good = peers(&good);
    let calls: Vec<_> = (0..200).map(|number| good.call(&member.address, get(number % 3, "x"), LONG)).collect();
    assert!(futures::future::join_all(calls).await.iter().all(|answer| *answer == Ok(row("x"))));

    let strangers = [
        ("does not trust the member", Some(ours.member(folder.path(), "c", SERVER_NAME, &theirs))),
        ("is not trusted", Some(theirs.member(folder.path(), "d", SERVER_NAME, &ours))),
        ("is no member", Some(ours.member(folder.path(), "e", "web.example", &ours))),
        ("speaks without TLS", None),
    ];
    for (what, tls) in strangers {
        let stranger = peers(&tcp(tls).await);
        let refused = stranger.call(&member.address, get(0, "x"), LONG).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{what}: {refused:?}");
    }

    // Who is called must be a member, too: one that has a certificate for another name is not.
    let other = tcp(Some(ours.member(folder.path(), "f", "web.example", &ours))).await;
    let other = Member::start(other.as_ref(), ANY, config("f", 7)).await;
    let refused = good.call(&other.address, get(0, "x"), LONG).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(answers(&good, &member.address).await);
}

#[tokio::test]
async fn renewed_certificates_count_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let (before, after) = (Authority::new(), Authority::new());
    let tls = before.member(folder.path(), "b", SERVER_NAME, &before);
    let network = tcp(Some(tls.clone())).await;
    let member = Member::start(network.as_ref(), ANY, config("b", 7)).await;
    assert!(answers(&peers(&network), &member.address).await);
    after.member(folder.path(), "b", SERVER_NAME, &after);
    let renewed = tcp(Some(after.member(folder.path(), "a", SERVER_NAME, &after))).await;
    assert!(answers(&peers(&renewed), &member.address).await);
}

#[tokio::test]
async fn tls_needs_files_that_are_there_and_all_of_them() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    let tls = authority.member(folder.path(), "a", SERVER_NAME, &authority);
    let (ca, certificate, key) = (tls.ca.clone(), tls.certificate.clone(), tls.key.clone());
    assert!(Tls::from_paths(Some(ca), Some(certificate.clone()), Some(key)).unwrap().is_some());
    assert!(Tls::from_paths(None, None, None).unwrap().is_none());
    assert!(Tls::from_paths(None, Some(certificate.clone()), None).is_err());
    let missing = Tls { key: folder.path().join("none"), ..tls.clone() };
    assert!(Tcp::new(Some(missing)).await.unwrap_err().to_string().contains("none"));
    let swapped = Tls { key: certificate, ..tls };
    assert!(Tcp::new(Some(swapped)).await.unwrap_err().to_string().contains("a.crt.pem"));
}
