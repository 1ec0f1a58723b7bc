//! Which page of a column chunk holds which rows, from the page headers.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use parquet::basic::{Compression, Encoding, Type};
use parquet::file::metadata::RowGroupMetaData;

use crate::codec::{self, Codecs};
use crate::error::{ChunkProblem, CompactError, PageError, ScanError};
use crate::fetched::Forward;
use crate::footer::chunk_range;
use crate::levels::{RowStarts, count_row_starts};
use crate::page_header::{ChunkBounds, MAX_HEADER_BYTES, PageHeader, PageKind};
use crate::try_reserve;

/// The error in the size of a chunk that is tolerated: some writers miscount it.
const FORGIVEN_BYTES: u64 = 16 * 1024 * 1024;

/// The bytes first read of a header, and of the repetition levels of a page.
const HEADER_BYTES: u64 = 512;
const LEVELS_BYTES: usize = 16 * 1024;

/// What is known about a column chunk.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) row_group: usize,
    pub(super) leaf: usize,
    /// Where its pages are by the footer. The end is a hint: some writers miscount the size.
    pub(super) range: Range<u64>,
    /// Whether its size is too large for the file.
    pub(super) is_cut: bool,
    /// Where its first data page is by the footer; the dictionary page is before it.
    pub(super) data_start: u64,
    pub(super) rows: u64,
    pub(super) bounds: ChunkBounds,
    pub(super) codec: Compression,
    pub(super) max_definition: i16,
    pub(super) max_repetition: i16,
    /// The smallest size of a plain value in bytes.
    pub(super) value_bytes: u64,
}

impl Chunk {
    /// `end` is where everything but the footer ends.
    pub(super) fn new(group: &RowGroupMetaData, row_group: usize, leaf: usize, end: u64) -> Result<Self, ChunkProblem> {
        let column = group.column(leaf);
        let unsigned = |number: i64| u64::try_from(number).map_err(|_| ChunkProblem::Negative);
        let range = chunk_range(column)?;
        Ok(Self {
            row_group,
            leaf,
            data_start: unsigned(column.data_page_offset())?.clamp(range.start, end.max(range.start)),
            is_cut: range.end > end.max(range.start),
            range: range.start..range.end.min(end.max(range.start)),
            rows: unsigned(group.num_rows())?,
            bounds: ChunkBounds {
                uncompressed_bytes: unsigned(column.uncompressed_size())?.max(FORGIVEN_BYTES),
                values: unsigned(column.num_values())?,
            },
            codec: column.compression(),
            max_definition: column.column_descr().max_def_level(),
            max_repetition: column.column_descr().max_rep_level(),
            value_bytes: match column.column_type() {
                Type::BOOLEAN => 1,
                Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
                Type::INT64 | Type::DOUBLE => 8,
                Type::INT96 => 12,
                Type::FIXED_LEN_BYTE_ARRAY => column.column_descr().type_length().max(1) as u64,
            },
        })
    }
}

/// A data page: where it is and which rows of the row group it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageSpan {
    /// Its bytes in the file, header included.
    pub(super) range: Range<u64>,
    /// The rows that begin in the page.
    pub(super) rows: Range<u64>,
    /// Whether the page begins with a row. Old writers let a row continue in the next page.
    pub(super) begins: bool,
}

impl PageSpan {
    /// The number of rows that begin in the page.
    pub(super) fn row_count(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    /// The bytes that usually hold its header: those that are read of it first.
    pub(super) fn head(&self) -> Range<u64> {
        self.range.start..self.range.end.min(self.range.start + HEADER_BYTES)
    }
}

/// The pages of a chunk.
#[derive(Debug, Default)]
pub(super) struct PageMap {
    /// Where the dictionary page is, with its header.
    pub(super) dictionary: Option<Range<u64>>,
    pub(super) pages: Vec<PageSpan>,
    /// Whether it is from the offset index, which may contradict the pages.
    pub(super) from_index: bool,
    /// Whether the offset index leaves out bytes of the chunk: a header, or a page.
    pub(super) has_gaps: bool,
    /// Which pages of the offset index are known to be in the file. Empty for a map from page headers.
    pub(super) compared: Vec<AtomicBool>,
    /// Whether the footer or the offset index says something else of the chunk, which was ignored.
    pub(super) ignores_hint: bool,
}

impl PageMap {
    /// Reads the map from the page headers, one after the other, and skips the page bodies.
    ///
    /// In a repeated column whose headers count values instead of rows, the repetition levels at the beginning of each
    /// page are decompressed. `space_end` gives the position where a chunk that starts at one ends at the latest.
    pub(super) fn from_headers(
        chunk: &Chunk,
        space_end: &dyn Fn(u64) -> u64,
        forward: &mut Forward<'_>,
        codecs: &mut Codecs,
        page_error: &dyn Fn(PageError) -> ScanError,
    ) -> Result<Self, ScanError> {
        let Range { start, end } = chunk.range;
        let mut walk = Walk { chunk, space_end, forward, codecs, page_error, start, end };
        let error = match walk.pages() {
            Err(error @ ScanError::Page { .. }) if chunk.data_start > chunk.range.start => error,
            other => return other,
        };
        // There may be no dictionary where the footer has one.
        (walk.start, walk.end) = (chunk.data_start, end.max(chunk.data_start));
        let map = walk.pages().map_err(|_| error)?;
        Ok(Self { ignores_hint: true, ..map })
    }

    /// Whether a page begins with a row; true for the position after the last page.
    pub(super) fn begins(&self, page: usize) -> bool {
        self.pages.get(page).is_none_or(|span| span.begins)
    }

    /// Whether another map has the pages with the first rows of this one at the same places.
    pub(super) fn agrees_with(&self, other: &Self, rows: u64) -> bool {
        self.pages.iter().take_while(|page| page.rows.start < rows).all(|page| {
            let place = other.pages.binary_search_by_key(&page.range.start, |other| other.range.start);
            place.is_ok_and(|place| other.pages[place].rows == page.rows)
        })
    }

    /// Whether all rows of a page lie completely in it, so that the page can be skipped.
    pub(super) fn is_whole(&self, page: usize) -> bool {
        self.begins(page) && self.begins(page + 1)
    }

    /// Whether a page is known to be in the file as in the map.
    pub(super) fn is_compared(&self, page: usize) -> bool {
        self.compared.get(page).is_none_or(|compared| compared.load(Ordering::Relaxed))
    }

    pub(super) fn set_compared(&self, page: usize) {
        if let Some(compared) = self.compared.get(page) {
            compared.store(true, Ordering::Relaxed);
        }
    }

    /// The pages that hold any of the rows. Rows ascend and count from the start of the row group.
    pub(super) fn pages_of(&self, rows: &[Range<u64>]) -> Vec<usize> {
        let mut rows = rows.iter().peekable();
        let mut needed = Vec::new();
        for (at, page) in self.pages.iter().enumerate() {
            while rows.next_if(|range| range.end <= page.rows.start).is_some() {}
            let asked = rows.peek().is_some_and(|range| range.start < page.rows.end);
            if asked || !self.is_whole(at) {
                needed.push(at);
            }
        }
        needed
    }
}

/// A walk through the headers of a chunk.
struct Walk<'a, 'b> {
    chunk: &'a Chunk,
    space_end: &'a dyn Fn(u64) -> u64,
    forward: &'a mut Forward<'b>,
    codecs: &'a mut Codecs,
    page_error: &'a dyn Fn(PageError) -> ScanError,
    /// Where the chunk starts and ends.
    start: u64,
    end: u64,
}

impl Walk<'_, '_> {
    /// The pages until they have all values of the chunk.
    fn pages(&mut self) -> Result<PageMap, ScanError> {
        let chunk = self.chunk;
        let mut map = PageMap { ignores_hint: chunk.is_cut, ..PageMap::default() };
        let (mut at, mut values_seen, mut row) = (self.start, 0, 0);
        while values_seen < chunk.bounds.values && self.reaches(at + 1, &mut map) {
            let header = match self.header(at) {
                Err(_) if self.widen(&mut map) => continue,
                header => header?,
            };
            let end = at + header.total_bytes();
            if !self.reaches(end, &mut map) {
                let (what, found) = ("its end", end as i64);
                return Err((self.page_error)(PageError::Bound { offset: at, what, found, allowed: self.end }));
            }
            if at < chunk.data_start && at == chunk.range.start && !matches!(header.kind, PageKind::Dictionary { .. }) {
                // What is there may well be a page of another column.
                return Err((self.page_error)(PageError::NoDictionary { offset: at }));
            }
            let (values, begun) = match header.kind {
                PageKind::Dictionary { .. } => {
                    if map.dictionary.is_none() && map.pages.is_empty() {
                        map.dictionary = Some(at..end);
                    }
                    at = end;
                    continue;
                }
                PageKind::Other => {
                    at = end;
                    continue;
                }
                PageKind::Data { values, .. } if chunk.max_repetition == 0 => (values, whole_rows(values)),
                PageKind::Data { values, repetition: Encoding::RLE, .. } => {
                    let begun = row_starts(chunk, at..self.end, &header, values, self.forward, self.codecs)?;
                    (values, begun.ok_or_else(|| (self.page_error)(PageError::Levels { offset: at }))?)
                }
                PageKind::Data { .. } => return Err((self.page_error)(PageError::Levels { offset: at })),
                PageKind::DataV2(page) => (page.values, whole_rows(page.rows)),
            };
            values_seen += u64::from(values);
            let rows = row..row + begun.rows;
            map.pages.push(PageSpan { range: at..end, rows, begins: begun.first_starts });
            row += begun.rows;
            at = end;
        }
        if row != chunk.rows || values_seen != chunk.bounds.values {
            return Err((self.page_error)(PageError::Rows { found: row, wanted: chunk.rows }));
        }
        Ok(map)
    }

    /// Whether the chunk goes on up to a position.
    fn reaches(&mut self, position: u64, map: &mut PageMap) -> bool {
        if position > self.end {
            self.widen(map);
        }
        position <= self.end
    }

    /// Goes on to where the chunk ends at the latest, because its size in the footer is too small: that may lack the
    /// header of the dictionary page. Returns whether that is farther.
    fn widen(&mut self, map: &mut PageMap) -> bool {
        let space_end = (self.space_end)(self.start);
        let is_farther = space_end > self.end;
        if is_farther {
            self.end = space_end;
            map.ignores_hint = true;
        }
        is_farther
    }

    fn header(&mut self, at: u64) -> Result<PageHeader, ScanError> {
        read_header(self.chunk, at..self.end, self.forward, self.page_error)
    }
}

/// The rows that begin in a page of version 1 of a repeated column. `None` when its levels are damaged.
///
/// The range starts with the page and ends with it or with its chunk.
pub(super) fn row_starts(
    chunk: &Chunk,
    range: Range<u64>,
    header: &PageHeader,
    values: u32,
    forward: &mut Forward<'_>,
    codecs: &mut Codecs,
) -> Result<Option<RowStarts>, ScanError> {
    let body = range.start + header.header_bytes as u64;
    let mut length = LEVELS_BYTES.min(header.compressed_bytes);
    loop {
        let bytes = forward.get(body..body + length as u64, range.end)?;
        let whole = length == header.compressed_bytes;
        let first = |wanted: usize| codec::prefix(chunk.codec, &bytes, wanted);
        let count = |page: &[u8]| {
            let (head, levels) = page.split_first_chunk::<4>()?;
            let levels = levels.get(..u32::from_le_bytes(*head) as usize)?;
            count_row_starts(levels, chunk.max_repetition, values)
        };
        let head = first(4);
        if let Some(head) = head.first_chunk::<4>() {
            let wanted = 4 + u32::from_le_bytes(*head) as usize;
            if wanted > header.uncompressed_bytes {
                return Ok(None);
            }
            if let Some(starts) = count(&first(wanted)) {
                return Ok(Some(starts));
            }
        }
        if whole {
            // Compressions that cannot be decompressed partially.
            let claimed = header.uncompressed_bytes;
            let stated = || codec::stated_size(chunk.codec, &bytes) == Some(claimed);
            let is_possible = codec::check_claim(chunk.codec, &bytes, claimed).is_ok();
            if !is_possible || header.is_beyond_chunk && !stated() || try_reserve::check(claimed).is_err() {
                return Ok(None);
            }
            let mut page = vec![0; claimed];
            let complete = codecs.decompress(chunk.codec, &bytes, &mut page);
            return Ok(complete.ok().and_then(|()| count(&page)));
        }
        length = (length * 8).min(header.compressed_bytes);
    }
}

fn whole_rows(rows: u32) -> RowStarts {
    RowStarts { rows: u64::from(rows), first_starts: true }
}

/// The header at the start of a range, which ends with the chunk or the page.
pub(super) fn read_header(
    chunk: &Chunk,
    range: Range<u64>,
    forward: &mut Forward<'_>,
    page_error: &dyn Fn(PageError) -> ScanError,
) -> Result<PageHeader, ScanError> {
    let mut length = HEADER_BYTES;
    loop {
        let end = range.end.min(range.start + length);
        let bytes = forward.get(range.start..end, range.end)?;
        match PageHeader::parse(&bytes, range.start, chunk.bounds) {
            Err(PageError::Header { source: CompactError::Truncated | CompactError::List { .. }, .. })
                if end < range.end && length < MAX_HEADER_BYTES =>
            {
                length *= 8;
            }
            other => return other.map_err(page_error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    #[test]
    fn pages_whose_rows_run_on_are_always_needed() {
        let page = |rows, begins| PageSpan { range: 0..1, rows, begins };
        let pages = vec![page(0..2, true), page(2..3, true), page(3..5, false), page(5..6, true)];
        let map = PageMap { pages, ..PageMap::default() };
        assert_eq!(map.pages_of(&[0..1]), [0, 1, 2]);
        assert_eq!(map.pages_of(&[5..6]), [1, 2, 3]);
    }
}
