//! Reducing: from the shards to the files of some margins.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{ArrayRef, UInt8Array, UInt64Array};
use arrow_schema::SchemaRef;
use skymargin_geometry::pixel::Pixel;
use skymargin_scan::catch_panic;

use crate::error::{ReduceError, ShardError};
use crate::merge::{GroupRule, Merge, Picked};
use crate::output::{Output, OutputFile};
use crate::parquet::{Compressors, ParquetFormat, ParquetWriter, RowGroups, WriteError};
use crate::pixel_columns::PixelColumns;
use crate::read_ahead::ReadAhead;
use crate::shard_reader::ShardReader;
use crate::shards::Shards;
use crate::slices::Slice;

/// What reduce tasks of a margin catalog have in common.
pub struct ReduceSpec {
    /// The schema of the rows in the shards, without their origin.
    pub transport: SchemaRef,
    /// How the files are written.
    pub format: Arc<ParquetFormat>,
    /// The columns that name pixels, where the format has them.
    pub pixel_columns: Option<PixelColumns>,
    /// The threshold, where the shards have rows of a wider one.
    pub threshold_arcsec: Option<f64>,
    /// Most rows of a row group.
    pub group_rows: usize,
    /// Rows of one group share a pixel of so many orders below the margin's.
    pub subtile: Option<Subtile>,
}

/// Row groups by subtile.
#[derive(Clone, Copy, Debug)]
pub struct Subtile {
    /// How many orders below that of the margin.
    pub order_delta: u8,
    /// The order of the index.
    pub index_order: u8,
    /// The bits of an index value below its pixel.
    pub index_shift: u8,
}

impl Subtile {
    fn shift(self, margin: Pixel) -> u8 {
        let order = margin.order().saturating_add(self.order_delta);
        self.index_shift + 2 * self.index_order.saturating_sub(order)
    }
}

/// A margin to write.
#[derive(Clone, Debug)]
pub struct MarginFile {
    /// Its pixel.
    pub pixel: Pixel,
    /// Its file, relative to the folder that `_metadata` is in.
    pub name: String,
    /// Where its rows are: shard and slice, those of one shard together, in the order of the shard.
    pub slices: Vec<(u32, Slice)>,
}

/// What a task wrote.
#[derive(Clone, Debug, Default)]
pub struct Reduced {
    /// Rows and size of the file of each margin.
    pub files: Vec<(u64, u64)>,
    /// The row groups of the files, for `_metadata`; joined where the rest of the footers is the same.
    pub row_groups: Vec<RowGroups>,
}

/// Writes the files of some margins.
///
/// `is_given_up` is asked before every margin and after every row group.
///
/// # Errors
/// [`ReduceError`] when a shard cannot be read, a file cannot be written, or the run is given up.
pub fn reduce(
    spec: &ReduceSpec,
    margins: &[MarginFile],
    shards: &dyn Shards,
    output: &dyn Output,
    is_given_up: &dyn Fn() -> bool,
) -> Result<Reduced, ReduceError> {
    catch_panic(|| {
        let ahead = ReadAhead::new(shards, margins.iter().map(|margin| margin.slices.as_slice()));
        let mut reader = ShardReader::new(&spec.transport, ahead);
        let mut compressors = Compressors::default();
        let mut reduced = Reduced::default();
        for margin in margins {
            if is_given_up() {
                return Err(ReduceError::GivenUp);
            }
            let written = write_margin(spec, margin, &mut reader, &mut compressors, output, is_given_up);
            let (rows, bytes, row_groups) = written.map_err(|error| match error {
                ReduceError::Shard(source @ ShardError::Rows(_)) => ReduceError::Rows { pixel: margin.pixel, source },
                error => error,
            })?;
            reduced.files.push((rows, bytes));
            match reduced.row_groups.last_mut() {
                Some(last) if last.before == row_groups.before && last.after == row_groups.after => {
                    last.rows += row_groups.rows;
                    last.count += row_groups.count;
                    last.content.extend_from_slice(&row_groups.content);
                }
                _ => reduced.row_groups.push(row_groups),
            }
        }
        Ok(reduced)
    })
    .unwrap_or_else(|message| Err(ReduceError::Panic(message)))
}

fn write_margin(
    spec: &ReduceSpec,
    margin: &MarginFile,
    reader: &mut ShardReader<'_>,
    compressors: &mut Compressors,
    output: &dyn Output,
    is_given_up: &dyn Fn() -> bool,
) -> Result<(u64, u64, RowGroups), ReduceError> {
    let failed = |source| ReduceError::Write { pixel: margin.pixel, source };
    let rule = GroupRule { rows: spec.group_rows, subtile_shift: spec.subtile.map(|tile| tile.shift(margin.pixel)) };
    let mut merge = Merge::new(&margin.slices, spec.threshold_arcsec);
    let sink = Sink { file: output.create(&margin.name).map_err(|error| failed(WriteError::Io(error)))? };
    let mut writer = ParquetWriter::new(&spec.format, compressors, sink).map_err(failed)?;
    let mut rows = 0;
    while let Some(picked) = merge.next_group(rule, reader)? {
        picked.check_room()?;
        let named = spec.pixel_columns.map(|columns| (columns, picked.sources()));
        let written =
            writer.write_row_group(picked.rows(), |place| column(spec, margin.pixel, &picked, named.as_ref(), place));
        written.map_err(|error| match error {
            GroupError::Shard(error) => error.into(),
            GroupError::Write(error) => failed(error),
        })?;
        rows += picked.rows() as u64;
        if is_given_up() {
            return Err(ReduceError::GivenUp);
        }
    }
    let (sink, bytes, row_groups) = writer.finish(&margin.name).map_err(failed)?;
    sink.file.finish().map_err(|error| failed(WriteError::Io(error)))?;
    Ok((rows, bytes, row_groups))
}

/// A column of a row group; `named` has the columns that name pixels, and where the rows come from.
fn column(
    spec: &ReduceSpec,
    margin: Pixel,
    picked: &Picked,
    named: Option<&(PixelColumns, (UInt8Array, UInt64Array))>,
    place: usize,
) -> Result<ArrayRef, GroupError> {
    if let Some((pixel_columns, sources)) = named {
        let (field, count) = (spec.format.schema().field(place), spec.transport.fields().len());
        let column = pixel_columns.column(place, field.data_type(), count, margin, sources);
        if let Some(column) = column.map_err(ShardError::Rows)? {
            return Ok(column);
        }
    }
    Ok(picked.column(place)?)
}

/// Why a row group is not written.
enum GroupError {
    Shard(ShardError),
    Write(WriteError),
}

impl From<ShardError> for GroupError {
    fn from(error: ShardError) -> Self {
        Self::Shard(error)
    }
}

impl From<WriteError> for GroupError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// A file as the writer wants it.
struct Sink {
    file: Box<dyn OutputFile>,
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
