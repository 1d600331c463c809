//! Every operation of the description is called and answers as it is described: with success, but for what
//! takes a cluster (`tests/tests/cluster_admin.rs`).

use std::collections::BTreeSet;

use ordermill_api::{Event, EventPage, ImportResult, Item, ItemPage, Order, OrderPage, ProblemKind};
use ordermill_tests::process::{Answer, Http, problem};
use reqwest::Method;
use serde_json::{Value, json};

use super::{SHARDS, Shop, order, path, pence};

/// A client that notes which operations of the description it has called.
struct Noting<'h> {
    http: &'h Http,
    description: Value,
    called: BTreeSet<String>,
}

impl<'h> Noting<'h> {
    async fn new(http: &'h Http) -> Self {
        let description = http.get("/openapi.json").await.expect(200).json();
        Self { http, description, called: BTreeSet::new() }
    }

    /// The operations of the description: method and path.
    fn described(&self) -> BTreeSet<String> {
        let paths = self.description["paths"].as_object().expect("a description has paths");
        let methods =
            |value: &Value| value.as_object().expect("a path has methods").keys().cloned().collect::<Vec<_>>();
        paths.iter().flat_map(|(path, value)| methods(value).into_iter().map(move |m| format!("{m} {path}"))).collect()
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let answer = self.ask(&method, path, body).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer
    }

    /// Asks for what a server that is alone refuses.
    async fn refused(&mut self, path: &str, body: Option<Value>) {
        let answer = self.ask(&Method::POST, path, body).await;
        assert_eq!(problem(&answer), ProblemKind::NotClustered, "{path}");
    }

    async fn ask(&mut self, method: &Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.http.request(method.clone(), path);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = self.http.send(request).await.expect("the server answers");
        let template = self.template(path);
        let name = method.as_str().to_lowercase();
        let described = &self.description["paths"][&template][&name]["responses"][answer.status.to_string()];
        // Problems are described once and referred to.
        let described = match described["$ref"].as_str() {
            Some(at) => self.description.pointer(&at[1..]).expect("a reference leads somewhere"),
            None => described,
        };
        assert!(described.is_object(), "{name} {template} answers {}, which is not described", answer.status);
        let kind = answer.header("content-type").split(';').next().unwrap_or_default().to_owned();
        assert!(described["content"][&kind].is_object(), "{name} {template} answers {kind}, which is not described");
        self.called.insert(format!("{name} {template}"));
        answer
    }

    /// The described path that `path` is one of; the one with the fewest variables.
    fn template(&self, path: &str) -> String {
        let segments: Vec<_> = path.split('?').next().unwrap_or_default().split('/').collect();
        let fits = |template: &&String| {
            let parts: Vec<_> = template.split('/').collect();
            parts.len() == segments.len() && parts.iter().zip(&segments).all(|(p, s)| p.starts_with('{') || p == s)
        };
        let templates = self.description["paths"].as_object().expect("a description has paths").keys();
        let best = templates.filter(fits).min_by_key(|template| template.matches('{').count());
        best.unwrap_or_else(|| panic!("{path} is not described")).clone()
    }
}

#[tokio::test]
async fn every_operation_of_the_description_is_there() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[]).await;
        let mut api = Noting::new(&shop.http).await;
        for site in ["/healthz", "/readyz", "/metrics"] {
            api.call(Method::GET, site, None).await;
        }
        let item: Item = api.call(Method::PUT, "/v1/items/tea", Some(json!({"on_hand": 10}))).await.expect(201).json();
        assert_eq!(api.call(Method::GET, "/v1/items/tea", None).await.json::<Item>(), item);
        let adjusted = api.call(Method::POST, "/v1/items/tea/adjustments", Some(json!({"delta": 5}))).await;
        let page: ItemPage = api.call(Method::GET, "/v1/items", None).await.json();
        assert_eq!(page.items, [adjusted.json()]);

        let placed: Order = api.call(Method::POST, "/v1/orders", Some(order("ann", &[("tea", 3)]))).await.json();
        let at = path(&placed);
        assert_eq!(api.call(Method::GET, &at, None).await.json::<Order>(), placed);
        let payment = json!({"action": "authorize", "amount": pence(300)});
        api.call(Method::POST, &format!("{at}/payments"), Some(payment)).await;
        let fulfillment = json!({"lines": [{"line": 1, "quantity": 2}]});
        api.call(Method::POST, &format!("{at}/fulfillments"), Some(fulfillment)).await;
        let back = json!({"lines": [{"line": 1, "quantity": 1}]});
        api.call(Method::POST, &format!("{at}/returns"), Some(back)).await;
        let cancelled: Value = api.call(Method::POST, &format!("{at}/cancel"), None).await.json();
        assert_eq!(cancelled["outcome"], "done");
        let line = json!({"reference": "r-1", "lines": order("", &[("tea", 1)])["lines"]});
        let imported: ImportResult = api.call(Method::POST, "/v1/orders/import", Some(line)).await.json();
        let page: OrderPage = api.call(Method::GET, "/v1/orders", None).await.json();
        let mut ids: Vec<_> = page.orders.into_iter().map(|order| order.id).collect();
        ids.sort();
        let mut expected = vec![placed.id, imported.id];
        expected.sort();
        assert_eq!(ids, expected);
        let page: EventPage = api.call(Method::GET, "/v1/events", None).await.json();
        let first: &Event = &page.events[0];
        assert!(first.r#type.starts_with("ordermill."));

        for at in ["", "/members", "/shards"] {
            api.call(Method::GET, &format!("/v1/cluster{at}"), None).await;
        }
        for action in ["drain", "cordon", "uncordon"] {
            api.refused(&format!("/v1/cluster/members/some/{action}"), None).await;
        }
        api.refused("/v1/cluster/shards/0/move", Some(json!({"to": "some"}))).await;
        api.refused("/v1/cluster/shards/0/split", None).await;
        api.refused("/v1/cluster/rebalance", None).await;
        api.refused("/v1/cluster/rebalancing", Some(json!({"policy": "paused"}))).await;
        api.refused("/v1/cluster/format", Some(json!({"format": 1}))).await;

        let missing: Vec<_> = api.described().difference(&api.called).cloned().collect();
        assert!(missing.is_empty(), "described, but not called: {missing:?}");
        shop.close().await;
    }
}
