//! TLS to PD and the store: a member with certificates of the right authority serves, any other is refused and says
//! why.
//!
//! Neither the store for tests nor its way to PD speaks TLS. So both are on a machine of their own, a network
//! namespace, and before them stands what speaks TLS for them at the addresses that they tell their clients. This test
//! needs root.

use ordermill_api::{Order, Status};
use ordermill_tests::cluster::Cluster;
use ordermill_tests::network::Network;
use ordermill_tests::process::{Server, Settings, audit};
use ordermill_tests::tls::{Authority, Files, Front};
use serde_json::json;
use tempfile::tempdir;

fn with(settings: Settings, files: &Files) -> Settings {
    settings.with(&files.flags("tikv").iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_let_members_in_and_nobody_else() {
    let network = Network::new(1);
    let cluster = Cluster::start_behind(&network, 0).await;
    let (folder, ours, theirs) = (tempdir().unwrap(), Authority::new(), Authority::new());
    let here = network.own_address();
    let files =
        |authority: &Authority, name: &str, trusted: &Authority| authority.issue(folder.path(), name, here, trusted);
    let server = files(&ours, "server", &ours);
    let mut fronts = Vec::new();
    for &(address, behind) in cluster.fronts() {
        fronts.push(Front::start(address, behind, &server).await);
    }
    let pd = [cluster.fronts()[0].0.to_string()];
    let settings = |name: &str| Settings::member(&pd, name, 4);

    let member = Server::start(with(settings("right"), &files(&ours, "right", &ours))).await;
    let http = member.http();
    http.put("/v1/items/tea", &json!({"on_hand": 10})).await.expect(201);
    let line = json!({"sku": "tea", "quantity": 1, "unit_price": {"amount": 255, "currency": "GBP"}});
    let placed: Order = http.post("/v1/orders", &json!({"lines": [line]}), &[]).await.expect(201).json();
    assert_eq!(placed.status, Status::Confirmed);
    audit(&member.url()).await;
    for (front, (address, _)) in fronts.iter().zip(cluster.fronts()) {
        assert!(front.taken() > 0, "nobody has come by {address}");
    }

    let refused = [
        (settings("none"), "it speaks TLS, and no certificates are given"),
        (with(settings("other"), &files(&ours, "other", &theirs)), "its certificate is not trusted"),
        (with(settings("stranger"), &files(&theirs, "stranger", &ours)), "it refuses the certificate that was given"),
    ];
    for (settings, why) in refused {
        let ended = Server::try_start(settings).await.expect_err("it may not join");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = format!("PD at {} cannot be used: ", pd[0]);
        assert!(ended.stderr.contains(&said) && ended.stderr.contains(why), "{why:?} is not in {}", ended.stderr);
    }
    member.stop().await;
}
