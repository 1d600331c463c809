//! The candidates behind one trait.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable};
use redb::{Durability, ReadableDatabase, TableDefinition};

use crate::shape::Rows;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T> = std::result::Result<T, Failure>;

/// Behind all rows.
pub const MARK: &[u8] = b"\xff\xff\xff\xffmark";
pub const FILTER_BITS_PER_KEY: f64 = 10.0;
/// As the store does it: a flush waits while so many tables are not merged.
const UNMERGED_TABLES: usize = 24;

/// A setting for trying others: a number from the environment.
pub fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

pub fn cache_bytes() -> u64 {
    setting("CACHE_MIB", 64) << 20
}

pub fn workers() -> usize {
    setting("WORKERS", 1) as usize
}

pub trait Engine: Send + Sync {
    /// Makes one journal record durable.
    fn append(&self, number: u64, record: &[u8]) -> Result<()>;
    /// Writes rows and their mark as a whole; durable after [`Engine::persist`] at the latest.
    fn flush(&self, rows: &Rows, mark: u64) -> Result<()>;
    fn persist(&self) -> Result<()>;
    fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>>;
    /// The rows whose keys begin with `prefix`.
    fn scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>>;
    /// Waits until merging has ended.
    fn settle(&self);
}

/// Opens `fjall-batch`, `fjall-ingest`, `redb`, `rocksdb` (rows past its own log), `rocksdb-wal`, or
/// `none`, which keeps no rows: what is measured then is the log.
pub fn open(name: &str, dir: &Path) -> Result<Box<dyn Engine>> {
    std::fs::create_dir_all(dir)?;
    Ok(match name {
        "fjall-batch" => Box::new(Fjall::open(dir, false)?),
        "fjall-ingest" => Box::new(Fjall::open(dir, true)?),
        "none" => Box::new(Nothing),
        "redb" => Box::new(Redb::open(dir)?),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Box::new(crate::rocks::Rocks::open(dir, false)?),
        #[cfg(feature = "rocksdb")]
        "rocksdb-wal" => Box::new(crate::rocks::Rocks::open(dir, true)?),
        _ => return Err(format!("no engine {name}").into()),
    })
}

struct Fjall {
    database: Database,
    rows: Keyspace,
    /// Made when first used: a keyspace more costs files.
    journal: OnceLock<Keyspace>,
    ingest: bool,
}

impl Fjall {
    fn open(dir: &Path, ingest: bool) -> Result<Self> {
        let database = Database::builder(dir)
            .cache_size(cache_bytes())
            .max_cached_files(Some(256))
            .worker_threads(workers())
            .manual_journal_persist(true)
            .open()?;
        let bloom = BloomConstructionPolicy::BitsPerKey(setting("FILTER_BITS", FILTER_BITS_PER_KEY as u64) as f32);
        let filter = FilterPolicy::all(FilterPolicyEntry::Bloom(bloom));
        let options = || KeyspaceCreateOptions::default().filter_policy(filter).manual_journal_persist(true);
        let rows = database.keyspace("rows", options)?;
        Ok(Self { database, rows, journal: OnceLock::new(), ingest })
    }

    fn journal(&self) -> &Keyspace {
        let options = || {
            let options = KeyspaceCreateOptions::default().manual_journal_persist(true);
            options.with_kv_separation(Some(KvSeparationOptions::default()))
        };
        self.journal.get_or_init(|| self.database.keyspace("journal", options).expect("a keyspace can be made"))
    }
}

impl Engine for Fjall {
    fn append(&self, number: u64, record: &[u8]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        batch.insert(self.journal(), number.to_be_bytes(), record);
        Ok(batch.commit()?)
    }

    fn flush(&self, rows: &Rows, mark: u64) -> Result<()> {
        while self.rows.l0_table_count() > UNMERGED_TABLES && self.database.persist(PersistMode::Buffer).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.ingest {
            let mut ingestion = self.rows.start_ingestion()?;
            for (key, value) in rows {
                ingestion.write(&key[..], &value[..])?;
            }
            ingestion.write(MARK, mark.to_be_bytes())?;
            return Ok(ingestion.finish()?);
        }
        let mut batch = self.database.batch();
        for (key, value) in rows {
            batch.insert(&self.rows, &key[..], &value[..]);
        }
        batch.insert(&self.rows, MARK, mark.to_be_bytes());
        Ok(batch.commit()?)
    }

    fn persist(&self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let snapshot = self.database.snapshot();
        keys.iter().map(|key| Ok(snapshot.get(&self.rows, key)?.map(|value| value.to_vec()))).collect()
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let entries = self.database.snapshot().prefix(&self.rows, prefix);
        let rows = entries.map(|entry| entry.into_inner().map(|(key, value)| (key.to_vec(), value.to_vec())));
        Ok(rows.collect::<fjall::Result<_>>()?)
    }

    fn settle(&self) {
        let mut idle = 0;
        while idle < 20 {
            let busy = self.database.active_compactions() > 0 || self.database.outstanding_flushes() > 0;
            idle = if busy { 0 } else { idle + 1 };
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
const JOURNAL: TableDefinition<u64, &[u8]> = TableDefinition::new("journal");

struct Redb(redb::Database);

impl Redb {
    fn open(dir: &Path) -> Result<Self> {
        let database = redb::Builder::new().set_cache_size(cache_bytes() as usize).create(dir.join("rows.redb"))?;
        let made = Self(database);
        made.write(Durability::Immediate, |transaction| transaction.open_table(ROWS).map(drop).map_err(Into::into))?;
        Ok(made)
    }

    fn write(&self, durability: Durability, work: impl Fn(&redb::WriteTransaction) -> Result<()>) -> Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(durability)?;
        transaction.set_quick_repair(setting("QUICK_REPAIR", 0) != 0);
        work(&transaction)?;
        Ok(transaction.commit()?)
    }
}

impl Engine for Redb {
    fn append(&self, number: u64, record: &[u8]) -> Result<()> {
        self.write(Durability::Immediate, |transaction| {
            transaction.open_table(JOURNAL)?.insert(number, record)?;
            Ok(())
        })
    }

    fn flush(&self, rows: &Rows, mark: u64) -> Result<()> {
        self.write(Durability::None, |transaction| {
            let mut table = transaction.open_table(ROWS)?;
            for (key, value) in rows {
                table.insert(&key[..], &value[..])?;
            }
            table.insert(MARK, &mark.to_be_bytes()[..])?;
            Ok(())
        })
    }

    fn persist(&self) -> Result<()> {
        self.write(Durability::Immediate, |_| Ok(()))
    }

    fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let table = self.0.begin_read()?.open_table(ROWS)?;
        keys.iter().map(|key| Ok(table.get(&key[..])?.map(|value| value.value().to_vec()))).collect()
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let table = self.0.begin_read()?.open_table(ROWS)?;
        let mut rows = Vec::new();
        for entry in table.range(prefix..)? {
            let (key, value) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            rows.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(rows)
    }

    fn settle(&self) {}
}

struct Nothing;

impl Engine for Nothing {
    fn append(&self, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn flush(&self, _: &Rows, _: u64) -> Result<()> {
        Ok(())
    }

    fn persist(&self) -> Result<()> {
        Ok(())
    }

    fn get(&self, _: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        Err("nothing is kept".into())
    }

    fn scan(&self, _: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Err("nothing is kept".into())
    }

    fn settle(&self) {}
}
