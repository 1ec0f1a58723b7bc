//! What a file says about itself beside its pages: it may save work, and never decides whether the file can be read.
//!
//! Page indexes, sizes of column chunks, positions of dictionaries, key-value metadata and the Arrow schema among them
//! are such hints. One that contradicts the file is counted here and not used again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A column chunk: its row group and its leaf.
pub(super) type ChunkKey = (usize, usize);

/// The hints of one file that were not used.
#[derive(Debug, Default)]
pub(super) struct Hints {
    ignored: AtomicU64,
    distrusted: Mutex<HashSet<ChunkKey>>,
}

impl Hints {
    /// Counts one that contradicts the file.
    pub(super) fn ignore(&self) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
    }

    /// How many contradicted the file so far.
    pub(super) fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    /// Ignores the page index of a chunk from now on.
    pub(super) fn distrust_index(&self, chunk: ChunkKey) {
        if self.distrusted.lock().unwrap_or_else(PoisonError::into_inner).insert(chunk) {
            self.ignore();
        }
    }

    /// Whether the page index of a chunk is ignored.
    pub(super) fn distrusts_index(&self, chunk: ChunkKey) -> bool {
        self.distrusted.lock().unwrap_or_else(PoisonError::into_inner).contains(&chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_distrusted_once() {
        let hints = Hints::default();
        for _ in 0..2 {
            hints.distrust_index((3, 1));
        }
        hints.ignore();
        assert_eq!(hints.ignored(), 2);
        assert!(hints.distrusts_index((3, 1)) && !hints.distrusts_index((1, 3)));
    }
}
