//! The event feed: pages and streams.

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures::StreamExt;
use ordermill_api::{Event, EventPage, ProblemKind};
use tokio::time::timeout;
use tower::ServiceExt;

use super::{DEADLINE, Engine, order};

async fn page(engine: &Engine, query: &str) -> EventPage {
    let answer = engine.get(&format!("/v1/events?{query}")).await;
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let engine = Engine::stocked().await;
    for _ in 0..3 {
        engine.post("/v1/orders", &order("c", &[("A", 1)])).await;
    }
    let all = page(&engine, "").await.events;
    let kinds: Vec<&str> = all.iter().map(|event| event.r#type.as_str()).collect();
    let confirmed = "ordermill.order.confirmed";
    assert_eq!(kinds, ["ordermill.item.changed", "ordermill.item.changed", confirmed, confirmed, confirmed]);
    assert_eq!((all[0].specversion.as_str(), all[0].source.as_str()), ("1.0", "/clusters/1/shards/0"));

    let (mut one_by_one, mut after) = (Vec::new(), String::new());
    loop {
        let page = page(&engine, &format!("limit=1&after={after}")).await;
        if page.events.is_empty() {
            assert_eq!(page.next, after);
            break;
        }
        after = page.next;
        one_by_one.extend(page.events);
    }
    assert_eq!(one_by_one, all);
    let rest = page(&engine, &format!("after={}", all[1].cursor)).await.events;
    assert_eq!(rest, all[2..]);
    let wanted = page(&engine, "limit=1&type=ordermill.order.confirmed,ordermill.order.expired").await.events;
    assert_eq!(wanted[0], all[2]);
}

/// A stream as a browser reads it.
struct Stream {
    data: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(engine: &Engine, last_event_id: Option<&str>) -> Self {
        let mut request = Request::get("/v1/events").header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = engine.routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { data: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next message, comments included; `None` at the end.
    async fn message(&mut self) -> Option<String> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let message = message.to_owned();
                self.text = rest.to_owned();
                return Some(message);
            }
            let piece = timeout(DEADLINE, self.data.next()).await.expect("the stream goes on")?;
            self.text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    }

    async fn event(&mut self) -> Event {
        let message = self.message().await.expect("there is an event");
        let lines: Vec<&str> = message.lines().collect();
        let [id, kind, data] = lines[..] else { panic!("{message}") };
        let event: Event = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(id.strip_prefix("id: "), Some(&*event.cursor));
        assert_eq!(kind.strip_prefix("event: "), Some(&*event.r#type));
        event
    }
}

#[tokio::test]
async fn a_stream_follows_goes_on_where_it_was_and_ends_with_the_server() {
    let engine = Engine::stocked().await;
    let mut stream = Stream::open(&engine, None).await;
    let (first, _) = (stream.event().await, stream.event().await);
    engine.post("/v1/orders", &order("c", &[("A", 1)])).await;
    let new = stream.event().await;
    assert_eq!(new.r#type, "ordermill.order.confirmed");

    let mut again = Stream::open(&engine, Some(&first.cursor)).await;
    again.event().await;
    assert_eq!(again.event().await, new);
    engine.stop.send_replace(true);
    assert_eq!((stream.message().await, again.message().await), (None, None));
}

#[tokio::test]
async fn a_silent_stream_is_kept_open() {
    let engine = Engine::with(1, |config| config.feed_keepalive = std::time::Duration::from_millis(20)).await;
    let mut stream = Stream::open(&engine, None).await;
    let first = stream.message().await.unwrap();
    assert!(first.starts_with(": keep-alive"), "{first}");
    engine.put("/v1/items/A", r#"{"on_hand":1}"#).await;
    let mut message = first;
    while message.starts_with(':') {
        message = stream.message().await.unwrap();
    }
    assert!(message.contains("event: ordermill.item.changed"), "{message}");
}

#[tokio::test]
async fn a_cursor_that_cannot_be_followed_is_a_problem() {
    let engine = Engine::start().await;
    let request = Request::get("/v1/events").header("accept", "text/event-stream").header("last-event-id", "nonsense");
    let answer = engine.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(ProblemKind::InvalidRequest).errors[0].field, "after");
}
