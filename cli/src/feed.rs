//! The event feed as an endless stream: Server-Sent Events, taken up again after the last event
//! whenever the connection ends.

use std::time::Duration;

use futures::StreamExt;
use memchr::memchr2;
use ordermill_api::{Event, Problem};
use ordermill_station::limits;

use crate::client::{Again, Client, Error};

/// The first wait before the feed is opened again; doubles each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The longest wait before the feed is opened again.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A feed that is silent for so long has lost its server, which writes a comment more often.
const SILENCE: Duration = Duration::from_secs(limits::FEED_KEEPALIVE.as_secs() * 3);

/// What is told to whoever follows the feed.
#[derive(Debug)]
pub enum Told<'a> {
    /// An event.
    Event(&'a Event),
    /// The connection ended for this reason and is made again.
    Away(&'a str),
    /// The connection is there again.
    Back,
}

/// Follows the feed after `cursor` until `told` says no, or the server refuses.
pub async fn follow<E>(
    client: &Client,
    mut cursor: Option<String>,
    mut told: impl FnMut(Told<'_>) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<Error>,
{
    let mut wait = BACKOFF_FIRST;
    let mut away = false;
    loop {
        let lost = match client.event_stream(cursor.as_deref()).await {
            Ok(stream) => {
                if std::mem::take(&mut away) {
                    told(Told::Back)?;
                }
                wait = BACKOFF_FIRST;
                read(stream, &mut cursor, &mut told).await?
            }
            Err(error) if error.again() == Again::Never => return Err(error.into()),
            Err(error) => error.to_string(),
        };
        if !std::mem::replace(&mut away, true) {
            told(Told::Away(&lost))?;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BACKOFF_MAX);
    }
}

/// Reads one connection to its end; says why it ended.
async fn read<E: From<Error>>(
    stream: impl futures::Stream<Item = Result<bytes::Bytes, Error>>,
    cursor: &mut Option<String>,
    told: &mut impl FnMut(Told<'_>) -> Result<(), E>,
) -> Result<String, E> {
    let mut stream = std::pin::pin!(stream);
    let mut decoder = Decoder::default();
    loop {
        let bytes = match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(bytes))) => bytes,
            Ok(Some(Err(error))) => return Ok(error.to_string()),
            Ok(None) => return Ok("the server ended the feed".to_owned()),
            Err(_) => return Ok("the feed went silent".to_owned()),
        };
        for message in decoder.take(&bytes) {
            if message.event.as_deref() == Some("problem") {
                return ended(&message.data).map_err(E::from);
            }
            if let Ok(event) = serde_json::from_str::<Event>(&message.data) {
                told(Told::Event(&event))?;
            }
            if message.id.is_some() {
                *cursor = message.id;
            }
        }
    }
}

/// The server has ended the feed with a problem: one that may pass is only a reason to come back.
fn ended(data: &str) -> Result<String, Error> {
    let Ok(problem) = serde_json::from_str::<Problem>(data) else {
        return Ok("the server ended the feed".to_owned());
    };
    let error = Error::Problem { problem: Box::new(problem), retry_after: None };
    if error.again() == Again::Never { Err(error) } else { Ok(error.to_string()) }
}

/// One Server-Sent Event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message {
    event: Option<String>,
    id: Option<String>,
    data: String,
}

/// Bytes into Server-Sent Events, as the HTML standard says (9.2.6).
#[derive(Debug, Default)]
struct Decoder {
    partial: Vec<u8>,
    after_return: bool,
    event: Option<String>,
    id: Option<String>,
    data: Vec<String>,
}

impl Decoder {
    fn take(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut rest = bytes;
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (part, is_return) = (&rest[..end], rest[end] == b'\r');
            let empty_end_of_return = self.after_return && !is_return && part.is_empty() && self.partial.is_empty();
            rest = &rest[end + 1..];
            self.after_return = is_return;
            if empty_end_of_return {
                continue;
            }
            self.partial.extend_from_slice(part);
            let line = std::mem::take(&mut self.partial);
            messages.extend(self.line(&String::from_utf8_lossy(&line)));
        }
        if !rest.is_empty() {
            self.after_return = false;
        }
        self.partial.extend_from_slice(rest);
        messages
    }

    fn line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let (event, id, data) = (self.event.take(), self.id.take(), std::mem::take(&mut self.data));
            return (id.is_some() || !data.is_empty()).then(|| Message { event, id, data: data.join("\n") });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.data.push(value.to_owned()),
            "event" => self.event = Some(value.to_owned()),
            "id" => self.id = Some(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: Option<&str>, id: &str, data: &str) -> Message {
        Message { event: event.map(str::to_owned), id: Some(id.into()), data: data.into() }
    }

    #[test]
    fn only_a_problem_that_stays_ends_it() {
        let problem = |kind| serde_json::to_string(&Problem::new(kind, "why")).unwrap();
        assert!(ended(&problem(ordermill_api::ProblemKind::CursorExpired)).is_err());
        assert!(ended(&problem(ordermill_api::ProblemKind::Unavailable)).is_ok_and(|why| why.contains("why")));
        assert!(ended("?").is_ok());
    }

    #[test]
    fn events_come_out_however_the_bytes_are_cut() {
        let text =
            b": hello\n\nid: 1\nevent: x\ndata: {\"a\":\ndata: 1}\n\nid:2\r\ndata:b\r\n\r\nretry: 5\n\ndata: half";
        let expected = [message(Some("x"), "1", "{\"a\":\n1}"), message(None, "2", "b")];
        assert_eq!(Decoder::default().take(text), expected);
        for size in 1..20 {
            let mut decoder = Decoder::default();
            let messages: Vec<_> = text.chunks(size).flat_map(|part| decoder.take(part)).collect();
            assert_eq!(messages, expected, "cut every {size} bytes");
        }
    }
}
