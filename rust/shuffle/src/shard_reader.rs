//! Reading shards: record batches by their place, the last ones kept, because neighbouring margins share them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt8Type, UInt64Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, MetadataVersion};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use skymargin_geometry::pixel::MAX_ORDER;

use crate::error::ShardError;
use crate::read_ahead::{Place, ReadAhead};
use crate::recent::Recent;
use crate::shard_writer::{ORIGIN_COLUMNS, shard_schema};
use crate::slices::{RowKey, Slice};

/// How many bytes of record batches are kept for the next margin.
const KEPT_BYTES: u64 = 8 << 20;

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

/// Reads the record batches of shards.
pub(crate) struct ShardReader<'a> {
    ahead: ReadAhead<'a>,
    decoder: FileDecoder,
    batches: Recent<Place, Arc<ShardBatch>>,
    kept_bytes: u64,
}

impl<'a> ShardReader<'a> {
    pub(crate) fn new(transport: &Schema, ahead: ReadAhead<'a>) -> Self {
        let schema: SchemaRef = shard_schema(transport);
        Self {
            ahead,
            decoder: FileDecoder::new(schema, MetadataVersion::V5),
            batches: Recent::default(),
            kept_bytes: 0,
        }
    }

    /// The record batch that a slice of the shard is in.
    pub(crate) fn batch(&mut self, shard: u32, slice: &Slice) -> Result<Arc<ShardBatch>, ShardError> {
        let place = Place::of(shard, slice);
        if let Some(batch) = self.batches.get(&place) {
            return checked(batch, shard, slice);
        }
        let batch = checked(Arc::new(self.read(place)?), shard, slice)?;
        self.kept_bytes += batch.bytes;
        self.batches.insert(place, Arc::clone(&batch));
        while self.kept_bytes > KEPT_BYTES
            && let Some(oldest) = self.batches.remove_oldest()
        {
            self.kept_bytes -= oldest.bytes;
        }
        Ok(batch)
    }

    fn read(&mut self, place: Place) -> Result<ShardBatch, ShardError> {
        let shard = place.shard;
        let read = self.ahead.read(place, |other| self.batches.contains(&other));
        let bytes = read.map_err(|source| ShardError::Read { shard, source })?;
        // A continuation mark and the size of the metadata precede the metadata, all four bytes little-endian.
        let size = bytes.get(4..8).and_then(|size| size.try_into().ok()).map(i32::from_le_bytes);
        let metadata_bytes = size
            .and_then(|size| size.checked_add(8))
            .filter(|size| *size >= 8 && *size as usize <= bytes.len())
            .ok_or_else(|| damaged(shard, "a record batch has no beginning"))?;
        let body_bytes = bytes.len() as i64 - i64::from(metadata_bytes);
        let block = Block::new(place.position as i64, metadata_bytes, body_bytes);
        let batch = self.decoder.read_record_batch(&block, &Buffer::from(bytes));
        let batch = batch.map_err(|source| ShardError::Damaged { shard, source })?;
        let batch = batch.ok_or_else(|| damaged(shard, "a record batch is missing"))?;
        Ok(ShardBatch::new(&batch, place.length))
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
