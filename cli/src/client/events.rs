//! The event feed: pages, and the endless stream.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{Method, header};
use ordermill_api::EventPage;

use super::{Client, Error, Request};

impl Client {
    /// A page of events after `after`, or from the oldest that is kept.
    pub async fn events(&self, after: Option<&str>, limit: Option<usize>) -> Result<EventPage, Error> {
        self.call(Request::get("/v1/events").query("after", after).query("limit", limit)).await
    }

    /// Server-Sent Events after `after`: the bytes as they come, without an end.
    pub async fn event_stream(
        &self,
        after: Option<&str>,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + use<>, Error> {
        let mut request = self.builder(Method::GET, "/v1/events").header(header::ACCEPT, "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let response = request.send().await.map_err(|error| self.failure(&error))?;
        let response = self.accept(response).await?;
        let client = self.clone();
        Ok(response.bytes_stream().map(move |bytes| bytes.map_err(|error| client.failure(&error))))
    }
}
