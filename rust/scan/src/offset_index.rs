//! Which page of a column chunk holds which rows, by its offset index: a hint, which the page headers may contradict.

use std::sync::atomic::AtomicBool;

use crate::compact::{Compact, I32, I64, LIST, STRUCT};
use crate::error::{CompactError, IndexProblem, PageError};
use crate::page_map::{Chunk, PageMap, PageSpan};

impl PageMap {
    /// Reads the map from the bytes of the offset index.
    pub(super) fn from_offset_index(bytes: &[u8], chunk: &Chunk) -> Result<Self, PageError> {
        let locations = locations(bytes).map_err(|_| PageError::Index(IndexProblem::Malformed))?;
        let mut has_gaps = false;
        let mut pages: Vec<PageSpan> = Vec::with_capacity(locations.len());
        let mut rows_end = chunk.rows;
        for (at, location) in locations.iter().enumerate().rev() {
            let [Ok(offset), Ok(size), Ok(first_row)] = location.map(u64::try_from) else {
                return Err(PageError::Index(IndexProblem::Outside));
            };
            let end = offset.saturating_add(size);
            let next = pages.last().map_or(chunk.range.end, |page| page.range.start);
            if offset < chunk.range.start || end > next {
                return Err(PageError::Index(IndexProblem::Outside));
            }
            // Some writers leave the header out of the size: the page goes on to the next one.
            has_gaps |= end < next;
            if first_row > rows_end || at == 0 && first_row != 0 {
                return Err(PageError::Index(IndexProblem::Order));
            }
            pages.push(PageSpan { range: offset..next, rows: first_row..rows_end, begins: true });
            rows_end = first_row;
        }
        if rows_end > 0 {
            return Err(PageError::Index(IndexProblem::Order));
        }
        pages.reverse();
        // The bytes before the first data page are the dictionary.
        let first = pages.first().map_or(chunk.range.start, |page| page.range.start);
        let dictionary = (first > chunk.range.start).then_some(chunk.range.start..first);
        let compared = pages.iter().map(|_| AtomicBool::new(false)).collect();
        let ignores_hint = has_gaps || chunk.is_cut;
        has_gaps |= first != chunk.data_start;
        Ok(Self { dictionary, pages, from_index: true, has_gaps, compared, ignores_hint })
    }

    /// The pages that tell, beside the needed ones, whether those are where the offset index says: all before the last
    /// of them. Without those that are compared already.
    ///
    /// In a repeated column, the page after it tells whether its last row ends with it.
    pub(super) fn others_before(&self, chunk: &Chunk, needed: &[usize]) -> Vec<usize> {
        let after = usize::from(chunk.max_repetition > 0);
        let end = needed.last().map_or(0, |last| self.pages.len().min(last + 1 + after));
        (0..end).filter(|page| !self.is_compared(*page) && needed.binary_search(page).is_err()).collect()
    }
}

/// Offset, size with header and first row of each page.
fn locations(bytes: &[u8]) -> Result<Vec<[i64; 3]>, CompactError> {
    let mut cursor = Compact::new(bytes);
    let mut locations = Vec::new();
    let mut last_id = 0;
    while let Some(field) = cursor.field(&mut last_id)? {
        if (field.id, field.kind) != (1, LIST) {
            cursor.skip(field.kind)?;
            continue;
        }
        let (kind, count) = cursor.list()?;
        if kind != STRUCT {
            return Err(CompactError::Type(kind));
        }
        for _ in 0..count {
            let mut location = [-1; 3];
            let mut last_id = 0;
            while let Some(field) = cursor.field(&mut last_id)? {
                match (field.id, field.kind) {
                    (1..=3, I32 | I64) => location[field.id as usize - 1] = cursor.integer()?,
                    (_, kind) => cursor.skip(kind)?,
                }
            }
            locations.push(location);
        }
    }
    Ok(locations)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::page_header::ChunkBounds;
    use parquet::basic::Compression;

    fn chunk(range: Range<u64>, rows: u64) -> Chunk {
        Chunk {
            row_group: 0,
            leaf: 0,
            data_start: 10,
            range,
            is_cut: false,
            rows,
            bounds: ChunkBounds { uncompressed_bytes: 1000, values: rows },
            codec: Compression::UNCOMPRESSED,
            max_definition: 0,
            max_repetition: 0,
            value_bytes: 8,
        }
    }

    /// An offset index of pages (offset, size, first row), each below 64.
    fn encoded(pages: &[[u8; 3]]) -> Vec<u8> {
        let mut bytes = vec![0x19, (pages.len() as u8) << 4 | STRUCT];
        for [offset, size, first_row] in pages {
            bytes.extend([0x16, offset * 2, 0x15, size * 2, 0x16, first_row * 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    fn map(pages: &[[u8; 3]]) -> PageMap {
        PageMap::from_offset_index(&encoded(pages), &chunk(4..20, 12)).unwrap()
    }

    #[test]
    fn an_offset_index_gives_pages_and_dictionary() {
        let map = map(&[[10, 5, 0], [15, 5, 7]]);
        assert_eq!(map.dictionary, Some(4..10));
        assert_eq!(map.pages[1], PageSpan { range: 15..20, rows: 7..12, begins: true });
        assert_eq!(map.pages_of(&[0..1, 6..7]), [0]);
        assert_eq!(map.pages_of(&[6..8]), [0, 1]);
        assert_eq!(map.pages_of(&[11..12]), [1]);
        assert_eq!(map.pages_of(&[]), [] as [usize; 0]);
    }

    #[test]
    fn sizes_without_headers_do_not_cut_pages() {
        let short = map(&[[10, 3, 0], [15, 4, 7]]);
        assert!(short.ignores_hint && short.from_index);
        assert_eq!(
            (short.dictionary, &short.pages[0].range, &short.pages[1].range),
            (Some(4..10), &(10..15), &(15..20))
        );
        let right = map(&[[10, 5, 0], [15, 5, 7]]);
        assert!(!right.ignores_hint);
        let other = map(&[[10, 5, 0], [15, 5, 8]]);
        assert!(!right.agrees_with(&other, 1) && right.agrees_with(&other, 0));
    }

    #[test]
    fn pages_that_do_not_fill_the_chunk_show() {
        for (pages, has_gaps) in [
            (&[[10, 10, 0]][..], false),
            (&[[10, 5, 0], [15, 5, 7]], false),
            (&[[10, 4, 0], [15, 5, 6]], true),
            (&[[10, 5, 0], [15, 4, 6]], true),
            (&[[11, 4, 0], [15, 5, 6]], true),
            (&[[4, 6, 0], [10, 10, 6]], true),
        ] {
            assert_eq!(map(pages).has_gaps, has_gaps, "{pages:?}");
        }
    }

    #[test]
    fn pages_are_compared_up_to_the_last_needed_one() {
        let map = map(&[[10, 2, 0], [12, 2, 2], [14, 2, 4], [16, 2, 6], [18, 2, 8]]);
        let flat = chunk(4..20, 12);
        assert_eq!(map.others_before(&flat, &[1, 3]), [0, 2]);
        assert_eq!(map.others_before(&flat, &[]), [] as [usize; 0]);
        let repeated = Chunk { max_repetition: 1, ..flat.clone() };
        assert_eq!(map.others_before(&repeated, &[1, 3]), [0, 2, 4]);
        assert_eq!(map.others_before(&repeated, &[4]), [0, 1, 2, 3]);
        map.set_compared(2);
        assert_eq!(map.others_before(&flat, &[1, 3]), [0]);
        assert!(map.is_compared(2) && !map.is_compared(1));
        assert!(PageMap::default().is_compared(0));
    }

    #[test]
    fn an_offset_index_that_contradicts_the_footer_is_refused() {
        for (pages, problem) in [
            (&[[3, 5, 0]][..], IndexProblem::Outside),
            (&[[4, 50, 0]], IndexProblem::Outside),
            (&[[4, 5, 1]], IndexProblem::Order),
            (&[[4, 5, 0], [9, 5, 13]], IndexProblem::Order),
            (&[[4, 5, 0], [8, 5, 3]], IndexProblem::Outside),
            (&[], IndexProblem::Order),
        ] {
            match PageMap::from_offset_index(&encoded(pages), &chunk(4..20, 12)) {
                Err(PageError::Index(found)) => assert_eq!(found, problem, "{pages:?}"),
                other => panic!("{pages:?} gave {other:?}"),
            }
        }
    }
}
