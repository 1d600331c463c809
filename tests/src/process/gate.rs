//! A gate before a server that lets through so many bytes and then holds back, so that a client
//! stands where the test wants it, however fast the machine is.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};

/// How many bytes are passed on at once.
const PIECE: usize = 4 << 10;

/// A gate, open for as long as it is kept.
#[derive(Debug)]
pub struct Gate {
    url: String,
    /// Bytes that clients may still send.
    allowed: Arc<Semaphore>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    accepting: JoinHandle<()>,
}

impl Gate {
    /// A gate before the server at `url` that lets nothing through yet.
    pub async fn before(url: &str) -> Self {
        let server: SocketAddr = url.strip_prefix("http://").expect("a server's URL").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let allowed = Arc::new(Semaphore::new(0));
        let connections = Arc::<Mutex<Vec<AbortHandle>>>::default();
        let (bytes, passing) = (Arc::clone(&allowed), Arc::clone(&connections));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let connection = tokio::spawn(pass(client, server, Arc::clone(&bytes)));
                passing.lock().push(connection.abort_handle());
            }
        });
        Self { url, allowed, connections, accepting }
    }

    /// Where clients find it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets so many more bytes through.
    pub fn allow(&self, bytes: usize) {
        self.allowed.add_permits(bytes);
    }

    /// Cuts every connection: of a client that was killed, nothing more shall come through.
    pub fn cut(&self) {
        self.connections.lock().drain(..).for_each(|connection| connection.abort());
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.allowed.close();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection, until either side has had enough.
async fn pass(client: TcpStream, server: SocketAddr, allowed: Arc<Semaphore>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = copy(from_client, to_server, Some(allowed)) => {}
        () = copy(from_server, to_client, None) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, allowed: Option<Arc<Semaphore>>) {
    let mut piece = [0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        if let Some(allowed) = &allowed
            && let Ok(permits) = allowed.acquire_many(count as u32).await
        {
            permits.forget();
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}
