//! Steps 2 and 3 of a scan: the rows that the index makes candidates, with their coordinates.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::budget::Budget;
use super::coordinates::{CoordinateColumns, CoordinateReader, spatial_index};
use super::error::ScanError;
use super::file::ParquetFile;
use super::filter::RowFilter;
use super::index_column::{self, IndexCandidates, IndexReader, RowNumbers};
use super::row_ranges::RowRanges;
use super::schema::Projection;

/// Rows that passed the first look, with what was read of them.
#[derive(Default)]
pub(super) struct CandidateRows {
    /// In the file, ascending.
    pub(super) rows: Vec<u64>,
    pub(super) index: Vec<u64>,
    pub(super) ra_deg: Vec<f64>,
    pub(super) dec_deg: Vec<f64>,
    /// Columns, by their place in the schema, that are already read: pieces, together as long as `rows`.
    pub(super) known: Vec<(usize, Vec<ArrayRef>)>,
}

/// Where in the schema the columns are that the scan itself reads, and the order of a computed index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) index: Option<usize>,
    pub(super) ra: usize,
    pub(super) dec: usize,
    pub(super) index_order: u8,
    pub(super) index_shift: u8,
}

impl Places {
    pub(super) fn coordinates(self, projection: &Projection) -> CoordinateColumns<'_> {
        let columns = projection.columns();
        CoordinateColumns { ra: &columns[self.ra], dec: &columns[self.dec] }
    }

    /// Index values of positions, as the index column would have them; `u64::MAX` for what is no position.
    fn index_of(self, ra_deg: &[f64], dec_deg: &[f64]) -> Vec<u64> {
        let mut index = spatial_index(self.index_order, ra_deg, dec_deg);
        if self.index_shift > 0 {
            index.iter_mut().filter(|index| **index != u64::MAX).for_each(|index| *index <<= self.index_shift);
        }
        index
    }
}

/// Finds candidates, some at a time.
pub(super) struct CandidateReader {
    file: Arc<ParquetFile>,
    projection: Arc<Projection>,
    places: Places,
    budget: Budget,
    look: Look,
    /// Row groups of which any page may hold a candidate.
    pub(super) row_groups: u64,
}

enum Look {
    AtIndex(IndexReader),
    /// Without an index column: at the coordinates of every row.
    AtCoordinates(CoordinateReader, RowNumbers),
    Nowhere,
}

impl CandidateReader {
    pub(super) fn new(
        file: &Arc<ParquetFile>,
        projection: &Arc<Projection>,
        places: Places,
        budget: Budget,
        filter: &impl RowFilter,
    ) -> Result<Self, ScanError> {
        let mut rows = RowRanges::default();
        let mut row_groups = 0;
        for (row_group, bounds) in file.first_rows().windows(2).enumerate() {
            let before = rows.len();
            match places.index.map(|place| &projection.columns()[place]) {
                Some(column) => index_column::add_rows_that_may_hold(file, column, row_group, filter, &mut rows)?,
                None => rows.push(bounds[0]..bounds[1]),
            }
            row_groups += u64::from(rows.len() > before);
        }
        let look = match places.index {
            _ if rows.is_empty() => Look::Nowhere,
            Some(place) => Look::AtIndex(IndexReader::new(file, &projection.columns()[place], rows, budget)?),
            None => {
                let row_numbers = RowNumbers::new(rows.clone());
                let reader = CoordinateReader::new(file, places.coordinates(projection), rows, budget)?;
                Look::AtCoordinates(reader, row_numbers)
            }
        };
        Ok(Self { file: Arc::clone(file), projection: Arc::clone(projection), places, budget, look, row_groups })
    }

    /// The next candidates, about as many as the budget holds; none at the end.
    pub(super) fn next(&mut self, filter: &impl RowFilter) -> Result<Option<CandidateRows>, ScanError> {
        let most = self.budget.candidates();
        match &mut self.look {
            Look::Nowhere => Ok(None),
            Look::AtIndex(reader) => {
                let found = reader.next(most, filter)?;
                found.map(|found| self.with_coordinates(found, filter)).transpose()
            }
            Look::AtCoordinates(reader, row_numbers) => {
                let mut candidates = CandidateRows::default();
                while candidates.rows.len() < most {
                    let Some(piece) = reader.next()? else { break };
                    let index = self.places.index_of(&piece.ra_deg, &piece.dec_deg);
                    let mut positions = Vec::new();
                    filter.candidates(&index, &mut positions);
                    index_column::check_positions(&self.file, &positions, index.len())?;
                    // What is no position must come before the filter, which says so.
                    positions.extend((0..index.len()).filter(|at| index[*at] == u64::MAX));
                    positions.sort_unstable();
                    positions.dedup();
                    row_numbers.take(index.len(), &positions, &mut candidates.rows);
                    for position in positions {
                        candidates.index.push(index[position]);
                        candidates.ra_deg.push(piece.ra_deg[position]);
                        candidates.dec_deg.push(piece.dec_deg[position]);
                    }
                }
                Ok((!candidates.rows.is_empty()).then_some(candidates))
            }
        }
    }

    fn with_coordinates(&self, found: IndexCandidates, filter: &impl RowFilter) -> Result<CandidateRows, ScanError> {
        let IndexCandidates { rows, index, unknown, arrays } = found;
        let place = self.places.index.into_iter();
        let known = place.zip([arrays]).collect();
        let mut candidates = CandidateRows { rows, index, known, ..CandidateRows::default() };
        if !filter.needs_coordinates() && unknown.is_empty() {
            return Ok(candidates);
        }
        let (mut ra, mut dec) = (Vec::new(), Vec::new());
        let columns = self.places.coordinates(&self.projection);
        let rows = RowRanges::from_rows(&candidates.rows);
        let mut reader = CoordinateReader::new(&self.file, columns, rows, self.budget)?;
        while let Some(piece) = reader.next()? {
            candidates.ra_deg.extend(piece.ra_deg);
            candidates.dec_deg.extend(piece.dec_deg);
            ra.push(piece.ra);
            dec.push(piece.dec);
        }
        candidates.known.push((self.places.ra, ra));
        if self.places.dec != self.places.ra {
            candidates.known.push((self.places.dec, dec));
        }
        for position in unknown {
            let (ra_deg, dec_deg) = (&candidates.ra_deg[position..=position], &candidates.dec_deg[position..=position]);
            candidates.index[position] = self.places.index_of(ra_deg, dec_deg)[0];
        }
        Ok(candidates)
    }
}
