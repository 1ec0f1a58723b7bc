//! Writing a shard: the rows that one map task selected, in one Arrow IPC file, grouped by the margin they belong to.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, UInt8Array, UInt64Array};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use skymargin_geometry::pixel::{MAX_ORDER, Pixel};
use skymargin_scan::{ScanBatch, check_room};

use crate::error::ShardError;
use crate::slices::{Slice, nested_position};

/// The planned size of a record batch, which is read whole for any of its rows.
const BATCH_BYTES: u64 = 256 * 1024;

/// The columns after those of the catalog: where a row comes from, and how far it is from the margin's pixel.
pub(crate) const ORIGIN_COLUMNS: usize = 5;
const ORIGIN_BYTES: u64 = 33;

/// The schema of a shard: `transport` with the columns index, source_order, source_pixel, row, separation_arcsec.
pub(crate) fn shard_schema(transport: &Schema) -> SchemaRef {
    let origin = [
        ("index", DataType::UInt64),
        ("source_order", DataType::UInt8),
        ("source_pixel", DataType::UInt64),
        ("row", DataType::UInt64),
        // NaN where it was not measured.
        ("separation_arcsec", DataType::Float64),
    ];
    let origin = origin.map(|(name, data_type)| Arc::new(Field::new(name, data_type, false)));
    Arc::new(Schema::new(transport.fields().iter().cloned().chain(origin).collect::<Vec<FieldRef>>()))
}

/// What is in a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardContents {
    /// Its slices, encoded one after the other.
    pub slices: Vec<u8>,
    /// For each slice, its rows within each threshold, as little-endian `u64`.
    pub rows_within: Vec<u8>,
    /// Over all slices, the rows within each threshold.
    pub rows_per_threshold: Vec<u64>,
    /// The size of the shard.
    pub bytes: u64,
}

/// A selected row and a margin it belongs to.
#[derive(Clone, Copy)]
struct Member {
    destination: u64,
    index: u64,
    source: u64,
    row: u64,
    separation_arcsec: f64,
    batch: u32,
    batch_row: u32,
    destination_order: u8,
    source_order: u8,
}

impl Member {
    fn key(&self) -> (u64, u64, u64, u64) {
        (self.destination, self.index, self.source, self.row)
    }
}

fn pixel_at(position: u64, order: u8) -> u64 {
    position >> (2 * (MAX_ORDER - order))
}

/// Gathers selected rows and writes them by margin.
pub(crate) struct ShardWriter<W: Write> {
    ipc: FileWriter<Counted<W>>,
    schema: SchemaRef,
    most_bytes: u64,
    thresholds_arcsec: Vec<f64>,
    batches: Vec<RecordBatch>,
    members: Vec<Member>,
    column_bytes: u64,
    held_rows: u64,
    run: u32,
    contents: ShardContents,
}

impl<W: Write> ShardWriter<W> {
    /// Begins a shard of rows of the schema `transport`.
    ///
    /// About `gathered_bytes` of rows are gathered before they are written. `thresholds_arcsec` are those of the run,
    /// the widest first: all rows count as within that one.
    ///
    /// # Errors
    /// When the sink cannot be written.
    pub(crate) fn new(
        sink: W,
        transport: &Schema,
        gathered_bytes: u64,
        thresholds_arcsec: &[f64],
    ) -> Result<Self, ShardError> {
        let schema = shard_schema(transport);
        let ipc = FileWriter::try_new(Counted { sink, bytes: 0 }, &schema).map_err(shard_error)?;
        let contents =
            ShardContents { rows_per_threshold: vec![0; thresholds_arcsec.len()], ..ShardContents::default() };
        Ok(Self {
            ipc,
            schema,
            most_bytes: gathered_bytes,
            thresholds_arcsec: thresholds_arcsec.to_vec(),
            batches: Vec::new(),
            members: Vec::new(),
            column_bytes: 0,
            held_rows: 0,
            run: 0,
            contents,
        })
    }

    /// Adds rows selected from the partition `source`; `destinations` are the pixels that the selection numbers, `None`
    /// where the margin is not wanted.
    ///
    /// # Errors
    /// When the sink cannot be written, or there is no memory to put the rows in order.
    pub(crate) fn add(
        &mut self,
        selection: ScanBatch,
        source: Pixel,
        destinations: &[Option<Pixel>],
    ) -> Result<(), ShardError> {
        let batch = self.batches.len() as u32;
        let before = self.members.len();
        for one in &selection.selected {
            let Some(pixel) = destinations[one.destination as usize] else { continue };
            self.members.push(Member {
                destination: nested_position(pixel),
                index: selection.index[one.batch_row],
                source: nested_position(source),
                row: selection.rows[one.batch_row],
                separation_arcsec: one.separation_arcsec,
                batch,
                batch_row: one.batch_row as u32,
                destination_order: pixel.order(),
                source_order: source.order(),
            });
        }
        let added = self.members.len() - before;
        if added == 0 {
            return Ok(());
        }
        self.column_bytes += selection.columns.get_array_memory_size() as u64;
        self.held_rows += selection.columns.num_rows() as u64;
        self.batches.push(selection.columns);
        if self.held_bytes() >= self.most_bytes { self.write_gathered() } else { Ok(()) }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As for `add`.
    pub(crate) fn finish(mut self) -> Result<ShardContents, ShardError> {
        self.write_gathered()?;
        self.ipc.finish().map_err(shard_error)?;
        self.ipc.get_mut().flush()?;
        self.contents.bytes = self.ipc.get_ref().bytes;
        Ok(self.contents)
    }

    /// What the gathered rows take.
    fn held_bytes(&self) -> u64 {
        self.column_bytes + (self.members.len() * size_of::<Member>()) as u64
    }

    fn write_gathered(&mut self) -> Result<(), ShardError> {
        self.members.sort_unstable_by_key(Member::key);
        let row_bytes = self.column_bytes / self.held_rows.max(1) + ORIGIN_BYTES;
        let at_once = usize::try_from(BATCH_BYTES / row_bytes).unwrap_or(usize::MAX).max(1);
        // A record batch may have a row for each margin of the largest row.
        check_room(self.held_bytes()).map_err(|_| no_room(self.held_bytes()))?;
        let members = std::mem::take(&mut self.members);
        let mut start = 0;
        while start < members.len() {
            let end = cut(&members, start, at_once);
            self.write_batch(&members[start..end])?;
            start = end;
        }
        self.members = members;
        self.members.clear();
        self.batches.clear();
        (self.column_bytes, self.held_rows) = (0, 0);
        self.run += 1;
        Ok(())
    }

    fn write_batch(&mut self, members: &[Member]) -> Result<(), ShardError> {
        let picks: Vec<(usize, usize)> =
            members.iter().map(|one| (one.batch as usize, one.batch_row as usize)).collect();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for place in 0..self.schema.fields().len() - ORIGIN_COLUMNS {
            let arrays: Vec<&dyn Array> = self.batches.iter().map(|batch| batch.column(place).as_ref()).collect();
            columns.push(interleave(&arrays, &picks).map_err(ShardError::Rows)?);
        }
        columns.push(Arc::new(members.iter().map(|one| one.index).collect::<UInt64Array>()));
        columns.push(Arc::new(members.iter().map(|one| one.source_order).collect::<UInt8Array>()));
        let source = |one: &Member| pixel_at(one.source, one.source_order);
        columns.push(Arc::new(members.iter().map(source).collect::<UInt64Array>()));
        columns.push(Arc::new(members.iter().map(|one| one.row).collect::<UInt64Array>()));
        columns.push(Arc::new(members.iter().map(|one| one.separation_arcsec).collect::<Float64Array>()));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(ShardError::Rows)?;
        let position = self.ipc.get_ref().bytes;
        self.ipc.write(&batch).map_err(shard_error)?;
        let length = self.ipc.get_ref().bytes - position;
        self.index(members, position, length);
        Ok(())
    }

    /// Adds the slices of a record batch to the contents.
    fn index(&mut self, members: &[Member], position: u64, length: u64) {
        let mut first = 0;
        for group in members.chunk_by(|a, b| a.destination == b.destination) {
            let (order, destination) = (group[0].destination_order, group[0].destination);
            if let Ok(pixel) = Pixel::new(order, pixel_at(destination, order)) {
                let rows = group.len() as u32;
                let key = (group[0].index, group[0].source, group[0].row);
                let slice = Slice { pixel, position, length, run: self.run, first, rows, key };
                slice.encode(&mut self.contents.slices);
            }
            for (number, threshold_arcsec) in self.thresholds_arcsec.iter().enumerate() {
                let is_within = |one: &&Member| number == 0 || one.separation_arcsec <= *threshold_arcsec;
                let rows = group.iter().filter(is_within).count() as u64;
                self.contents.rows_within.extend_from_slice(&rows.to_le_bytes());
                self.contents.rows_per_threshold[number] += rows;
            }
            first += group.len() as u32;
        }
    }
}

/// Where a record batch ends: after about `at_once` rows, and if it can be, between two margins.
fn cut(members: &[Member], start: usize, at_once: usize) -> usize {
    let most = members.len().min(start.saturating_add(at_once));
    if most == members.len() {
        return most;
    }
    let between = |at: &usize| members[at - 1].destination != members[*at].destination;
    (start + at_once.div_ceil(2)..=most).rev().find(between).unwrap_or(most)
}

fn no_room(bytes: u64) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, format!("there is no memory for {bytes} bytes of selected rows"))
}

/// An error of Arrow's writer, which wraps those of the sink.
fn shard_error(error: arrow_schema::ArrowError) -> ShardError {
    match error {
        arrow_schema::ArrowError::IoError(_, source) => ShardError::Io(source),
        error => ShardError::Rows(error),
    }
}

/// A sink that counts what is written to it.
struct Counted<W> {
    sink: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
