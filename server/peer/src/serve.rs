//! The listener: accepts connections of other members within bounds, serves them, and stops in
//! order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::frames::Frames;
use crate::greeting::welcome;
use crate::measure::Measures;
use crate::network::{Arriving, Listener};
use crate::session::{Service, Session};

/// Pause after a connection could not be accepted because something has run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves other members on `listener` until `shutdown` is done. Then accepts nothing more, tells the
/// callers to send nothing more, answers what is under way, and returns when all of them have gone
/// or the time for it is over.
pub async fn serve(
    config: Config,
    mut listener: Box<dyn Listener>,
    service: Arc<dyn Service>,
    shutdown: impl Future<Output = ()>,
) {
    // Wakes connections in the order in which they came.
    let stopping = CancellationToken::new();
    let front = Front { config: Arc::new(config), measures: Measures::new(), service, stopping: stopping.clone() };
    let drain = front.config.drain;
    let mut connections = JoinSet::new();
    tokio::select! {
        biased;
        () = shutdown => {}
        () = front.accept(listener.as_mut(), &mut connections) => {}
    }
    drop(listener);
    stopping.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(drain, ended).await.is_err() {
        tracing::warn!(seconds = drain.as_secs(), "some members did not let go in time; their connections are cut");
    }
}

/// How connections are served.
#[derive(Clone)]
struct Front {
    config: Arc<Config>,
    measures: Measures,
    service: Arc<dyn Service>,
    stopping: CancellationToken,
}

impl Front {
    async fn accept(&self, listener: &mut dyn Listener, connections: &mut JoinSet<()>) {
        let room = Arc::new(Semaphore::new(self.config.connections));
        loop {
            let permit = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
            while connections.try_join_next().is_some() {}
            let arriving = match listener.accept().await {
                Ok(arriving) => arriving,
                Err(error) if is_of_connection(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, "a member's connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let front = self.clone();
            connections.spawn(async move {
                front.connection(arriving).await;
                drop(permit);
            });
        }
    }

    async fn connection(self, arriving: Arriving) {
        let Self { config, measures, service, stopping } = self;
        let greeting = async {
            let mut frames = Frames::over(arriving.await?);
            let hello = welcome(&mut frames, &config.hello, &measures).await?;
            io::Result::Ok((frames, hello))
        };
        let greeted = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            greeted = timeout(config.dial, greeting) => greeted,
        };
        let (frames, hello) = match greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(greeted) => greeted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not that of a member");
                return;
            }
        };
        let name = hello.name.clone();
        let why = Session::new(config, measures, service, hello).run(frames, stopping).await;
        tracing::debug!(name, why, "the connection of a member is over");
    }
}

/// Whether only the connection that was about to be accepted is broken.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
