//! Writing a file.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use skymargin_scan::catch_panic;

use crate::parquet::cast::to_written;
use crate::parquet::chunk::{ChunkBytes, compress_chunk};
use crate::parquet::compressors::Compressors;
use crate::parquet::error::WriteError;
use crate::parquet::footer::{FooterParts, RowGroups, footer_of, trailer};
use crate::parquet::format::ParquetFormat;
use crate::parquet::page_shelf::PageShelf;
use crate::parquet::sink::Sink;

/// Writes one Parquet file. After an error it is of no use, and the file is incomplete.
pub struct ParquetWriter<'a, W: Write + Send> {
    format: &'a ParquetFormat,
    compressors: &'a mut Compressors,
    file: SerializedFileWriter<Sink<W>>,
    row_groups: usize,
}

impl<'a, W: Write + Send> ParquetWriter<'a, W> {
    /// Starts a file.
    ///
    /// # Errors
    /// When the sink refuses bytes.
    pub fn new(format: &'a ParquetFormat, compressors: &'a mut Compressors, sink: W) -> Result<Self, WriteError> {
        let file =
            SerializedFileWriter::new(Sink::new(sink), Arc::clone(&format.root), Arc::clone(&format.properties))?;
        Ok(Self { format, compressors, file, row_groups: 0 })
    }

    /// Writes a record batch as a row group; none for no rows.
    ///
    /// # Errors
    /// When the columns are not those of the schema, a value cannot be written, or the sink refuses bytes.
    pub fn write_batch(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        let (found, wanted) = (batch.num_columns(), self.format.written.fields().len());
        if found != wanted {
            return Err(WriteError::Arrays(format!("{found} arrays for {wanted} columns")));
        }
        self.write_row_group(batch.num_rows(), |place| Ok(Arc::clone(batch.column(place))))
    }

    /// Writes a row group of columns that are asked for one after the other, so that they need not be in memory together;
    /// none for no rows.
    ///
    /// # Errors
    /// When a column is not that of the schema, a value cannot be written, or the sink refuses bytes; those of `column`.
    pub fn write_row_group<E: From<WriteError>>(
        &mut self,
        rows: usize,
        column: impl FnMut(usize) -> Result<ArrayRef, E>,
    ) -> Result<(), E> {
        if rows == 0 {
            return Ok(());
        }
        catch_panic(|| self.encode(rows, column)).unwrap_or_else(|message| Err(WriteError::Panic(message).into()))
    }

    fn encode<E: From<WriteError>>(
        &mut self,
        rows: usize,
        mut column: impl FnMut(usize) -> Result<ArrayRef, E>,
    ) -> Result<(), E> {
        let shelf = PageShelf::new(self.format.chunks.len());
        let factory = ArrowRowGroupWriterFactory::new(&self.file, Arc::clone(&self.format.written))
            .with_page_store_factory(Arc::new(shelf.clone()));
        let mut writers = factory.create_column_writers(self.row_groups).map_err(WriteError::from)?.into_iter();
        let mut group = self.file.next_row_group().map_err(WriteError::from)?;
        let mut number = 0;
        for place in 0..self.format.written.fields().len() {
            // The column itself is dropped before its pages are compressed.
            let own = encode_column(self.format, place, rows, &column(place)?, &mut writers)?;
            for writer in own {
                let chunk = writer.close().map_err(WriteError::from)?;
                let options = &self.format.chunks[number];
                let close = compress_chunk(shelf.take(number), chunk.close(), options, self.compressors)?;
                group.append_column(&ChunkBytes(&self.compressors.chunk), close).map_err(WriteError::from)?;
                number += 1;
            }
        }
        group.close().map_err(WriteError::from)?;
        self.row_groups += 1;
        Ok(())
    }

    /// Completes the file, and returns the sink, the size of the file, and its row groups for a `_metadata` file.
    ///
    /// `path` is the path of the file from the folder of that `_metadata` file.
    ///
    /// # Errors
    /// When the sink refuses bytes.
    pub fn finish(self, path: &str) -> Result<(W, u64, RowGroups), WriteError> {
        let Self { format, compressors, mut file, .. } = self;
        file.inner_mut().hold(std::mem::take(&mut compressors.tail));
        let sink = catch_panic(|| file.into_inner()).map_err(WriteError::Panic)??;
        let (mut sink, passed, tail) = sink.into_parts();
        let footer = footer_of(&tail)?;
        let parts = FooterParts::of(footer)?;
        // The schema of the template instead of what arrow-rs makes of it.
        let rest = &footer[parts.rows_at..];
        let footer_bytes = format.before.len() + rest.len();
        let trailer = trailer(footer_bytes).ok_or_else(|| {
            ParquetError::General(format!("a footer of {footer_bytes} bytes is too large for Parquet"))
        })?;
        let pages = &tail[..tail.len() - trailer.len() - footer.len()];
        let pieces = [pages, &format.before, rest, &trailer];
        for piece in pieces {
            sink.write_all(piece).map_err(WriteError::Io)?;
        }
        sink.flush().map_err(WriteError::Io)?;
        let bytes = passed + pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let row_groups = parts.row_groups(footer, &format.before, path)?;
        compressors.tail = tail;
        Ok((sink, bytes, row_groups))
    }
}

/// Encodes a column with the next of the writers, one for each of its leaves, and returns these.
fn encode_column(
    format: &ParquetFormat,
    place: usize,
    rows: usize,
    array: &ArrayRef,
    writers: &mut impl Iterator<Item = ArrowColumnWriter>,
) -> Result<Vec<ArrowColumnWriter>, WriteError> {
    let field = format.written.field(place);
    if array.len() != rows {
        let count = array.len();
        return Err(WriteError::Arrays(format!("column '{}' has {count} values for {rows} rows", field.name())));
    }
    let array = to_written(array, field.data_type(), format.allow_truncated_timestamps)
        .map_err(|source| WriteError::Value { column: field.name().clone(), source })?;
    if !field.is_nullable() && array.null_count() > 0 {
        return Err(WriteError::Arrays(format!("column '{}' has nulls, which it may not", field.name())));
    }
    let slice_rows = rows_of_page(&array, format).min(format.slice_rows[place]);
    let mut own: Vec<ArrowColumnWriter> = Vec::new();
    let mut start = 0;
    while start < rows {
        let count = (rows - start).min(slice_rows);
        let leaves = compute_leaves(field, &array.slice(start, count))?;
        if start == 0 {
            own.extend(writers.take(leaves.len()));
        }
        for (writer, leaf) in own.iter_mut().zip(&leaves) {
            writer.write(leaf)?;
        }
        start += count;
    }
    Ok(own)
}

/// How many rows of a column fill a page, by their average size, where these are few: arrow-rs looks at the size of a
/// page, and at that of a dictionary, between the slices that it is given.
fn rows_of_page(array: &ArrayRef, format: &ParquetFormat) -> usize {
    // The space that is allocated is never less than what is used.
    if array.get_array_memory_size() <= format.page_bytes {
        return usize::MAX;
    }
    let bytes = array.to_data().get_slice_memory_size().unwrap_or(0).max(1);
    let rows = (array.len() as u128 * format.page_bytes as u128).div_ceil(bytes as u128);
    let rows = usize::try_from(rows).unwrap_or(usize::MAX).max(1);
    // Like pyarrow, arrow-rs looks by itself after so many rows, which of wide rows would be many pages.
    if rows < format.batch_rows { rows } else { usize::MAX }
}
