//! Three members on one PD and store, from outside: any of them answers anything, none of them is missed that is
//! told to go, and whoever starts waits for PD. What happens to them without a warning is in `faults.rs`.

use std::collections::BTreeSet;

use ordermill_api::{Item, Order, Status};
use ordermill_tests::cluster::Cluster;
use ordermill_tests::members::Members;
use ordermill_tests::process::{Http, Orderctl, Server, audit, in_time, until};
use parking_lot::Mutex;
use serde_json::json;

const MEMBERS: usize = 3;
const SHARDS: u32 = 12;

async fn start(cluster: Cluster) -> Members {
    Members::start(cluster, MEMBERS, SHARDS).await
}

fn order(customer: &str, sku: &str) -> serde_json::Value {
    json!({"customer": customer, "lines": [{"sku": sku, "quantity": 1, "unit_price": {"amount": 255, "currency": "GBP"}}]})
}

/// Places orders of many customers, one request after the other, until all of them were accepted within
/// one round: then every shard has an owner.
async fn everybody_is_served(http: &Http) {
    let (served, refused) = (Mutex::new(BTreeSet::new()), Mutex::new(None));
    until("an accepted order of every customer", || async {
        for customer in 0..50 {
            if served.lock().contains(&customer) {
                continue;
            }
            let body = order(&format!("waiting-{customer}"), "plenty");
            match http.try_post("/v1/orders", &body, &[]).await {
                Ok(answer) if answer.status == 201 => {
                    served.lock().insert(customer);
                }
                other => *refused.lock() = Some(other),
            }
        }
        let served = served.lock().len();
        let refused = refused.lock().take();
        if served == 50 { Ok(()) } else { Err(format!("{served} of 50 customers are served, but {refused:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_member_answers_anything() {
    let members = start(Cluster::named_or_start().await).await;
    let each: Vec<Http> = members.servers.iter().map(Server::http).collect();
    for number in 0..20 {
        let path = format!("/v1/items/sku-{number}");
        each[number % MEMBERS].put(&path, &json!({"on_hand": 30})).await.expect(201);
    }
    let mut ids = BTreeSet::new();
    for number in 0..60 {
        let sku = format!("sku-{}", number % 20);
        let placed = each[number % MEMBERS].post("/v1/orders", &order(&format!("c-{number}"), &sku), &[]).await;
        let placed: Order = placed.expect(201).json();
        assert_eq!(placed.status, Status::Confirmed);
        let id = placed.id.clone().expect("an order has an id");
        let read: Order = each[(number + 1) % MEMBERS].get(&format!("/v1/orders/{id}")).await.expect(200).json();
        assert_eq!((&read.id, read.version), (&placed.id, placed.version), "what was answered is read at once");
        assert!(ids.insert(id));
    }
    for http in &each {
        let listed: BTreeSet<String> = http.orders().await.into_iter().filter_map(|order| order.id).collect();
        assert_eq!(listed, ids);
        for number in 0..20 {
            let item: Item = http.get(&format!("/v1/items/sku-{number}")).await.expect(200).json();
            assert_eq!((item.held, item.available), (3, 27));
        }
    }
    audit(&members.servers[2].url()).await;
    members.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_told_to_go_fails_no_request() {
    let mut members = start(Cluster::named_or_start().await).await;
    let leaving = members.servers.pop().expect("there are three");
    let others = members.http();
    others.put("/v1/items/plenty", &json!({"on_hand": 1_000_000})).await.expect(201);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let customers: Vec<_> = (0..8)
        .map(|customer| {
            let (http, stopped) = (others.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut placed = 0;
                while !*stopped.borrow() || placed == 0 {
                    let customer = format!("c-{customer}-{placed}");
                    http.post("/v1/orders", &order(&customer, "plenty"), &[]).await.expect(201);
                    placed += 1;
                }
                placed
            })
        })
        .collect();
    leaving.stop().await;
    stop.send_replace(true);
    let mut placed = 0;
    for customer in customers {
        placed += in_time("a customer's last order", customer).await.expect("no request has failed");
    }
    assert_eq!(others.orders().await.len(), placed);
    audit(&members.servers[0].url()).await;
    members.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_starts_while_pd_is_away_says_so_and_waits() {
    let mut members = start(Cluster::start().await).await;
    let http = members.http();
    http.put("/v1/items/plenty", &json!({"on_hand": 1_000_000})).await.expect(201);
    let mut killed = members.servers.remove(0);
    killed.kill().await;
    members.cluster.kill_pd().await;
    // It knows no region and has no timestamp: everything that it knows comes from PD.
    let settings = killed.settings();
    let mut arguments = vec!["serve".to_owned(), "--listen".to_owned(), settings.listen.to_string()];
    arguments.extend(settings.arguments);
    let told_to_go = Orderctl::start_program("ordermill", &arguments);
    told_to_go.says("PD does not answer", 1).await;
    told_to_go.terminate();
    assert_eq!(told_to_go.ended().await.code, Some(0), "who waits can be told to stop");
    let starting = Orderctl::start_program("ordermill", &arguments);
    starting.says("PD does not answer", 1).await;
    members.cluster.start_pd().await;
    assert_eq!(starting.lines(1).await, [format!("listening on {}", killed.url())]);
    everybody_is_served(&killed.http()).await;
    audit(&killed.url()).await;
    starting.terminate();
    assert_eq!(starting.ended().await.code, Some(0));
    members.stop().await;
}
