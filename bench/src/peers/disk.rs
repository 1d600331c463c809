//! The disk alone: the bytes of the engine's journal, in blocks as large as it wrote them, one fsync each.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::server;

/// Blocks per second that the disk makes durable, one after the other.
#[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
pub(crate) fn disk(block_bytes: usize, lasts: Duration) -> Result<f64> {
    let dir = server::fresh()?;
    let mut file = File::create(dir.path().join("blocks"))?;
    let block = vec![0x5A; block_bytes];
    let (begun, mut blocks) = (Instant::now(), 0_u64);
    while begun.elapsed() < lasts {
        file.write_all(&block)?;
        file.sync_data()?;
        blocks += 1;
    }
    Ok(blocks as f64 / begun.elapsed().as_secs_f64())
}
