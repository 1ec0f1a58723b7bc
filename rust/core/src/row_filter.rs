//! A cover as the filter of a scan: what joins the geometry to the reading.

use std::sync::Arc;

use crate::cover::Cover;
use crate::scan::{self, FilterError, RowFilter};
use crate::select::Candidates;

/// Selects the rows of one partition that belong to margins.
#[derive(Clone, Debug)]
pub struct CoverFilter {
    cover: Arc<Cover>,
    index_shift: u8,
}

impl CoverFilter {
    /// The filter of a cover, for an index column with so many bits below the pixel at the cover's index order.
    pub fn new(cover: Arc<Cover>, index_shift: u8) -> Self {
        Self { cover, index_shift }
    }

    /// The cover it selects by.
    pub fn cover(&self) -> &Cover {
        &self.cover
    }

    /// The pixel that an index value names; what names none keeps its value, which is beyond every pixel.
    fn pixel(&self, index: u64) -> u64 {
        if index == u64::MAX { index } else { index >> self.index_shift }
    }
}

impl RowFilter for CoverFilter {
    fn may_hold(&self, min: u64, max: u64) -> bool {
        match (i64::try_from(self.pixel(min)), i64::try_from(self.pixel(max))) {
            (Ok(min), Ok(max)) => self.cover.may_hold(min, max),
            _ => true,
        }
    }

    fn candidates(&self, index: &[u64], positions: &mut Vec<usize>) {
        if self.index_shift == 0 {
            self.cover.each_candidate(index.iter().copied(), |row| positions.push(row));
        } else {
            self.cover.each_candidate(index.iter().map(|&index| self.pixel(index)), |row| positions.push(row));
        }
    }

    fn needs_coordinates(&self) -> bool {
        self.cover.needs_coordinates()
    }

    fn select(
        &mut self,
        candidates: scan::Candidates<'_>,
        selected: &mut Vec<scan::Selected>,
    ) -> Result<(), FilterError> {
        let scan::Candidates { rows, index, ra_deg, dec_deg } = candidates;
        let index: Vec<Option<i64>> = index.iter().map(|index| i64::try_from(self.pixel(*index)).ok()).collect();
        let has_coordinates = ra_deg.len() == rows.len();
        let coordinates_deg = has_coordinates.then_some((ra_deg, dec_deg));
        let found = self.cover.select(Candidates { rows, index: &index, coordinates_deg })?;
        // What was selected is in the order of the candidates, whose rows ascend.
        let mut candidate = 0;
        for row in found {
            while rows[candidate] < row.row {
                candidate += 1;
            }
            let (destination, separation_arcsec) = (row.destination, row.separation_arcsec);
            selected.push(scan::Selected { candidate, destination, separation_arcsec });
        }
        Ok(())
    }
}
