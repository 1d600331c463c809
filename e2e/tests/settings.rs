//! The settings that the operator writes are settings that the server takes, and the keys that it knows are the members'.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use ordermill_members::range_of;
use ordermill_operator::build::Stage;
use ordermill_operator::validate::{Defaults, Running, validate};
use ordermill_operator::{OrderCluster, build, regions};
use ordermill_store::ShardId;
use ordermill_transactional::keys::{Keys, row};
use serde_json::{Value, json};

/// The file that members of a cluster with this spec read.
fn file(spec: Value) -> String {
    let mut cluster = OrderCluster::new("shop", serde_json::from_value(spec).unwrap());
    cluster.metadata.uid = Some("1".to_owned());
    let defaults = Defaults { repository: "ordermill".to_owned(), version: "1".to_owned(), monitors: None };
    let built = build::objects(&validate(&cluster, &Running::default(), &defaults).unwrap(), Stage::ALL);
    let settings = built.iter().find(|object| object.resource.kind == "ConfigMap").unwrap();
    settings.body["data"]["ordermill.toml"].as_str().unwrap().to_owned()
}

fn server(directory: &std::path::Path, spec: Value) -> Command {
    let path = directory.join("ordermill.toml");
    std::fs::write(&path, file(spec)).unwrap();
    let mut command = Command::new(ordermill_e2e::binary("ordermill"));
    command.args(["serve", "--listen=127.0.0.1:0", "--config"]).arg(path).stdin(Stdio::null());
    command
}

fn all_settings() -> Value {
    json!({"cacheMib": 64, "flushMib": 32, "journalRetention": "7d", "idempotencyRetention": "1h30m", "logFilter": "warn"})
}

#[test]
fn an_embedded_server_starts_with_all_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = all_settings();
    settings["minFreeMib"] = json!(64);
    settings["segmentMib"] = json!(16);
    let mut command = server(directory.path(), json!({"initialShards": 4, "settings": settings}));
    command.arg("--data-dir").arg(directory.path().join("data")).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("listening on http://"), "{line}");
}

/// It gets as far as the first file that only a pod has.
#[test]
fn a_member_on_tikv_understands_all_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let external = json!({"pdEndpoints": ["127.0.0.1:1"], "clusterId": 7, "tlsSecretName": "tikv"});
    let spec = json!({
        "replicas": 3, "initialShards": 128, "settings": all_settings(), "peerTlsSecretName": "peers",
        "storage": {"tikv": {"external": external}},
    });
    let output = server(directory.path(), spec).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/etc/ordermill/tikv-tls/ca.crt cannot be read"), "{said}");
}

/// What the operator takes for a bound of shards lies before a shard's first key, and behind the last one of the shard
/// before it.
#[test]
fn bounds_of_regions_are_those_of_the_members_shards() {
    let own = Keys { cluster: 1 };
    for shards in [1, 3, 64, 500] {
        let bounds = regions::keys(shards);
        for shard in 0..shards {
            let [journal, rows] = [shard, shards + shard].map(|index| bounds[index as usize].as_slice());
            assert!(journal <= &own.record(ShardId(shard), 0)[..]);
            assert!(shard == 0 || journal > &own.record(ShardId(shard - 1), u64::MAX)[..]);
            let slot = |slot: u16| row(&[&own.cluster.to_be_bytes()[..], &slot.to_be_bytes()].concat());
            assert_eq!(rows, &slot(range_of(shard, shards).first)[..]);
        }
    }
}
