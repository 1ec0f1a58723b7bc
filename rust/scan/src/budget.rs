//! How the memory limit of a scan is divided among its steps.

/// The memory limit of one scan, for files of any size.
///
/// Not included are the footer and, for each column that is being read, one page and its dictionary. A row larger than
/// its share is still read, in a batch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    memory_bytes: u64,
}

/// The bytes of a candidate: its row, index and coordinates twice, as numbers and as the columns they were read from.
const CANDIDATE_BYTES: u64 = 96;

/// The bytes of a selected pair of row and destination, before the batch and in it.
const SELECTED_BYTES: u64 = 48;

/// A smaller limit would make every step smaller than a page without saving memory.
const SMALLEST_BYTES: u64 = 1024 * 1024;

impl Budget {
    pub(super) fn new(memory_bytes: u64) -> Self {
        Self { memory_bytes: memory_bytes.max(SMALLEST_BYTES) }
    }

    /// Compressed bytes fetched ahead in one call. Those of the index are still held while those of a batch are
    /// fetched.
    pub(super) fn fetch_bytes(self) -> u64 {
        self.memory_bytes / 8
    }

    /// The planned size of a batch.
    pub(super) fn batch_bytes(self) -> u64 {
        self.memory_bytes / 8
    }

    /// The size at which a batch ends early because its rows are larger than planned. Joining its pieces may hold them
    /// twice.
    pub(super) fn batch_limit_bytes(self) -> u64 {
        self.memory_bytes / 4
    }

    /// The rows of a column that are decoded before its size is checked again.
    pub(super) fn sub_rows(self, row_bytes: u64) -> usize {
        (self.memory_bytes / 32 / row_bytes.max(1)).clamp(1, 64 * 1024) as usize
    }

    /// The number of candidates that are checked together.
    pub(super) fn candidates(self) -> usize {
        (self.memory_bytes / 8 / CANDIDATE_BYTES / 2) as usize
    }

    /// The number of selected pairs that are collected before their rows are read.
    pub(super) fn selected_pairs(self) -> usize {
        (self.memory_bytes / 8 / SELECTED_BYTES) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_add_up() {
        for memory_bytes in [1 << 20, 64 << 20, 1 << 33] {
            let budget = Budget::new(memory_bytes);
            // The last piece may double the number of candidates.
            let candidates = 2 * budget.candidates() as u64 * CANDIDATE_BYTES;
            let selected = budget.selected_pairs() as u64 * SELECTED_BYTES;
            let total = 2 * budget.fetch_bytes() + 2 * budget.batch_limit_bytes() + candidates + selected;
            assert!(total <= memory_bytes);
        }
    }

    #[test]
    fn nothing_is_ever_zero() {
        let budget = Budget::new(0);
        assert!(budget.candidates() > 500 && budget.selected_pairs() > 1000);
        assert_eq!(budget.sub_rows(u64::MAX), 1);
    }
}
