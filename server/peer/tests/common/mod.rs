//! What the tests of connections share: a network in memory, a clock that follows the runtime's
//! time, and a service that does as it is told by its requests.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part and fails by panicking")]

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ordermill_delivery::Mail;
use ordermill_order::{Action, OrderId};
use ordermill_peer::{Answer, Arriving, Config, Hello, Listener, Network, Peers, Request, Service, Stream, serve};
use ordermill_shard::Scan;
use ordermill_station::clock::Clock;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A deadline that no test reaches unless it means to.
pub(crate) const LONG: Duration = Duration::from_mins(1);

#[derive(Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now_ms(&self) -> u64 {
        self.elapsed().as_millis() as u64
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

pub(crate) fn config(name: &str, cluster: u32) -> Config {
    let hello = Hello { cluster, incarnation: 0x0102_0304_0506_0708, name: name.into() };
    Config::new(hello, Arc::new(RuntimeClock(Instant::now())))
}

/// A network in memory, over `tokio::io::duplex`.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    listeners: Mutex<BTreeMap<String, mpsc::UnboundedSender<DuplexStream>>>,
    pub(crate) dials: AtomicUsize,
}

/// Bytes on their way in one direction.
pub(crate) const PIPE_BYTES: usize = 64 << 10;

impl Memory {
    /// Listens without a server: the test speaks for itself.
    pub(crate) fn accept_raw(&self, address: &str) -> mpsc::UnboundedReceiver<DuplexStream> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.lock().insert(address.into(), sender);
        receiver
    }

    /// A connection without a member behind it.
    pub(crate) fn dial_raw(&self, address: &str) -> io::Result<DuplexStream> {
        let (here, there) = tokio::io::duplex(PIPE_BYTES);
        self.dials.fetch_add(1, Ordering::Relaxed);
        let sent = self.listeners.lock().get(address).is_some_and(|listener| listener.send(there).is_ok());
        if sent { Ok(here) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }
}

#[async_trait::async_trait]
impl Network for Memory {
    async fn dial(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.dial_raw(address)?))
    }

    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(MemoryListener { address: address.into(), streams: self.accept_raw(address) }))
    }
}

struct MemoryListener {
    address: String,
    streams: mpsc::UnboundedReceiver<DuplexStream>,
}

#[async_trait::async_trait]
impl Listener for MemoryListener {
    fn address(&self) -> io::Result<String> {
        Ok(self.address.clone())
    }

    async fn accept(&mut self) -> io::Result<Arriving> {
        let stream = self.streams.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Box::pin(async move { Ok(Box::new(stream) as Box<dyn Stream>) }))
    }
}

/// Answers a `Get` with its key after as many milliseconds as its slot says; `Numbers` never; a
/// `Scan` with `limit` rows of 1,000 bytes; an `Admin` "panic" not at all; a beat with itself.
#[derive(Debug, Default)]
pub(crate) struct Obedient {
    pub(crate) mail: Mutex<Vec<Mail>>,
    pub(crate) names: Mutex<Vec<String>>,
    pub(crate) begun: AtomicUsize,
    pub(crate) given_up: AtomicUsize,
}

struct Working<'a>(&'a Obedient);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.given_up.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Service for Obedient {
    async fn answer(&self, from: &Hello, request: Request, _deadline: Duration) -> Answer {
        self.begun.fetch_add(1, Ordering::SeqCst);
        match request {
            Request::Get { slot, key, .. } => {
                tokio::time::sleep(Duration::from_millis(slot.into())).await;
                Answer::Row(Ok(Some(key)))
            }
            Request::Scan { limit, .. } => {
                let row = |number: usize| (Bytes::from(format!("{number:08}")), Bytes::from(vec![7; 1_000]));
                Answer::Page(Ok(Scan { rows: (0..limit).map(row).collect(), next: None }))
            }
            Request::Numbers => {
                let _working = Working(self);
                std::future::pending().await
            }
            Request::Admin(what) => {
                assert_ne!(what, "panic", "told to");
                Answer::Admin(from.name.clone().into())
            }
            Request::Beat(beat) => Answer::Beat(beat),
            other => unreachable!("no test asks for {other:?}"),
        }
    }

    fn deliver(&self, from: &Hello, mail: Vec<Mail>) {
        self.names.lock().push(from.name.clone());
        self.mail.lock().extend(mail);
    }
}

/// A member that serves.
pub(crate) struct Member {
    pub(crate) address: String,
    pub(crate) service: Arc<Obedient>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Member {
    pub(crate) async fn start(network: &dyn Network, address: &str, config: Config) -> Self {
        let listener = network.listen(address).await.unwrap();
        let address = listener.address().unwrap();
        let service = Arc::<Obedient>::default();
        let (stop, mut stopping) = watch::channel(false);
        let shutdown = async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let task = tokio::spawn(serve(config, listener, service.clone(), shutdown));
        Self { address, service, stop, task }
    }

    /// Asks it to stop in order.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(self) {
        self.task.await.unwrap();
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub(crate) fn get(after_ms: u16, key: &str) -> Request {
    Request::Get { slot: after_ms, hops: 0, key: Bytes::copy_from_slice(key.as_bytes()) }
}

pub(crate) fn row(key: &str) -> Answer {
    Answer::Row(Ok(Some(Bytes::copy_from_slice(key.as_bytes()))))
}

pub(crate) fn scan(limit: usize) -> Request {
    Request::Scan { slot: 0, hops: 0, from: Bound::Unbounded, to: Bound::Unbounded, limit }
}

/// Mail that can be told apart by its number.
pub(crate) fn mail(number: u32) -> Mail {
    let action = Action::Noted { slot: 1, order: OrderId(7), line: 2, revision: number };
    Mail { tenant: "t".into(), slot: 1, action, note_to: None }
}

/// Whether `peers` gets an answer from `address`.
pub(crate) async fn answers(peers: &Peers, address: &str) -> bool {
    peers.call(address, get(0, "there?"), LONG).await == Ok(row("there?"))
}

/// Waits until `done`, at most a long time.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it has not happened");
}

/// A hello as it goes over the wire: of a member `m-0` of cluster 7 (golden bytes of the wire form).
pub(crate) const HELLO: &[u8] =
    &[0x22, 0x14, 8, 1, 0x10, 1, 0x18, 7, 0x21, 8, 7, 6, 5, 4, 3, 2, 1, 0x2A, 3, b'm', b'-', b'0'];

pub(crate) async fn read_frame(stream: &mut DuplexStream) -> Vec<u8> {
    let len = stream.read_u32().await.unwrap();
    let mut frame = vec![0; len as usize];
    stream.read_exact(&mut frame).await.unwrap();
    frame
}

pub(crate) async fn write_frame(stream: &mut DuplexStream, frame: &[u8]) {
    stream.write_u32(frame.len() as u32).await.unwrap();
    stream.write_all(frame).await.unwrap();
}

/// Plays the member that was called, until both have introduced themselves.
pub(crate) async fn greet(stream: &mut DuplexStream) {
    read_frame(stream).await;
    write_frame(stream, HELLO).await;
}
