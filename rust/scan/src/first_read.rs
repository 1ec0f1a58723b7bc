//! What is read before any candidate is known: the index, and with it what is probably needed later.
//!
//! Over a high-latency source, a scan waits for each read. So the coordinates come with the index where few of their
//! bytes would be read in vain, and all other columns likewise. Earlier files of the catalog tell how many that are.

use std::sync::Arc;

use crate::budget::Budget;
use crate::coordinates::{CoordinateColumns, spatial_index};
use crate::error::ScanError;
use crate::fetch_ahead::Room;
use crate::fetched::Fetched;
use crate::file::ParquetFile;
use crate::history::History;
use crate::row_ranges::RowRanges;
use crate::schema::{FileColumn, Projection};
use crate::source::ROUND_TRIP_BYTES;

/// Positions in the schema of the columns that the scan itself uses, and the order of a computed index.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnPositions {
    pub(super) index: Option<usize>,
    pub(super) ra: usize,
    pub(super) dec: usize,
    pub(super) index_order: u8,
    pub(super) index_shift: u8,
}

impl ColumnPositions {
    pub(super) fn coordinates(self, projection: &Projection) -> CoordinateColumns<'_> {
        let columns = projection.columns();
        CoordinateColumns { ra: &columns[self.ra], dec: &columns[self.dec] }
    }

    /// Index values of positions, as the index column would have them; `u64::MAX` for an invalid position.
    pub(super) fn index_of(self, ra_deg: &[f64], dec_deg: &[f64]) -> Vec<u64> {
        let mut index = spatial_index(self.index_order, ra_deg, dec_deg);
        if self.index_shift > 0 {
            index.iter_mut().filter(|index| **index != u64::MAX).for_each(|index| *index <<= self.index_shift);
        }
        index
    }
}

/// What is in hand when candidates are looked for, and how much of what could be read with it was needed.
pub(super) struct FirstRead {
    fetched: Arc<Fetched>,
    coordinates: Group,
    rest: Group,
    history: Arc<History>,
}

/// Columns that may be read before their rows are known, by position in the schema.
#[derive(Default)]
struct Group {
    places: Vec<usize>,
    asked_bytes: u64,
    needed_bytes: u64,
}

impl Group {
    fn new(
        file: &ParquetFile,
        projection: &Projection,
        rows: &RowRanges,
        places: Vec<usize>,
        in_hand: &Fetched,
    ) -> Result<Self, ScanError> {
        let asked_bytes = file.missing_bytes(columns(projection, &places), rows, in_hand)?;
        Ok(Self { places, asked_bytes, needed_bytes: 0 })
    }

    fn add(&mut self, file: &ParquetFile, projection: &Projection, rows: &RowRanges) -> Result<(), ScanError> {
        if self.asked_bytes > 0 {
            let needed = file.missing_bytes(columns(projection, &self.places), rows, file.in_hand())?;
            self.needed_bytes = self.needed_bytes.saturating_add(needed);
        }
        Ok(())
    }
}

fn columns<'a>(projection: &'a Projection, places: &'a [usize]) -> impl Iterator<Item = &'a FileColumn> {
    places.iter().map(|place| &projection.columns()[*place])
}

impl FirstRead {
    /// Reads the index column of `rows`, which may hold candidates, or the coordinates where there is no index; and
    /// what is worth reading with it. `in_hand` is held meanwhile.
    #[allow(clippy::too_many_arguments, reason = "what a scan consists of")]
    pub(super) fn new(
        file: &ParquetFile,
        projection: &Projection,
        positions: ColumnPositions,
        needs_coordinates: bool,
        rows: &RowRanges,
        budget: Budget,
        history: &Arc<History>,
        in_hand: &Arc<Fetched>,
    ) -> Result<Self, ScanError> {
        let mut first = Self {
            fetched: Arc::clone(in_hand),
            coordinates: Group::default(),
            rest: Group::default(),
            history: Arc::clone(history),
        };
        if file.source().is_low_latency() || rows.is_empty() {
            return Ok(first);
        }
        let coordinates = vec![positions.ra, positions.dec];
        let (certain, probable) = match positions.index {
            Some(index) if needs_coordinates => (vec![index], coordinates),
            Some(index) => (vec![index], Vec::new()),
            None => (coordinates, Vec::new()),
        };
        let others =
            (0..projection.columns().len()).filter(|place| !certain.contains(place) && !probable.contains(place));
        first.rest = Group::new(file, projection, rows, others.collect(), in_hand)?;
        first.coordinates = Group::new(file, projection, rows, probable, in_hand)?;
        let certain_bytes = file.missing_bytes(columns(projection, &certain), rows, in_hand)?;

        let with_coordinates = certain_bytes.saturating_add(first.coordinates.asked_bytes);
        let with_all = with_coordinates.saturating_add(first.rest.asked_bytes);
        let coordinates_in_vain = history.coordinates.waste(first.coordinates.asked_bytes);
        let all_in_vain = coordinates_in_vain.saturating_add(history.rest.waste(first.rest.asked_bytes));
        let room = |share_bytes: u64| share_bytes.saturating_sub(in_hand.held_bytes());
        let (mut places, mut room_bytes) = (certain, room(budget.fetch_bytes()));
        if with_coordinates <= room(budget.candidates_fetch_bytes()) && coordinates_in_vain <= ROUND_TRIP_BYTES {
            places.extend(&first.coordinates.places);
            room_bytes = room(budget.candidates_fetch_bytes());
        }
        if with_all <= room(budget.whole_fetch_bytes()) && all_in_vain <= ROUND_TRIP_BYTES {
            places = (0..projection.columns().len()).collect();
            room_bytes = room(budget.whole_fetch_bytes());
        }
        let columns: Vec<&FileColumn> = columns(projection, &places).collect();
        // Columns in a gap may be needed later, and are in hand then.
        let room = Room { bytes: room_bytes, longest_gap_bytes: history.rest.worthwhile_bytes() };
        first.fetched = file.fetch(&columns, rows, room, in_hand)?.1;
        Ok(first)
    }

    /// What is in hand.
    pub(super) fn fetched(&self) -> &Arc<Fetched> {
        &self.fetched
    }

    /// Notes that the coordinates of some rows are needed; before they are read, because then more is known of pages.
    pub(super) fn add_candidates(
        &mut self,
        file: &ParquetFile,
        projection: &Projection,
        rows: &RowRanges,
    ) -> Result<(), ScanError> {
        self.coordinates.add(file, projection, rows)
    }

    /// Notes that all columns of some rows are needed, likewise.
    pub(super) fn add_selected(
        &mut self,
        file: &ParquetFile,
        projection: &Projection,
        rows: &RowRanges,
    ) -> Result<(), ScanError> {
        self.rest.add(file, projection, rows)
    }

    /// Notes that the scan has ended.
    pub(super) fn end(&self) {
        self.history.coordinates.add(self.coordinates.needed_bytes, self.coordinates.asked_bytes);
        self.history.rest.add(self.rest.needed_bytes, self.rest.asked_bytes);
    }
}
