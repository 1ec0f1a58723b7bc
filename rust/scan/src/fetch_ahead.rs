//! What columns need, fetched in one call.

use std::ops::Range;
use std::sync::Arc;

use crate::error::ScanError;
use crate::fetched::{Fetched, disjoint};
use crate::file::ParquetFile;
use crate::row_ranges::RowRanges;
use crate::schema::FileColumn;
use crate::source::{Gaps, REQUEST_BYTES, join};

/// The memory for what is fetched at once, and the longest gap that is read for one request less.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) bytes: u64,
    pub(super) longest_gap_bytes: u64,
}

impl Room {
    /// The bytes of ranges with the gaps between them.
    fn joined_bytes(self, ranges: &[Range<u64>]) -> u64 {
        let gaps = Gaps { longest_bytes: self.longest_gap_bytes, total_bytes: u64::MAX };
        length(&join(&disjoint(ranges.to_vec()), gaps))
    }
}

impl From<u64> for Room {
    /// For ranges between which nothing is needed.
    fn from(bytes: u64) -> Self {
        Self { bytes, longest_gap_bytes: REQUEST_BYTES }
    }
}

impl ParquetFile {
    /// Fetches ahead, in one call, the bytes that the first of these columns need for some rows, within `room`.
    ///
    /// Returns the number of columns covered, at least one, and what is in hand then. Nothing is fetched where one
    /// column alone needs more, or the source has a low latency: then pages are read as they are needed.
    pub(super) fn fetch(
        &self,
        columns: &[&FileColumn],
        rows: &RowRanges,
        room: impl Into<Room>,
        in_hand: &Arc<Fetched>,
    ) -> Result<(usize, Arc<Fetched>), ScanError> {
        let room = room.into();
        if self.source().is_low_latency() {
            return Ok((columns.len(), Arc::clone(in_hand)));
        }
        let groups = rows.by_group(self.first_rows());
        let mut ranges = Vec::new();
        // Where the ranges of each column end.
        let mut ends = Vec::with_capacity(columns.len());
        let mut total_bytes = 0;
        for column in columns {
            let before = ranges.len();
            self.add_missing(column, &groups, in_hand, &mut ranges)?;
            total_bytes += length(&ranges[before..]);
            if total_bytes > room.bytes {
                ranges.truncate(before);
                break;
            }
            ends.push(ranges.len());
        }
        let mut covered = ends.len();
        // The rest takes another call: fewer columns now, so that there is room for the gaps between their ranges.
        while 1 < covered && covered < columns.len() && room.joined_bytes(&ranges) > room.bytes {
            covered -= covered.div_ceil(8);
            ranges.truncate(ends[covered.max(1) - 1]);
        }
        if ranges.is_empty() {
            return Ok((covered.max(1), Arc::clone(in_hand)));
        }
        let gaps = Gaps { longest_bytes: room.longest_gap_bytes, total_bytes: room.bytes - length(&ranges) };
        let fetched = Fetched::read(self.source(), ranges, gaps, Some(in_hand))?;
        Ok((covered.max(1), Arc::new(fetched)))
    }

    /// How many bytes the columns need for some rows that are not in hand.
    pub(super) fn missing_bytes<'a>(
        &self,
        columns: impl IntoIterator<Item = &'a FileColumn>,
        rows: &RowRanges,
        in_hand: &Fetched,
    ) -> Result<u64, ScanError> {
        let groups = rows.by_group(self.first_rows());
        let mut ranges = Vec::new();
        for column in columns {
            self.add_missing(column, &groups, in_hand, &mut ranges)?;
        }
        Ok(length(&disjoint(ranges)))
    }

    fn add_missing(
        &self,
        column: &FileColumn,
        groups: &[(usize, RowRanges)],
        in_hand: &Fetched,
        ranges: &mut Vec<Range<u64>>,
    ) -> Result<(), ScanError> {
        let mut needed = Vec::new();
        for (row_group, rows) in groups {
            for leaf in column.leaves() {
                self.add_ranges(*row_group, leaf, rows, &mut needed)?;
            }
        }
        ranges.extend(needed.into_iter().filter(|range| !range.is_empty() && in_hand.get(range).is_none()));
        Ok(())
    }

    /// The ranges of a chunk that rows need: single pages with an offset index that may be right, else the whole chunk.
    fn add_ranges(
        &self,
        row_group: usize,
        leaf: usize,
        rows: &RowRanges,
        ranges: &mut Vec<Range<u64>>,
    ) -> Result<(), ScanError> {
        let chunk = self.chunk(row_group, leaf)?;
        match self.indexed_pages(&chunk)? {
            Some(map) => {
                let needed = map.pages_of(rows.as_slice());
                if map.has_gaps && !map.others_before(&chunk, &needed).is_empty() {
                    ranges.push(chunk.range);
                    return Ok(());
                }
                let dictionary = map.dictionary.iter().filter(|_| !needed.is_empty());
                ranges.extend(dictionary.filter(|range| !self.is_held(leaf, true, range.start)).cloned());
                let pages = needed.iter().map(|page| &map.pages[*page].range);
                ranges.extend(pages.filter(|range| !self.is_held(leaf, false, range.start)).cloned());
            }
            None => ranges.push(chunk.range),
        }
        Ok(())
    }
}

fn length(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}
