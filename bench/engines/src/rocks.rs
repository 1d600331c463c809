//! RocksDB behind the trait: a file of its own, since it is built only when asked for.

use std::path::Path;

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, Direction, IteratorMode, ReadOptions, WriteBatch};
use rocksdb::{WaitForCompactOptions, WriteOptions};

use crate::engine::{Engine, FILTER_BITS_PER_KEY, MARK, Result, cache_bytes, workers};
use crate::shape::Rows;

pub struct Rocks {
    database: DB,
    /// Rows go through rocksdb's log; without it they are durable once their memtable is written.
    logged: bool,
}

impl Rocks {
    pub fn open(dir: &Path, logged: bool) -> Result<Self> {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(cache_bytes() as usize));
        table.set_bloom_filter(FILTER_BITS_PER_KEY, false);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_block_based_table_factory(&table);
        options.set_compression_type(rocksdb::DBCompressionType::Lz4);
        options.set_max_background_jobs(workers() as i32 + 1);
        options.set_max_open_files(256);
        let families = ["default", "journal"].map(|name| ColumnFamilyDescriptor::new(name, options.clone()));
        Ok(Self { database: DB::open_cf_descriptors(&options, dir, families)?, logged })
    }
}

impl Engine for Rocks {
    fn append(&self, number: u64, record: &[u8]) -> Result<()> {
        let journal = self.database.cf_handle("journal").ok_or("no journal")?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.database.put_cf_opt(journal, number.to_be_bytes(), record, &options)?)
    }

    fn flush(&self, rows: &Rows, mark: u64) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in rows {
            batch.put(key, value);
        }
        batch.put(MARK, mark.to_be_bytes());
        let mut options = WriteOptions::default();
        options.disable_wal(!self.logged);
        Ok(self.database.write_opt(batch, &options)?)
    }

    fn persist(&self) -> Result<()> {
        Ok(if self.logged { self.database.flush_wal(true) } else { self.database.flush() }?)
    }

    fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        self.database.multi_get(keys).into_iter().map(|value| Ok(value?)).collect()
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        let entries = self.database.iterator_opt(IteratorMode::From(prefix, Direction::Forward), options);
        entries.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(Into::into)).collect()
    }

    fn settle(&self) {
        let _ = self.database.wait_for_compact(&WaitForCompactOptions::default());
    }
}
