//! The listener: accepts connections within bounds, serves them, and stops in order.

use std::io;
use std::sync::Arc;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use ordermill_admission::Admission;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::Backend;
use crate::app::{App, routes};
use crate::config::Config;
use crate::tls::{self, Tls};

/// Pause after a connection could not be accepted because something has run out.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Serves HTTP on `listener` until `shutdown` is done; then accepts nothing more, finishes the
/// requests that run, ends streams, and returns when all is done or the time for it is over.
///
/// Connections on which nothing runs stay for a moment: a client that sends just then gets an answer, and word that it is
/// the last one here.
///
/// Requests are answered from the start; they are served once `backend` has been opened.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    backend: Backend,
    admission: Admission,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(false);
    let (drain, parting) = (config.drain, config.parting);
    let room = Arc::new(Semaphore::new(config.connections));
    let all = u32::try_from(config.connections).unwrap_or(u32::MAX);
    let app = Arc::new(App { config, backend, admission, stopping });
    let front = Arc::new(Front::new(&app));
    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = shutdown => {}
        () = accept(&listener, &room, &front, &graceful) => {}
    }
    drop(listener);
    stop.send_replace(true);
    // Over when no connection is left, or when it has lasted long enough.
    let _ = timeout(parting, room.acquire_many(all)).await;
    if timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = drain.as_secs(), "some requests did not end in time; their connections are cut");
    }
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>, front: &Arc<Front>, graceful: &GracefulShutdown) {
    loop {
        let permit = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_of_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (front, watcher) = (Arc::clone(front), graceful.watcher());
        tokio::spawn(async move {
            front.connection(stream, watcher).await;
            drop(permit);
        });
    }
}

/// Whether only the connection that was about to be accepted is broken.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// How connections are served.
struct Front {
    service: TowerToHyperService<axum::Router>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    head_timeout: std::time::Duration,
    tls: Option<Tls>,
}

impl Front {
    fn new(app: &Arc<App>) -> Self {
        let config = &app.config;
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(config.head_timeout);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(config.streams_per_connection)
            .max_header_list_size(u32::try_from(config.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(config.head_timeout)
            .keep_alive_timeout(config.head_timeout);
        let (service, head_timeout) = (TowerToHyperService::new(routes(app)), config.head_timeout);
        Self { service, http1, http2, head_timeout, tls: config.tls.clone() }
    }

    async fn connection(&self, stream: TcpStream, watcher: Watcher) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it was served");
            return;
        }
        if let Some(tls) = &self.tls {
            let stream = match timeout(self.head_timeout, tls.acceptor().accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a client and this server found no common TLS");
                    return;
                }
                Err(_) => return,
            };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2);
            return self.http(stream, http2, watcher).await;
        }
        // HTTP/2 with prior knowledge begins with "PRI"; no method of HTTP/1 that is served does.
        let mut begin = [0; 3];
        let http2 = match timeout(self.head_timeout, stream.peek(&mut begin)).await {
            Ok(Ok(0) | Err(_)) | Err(_) => return,
            Ok(Ok(read)) => &begin[..read] == b"PRI",
        };
        self.http(stream, http2, watcher).await;
    }

    async fn http(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http2: bool, watcher: Watcher) {
        let (io, service) = (TokioIo::new(stream), self.service.clone());
        let served = if http2 {
            watcher.watch(self.http2.serve_connection(io, service)).await
        } else {
            watcher.watch(self.http1.serve_connection(io, service)).await
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection has broken off");
        }
    }
}
