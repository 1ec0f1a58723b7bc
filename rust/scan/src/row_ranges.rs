//! Sets of rows as ranges that ascend and do not touch.

use std::ops::Range;

use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

/// Rows of a file, or of a row group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowRanges {
    ranges: Vec<Range<u64>>,
    rows: u64,
}

impl RowRanges {
    /// From ascending rows, none twice.
    pub(super) fn from_rows(rows: &[u64]) -> Self {
        let mut ranges = Self::default();
        for row in rows {
            ranges.push(*row..row + 1);
        }
        ranges
    }

    /// From ranges in any order, which may overlap.
    pub(super) fn from_ranges(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.sort_unstable_by_key(|range| range.start);
        let (mut all, mut end) = (Self::default(), 0);
        for range in ranges {
            let start = range.start.max(end);
            if start < range.end {
                all.push(start..range.end);
                end = range.end;
            }
        }
        all
    }

    /// The rows of both.
    pub(super) fn union(self, other: &Self) -> Self {
        let mut ranges = self.into_vec();
        ranges.extend_from_slice(other.as_slice());
        Self::from_ranges(ranges)
    }

    /// Adds rows after all that are there.
    pub(super) fn push(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        self.rows += range.end - range.start;
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            last => {
                debug_assert!(last.is_none_or(|last| last.end < range.start));
                self.ranges.push(range);
            }
        }
    }

    /// The number of rows.
    pub(super) fn len(&self) -> u64 {
        self.rows
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows after the first `count`.
    pub(super) fn after(&self, count: u64) -> Self {
        let (mut left, mut after) = (count, Self::default());
        for range in &self.ranges {
            let skipped = left.min(range.end - range.start);
            left -= skipped;
            after.push(range.start + skipped..range.end);
        }
        after
    }

    pub(super) fn as_slice(&self) -> &[Range<u64>] {
        &self.ranges
    }

    pub(super) fn into_vec(self) -> Vec<Range<u64>> {
        self.ranges
    }

    /// Every row, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.iter().cloned().flatten()
    }

    /// The row groups that hold any of the rows, and the rows within each, counted from its start.
    ///
    /// `first_rows` has the first row of each group and the end of the last.
    pub(super) fn by_group(&self, first_rows: &[u64]) -> Vec<(usize, Self)> {
        let mut groups: Vec<(usize, Self)> = Vec::new();
        for range in &self.ranges {
            let mut start = range.start;
            // Empty row groups share their first row with the next: the last of equals holds the row.
            let mut group = first_rows.partition_point(|first| *first <= start) - 1;
            while start < range.end && group + 1 < first_rows.len() {
                let end = range.end.min(first_rows[group + 1]);
                if start < end {
                    let local = start - first_rows[group]..end - first_rows[group];
                    match groups.last_mut() {
                        Some((last, rows)) if *last == group => rows.push(local),
                        _ => {
                            let mut rows = Self::default();
                            rows.push(local);
                            groups.push((group, rows));
                        }
                    }
                }
                start = end;
                group += 1;
            }
        }
        groups
    }

    /// The rows of groups that are read one after the other, each given with the rows it has in all.
    pub(super) fn selection<'a>(groups: impl IntoIterator<Item = (u64, &'a Self)>) -> RowSelection {
        let mut selectors = Vec::new();
        for (group_rows, rows) in groups {
            let mut at = 0;
            for range in rows.as_slice() {
                selectors.push(RowSelector::skip((range.start - at) as usize));
                selectors.push(RowSelector::select((range.end - range.start) as usize));
                at = range.end;
            }
            selectors.push(RowSelector::skip((group_rows - at) as usize));
        }
        // Where selections are short on average, the reader would decode all that lies between them and filter: pages
        // without a selected row, too. What is skipped at the end counts in the average, and for nothing else.
        selectors.push(RowSelector::skip(64 * selectors.len()));
        selectors.into()
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_joined_and_split_by_group() {
        let ranges = RowRanges::from_rows(&[0, 1, 4, 5, 6, 9]);
        assert_eq!(ranges.as_slice(), [0..2, 4..7, 9..10]);
        assert_eq!(ranges.len(), 6);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [0, 1, 4, 5, 6, 9]);
        assert_eq!(ranges.after(0), ranges);
        assert_eq!(ranges.after(3), RowRanges::from_rows(&[5, 6, 9]));
        assert!(ranges.after(6).is_empty() && ranges.after(9).is_empty());
        // Groups of 5, 0, 1 and 4 rows.
        let groups = ranges.by_group(&[0, 5, 5, 6, 10]);
        let local: Vec<_> = groups.iter().map(|(group, rows)| (*group, rows.as_slice().to_vec())).collect();
        assert_eq!(local, [(0, vec![0..2, 4..5]), (2, vec![0..1]), (3, vec![0..1, 3..4])]);
    }

    #[test]
    fn ranges_are_united() {
        let one = RowRanges::from_ranges(vec![7..9, 0..2, 1..3, 8..8, 20..30]);
        assert_eq!(one.as_slice(), [0..3, 7..9, 20..30]);
        let both = one.union(&RowRanges::from_ranges(vec![3..5, 8..12, 22..25, 40..41]));
        assert_eq!(both.as_slice(), [0..5, 7..12, 20..30, 40..41]);
        assert_eq!(both.len(), 21);
        assert!(RowRanges::from_ranges(Vec::new()).union(&RowRanges::default()).is_empty());
    }

    #[test]
    fn a_selection_spans_its_groups() {
        let first = RowRanges::from_rows(&[1, 2]);
        let second = RowRanges::from_rows(&[0]);
        let selection = RowRanges::selection([(4, &first), (2, &second)]);
        let selectors: Vec<RowSelector> = selection.into();
        assert_eq!(
            selectors[..4],
            [RowSelector::skip(1), RowSelector::select(2), RowSelector::skip(1), RowSelector::select(1)]
        );
    }
}
