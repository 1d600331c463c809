//! The event feed: read in pages, followed as a stream.

use std::collections::{BTreeMap, BTreeSet};

use ordermill_api::{Event, EventData, EventPage, Order};
use reqwest::{Method, Response};

use super::{Http, in_time};

/// All events after `after` (from the oldest without), in pages of `size`.
pub async fn events(http: &Http, after: Option<&str>, size: usize) -> Vec<Event> {
    let (mut all, mut after) = (Vec::new(), after.unwrap_or_default().to_owned());
    loop {
        let page: EventPage = http.get(&format!("/v1/events?limit={size}&after={after}")).await.expect(200).json();
        assert!(page.events.len() <= size, "a page is no larger than asked for");
        if page.events.is_empty() && page.next == after {
            return all;
        }
        all.extend(page.events);
        after = page.next;
    }
}

/// Checks that the events tell every version of every order once, and nothing else.
///
/// # Panics
///
/// When one is missing, there twice, or of no order.
pub fn check_complete(events: &[Event], orders: &[Order]) {
    let mut ids = BTreeSet::new();
    let mut told: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for event in events {
        assert!(ids.insert((&event.source, &event.id)), "event {} is there twice", event.id);
        let EventData::Order(order) = &event.data else { continue };
        let (count, version) = told.entry(&event.subject).or_default();
        assert!(*version <= order.version, "order {} goes back in time", event.subject);
        (*count, *version) = (*count + 1, order.version);
    }
    let id = |order: &'_ Order| order.id.clone().expect("an order has an id");
    assert_eq!(told.len(), orders.len(), "every order is in the feed, and no other");
    for order in orders {
        let counted = told.get(&*id(order));
        assert_eq!(counted, Some(&(order.version, order.version)), "events and version of {}", id(order));
    }
}

/// Checks that two readers have seen the same, in the same order within each shard.
///
/// # Panics
///
/// When they have not.
pub fn check_same(one: &[Event], other: &[Event]) {
    let by_shard = |events: &[Event]| {
        let mut shards: BTreeMap<String, Vec<(String, Option<String>)>> = BTreeMap::new();
        for event in events {
            let data = serde_json::to_string(&event.data).ok();
            shards.entry(event.source.clone()).or_default().push((event.id.clone(), data));
        }
        shards
    };
    assert_eq!(by_shard(one), by_shard(other));
}

/// A stream of the feed.
#[derive(Debug)]
pub struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    /// Connects after the event `last` (from the oldest without).
    pub async fn open(http: &Http, last: Option<&str>) -> Self {
        let mut request = http.request(Method::GET, "/v1/events?limit=7").header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = in_time("a stream", request.send()).await.expect("the server answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; none when the stream has ended or was cut.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = parse(block.trim_end()) {
                    return Some(event);
                }
            }
            let piece = in_time("an event", self.response.chunk()).await.ok()??;
            self.text.push_str(std::str::from_utf8(&piece).expect("events are pieces of whole texts"));
        }
    }
}

/// An event as the stream writes it; none for a comment.
fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let event: Event = serde_json::from_str(field("data")?).expect("the data is an event");
    assert_eq!(field("id"), Some(&*event.cursor), "the id is the cursor");
    assert_eq!(field("event"), Some(&*event.r#type));
    Some(event)
}
