//! Rows whose coordinates contradict their index values, as far as statistics show it.
//!
//! The index says where rows of margins can be, and only their coordinates are read. Statistics of the coordinates show
//! without reading them where an index names another place, unless the rows lie within the bounds of their page anyway.
//! Statistics are hints, those of the index as well: what they contradict is read, and decided by the rows.

use std::ops::Range;

use parquet::file::metadata::ColumnChunkMetaData;

use crate::column_index::PageBounds;
use crate::coordinates::plain_degrees;
use crate::error::ScanError;
use crate::file::ParquetFile;
use crate::filter::{RowBounds, RowFilter};
use crate::first_read::ColumnPositions;
use crate::index_column::GroupIndex;
use crate::page_bounds::{BoundsByPage, Reading, bounds_by_page};
use crate::row_ranges::RowRanges;
use crate::schema::{FileColumn, Projection};

/// Which coordinate a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coordinate {
    Ra,
    Dec,
}

/// Adds the rows of a row group that are to be checked, because statistics of coordinates contradict the index.
pub(super) fn add_suspects(
    file: &ParquetFile,
    projection: &Projection,
    positions: ColumnPositions,
    index: &GroupIndex,
    filter: &impl RowFilter,
    rows: &mut RowRanges,
) -> Result<(), ScanError> {
    let columns = positions.coordinates(projection);
    let mut found: Vec<Range<u64>> = Vec::new();
    for (column, coordinate) in [(columns.ra, Coordinate::Ra), (columns.dec, Coordinate::Dec)] {
        for (rows, bounds) in coordinate_bounds(file, column, index.row_group)? {
            // Crossed bounds are none; NaN never contradicts.
            let known = |bound: Option<f64>| bound.unwrap_or(f64::NAN);
            let extremes = match [known(bounds.min), known(bounds.max)] {
                [min, max] if min > max => [f64::NAN; 2],
                extremes => extremes,
            };
            let none = [f64::NAN; 2];
            let (ra_deg, dec_deg) = match coordinate {
                Coordinate::Ra => (extremes, none),
                Coordinate::Dec => (none, extremes),
            };
            if filter.contradicts(&RowBounds { index: index.range_of(&rows), ra_deg, dec_deg }) {
                found.push(rows);
            }
        }
    }
    let first_row = file.first_rows()[index.row_group];
    for range in RowRanges::from_ranges(found).as_slice() {
        rows.push(first_row + range.start..first_row + range.end);
    }
    Ok(())
}

/// The bounds of a coordinate in degrees in each page of a row group, or in the whole of it where there are no bounds
/// of pages.
///
/// Nothing is read for them over a high-latency source: the page index is usually in hand there.
fn coordinate_bounds(
    file: &ParquetFile,
    column: &FileColumn,
    row_group: usize,
) -> Result<BoundsByPage<f64>, ScanError> {
    let chunk = file.chunk(row_group, column.leaves().start)?;
    let metadata = file.metadata().row_group(row_group).column(chunk.leaf);
    let value = |bytes: &[u8]| plain_degrees(bytes, metadata.column_type(), column.natural());
    let reading = if file.source().is_low_latency() { Reading::All } else { Reading::InHand };
    let by_page = bounds_by_page(file, &chunk, reading, value)?;
    Ok(by_page.unwrap_or_else(|| vec![(0..chunk.rows, group_bounds(metadata, value))]))
}

fn group_bounds(metadata: &ColumnChunkMetaData, value: impl Fn(&[u8]) -> Option<f64>) -> PageBounds<f64> {
    let statistics = metadata.statistics();
    PageBounds {
        min: statistics.and_then(|statistics| statistics.min_bytes_opt()).and_then(&value),
        max: statistics.and_then(|statistics| statistics.max_bytes_opt()).and_then(&value),
        nulls: None,
    }
}
