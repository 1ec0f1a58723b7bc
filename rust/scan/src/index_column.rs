//! The spatial index column: which row groups and pages may hold candidates, and which rows in them are.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::DataType;
use arrow_select::take::take;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;

use crate::budget::Budget;
use crate::column_index::{PageBounds, integer};
use crate::column_reader::ColumnReader;
use crate::error::{ColumnError, ScanError};
use crate::fetched::Fetched;
use crate::file::ParquetFile;
use crate::filter::{FilterAnswerError, RowFilter};
use crate::page_bounds::{Reading, bounds_by_page};
use crate::row_ranges::RowRanges;
use crate::schema::FileColumn;

/// The number of index values passed to the filter at once.
const BATCH_ROWS: usize = 64 * 1024;

/// Candidate rows by their index values.
#[derive(Default)]
pub(super) struct IndexCandidates {
    /// In the file, ascending.
    pub(super) rows: Vec<u64>,
    /// Their index values, `u64::MAX` where there is none.
    pub(super) index: Vec<u64>,
    /// The positions of the rows without an index value.
    pub(super) unknown: Vec<usize>,
    /// The index column of the candidates with the type of the file, in pieces.
    pub(super) arrays: Vec<ArrayRef>,
}

/// Checks that it is a column of integers.
pub(super) fn check_type(file: &str, column: &FileColumn) -> Result<(), ScanError> {
    use DataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    match column.natural() {
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => Ok(()),
        found => Err(ScanError::Column {
            file: file.to_string(),
            column: column.name().to_string(),
            source: ColumnError::IndexType { found: found.clone() },
        }),
    }
}

/// The smallest and the largest index value of some rows; `None` where there may be others, or rows without one.
type KnownRange = Option<(u64, u64)>;

/// The index values of a row group, as far as statistics bound them.
pub(super) struct GroupIndex {
    pub(super) row_group: usize,
    whole: KnownRange,
    /// The rows of each page and its bounds; the whole row group where there are no bounds of pages.
    pages: Vec<(Range<u64>, KnownRange)>,
}

impl GroupIndex {
    /// The page index is read where the row group may hold candidates, or where reading it costs little.
    pub(super) fn new(
        file: &ParquetFile,
        column: &FileColumn,
        row_group: usize,
        filter: &impl RowFilter,
    ) -> Result<Self, ScanError> {
        let chunk = file.chunk(row_group, column.leaves().start)?;
        let metadata = file.metadata().row_group(row_group).column(chunk.leaf);
        let whole = known_range(&bounds_of_group(metadata), metadata, column);
        let is_read = may_hold(whole, filter) || file.source().is_low_latency();
        let reading = if is_read { Reading::All } else { Reading::InHand };
        let pages = match bounds_by_page(file, &chunk, reading, integer)? {
            Some(pages) => {
                pages.into_iter().map(|(rows, bounds)| (rows, known_range(&bounds, metadata, column))).collect()
            }
            None => vec![(0..chunk.rows, whole)],
        };
        Ok(Self { row_group, whole, pages })
    }

    /// Adds the rows that may be candidates.
    pub(super) fn add_rows_that_may_hold(&self, file: &ParquetFile, filter: &impl RowFilter, rows: &mut RowRanges) {
        if !may_hold(self.whole, filter) {
            return;
        }
        let first_row = file.first_rows()[self.row_group];
        for (page, range) in &self.pages {
            if may_hold(*range, filter) {
                rows.push(first_row + page.start..first_row + page.end);
            }
        }
    }

    /// The range of some rows of the row group, or a wider one.
    pub(super) fn range_of(&self, rows: &Range<u64>) -> KnownRange {
        let first = self.pages.partition_point(|(page, _)| page.end <= rows.start);
        let mut pages =
            self.pages[first..].iter().take_while(|(page, _)| page.start < rows.end).map(|(_, range)| *range);
        let first = pages.next()??;
        pages.try_fold(first, |all, range| range.map(|(min, max)| (all.0.min(min), all.1.max(max))))
    }
}

fn may_hold(range: KnownRange, filter: &impl RowFilter) -> bool {
    range.is_none_or(|(min, max)| filter.may_hold(min, max))
}

/// What the footer says of the index values of a row group.
fn bounds_of_group(chunk: &ColumnChunkMetaData) -> PageBounds<i64> {
    let Some(statistics) = chunk.statistics() else { return PageBounds::default() };
    let (min, max) = match statistics {
        Statistics::Int32(values) => (values.min_opt().map(|v| i64::from(*v)), values.max_opt().map(|v| i64::from(*v))),
        Statistics::Int64(values) => (values.min_opt().copied(), values.max_opt().copied()),
        _ => (None, None),
    };
    PageBounds { min, max, nulls: statistics.null_count_opt() }
}

/// What bounds say of index values.
fn known_range(bounds: &PageBounds<i64>, chunk: &ColumnChunkMetaData, column: &FileColumn) -> KnownRange {
    let nullable = chunk.column_descr().max_def_level() > 0;
    if nullable && bounds.nulls != Some(0) {
        return None;
    }
    let unsigned_32 = matches!(column.natural(), DataType::UInt8 | DataType::UInt16 | DataType::UInt32);
    let unsigned = |value: i64| match column.natural() {
        DataType::UInt64 => Some(value as u64),
        _ if unsigned_32 => Some(u64::from(value as u32)),
        _ => u64::try_from(value).ok(),
    };
    match (bounds.min.and_then(unsigned), bounds.max.and_then(unsigned)) {
        // Old writers ordered unsigned values as signed ones. Then the bounds cross and are useless.
        (Some(min), Some(max)) if min <= max => Some((min, max)),
        _ => None,
    }
}

/// Compares the offset index with the headers of the pages between those of some rows: where they differ, the rows were
/// chosen by pages that are elsewhere.
///
/// Returns the rows with all of such row groups, which are read by their page headers; `None` where there are none.
fn rows_without_wrong_index(
    file: &Arc<ParquetFile>,
    column: &FileColumn,
    rows: &RowRanges,
    fetched: &Arc<Fetched>,
) -> Result<Option<RowRanges>, ScanError> {
    let (mut more, mut is_wrong) = (RowRanges::default(), false);
    for (row_group, local) in rows.by_group(file.first_rows()) {
        let chunk = file.chunk(row_group, column.leaves().start)?;
        let first = file.first_rows()[row_group];
        if file.index_agrees(&chunk, &local, fetched)? {
            local.as_slice().iter().for_each(|range| more.push(first + range.start..first + range.end));
        } else {
            file.distrust_index(&chunk)?;
            is_wrong = true;
            more.push(first..first + chunk.rows);
        }
    }
    Ok(is_wrong.then_some(more))
}

/// Reads the index column at some rows and asks the filter for candidates.
pub(super) struct IndexReader {
    file: Arc<ParquetFile>,
    column: String,
    reader: ColumnReader,
    row_numbers: RowNumbers,
    rows: u64,
}

impl IndexReader {
    pub(super) fn new(
        file: &Arc<ParquetFile>,
        column: &FileColumn,
        mut rows: RowRanges,
        budget: Budget,
        in_hand: &Arc<Fetched>,
    ) -> Result<Self, ScanError> {
        let fetched = loop {
            let (_, fetched) = file.fetch(&[column], &rows, budget.fetch_bytes(), in_hand)?;
            match rows_without_wrong_index(file, column, &rows, &fetched)? {
                Some(more) => rows = more,
                None => break fetched,
            }
        };
        let batch_rows = BATCH_ROWS.min(rows.len() as usize).min(budget.candidates());
        Ok(Self {
            reader: file.read(column, &rows, batch_rows, &fetched)?.of_pages(),
            file: Arc::clone(file),
            column: column.name().to_string(),
            rows: rows.len(),
            row_numbers: RowNumbers::new(rows),
        })
    }

    /// Reads until there are `most` candidates or no more rows. `None` when there were no more rows.
    pub(super) fn next(&mut self, most: usize, filter: &impl RowFilter) -> Result<Option<IndexCandidates>, ScanError> {
        let mut found = IndexCandidates::default();
        while found.rows.len() < most {
            let next = self.reader.next().transpose()?;
            if let Some(rows) = self.reader.changed_rows() {
                self.rows = self.row_numbers.given + rows.len();
                self.row_numbers.go_on_with(rows);
            }
            match next {
                Some(array) => self.ask(&array, filter, &mut found)?,
                None => break,
            }
        }
        if found.rows.is_empty() {
            self.file.check_rows(&self.column, self.row_numbers.given, self.rows)?;
            return Ok(None);
        }
        Ok(Some(found))
    }

    fn ask(&mut self, array: &ArrayRef, filter: &impl RowFilter, found: &mut IndexCandidates) -> Result<(), ScanError> {
        let mut positions = Vec::new();
        let values = index_values(array, self.file.name(), &self.column)?;
        let before = found.rows.len();
        if values.unknown.is_empty() {
            filter.candidates(&values.values, &mut positions);
            check_positions(&self.file, &positions, values.values.len())?;
        } else {
            among_known(&self.file, &values, filter, &mut positions)?;
        }
        self.row_numbers.take(array.len(), &positions, &mut found.rows);
        found.index.extend(positions.iter().map(|position| values.values[*position]));
        if !values.unknown.is_empty() {
            for (at, position) in positions.iter().enumerate() {
                if values.unknown.binary_search(position).is_ok() {
                    found.index[before + at] = u64::MAX;
                    found.unknown.push(before + at);
                }
            }
        }
        if !positions.is_empty() {
            let positions: UInt64Array = positions.iter().map(|position| *position as u64).collect();
            let taken = take(array, &positions, None).map_err(|error| self.file.kernel_error(&self.column, error))?;
            found.arrays.push(taken);
        }
        Ok(())
    }
}

/// Asks the filter for the rows that have an index value, and adds those that have none.
fn among_known(
    file: &ParquetFile,
    values: &IndexValues,
    filter: &impl RowFilter,
    positions: &mut Vec<usize>,
) -> Result<(), ScanError> {
    let mut unknown = values.unknown.iter().copied().peekable();
    let places = (0..values.values.len()).filter(|at| unknown.next_if_eq(at).is_none()).collect::<Vec<_>>();
    let known: Vec<u64> = places.iter().map(|at| values.values[*at]).collect();
    filter.candidates(&known, positions);
    check_positions(file, positions, known.len())?;
    for position in positions.iter_mut() {
        *position = places[*position];
    }
    positions.extend(&values.unknown);
    positions.sort_unstable();
    Ok(())
}

/// Checks that positions ascend and are below the number of values asked about.
pub(super) fn check_positions(file: &ParquetFile, positions: &[usize], asked: usize) -> Result<(), ScanError> {
    let ascend = positions.is_sorted_by(|a, b| a < b);
    if ascend && positions.last().is_none_or(|last| *last < asked) {
        return Ok(());
    }
    Err(file.filter_error(FilterAnswerError::Positions { asked }.into()))
}

struct IndexValues {
    values: ScalarBuffer<u64>,
    /// Positions that are null or negative.
    unknown: Vec<usize>,
}

fn index_values(array: &ArrayRef, file: &str, column: &str) -> Result<IndexValues, ScanError> {
    fn widened<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &ArrayRef) -> (ScalarBuffer<u64>, bool) {
        let values = array.as_primitive::<T>().values().iter().map(|value| (*value).into());
        (values.map(|value| value as u64).collect(), true)
    }
    let (values, signed): (ScalarBuffer<u64>, bool) = match array.data_type() {
        // The same bytes as unsigned integers; negative values become larger than 2^63.
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values();
            (ScalarBuffer::new(values.inner().clone(), 0, values.len()), true)
        }
        DataType::UInt64 => (array.as_primitive::<UInt64Type>().values().clone(), false),
        DataType::Int32 => widened::<Int32Type>(array),
        DataType::UInt32 => widened::<UInt32Type>(array),
        DataType::Int16 => widened::<Int16Type>(array),
        DataType::UInt16 => widened::<UInt16Type>(array),
        DataType::Int8 => widened::<Int8Type>(array),
        DataType::UInt8 => widened::<UInt8Type>(array),
        found => {
            return Err(ScanError::Column {
                file: file.to_string(),
                column: column.to_string(),
                source: ColumnError::IndexType { found: found.clone() },
            });
        }
    };
    let negative = signed && values.iter().fold(0, |all, value| all | *value) >> 63 == 1;
    let unknown = if negative || array.null_count() > 0 {
        (0..values.len()).filter(|at| array.is_null(*at) || signed && values[*at] >> 63 == 1).collect()
    } else {
        Vec::new()
    };
    Ok(IndexValues { values, unknown })
}

/// The row numbers of values that are read in the order of some rows.
pub(super) struct RowNumbers {
    ranges: std::vec::IntoIter<Range<u64>>,
    current: Range<u64>,
    /// The number of values read.
    pub(super) given: u64,
}

impl RowNumbers {
    pub(super) fn new(rows: RowRanges) -> Self {
        Self { ranges: rows.into_vec().into_iter(), current: 0..0, given: 0 }
    }

    /// Reads other rows from here on.
    fn go_on_with(&mut self, rows: RowRanges) {
        *self = Self { given: self.given, ..Self::new(rows) };
    }

    /// Appends the rows of ascending positions among the next `count` values.
    pub(super) fn take(&mut self, count: usize, positions: &[usize], rows: &mut Vec<u64>) {
        let mut positions = positions.iter().map(|position| *position as u64).peekable();
        let mut at = 0;
        self.given += count as u64;
        let count = count as u64;
        while at < count {
            if self.current.is_empty() {
                match self.ranges.next() {
                    Some(next) => self.current = next,
                    None => return,
                }
            }
            let used = (self.current.end - self.current.start).min(count - at);
            while let Some(position) = positions.next_if(|position| *position < at + used) {
                rows.push(self.current.start + (position - at));
            }
            self.current.start += used;
            at += used;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_become_rows() {
        let mut ranges = RowRanges::default();
        for range in [2..5, 10..11, 20..30] {
            ranges.push(range);
        }
        let mut numbers = RowNumbers::new(ranges);
        let mut rows = Vec::new();
        numbers.take(4, &[0, 2, 3], &mut rows);
        numbers.take(6, &[0, 5], &mut rows);
        numbers.take(4, &[3], &mut rows);
        assert_eq!(rows, [2, 4, 10, 20, 25, 29]);
        assert_eq!(numbers.given, 14);
        numbers.go_on_with(RowRanges::from_rows(&[29, 30, 40]));
        numbers.take(3, &[0, 2], &mut rows);
        assert_eq!((&rows[6..], numbers.given), (&[29, 40][..], 17));
    }
}
