//! Page indexes of neighbouring row groups of a local file, read together.
//!
//! The page index of a column chunk is some hundred bytes long and lies among those of other columns. A file of a
//! thousand row groups has thousands of them, each of which would be a read that takes as long as some kilobytes do.
//! Over a high-latency source they are read with the footer.

use crate::error::ScanError;
use crate::fetched::{Fetched, disjoint};
use crate::file::ParquetFile;
use crate::footer::{column_index_range, offset_index_range};
use crate::source::{Gaps, join};

/// The number of row groups whose page indexes are read together.
pub(super) const INDEX_GROUPS: usize = 64;

/// A longer page index is read alone, so that little memory is needed.
const LONGEST_BYTES: u64 = 4 * 1024;

/// The bytes between two page indexes that cost less than a read.
const GAPS: Gaps = Gaps { longest_bytes: 8 * 1024, total_bytes: 256 * 1024 };

/// Which parts of a page index are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexParts {
    /// The places of pages that are not known yet.
    Places,
    /// These, and the bounds of values.
    PlacesAndBounds,
}

impl ParquetFile {
    /// Reads what is needed next of the page indexes of some leaves, if that takes fewer reads.
    pub(super) fn read_indexes_ahead(
        &self,
        row_groups: impl IntoIterator<Item = usize>,
        leaves: &[usize],
        parts: IndexParts,
    ) -> Result<(), ScanError> {
        if !self.source().is_low_latency() {
            return Ok(());
        }
        let mut ranges = Vec::new();
        for row_group in row_groups {
            for leaf in leaves {
                let column = self.metadata().row_group(row_group).column(*leaf);
                let places = offset_index_range(column).filter(|_| !self.has_map(row_group, *leaf));
                let bounds = column_index_range(column).filter(|_| parts == IndexParts::PlacesAndBounds);
                ranges.extend(places.into_iter().chain(bounds));
            }
        }
        let (footer, start) = (self.footer(), self.footer().start());
        ranges.retain(|range| range.end - range.start <= LONGEST_BYTES && range.end <= start);
        ranges.retain(|range| footer.kept_index_bytes(range).is_none());
        let ranges = disjoint(ranges);
        let wholes = join(&ranges, GAPS);
        if wholes.len() < ranges.len() {
            self.keep_index_ahead(Fetched::new(self.source().read(&wholes, Gaps::default())?, 0));
        }
        Ok(())
    }
}
