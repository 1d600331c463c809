//! Whatever is sent over a real connection, the answer says what is wrong with it, the server
//! stays well, and nothing has changed.

use std::sync::LazyLock;

use futures::future::join_all;
use ordermill_api::{Problem, ProblemKind as Kind};
use ordermill_tests::process::{Answer, Everything, Http, Raw, Server, Settings, problem};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where an order's body comes in.
const ORDERS: &str = "POST /v1/orders";
/// Lines of a head that says that JSON follows.
const JSON: &str = "content-type: application/json\r\n";

/// A request that does not fit, and what is wrong with it.
#[derive(Clone, Debug)]
struct Bad {
    /// Method and path.
    at: String,
    /// Further lines of the head.
    head: Vec<u8>,
    body: Vec<u8>,
    kind: Kind,
    /// The first field that is named; empty when the problem is not about a field.
    field: &'static str,
}

fn bad(at: impl Into<String>, body: impl Into<Vec<u8>>, kind: Kind, field: &'static str) -> Bad {
    Bad { at: at.into(), head: JSON.into(), body: body.into(), kind, field }
}

impl Bad {
    fn with(mut self, header: impl AsRef<[u8]>) -> Self {
        self.head.extend_from_slice(header.as_ref());
        self.head.extend_from_slice(b"\r\n");
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", self.at, self.body.len()).into_bytes();
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The request, short enough to be shown.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).chars().take(400).collect()
    }

    fn check(&self, answer: &Answer) {
        let shown = self.shown();
        assert!(answer.status < 500, "{shown}\n{answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{shown}\n{answer:?}");
        assert_eq!(problem(answer), self.kind, "{shown}\n{answer:?}");
        let Problem { errors, .. } = answer.json();
        let named = errors.first().map_or("", |error| &*error.field);
        assert_eq!(named, self.field, "{shown}\n{answer:?}");
        assert!(errors.iter().all(|error| !error.reason.is_empty()), "{shown}\n{answer:?}");
    }
}

/// A line of an order.
static LINE: LazyLock<Value> =
    LazyLock::new(|| json!({"sku": "tea", "quantity": 1, "unit_price": {"amount": 100, "currency": "GBP"}}));

fn lines(lines: &str) -> String {
    format!(r#"{{"customer":"ann","lines":[{lines}]}}"#)
}

/// An order whose second line has `to` instead of `from`.
fn changed(from: &str, to: &str) -> String {
    let line = LINE.to_string();
    assert!(line.contains(from), "{line}");
    lines(&format!("{line},{}", line.replace(from, to)))
}

/// Numbers that are none, are not whole, or do not fit.
fn numbers() -> Vec<Bad> {
    let mut all = Vec::new();
    let never = [
        "-1",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999999999",
        "1.5",
        "1.0",
        "1e3",
        "1e400",
        "-1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"1\"",
        "null",
        "true",
        "[1]",
        "{}",
    ];
    for number in never {
        all.push(bad(
            ORDERS,
            changed("\"quantity\":1", &format!("\"quantity\":{number}")),
            Kind::InvalidRequest,
            "lines[1].quantity",
        ));
        let amount = changed("\"amount\":100", &format!("\"amount\":{number}"));
        all.push(bad(ORDERS, amount, Kind::InvalidRequest, "lines[1].unit_price.amount"));
        let item = format!("{{\"on_hand\":{number}}}");
        all.push(bad("PUT /v1/items/tea", item, Kind::InvalidRequest, "on_hand"));
    }
    for number in ["0", "1000000001"] {
        let body = changed("\"quantity\":1", &format!("\"quantity\":{number}"));
        all.push(bad(ORDERS, body, Kind::InvalidRequest, "lines[1].quantity"));
    }
    for number in ["1.5", "1e400", "NaN", "9223372036854775808", "\"1\"", "-9007199254740992"] {
        let body = format!("{{\"delta\":{number}}}");
        all.push(bad("POST /v1/items/tea/adjustments", body, Kind::InvalidRequest, "delta"));
    }
    // Each fits, their sum or product does not.
    all.push(bad(
        ORDERS,
        changed("\"amount\":100", "\"amount\":9007199254740992"),
        Kind::InvalidRequest,
        "lines[1].unit_price.amount",
    ));
    all.push(bad(ORDERS, changed("\"amount\":100", "\"amount\":9007199254740991"), Kind::InvalidRequest, "lines[1]"));
    all
}

/// Orders of other shapes than they should have.
fn orders() -> Vec<Bad> {
    let line = LINE.to_string();
    let with = |fields: &str| format!(r#"{{{fields},"lines":[{line}]}}"#);
    let long = format!("\"customer\":\"{}\"", "c".repeat(129));
    let table = [
        (String::new(), "body"),
        ("nonsense".to_owned(), "body"),
        ("[]".to_owned(), "body"),
        ("{".to_owned(), "body"),
        ("{}".to_owned(), "lines"),
        (lines(""), "lines"),
        (lines(&vec![&*line; 2_001].join(",")), "lines"),
        (lines("7"), "lines[0]"),
        (with("\"colour\":\"red\""), "colour"),
        (with("\"customer\":7"), "customer"),
        (with("\"customer\":\"\""), "customer"),
        (with(&long), "customer"),
        (with("\"customer\":\"a\",\"customer\":\"b\""), "customer"),
        (with("\"customer\":\"a\\u0000b\""), "customer"),
        (with("\"customer\":\"\\ud800\""), "customer"),
        (with("\"customer\":\"\u{2003}ann\""), "customer"),
        (with("\"reference\":\"a\\nb\""), "reference"),
        (with("\"payment_terms\":\"never\""), "payment_terms"),
        (with("\"expires_in_seconds\":0"), "expires_in_seconds"),
        (with("\"expires_in_seconds\":-1"), "expires_in_seconds"),
        (changed("\"GBP\"", "\"EUR\""), "lines[1].unit_price.currency"),
        (changed("\"GBP\"", "\"pounds\""), "lines[1].unit_price.currency"),
        (changed("\"sku\":\"tea\"", "\"sku\":7"), "lines[1].sku"),
        (changed("\"sku\":\"tea\"", "\"sku\":\"\""), "lines[1].sku"),
        (changed("\"sku\":\"tea\"", "\"sku\":\"tea\\u007f\""), "lines[1].sku"),
        (changed("\"sku\":\"tea\",", ""), "lines[1].sku"),
        (changed("\"sku\":\"tea\"", "\"sku\":\"tea\",\"price\":1"), "lines[1].price"),
    ];
    let mut all: Vec<_> =
        table.into_iter().map(|(body, field)| bad(ORDERS, body, Kind::InvalidRequest, field)).collect();
    all.push(bad(ORDERS, changed("\"sku\":\"tea\"", "\"sku\":\"none\""), Kind::UnknownSku, "lines[1].sku"));
    for (open, field) in
        [("[", "body"), ("{\"a\":", "a"), ("{\"lines\":[{\"unit_price\":", "lines[0].unit_price.lines")]
    {
        all.push(bad(ORDERS, open.repeat(30_000), Kind::InvalidRequest, field));
    }
    for broken in [[0xC3, 0x28], [0xFF, 0xFE], [0xED, 0xA0], [0x00, 0x01]] {
        let mut body = with("\"customer\":\"__\"").into_bytes();
        let at = body.windows(2).position(|pair| pair == b"__").expect("a place for them");
        body[at..at + 2].copy_from_slice(&broken);
        all.push(bad(ORDERS, body, Kind::InvalidRequest, "customer"));
    }
    all.push(bad(ORDERS, vec![b' '; (1 << 20) + 1], Kind::TooLarge, ""));
    all
}

/// Paths, queries, methods and headers that do not fit.
fn heads() -> Vec<Bad> {
    let good = lines(&LINE.to_string());
    let get = |path: &str, kind, field| bad(format!("GET {path}"), "", kind, field);
    let create = |kind, field| bad(ORDERS, good.clone(), kind, field);
    let mut all = vec![
        get("/v1/items/%zz", Kind::InvalidRequest, "sku"),
        get("/v1/items/%C3%28", Kind::InvalidRequest, "sku"),
        get("/v1/items/%00", Kind::InvalidRequest, "sku"),
        get("/v1/items/a%", Kind::InvalidRequest, "sku"),
        get("/v1/orders/%f", Kind::InvalidRequest, "id"),
        get("/v1/orders/no-id", Kind::NotFound, ""),
        get("/v1/items/none", Kind::NotFound, ""),
        get("/v1/nothing", Kind::NotFound, ""),
        get("/v1/nothing/%zz", Kind::InvalidRequest, "path"),
        get("/v2/orders", Kind::NotFound, ""),
        get("/v1/orders?page_token=nonsense", Kind::InvalidRequest, "page_token"),
        get("/v1/orders?customer=ann&page_token=AQ", Kind::InvalidRequest, "page_token"),
        get("/v1/items?page_token=%21", Kind::InvalidRequest, "page_token"),
        get("/v1/orders?page_size=ten", Kind::InvalidRequest, "page_size"),
        get("/v1/orders?page_size=-1", Kind::InvalidRequest, "page_size"),
        get("/v1/orders?status=lost", Kind::InvalidRequest, "status"),
        get("/v1/orders?created_after=yesterday", Kind::InvalidRequest, "created_after"),
        get("/v1/orders?customer=%ff", Kind::InvalidRequest, "customer"),
        get("/v1/orders?customer=%0a", Kind::InvalidRequest, "customer"),
        get("/v1/orders?colour=red", Kind::InvalidRequest, "colour"),
        get("/v1/orders?status=pending&status=expired", Kind::InvalidRequest, "status"),
        get("/v1/events?after=nonsense", Kind::InvalidRequest, "after"),
        get("/v1/events?after=AQ", Kind::InvalidRequest, "after"),
        get("/v1/events?limit=1.5", Kind::InvalidRequest, "limit"),
        get("/v1/events?type=ordermill.order.lost", Kind::InvalidRequest, "type"),
        bad("POST /v1/orders?dry_run=perhaps", good.clone(), Kind::InvalidRequest, "dry_run"),
        bad("PUT /v1/items/tea?force=1", "{\"on_hand\":1}", Kind::InvalidRequest, "force"),
        bad(format!("GET /v1/items/{}", "x".repeat(129)), "", Kind::InvalidRequest, "sku"),
        bad(format!("GET /v1/items?page_token={}", "x".repeat(40_000)), "", Kind::HeadTooLarge, ""),
        create(Kind::HeadTooLarge, "").with(format!("x-long: {}", "x".repeat(40_000))),
        create(Kind::InvalidRequest, "Idempotency-Key").with("idempotency-key:"),
        create(Kind::InvalidRequest, "Idempotency-Key").with(format!("idempotency-key: {}", "k".repeat(129))),
        create(Kind::InvalidRequest, "Idempotency-Key").with("idempotency-key: a\u{85}b"),
        create(Kind::InvalidRequest, "idempotency-key").with(b"idempotency-key: \xff\xfe"),
        create(Kind::InvalidRequest, "idempotency-key").with("idempotency-key: a\r\nidempotency-key: b"),
        bad("PUT /v1/items/tea", "{\"on_hand\":1}", Kind::InvalidRequest, "If-Match").with("if-match: 3"),
        bad("PUT /v1/items/tea", "{\"on_hand\":1}", Kind::InvalidRequest, "If-None-Match").with("if-none-match: \"3\""),
        bad("PUT /v1/items/tea", "{\"on_hand\":1}", Kind::VersionMismatch, "").with("if-match: \"77\""),
    ];
    for wrong in
        ["DELETE /v1/orders", "PUT /v1/orders", "POST /v1/items/tea", "GET /v1/orders/import", "DELETE /v1/events"]
    {
        all.push(bad(wrong, "", Kind::MethodNotAllowed, ""));
    }
    for wrong in ["TRACE /v1/orders", "PATCH /v1/items/tea", "BREW /v1/orders"] {
        all.push(bad(wrong, "", Kind::MethodNotAllowed, ""));
    }
    for kind in ["application/x-www-form-urlencoded", "text/xml", "multipart/form-data; boundary=x", "\u{1F600}"] {
        let mut wrong = create(Kind::UnsupportedMediaType, "");
        wrong.head = format!("content-type: {kind}\r\n").into_bytes();
        all.push(wrong);
    }
    all.push(create(Kind::UnsupportedMediaType, "").with("content-encoding: gzip"));
    let mut xml = bad("POST /v1/orders/import", "<order/>", Kind::UnsupportedMediaType, "");
    xml.head = b"content-type: text/xml\r\n".to_vec();
    all.push(xml);
    all
}

/// What cannot be asked about the cluster, and what a server that is alone does not do.
fn cluster() -> Vec<Bad> {
    let move_to = |to: &str, kind, field| bad("POST /v1/cluster/shards/0/move", to, kind, field);
    vec![
        move_to("", Kind::InvalidRequest, "body"),
        move_to("[\"some\"]", Kind::InvalidRequest, "body"),
        move_to("{}", Kind::InvalidRequest, "to"),
        move_to("{\"to\":null}", Kind::InvalidRequest, "to"),
        move_to("{\"to\":\"some\",\"to\":\"other\"}", Kind::InvalidRequest, "to"),
        move_to("{\"to\":\"some\"}", Kind::NotClustered, ""),
        bad("POST /v1/cluster/shards/-1/move", "{\"to\":\"some\"}", Kind::NotFound, ""),
        bad("POST /v1/cluster/shards/%zz/move", "{\"to\":\"some\"}", Kind::InvalidRequest, "shard"),
        bad("POST /v1/cluster/members/some/drain", "[]", Kind::InvalidRequest, "body"),
        bad("POST /v1/cluster/members/some/drain", "{\"now\":1}", Kind::InvalidRequest, "now"),
        bad("POST /v1/cluster/members/%C3%28/cordon", "", Kind::InvalidRequest, "member"),
        bad("POST /v1/cluster/members/some/uncordon", "", Kind::NotClustered, ""),
        bad("POST /v1/cluster/format", "{\"format\":-1}", Kind::InvalidRequest, "format"),
        bad("POST /v1/cluster/format", "{\"format\":1}", Kind::NotClustered, ""),
        bad("POST /v1/cluster/rebalance?now=1", "", Kind::InvalidRequest, "now"),
        bad("POST /v1/cluster/rebalancing", "{\"policy\":\"off\"}", Kind::InvalidRequest, "policy"),
        bad("POST /v1/cluster/rebalancing", "{\"moves_at_once\":1000}", Kind::InvalidRequest, "moves_at_once"),
        bad("GET /v1/cluster/shards?page_token=65536", "", Kind::InvalidRequest, "page_token"),
        bad("GET /v1/cluster/shards/0", "", Kind::NotFound, ""),
        bad("DELETE /v1/cluster/members", "", Kind::MethodNotAllowed, ""),
    ]
}

/// Steps that do not fit the order `id`, of one line of three units at a pound.
fn steps(id: &str) -> Vec<Bad> {
    let step = |verb: &str, body: &str, kind, field| bad(format!("POST /v1/orders/{id}/{verb}"), body, kind, field);
    let amount = |amount: &str, currency: &str| {
        format!(r#"{{"action":"authorize","amount":{{"amount":{amount},"currency":"{currency}"}}}}"#)
    };
    let mut all = vec![
        step("payments", "", Kind::InvalidRequest, "body"),
        step("payments", r#"{"action":"steal"}"#, Kind::InvalidRequest, "action"),
        step("payments", r#"{"action":"capture"}"#, Kind::InvalidRequest, "amount"),
        step("payments", &amount("301", "GBP"), Kind::StateConflict, ""),
        step("fulfillments", r#"{"lines":[]}"#, Kind::InvalidRequest, "lines"),
        step("fulfillments", r#"{"lines":[{"line":2,"quantity":1}]}"#, Kind::InvalidRequest, "lines[0].line"),
        step("fulfillments", r#"{"lines":[{"line":1,"quantity":4}]}"#, Kind::InvalidRequest, "lines[0].quantity"),
        step("fulfillments", r#"{"lines":[{"line":1,"quantity":-1}]}"#, Kind::InvalidRequest, "lines[0].quantity"),
        step("fulfillments", r#"{"tracking":"a\u0000"}"#, Kind::InvalidRequest, "tracking"),
        step("returns", "{}", Kind::StateConflict, ""),
        step("returns", r#"{"restock":"yes"}"#, Kind::InvalidRequest, "restock"),
        step("cancel", r#"{"why":"x"}"#, Kind::InvalidRequest, "why"),
        step("cancel", &format!(r#"{{"reason":"{}"}}"#, "x".repeat(513)), Kind::InvalidRequest, "reason"),
        step("cancel", "{}", Kind::VersionMismatch, "").with("if-match: \"77\""),
        step("cancel", "{}", Kind::InvalidRequest, "If-Match").with("if-match: latest"),
        step("ship", "{}", Kind::NotFound, ""),
    ];
    for number in ["-1", "1.5", "1e400", "NaN", "18446744073709551616"] {
        all.push(step("payments", &amount(number, "GBP"), Kind::InvalidRequest, "amount.amount"));
    }
    all.push(step("payments", &amount("0", "GBP"), Kind::InvalidRequest, "amount.amount"));
    all.push(step("payments", &amount("100", "pounds"), Kind::InvalidRequest, "amount.currency"));
    all.push(step("payments", &amount("100", "EUR"), Kind::InvalidRequest, "amount.currency"));
    all
}

/// A server with an item and an order of three units of it.
async fn shop(shards: u32) -> (TempDir, Server, String) {
    let dir = TempDir::new().expect("a directory can be made");
    let server = Server::start(Settings::new(dir.path().join("data"), shards)).await;
    let http = server.http();
    http.put("/v1/items/tea", &json!({"on_hand": 100})).await.expect(201);
    let mut body = json!({"customer": "ann", "lines": [*LINE]});
    body["lines"][0]["quantity"] = json!(3);
    let placed: Value = http.post("/v1/orders", &body, &[]).await.expect(201).json();
    (dir, server, placed["id"].as_str().expect("an order has an id").to_owned())
}

/// Nothing has changed, and the server has no reason to complain.
async fn check_unharmed(server: Server, http: &Http, before: &Everything) {
    assert_eq!(&Everything::read(http).await, before);
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_explained_and_changes_nothing() {
    for shards in [1, 64] {
        let (_dir, server, id) = shop(shards).await;
        let http = server.http();
        let before = Everything::read(&http).await;
        let table = [numbers(), orders(), heads(), cluster(), steps(&id)].concat();
        let mut raw = Raw::connect(&server.url()).await;
        for bad in &table {
            // A body that is refused at its head may not be taken to its end.
            let taken = raw.send(&bad.bytes()).await;
            let answer = raw.answer().await.unwrap_or_else(|| panic!("no answer ({taken:?}) to {}", bad.shown()));
            bad.check(&answer);
            if answer.header("connection") == "close" || matches!(bad.kind, Kind::TooLarge | Kind::HeadTooLarge) {
                raw = Raw::connect(&server.url()).await;
            }
        }
        println!("{} bad requests, {shards} shards", table.len());
        check_unharmed(server, &http, &before).await;
    }
}

/// What comes back for `bytes` until the server closes: answers, and no more.
async fn answers(server: &Server, bytes: &[u8]) -> Vec<Answer> {
    let mut raw = Raw::connect(&server.url()).await;
    // It may close before it has everything.
    let _ = raw.send(bytes).await;
    raw.finish().await;
    let mut all = Vec::new();
    while let Some(answer) = raw.answer().await {
        all.push(answer);
    }
    all
}

#[tokio::test]
async fn what_is_no_request_ends_its_connection_and_nothing_else() {
    let (_dir, server, _) = shop(1).await;
    let http = server.http();
    let before = Everything::read(&http).await;
    let good = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for (garbage, answered) in [
        ("\x16\x03\x01\x02garbage\r\n\r\n", true),
        ("GET\r\n\r\n", true),
        ("GET / HTTP/9.9\r\n\r\n", true),
        ("GET /v1/orders HTTP/1.1\r\nbad header\r\n\r\n", true),
        ("POST /v1/orders HTTP/1.1\r\ncontent-length: many\r\n\r\n{}", true),
        ("POST /v1/orders HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", true),
        ("PRI * HTTP/2.0\r\n\r\nnot http/2", false),
        ("G", false),
    ] {
        for pipelined in ["", good] {
            // HTTP/2 is only known at the beginning.
            let sent = format!("{pipelined}{garbage}");
            let all = answers(&server, sent.as_bytes()).await;
            let (first, rest) = all.split_at(usize::from(!pipelined.is_empty()).min(all.len()));
            assert!(
                pipelined.is_empty() || first.first().is_some_and(|answer| answer.status == 200),
                "{sent:?}: {all:?}"
            );
            assert!(
                rest.len() <= 1 && rest.iter().all(|answer| (400..500).contains(&answer.status)),
                "{sent:?}: {all:?}"
            );
            assert!(!answered || rest.len() == 1, "{sent:?}: {all:?}");
        }
    }
    let chunked = "POST /v1/orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let broken = answers(&server, chunked.as_bytes()).await;
    assert_eq!(problem(&broken[0]), Kind::InvalidRequest);
    // A body that breaks off is not an order, however much of it has come.
    let body = lines(&LINE.to_string());
    let cut = format!("{ORDERS} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 1);
    assert!(answers(&server, cut.as_bytes()).await.iter().all(|answer| answer.status == 400));
    check_unharmed(server, &http, &before).await;
}

/// Connections that are slow at the same time.
const SLOW: usize = 200;

#[tokio::test]
async fn slow_clients_are_ended_and_hold_nobody_up() {
    let (_dir, server, _) = shop(1).await;
    let http = server.http();
    let before = Everything::read(&http).await;
    let silent = |_| async {
        let mut raw = Raw::connect(&server.url()).await;
        raw.send(b"GET /v1/orders HTTP/1.1\r\nhost: x\r\nx-slow: ").await.expect("the server listens");
        raw.answer().await
    };
    let stuck = async {
        let mut raw = Raw::connect(&server.url()).await;
        let head = format!("{ORDERS} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{\"customer\":");
        raw.send(head.as_bytes()).await.expect("the server listens");
        raw.answer().await
    };
    let others = async {
        for _ in 0..50 {
            http.get("/v1/orders").await.expect(200);
        }
    };
    let (heads, body, ()) = tokio::join!(join_all((0..SLOW).map(silent)), stuck, others);
    // A head that never ends is cut; a body that does not come has its answer.
    assert!(heads.iter().flatten().all(|answer| answer.status == 408), "{heads:?}");
    assert_eq!(problem(&body.expect("an answer")), Kind::RequestTimeout);
    check_unharmed(server, &http, &before).await;
}

#[tokio::test]
async fn what_is_unusual_but_fits_is_taken() {
    let (_dir, server, _) = shop(1).await;
    let http = server.http();
    let line = LINE.clone();
    // The same item twice stays two lines; both are decided together.
    let twice = json!({"customer": "ann", "lines": [line, line]});
    let placed: Value = http.post("/v1/orders", &twice, &[]).await.expect(201).json();
    assert_eq!((placed["lines"].as_array().map(Vec::len), &placed["total"]["amount"]), (Some(2), &json!(200)));
    for customer in ["köln", "Ω≈ç√", "日本語", "👩‍👩‍👧", "a b", "a/b?c#d%", "'; drop table orders; --", "\u{202e}txt"]
    {
        let body = json!({"customer": customer, "reference": customer, "lines": [line]});
        let placed: Value = http.post("/v1/orders", &body, &[("idempotency-key", customer)]).await.expect(201).json();
        assert_eq!((&placed["customer"], &placed["reference"]), (&json!(customer), &json!(customer)));
        let request = http.request(reqwest::Method::GET, "/v1/orders").query(&[("customer", customer)]);
        let listed: Value = http.send(request).await.expect("the server answers").expect(200).json();
        assert_eq!(listed["orders"], json!([placed]), "{customer}");
    }
    let full = json!({"customer": "full", "lines": vec![line; 2_000]});
    let rejected: Value = http.post("/v1/orders", &full, &[]).await.expect(201).json();
    assert_eq!(rejected["status"], "rejected");
    ordermill_tests::process::audit(&server.url()).await;
    server.stop().await;
}
