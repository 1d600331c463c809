//! A keep-alive HTTP/1.1 connection that costs little: it shares the machine with what it measures.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    /// Bytes of the head.
    bytes: usize,
    /// Bytes of the body; `None` for one in chunks.
    length: Option<usize>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    request: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("{address} does not answer"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10), request: Vec::with_capacity(1 << 10) })
    }

    /// Sends a request and reads its answer: the status and the body.
    pub(crate) async fn call(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<(u16, &[u8])> {
        use std::io::Write as _;
        self.request.clear();
        // Not of nothing: a peer refuses that.
        let of_body = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{of_body}{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        self.stream.write_all(&self.request).await?;
        self.buffer.clear();
        let head = self.head().await?;
        let length = head.length.context("the answer has no length")?;
        while self.buffer.len() < head.bytes + length {
            self.more().await?;
        }
        Ok((head.status, &self.buffer[head.bytes..head.bytes + length]))
    }

    /// The parts of a connection whose answer comes while its request is still being sent.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server has closed the connection");
        }
        Ok(())
    }

    async fn head(&mut self) -> Result<Head> {
        loop {
            if let Some(head) = parse_head(&self.buffer)? {
                return Ok(head);
            }
            self.more().await?;
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.context("the answer has no status")?;
    let declared = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let declared = declared.map(|header| anyhow::Ok(std::str::from_utf8(header.value)?.parse()?)).transpose()?;
    Ok(Some(Head { status, bytes: length, length: declared }))
}

/// Takes the body out of an answer in chunks (RFC 9112, section 7.1), piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    raw: Vec<u8>,
    in_body: bool,
    /// Bytes of the current chunk that have not come yet, with its line end.
    left: usize,
    /// The last chunk has come.
    pub(crate) ended: bool,
}

impl Chunked {
    /// Takes bytes as they came and gives what of the body is in them. Fails when the answer is no success.
    pub(crate) fn take(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<()> {
        self.raw.extend_from_slice(bytes);
        let mut at = 0;
        if !self.in_body {
            let Some(head) = parse_head(&self.raw)? else { return Ok(()) };
            if head.status != 200 {
                bail!("the import was refused: {}", String::from_utf8_lossy(&self.raw));
            }
            (at, self.in_body) = (head.bytes, true);
        }
        while at < self.raw.len() && !self.ended {
            if self.left > 0 {
                let piece = self.left.min(self.raw.len() - at);
                // The last two bytes of a chunk are its line end.
                body.extend_from_slice(&self.raw[at..at + piece.min(self.left.saturating_sub(2))]);
                at += piece;
                self.left -= piece;
                continue;
            }
            let Some(end) = memchr::memmem::find(&self.raw[at..], b"\r\n") else { break };
            let size = std::str::from_utf8(&self.raw[at..at + end])?;
            let size =
                usize::from_str_radix(size.trim(), 16).with_context(|| format!("{size:?} is no chunk's size"))?;
            at += end + 2;
            (self.left, self.ended) = (size + 2, size == 0);
        }
        self.raw.drain(..at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_however_they_are_cut() {
        let answer =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n0\r\n\r\n";
        for size in 1..answer.len() {
            let (mut chunked, mut body) = (Chunked::default(), Vec::new());
            for piece in answer.chunks(size) {
                chunked.take(piece, &mut body).expect("it is well formed");
            }
            assert_eq!((String::from_utf8_lossy(&body).as_ref(), chunked.ended), ("hello, world", true), "{size}");
        }
    }
}
