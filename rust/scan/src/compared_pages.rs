//! The pages of a column, by the offset index only where the page headers say the same.
//!
//! An offset index saves reads and decides no value. Pages follow one another from the start of their chunk, and each
//! header tells the size and the rows of its page. So a page is where the index says, with the rows that it says, if
//! its own header and those of all pages before it agree with the index. Headers of pages that are decompressed are
//! compared then, those of the pages between them here, before.
//!
//! Over a high-latency source, what is in hand is compared: nothing is read for it, except the whole chunk where its
//! pages do not fill it. Of other pages that are not fetched, the index is believed.

use std::sync::Arc;

use parquet::basic::Encoding;

use crate::codec::with_codecs;
use crate::error::ScanError;
use crate::fetched::{Fetched, Forward};
use crate::file::ParquetFile;
use crate::levels::RowStarts;
use crate::page_header::PageKind;
use crate::page_map::{Chunk, PageMap, PageSpan, read_header, row_starts};
use crate::row_ranges::RowRanges;

/// What a comparison of pages has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    /// All are as the index says.
    All,
    /// Those in hand are.
    Some,
    /// There is another page.
    Another,
}

impl ParquetFile {
    /// The pages of a chunk of which some rows are to be read.
    pub(super) fn pages_for(
        &self,
        chunk: &Chunk,
        rows: &RowRanges,
        fetched: &Arc<Fetched>,
    ) -> Result<Arc<PageMap>, ScanError> {
        if !self.index_agrees(chunk, rows, fetched)? {
            self.distrust_index(chunk)?;
        }
        self.pages(chunk, fetched)
    }

    /// Whether the offset index, if there is one, agrees with the headers of the pages between those of some rows.
    pub(super) fn index_agrees(
        &self,
        chunk: &Chunk,
        rows: &RowRanges,
        fetched: &Arc<Fetched>,
    ) -> Result<bool, ScanError> {
        let Some(map) = self.indexed_pages(chunk)?.filter(|map| map.from_index) else { return Ok(true) };
        let needed = map.pages_of(rows.as_slice());
        let before = map.others_before(chunk, &needed);
        match self.compare(chunk, &map, &before, fetched)? {
            Compared::All => Ok(true),
            Compared::Another => Ok(false),
            Compared::Some if map.has_gaps => Ok(false),
            // All pages together have the rows of the chunk: where the index is wrong before a page, it is after it, too.
            Compared::Some => {
                let all: Vec<usize> = (0..map.pages.len()).filter(|page| !map.is_compared(*page)).collect();
                Ok(self.compare(chunk, &map, &all, fetched)? != Compared::Another)
            }
        }
    }

    /// Compares pages with their headers, as far as these are in hand or reading them costs little.
    fn compare(&self, chunk: &Chunk, map: &PageMap, pages: &[usize], fetched: &Fetched) -> Result<Compared, ScanError> {
        let is_low_latency = self.source().is_low_latency();
        let mut forward = Forward::new(self.source(), fetched);
        let mut compared = Compared::All;
        for page in pages {
            let span = &map.pages[*page];
            let wanted = if chunk.max_repetition > 0 { span.range.clone() } else { span.head() };
            if !is_low_latency && fetched.get(&wanted).is_none() {
                compared = Compared::Some;
            } else if self.is_page(chunk, span, &mut forward)? {
                map.set_compared(*page);
            } else {
                return Ok(Compared::Another);
            }
        }
        Ok(compared)
    }

    /// Whether a page of the offset index is one, by its header.
    fn is_page(&self, chunk: &Chunk, span: &PageSpan, forward: &mut Forward<'_>) -> Result<bool, ScanError> {
        let failed = |error| self.page_error(chunk, error);
        let header = match read_header(chunk, span.range.clone(), forward, &failed) {
            Ok(header) => header,
            Err(ScanError::Page { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        if header.total_bytes() != span.range.end - span.range.start {
            return Ok(false);
        }
        let is_flat = chunk.max_repetition == 0;
        let rows = match header.kind {
            PageKind::Data { values, .. } if is_flat => Some(u64::from(values)),
            // Levels of the oldest encoding tell nothing beside the index.
            PageKind::Data { repetition, .. } if repetition != Encoding::RLE => return Ok(true),
            PageKind::Data { values, .. } => {
                let range = span.range.clone();
                let starts = with_codecs(|codecs| row_starts(chunk, range, &header, values, forward, codecs))?;
                starts.filter(|starts| starts.first_starts || values == 0).map(|RowStarts { rows, .. }| rows)
            }
            PageKind::DataV2(page) if is_flat && page.rows != page.values => None,
            PageKind::DataV2(page) => Some(u64::from(page.rows)),
            PageKind::Dictionary { .. } | PageKind::Other => None,
        };
        Ok(rows == Some(span.row_count()))
    }
}
