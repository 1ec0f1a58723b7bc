//! The interface by which a scan asks which rows are candidates and which are selected.

use std::error::Error;

use thiserror::Error;

/// The filter's own error, boxed; [`ScanError::Filter`](crate::ScanError::Filter) passes it on.
pub type FilterError = Box<dyn Error + Send + Sync>;

/// An answer of a filter that does not fit the question.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FilterAnswerError {
    /// Positions of candidates that do not ascend, or are beyond the values asked about.
    #[error("the row filter gave positions that do not ascend below {asked}")]
    Positions {
        /// The number of values asked about.
        asked: usize,
    },
    /// A selected row that was not a candidate.
    #[error("the row filter selected candidate {candidate} of {asked}")]
    Candidate {
        /// The candidate that the filter returned.
        candidate: usize,
        /// The number of candidates asked about.
        asked: usize,
    },
}

/// What statistics say of some rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowBounds {
    /// The smallest and the largest index value; `None` where rows may have another one, or none.
    pub index: Option<(u64, u64)>,
    /// The smallest and the largest right ascension in degrees, NaN where it is not known.
    pub ra_deg: [f64; 2],
    /// The same of declination.
    pub dec_deg: [f64; 2],
}

/// Decides on rows, first by their spatial index, then by their coordinates.
///
/// Values of the spatial index are those of the column, at whatever order it has. Rows without a usable value (null or
/// negative) are always candidates.
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

    /// Whether statistics say that the coordinates of a row contradict its index value, or the place of the file. Then
    /// the rows are read and given to [`RowFilter::check`].
    fn contradicts(&self, _bounds: &RowBounds) -> bool {
        false
    }

    /// Checks the coordinates of rows against their index values.
    ///
    /// # Errors
    /// Whatever the filter refuses: a row that lies elsewhere.
    fn check(&self, _rows: Candidates<'_>) -> Result<(), FilterError> {
        Ok(())
    }

    /// Appends the selected candidates, in any order. A row may be selected for many destinations.
    ///
    /// # Errors
    /// Whatever the filter refuses, such as coordinates that are not on the sphere.
    fn select(&mut self, candidates: Candidates<'_>, selected: &mut Vec<SelectedCandidate>) -> Result<(), FilterError>;
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

    fn contradicts(&self, bounds: &RowBounds) -> bool {
        (**self).contradicts(bounds)
    }

    fn check(&self, rows: Candidates<'_>) -> Result<(), FilterError> {
        (**self).check(rows)
    }

    fn select(&mut self, candidates: Candidates<'_>, selected: &mut Vec<SelectedCandidate>) -> Result<(), FilterError> {
        (**self).select(candidates, selected)
    }
}

/// The rows to decide on: columns of equal length, by ascending row.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// Row numbers in the partition, which may consist of several files.
    pub rows: &'a [u64],
    /// Spatial index. `u64::MAX` where it is missing and cannot be computed from the coordinates.
    pub index: &'a [u64],
    /// Right ascension in degrees, NaN for null. Empty where coordinates are not read.
    pub ra_deg: &'a [f64],
    /// Declination in degrees, NaN for null. Empty where coordinates are not read.
    pub dec_deg: &'a [f64],
}

/// A candidate and a destination that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectedCandidate {
    /// The position among the candidates.
    pub candidate: usize,
    /// The destination, numbered by the filter.
    pub destination: u32,
    /// The separation from the destination in arcseconds; NaN where it is unknown.
    pub separation_arcsec: f64,
}
