//! The event feed: pages, or a stream that follows.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ordermill_api as api;
use ordermill_order::Status;
use ordermill_routing::{Error, FeedPage};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::answer;
use crate::app::stopped;
use crate::call::Call;
use crate::openapi::refusals;
use crate::problem::Failure;
use crate::query::Query;
use crate::view::{EventPageView, EventView, event_type};

/// Pages without a wanted event that one request reads before it hands back a cursor.
const PAGES_SKIPPED: usize = 16;

/// Which types of events are wanted; empty: all.
#[derive(Clone, Debug, Default)]
struct Wanted(Vec<String>);

impl Wanted {
    fn parse(text: &str) -> Result<Self, String> {
        let types: Vec<String> = text.split(',').map(str::to_owned).collect();
        match types.iter().find(|name| !known_type(name)) {
            Some(name) => Err(format!("{name:?} is no type of event, such as ordermill.order.confirmed")),
            None => Ok(Self(types)),
        }
    }

    fn keep(&self, page: &mut FeedPage) {
        if !self.0.is_empty() {
            page.events.retain(|event| self.0.iter().any(|wanted| wanted == event_type(&event.subject)));
        }
    }
}

fn known_type(name: &str) -> bool {
    name == "ordermill.item.changed"
        || name
            .strip_prefix("ordermill.order.")
            .is_some_and(|status| status == "updated" || Status::ALL.into_iter().any(|known| known.as_str() == status))
}

/// Read the event feed
///
/// In order within a shard, without a gap. A page, or with `Accept: text/event-stream` a stream of
/// Server-Sent Events that follows the feed: `id` is the cursor, `event` the type, `data` the event. A page
/// that is empty and whose `next` is the cursor that was sent is the end of the feed for now.
#[utoipa::path(
        get,
        path = "/v1/events",
        operation_id = "readEvents",
        tag = "Events",
        params(
            ("after" = Option<String>, Query, description = "The cursor to go on after; without: from the oldest event that is kept"),
            ("limit" = Option<u64>, Query, description = "Events of the page: 100 unless asked otherwise, at most 1,000", maximum = 1000),
            ("type" = Option<String>, Query, description = "Only events of these types, separated by commas", example = "ordermill.order.confirmed"),
            ("Last-Event-ID" = Option<String>, Header, description = "The cursor to go on after, as browsers send it when they connect a stream again; wins over `after`"),
        ),
        responses(
            (status = 200, description = "A page of events, or a stream", content(
                (api::EventPage = "application/json"),
                (String = "text/event-stream"),
            )),
            refusals::Feeds,
        ),
)]
pub(crate) async fn read(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let mut query = Query::of(request.uri());
    let after = query.token("after").map(std::borrow::Cow::into_owned);
    let size = query.rows("limit");
    let wanted = query.parsed("type", Wanted::parse).unwrap_or_default();
    query.check()?;
    if wants_stream(request.headers()) {
        let after = last_event_id(request.headers())?.or(after);
        return follow(call, after, size, wanted).await;
    }
    let mut page = next_page(&call, after.as_deref(), size).await?;
    let mut read = page.events.len();
    wanted.keep(&mut page);
    for _ in 0..PAGES_SKIPPED {
        if read == 0 || !page.events.is_empty() {
            break;
        }
        let next = page.next;
        page = next_page(&call, Some(&next), size).await?;
        read = page.events.len();
        wanted.keep(&mut page);
    }
    let cluster = call.app.config.cluster;
    let events = page.events.iter().map(|event| EventView::of(cluster, event)).collect();
    Ok(answer::of(StatusCode::OK, &EventPageView { events, next: &page.next }))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let says = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/event-stream"));
    headers.get_all(header::ACCEPT).iter().any(says)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(id) = headers.get("last-event-id").filter(|id| !id.is_empty()) else { return Ok(None) };
    let text = id.to_str().map_err(|_| Failure::invalid("Last-Event-ID", "is not a cursor"))?;
    Ok(Some(text.to_owned()))
}

async fn next_page(call: &Call, after: Option<&str>, size: usize) -> Result<FeedPage, Failure> {
    call.router().events(call.tenant.clone(), after, size).await.map_err(|error| match error {
        Error::BadToken(reason) => Failure::invalid("after", reason),
        other => other.into(),
    })
}

/// A stream that follows the feed.
struct Follower {
    call: Call,
    changed: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    size: usize,
    wanted: Wanted,
    /// The page to be written next.
    page: Option<FeedPage>,
    /// Where to go on.
    after: String,
    /// The cursor that the client was told last.
    told: String,
}

/// Answers with a stream. The first page is read before the answer begins, so that a cursor that
/// cannot be followed is a problem and not a stream that ends at once.
async fn follow(call: Call, after: Option<String>, size: usize, wanted: Wanted) -> Result<Response, Failure> {
    let mut changed = call.router().changed();
    changed.borrow_and_update();
    let page = next_page(&call, after.as_deref(), size).await?;
    let stopping = call.app.stopping.clone();
    let told = after.unwrap_or_default();
    let follower = Follower { call, changed, stopping, size, wanted, after: page.next.clone(), page: Some(page), told };
    // The next piece is made only when the last one was taken: a slow reader slows nobody else.
    let pieces = futures::stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        let piece = follower.piece().await;
        let last = piece.is_err();
        let bytes = piece.unwrap_or_else(|bytes| bytes);
        (!bytes.is_empty()).then_some((Ok::<_, std::convert::Infallible>(bytes), (!last).then_some(follower)))
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Follower {
    /// The next piece of the stream; as an error, the last one (empty: nothing more to say).
    async fn piece(&mut self) -> Result<Bytes, Bytes> {
        loop {
            if *self.stopping.borrow() {
                return Err(Bytes::new());
            }
            let mut page = match self.page.take() {
                Some(page) => page,
                None => match next_page(&self.call, Some(&self.after), self.size).await {
                    Ok(page) => page,
                    Err(failure) => return Err(last_words(&failure)),
                },
            };
            let read = page.events.len();
            self.after.clone_from(&page.next);
            self.wanted.keep(&mut page);
            if !page.events.is_empty() {
                return Ok(self.write(&page));
            }
            if read > 0 {
                continue;
            }
            let changed = tokio::select! {
                changed = timeout(self.call.app.config.feed_keepalive, self.changed.changed()) => changed,
                () = stopped(&mut self.stopping) => continue,
            };
            match changed {
                Ok(Ok(())) => {
                    self.changed.borrow_and_update();
                }
                Ok(Err(_)) => return Err(Bytes::new()),
                Err(_) => return Ok(self.keep_alive()),
            }
        }
    }

    fn write(&mut self, page: &FeedPage) -> Bytes {
        let mut out = Vec::with_capacity(page.events.len() * 1_024);
        for event in &page.events {
            let kind = event_type(&event.subject);
            for part in ["id: ", &event.cursor, "\nevent: ", kind, "\ndata: "] {
                out.extend_from_slice(part.as_bytes());
            }
            serde_json::to_writer(&mut out, &EventView::of(self.call.app.config.cluster, event))
                .expect("views have only texts and numbers, and a vector takes them all");
            out.extend_from_slice(b"\n\n");
        }
        if let Some(last) = page.events.last() {
            self.told.clone_from(&last.cursor);
        }
        out.into()
    }

    /// A comment; and where the feed is now, if only unwanted events have moved it.
    fn keep_alive(&mut self) -> Bytes {
        if self.told == self.after {
            return Bytes::from_static(b": keep-alive\n\n");
        }
        self.told.clone_from(&self.after);
        format!(": keep-alive\nid: {}\n\n", self.after).into()
    }
}

/// The problem that ends a stream.
fn last_words(failure: &Failure) -> Bytes {
    let problem = serde_json::to_string(failure.problem()).expect("a problem has only texts and numbers");
    format!("event: problem\ndata: {problem}\n\n").into()
}
