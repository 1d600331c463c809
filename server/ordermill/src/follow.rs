//! Files that change while the process runs, as those of a mounted Secret do: looked at again and again.

use ordermill_station::limits;

/// Reads again and again, and has what is new taken up. What cannot be read, or is not taken, is told once, and what was
/// before stays.
pub(crate) fn follow<T: PartialEq + Send + 'static>(
    what: &'static str,
    mut known: T,
    read: impl Fn() -> anyhow::Result<T> + Send + 'static,
    take: impl Fn(&T) -> Result<(), String> + Send + 'static,
) {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(limits::FILES_LOOK);
        // They were read just now.
        ticks.reset();
        loop {
            ticks.tick().await;
            // A few small files.
            let now = match read() {
                Ok(now) => now,
                Err(error) => {
                    tracing::warn!(%error, what, "they cannot be read; those before count");
                    continue;
                }
            };
            if now == known {
                continue;
            }
            match take(&now) {
                Ok(()) => tracing::info!(what, "they have changed"),
                Err(why) => tracing::warn!(why, what, "they do not fit; those before count"),
            }
            known = now;
        }
    });
}
