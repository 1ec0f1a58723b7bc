//! Reading shards: record batches by their place, the last ones kept, because neighbouring margins share them.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt8Type, UInt64Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, MetadataVersion};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use skymargin_geometry::pixel::MAX_ORDER;
use skymargin_scan::RangedReader;

use crate::error::ShardError;
use crate::shard_writer::{ORIGIN_COLUMNS, shard_schema};
use crate::slices::{RowKey, Slice};

/// How many bytes of record batches, and how many open shards, are kept for the next margin.
const KEPT_BYTES: u64 = 8 << 20;
const KEPT_OPEN: usize = 32;

/// A record batch of a shard.
#[derive(Debug)]
pub(crate) struct ShardBatch {
    columns: Vec<ArrayRef>,
    pub(crate) index: ScalarBuffer<u64>,
    pub(crate) source_order: ScalarBuffer<u8>,
    pub(crate) source_pixel: ScalarBuffer<u64>,
    pub(crate) row: ScalarBuffer<u64>,
    pub(crate) separation_arcsec: ScalarBuffer<f64>,
    pub(crate) bytes: u64,
}

impl ShardBatch {
    fn new(batch: &RecordBatch, bytes: u64) -> Self {
        let (columns, origin) = batch.columns().split_at(batch.num_columns() - ORIGIN_COLUMNS);
        let long = |place: usize| origin[place].as_primitive::<UInt64Type>().values().clone();
        Self {
            columns: columns.to_vec(),
            index: long(0),
            source_order: origin[1].as_primitive::<UInt8Type>().values().clone(),
            source_pixel: long(2),
            row: long(3),
            separation_arcsec: origin[4].as_primitive::<Float64Type>().values().clone(),
            bytes,
        }
    }

    /// The columns of the catalog.
    pub(crate) fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// Whether a row is within a threshold; without one, all are.
    pub(crate) fn is_within(&self, row: usize, threshold_arcsec: Option<f64>) -> bool {
        threshold_arcsec.is_none_or(|threshold_arcsec| self.separation_arcsec[row] <= threshold_arcsec)
    }

    /// What orders a row.
    pub(crate) fn key(&self, row: usize) -> RowKey {
        let source = self.source_pixel[row] << (2 * (MAX_ORDER - self.source_order[row].min(MAX_ORDER)));
        (self.index[row], source, self.row[row])
    }
}

/// Opens a shard by its number.
pub type OpenShard<'a> = dyn Fn(u32) -> io::Result<Box<dyn RangedReader>> + 'a;

/// Reads the record batches of shards.
pub(crate) struct ShardReader<'a> {
    open: &'a OpenShard<'a>,
    decoder: FileDecoder,
    shards: Recent<u32, Arc<dyn RangedReader>>,
    batches: Recent<(u32, u64), Arc<ShardBatch>>,
    kept_bytes: u64,
}

impl<'a> ShardReader<'a> {
    pub(crate) fn new(transport: &Schema, open: &'a OpenShard<'a>) -> Self {
        let schema: SchemaRef = shard_schema(transport);
        Self {
            open,
            decoder: FileDecoder::new(schema, MetadataVersion::V5),
            shards: Recent::default(),
            batches: Recent::default(),
            kept_bytes: 0,
        }
    }

    /// The record batch that a slice of the shard is in.
    pub(crate) fn batch(&mut self, shard: u32, slice: &Slice) -> Result<Arc<ShardBatch>, ShardError> {
        let key = (shard, slice.position);
        if let Some(batch) = self.batches.get(&key) {
            return checked(batch, shard, slice);
        }
        let batch = checked(Arc::new(self.read(shard, slice)?), shard, slice)?;
        self.kept_bytes += batch.bytes;
        self.batches.insert(key, Arc::clone(&batch));
        while self.kept_bytes > KEPT_BYTES
            && let Some(oldest) = self.batches.remove_oldest()
        {
            self.kept_bytes -= oldest.bytes;
        }
        Ok(batch)
    }

    fn read(&mut self, shard: u32, slice: &Slice) -> Result<ShardBatch, ShardError> {
        let reader = match self.shards.get(&shard) {
            Some(reader) => reader,
            None => {
                let reader = (self.open)(shard).map_err(|source| ShardError::Read { shard, source })?;
                let reader: Arc<dyn RangedReader> = Arc::from(reader);
                self.shards.insert(shard, Arc::clone(&reader));
                if self.shards.len() > KEPT_OPEN {
                    self.shards.remove_oldest();
                }
                reader
            }
        };
        let end = slice.position.checked_add(slice.length);
        let range = slice.position..end.ok_or_else(|| damaged(shard, "it is shorter than was written"))?;
        let read = reader.read_ranges(std::slice::from_ref(&range));
        let mut read = read.map_err(|source| ShardError::Read { shard, source })?;
        let bytes = read.pop().unwrap_or_default();
        // A continuation mark and the size of the metadata precede the metadata, all four bytes little-endian.
        let size = bytes.get(4..8).and_then(|size| size.try_into().ok()).map(i32::from_le_bytes);
        let metadata_bytes = size
            .and_then(|size| size.checked_add(8))
            .filter(|size| *size >= 8 && *size as usize <= bytes.len())
            .ok_or_else(|| damaged(shard, "a record batch has no beginning"))?;
        let body_bytes = bytes.len() as i64 - i64::from(metadata_bytes);
        let block = Block::new(slice.position as i64, metadata_bytes, body_bytes);
        let batch = self.decoder.read_record_batch(&block, &Buffer::from(bytes));
        let batch = batch.map_err(|source| ShardError::Damaged { shard, source })?;
        let batch = batch.ok_or_else(|| damaged(shard, "a record batch is missing"))?;
        Ok(ShardBatch::new(&batch, slice.length))
    }
}

/// The record batch, if it has the rows of the slice.
fn checked(batch: Arc<ShardBatch>, shard: u32, slice: &Slice) -> Result<Arc<ShardBatch>, ShardError> {
    if slice.rows == 0 || slice.first as usize + slice.rows as usize > batch.index.len() {
        return Err(damaged(shard, "it has fewer rows than were written"));
    }
    if batch.key(slice.first as usize) != slice.key {
        return Err(damaged(shard, "it has other rows than were written"));
    }
    Ok(batch)
}

fn damaged(shard: u32, what: &str) -> ShardError {
    ShardError::Damaged { shard, source: ArrowError::IpcError(what.to_string()) }
}

/// Values by key, the one that was not used for longest first to go.
struct Recent<K, V> {
    values: HashMap<K, (u64, V)>,
    uses: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { values: HashMap::new(), uses: 0 }
    }
}

impl<K: std::hash::Hash + Eq + Clone, V: Clone> Recent<K, V> {
    fn get(&mut self, key: &K) -> Option<V> {
        self.uses += 1;
        let (used, value) = self.values.get_mut(key)?;
        *used = self.uses;
        Some(value.clone())
    }

    fn insert(&mut self, key: K, value: V) {
        self.uses += 1;
        self.values.insert(key, (self.uses, value));
    }

    fn remove_oldest(&mut self) -> Option<V> {
        let key = self.values.iter().min_by_key(|(_, (used, _))| *used)?.0.clone();
        self.values.remove(&key).map(|(_, value)| value)
    }

    fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_not_used_for_longest_goes_first() {
        let mut recent = Recent::default();
        for number in 0..3 {
            recent.insert(number, number * 10);
        }
        assert_eq!(recent.get(&0), Some(0));
        assert_eq!(recent.remove_oldest(), Some(10));
        assert_eq!((recent.len(), recent.get(&1), recent.get(&2)), (2, None, Some(20)));
    }
}
