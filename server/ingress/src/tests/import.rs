//! Imports: every line has its result, whatever the line and however the stream is cut.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use futures::StreamExt;
use ordermill_api::{ImportResult, ImportStatus, ProblemKind, Status};
use ordermill_station::limits;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tower::ServiceExt;

use super::{DEADLINE, Engine};

fn line(customer: &str, reference: &str, sku: &str, quantity: u64) -> String {
    format!(
        r#"{{"customer":"{customer}","reference":"{reference}","lines":[{{"sku":"{sku}","quantity":{quantity},"unit_price":{{"amount":1,"currency":"GBP"}}}}]}}"#
    )
}

fn credit(customer: &str, reference: &str, sku: &str, quantity: u64) -> String {
    format!(
        r#"{{"type":"credit","customer":"{customer}","reference":"{reference}","lines":[{{"sku":"{sku}","quantity":{quantity}}}]}}"#
    )
}

async fn import(engine: &Engine, body: impl Into<Body>) -> Vec<ImportResult> {
    let answer = engine.send(Request::post("/v1/orders/import").body(body.into()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = std::str::from_utf8(&answer.body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn every_line_has_its_result_in_order() {
    let engine = Engine::stocked().await;
    let lines = [
        line("c", "r-1", "A", 2),
        String::new(),
        "nonsense".to_owned(),
        line("c", "r\\u002d2", "A", 3),
        line("c", "", "A", 1),
        line("c", "r-3", "none", 1),
        line("c", "r-4", "A", 1_000).replace("\"lines\"", "\"placed_at\":\"2010-12-01T08:26:00Z\",\"lines\""),
        line("c", "r-5", "A", 1).replace("\"lines\"", "\"fulfilled\":true,\"type\":\"order\",\"lines\""),
        line("c", "r-1", "B", 9),
        "  \t\r".to_owned(),
        credit("c", "r-6", "A", 4),
        line("c", "r-7", "B", 1).replace("\"lines\"", "\"restock\":true,\"type\":\"order\",\"lines\""),
        line("c", "r-8", "B", 1).replace("\"lines\"", "\"type\":\"gift\",\"lines\""),
        "{\"reference\":\"r-9\",\"lines\":7}".to_owned(),
    ];
    let results = import(&engine, lines.join("\n")).await;
    let short: Vec<_> =
        results.iter().map(|result| (result.line, result.result, result.reference.as_deref())).collect();
    use ImportStatus::{Created, Duplicate, Refused};
    assert_eq!(
        short,
        [
            (1, Created, Some("r-1")),
            (3, Refused, None),
            (4, Created, Some("r-2")),
            (5, Refused, Some("")),
            (6, Refused, Some("r-3")),
            (7, Created, Some("r-4")),
            (8, Created, Some("r-5")),
            (9, Duplicate, Some("r-1")),
            (11, Created, Some("r-6")),
            (12, Refused, Some("r-7")),
            (13, Refused, Some("r-8")),
            (14, Refused, Some("r-9")),
        ]
    );
    let status: Vec<_> = results.iter().map(|result| result.status).collect();
    assert_eq!(status[0], Some(Status::Confirmed));
    assert_eq!((status[5], status[6]), (Some(Status::Rejected), Some(Status::Fulfilled)));
    assert_eq!(results[7].id, results[0].id);
    assert_eq!(results[4].problem, Some(ProblemKind::UnknownSku.uri()));
    assert_eq!(results[4].errors[0].field, "lines[0].sku");
    assert_eq!(results[9].errors[0].field, "restock");
    // The newest order first: what has left comes back, what is open is cancelled.
    let from: Vec<_> = results[8].credited.iter().map(|credited| credited.id.as_str()).collect();
    assert_eq!(from, [results[6].id.as_deref().unwrap(), results[2].id.as_deref().unwrap()]);
    assert_eq!((results[8].unmatched, results[8].credited[0].returned[0].quantity), (Some(0), 1));
    let placed = engine.get(&format!("/v1/orders/{}", results[5].id.as_deref().unwrap())).await.json();
    assert_eq!(placed["created_at"], "2010-12-01T08:26:00.000Z");

    // Once more: nothing changes.
    let before = engine.get("/v1/items/A").await.body;
    let again = import(&engine, lines.join("\r\n")).await;
    assert!(again.iter().all(|result| result.result != Created), "{again:?}");
    assert_eq!(engine.get("/v1/items/A").await.body, before);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_refused_and_skipped() {
    let engine = Engine::stocked().await;
    let long = line("c", &"x".repeat(limits::IMPORT_LINE_BYTES), "A", 1);
    let body = [line("c", "r-1", "A", 1), long.clone(), line("c", "r-2", "A", 1), long].join("\n");
    let pieces: Vec<_> =
        body.into_bytes().chunks(60_000).map(Bytes::copy_from_slice).map(Ok::<_, std::io::Error>).collect();
    let results = import(&engine, Body::from_stream(futures::stream::iter(pieces))).await;
    let short: Vec<_> = results.iter().map(|result| (result.line, result.result == ImportStatus::Created)).collect();
    assert_eq!(short, [(1, true), (2, false), (3, true), (4, false)]);
    assert_eq!(results[1].problem, Some(ProblemKind::TooLarge.uri()));
}

#[tokio::test]
async fn many_chunks_keep_their_order_with_one_shard_and_with_many() {
    for shards in [1, 8] {
        let engine = Engine::with(shards, |_| ()).await;
        for sku in 0..10 {
            engine.put(&format!("/v1/items/s-{sku}"), r#"{"on_hand":1000000}"#).await;
        }
        let count = 5_000u64;
        let mut body = String::new();
        for number in 0..count {
            let customer = format!("c-{}", number % 50);
            // Every seventh line gives back what the customer's order 50 lines before has taken.
            let text = match number {
                50.. if number % 7 == 0 => credit(&customer, &format!("r-{number}"), &format!("s-{}", number % 10), 1),
                _ => line(&customer, &format!("r-{number}"), &format!("s-{}", number % 10), 1),
            };
            body.push_str(&text);
            body.push('\n');
        }
        let results = import(&engine, body).await;
        assert_eq!(results.len() as u64, count);
        for (number, result) in results.iter().enumerate() {
            assert_eq!(result.line, number as u64 + 1);
            assert_eq!(result.reference.as_deref(), Some(&*format!("r-{number}")));
            assert_eq!((result.result, result.unmatched.unwrap_or_default()), (ImportStatus::Created, 0), "{result:?}");
        }
    }
}

/// An import that is sent and read line by line.
struct Talk {
    lines: mpsc::Sender<Result<Bytes, std::io::Error>>,
    results: axum::body::BodyDataStream,
}

impl Talk {
    async fn begin(engine: &Engine) -> Self {
        let (lines, stream) = mpsc::channel(1);
        let body = Body::from_stream(ReceiverStream::new(stream));
        let request = Request::post("/v1/orders/import").body(body).unwrap();
        let response = timeout(DEADLINE, engine.routes.clone().oneshot(request)).await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self { lines, results: response.into_body().into_data_stream() }
    }

    async fn say(&self, text: &str) {
        self.lines.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).await.unwrap();
    }

    async fn hear(&mut self) -> Option<Result<Bytes, axum::Error>> {
        timeout(DEADLINE, self.results.next()).await.expect("the answer goes on")
    }
}

#[tokio::test]
async fn results_come_while_lines_are_still_sent() {
    let engine = Engine::stocked().await;
    let mut talk = Talk::begin(&engine).await;
    for number in 1..=3 {
        talk.say(&line("c", &format!("r-{number}"), "A", 1)).await;
        talk.say("\n").await;
        let result: ImportResult = serde_json::from_slice(&talk.hear().await.unwrap().unwrap()).unwrap();
        assert_eq!(result.line, number);
    }
    drop(talk.lines);
    assert!(talk.results.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_not_taken_for_whole() {
    let engine = Engine::with(1, |config| config.body_idle = std::time::Duration::from_millis(50)).await;
    engine.put("/v1/items/A", r#"{"on_hand":10}"#).await;
    // It stops arriving: what was whole is answered, and the answer ends with an error.
    let mut talk = Talk::begin(&engine).await;
    talk.say(&format!("{}\n{}", line("c", "r-1", "A", 1), line("c", "r-2", "A", 1))).await;
    assert!(talk.hear().await.unwrap().is_ok());
    assert!(talk.hear().await.unwrap().is_err());
    // It breaks.
    let mut talk = Talk::begin(&engine).await;
    talk.lines.send(Err(std::io::Error::other("gone"))).await.unwrap();
    assert!(talk.hear().await.unwrap().is_err());
    // The server stops.
    let mut talk = Talk::begin(&engine).await;
    engine.stop.send_replace(true);
    assert!(talk.hear().await.unwrap().is_err());
    assert_eq!(engine.get("/v1/items/A").await.json()["held"], 1);
}
