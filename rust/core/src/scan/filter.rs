//! What a scan asks: which rows may be of use, and which are.

use std::error::Error;

use thiserror::Error;

/// The filter's own error, boxed; [`super::ScanError::Filter`] hands it on.
pub type FilterError = Box<dyn Error + Send + Sync>;

/// A filter that answered what it was not asked.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FilterAnswerError {
    /// Positions of candidates that do not ascend, or are beyond the values asked about.
    #[error("the row filter gave positions that do not ascend below {asked}")]
    Positions {
        /// The number of values asked about.
        asked: usize,
    },
    /// A selected row that was no candidate.
    #[error("the row filter selected candidate {candidate} of {asked}")]
    Candidate {
        /// The candidate it gave.
        candidate: usize,
        /// The number of candidates asked about.
        asked: usize,
    },
}

/// Decides on rows, first by their spatial index, then by their coordinates.
///
/// Values of the spatial index are those of the column, at whatever order it has. Rows without a usable one (null or
/// negative) are candidates without being asked for.
pub trait RowFilter {
    /// Whether rows whose index values lie in `[min, max]` may hold a candidate. Never misses one.
    fn may_hold(&self, min: u64, max: u64) -> bool;

    /// Appends the positions, ascending, of the candidates among index values. Never misses a row that
    /// [`RowFilter::select`] would select.
    fn candidates(&self, index: &[u64], positions: &mut Vec<usize>);

    /// Whether [`RowFilter::select`] looks at coordinates. If not, they are read only where the index is missing.
    fn needs_coordinates(&self) -> bool {
        true
    }

    /// Appends what is selected among candidates, in any order; a row may be selected for many destinations.
    ///
    /// # Errors
    /// Whatever the filter refuses, such as coordinates that are not on the sphere.
    fn select(&mut self, candidates: Candidates<'_>, selected: &mut Vec<Selected>) -> Result<(), FilterError>;
}

impl<F: RowFilter + ?Sized> RowFilter for &mut F {
    fn may_hold(&self, min: u64, max: u64) -> bool {
        (**self).may_hold(min, max)
    }

    fn candidates(&self, index: &[u64], positions: &mut Vec<usize>) {
        (**self).candidates(index, positions);
    }

    fn needs_coordinates(&self) -> bool {
        (**self).needs_coordinates()
    }

    fn select(&mut self, candidates: Candidates<'_>, selected: &mut Vec<Selected>) -> Result<(), FilterError> {
        (**self).select(candidates, selected)
    }
}

/// Rows to decide on: aligned, by ascending row.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// Row numbers in the partition, which may be several files.
    pub rows: &'a [u64],
    /// Spatial index. `u64::MAX` where there is none and the coordinates give none either.
    pub index: &'a [u64],
    /// Right ascension in degrees, NaN for null. Empty where coordinates are not read.
    pub ra_deg: &'a [f64],
    /// Declination in degrees, NaN for null. Empty where coordinates are not read.
    pub dec_deg: &'a [f64],
}

/// A row and a destination that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selected {
    /// The position among the candidates.
    pub candidate: usize,
    /// The destination, numbered by the filter.
    pub destination: u32,
    /// The separation from it; NaN where it is not known.
    pub separation_arcsec: f64,
}
