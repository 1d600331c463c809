//! The import over HTTP: answered while it is sent, the same however often it is sent, in memory
//! that does not grow with it.

use std::collections::BTreeMap;
use std::time::Duration;

use ordermill_api::{ImportResult, ImportStatus, ProblemKind};
use ordermill_tests::process::{Raw, RawAnswers, Server, Settings, audit, in_time};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::timeout;

/// Lines of the long import.
const LONG: u64 = 100_000;
/// Memory by which the server may grow over the last two thirds of it, in KiB: the caches fill,
/// and the allocator keeps what it has. An answer or a line kept each would be ten times that.
const GROWTH_KIB: u64 = 48 << 10;
/// Bytes that a client which reads nothing may get rid of: the buffers of two sockets, and what
/// the server reads ahead.
const UNREAD_BYTES: u64 = 64 << 20;
/// How long nothing moves before the server counts as holding back.
const HELD_BACK: Duration = Duration::from_secs(3);

fn line(number: u64) -> String {
    let line =
        json!({"sku": format!("sku-{}", number % 7), "quantity": 1, "unit_price": {"amount": 100, "currency": "GBP"}});
    json!({"customer": format!("c-{}", number % 1_000), "reference": format!("r-{number}"), "lines": [line]})
        .to_string()
}

async fn shop(shards: u32) -> (TempDir, Server) {
    let dir = TempDir::new().expect("a directory can be made");
    let server = Server::start(Settings::small(dir.path().join("data"), shards)).await;
    for number in 0..7 {
        let body = json!({"on_hand": 10_000_000});
        server.http().put(&format!("/v1/items/sku-{number}"), &body).await.expect(201);
    }
    (dir, server)
}

/// An import under way: lines go out, results come in.
struct Import {
    out: OwnedWriteHalf,
    results: Results,
}

struct Results {
    answers: RawAnswers,
    text: Vec<u8>,
    ended: bool,
}

impl Import {
    async fn begin(server: &Server) -> Self {
        let mut raw = Raw::connect(&server.url()).await;
        let head = "POST /v1/orders/import HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        raw.send(head.as_bytes()).await.expect("the server listens");
        let (out, mut answers) = raw.split();
        let head = answers.head().await.expect("an answer begins before the request has ended").expect(200);
        assert_eq!(head.header("content-type"), "application/x-ndjson");
        Self { out, results: Results { answers, text: Vec::new(), ended: false } }
    }

    async fn send(&mut self, lines: &str) {
        in_time("lines to be taken", self.out.write_all(&chunk(lines))).await.expect("the server takes lines");
    }

    async fn finish(&mut self) {
        in_time("the end to be taken", self.out.write_all(b"0\r\n\r\n")).await.expect("the server takes the end");
    }
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

impl Results {
    /// The next result; none at the end of the answer, which must be whole.
    async fn next(&mut self) -> Option<ImportResult> {
        loop {
            if let Some(at) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=at).collect();
                return Some(serde_json::from_slice(&line).expect("a result per line"));
            }
            if self.ended {
                assert!(self.text.is_empty(), "half a result");
                return None;
            }
            let piece = self.answers.piece().await.expect("the answer does not break off");
            self.ended = piece.is_empty();
            self.text.extend(piece);
        }
    }

    async fn rest(&mut self) -> Vec<ImportResult> {
        let mut all = Vec::new();
        while let Some(result) = self.next().await {
            all.push(result);
        }
        all
    }
}

/// Sends everything at once.
async fn import(server: &Server, lines: &str) -> Vec<ImportResult> {
    let mut import = Import::begin(server).await;
    import.send(lines).await;
    import.finish().await;
    import.results.rest().await
}

#[tokio::test]
async fn answers_come_while_lines_are_sent() {
    for shards in [1, 64] {
        let (_dir, server) = shop(shards).await;
        let mut import = Import::begin(&server).await;
        for number in 0..20 {
            // A line alone, and several; the next are sent once these have their answers.
            let count = 1 + number % 3 * 5;
            let lines: String = (0..count).map(|at| line(number * 100 + at) + "\n").collect();
            import.send(&lines).await;
            for at in 0..count {
                let result = import.results.next().await.expect("a result while the request goes on");
                let expected = (ImportStatus::Created, Some(format!("r-{}", number * 100 + at)));
                assert_eq!((result.result, result.reference), expected);
            }
        }
        // The last line needs no line end.
        import.send(&line(7_000)).await;
        import.finish().await;
        assert_eq!(import.results.rest().await.len(), 1);
        audit(&server.url()).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn bad_lines_are_refused_and_the_rest_goes_on() {
    for shards in [1, 64] {
        let (_dir, server) = shop(shards).await;
        let bad = [
            ("nonsense".to_owned(), ProblemKind::InvalidRequest, "body"),
            ("{}".to_owned(), ProblemKind::InvalidRequest, "reference"),
            ("[".repeat(50_000), ProblemKind::InvalidRequest, "body"),
            (line(1).replace("\"quantity\":1", "\"quantity\":-1"), ProblemKind::InvalidRequest, "lines[0].quantity"),
            (line(1).replace("sku-1", "none"), ProblemKind::UnknownSku, "lines[0].sku"),
            (line(1).replace("\"lines\"", "\"colour\":1,\"lines\""), ProblemKind::InvalidRequest, "colour"),
            (line(1).replace("\"lines\"", "\"placed_at\":\"now\",\"lines\""), ProblemKind::InvalidRequest, "placed_at"),
            ("x".repeat((1 << 20) + 1), ProblemKind::TooLarge, ""),
        ];
        let text: Vec<_> =
            (0..).zip(&bad).map(|(number, (bad, ..))| format!("{}\n\n{bad}\r\n", line(100 + number))).collect();
        let results = import(&server, &text.concat()).await;
        assert_eq!(results.len(), bad.len() * 2);
        for (number, (pair, (_, kind, field))) in (0..).zip(results.chunks(2).zip(&bad)) {
            // A good line, a blank one that counts, and a bad one.
            assert_eq!((pair[0].line, pair[0].result), (number * 3 + 1, ImportStatus::Created), "{pair:?}");
            assert_eq!((pair[1].line, pair[1].result), (number * 3 + 3, ImportStatus::Refused), "{pair:?}");
            assert_eq!(pair[1].problem, Some(kind.uri()), "{pair:?}");
            assert!(pair[1].detail.is_some() && pair[1].id.is_none(), "{pair:?}");
            let named = pair[1].errors.first().map_or("", |error| &*error.field);
            assert_eq!(named, *field, "{pair:?}");
        }
        assert_eq!(server.http().orders().await.len(), bad.len());
        audit(&server.url()).await;
        let log = server.log();
        assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
        server.stop().await;
    }
}

#[tokio::test]
async fn an_import_sent_again_is_all_duplicates() {
    for shards in [1, 64] {
        let (_dir, mut server) = shop(shards).await;
        let text: String = (0..3_000).map(|number| line(number) + "\n").collect();
        let first = import(&server, &text).await;
        assert!(first.iter().all(|result| result.result == ImportStatus::Created));
        let ids: BTreeMap<_, _> = first.into_iter().map(|result| (result.line, result.id)).collect();
        let before = (server.http().items().await, server.http().orders().await);
        for crash in [false, true] {
            if crash {
                server.kill().await;
                server.restart().await;
            }
            let again = import(&server, &text).await;
            assert_eq!(again.len(), ids.len());
            for result in again {
                assert_eq!((result.result, &result.id), (ImportStatus::Duplicate, &ids[&result.line]), "{result:?}");
            }
            assert!((server.http().items().await, server.http().orders().await) == before, "nothing has changed");
        }
        audit(&server.url()).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_import() {
    let (_dir, server) = shop(1).await;
    let Import { mut out, mut results } = Import::begin(&server).await;
    let sender = tokio::spawn(async move {
        for from in (0..LONG).step_by(500) {
            let lines: String = (from..from + 500).map(|number| line(number) + "\n").collect();
            in_time("lines to be taken", out.write_all(&chunk(&lines))).await.expect("the server takes lines");
        }
        out.write_all(b"0\r\n\r\n").await.expect("the server takes the end");
        out
    });
    let (mut third, mut most) = (0, 0);
    for number in 0..LONG {
        let result = results.next().await.expect("a result for every line");
        assert_eq!((result.line, result.result), (number + 1, ImportStatus::Created), "{result:?}");
        if number == LONG / 3 {
            third = server.resident_kib();
        }
        if number > LONG / 3 && number % 1_000 == 0 {
            most = most.max(server.resident_kib());
        }
    }
    assert!(results.next().await.is_none());
    drop(in_time("the end of the request", sender).await.expect("the sender does not fail"));
    println!("{third} KiB after a third, {most} KiB at most after that");
    assert!(most < third + GROWTH_KIB, "memory grew from {third} KiB to {most} KiB");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_held_back() {
    let (_dir, server) = shop(1).await;
    let Import { mut out, mut results } = Import::begin(&server).await;
    let before = server.resident_kib();
    // Refused lines cost little and are answered at length.
    let lines = chunk(&"{\"reference\":7}\n".repeat(2_000));
    let mut sent = 0;
    let mut left: &[u8] = &lines;
    loop {
        // The server is held back once nothing moves.
        match timeout(HELD_BACK, out.write(left)).await {
            Ok(written) => {
                let written = written.expect("the server keeps the connection");
                (sent, left) = (sent + written as u64, &left[written..]);
                if left.is_empty() {
                    left = &lines;
                }
            }
            Err(_) => break,
        }
        assert!(sent < UNREAD_BYTES, "the server has taken {sent} bytes and nobody has read an answer");
    }
    let grown = server.resident_kib().saturating_sub(before);
    println!("{sent} bytes were taken, memory grew by {grown} KiB");
    assert!(grown < GROWTH_KIB, "memory grew by {grown} KiB");
    // Others are served meanwhile, and the client may go on where it was.
    server.http().get("/v1/items").await.expect(200);
    let reader = tokio::spawn(async move {
        let mut count = 0u64;
        while let Some(result) = results.next().await {
            count += 1;
            assert_eq!((result.line, result.result), (count, ImportStatus::Refused));
        }
        count
    });
    in_time("the rest of a chunk to be taken", out.write_all(left)).await.expect("the server goes on");
    in_time("the end to be taken", out.write_all(b"0\r\n\r\n")).await.expect("the server takes the end");
    let count = in_time("all results", reader).await.expect("no result is missing");
    assert!(count > 0 && count.is_multiple_of(2_000), "{count} results");
    server.stop().await;
}
