//! Bytes that are already fetched, and reads of more.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::ScanError;
use crate::source::{Gaps, Source};

/// The bytes read at once when page headers are followed through a chunk over a high-latency source.
const WINDOW_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes in hand: those of one call, for the readers of several columns, and those of earlier calls.
#[derive(Default)]
pub(super) struct Fetched {
    /// Ascending, disjoint.
    parts: Vec<(u64, Bytes)>,
    earlier: Option<Arc<Self>>,
    held_bytes: u64,
}

impl Fetched {
    /// Bytes from the opening of a file; `held_bytes` of them count in its memory limit.
    pub(super) fn new(mut parts: Vec<(u64, Bytes)>, held_bytes: u64) -> Self {
        parts.sort_unstable_by_key(|(start, _)| *start);
        Self { parts, earlier: None, held_bytes }
    }

    /// Fetches ranges, in any order, in one call, joined over `gaps`. `earlier` is in hand.
    pub(super) fn read(
        source: &Source,
        ranges: Vec<Range<u64>>,
        gaps: Gaps,
        earlier: Option<&Arc<Self>>,
    ) -> Result<Self, ScanError> {
        let parts = source.read(&disjoint(ranges), gaps)?;
        let fetched_bytes: u64 = parts.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let held_bytes = fetched_bytes + earlier.map_or(0, |earlier| earlier.held_bytes);
        Ok(Self { parts, earlier: earlier.cloned(), held_bytes })
    }

    /// The bytes of a range, if all of them are in hand.
    pub(super) fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        self.own(range).or_else(|| self.earlier.as_ref()?.get(range))
    }

    /// The memory that the bytes take.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    fn own(&self, range: &Range<u64>) -> Option<Bytes> {
        let after = self.parts.partition_point(|(start, _)| *start <= range.start);
        let (start, bytes) = &self.parts[after.checked_sub(1)?];
        let from = usize::try_from(range.start - start).ok()?;
        let to = usize::try_from(range.end - start).ok()?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }
}

/// The same bytes as ranges that ascend and do not overlap.
pub(super) fn disjoint(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut disjoint: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match disjoint.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => disjoint.push(range),
        }
    }
    disjoint
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_earlier_calls_stay_in_hand() {
        let earlier =
            Arc::new(Fetched::new(vec![(90, Bytes::from_static(b"xyz")), (0, Bytes::from_static(b"abc"))], 3));
        let later = Fetched { parts: vec![(50, Bytes::from_static(b"mno"))], earlier: Some(earlier), held_bytes: 6 };
        assert_eq!(later.get(&(91..93)).unwrap(), "yz");
        assert_eq!(later.get(&(0..3)).unwrap(), "abc");
        assert_eq!(later.get(&(51..52)).unwrap(), "n");
        assert!(later.get(&(51..54)).is_none() && later.get(&(2..4)).is_none());
        assert_eq!(later.held_bytes(), 6);
    }
}
