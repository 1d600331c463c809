//! Verification: both stores are read whole once more, and every slot has to be the same in both.

use std::ops::Bound;

use bytes::Bytes;
use ordermill_station::limits;
use ordermill_store::{Error as StoreError, Store};
use twox_hash::XxHash3_64;

use crate::copy::{end_of, first_key};
use crate::{Error, Migration, Progress, Report};

/// Slots that are read at a time.
const SLOTS_TOGETHER: u32 = 1_024;
/// Bytes of a key before what is the same in both stores, and where its slot ends.
const CLUSTER_BYTES: usize = 4;
const SLOT_BYTES: usize = 6;

/// How many rows each slot has, and a hash over keys and values in their order.
type Sums = Vec<(u64, u64)>;

impl Migration<'_> {
    /// Compares all rows of both stores.
    pub(crate) async fn verify(&self, report: &mut Report) -> Result<(), Error> {
        for first in (0..limits::SLOTS).step_by(SLOTS_TOGETHER as usize) {
            let source = sums(&*self.source, self.config.source_cluster, first).await.map_err(Error::Source)?;
            let target = sums(&self.target, self.config.cluster, first).await.map_err(Error::Target)?;
            for (slot, (source, target)) in (first..).zip(source.into_iter().zip(target)) {
                if source != target {
                    let ((rows, here), (copies, there)) = (source, target);
                    return Err(Error::Differs(format!(
                        "slot {slot} has {rows} rows (checksum {here:016x}) in the source and {copies} ({there:016x}) in \
                         the target"
                    )));
                }
                report.rows += source.0;
                report.checksum = XxHash3_64::oneshot_with_seed(report.checksum, &source.1.to_be_bytes());
            }
            (self.tell)(Progress::Compared { slot: first + SLOTS_TOGETHER, rows: report.rows });
        }
        Ok(())
    }
}

/// The sums of [`SLOTS_TOGETHER`] slots from `first` on.
async fn sums(store: &dyn Store, cluster: u32, first: u32) -> Result<Sums, StoreError> {
    let mut sums: Sums = (0..SLOTS_TOGETHER).map(|_| (0, 0)).collect();
    let mut from = first_key(cluster, first).map_or(Bound::Unbounded, Bound::Included);
    let to = end_of(cluster, first + SLOTS_TOGETHER);
    loop {
        let page = store.scan(from, to.clone(), limits::MIGRATE_ROWS).await?;
        for (key, value) in &page.rows {
            let slot = slot_of(key).and_then(|slot| sums.get_mut(slot.checked_sub(first)? as usize));
            let Some((count, sum)) = slot else {
                return Err(StoreError::Corrupt(format!("a row outside of what was asked for: {key:?}")));
            };
            *count += 1;
            for part in [&key[CLUSTER_BYTES..], value] {
                let seed = XxHash3_64::oneshot_with_seed(*sum, &part.len().to_be_bytes());
                *sum = XxHash3_64::oneshot_with_seed(seed, part);
            }
        }
        match page.rows.last().filter(|_| page.more) {
            Some((last, _)) => from = Bound::Excluded(last.clone()),
            None => return Ok(sums),
        }
    }
}

fn slot_of(key: &Bytes) -> Option<u32> {
    let slot = key.get(CLUSTER_BYTES..SLOT_BYTES)?;
    Some(u16::from_be_bytes(slot.try_into().ok()?).into())
}
