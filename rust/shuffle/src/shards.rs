//! Where shards are read: local files, or whatever implements the trait.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use skymargin_scan::{LocalFile, RangedReader};

use crate::recent::Recent;

/// How many files are kept open.
const KEPT_OPEN: usize = 32;

/// The shards of a task.
pub trait Shards: Send + Sync {
    /// The bytes of each range of a shard, in the given order: shards by their numbers.
    ///
    /// # Errors
    /// When a range cannot be read in full.
    fn read(&self, ranges: &[(u32, Range<u64>)]) -> io::Result<Vec<Bytes>>;

    /// How many bytes are best read in one call, because a call takes long; 0 where it does not.
    fn ahead_bytes(&self) -> u64 {
        0
    }
}

/// Shards that are local files.
pub struct LocalShards {
    paths: HashMap<u32, PathBuf>,
    open: Mutex<Recent<u32, Arc<LocalFile>>>,
}

impl LocalShards {
    /// The shards at these paths.
    pub fn new(paths: HashMap<u32, PathBuf>) -> Self {
        Self { paths, open: Mutex::default() }
    }

    fn file(&self, shard: u32) -> io::Result<Arc<LocalFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&shard) {
            return Ok(file);
        }
        let path = self.paths.get(&shard).ok_or(io::ErrorKind::NotFound)?;
        let file = Arc::new(LocalFile::open(path)?);
        open.insert(shard, Arc::clone(&file));
        if open.len() > KEPT_OPEN {
            open.remove_oldest();
        }
        Ok(file)
    }
}

impl Shards for LocalShards {
    fn read(&self, ranges: &[(u32, Range<u64>)]) -> io::Result<Vec<Bytes>> {
        let mut parts = Vec::with_capacity(ranges.len());
        for (shard, range) in ranges {
            parts.append(&mut self.file(*shard)?.read_ranges(std::slice::from_ref(range))?);
        }
        Ok(parts)
    }
}
