//! Bytes that are already fetched, and reads of more.

use std::ops::Range;

use bytes::Bytes;

use crate::error::ScanError;
use crate::source::Source;

/// The bytes read at once when page headers are followed through a chunk over a high-latency source.
const WINDOW_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes fetched ahead in one call, for the readers of several columns.
#[derive(Default)]
pub(super) struct Fetched {
    /// Ascending, disjoint.
    parts: Vec<(u64, Bytes)>,
}

impl Fetched {
    /// Fetches ranges, in any order, in one call.
    pub(super) fn read(source: &Source, mut ranges: Vec<Range<u64>>) -> Result<Self, ScanError> {
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let mut disjoint: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match disjoint.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => disjoint.push(range),
            }
        }
        let bytes = source.read(&disjoint)?;
        Ok(Self { parts: disjoint.iter().map(|range| range.start).zip(bytes).collect() })
    }

    /// The bytes of a range, if all of them are fetched.
    pub(super) fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        let after = self.parts.partition_point(|(start, _)| *start <= range.start);
        let (start, bytes) = &self.parts[after.checked_sub(1)?];
        let from = usize::try_from(range.start - start).ok()?;
        let to = usize::try_from(range.end - start).ok()?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }
}

/// Reads forward through a chunk: from fetched bytes, or else in small reads or in windows.
pub(super) struct Forward<'a> {
    source: &'a Source,
    fetched: &'a Fetched,
    window: (u64, Bytes),
}

impl<'a> Forward<'a> {
    pub(super) fn new(source: &'a Source, fetched: &'a Fetched) -> Self {
        Self { source, fetched, window: (0, Bytes::new()) }
    }

    /// The bytes of `range`. Bytes up to `chunk_end` may be fetched with them.
    pub(super) fn get(&mut self, range: Range<u64>, chunk_end: u64) -> Result<Bytes, ScanError> {
        if let Some(bytes) = self.fetched.get(&range) {
            return Ok(bytes);
        }
        if self.source.is_low_latency() {
            return self.source.read_one(range);
        }
        let (start, bytes) = &self.window;
        if range.start < *start || range.end > start + bytes.len() as u64 {
            let end = chunk_end.min(range.start + WINDOW_BYTES).max(range.end);
            self.window = (range.start, self.source.read_one(range.start..end)?);
        }
        let (start, bytes) = &self.window;
        let from = (range.start - start) as usize;
        Ok(bytes.slice(from..from + (range.end - range.start) as usize))
    }
}
