//! Bulk imports: lines out, results in, both at once over one connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use memchr::{memchr_iter, memmem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::client::{Chunked, Connection};

/// Bytes of a chunk of lines.
const CHUNK_BYTES: usize = 128 << 10;

/// What became of the lines.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Lines with a result.
    pub(crate) count: u64,
    /// Orders by status; refused lines by `refused`.
    pub(crate) statuses: BTreeMap<String, u64>,
    /// From the first byte sent to the last result.
    pub(crate) took: Duration,
}

/// Sends what `line` writes for each of `numbers`, and says how many results have come.
#[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
pub(crate) async fn run<N: Send + 'static>(
    address: SocketAddr,
    numbers: impl Iterator<Item = N> + Send + 'static,
    mut line: impl FnMut(&mut String, N) + Send + 'static,
    progress: impl Fn(u64),
) -> Result<Outcome> {
    let (chunks, mut waiting) = mpsc::channel::<String>(8);
    let writer = tokio::task::spawn_blocking(move || {
        let mut text = String::with_capacity(CHUNK_BYTES + 4_096);
        for number in numbers {
            line(&mut text, number);
            text.push('\n');
            if text.len() >= CHUNK_BYTES && chunks.blocking_send(std::mem::take(&mut text)).is_err() {
                return;
            }
        }
        if !text.is_empty() {
            // A receiver that is gone has said why.
            let _ = chunks.blocking_send(text);
        }
    });
    let begun = Instant::now();
    let (mut from, mut to) = Connection::open(address).await?.into_stream().into_split();
    let send = async move {
        let head = "POST /v1/orders/import HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        to.write_all(head.as_bytes()).await?;
        while let Some(chunk) = waiting.recv().await {
            to.write_all(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()).await?;
        }
        to.write_all(b"0\r\n\r\n").await?;
        // Closing this half would tell the server that the client has gone.
        anyhow::Ok(to)
    };
    let receive = async {
        let mut outcome = Outcome::default();
        let (mut chunked, mut lines, mut raw) = (Chunked::default(), Vec::new(), Vec::with_capacity(256 << 10));
        while !chunked.ended {
            raw.clear();
            if from.read_buf(&mut raw).await? == 0 {
                bail!("the server ended the import after {} results", outcome.count);
            }
            chunked.take(&raw, &mut lines)?;
            tally(&mut lines, &mut outcome);
            progress(outcome.count);
        }
        Ok(outcome)
    };
    let (sent, received) = tokio::join!(send, receive);
    let mut outcome = received?;
    sent?;
    writer.await?;
    outcome.took = begun.elapsed();
    Ok(outcome)
}

/// Counts whole lines and keeps the rest.
fn tally(lines: &mut Vec<u8>, outcome: &mut Outcome) {
    let mut begin = 0;
    for end in memchr_iter(b'\n', lines) {
        let line = &lines[begin..end];
        begin = end + 1;
        outcome.count += 1;
        let mark: &[u8] = br#""status":""#;
        let status = memmem::find(line, mark).and_then(|at| line[at + mark.len()..].split(|byte| *byte == b'"').next());
        let status = status.map_or("refused".into(), String::from_utf8_lossy);
        match outcome.statuses.get_mut(status.as_ref()) {
            Some(count) => *count += 1,
            None => drop(outcome.statuses.insert(status.into_owned(), 1)),
        }
    }
    lines.drain(..begin);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_counted() {
        let mut outcome = Outcome::default();
        let mut lines = b"{\"result\":\"created\",\"status\":\"confirmed\"}\n{\"result\":\"refused\"}\n{\"res".to_vec();
        tally(&mut lines, &mut outcome);
        assert_eq!((outcome.count, lines.as_slice()), (2, b"{\"res".as_slice()));
        assert_eq!(outcome.statuses, BTreeMap::from([("confirmed".into(), 1), ("refused".into(), 1)]));
    }
}
