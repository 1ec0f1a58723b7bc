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

    /// The budget of a file over a high-latency source: without what the files opened ahead of it hold.
    pub(super) fn beside_others(memory_bytes: u64) -> Self {
        let whole = Self::new(memory_bytes);
        Self { memory_bytes: whole.memory_bytes - whole.ahead_bytes() }
    }

    /// What the files that are opened ahead may hold together, and the size of a file that is read whole.
    pub(super) fn ahead_bytes(self) -> u64 {
        self.memory_bytes / 8
    }

    /// Compressed bytes fetched at once of a column in which candidates are looked for, or of their coordinates.
    pub(super) fn fetch_bytes(self) -> u64 {
        self.memory_bytes / 8
    }

    /// Compressed bytes fetched at once of the index with the coordinates. They are held while batches are read.
    pub(super) fn candidates_fetch_bytes(self) -> u64 {
        self.memory_bytes / 4
    }

    /// Compressed bytes fetched at once of all columns. They are held likewise.
    pub(super) fn whole_fetch_bytes(self) -> u64 {
        self.memory_bytes / 2
    }

    /// The planned size of a batch, while so many fetched bytes are held.
    pub(super) fn batch_bytes(self, held_bytes: u64) -> u64 {
        self.batch_limit_bytes(held_bytes) / 2
    }

    /// The size at which a batch ends early because its rows are larger than planned. Joining its pieces may hold them
    /// twice.
    pub(super) fn batch_limit_bytes(self, held_bytes: u64) -> u64 {
        // A quarter is for candidates and selected pairs, an eighth for what is fetched for the batch.
        (self.memory_bytes / 8 * 5 - held_bytes.clamp(self.memory_bytes / 8, self.memory_bytes / 2)) / 2
    }

    /// The same for a batch that is planned to be small, so that more can be fetched for it.
    ///
    /// What is left of a batch that ends early is fetched again: the planned size leaves dictionaries out.
    pub(super) fn small_batch_limit_bytes(self, held_bytes: u64, planned_bytes: u64) -> u64 {
        let limit = self.batch_limit_bytes(held_bytes);
        planned_bytes.saturating_mul(4).clamp(limit.min(self.memory_bytes / 32), limit)
    }

    /// Compressed bytes fetched at once for a batch that ends at `limit_bytes`, beside what is held, and the candidates
    /// and selected pairs that there are.
    pub(super) fn batch_fetch_bytes(self, held_bytes: u64, limit_bytes: u64, candidates: usize, pairs: usize) -> u64 {
        let rows = candidates as u64 * CANDIDATE_BYTES + pairs as u64 * SELECTED_BYTES;
        self.memory_bytes.saturating_sub(held_bytes + 2 * limit_bytes + rows)
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
            let (candidates, pairs) = (2 * budget.candidates(), budget.selected_pairs());
            let rows = candidates as u64 * CANDIDATE_BYTES + pairs as u64 * SELECTED_BYTES;
            assert!(budget.whole_fetch_bytes() + 2 * budget.fetch_bytes() + rows <= memory_bytes);
            for held_bytes in [0, budget.fetch_bytes(), budget.candidates_fetch_bytes(), budget.whole_fetch_bytes()] {
                let limit_bytes = budget.batch_limit_bytes(held_bytes);
                let fetched_bytes = budget.batch_fetch_bytes(held_bytes, limit_bytes, candidates, pairs);
                assert!(fetched_bytes >= budget.fetch_bytes());
                assert!(held_bytes + fetched_bytes + 2 * limit_bytes + rows <= memory_bytes);
            }
            let others = memory_bytes / 8;
            assert_eq!(Budget::beside_others(memory_bytes).memory_bytes + others, memory_bytes);
        }
    }

    #[test]
    fn most_is_left_to_fetch_for_a_small_batch() {
        let budget = Budget::new(32 << 20);
        let limit_bytes = budget.small_batch_limit_bytes(3 << 20, 10_000);
        assert_eq!(limit_bytes, 1 << 20);
        assert_eq!(budget.batch_fetch_bytes(3 << 20, limit_bytes, 0, 0), 27 << 20);
        let largest = budget.batch_limit_bytes(0);
        assert_eq!(budget.small_batch_limit_bytes(0, u64::MAX), largest);
        assert_eq!(largest, 8 << 20);
    }

    #[test]
    fn nothing_is_ever_zero() {
        let budget = Budget::new(0);
        assert!(budget.candidates() > 500 && budget.selected_pairs() > 1000);
        assert_eq!(budget.sub_rows(u64::MAX), 1);
    }
}
