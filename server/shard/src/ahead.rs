//! Reading ahead: while a batch is built and its record appended, the rows of the next full batch
//! come from the store. Only bulk work has a full batch waiting; a single order would gain nothing.

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ordermill_station::limits;
use ordermill_store::Error as StoreError;
use ordermill_store::keys::RowKey;
use rustc_hash::FxHashMap;

type Values = Result<Vec<Option<Bytes>>, StoreError>;

/// Rows as the store has them, or on their way from it.
///
/// They are older than every row in memory, so they are asked last. When a flush begins, rows leave
/// the memory that the store may not have had when it was read: then what was read ahead is void.
#[derive(Default)]
pub(crate) struct Ahead {
    rows: FxHashMap<RowKey, Option<Bytes>>,
    reading: Option<(Vec<RowKey>, BoxFuture<'static, Values>)>,
    /// How many commands at the head of the backlog have their rows here, or on their way.
    commands: usize,
}

impl Ahead {
    /// How many commands at the head of the backlog have their rows here, or on their way.
    pub(crate) fn commands(&self) -> usize {
        self.commands
    }

    /// So many commands have left the backlog.
    pub(crate) fn left(&mut self, count: usize) {
        self.commands = self.commands.saturating_sub(count);
        if self.rows.len() > limits::BATCH_COMMANDS * 4 {
            self.clear();
        }
    }

    /// Whether rows are on their way.
    pub(crate) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Begins to read `keys` through `get`, so that the first `commands` of the backlog have their rows.
    pub(crate) fn begin(
        &mut self,
        commands: usize,
        keys: Vec<RowKey>,
        get: impl Future<Output = Values> + Send + 'static,
    ) {
        self.commands = commands;
        if keys.is_empty() {
            return;
        }
        // Looked at once, so that it is under way while the shard goes on with something else.
        let mut get = get.boxed();
        match (&mut get).now_or_never() {
            Some(values) => self.arrived(keys, values),
            None => self.reading = Some((keys, get)),
        }
    }

    /// Goes on until what was asked for is there; for ever when nothing was.
    pub(crate) async fn proceed(&mut self) {
        let Some((_, get)) = &mut self.reading else { return std::future::pending().await };
        let values = get.await;
        if let Some((keys, _)) = self.reading.take() {
            self.arrived(keys, values);
        }
    }

    fn arrived(&mut self, keys: Vec<RowKey>, values: Values) {
        // A failed read counts as none: whoever needs the rows asks again, and hears of it.
        if let Ok(values) = values {
            self.rows.extend(keys.into_iter().zip(values));
        }
    }

    /// Waits for what is on its way, if anything is.
    pub(crate) async fn arrive(&mut self) {
        if self.is_reading() {
            self.proceed().await;
        }
    }

    /// A row that was read: `None` when it was not read, `Some(None)` when there is none.
    pub(crate) fn take(&mut self, key: &RowKey) -> Option<Option<Bytes>> {
        self.rows.remove(key)
    }

    /// What was read, or is being read, is not true any more.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.reading = None;
        self.commands = 0;
    }
}
