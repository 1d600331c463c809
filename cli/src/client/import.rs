//! The bulk import: a body that streams out while results stream in.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryFutureExt};
use http::{Method, header};

use super::{Client, Error};

impl Client {
    /// Sends `body`, NDJSON of [`ordermill_api::ImportLine`], and returns the bytes of the results
    /// as they come. Ends when the server has answered every line; fails when the connection does.
    pub fn import<S>(&self, body: S) -> impl Stream<Item = Result<Bytes, Error>> + use<S>
    where
        S: Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
    {
        let client = self.clone();
        let sending = async move {
            let request = client
                .builder(Method::POST, "/v1/orders/import")
                .header(header::CONTENT_TYPE, "application/x-ndjson")
                .header(header::ACCEPT, "application/x-ndjson")
                .body(reqwest::Body::wrap_stream(body));
            let response = request.send().await.map_err(|error| client.failure(&error))?;
            let response = client.accept(response).await?;
            Ok(response.bytes_stream().map(move |bytes| bytes.map_err(|error| client.failure(&error))))
        };
        sending.try_flatten_stream()
    }
}
