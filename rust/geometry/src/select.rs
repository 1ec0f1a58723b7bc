//! The rows of one partition that belong to margins: candidates by index value, then the decision by coordinates.

use std::fmt;

use thiserror::Error;

use crate::angle::{Threshold, UnitVector};
use crate::cover::{Cover, Filtering};
use crate::extent::Extent;
use crate::healpix;
use crate::pixel::Pixel;
use crate::separation::PixelSeparation;

/// Why rows cannot be selected.
///
/// # Examples
/// ```
#[doc = include_str!("../doctest_setup/cover.txt")]
/// use skymargin_geometry::select::{CandidateColumns, SelectError};
///
/// let columns = CandidateColumns { rows: &[0], index: &[None], coordinates_deg: None };
/// assert_eq!(cover.select(columns), Err(SelectError::NoCoordinates));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum SelectError {
    /// Some rows have no position, or another than the catalog says: then no margin is certain to be complete.
    #[error("{count} of {checked} rows checked {fault}; the first is row {first}")]
    Rows {
        /// The number of such rows.
        count: usize,
        /// The number of rows checked.
        checked: usize,
        /// What is wrong with the first of them.
        fault: Fault,
        /// The first of them.
        first: Row,
    },
    /// The columns differ in length.
    #[error("rows, index, ra and dec must be equally long, not {rows}, {index}, {ra} and {dec}")]
    Lengths {
        /// Length of the row numbers.
        rows: usize,
        /// Length of the index values.
        index: usize,
        /// Length of the right ascensions.
        ra: usize,
        /// Length of the declinations.
        dec: usize,
    },
    /// The decision needs ra and dec, which are missing.
    #[error("ra and dec are needed to decide which rows belong to a margin")]
    NoCoordinates,
}

/// What is wrong with a row.
///
/// # Examples
/// ```
/// use skymargin_geometry::select::Fault;
///
/// let text = Fault::NoPosition.to_string();
/// assert_eq!(text, "have no valid position (ra -360 to 360, dec -90 to 90 degrees)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Its coordinates are not numbers, or out of range.
    NoPosition,
    /// Its coordinates contradict its index value.
    OffIndex {
        /// The largest separation allowed.
        slack: Threshold,
    },
    /// Its coordinates lie outside the partition it is stored in.
    OffPartition {
        /// The partition.
        pixel: Pixel,
        /// The largest separation allowed.
        slack: Threshold,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPosition => write!(f, "have no valid position (ra -360 to 360, dec -90 to 90 degrees)"),
            Self::OffIndex { slack } => {
                write!(f, "lie more than {} arcsec from the pixel of their index value", slack.arcsec())
            }
            Self::OffPartition { pixel, slack } => {
                write!(f, "lie more than {} arcsec outside their partition ({pixel})", slack.arcsec())
            }
        }
    }
}

/// A row, for messages.
///
/// # Examples
/// ```
/// use skymargin_geometry::select::Row;
///
/// let row = Row { number: 7, ra_deg: 10.5, dec_deg: -3.0, index: None };
/// assert_eq!(row.to_string(), "7: ra 10.5, dec -3, index null");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Its number.
    pub number: u64,
    /// Its right ascension in degrees.
    pub ra_deg: f64,
    /// Its declination in degrees.
    pub dec_deg: f64,
    /// Its index value; `None` is a null.
    pub index: Option<i64>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ra {}, dec {}, index ", self.number, self.ra_deg, self.dec_deg)?;
        match self.index {
            Some(index) => write!(f, "{index}"),
            None => write!(f, "null"),
        }
    }
}

/// A row and a margin that it belongs to.
///
/// # Examples
/// ```
/// use skymargin_geometry::select::SelectedRow;
///
/// let selected = SelectedRow { row: 17, destination: 0, separation_arcsec: 4.2 };
/// assert_eq!(selected.row, 17);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectedRow {
    /// The row's number, from the columns.
    pub row: u64,
    /// The margin: a position in [`Cover::destinations`].
    pub destination: u32,
    /// The separation from the margin's pixel in arcseconds; NaN where none was computed (ring mode).
    pub separation_arcsec: f64,
}

/// The rows to decide on: columns of equal length.
///
/// # Examples
/// ```
/// use skymargin_geometry::select::CandidateColumns;
///
/// let columns = CandidateColumns {
///     rows: &[17, 18],
///     index: &[Some(1_000), None],
///     coordinates_deg: Some((&[10.0, 10.1], &[-3.0, -3.1])),
/// };
/// assert_eq!(columns.rows.len(), columns.index.len());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CandidateColumns<'a> {
    /// Row numbers.
    pub rows: &'a [u64],
    /// Index values; `None` is a null.
    pub index: &'a [Option<i64>],
    /// Right ascensions and declinations in degrees; `None` when the cover does not need coordinates.
    pub coordinates_deg: Option<(&'a [f64], &'a [f64])>,
}

impl CandidateColumns<'_> {
    fn row(&self, place: usize) -> Row {
        let (ra_deg, dec_deg) = self.coordinates_deg.map_or((0.0, 0.0), |(ra, dec)| (ra[place], dec[place]));
        Row { number: self.rows[place], ra_deg, dec_deg, index: self.index[place] }
    }

    /// Calls a function with each row, counts the faults, and reports the first of them.
    fn each(&self, mut with: impl FnMut(Row) -> Result<(), Fault>) -> Result<(), SelectError> {
        let mut faults: Option<(usize, Fault, Row)> = None;
        for place in 0..self.rows.len() {
            let row = self.row(place);
            if let Err(fault) = with(row) {
                faults.get_or_insert((0, fault, row)).0 += 1;
            }
        }
        match faults {
            None => Ok(()),
            Some((count, fault, first)) => Err(SelectError::Rows { count, checked: self.rows.len(), fault, first }),
        }
    }

    fn check_lengths(&self) -> Result<(), SelectError> {
        let rows = self.rows.len();
        let (ra, dec) = self.coordinates_deg.map_or((rows, rows), |(ra, dec)| (ra.len(), dec.len()));
        if [self.index.len(), ra, dec].iter().any(|&len| len != rows) {
            return Err(SelectError::Lengths { rows, index: self.index.len(), ra, dec });
        }
        Ok(())
    }
}

/// Where a row lies, measured by its index value and its partition.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In the partition, hence outside of every other pixel of the tiling.
    Inside,
    /// Outside the partition by a rounding error: it may lie inside a destination.
    NearEdge,
}

impl Cover {
    /// Appends the positions in `index`, counted from `first`, of the rows to check: those in the cover, and those
    /// whose value lies outside the source partition, which may be anywhere near it. Pass -1 for a null.
    ///
    /// Sorted values take one pass; unsorted ones a binary search each time they step back.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// let own = pixel.range_at(MAX_ORDER);
    /// let centre = (own.start + 3 * (own.end - own.start) / 4) as i64;
    /// let mut candidates = Vec::new();
    /// cover.candidates(&[own.start as i64, centre, -1], 100, &mut candidates);
    /// assert_eq!(candidates, [100, 102]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn candidates(&self, index: &[i64], first: u64, found: &mut Vec<u64>) {
        // A negative value wraps to one beyond every pixel.
        self.each_candidate(index.iter().map(|&value| value as u64), |row| found.push(first + row as u64));
    }

    /// Calls `found` with the position of each row to check, as [`Cover::candidates`] lists them.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// let own = pixel.range_at(MAX_ORDER);
    /// let centre = own.start + 3 * (own.end - own.start) / 4;
    /// let mut positions = Vec::new();
    /// cover.each_candidate([own.start, centre].into_iter(), |position| positions.push(position));
    /// assert_eq!(positions, [0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn each_candidate(&self, index: impl Iterator<Item = u64>, mut found: impl FnMut(usize)) {
        let own = self.source.pixel.range_at(self.source.index_order);
        let ranges = self.ranges();
        let (mut place, mut last) = (0, 0);
        for (row, value) in index.enumerate() {
            if value < last {
                place = ranges.partition_point(|range| range.end <= value);
            }
            last = value;
            while place < ranges.len() && ranges[place].end <= value {
                place += 1;
            }
            let is_covered = place < ranges.len() && ranges[place].start <= value;
            if is_covered || !own.contains(&value) {
                found(row);
            }
        }
    }

    /// The rows that belong to margins, in the order given, with one entry for each margin that a row belongs to.
    ///
    /// # Accuracy
    /// That of [`PixelSeparation`].
    ///
    /// # Errors
    /// [`SelectError`] when a row has no position, or lies farther from the pixel of its index value or from the source
    /// partition than the slack: then the index cannot be trusted to find all rows of a margin.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// use skymargin_geometry::healpix;
    /// use skymargin_geometry::select::CandidateColumns;
    ///
    /// // A row of pixel 2 beside its edge with pixel 3.
    /// let (ra_deg, dec_deg) = (30.0, 54.340);
    /// let index = healpix::index_of_ra_dec_deg(MAX_ORDER, ra_deg, dec_deg);
    /// assert!(pixel.range_at(MAX_ORDER).contains(&index));
    /// let selected = cover.select(CandidateColumns {
    ///     rows: &[17],
    ///     index: &[Some(index as i64)],
    ///     coordinates_deg: Some((&[ra_deg], &[dec_deg])),
    /// })?;
    /// assert_eq!(selected.len(), 1);
    /// assert_eq!(cover.destinations().nth(selected[0].destination as usize), Some(Pixel::new(1, 3)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn select(&self, candidates: CandidateColumns<'_>) -> Result<Vec<SelectedRow>, SelectError> {
        candidates.check_lengths()?;
        if self.needs_coordinates() && candidates.coordinates_deg.is_none() {
            return Err(SelectError::NoCoordinates);
        }
        let mut selected = Vec::new();
        candidates.each(|row| match self.filtering {
            Filtering::Exact => self.select_exactly(row, &mut selected),
            Filtering::Ring { margin_order } => self.select_in_rings(row, margin_order, &mut selected),
        })?;
        Ok(selected)
    }

    /// Checks the position of each row against its index value and the partition, as [`Cover::select`] does when it
    /// selects exactly.
    ///
    /// # Errors
    /// [`SelectError`] when there are no coordinates, or a row has no position, or lies elsewhere.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// use skymargin_geometry::select::CandidateColumns;
    ///
    /// let coordinates_deg = Some((&[0.0][..], &[-80.0][..]));
    /// assert!(cover.check_positions(CandidateColumns { rows: &[0], index: &[Some(0)], coordinates_deg }).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_positions(&self, candidates: CandidateColumns<'_>) -> Result<(), SelectError> {
        candidates.check_lengths()?;
        if candidates.coordinates_deg.is_none() {
            return Err(SelectError::NoCoordinates);
        }
        candidates.each(|row| {
            UnitVector::from_ra_dec_deg(row.ra_deg, row.dec_deg).map_err(|_| Fault::NoPosition)?;
            self.place_of(row).map(|_| ())
        })
    }

    /// Whether some of the rows with index values `index`, both included, certainly lie elsewhere, when these are the
    /// smallest and the largest of their coordinates.
    ///
    /// `index` is `None` where some of the rows may have any index value; coordinates that are not known are NaN. In
    /// rings the index decides, and nothing contradicts it.
    ///
    /// # Accuracy
    /// It is false whenever every row passes [`Cover::check_positions`]: rows lie within the slack of the pixel of
    /// their index value, and of the partition.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// let own = pixel.range_at(MAX_ORDER);
    /// // Pixel 2 of order 1 reaches from ra 0 to 45 degrees, and from dec 20 to 67 degrees.
    /// assert!(!cover.contradicts(Some((own.start, own.end - 1)), [0.0, 45.0], [20.0, 66.0]));
    /// assert!(cover.contradicts(None, [0.0, 45.0], [f64::NAN, 80.0]));
    /// // Its first quarter does not reach as far north.
    /// let quarter = Some((own.start, own.start + (own.end - own.start) / 4 - 1));
    /// assert!(cover.contradicts(quarter, [f64::NAN; 2], [20.0, 66.0]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contradicts(&self, index: Option<(u64, u64)>, ra_deg: [f64; 2], dec_deg: [f64; 2]) -> bool {
        if self.filtering != Filtering::Exact {
            return false;
        }
        let slack = self.source.index_slack;
        let of_index = index.and_then(|(first, last)| Extent::of_range(self.source.index_order, first, last));
        [Some(Extent::of_pixel(self.source.pixel)), of_index].into_iter().flatten().any(|extent| {
            ra_deg.iter().any(|&ra_deg| !extent.allows_ra(ra_deg, slack))
                || dec_deg.iter().any(|&dec_deg| !extent.allows_dec(dec_deg, slack))
        })
    }

    /// Decides on one row by its separation from each destination.
    fn select_exactly(&self, row: Row, selected: &mut Vec<SelectedRow>) -> Result<(), Fault> {
        let Row { number, ra_deg, dec_deg, index } = row;
        let point = UnitVector::from_ra_dec_deg(ra_deg, dec_deg).map_err(|_| Fault::NoPosition)?;
        let place = self.place_of(row)?;
        for destination in self.destinations_of(index).iter() {
            let separation = &self.destinations[destination as usize].separation;
            if place == Place::NearEdge && separation.holds(ra_deg, dec_deg) {
                selected.push(SelectedRow { row: number, destination, separation_arcsec: 0.0 });
            } else if separation.is_within_of_edges(point) {
                let separation_arcsec = separation.separation_from_edges_arcsec(point);
                selected.push(SelectedRow { row: number, destination, separation_arcsec });
            }
        }
        Ok(())
    }

    /// Decides on one row by its pixel at the order of the rings.
    fn select_in_rings(&self, row: Row, margin_order: u8, selected: &mut Vec<SelectedRow>) -> Result<(), Fault> {
        let Row { number, ra_deg, dec_deg, index } = row;
        let pixel = if self.needs_coordinates() {
            UnitVector::from_ra_dec_deg(ra_deg, dec_deg).map_err(|_| Fault::NoPosition)?;
            Some(healpix::index_of_ra_dec_deg(margin_order, ra_deg, dec_deg))
        } else {
            let index = index.and_then(|index| u64::try_from(index).ok());
            index.map(|index| index >> (2 * (self.source.index_order - margin_order)))
        };
        // An index value need not name a pixel.
        let Some(pixel) = pixel.and_then(|index| Pixel::new(margin_order, index).ok()) else { return Ok(()) };
        // Only the part of a ring inside the source counts: a row that lies elsewhere is in no ring.
        if !self.source.pixel.contains(pixel) {
            return Ok(());
        }
        let around = healpix::touching(pixel);
        for destination in self.destinations_of(index).iter() {
            let margin = self.destinations[destination as usize].pixel();
            if around.clone().any(|near| margin.contains(near)) {
                selected.push(SelectedRow { row: number, destination, separation_arcsec: f64::NAN });
            }
        }
        Ok(())
    }

    /// Where a row with a valid position lies.
    fn place_of(&self, row: Row) -> Result<Place, Fault> {
        let Row { ra_deg, dec_deg, index, .. } = row;
        let (order, slack) = (self.source.index_order, self.source.index_slack);
        let named = index.and_then(|index| u64::try_from(index).ok()).and_then(|index| Pixel::new(order, index).ok());
        if let Some(named) = named {
            if named.index() == healpix::index_of_ra_dec_deg(order, ra_deg, dec_deg) {
                if self.source.pixel.contains(named) {
                    return Ok(Place::Inside);
                }
            } else if !PixelSeparation::new(named, slack).is_within(ra_deg, dec_deg).unwrap_or(false) {
                return Err(Fault::OffIndex { slack });
            }
        }
        if self.own.is_within(ra_deg, dec_deg).unwrap_or(false) {
            Ok(Place::NearEdge)
        } else {
            Err(Fault::OffPartition { pixel: self.source.pixel, slack })
        }
    }
}
