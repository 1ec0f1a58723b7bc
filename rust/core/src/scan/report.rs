//! What a scan did.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Counts of one scan, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Bytes read from the source.
    pub bytes_fetched: u64,
    /// Ranges read from the source; nearby ones that were joined count as one.
    pub requests: u64,
    /// Calls of the source; the requests of one call can run side by side.
    pub round_trips: u64,
    /// Row groups of which any page was read.
    pub row_groups_read: u64,
    /// Row groups of the file.
    pub row_groups_total: u64,
    /// Pages decompressed and decoded, dictionaries among them. A page decoded in two steps counts twice. Pages whose
    /// beginning alone was decompressed, to count its rows, do not count.
    pub pages_decoded: u64,
    /// Rows of the file.
    pub rows_total: u64,
    /// Rows whose index made them candidates.
    pub candidates: u64,
    /// Rows selected, each once.
    pub rows_selected: u64,
    /// Pairs of selected row and destination.
    pub selected: u64,
}

impl AddAssign for ScanReport {
    fn add_assign(&mut self, other: Self) {
        self.bytes_fetched += other.bytes_fetched;
        self.requests += other.requests;
        self.round_trips += other.round_trips;
        self.row_groups_read += other.row_groups_read;
        self.row_groups_total += other.row_groups_total;
        self.pages_decoded += other.pages_decoded;
        self.rows_total += other.rows_total;
        self.candidates += other.candidates;
        self.rows_selected += other.rows_selected;
        self.selected += other.selected;
    }
}

impl Add for ScanReport {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for ScanReport {
    fn sum<I: Iterator<Item = Self>>(reports: I) -> Self {
        reports.fold(Self::default(), Add::add)
    }
}
