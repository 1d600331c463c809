//! Whatever is sent, the answer says what is wrong with it, and nothing has changed.

use axum::body::Body;
use axum::http::{Method, Request};
use bytes::Bytes;
use ordermill_api::ProblemKind;
use ordermill_station::{clock, limits};
use proptest::prelude::*;

use super::{Engine, order, request};
use crate::{Backend, Config, Tenants};

/// Bodies of an order and the fields that are named.
fn bodies() -> Vec<(String, Vec<&'static str>)> {
    let line = r#"{"sku":"A","quantity":1,"unit_price":{"amount":1,"currency":"GBP"}}"#;
    let with = |fields: &str| format!(r#"{{{fields},"lines":[{line}]}}"#);
    let lines = |lines: &str| format!(r#"{{"customer":"c","lines":[{lines}]}}"#);
    let changed = |from: &str, to: &str| lines(&format!("{line},{}", line.replace(from, to)));
    let quantity = |text: &str| changed("\"quantity\":1", &format!("\"quantity\":{text}"));
    let amount = |text: &str| changed("\"amount\":1", &format!("\"amount\":{text}"));
    let mut all = vec![
        (String::new(), vec!["body"]),
        ("nonsense".into(), vec!["body"]),
        ("[]".into(), vec!["body"]),
        ("\"text\"".into(), vec!["body"]),
        ("{}".into(), vec!["lines"]),
        (lines(""), vec!["lines"]),
        (lines("[]"), vec!["lines[0]"]),
        (lines("null"), vec!["lines[0]"]),
        (lines(line).replace('}', ""), vec!["lines[0].unit_price"]),
        (with(r#""color":"red""#), vec!["color"]),
        (with(r#""customer":"a","customer":"b""#), vec!["customer"]),
        (with(r#""customer":7"#), vec!["customer"]),
        (with(r#""customer":"""#), vec!["customer"]),
        (with(r#""customer":" c""#), vec!["customer"]),
        (with(r#""customer":"c\u0000""#), vec!["customer"]),
        (with(r#""customer":"\u0085c""#), vec!["customer"]),
        (with(r#""customer":"\ud800""#), vec!["customer"]),
        (with(&format!(r#""customer":"{}""#, "é".repeat(65))), vec!["customer"]),
        (with(r#""reference":"a\tb","customer":"a\nb""#), vec!["customer", "reference"]),
        (with(r#""payment_terms":"never""#), vec!["payment_terms"]),
        (with(r#""payment_terms":{"prepaid":null}"#), vec!["payment_terms"]),
        (with(r#""expires_in_seconds":0"#), vec!["expires_in_seconds"]),
        (with(r#""expires_in_seconds":99999999"#), vec!["expires_in_seconds"]),
        (changed("\"A\"", "\"\""), vec!["lines[1].sku"]),
        (changed("\"A\"", "\"A \""), vec!["lines[1].sku"]),
        (changed("\"A\"", "null"), vec!["lines[1].sku"]),
        (changed("\"GBP\"", "\"gbp\""), vec!["lines[1].unit_price.currency"]),
        (changed("\"GBP\"", "\"GB\""), vec!["lines[1].unit_price.currency"]),
        (changed("\"GBP\"", "\"EUR\""), vec!["lines[1].unit_price.currency"]),
        (changed(",\"currency\":\"GBP\"", ""), vec!["lines[1].unit_price.currency"]),
        (changed("{\"amount\":1,\"currency\":\"GBP\"}", "[1,\"GBP\"]"), vec!["lines[1].unit_price"]),
        (changed(",\"unit_price\":{\"amount\":1,\"currency\":\"GBP\"}", ""), vec!["lines[1].unit_price"]),
        (quantity("0"), vec!["lines[1].quantity"]),
        (quantity("1000000001"), vec!["lines[1].quantity"]),
        (amount("9007199254740992"), vec!["lines[1].unit_price.amount", "lines[1]"]),
        // The total, not the amount.
        (amount("9007199254740991"), vec!["lines[1]"]),
        (
            lines(&format!(
                "{},{line}",
                line.replace("\"quantity\":1", "\"quantity\":1000000000")
                    .replace("\"amount\":1", "\"amount\":9007199254")
            )),
            vec!["lines[0]"],
        ),
        (lines(&vec![line; 2_001].join(",")), vec!["lines"]),
    ];
    for number in [
        "-1",
        "1.0",
        "1.5",
        "1e3",
        "\"1\"",
        "true",
        "[1]",
        "{}",
        "null",
        "18446744073709551616",
        "1e400",
        "NaN",
        "01",
        "-0",
    ] {
        all.push((quantity(number), vec!["lines[1].quantity"]));
        all.push((amount(number), vec!["lines[1].unit_price.amount"]));
    }
    // Here the number is whole, and what follows it does not belong into its line.
    all.push((quantity("0x1"), vec!["lines[1]"]));
    all
}

#[tokio::test]
async fn bodies_that_do_not_fit_name_their_fields_and_change_nothing() {
    let engine = Engine::stocked().await;
    for (body, fields) in bodies() {
        let shown = &body[..body.len().min(300)];
        for path in ["/v1/orders", "/v1/orders?dry_run=true"] {
            assert_eq!(engine.post(path, &body).await.fields(), fields, "{shown}");
        }
    }
    assert_eq!(engine.get("/v1/orders").await.json()["orders"].as_array().unwrap().len(), 0);
    assert_eq!(engine.get("/v1/items/A").await.json()["version"], 1);
}

#[tokio::test]
async fn all_fields_are_named_up_to_twenty() {
    let engine = Engine::stocked().await;
    let lines = vec![r#"{"sku":"","quantity":0}"#; 30].join(",");
    let fields = engine.post("/v1/orders", &format!(r#"{{"customer":"","lines":[{lines}]}}"#)).await.fields();
    assert_eq!(fields.len(), 20);
    assert_eq!(fields[..4], ["customer", "lines[0].sku", "lines[0].quantity", "lines[0].unit_price"]);
}

#[tokio::test]
async fn bodies_that_are_no_text_or_too_deep_are_refused() {
    let engine = Engine::stocked().await;
    let post = async |bytes: Vec<u8>| engine.send(Request::post("/v1/orders").body(bytes.into()).unwrap()).await;
    let text = order("__", &[("A", 1)]).into_bytes();
    for bad in [[0xC3, 0x28], [0xFF, 0xFE], [0x00, 0x01], [0xED, 0xA0]] {
        let mut bytes = text.clone();
        let at = bytes.windows(2).position(|pair| pair == b"__").unwrap();
        bytes[at..at + 2].copy_from_slice(&bad);
        post(bytes).await.problem(ProblemKind::InvalidRequest);
    }
    post([b"\xEF\xBB\xBF".as_slice(), &text].concat()).await.problem(ProblemKind::InvalidRequest);
    for open in ["[", "{\"lines\":", "{\"lines\":[{\"unit_price\":", "{\"a\":"] {
        post(open.repeat(40_000).into_bytes()).await.problem(ProblemKind::InvalidRequest);
    }
}

#[tokio::test]
async fn two_thousand_lines_fit_and_the_same_sku_may_come_twice() {
    let engine = Engine::start().await;
    engine.put("/v1/items/A", r#"{"on_hand":2000}"#).await;
    let answer = engine.post("/v1/orders", &order("c", &vec![("A", 1); 2_000])).await;
    assert_eq!(answer.json()["status"], "confirmed");
    let more = engine.post("/v1/orders", &order("c", &[("A", 1), ("A", 1)])).await;
    assert_eq!(more.json()["status"], "rejected");
}

#[tokio::test]
async fn steps_that_do_not_fit_name_their_fields() {
    let engine = Engine::stocked().await;
    let placed = engine.post("/v1/orders", &order("c", &[("A", 1)])).await.json();
    let id = placed["id"].as_str().unwrap();
    for (step, body, fields) in [
        ("payments", "", vec!["body"]),
        ("payments", r#"{"action":"steal"}"#, vec!["action"]),
        ("payments", r#"{"action":"capture"}"#, vec!["amount"]),
        ("payments", r#"{"action":"void","amount":{"amount":1,"currency":"GBP"}}"#, vec!["amount"]),
        (
            "payments",
            r#"{"action":"capture","amount":{"amount":0,"currency":"x"}}"#,
            vec!["amount.amount", "amount.currency"],
        ),
        ("payments", r#"{"action":"capture","amount":{"amount":1.0,"currency":"GBP"}}"#, vec!["amount.amount"]),
        ("fulfillments", r#"{"lines":[]}"#, vec!["lines"]),
        ("fulfillments", r#"{"lines":[{"line":0,"quantity":0}]}"#, vec!["lines[0].line", "lines[0].quantity"]),
        ("fulfillments", r#"{"lines":[{"line":2,"quantity":1}]}"#, vec!["lines[0].line"]),
        ("fulfillments", r#"{"lines":[{"line":1,"quantity":2}]}"#, vec!["lines[0].quantity"]),
        ("fulfillments", r#"{"tracking":"a\u0000"}"#, vec!["tracking"]),
        ("returns", r#"{"restock":"yes"}"#, vec!["restock"]),
        ("cancel", r#"{"reason":7}"#, vec!["reason"]),
        ("cancel", r#"{"why":"x"}"#, vec!["why"]),
    ] {
        assert_eq!(engine.post(&format!("/v1/orders/{id}/{step}"), body).await.fields(), fields, "{step} {body}");
    }
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(513));
    assert_eq!(engine.post(&format!("/v1/orders/{id}/cancel"), &long).await.fields(), ["reason"]);
    engine.post(&format!("/v1/orders/{id}/returns"), "").await.problem(ProblemKind::StateConflict);
    assert_eq!(engine.get(&format!("/v1/orders/{id}")).await.json()["version"], 1);
}

#[tokio::test]
async fn items_that_do_not_fit_name_their_fields() {
    let engine = Engine::start().await;
    for (path, body, fields) in [
        ("/v1/items/A", "{}", vec!["on_hand"]),
        ("/v1/items/A", r#"{"on_hand":-1}"#, vec!["on_hand"]),
        ("/v1/items/A", r#"{"on_hand":1.0}"#, vec!["on_hand"]),
        ("/v1/items/A", r#"{"on_hand":9007199254740992}"#, vec!["on_hand"]),
        ("/v1/items/A", r#"{"on_hand":1,"held":1}"#, vec!["held"]),
        ("/v1/items/A", r#"{"on_hand":1,"backorder":1}"#, vec!["backorder"]),
        ("/v1/items/%20A", r#"{"on_hand":1}"#, vec!["sku"]),
        ("/v1/items/%00", r#"{"on_hand":1}"#, vec!["sku"]),
        ("/v1/items/%FF", r#"{"on_hand":1}"#, vec!["sku"]),
        ("/v1/items/%zz", r#"{"on_hand":1}"#, vec!["sku"]),
        ("/v1/items/A?force=1", r#"{"on_hand":1}"#, vec!["force"]),
    ] {
        assert_eq!(engine.put(path, body).await.fields(), fields, "{path} {body}");
    }
    let long = format!("/v1/items/{}", "x".repeat(129));
    assert_eq!(engine.put(&long, r#"{"on_hand":1}"#).await.fields(), ["sku"]);
    engine.put("/v1/items/A", r#"{"on_hand":9007199254740991}"#).await;
    for (body, fields) in [
        (r#"{"delta":1.5}"#, vec!["delta"]),
        (r#"{"delta":9223372036854775808}"#, vec!["delta"]),
        (r#"{"delta":-9007199254740992}"#, vec!["delta"]),
        (r#"{"reason":"x"}"#, vec!["delta"]),
    ] {
        assert_eq!(engine.post("/v1/items/A/adjustments", body).await.fields(), fields, "{body}");
    }
    engine.post("/v1/items/A/adjustments", r#"{"delta":1}"#).await.problem(ProblemKind::StateConflict);
}

#[tokio::test]
async fn parameters_and_headers_that_do_not_fit_are_named() {
    let engine = Engine::stocked().await;
    for (path, fields) in [
        ("/v1/orders?colour=red", vec!["colour"]),
        (
            "/v1/orders?page_size=many&status=lost&created_after=yesterday&customer=",
            vec!["customer", "status", "created_after", "page_size"],
        ),
        ("/v1/orders?page_size=1&page_size=2", vec!["page_size"]),
        ("/v1/orders?customer=%FF", vec!["customer"]),
        ("/v1/orders?page_token=nonsense", vec!["page_token"]),
        ("/v1/orders/01M85WT1JVRNXG6PR000000001?x", vec!["x"]),
        ("/v1/events?after=nonsense", vec!["after"]),
        ("/v1/events?limit=-1&type=order.lost", vec!["limit", "type"]),
    ] {
        assert_eq!(engine.get(path).await.fields(), fields, "{path}");
    }
    let body = order("c", &[("A", 1)]);
    assert_eq!(engine.post("/v1/orders?dry_run=maybe", &body).await.fields(), ["dry_run"]);
    for (name, value) in [("idempotency-key", ""), ("idempotency-key", " "), ("idempotency-key", &"k".repeat(129))] {
        assert_eq!(engine.post_with("/v1/orders", &[(name, value)], &body).await.fields(), ["Idempotency-Key"]);
    }
    let raw =
        Request::post("/v1/orders").header("idempotency-key", &b"\xC3\x28"[..]).body(body.clone().into()).unwrap();
    assert_eq!(engine.send(raw).await.fields(), ["idempotency-key"]);
    assert_eq!(engine.get("/v1/orders").await.json()["orders"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_problems() {
    let engine = Engine::start().await;
    for path in [
        "/v2",
        "/v1/orders/",
        "/v1/orders/a/b",
        "/v1/orders/nonsense",
        "/v1/orders/%F0%9F%92%A9",
        "/v1/items/",
        "/favicon.ico",
        "//",
    ] {
        engine.get(path).await.problem(ProblemKind::NotFound);
    }
    for path in ["/v1/orders/%zz", "/v1/orders/%FF", "/%zz", "/v1/%C3%28/x", "/v1/items/%"] {
        engine.get(path).await.problem(ProblemKind::InvalidRequest);
    }
    for (method, path, allow) in [
        (Method::DELETE, "/v1/orders", "GET"),
        (Method::PATCH, "/v1/orders/01M85WT1JVRNXG6PR000000001", "GET"),
        (Method::GET, "/v1/orders/01M85WT1JVRNXG6PR000000001/cancel", "POST"),
        (Method::OPTIONS, "/v1/items/A", "PUT"),
        (Method::POST, "/healthz", "GET"),
        (Method::from_bytes(b"BREW").unwrap(), "/v1/orders", "POST"),
    ] {
        let answer = engine.send(request(method, path, &[], "")).await;
        answer.problem(ProblemKind::MethodNotAllowed);
        assert!(answer.header("allow").contains(allow), "{path}: {answer:?}");
    }
    // GET of `import` asks for an order of that name.
    let answer = engine.get("/v1/orders/import").await;
    answer.problem(ProblemKind::MethodNotAllowed);
}

#[tokio::test]
async fn bodies_of_another_type_are_refused() {
    let engine = Engine::stocked().await;
    let body = order("c", &[("A", 1)]);
    for (name, value) in [
        ("content-type", "text/html"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "json"),
        ("content-encoding", "gzip"),
    ] {
        engine.post_with("/v1/orders", &[(name, value)], &body).await.problem(ProblemKind::UnsupportedMediaType);
    }
    let form = [("content-type", "multipart/form-data; boundary=x")];
    engine.post_with("/v1/orders/import", &form, "").await.problem(ProblemKind::UnsupportedMediaType);
    for value in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.shop+json"] {
        assert_eq!(engine.post_with("/v1/orders", &[("content-type", value)], &body).await.status.as_u16(), 201);
    }
}

#[tokio::test]
async fn bodies_and_heads_that_are_too_large_are_refused() {
    let engine = Engine::stocked().await;
    let large = format!("{{\"customer\":\"{}\"}}", "x".repeat(limits::BODY_BYTES));
    engine.post("/v1/orders", &large).await.problem(ProblemKind::TooLarge);
    // Without a length that says so.
    let pieces = large
        .into_bytes()
        .chunks(10_000)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect::<Vec<_>>();
    let stream = Body::from_stream(futures::stream::iter(pieces));
    engine.send(Request::post("/v1/orders").body(stream).unwrap()).await.problem(ProblemKind::TooLarge);
    let declared = request(Method::POST, "/v1/orders", &[("content-length", "18446744073709551615")], "");
    engine.send(declared).await.problem(ProblemKind::TooLarge);
    let head = "x".repeat(33 << 10);
    engine.post_with("/v1/orders", &[("cookie", &head)], "{}").await.problem(ProblemKind::HeadTooLarge);
}

#[tokio::test]
async fn without_a_store_nothing_is_served() {
    let (_stop, routes) = super::app(Config::new(clock::System::shared()), Backend::default());
    let answer = super::send(&routes, Request::get("/v1/orders").body(Body::empty()).unwrap()).await;
    answer.problem(ProblemKind::Unavailable);
    assert_eq!(answer.header("retry-after"), "1");
    let ready = super::send(&routes, Request::get("/readyz").body(Body::empty()).unwrap()).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (503, &"recovering".into()));
    let alive = super::send(&routes, Request::get("/healthz").body(Body::empty()).unwrap()).await;
    assert_eq!(alive.status.as_u16(), 200);
}

#[tokio::test]
async fn a_key_is_asked_for_where_keys_are_configured() {
    let key = ("0123456789abcdef".to_owned(), "acme".to_owned());
    let engine = Engine::with(1, |config| config.tenants = Tenants::with_keys([key]).unwrap()).await;
    let answer = engine.get("/v1/items").await;
    answer.problem(ProblemKind::Unauthorized);
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    let with = [("authorization", "Bearer 0123456789abcdef")];
    let answer = engine.send(request(Method::PUT, "/v1/items/A", &with, r#"{"on_hand":1}"#)).await;
    assert_eq!(answer.status.as_u16(), 201);
    assert_eq!(engine.get("/healthz").await.status.as_u16(), 200);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Any bytes for any endpoint: a problem or a success, never a failure of the server.
    #[test]
    fn nothing_makes_the_server_fail(bytes: Vec<u8>, cut in 0usize..200, flip in 0usize..200, to: u8) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_stop, routes) = ROUTES.with(Clone::clone);
        let mut damaged = order("c-17", &[("A", 2), ("B", 3)]).into_bytes();
        damaged.truncate(cut);
        if let Some(byte) = damaged.get_mut(flip) {
            *byte = to;
        }
        for body in [bytes, damaged] {
            let wire = crate::body::parse::<crate::wire::Order<'_>>(&body);
            let _ = wire.and_then(|wire| crate::convert::new_order("", Some("k"), wire));
            let line = crate::body::parse::<crate::wire::ImportLine<'_>>(&body);
            let _ = line.and_then(|line| crate::convert::import_action(&"".into(), line));
            let path: String = body.iter().map(|byte| format!("%{byte:02x}")).collect();
            let answer = runtime.block_on(super::send(&routes, Request::get(format!("/v1/items/{path}?{path}")).body(Body::empty()).unwrap()));
            prop_assert!(answer.status.as_u16() < 500 || answer.status.as_u16() == 503);
        }
    }
}

thread_local! {
    static ROUTES: (std::sync::Arc<tokio::sync::watch::Sender<bool>>, axum::Router) = {
        let (stop, routes) = super::app(Config::new(clock::System::shared()), Backend::default());
        (std::sync::Arc::new(stop), routes)
    };
}
