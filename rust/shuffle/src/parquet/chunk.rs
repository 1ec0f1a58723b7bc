//! A column chunk: its pages compressed and put in order, and its metadata adapted to them.

use std::io::Read;

use bytes::Bytes;
use parquet::basic::{Encoding, PageType, Type};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ColumnChunkMetaDataBuilder, PageEncodingStats};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::{Statistics, ValueStatistics};

use crate::parquet::compressors::{Compressors, reserve};
use crate::parquet::error::WriteError;
use crate::parquet::options::Codec;
use crate::parquet::page_header::{PageHeader, StoredPage};

/// The longest minimum or maximum that pyarrow writes.
const LONGEST_STATISTIC: usize = 4096;

/// How the pages of a column are put together.
pub(super) struct ChunkOptions {
    pub(super) codec: Codec,
    pub(super) data_page_v2: bool,
    pub(super) page_index: bool,
    pub(super) page_checksum: bool,
    pub(super) plain_dictionary: bool,
}

/// Compresses the pages of a column into `compressors.chunk`, and returns the metadata of the column chunk.
///
/// `pages` has headers and bodies in turn; each is dropped when it is compressed. The dictionary, which becomes the first
/// page, is anywhere in it.
pub(super) fn compress_chunk(
    mut pages: Vec<Bytes>,
    close: &ColumnCloseResult,
    options: &ChunkOptions,
    compressors: &mut Compressors,
) -> Result<ColumnCloseResult, WriteError> {
    let mut close = close.clone();
    compressors.chunk.clear();
    let mut chunk = Chunk { options, compressors, uncompressed_bytes: 0 };
    let headers = pages.iter().step_by(2).map(|header| PageHeader::parse(header));
    let headers = headers.collect::<Result<Vec<PageHeader>, _>>()?;
    let mut append = |number: usize| {
        let (header, body) = (std::mem::take(&mut pages[2 * number]), std::mem::take(&mut pages[2 * number + 1]));
        chunk.append(&headers[number], &header, &body)
    };
    let is_dictionary = |number: &usize| headers[*number].is_dictionary();
    let dictionary_bytes = (0..headers.len()).find(is_dictionary).map(&mut append).transpose()?;
    let data = (0..headers.len()).filter(|number| !is_dictionary(number));
    let sizes = data.map(append).collect::<Result<Vec<usize>, _>>()?;
    let uncompressed_bytes = chunk.uncompressed_bytes;
    let mut offset = dictionary_bytes.unwrap_or(0);
    if let Some(index) = &mut close.offset_index {
        for (location, size) in index.page_locations.iter_mut().zip(sizes) {
            location.offset = offset as i64;
            location.compressed_page_size = thrift_size(size)?;
            offset += size;
        }
    }
    close.bytes_written = compressors.chunk.len() as u64;
    let encodings = stored_encodings(close.metadata.page_encoding_stats(), options);
    let statistics = close.metadata.statistics().and_then(adapted_statistics);
    let mut metadata = close
        .metadata
        .into_builder()
        .set_compression(options.codec.in_footer())
        .set_total_compressed_size(compressors.chunk.len() as i64)
        .set_total_uncompressed_size(uncompressed_bytes as i64)
        .set_dictionary_page_offset(dictionary_bytes.map(|_| 0))
        .set_data_page_offset(dictionary_bytes.unwrap_or(0) as i64);
    metadata = set_encodings(metadata, encodings);
    if let Some(statistics) = statistics {
        metadata = metadata.set_statistics(statistics);
    }
    close.metadata = metadata.build()?;
    if !options.page_index {
        close.column_index = None;
        close.offset_index = None;
    } else if close.column_index.as_ref().is_some_and(has_long_bounds) {
        close.column_index = None;
    }
    Ok(close)
}

/// A column chunk while its pages are appended to `compressors.chunk`.
struct Chunk<'a> {
    options: &'a ChunkOptions,
    compressors: &'a mut Compressors,
    uncompressed_bytes: usize,
}

impl Chunk<'_> {
    /// Appends a page and returns its size with the header.
    fn append(&mut self, parsed: &PageHeader, header: &[u8], body: &[u8]) -> Result<usize, WriteError> {
        let short = || ParquetError::General("a page is shorter than its levels".to_string());
        let (repetition, rest) = body.split_at_checked(parsed.repetition_bytes).ok_or_else(short)?;
        let (definition, values) = rest.split_at_checked(parsed.definition_bytes).ok_or_else(short)?;
        let v2 = self.options.data_page_v2;
        if v2 || parsed.is_dictionary() {
            self.compressors.compress(self.options.codec, values)?;
            // pyarrow too leaves values as they are that do not get smaller.
            let keep = !parsed.is_dictionary() && self.compressors.page.len() >= values.len();
            let levels = repetition.len() + definition.len();
            return self.append_stored(parsed, header, body.len(), &body[..levels], keep.then_some(values));
        }
        // Version 1.0 has the lengths of levels before them, and compresses them too.
        let mut joined = std::mem::take(&mut self.compressors.body);
        joined.clear();
        reserve(&mut joined, body.len() + 8)?;
        for levels in [repetition, definition].into_iter().filter(|levels| !levels.is_empty()) {
            joined.extend_from_slice(&thrift_size(levels.len())?.to_le_bytes());
            joined.extend_from_slice(levels);
        }
        joined.extend_from_slice(values);
        self.compressors.compress(self.options.codec, &joined)?;
        let uncompressed_bytes = joined.len();
        self.compressors.body = joined;
        self.append_stored(parsed, header, uncompressed_bytes, &[], None)
    }

    /// Appends a page with levels as they are and the values, which are those that were compressed last if not given.
    fn append_stored(
        &mut self,
        parsed: &PageHeader,
        header: &[u8],
        uncompressed_bytes: usize,
        levels: &[u8],
        values: Option<&[u8]>,
    ) -> Result<usize, WriteError> {
        let Compressors { page, chunk, .. } = &mut *self.compressors;
        let stored = values.unwrap_or(page);
        let checksum = self.options.page_checksum.then(|| {
            let mut checksum = crc32fast::Hasher::new();
            checksum.update(levels);
            checksum.update(stored);
            checksum.finalize()
        });
        let stored_bytes = levels.len() + stored.len();
        thrift_size(uncompressed_bytes.max(stored_bytes))?;
        let start = chunk.len();
        // A rewritten header is at most 16 bytes longer.
        reserve(chunk, header.len() + 16 + stored_bytes)?;
        let page = StoredPage {
            uncompressed_bytes,
            stored_bytes,
            v2: self.options.data_page_v2,
            compressed: values.is_none() && self.options.codec != Codec::Uncompressed,
            checksum,
            plain_dictionary: self.options.plain_dictionary,
        };
        parsed.write(header, &page, chunk);
        self.uncompressed_bytes += chunk.len() - start + uncompressed_bytes;
        chunk.extend_from_slice(levels);
        chunk.extend_from_slice(stored);
        Ok(chunk.len() - start)
    }
}

/// A size as pages have it.
fn thrift_size(bytes: usize) -> Result<i32, WriteError> {
    i32::try_from(bytes).map_err(|_| {
        WriteError::Encode(ParquetError::General(format!("a page of {bytes} bytes is too large for Parquet")))
    })
}

/// The encodings of pages as they are stored.
fn stored_encodings(pages: Option<&Vec<PageEncodingStats>>, options: &ChunkOptions) -> Vec<PageEncodingStats> {
    let mut pages = pages.cloned().unwrap_or_default();
    for page in &mut pages {
        if page.page_type == PageType::DATA_PAGE_V2 && !options.data_page_v2 {
            page.page_type = PageType::DATA_PAGE;
        }
        let with_dictionary = page.page_type == PageType::DICTIONARY_PAGE || page.encoding == Encoding::RLE_DICTIONARY;
        if options.plain_dictionary && with_dictionary {
            page.encoding = Encoding::PLAIN_DICTIONARY;
        }
    }
    pages
}

fn set_encodings(metadata: ColumnChunkMetaDataBuilder, pages: Vec<PageEncodingStats>) -> ColumnChunkMetaDataBuilder {
    // Levels are encoded as RLE.
    let encodings = pages.iter().map(|page| page.encoding).chain([Encoding::RLE]).collect();
    metadata.set_encodings(encodings).set_page_encoding_stats(pages)
}

/// Statistics as pyarrow writes them, if they differ from those of arrow-rs: without a minimum or maximum that is too
/// long, and of booleans also in the fields of old readers.
fn adapted_statistics(statistics: &Statistics) -> Option<Statistics> {
    if let Statistics::Boolean(booleans) = statistics {
        return Some(Statistics::Boolean(booleans.clone().with_backwards_compatible_min_max(true)));
    }
    let (min, max) = (statistics.min_bytes_opt(), statistics.max_bytes_opt());
    if !is_long(min) && !is_long(max) {
        return None;
    }
    let short =
        |bound: Option<&[u8]>| bound.filter(|bytes| !is_long(Some(bytes))).map(|it| ByteArray::from(it.to_vec()));
    let (min, max, nulls) = (short(min), short(max), statistics.null_count_opt());
    Some(match statistics.physical_type() {
        Type::FIXED_LEN_BYTE_ARRAY => Statistics::FixedLenByteArray(ValueStatistics::new(
            min.map(FixedLenByteArray::from),
            max.map(FixedLenByteArray::from),
            None,
            nulls,
            false,
        )),
        _ => Statistics::ByteArray(ValueStatistics::new(min, max, None, nulls, false)),
    })
}

/// Whether a page has a minimum or maximum that is too long: then pyarrow does not write the column index.
fn has_long_bounds(index: &ColumnIndexMetaData) -> bool {
    match index {
        ColumnIndexMetaData::BYTE_ARRAY(index) | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) => {
            index.min_values_iter().any(is_long) || index.max_values_iter().any(is_long)
        }
        _ => false,
    }
}

fn is_long(bound: Option<&[u8]>) -> bool {
    bound.is_some_and(|bytes| bytes.len() > LONGEST_STATISTIC)
}

/// The bytes of a column chunk, as arrow-rs wants them.
pub(super) struct ChunkBytes<'a>(pub(super) &'a [u8]);

impl Length for ChunkBytes<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl<'a> ChunkReader for ChunkBytes<'a> {
    type T = &'a [u8];

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let start = usize::try_from(start).ok();
        start
            .and_then(|start| self.0.get(start..))
            .ok_or_else(|| ParquetError::General("a column chunk starts after its end".to_string()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(Bytes::from(bytes))
    }
}
