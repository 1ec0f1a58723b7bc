//! A cover as the filter of a scan: the connection of geometry and reading.

use std::sync::Arc;

use skymargin_geometry::cover::{Cover, Filtering};
use skymargin_geometry::select::CandidateColumns;

use crate::filter::{Candidates, FilterError, RowBounds, RowFilter, SelectedCandidate};

/// Selects the rows of one partition that belong to margins.
#[derive(Clone, Debug)]
pub struct CoverFilter {
    cover: Arc<Cover>,
    index_shift: u8,
    checks_all: bool,
}

impl CoverFilter {
    /// The filter of a cover, for an index column with `index_shift` bits below the pixel at the cover's index order.
    ///
    /// With `checks_all`, every row of the partition is a candidate and its position is checked against its index:
    /// neither the index nor its statistics are trusted.
    pub fn new(cover: Arc<Cover>, index_shift: u8, checks_all: bool) -> Self {
        Self { cover, index_shift, checks_all }
    }

    /// The cover of the filter.
    pub fn cover(&self) -> &Cover {
        &self.cover
    }

    /// The pixel that an index value names; `u64::MAX`, a missing value, stays and is larger than every pixel.
    fn pixel(&self, index: u64) -> u64 {
        if index == u64::MAX { index } else { index >> self.index_shift }
    }
}

impl RowFilter for CoverFilter {
    fn may_hold(&self, min: u64, max: u64) -> bool {
        if self.checks_all {
            return true;
        }
        match (i64::try_from(self.pixel(min)), i64::try_from(self.pixel(max))) {
            (Ok(min), Ok(max)) => self.cover.may_hold(min, max),
            _ => true,
        }
    }

    fn candidates(&self, index: &[u64], positions: &mut Vec<usize>) {
        if self.checks_all {
            positions.extend(0..index.len());
        } else if self.index_shift == 0 {
            self.cover.each_candidate(index.iter().copied(), |row| positions.push(row));
        } else {
            self.cover.each_candidate(index.iter().map(|&index| self.pixel(index)), |row| positions.push(row));
        }
    }

    fn needs_coordinates(&self) -> bool {
        self.checks_all || self.cover.needs_coordinates()
    }

    fn contradicts(&self, bounds: &RowBounds) -> bool {
        let index = bounds.index.map(|(min, max)| (self.pixel(min), self.pixel(max)));
        // Where all rows are checked, nothing is left to find.
        !self.checks_all && self.cover.contradicts(index, bounds.ra_deg, bounds.dec_deg)
    }

    fn check(&self, rows: Candidates<'_>) -> Result<(), FilterError> {
        // A row without a position is nowhere else.
        let has_position = |at: &usize| !(rows.ra_deg[*at].is_nan() || rows.dec_deg[*at].is_nan());
        let places: Vec<usize> = (0..rows.rows.len()).filter(has_position).collect();
        let of = |values: &[f64]| places.iter().map(|at| values[*at]).collect::<Vec<f64>>();
        let (ra_deg, dec_deg) = (of(rows.ra_deg), of(rows.dec_deg));
        let index: Vec<Option<i64>> = places.iter().map(|at| i64::try_from(self.pixel(rows.index[*at])).ok()).collect();
        let numbers: Vec<u64> = places.iter().map(|at| rows.rows[*at]).collect();
        let coordinates_deg = Some((&ra_deg[..], &dec_deg[..]));
        self.cover.check_positions(CandidateColumns { rows: &numbers, index: &index, coordinates_deg })?;
        Ok(())
    }

    fn select(&mut self, candidates: Candidates<'_>, selected: &mut Vec<SelectedCandidate>) -> Result<(), FilterError> {
        let Candidates { rows, index, ra_deg, dec_deg } = candidates;
        let index: Vec<Option<i64>> = index.iter().map(|index| i64::try_from(self.pixel(*index)).ok()).collect();
        let has_coordinates = ra_deg.len() == rows.len();
        let coordinates_deg = has_coordinates.then_some((ra_deg, dec_deg));
        let candidates = CandidateColumns { rows, index: &index, coordinates_deg };
        // Exact selection checks every row that it is given.
        if self.checks_all && self.cover.filtering() != Filtering::Exact {
            self.cover.check_positions(candidates)?;
        }
        let found = self.cover.select(candidates)?;
        // What was selected is in the order of the candidates, whose rows ascend.
        let mut candidate = 0;
        for row in found {
            while rows[candidate] < row.row {
                candidate += 1;
            }
            let (destination, separation_arcsec) = (row.destination, row.separation_arcsec);
            selected.push(SelectedCandidate { candidate, destination, separation_arcsec });
        }
        Ok(())
    }
}
