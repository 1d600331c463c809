//! The cluster as a server shows it that has its store for itself, and who may ask.

use axum::http::Method;
use ordermill_api::{Cluster, MemberList, MemberState, ProblemKind, ShardPage, ShardState};

use super::{Engine, request};
use crate::Tenants;

/// What changes the cluster, and a body.
const CHANGES: [(&str, &str); 8] = [
    ("/v1/cluster/members/some/drain", ""),
    ("/v1/cluster/members/some/cordon", "{}"),
    ("/v1/cluster/members/some/uncordon", ""),
    ("/v1/cluster/shards/0/move", r#"{"to":"some"}"#),
    ("/v1/cluster/shards/0/split", r#"{"at":7}"#),
    ("/v1/cluster/rebalance", ""),
    ("/v1/cluster/rebalancing", r#"{"policy":"paused","moves_at_once":256}"#),
    ("/v1/cluster/format", r#"{"format":1}"#),
];

#[tokio::test]
async fn a_server_alone_shows_itself_and_cannot_be_rearranged() {
    let engine = Engine::with(4, |_| ()).await;
    let get = async |path: &str| engine.get(path).await.body;
    let cluster: Cluster = serde_json::from_slice(&get("/v1/cluster").await).unwrap();
    assert_eq!((cluster.members, cluster.shards, cluster.shards_moving), (1, 4, 0));
    let [known] = &cluster.member_formats[..] else { panic!("one member: {cluster:?}") };
    assert_eq!((&known.member, known.format_max), (&cluster.answered_by, cluster.format));
    assert_eq!(cluster.format_max, cluster.format);
    let members: MemberList = serde_json::from_slice(&get("/v1/cluster/members").await).unwrap();
    let [me] = &members.members[..] else { panic!("one member: {members:?}") };
    assert_eq!((&me.member, me.state, me.shards), (&cluster.answered_by, MemberState::Serving, 4));
    engine.put("/v1/items/A", r#"{"on_hand":1}"#).await;
    let all: ShardPage = serde_json::from_slice(&get("/v1/cluster/shards").await).unwrap();
    assert!(all.shards.iter().all(|one| one.state == ShardState::Serving && one.owner.as_ref() == Some(&me.member)));
    let written: u64 = all.shards.iter().map(|one| one.journal.as_ref().expect("it is served").last).sum();
    assert_eq!(written, 1, "one record has been written: {all:?}");

    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page = get(&format!("/v1/cluster/shards?page_size=3&page_token={token}")).await;
        let page: ShardPage = serde_json::from_slice(&page).unwrap();
        paged.extend(page.shards.iter().map(|one| (one.shard, one.first_slot, one.last_slot)));
        match page.next_page_token {
            Some(next) => token = next,
            None => break,
        }
    }
    let expected: Vec<_> = (0..4).map(|at| (u32::from(at), at * 16_384, at * 16_384 + 16_383)).collect();
    assert_eq!(paged, expected);

    for (path, body) in CHANGES {
        engine.post(path, body).await.problem(ProblemKind::NotClustered);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let engine = Engine::start().await;
    for (path, body, field) in [
        ("/v1/cluster/members/some/drain", "[]", "body"),
        ("/v1/cluster/members/some/drain", r#"{"now":true}"#, "now"),
        ("/v1/cluster/members/%ff/cordon", "", "member"),
        ("/v1/cluster/members/some/uncordon?now=1", "", "now"),
        ("/v1/cluster/shards/0/move", "", "body"),
        ("/v1/cluster/shards/0/move", "{}", "to"),
        ("/v1/cluster/shards/0/move", r#"["some"]"#, "body"),
        ("/v1/cluster/shards/0/move", r#"{"to":7}"#, "to"),
        ("/v1/cluster/shards/0/move", r#"{"to":"some","from":"other"}"#, "from"),
        ("/v1/cluster/shards/0/split", r#"{"at":-1}"#, "at"),
        ("/v1/cluster/shards/0/split", r#"{"at":65536}"#, "at"),
        ("/v1/cluster/shards/0/split", r#"{"into":3}"#, "into"),
        ("/v1/cluster/rebalance", "now", "body"),
        ("/v1/cluster/rebalancing", "", "body"),
        ("/v1/cluster/rebalancing", "{}", "policy"),
        ("/v1/cluster/rebalancing", r#"{"policy":"Paused"}"#, "policy"),
        ("/v1/cluster/rebalancing", r#"{"moves_at_once":0}"#, "moves_at_once"),
        ("/v1/cluster/rebalancing", r#"{"moves_at_once":257}"#, "moves_at_once"),
        ("/v1/cluster/rebalancing", r#"{"policy":"load","moves":1}"#, "moves"),
        ("/v1/cluster/format", "", "body"),
        ("/v1/cluster/format", "{}", "format"),
        ("/v1/cluster/format", r#"{"format":0}"#, "format"),
        ("/v1/cluster/format", r#"{"format":"1"}"#, "format"),
        ("/v1/cluster/format", r#"{"format":4294967296}"#, "format"),
        ("/v1/cluster/format", r#"{"format":1,"force":true}"#, "force"),
    ] {
        assert_eq!(engine.post(path, body).await.fields(), [field], "{path} {body}");
    }
    for (path, field) in [
        ("/v1/cluster?all=1", "all"),
        ("/v1/cluster/members?page_size=1", "page_size"),
        ("/v1/cluster/shards?page_size=many", "page_size"),
        ("/v1/cluster/shards?page_token=65536", "page_token"),
        ("/v1/cluster/shards?page_token=-1", "page_token"),
    ] {
        assert_eq!(engine.get(path).await.fields(), [field], "{path}");
    }
    for shard in ["-1", "x", "4294967296", "1.0"] {
        let answer = engine.post(&format!("/v1/cluster/shards/{shard}/move"), r#"{"to":"some"}"#).await;
        answer.problem(ProblemKind::NotFound);
        engine.post(&format!("/v1/cluster/shards/{shard}/split"), "").await.problem(ProblemKind::NotFound);
    }
    engine.post("/v1/cluster", "").await.problem(ProblemKind::MethodNotAllowed);
    engine.get("/v1/cluster/rebalance").await.problem(ProblemKind::MethodNotAllowed);
    engine.get("/v1/cluster/members/some").await.problem(ProblemKind::NotFound);
}

#[tokio::test]
async fn only_the_default_tenant_sees_and_changes_the_cluster() {
    let keys = [("default-key-of-16", "default"), ("another-key-of-16", "shop")];
    let keys = keys.map(|(key, tenant)| (key.to_owned(), tenant.to_owned()));
    let engine = Engine::with(1, |config| config.tenants = Tenants::with_keys(keys).unwrap()).await;
    let ask = async |method: Method, path: &str, key: &str| {
        let key = format!("Bearer {key}");
        engine.send(request(method, path, &[("authorization", &key)], r#"{"to":"some"}"#)).await
    };
    for path in ["/v1/cluster", "/v1/cluster/members", "/v1/cluster/shards"] {
        engine.get(path).await.problem(ProblemKind::Unauthorized);
        ask(Method::GET, path, "another-key-of-16").await.problem(ProblemKind::Forbidden);
        assert_eq!(ask(Method::GET, path, "default-key-of-16").await.status, 200);
    }
    for (path, _) in CHANGES {
        ask(Method::POST, path, "nobodys-key-of-16").await.problem(ProblemKind::Unauthorized);
        ask(Method::POST, path, "another-key-of-16").await.problem(ProblemKind::Forbidden);
    }
    ask(Method::POST, "/v1/cluster/shards/0/move", "default-key-of-16").await.problem(ProblemKind::NotClustered);
}
