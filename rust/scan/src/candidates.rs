//! Steps 2 and 3 of a scan: the candidate rows by index, and their coordinates.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::ArrayRef;

use crate::budget::Budget;
use crate::coordinates::{CoordinateColumns, CoordinateReader};
use crate::error::ScanError;
use crate::fetched::Fetched;
use crate::file::ParquetFile;
use crate::filter::{Candidates, FilterError, RowFilter, SelectedCandidate};
use crate::first_read::{ColumnPositions, FirstRead};
use crate::history::History;
use crate::index_ahead::{INDEX_GROUPS, IndexParts};
use crate::index_column::{self, GroupIndex, IndexCandidates, IndexReader, RowNumbers};
use crate::row_ranges::RowRanges;
use crate::schema::Projection;
use crate::suspects::add_suspects;

/// Candidate rows with the values that are already read.
#[derive(Default)]
pub(super) struct CandidateRows {
    /// Row numbers in the file, ascending.
    pub(super) rows: Vec<u64>,
    pub(super) index: Vec<u64>,
    pub(super) ra_deg: Vec<f64>,
    pub(super) dec_deg: Vec<f64>,
    /// The columns that are already read, by position in the schema. Their pieces are together as long as `rows`.
    pub(super) known: Vec<(usize, Vec<ArrayRef>)>,
}

/// Finds candidates in portions.
pub(super) struct CandidateReader {
    file: Arc<ParquetFile>,
    projection: Arc<Projection>,
    column_positions: ColumnPositions,
    budget: Budget,
    look: Look,
    first_read: FirstRead,
    /// The number of row groups with a page that may hold a candidate.
    pub(super) row_groups: u64,
    /// The rows whose coordinates contradict their index by statistics.
    suspects: RowRanges,
}

enum Look {
    AtIndex(Box<IndexReader>),
    /// The coordinates of every row, where there is no index column.
    AtCoordinates(Box<CoordinateReader>, RowNumbers),
    Nowhere,
}

impl CandidateReader {
    pub(super) fn new(
        file: &Arc<ParquetFile>,
        projection: &Arc<Projection>,
        column_positions: ColumnPositions,
        budget: Budget,
        history: &Arc<History>,
        filter: &impl RowFilter,
        chosen: Range<usize>,
    ) -> Result<Self, ScanError> {
        let (mut rows, mut suspects) = (RowRanges::default(), RowRanges::default());
        let mut row_groups = 0;
        let index = column_positions.index.map(|place| &projection.columns()[place]);
        let CoordinateColumns { ra, dec } = column_positions.coordinates(projection);
        let end = chosen.end;
        for (at, row_group) in chosen.enumerate() {
            if let Some(index) = index.filter(|_| at.is_multiple_of(INDEX_GROUPS)) {
                let leaves = [index, ra, dec].map(|column| column.leaves().start);
                let next = row_group..end.min(row_group + INDEX_GROUPS);
                file.read_indexes_ahead(next, &leaves, IndexParts::PlacesAndBounds)?;
            }
            let before = rows.len();
            let bounds = &file.first_rows()[row_group..row_group + 2];
            match index {
                Some(column) => {
                    let index = GroupIndex::new(file, column, row_group, filter)?;
                    index.add_rows_that_may_hold(file, filter, &mut rows);
                    add_suspects(file, projection, column_positions, &index, filter, &mut suspects)?;
                }
                None => rows.push(bounds[0]..bounds[1]),
            }
            row_groups += u64::from(rows.len() > before);
        }
        // The statistics of the index may be those that are wrong, so that candidates are looked for there, too.
        let rows = if suspects.is_empty() { rows } else { rows.union(&suspects) };
        let needs_coordinates = filter.needs_coordinates();
        file.keep_index_ahead(Fetched::default());
        let in_hand = file.in_hand();
        let reader =
            Self::of_rows(file, projection, column_positions, budget, history, needs_coordinates, rows, in_hand)?;
        Ok(Self { row_groups, suspects, ..reader })
    }

    /// A reader of the candidates among some rows. `in_hand` is held meanwhile.
    #[allow(clippy::too_many_arguments, reason = "what a scan consists of")]
    fn of_rows(
        file: &Arc<ParquetFile>,
        projection: &Arc<Projection>,
        column_positions: ColumnPositions,
        budget: Budget,
        history: &Arc<History>,
        needs_coordinates: bool,
        rows: RowRanges,
        in_hand: &Arc<Fetched>,
    ) -> Result<Self, ScanError> {
        let positions = column_positions;
        let first_read =
            FirstRead::new(file, projection, positions, needs_coordinates, &rows, budget, history, in_hand)?;
        let in_hand = first_read.fetched();
        let look = match column_positions.index {
            _ if rows.is_empty() => Look::Nowhere,
            Some(place) => {
                let column = &projection.columns()[place];
                Look::AtIndex(Box::new(IndexReader::new(file, column, rows, budget, in_hand)?))
            }
            None => {
                let (columns, row_numbers) = (column_positions.coordinates(projection), RowNumbers::new(rows.clone()));
                let reader = CoordinateReader::new(file, columns, rows, budget, in_hand)?;
                Look::AtCoordinates(Box::new(reader), row_numbers)
            }
        };
        Ok(Self {
            file: Arc::clone(file),
            projection: Arc::clone(projection),
            column_positions,
            budget,
            look,
            first_read,
            row_groups: 0,
            suspects: RowRanges::default(),
        })
    }

    /// Reads the rows that contradict their index by statistics, and lets the filter check them. `first_row` is the row
    /// of the partition that the file starts with.
    pub(super) fn check_suspects(&mut self, filter: &impl RowFilter, first_row: u64) -> Result<(), ScanError> {
        let suspects = std::mem::take(&mut self.suspects);
        if suspects.is_empty() {
            return Ok(());
        }
        // What they need says nothing of other files. What is in hand stays there, and is not read again.
        let (file, history, in_hand) = (&self.file, Arc::default(), self.fetched());
        let (projection, positions) = (&self.projection, self.column_positions);
        let mut reader = Self::of_rows(file, projection, positions, self.budget, &history, true, suspects, in_hand)?;
        while let Some(found) = reader.next(&EveryRow)? {
            let rows: Vec<u64> = found.rows.iter().map(|row| first_row + row).collect();
            let (index, ra_deg, dec_deg) = (&found.index[..], &found.ra_deg[..], &found.dec_deg[..]);
            let rows = Candidates { rows: &rows, index, ra_deg, dec_deg };
            filter.check(rows).map_err(|source| file.filter_error(source))?;
        }
        // The rows are where they should be: the statistics are wrong.
        file.hints().ignore();
        Ok(())
    }

    /// What is in hand since candidates are looked for.
    pub(super) fn fetched(&self) -> &Arc<Fetched> {
        self.first_read.fetched()
    }

    /// Notes that all columns of some rows are needed; before they are read.
    pub(super) fn add_selected(&mut self, rows: &RowRanges) -> Result<(), ScanError> {
        self.first_read.add_selected(&self.file, &self.projection, rows)
    }

    /// Notes that the scan has ended, so that later ones know what to expect.
    pub(super) fn end(&self) {
        self.first_read.end();
    }

    /// The next candidates, about as many as the budget allows; `None` at the end.
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
                    let index = self.column_positions.index_of(&piece.ra_deg, &piece.dec_deg);
                    let mut positions = Vec::new();
                    filter.candidates(&index, &mut positions);
                    index_column::check_positions(&self.file, &positions, index.len())?;
                    // The filter reports invalid positions, so they are candidates.
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

    fn with_coordinates(
        &mut self,
        found: IndexCandidates,
        filter: &impl RowFilter,
    ) -> Result<CandidateRows, ScanError> {
        let IndexCandidates { rows, index, unknown, arrays } = found;
        let place = self.column_positions.index.into_iter();
        let known = place.zip([arrays]).collect();
        let mut candidates = CandidateRows { rows, index, known, ..CandidateRows::default() };
        if !filter.needs_coordinates() && unknown.is_empty() {
            return Ok(candidates);
        }
        let (mut ra, mut dec) = (Vec::new(), Vec::new());
        let columns = self.column_positions.coordinates(&self.projection);
        let rows = RowRanges::from_rows(&candidates.rows);
        self.first_read.add_candidates(&self.file, &self.projection, &rows)?;
        let mut reader = CoordinateReader::new(&self.file, columns, rows, self.budget, self.first_read.fetched())?;
        while let Some(piece) = reader.next()? {
            candidates.ra_deg.extend(piece.ra_deg);
            candidates.dec_deg.extend(piece.dec_deg);
            ra.push(piece.ra);
            dec.push(piece.dec);
        }
        candidates.known.push((self.column_positions.ra, ra));
        if self.column_positions.dec != self.column_positions.ra {
            candidates.known.push((self.column_positions.dec, dec));
        }
        for position in unknown {
            let (ra_deg, dec_deg) = (&candidates.ra_deg[position..=position], &candidates.dec_deg[position..=position]);
            candidates.index[position] = self.column_positions.index_of(ra_deg, dec_deg)[0];
        }
        Ok(candidates)
    }
}

/// Makes every row a candidate.
struct EveryRow;

impl RowFilter for EveryRow {
    fn may_hold(&self, _min: u64, _max: u64) -> bool {
        true
    }

    fn candidates(&self, index: &[u64], positions: &mut Vec<usize>) {
        positions.extend(0..index.len());
    }

    fn select(&mut self, _: Candidates<'_>, _: &mut Vec<SelectedCandidate>) -> Result<(), FilterError> {
        Ok(())
    }
}
