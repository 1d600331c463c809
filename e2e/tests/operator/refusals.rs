//! What the API server refuses by itself, each with the sentence that helps.

use ordermill_e2e::ControlPlane;
use serde_json::{Value, json};

use crate::{apply, cluster, clusters, install};

const NAMESPACE: &str = "default";

fn tikv(external: Value) -> Value {
    json!({"tikv": {"external": external}})
}

fn managed(managed: Value) -> Value {
    json!({"storage": {"tikv": {"managed": managed}}})
}

fn pd() -> Value {
    tikv(json!({"pdEndpoints": ["pd:2379"]}))
}

/// Specs that nobody can want, and what is said.
fn impossible() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"replicas": 2}), "an embedded store belongs to one process: replicas can be 0 or 1"),
        (json!({"storage": {}}), "give exactly one of them"),
        (
            json!({"storage": {"embedded": {}, "tikv": {"external": {"pdEndpoints": ["pd:2379"]}}}}),
            "give exactly one of them",
        ),
        (json!({"autoscaling": {"maxReplicas": 2}}), "an embedded store belongs to one process: autoscaling needs"),
        (
            json!({"storage": pd(), "autoscaling": {"minReplicas": 3, "maxReplicas": 2}}),
            "autoscaling.minReplicas is above maxReplicas",
        ),
        (json!({"rebalancing": {}}), "an embedded store belongs to one process, and its shards have nowhere to go"),
        (json!({"storage": pd(), "rebalancing": {"movesAtOnce": 0}}), "should be greater than or equal to 1"),
        (json!({"image": "a:1", "version": "1"}), "image and version say the same thing"),
        (json!({"peerTlsSecretName": "s"}), "peerTlsSecretName is about connections between members"),
        (
            json!({"storage": pd(), "settings": {"minFreeMib": 9}}),
            "are about an embedded store: with storage.tikv, leave them out",
        ),
        (json!({"storage": {"embedded": {"volume": {"size": "10GB"}}}}), "a whole number of Mi, Gi or Ti, as in 10Gi"),
        (json!({"storage": tikv(json!({"pdEndpoints": ["http://pd:2379"]}))}), "without http://"),
        (json!({"storage": tikv(json!({"pdEndpoints": []}))}), "should have at least 1 items"),
        (json!({"storage": {"tikv": {}}}), "storage.tikv is either managed or external"),
        (
            json!({"storage": {"tikv": {"managed": {}, "external": {"pdEndpoints": ["pd:2379"]}}}}),
            "storage.tikv is either managed or external",
        ),
        (managed(json!({"tikv": {"replicas": 2}})), "or, for trying out, allowUnsafeReplicas: true"),
        (managed(json!({"pd": {"replicas": 1}})), "nothing is stored while one is away: give pd.replicas 3 or more"),
        (managed(json!({"pd": {"replicas": 4}})), "pd.replicas is 1, 3, 5 or 7"),
        (managed(json!({"zones": ["a", "b"]})), "of two zones one has two of the three copies of a row"),
        (managed(json!({"zones": ["a", "b", "a"]})), "zones names a zone twice"),
        (
            json!({"settings": {"journalRetention": "a day"}}),
            "journalRetention is a length of time, as in 90m, 24h or 7d",
        ),
        (json!({"settings": {"idempotencyRetention": "24"}}), "idempotencyRetention is a length of time"),
        (json!({"initialShards": 0}), "should be greater than or equal to 1"),
        (json!({"replicas": -1}), "should be greater than or equal to 0"),
        (json!({"deletionPolicy": "Maybe"}), "supported values: \"Retain\", \"Delete\""),
        (json!({"repicas": 1}), "field not declared in schema"),
    ]
}

/// Changes that would lose orders, and what is said.
fn dangerous() -> Vec<(&'static str, Value, Value, &'static str)> {
    let one = json!({"pdEndpoints": ["pd:2379"], "clusterId": 1});
    let two = json!({"pdEndpoints": ["pd:2379"], "clusterId": 2});
    let volume = |size: &str| json!({"storage": {"embedded": {"volume": {"size": size}}}});
    vec![
        ("kind", json!({}), json!({"storage": pd()}), "the kind of storage cannot be changed"),
        ("shards", json!({"initialShards": 4}), json!({"initialShards": 8}), "initialShards cannot be changed"),
        ("shards-later", json!({}), json!({"initialShards": 8}), "initialShards cannot be changed"),
        ("shards-gone", json!({"initialShards": 8}), json!({}), "initialShards cannot be changed"),
        ("volume", volume("10Gi"), volume("20Gi"), "the volume of an embedded store cannot be changed"),
        ("own", managed(json!({})), json!({"storage": pd()}), "managed and external cannot be changed into each other"),
        ("fewer-pd", managed(json!({"pd": {"replicas": 5}})), managed(json!({})), "pd.replicas cannot be lowered"),
        (
            "fewer-stores",
            managed(json!({"tikv": {"replicas": 4}})),
            managed(json!({"tikv": {"replicas": 2}})),
            "or, for trying out, allowUnsafeReplicas: true",
        ),
        (
            "pd-volume",
            managed(json!({})),
            managed(json!({"pd": {"volume": {"size": "20Gi"}}})),
            "the volumes of PD and TiKV cannot be changed",
        ),
        (
            "version",
            managed(json!({"version": "v8.5.3"})),
            managed(json!({})),
            "version cannot be left out again: the databases would keep what they run",
        ),
        (
            "zones",
            managed(json!({"zones": ["a", "b", "c"]})),
            managed(json!({"zones": ["a", "b", "d"]})),
            "a zone cannot be taken away",
        ),
        ("id", json!({"storage": tikv(one)}), json!({"storage": tikv(two)}), "clusterId cannot be changed"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_impossible_or_dangerous_is_refused_with_a_sentence_that_helps() {
    let mut control_plane = ControlPlane::start().await;
    let client = control_plane.admin().await;
    install(&client).await;

    for (spec, sentence) in impossible() {
        let said = apply(&client, NAMESPACE, &cluster("bad", spec.clone())).await.expect_err(&spec.to_string());
        assert!(said.contains(sentence), "{spec}: {said}");
    }
    for name in ["Shop", "1shop", "a.shop", &"a".repeat(46)] {
        let said = apply(&client, NAMESPACE, &cluster(name, json!({}))).await.expect_err(name);
        assert!(said.contains("at most 45 lower-case letters") || said.contains("RFC 1123"), "{name}: {said}");
    }
    for (name, before, after, sentence) in dangerous() {
        apply(&client, NAMESPACE, &cluster(name, before)).await.unwrap();
        let said = apply(&client, NAMESPACE, &cluster(name, after)).await.expect_err(name);
        assert!(said.contains(sentence), "{name}: {said}");
    }

    // Fewer stores are nothing impossible: whether one may go PD says when it comes to that.
    for replicas in [5, 3] {
        let spec = managed(json!({"tikv": {"replicas": replicas}}));
        apply(&client, NAMESPACE, &cluster("stores", spec)).await.unwrap();
    }

    // Nor does the scale subresource lead around a rule.
    let scaled = json!({"spec": {"replicas": 2}});
    let patch = kube::api::Patch::Merge(&scaled);
    let said =
        clusters(&client, NAMESPACE).patch_scale("kind", &kube::api::PatchParams::default(), &patch).await.unwrap_err();
    assert!(said.to_string().contains("an embedded store belongs to one process"), "{said}");

    // Five lines are enough, and say what they mean once they are stored.
    let five = apply(&client, NAMESPACE, &cluster("five", json!({}))).await.unwrap();
    let wanted = json!({
        "replicas": 1, "suspend": false, "deletionPolicy": "Retain", "storage": {"embedded": {"volume": {"size": "10Gi"}}},
    });
    assert_eq!(five.data["spec"], wanted);
    control_plane.check();
}
