//! The listener: what only a real connection shows.

use std::net::SocketAddr;
use std::time::Duration;

use ordermill_admission::Admission;
use ordermill_api::ProblemKind;
use ordermill_station::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{DEADLINE, Engine, order};
use crate::{Config, serve};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(engine: &Engine, change: impl FnOnce(&mut Config)) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = Config::new(clock::System::shared());
    change(&mut config);
    let (stop, stopped) = oneshot::channel::<()>();
    let admission = Admission::new(ordermill_admission::Config::default());
    let shutdown = async move { drop(stopped.await) };
    let task = tokio::spawn(serve(config, listener, engine.backend.clone(), admission, shutdown));
    Server { address, stop, task }
}

async fn connect(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the server closes");
    drop(read);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `text` has come.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        let mut piece = [0; 4_096];
        let read = timeout(DEADLINE, stream.read(&mut piece)).await.expect("there is more").unwrap();
        assert!(read > 0, "{text:?} has not come: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn post(body: &str, length: usize) -> String {
    format!("POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let engine = Engine::stocked().await;
    let server = start(&engine, |_| ()).await;
    let body = order("c", &[("A", 1)]);
    let two = post(&body, body.len()).repeat(2);
    let mut stream = connect(&server, &two).await;
    let first = until(&mut stream, "confirmed").await;
    assert!(first.starts_with("HTTP/1.1 201 Created\r\n"), "{first}");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.ends_with(r#"{"status":"ok"}"#));
}

#[tokio::test]
async fn slow_heads_and_bodies_do_not_hold_a_connection() {
    let engine = Engine::stocked().await;
    let short = Duration::from_millis(100);
    let server = start(&engine, |config| (config.head_timeout, config.body_idle) = (short, short)).await;
    assert_eq!(rest(&mut connect(&server, "").await).await, "");
    assert_eq!(rest(&mut connect(&server, "GET /healthz HTT").await).await, "");
    let slow = until(&mut connect(&server, &post("{\"customer\":", 100)).await, "}").await;
    assert!(slow.contains(&ProblemKind::RequestTimeout.uri()) && slow.starts_with("HTTP/1.1 408 "), "{slow}");
    let chunked = "POST /v1/orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let broken = until(&mut connect(&server, &format!("{chunked}zz\r\n")).await, "}").await;
    assert!(broken.contains(&ProblemKind::InvalidRequest.uri()), "{broken}");
    assert_eq!(engine.get("/v1/orders").await.json()["orders"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn connections_are_bounded() {
    let engine = Engine::start().await;
    let server = start(&engine, |config| config.connections = 1).await;
    let ask = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = connect(&server, ask).await;
    until(&mut first, "ok").await;
    let mut second = connect(&server, ask).await;
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(100), second.read(&mut byte)).await.is_err());
    drop(first);
    until(&mut second, "ok").await;
}

#[tokio::test]
async fn http_2_is_understood() {
    let engine = Engine::start().await;
    let server = start(&engine, |_| ()).await;
    let mut stream = connect(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut frame = [0; 9];
    timeout(DEADLINE, stream.read_exact(&mut frame)).await.unwrap().unwrap();
    assert_eq!(frame[3], 4, "the server answers with its settings");
}

#[tokio::test]
async fn stopping_finishes_what_runs_and_takes_nothing_more() {
    let engine = Engine::stocked().await;
    let server = start(&engine, |_| ()).await;
    let ask = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let (mut idle, mut late) = (connect(&server, ask).await, connect(&server, ask).await);
    until(&mut idle, "ok").await;
    assert!(!until(&mut late, "ok").await.contains("connection: close"));
    let mut feed = connect(&server, "GET /v1/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n").await;
    until(&mut feed, "data: ").await;
    let body = order("c", &[("A", 1)]);
    let (begin, end) = body.split_at(20);
    let mut running = connect(&server, &format!("{}{begin}", post("", body.len()))).await;
    // The body is asked for only once the request runs.
    let head = "POST /v1/orders HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let mut other = connect(&server, head).await;
    until(&mut other, "100 Continue").await;

    server.stop.send(()).unwrap();
    // The stream ends in order.
    until(&mut feed, "0\r\n\r\n").await;
    // By now it is stopping. Who has not heard of it and sends is answered.
    late.write_all(post(&body, body.len()).as_bytes()).await.unwrap();
    let answer = rest(&mut late).await;
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("connection: close"), "{answer}");
    assert_eq!(rest(&mut idle).await, "");
    running.write_all(end.as_bytes()).await.unwrap();
    let answer = rest(&mut running).await;
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("connection: close"), "{answer}");
    other.write_all(b"{}").await.unwrap();
    assert!(rest(&mut other).await.contains("HTTP/1.1 400 "));
    timeout(DEADLINE, server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn what_does_not_end_is_cut() {
    let engine = Engine::stocked().await;
    let server = start(&engine, |config| config.drain = Duration::from_millis(100)).await;
    let mut stuck = connect(&server, &post("{", 100)).await;
    until(&mut connect(&server, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await, "ok").await;
    server.stop.send(()).unwrap();
    timeout(DEADLINE, server.task).await.unwrap().unwrap();
    let _ = stuck.shutdown().await;
}
