//! A Parquet file that is being scanned: its footer, its page maps, and readers of its columns.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::Array;
use arrow_schema::ArrowError;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::buffers::Buffers;
use crate::catch_panic::guarded;
use crate::codec::{self, with_codecs};
use crate::error::{ColumnError, FooterError, PageError, ScanError};
use crate::fetched::{Fetched, Forward};
use crate::filter::FilterError;
use crate::footer::{Footer, offset_index_range};
use crate::hints::Hints;
use crate::levels::RowStarts;
use crate::page_body::check_body;
use crate::page_header::{PageHeader, PageKind};
use crate::page_map::{Chunk, PageMap};
use crate::source::Source;
use crate::try_reserve;

/// The number of page maps that are kept. Older ones belong to rows that are already read.
const KEPT_MAPS: usize = 4096;

/// A page above this size is kept until the next page of its column is read: batches of rows are smaller, so that the
/// next batch begins in the same page.
const LARGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// A large page of a leaf, data or dictionary.
type HeldKey = (usize, bool);

/// A file, shared by the readers of its columns.
pub(super) struct ParquetFile {
    source: Source,
    footer: Footer,
    /// What was read with the footer.
    in_hand: Arc<Fetched>,
    /// Parts of the page index that are needed next.
    index_ahead: Mutex<Fetched>,
    maps: Mutex<HashMap<(usize, usize), Arc<PageMap>>>,
    hints: Hints,
    failure: Mutex<Option<ScanError>>,
    pages_decoded: AtomicU64,
    held: Mutex<HashMap<HeldKey, (u64, Page)>>,
}

/// Locks a mutex even if its holder panicked on damaged bytes: the scan then ends and drops what the mutex guards.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ParquetFile {
    /// Opens a file whose first read is of `tail_bytes`, and keeps the statistics of some root columns.
    pub(super) fn open(source: Source, columns: &[&str], tail_bytes: u64) -> Result<Self, ScanError> {
        let footer = guarded(source.name(), || Footer::read(&source, columns, tail_bytes))
            .map_err(|error| source.explain(error))?;
        // Footers do not count in the memory limit; columns that were read with them do.
        let held_bytes = if tail_bytes >= source.size_bytes() { source.size_bytes() } else { 0 };
        let in_hand = Arc::new(Fetched::new(footer.kept().to_vec(), held_bytes));
        let hints = Hints::default();
        (0..footer.hints_ignored).for_each(|_| hints.ignore());
        Ok(Self {
            source,
            footer,
            in_hand,
            index_ahead: Mutex::default(),
            maps: Mutex::default(),
            hints,
            failure: Mutex::default(),
            pages_decoded: AtomicU64::new(0),
            held: Mutex::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        self.source.name()
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.footer.metadata()
    }

    pub(super) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// What the file says beside its pages, and contradicts them.
    pub(super) fn hints(&self) -> &Hints {
        &self.hints
    }

    /// The bytes that were read with the footer: the whole of a small file.
    pub(super) fn in_hand(&self) -> &Arc<Fetched> {
        &self.in_hand
    }

    /// The first row of each row group, and the number of rows of the file at the end.
    pub(super) fn first_rows(&self) -> &[u64] {
        self.footer.first_rows()
    }

    /// The number of pages decompressed so far, dictionaries included.
    pub(super) fn pages_decoded(&self) -> u64 {
        self.pages_decoded.load(Ordering::Relaxed)
    }

    /// The page of a leaf at an offset, when it is large and was the last one decompressed.
    pub(super) fn held_page(&self, leaf: usize, is_dictionary: bool, offset: u64) -> Option<Page> {
        lock(&self.held).get(&(leaf, is_dictionary)).filter(|held| held.0 == offset).map(|held| held.1.clone())
    }

    /// Keeps a page if it is large.
    pub(super) fn hold_page(&self, leaf: usize, offset: u64, page: &Page) {
        if page.buffer().len() > LARGE_PAGE_BYTES {
            let is_dictionary = matches!(page, Page::DictionaryPage { .. });
            lock(&self.held).insert((leaf, is_dictionary), (offset, page.clone()));
        }
    }

    /// Whether a page is already available.
    pub(super) fn is_held(&self, leaf: usize, is_dictionary: bool, offset: u64) -> bool {
        lock(&self.held).get(&(leaf, is_dictionary)).is_some_and(|held| held.0 == offset)
    }

    pub(super) fn keep_failure(&self, error: ScanError) {
        lock(&self.failure).get_or_insert(error);
    }

    pub(super) fn page_error(&self, chunk: &Chunk, source: PageError) -> ScanError {
        ScanError::Page {
            file: self.name().to_string(),
            column: self.column_of(chunk),
            row_group: chunk.row_group,
            source,
        }
    }

    fn column_of(&self, chunk: &Chunk) -> String {
        self.metadata().row_group(chunk.row_group).column(chunk.leaf).column_path().string()
    }

    /// An error of a column for which there is no memory.
    pub(super) fn room_error(&self, column: impl Into<String>, bytes: usize) -> ScanError {
        ScanError::Room { file: self.name().to_string(), column: column.into(), bytes }
    }

    pub(super) fn chunk(&self, row_group: usize, leaf: usize) -> Result<Chunk, ScanError> {
        let group = self.metadata().row_group(row_group);
        Chunk::new(group, row_group, leaf, self.footer.start()).map_err(|problem| ScanError::Footer {
            file: self.name().to_string(),
            source: FooterError::Chunk { row_group, column: group.column(leaf).column_path().string(), problem },
        })
    }

    /// Bytes of the page index. `None` where they are not before the footer.
    pub(super) fn index_bytes(&self, range: Range<u64>) -> Result<Option<Bytes>, ScanError> {
        match lock(&self.index_ahead).get(&range) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.footer.index_bytes(&self.source, range),
        }
    }

    /// Keeps parts of the page index in place of those kept before.
    pub(super) fn keep_index_ahead(&self, parts: Fetched) {
        *lock(&self.index_ahead) = parts;
    }

    /// Whether the pages of a chunk are known.
    pub(super) fn has_map(&self, row_group: usize, leaf: usize) -> bool {
        lock(&self.maps).contains_key(&(row_group, leaf))
    }

    /// The pages of a chunk that has an offset index; `None` where it has none, or one that contradicts the file.
    pub(super) fn indexed_pages(&self, chunk: &Chunk) -> Result<Option<Arc<PageMap>>, ScanError> {
        let key = (chunk.row_group, chunk.leaf);
        if let Some(map) = lock(&self.maps).get(&key) {
            return Ok(Some(Arc::clone(map)));
        }
        if self.hints.distrusts_index(key) {
            return Ok(None);
        }
        let column = self.metadata().row_group(chunk.row_group).column(chunk.leaf);
        let Some(range) = offset_index_range(column) else { return Ok(None) };
        let bytes = self.index_bytes(range)?;
        match bytes.map(|bytes| PageMap::from_offset_index(&bytes, chunk)) {
            Some(Ok(map)) => Ok(Some(self.keep_map(key, map))),
            _ => {
                self.hints.distrust_index(key);
                Ok(None)
            }
        }
    }

    /// The pages of a chunk, from its headers where there is no offset index that is used.
    pub(super) fn pages(&self, chunk: &Chunk, fetched: &Fetched) -> Result<Arc<PageMap>, ScanError> {
        if let Some(map) = self.indexed_pages(chunk)? {
            return Ok(map);
        }
        let mut forward = Forward::new(&self.source, fetched);
        let failed = |error| self.page_error(chunk, error);
        let space_end = |start| self.footer.space_end(start);
        let map = with_codecs(|codecs| PageMap::from_headers(chunk, &space_end, &mut forward, codecs, &failed))?;
        Ok(self.keep_map((chunk.row_group, chunk.leaf), map))
    }

    /// Goes by the page headers of a chunk from now on. Returns its pages by the offset index, if they were used.
    pub(super) fn distrust_index(&self, chunk: &Chunk) -> Result<Option<Arc<PageMap>>, ScanError> {
        let key = (chunk.row_group, chunk.leaf);
        let map = self.indexed_pages(chunk)?.filter(|map| map.from_index);
        if map.is_some() {
            self.hints.distrust_index(key);
            lock(&self.maps).remove(&key);
        }
        Ok(map)
    }

    fn keep_map(&self, key: (usize, usize), map: PageMap) -> Arc<PageMap> {
        let map = Arc::new(map);
        if map.ignores_hint {
            self.hints.ignore();
        }
        let mut maps = lock(&self.maps);
        if maps.len() >= KEPT_MAPS {
            maps.clear();
        }
        maps.insert(key, Arc::clone(&map));
        map
    }

    /// Decompresses a page whose header is known. `rows` is what begins in a data page.
    pub(super) fn decompress(
        &self,
        chunk: &Chunk,
        offset: u64,
        header: &PageHeader,
        body: Bytes,
        rows: Option<RowStarts>,
    ) -> Result<Page, ScanError> {
        self.pages_decoded.fetch_add(1, Ordering::Relaxed);
        let failed = |error| self.page_error(chunk, error);
        if !codec::is_supported(chunk.codec) {
            return Err(failed(PageError::Codec(codec::name(chunk.codec).to_string())));
        }
        // The levels of a page of version 2 come first and are never compressed.
        let (levels, compressed) = match header.kind {
            PageKind::DataV2(page) => ((page.definition_bytes + page.repetition_bytes) as usize, page.compressed),
            _ => (0, true),
        };
        let wanted_bytes = header.uncompressed_bytes;
        let wrong =
            |reason| failed(PageError::Decompress { offset, codec: codec::name(chunk.codec), wanted_bytes, reason });
        if levels > body.len() {
            return Err(wrong(String::new()));
        }
        let no_room = |_| self.room_error(self.column_of(chunk), wanted_bytes);
        let plain = !compressed || chunk.codec == parquet::basic::Compression::UNCOMPRESSED;
        if header.is_beyond_chunk {
            if !plain && codec::stated_size(chunk.codec, &body[levels..]) != wanted_bytes.checked_sub(levels) {
                let (what, allowed) = ("its size", chunk.bounds.uncompressed_bytes);
                return Err(failed(PageError::Bound { offset, what, found: wanted_bytes as i64, allowed }));
            }
            self.hints.ignore();
        }
        let buffer = if plain {
            if body.len() != wanted_bytes {
                return Err(wrong(String::new()));
            }
            body
        } else {
            let input = &body[levels..];
            let claimed = wanted_bytes.checked_sub(levels).ok_or_else(|| wrong(String::new()))?;
            // Those of the thread that scans, which may not be the one that opened the file.
            let buffers = Buffers::for_pages();
            let mut output = if claimed == 0 {
                // A page without values has nothing to decompress, even where the codec writes bytes for it.
                buffers.take(levels).map_err(no_room)?
            } else {
                codec::check_claim(chunk.codec, input, claimed).map_err(wrong)?;
                buffers.take(wanted_bytes).map_err(no_room)?
            };
            let (before, after) = output.as_mut_slice().split_at_mut(levels);
            before.copy_from_slice(&body[..levels]);
            if claimed > 0 {
                with_codecs(|codecs| codecs.decompress(chunk.codec, input, after)).map_err(wrong)?;
            }
            output.into_bytes()
        };
        let has_values = check_body(chunk, offset, header.kind, &buffer, rows).map_err(failed)?;
        // Of a page of nulls, some writers leave out even what comes before the values of its encoding.
        let encoding_of = |encoding| if has_values { encoding } else { Encoding::PLAIN };
        // The decoder holds its values in addition: those of some rows, or of a whole dictionary in a growing vector.
        let values_bytes = match header.kind {
            PageKind::Dictionary { .. } => wanted_bytes.saturating_mul(2),
            _ => wanted_bytes,
        };
        try_reserve::check(values_bytes).map_err(no_room)?;
        Ok(match header.kind {
            PageKind::Data { values, encoding, definition, repetition } => Page::DataPage {
                buf: buffer,
                num_values: values,
                encoding: encoding_of(encoding),
                def_level_encoding: definition,
                rep_level_encoding: repetition,
                statistics: None,
            },
            PageKind::DataV2(page) => Page::DataPageV2 {
                buf: buffer,
                num_values: page.values,
                encoding: encoding_of(page.encoding),
                num_nulls: page.nulls,
                num_rows: page.rows,
                def_levels_byte_len: page.definition_bytes,
                rep_levels_byte_len: page.repetition_bytes,
                is_compressed: page.compressed,
                statistics: None,
            },
            PageKind::Dictionary { values, encoding, sorted } => {
                Page::DictionaryPage { buf: buffer, num_values: values, encoding, is_sorted: sorted }
            }
            PageKind::Other => return Err(failed(PageError::Codec("of an unknown kind of page".to_string()))),
        })
    }

    /// An error of an Arrow kernel, which only damaged or enormous values cause.
    pub(super) fn kernel_error(&self, column: &str, source: ArrowError) -> ScanError {
        self.decode_error(column, source.into())
    }

    /// Checks that a column returned as many rows as requested.
    pub(super) fn check_rows(&self, column: &str, found: u64, wanted: u64) -> Result<(), ScanError> {
        if found == wanted { Ok(()) } else { Err(self.rows_error(column, found, wanted)) }
    }

    pub(super) fn rows_error(&self, column: &str, found: u64, wanted: u64) -> ScanError {
        let source = ColumnError::Rows { found, wanted };
        ScanError::Column { file: self.name().to_string(), column: column.to_string(), source }
    }

    pub(super) fn filter_error(&self, source: FilterError) -> ScanError {
        ScanError::Filter { file: self.name().to_string(), source }
    }

    pub(super) fn decode_error(&self, column: &str, source: ParquetError) -> ScanError {
        lock(&self.failure).take().unwrap_or_else(|| ScanError::Decode {
            file: self.name().to_string(),
            column: column.to_string(),
            source,
        })
    }
}

/// The bytes that the values of an array take.
pub(super) fn array_bytes(array: &dyn Array) -> u64 {
    // A slice of a larger buffer counts with its own size; where that is unknown, with that of the buffer.
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_buffer_memory_size()) as u64
}
