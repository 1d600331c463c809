//! A connection on which bytes are sent as they are: for requests that no client would send, and
//! for streams that are read while they are written.

use std::net::SocketAddr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{Answer, in_time};

/// A connection to a server.
#[derive(Debug)]
pub struct Raw {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    /// What has come and was not taken yet.
    buffer: Vec<u8>,
}

/// The half that reads answers.
#[derive(Debug)]
pub struct RawAnswers {
    read: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Raw {
    /// Connects to the server at `url`.
    pub async fn connect(url: &str) -> Self {
        let address: SocketAddr = url.strip_prefix("http://").expect("a server's URL").parse().expect("an address");
        let stream = in_time("a connection", TcpStream::connect(address)).await.expect("the server accepts");
        let (read, write) = stream.into_split();
        Self { read, write, buffer: Vec::new() }
    }

    /// Sends bytes; an error if the server has had enough of them.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        in_time("bytes to be taken", self.write.write_all(bytes)).await
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        // The server may have closed before.
        let _ = self.write.shutdown().await;
    }

    /// The next answer with its body; none when the server closes the connection instead.
    pub async fn answer(&mut self) -> Option<Answer> {
        let mut answers = Answers { read: &mut self.read, buffer: &mut self.buffer };
        in_time("an answer", answers.answer()).await
    }

    /// The two halves: bytes out, answers in.
    pub fn split(self) -> (OwnedWriteHalf, RawAnswers) {
        (self.write, RawAnswers { read: self.read, buffer: self.buffer })
    }
}

impl RawAnswers {
    /// The head of the next answer, without its body.
    pub async fn head(&mut self) -> Option<Answer> {
        in_time("a head", self.answers().head()).await
    }

    /// The next piece of a body that comes in pieces; empty at its end, none when it breaks off.
    pub async fn piece(&mut self) -> Option<Vec<u8>> {
        in_time("a piece of a body", self.answers().piece()).await
    }

    fn answers(&mut self) -> Answers<'_> {
        Answers { read: &mut self.read, buffer: &mut self.buffer }
    }
}

struct Answers<'c> {
    read: &'c mut OwnedReadHalf,
    buffer: &'c mut Vec<u8>,
}

impl Answers<'_> {
    /// Reads more; false at the end.
    async fn more(&mut self) -> bool {
        matches!(self.read.read_buf(self.buffer).await, Ok(1..))
    }

    /// Takes everything up to and with `end`.
    async fn up_to(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let mut from = 0;
        loop {
            if let Some(at) = self.buffer[from..].windows(end.len()).position(|window| window == end) {
                return Some(self.buffer.drain(..from + at + end.len()).collect());
            }
            from = self.buffer.len().saturating_sub(end.len() - 1);
            if !self.more().await {
                return None;
            }
        }
    }

    async fn exactly(&mut self, bytes: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < bytes {
            if !self.more().await {
                return None;
            }
        }
        Some(self.buffer.drain(..bytes).collect())
    }

    async fn head(&mut self) -> Option<Answer> {
        let head = String::from_utf8(self.up_to(b"\r\n\r\n").await?).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a head: {head}"));
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.parse::<HeaderName>().ok()?, value.trim().parse::<HeaderValue>().ok()?))
        };
        let headers: HeaderMap =
            lines.map(|line| header(line).unwrap_or_else(|| panic!("no header: {line}"))).collect();
        Some(Answer { status, headers, body: String::new() })
    }

    async fn piece(&mut self) -> Option<Vec<u8>> {
        let size = String::from_utf8(self.up_to(b"\r\n").await?).expect("a size is text");
        let size = usize::from_str_radix(size.trim(), 16).expect("a size in hexadecimal");
        let mut piece = self.exactly(size + 2).await?;
        piece.truncate(size);
        Some(piece)
    }

    async fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        let mut body = Vec::new();
        if answer.header("transfer-encoding") == "chunked" {
            loop {
                match self.piece().await? {
                    piece if piece.is_empty() => break,
                    piece => body.extend(piece),
                }
            }
        } else if let Ok(length) = answer.header("content-length").parse() {
            body = self.exactly(length).await?;
        }
        answer.body = String::from_utf8(body).expect("a body is text");
        Some(answer)
    }
}
