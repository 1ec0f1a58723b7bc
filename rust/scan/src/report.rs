//! Counts of what a scan read.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// The counts of one scan, or the sum over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Bytes read from the source.
    pub bytes_fetched: u64,
    /// Ranges read from the source; nearby ranges that were joined count as one.
    pub requests: u64,
    /// Calls of the source; the requests of one call can run in parallel.
    pub round_trips: u64,
    /// Row groups with a page that was read.
    pub row_groups_read: u64,
    /// Row groups of the file.
    pub row_groups_total: u64,
    /// Pages decompressed and decoded, dictionaries included. A page decoded in two steps counts twice. A page of which
    /// only the beginning was decompressed, to count its rows, does not count.
    pub pages_decoded: u64,
    /// Page indexes, sizes of column chunks, positions of dictionaries, key-value metadata and embedded schemas that
    /// contradicted the file, and were ignored.
    pub hints_ignored: u64,
    /// Rows of the file.
    pub rows_total: u64,
    /// Rows that were candidates by their index.
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
        self.hints_ignored += other.hints_ignored;
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
