//! The bounds of a column's values in each page of a row group, by its page index.

use std::ops::Range;

use crate::column_index::{PageBounds, column_index};
use crate::error::ScanError;
use crate::file::ParquetFile;
use crate::footer::{column_index_range, offset_index_range};
use crate::page_map::Chunk;

/// Which bytes of a page index are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// All: what was not read with the footer is read now.
    All,
    /// Only those that were read with the footer.
    InHand,
}

/// The rows of each page, counted from the start of the row group, with the bounds of their values.
pub(super) type BoundsByPage<T> = Vec<(Range<u64>, PageBounds<T>)>;

/// The bounds of the pages of a chunk; `None` where there is no page index, or none that is used.
///
/// A column index that is damaged or has another number of pages is ignored: it only saves work. `value` reads an
/// encoded value.
pub(super) fn bounds_by_page<T: Copy>(
    file: &ParquetFile,
    chunk: &Chunk,
    reading: Reading,
    value: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<BoundsByPage<T>>, ScanError> {
    let (footer, metadata) = (file.footer(), file.metadata().row_group(chunk.row_group).column(chunk.leaf));
    let Some(range) = column_index_range(metadata) else { return Ok(None) };
    if reading == Reading::InHand {
        let is_kept = |range: Range<u64>| footer.kept_index_bytes(&range).is_some();
        if !is_kept(range.clone()) || !offset_index_range(metadata).is_some_and(is_kept) {
            return Ok(None);
        }
    }
    let Some(map) = file.indexed_pages(chunk)? else { return Ok(None) };
    let bytes = file.index_bytes(range)?;
    let bounds = bytes.and_then(|bytes| column_index(&bytes, value).ok());
    let bounds = bounds.filter(|bounds| bounds.len() == map.pages.len());
    if bounds.is_none() {
        file.hints().ignore();
    }
    Ok(bounds.map(|bounds| map.pages.iter().map(|page| page.rows.clone()).zip(bounds).collect()))
}
