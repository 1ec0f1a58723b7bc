//! The pages of one column, for the decoders of the `parquet` crate.
//!
//! The page reader of that crate allocates whatever a page header claims, and cannot skip a page of a repeated column
//! without an offset index. This reader checks sizes ([`crate::page_header`]), skips pages by the [`PageMap`], uses
//! bytes fetched ahead, and counts the pages that it decompresses.

use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use crate::error::{IndexProblem, PageError, ScanError};
use crate::fetched::Fetched;
use crate::file::ParquetFile;
use crate::levels::RowStarts;
use crate::page_header::{PageHeader, PageKind};
use crate::page_map::{Chunk, PageMap};
use crate::source::{Gaps, REQUEST_BYTES};

/// Over a high-latency source, needed pages are fetched together up to this many bytes.
const AHEAD_BYTES: u64 = 4 * 1024 * 1024;

/// One chunk to read, and which of its pages.
#[derive(Clone)]
pub(super) struct ChunkPlan {
    pub(super) chunk: Chunk,
    pub(super) map: Arc<PageMap>,
    pub(super) needed: Arc<[usize]>,
}

/// The chunks of one root column: for each leaf, those of some row groups in turn.
pub(super) struct ColumnChunks {
    pub(super) file: Arc<ParquetFile>,
    pub(super) leaves: Vec<Vec<ChunkPlan>>,
    pub(super) row_groups: Vec<usize>,
    pub(super) fetched: Arc<Fetched>,
}

impl RowGroups for ColumnChunks {
    fn num_rows(&self) -> usize {
        self.row_groups().map(|group| group.num_rows() as usize).sum()
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        let chunks = self.leaves.get(leaf).cloned().unwrap_or_default().into_iter();
        Ok(Box::new(LeafChunks { file: Arc::clone(&self.file), fetched: Arc::clone(&self.fetched), chunks }))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.row_groups.iter().map(|group| self.file.metadata().row_group(*group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.file.metadata()
    }
}

struct LeafChunks {
    file: Arc<ParquetFile>,
    fetched: Arc<Fetched>,
    chunks: std::vec::IntoIter<ChunkPlan>,
}

impl Iterator for LeafChunks {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        let plan = self.chunks.next()?;
        Some(Ok(Box::new(Pages {
            file: Arc::clone(&self.file),
            fetched: Arc::clone(&self.fetched),
            ahead: Fetched::default(),
            dictionary_next: plan.map.dictionary.is_some(),
            plan,
            next: 0,
        })))
    }
}

impl PageIterator for LeafChunks {}

/// The pages of one chunk.
struct Pages {
    file: Arc<ParquetFile>,
    fetched: Arc<Fetched>,
    ahead: Fetched,
    plan: ChunkPlan,
    dictionary_next: bool,
    next: usize,
}

impl Pages {
    fn failed(&self, error: PageError) -> ScanError {
        self.file.page_error(&self.plan.chunk, error)
    }

    fn bytes(&mut self, range: std::ops::Range<u64>) -> std::result::Result<Bytes, ScanError> {
        if let Some(bytes) = self.fetched.get(&range).or_else(|| self.ahead.get(&range)) {
            return Ok(bytes);
        }
        let source = self.file.source();
        if source.is_low_latency() {
            return source.read_one(range);
        }
        let map = &self.plan.map;
        let later = self.plan.needed.iter().map(|page| &map.pages[*page].range);
        let mut total = 0;
        let mut ranges = vec![range.clone()];
        for later in later.filter(|later| later.start >= range.end) {
            total += later.end - later.start;
            if total > AHEAD_BYTES {
                break;
            }
            ranges.push(later.clone());
        }
        let gaps = Gaps { longest_bytes: REQUEST_BYTES, total_bytes: REQUEST_BYTES };
        self.ahead = Fetched::read(source, ranges, gaps, None)?;
        match self.ahead.get(&range) {
            Some(bytes) => Ok(bytes),
            None => source.read_one(range),
        }
    }

    /// Decompresses a page. `rows` is what begins in it by its span; a flat column must have that many values.
    fn decode(&mut self, range: std::ops::Range<u64>, rows: Option<RowStarts>) -> std::result::Result<Page, ScanError> {
        let (offset, leaf) = (range.start, self.plan.chunk.leaf);
        if let Some(page) = self.file.held_page(leaf, rows.is_none(), offset) {
            return Ok(page);
        }
        let bytes = self.bytes(range)?;
        let chunk = &self.plan.chunk;
        let header = PageHeader::parse(&bytes, offset, chunk.bounds).map_err(|error| self.failed(error))?;
        // The decoders of the `parquet` crate rely on it.
        if header.kind.needs_dictionary() && self.plan.map.dictionary.is_none() {
            return Err(self.failed(PageError::NoDictionary { offset }));
        }
        let end = header.header_bytes + header.compressed_bytes;
        if end > bytes.len() {
            return Err(self.failed(PageError::Index(IndexProblem::Outside)));
        }
        let body = bytes.slice(header.header_bytes..end);
        if header.checksum.is_some_and(|checksum| checksum != crc32fast::hash(&body)) {
            return Err(self.failed(PageError::Checksum { offset }));
        }
        let found = match header.kind {
            PageKind::Data { values, .. } if chunk.max_repetition == 0 => Some(values),
            PageKind::DataV2(page) if chunk.max_repetition == 0 && page.rows != page.values => Some(page.values),
            PageKind::DataV2(page) => Some(page.rows),
            PageKind::Data { .. } | PageKind::Dictionary { .. } | PageKind::Other => None,
        };
        let is_data = matches!(header.kind, PageKind::Data { .. } | PageKind::DataV2(_));
        if end < bytes.len() {
            return Err(self.failed(PageError::Index(IndexProblem::Size)));
        }
        let contradicts = match (rows, found) {
            (Some(wanted), Some(found)) => wanted.rows != u64::from(found),
            (Some(_), None) => !is_data,
            (None, _) => !matches!(header.kind, PageKind::Dictionary { .. }),
        };
        if contradicts {
            return Err(self.failed(PageError::Index(IndexProblem::Rows)));
        }
        let page = self.file.decompress(chunk, offset, &header, body, rows)?;
        self.file.hold_page(leaf, offset, &page);
        Ok(page)
    }

    /// Keeps the full error, because the decoders pass on only its text.
    fn told<T>(&self, result: std::result::Result<T, ScanError>) -> Result<T> {
        result.map_err(|error| {
            let text = error.to_string();
            self.file.keep_failure(error);
            ParquetError::General(text)
        })
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let map = Arc::clone(&self.plan.map);
        if let Some(dictionary) = map.dictionary.clone().filter(|_| self.dictionary_next) {
            self.dictionary_next = false;
            let page = self.decode(dictionary, None);
            return self.told(page).map(Some);
        }
        let Some(span) = map.pages.get(self.next) else { return Ok(None) };
        // Writers before the offset index let rows continue in the next page; none that writes one may do so.
        let rows = RowStarts { rows: span.row_count(), first_starts: map.from_index };
        let page = self.decode(span.range.clone(), Some(rows));
        if page.is_ok() {
            map.set_compared(self.next);
        }
        self.next += 1;
        self.told(page).map(Some)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        if self.dictionary_next {
            return Ok(Some(PageMetadata { num_rows: None, num_levels: None, is_dict: true }));
        }
        let map = &self.plan.map;
        Ok(map.pages.get(self.next).map(|span| {
            let rows = span.row_count() as usize;
            PageMetadata { num_rows: map.is_whole(self.next).then_some(rows), num_levels: None, is_dict: false }
        }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        if self.dictionary_next {
            self.dictionary_next = false;
        } else {
            self.next += 1;
        }
        Ok(())
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        Ok(self.plan.map.begins(self.next))
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
