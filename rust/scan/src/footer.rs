//! The footer of a Parquet file: it is walked and its numbers are checked before it is decoded.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};

use crate::error::{ChunkProblem, FooterError, ScanError};
use crate::footer_walk::walk;
use crate::source::Source;

/// The largest footer accepted: it describes about a million column chunks.
const MAX_FOOTER_BYTES: u64 = 512 * 1024 * 1024;

/// The page index of a whole file is fetched at once up to this size.
const MAX_INDEX_BYTES: u64 = 8 * 1024 * 1024;

/// The length of the footer and `PAR1`.
const TRAILER_BYTES: u64 = 8;

/// The first byte after `PAR1`.
const FIRST_BYTE: u64 = 4;

/// A consistent footer, and the bytes before it that were read with it.
pub(super) struct Footer {
    metadata: Arc<ParquetMetaData>,
    first_rows: Vec<u64>,
    kept: Vec<(u64, Bytes)>,
    /// Where the footer starts, and the chunks, ascending.
    start: u64,
    chunk_starts: OnceLock<Vec<u64>>,
    /// How much of it was left out: key-value metadata that is not text, statistics that are damaged.
    pub(super) hints_ignored: u64,
    needed_bytes: u64,
}

impl Footer {
    /// Reads and checks the footer. Only the statistics of root columns with the names `columns` are kept.
    ///
    /// The first read is of `tail_bytes`: the footer, and usually the page index before it.
    pub(super) fn read(source: &Source, columns: &[&str], tail_bytes: u64) -> Result<Self, ScanError> {
        let failed = |error| ScanError::Footer { file: source.name().to_string(), source: error };
        let size = source.size_bytes();
        let tail_start = size.saturating_sub(tail_bytes);
        let tail = source.read_one(tail_start..size)?;
        let length = trailer(&tail, size).map_err(failed)?;
        let footer_start = size - TRAILER_BYTES - length;
        let (kept_start, kept) = if footer_start >= tail_start {
            (tail_start, tail)
        } else {
            // Read again as a whole: a source checks that there is memory for what it reads.
            (footer_start, source.read_one(footer_start..size)?)
        };
        let start = (footer_start - kept_start) as usize;
        let encoded = kept.slice(start..start + length as usize);
        let (metadata, hints_ignored) = decode(&encoded, columns).map_err(failed)?;
        let first_rows = check(&metadata, footer_start, source.name()).map_err(failed)?;

        let mut footer = Self {
            metadata: Arc::new(metadata),
            first_rows,
            kept: vec![(kept_start, kept)],
            start: footer_start,
            chunk_starts: OnceLock::new(),
            hints_ignored,
            needed_bytes: length + TRAILER_BYTES,
        };
        // Over a low-latency source, the index of a column is read with the column: most of it is never needed.
        if !source.is_low_latency()
            && let Some(index_start) = footer.index_start(footer_start)
            && footer_start - index_start <= MAX_INDEX_BYTES
        {
            footer.needed_bytes = size - index_start;
            if index_start < kept_start {
                footer.kept.push((index_start, source.read_one(index_start..kept_start)?));
            }
        }
        Ok(footer)
    }

    pub(super) fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    /// The first row of each row group, and the number of rows of the file at the end.
    pub(super) fn first_rows(&self) -> &[u64] {
        &self.first_rows
    }

    /// What was read, from each position on.
    pub(super) fn kept(&self) -> &[(u64, Bytes)] {
        &self.kept
    }

    /// How long the tail of the file is that has the footer and the page index.
    pub(super) fn needed_bytes(&self) -> u64 {
        self.needed_bytes
    }

    /// Where the footer starts: everything else is before it.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The end of the space that a chunk can take, whatever its size is said to be: where the next one starts.
    pub(super) fn space_end(&self, start: u64) -> u64 {
        let starts = self.chunk_starts.get_or_init(|| {
            let chunks = self.metadata.row_groups().iter().flat_map(|group| group.columns());
            let mut starts: Vec<u64> =
                chunks.filter_map(|chunk| chunk_range(chunk).ok()).map(|chunk| chunk.start).collect();
            starts.sort_unstable();
            starts
        });
        let next = starts.get(starts.partition_point(|other| *other <= start));
        next.copied().unwrap_or(self.start).min(self.start)
    }

    /// Bytes of the page index, already read or fetched now. `None` where they are not before the footer.
    pub(super) fn index_bytes(&self, source: &Source, range: Range<u64>) -> Result<Option<Bytes>, ScanError> {
        if range.end > self.start {
            return Ok(None);
        }
        match self.kept_index_bytes(&range) {
            Some(bytes) => Ok(Some(bytes)),
            None => source.read_one(range).map(Some),
        }
    }

    /// Bytes of the page index that were read with the footer.
    pub(super) fn kept_index_bytes(&self, range: &Range<u64>) -> Option<Bytes> {
        let holds = |start: u64, bytes: &Bytes| start <= range.start && range.end <= start + bytes.len() as u64;
        let (start, bytes) = self.kept.iter().find(|(start, bytes)| range.end <= self.start && holds(*start, bytes))?;
        let from = (range.start - start) as usize;
        Some(bytes.slice(from..from + (range.end - range.start) as usize))
    }

    /// Where the page index before the footer begins, if there is one.
    fn index_start(&self, footer_start: u64) -> Option<u64> {
        let chunks = self.metadata.row_groups().iter().flat_map(|group| group.columns());
        chunks
            .flat_map(|chunk| [offset_index_range(chunk), column_index_range(chunk)])
            .flatten()
            .filter(|range| range.end <= footer_start)
            .map(|range| range.start)
            .min()
    }
}

/// Where the offset index of a chunk is, if it has one.
pub(super) fn offset_index_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    range_of(chunk.offset_index_offset()?, chunk.offset_index_length()?)
}

/// Where the column index of a chunk is, if it has one.
pub(super) fn column_index_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    range_of(chunk.column_index_offset()?, chunk.column_index_length()?)
}

fn range_of(offset: i64, length: i32) -> Option<Range<u64>> {
    let (offset, length) = (u64::try_from(offset).ok()?, u64::try_from(length).ok()?);
    (length > 0).then(|| offset..offset + length)
}

/// Where the pages of a chunk are, by the footer: where they end is a hint. Some writers give a position at the
/// beginning of the file for a dictionary that does not exist.
pub(super) fn chunk_range(chunk: &ColumnChunkMetaData) -> Result<Range<u64>, ChunkProblem> {
    let data = chunk.data_page_offset();
    let start = match chunk.dictionary_page_offset() {
        Some(dictionary) if dictionary >= FIRST_BYTE as i64 && dictionary < data => dictionary,
        _ => data,
    };
    let (Ok(start), Ok(length)) = (u64::try_from(start), u64::try_from(chunk.compressed_size())) else {
        return Err(ChunkProblem::Negative);
    };
    Ok(start..start.saturating_add(length))
}

/// The length of the footer, from the last eight bytes of the file.
fn trailer(tail: &[u8], size: u64) -> Result<u64, FooterError> {
    let Some((length, magic)) = tail.last_chunk::<8>().map(|trailer| trailer.split_at(4)) else {
        return Err(FooterError::NotParquet { file_bytes: size });
    };
    match magic {
        b"PAR1" => {}
        b"PARE" => return Err(FooterError::Encrypted),
        _ => return Err(FooterError::NotParquet { file_bytes: size }),
    }
    let claimed_bytes = length.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let allowed_bytes = size.saturating_sub(TRAILER_BYTES).min(MAX_FOOTER_BYTES);
    if claimed_bytes > allowed_bytes {
        return Err(FooterError::Size { claimed_bytes, allowed_bytes });
    }
    Ok(claimed_bytes)
}

/// Decodes a footer; also how many of its hints are damaged and were left out.
fn decode(encoded: &[u8], columns: &[&str]) -> Result<(ParquetMetaData, u64), FooterError> {
    let walked = walk(encoded, columns)?;
    let mut readable = Cow::Borrowed(encoded);
    if let Some(writer) = &walked.odd_writer {
        readable.to_mut()[writer.clone()].fill(b'?');
    }
    if let Some(metadata) = walked.metadata.as_ref().filter(|metadata| !metadata.is_text) {
        readable = Cow::Owned(metadata.text_alone(&readable));
    }
    let ignored = u64::from(matches!(readable, Cow::Owned(_)));
    let decoded = |leaves: &[usize]| {
        let options = ParquetMetaDataOptions::new()
            .with_column_stats_policy(ParquetStatisticsPolicy::skip_except(leaves))
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
        ParquetMetaDataReader::decode_metadata_with_options(&readable, Some(&options))
    };
    match decoded(&walked.leaves) {
        Ok(metadata) => Ok((metadata, ignored)),
        // Statistics of the wrong size.
        Err(error) if !walked.leaves.is_empty() => Ok((decoded(&[]).map_err(|_| error)?, ignored + 1)),
        Err(error) => Err(error.into()),
    }
}

/// Checks that rows add up and chunks lie in the file. Returns the first row of each row group, and the row count.
fn check(metadata: &ParquetMetaData, footer_start: u64, file: &str) -> Result<Vec<u64>, FooterError> {
    let claimed = metadata.file_metadata().num_rows();
    let mut first_rows = Vec::with_capacity(metadata.num_row_groups() + 1);
    let mut rows = 0_u64;
    first_rows.push(0);
    for (row_group, group) in metadata.row_groups().iter().enumerate() {
        let Ok(group_rows) = u64::try_from(group.num_rows()) else {
            return Err(FooterError::Rows { in_row_groups: -1, claimed });
        };
        rows = rows.saturating_add(group_rows);
        first_rows.push(rows);
        for chunk in group.columns() {
            check_chunk(chunk, group_rows, footer_start, file).map_err(|problem| FooterError::Chunk {
                row_group,
                column: chunk.column_path().string(),
                problem,
            })?;
        }
    }
    if u64::try_from(claimed) != Ok(rows) {
        return Err(FooterError::Rows { in_row_groups: rows as i64, claimed });
    }
    Ok(first_rows)
}

fn check_chunk(
    chunk: &ColumnChunkMetaData,
    group_rows: u64,
    footer_start: u64,
    file: &str,
) -> Result<(), ChunkProblem> {
    if chunk.file_path().is_some_and(|path| !names(path, file)) {
        return Err(ChunkProblem::OtherFile);
    }
    if group_rows == 0 && chunk.num_values() == 0 {
        // It is never read, and writers give arbitrary positions for it.
        return Ok(());
    }
    let range = chunk_range(chunk)?;
    if chunk.uncompressed_size() < 0 || chunk.num_values() < 0 {
        return Err(ChunkProblem::Negative);
    }
    if range.start < FIRST_BYTE && range.end > range.start || range.start > footer_start {
        return Err(ChunkProblem::Outside);
    }
    // A repeated column has at least one value per row (an empty list counts as one); a flat one has exactly one.
    let values = chunk.num_values() as u64;
    let flat = chunk.column_descr().max_rep_level() == 0;
    if values < group_rows || flat && values != group_rows {
        return Err(ChunkProblem::Values);
    }
    Ok(())
}

/// Whether a path of a footer is that of its own file: none, or the last parts of it. Tools that copy footers between
/// files and `_metadata` leave such paths.
fn names(path: &str, file: &str) -> bool {
    let path = path.trim_start_matches("./");
    file.strip_suffix(path).is_some_and(|folder| path.is_empty() || folder.is_empty() || folder.ends_with(['/', '\\']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_name_itself() {
        let file = "/sky/dataset/Norder=4/Dir=0/Npix=994.parquet";
        for path in ["", "Npix=994.parquet", "./Npix=994.parquet", "Norder=4/Dir=0/Npix=994.parquet", file] {
            assert!(names(path, file), "{path}");
        }
        for path in ["94.parquet", "Npix=995.parquet", "Dir=1/Npix=994.parquet", "/other/Npix=994.parquet"] {
            assert!(!names(path, file), "{path}");
        }
        assert!(names("a.parquet", r"C:\sky\a.parquet"));
    }

    #[test]
    fn a_trailer_must_fit_its_file() {
        let mut tail = vec![0; 20];
        assert!(matches!(trailer(&tail, 20), Err(FooterError::NotParquet { file_bytes: 20 })));
        tail[16..].copy_from_slice(b"PAR1");
        tail[12] = 12;
        assert_eq!(trailer(&tail, 20).unwrap(), 12);
        tail[12] = 13;
        assert!(matches!(trailer(&tail, 20), Err(FooterError::Size { claimed_bytes: 13, allowed_bytes: 12 })));
        tail[16..].copy_from_slice(b"PARE");
        assert!(matches!(trailer(&tail, 20), Err(FooterError::Encrypted)));
        assert!(matches!(trailer(&tail[..3], 3), Err(FooterError::NotParquet { file_bytes: 3 })));
    }
}
