//! The margin rows of a table in memory: all its partitions at once, on several threads.
//!
//! No other module of the crate starts threads. The result and its order are the same for any number of them: each row
//! is decided on its own, and the results are joined in the order of the partitions and then sorted.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use thiserror::Error;

use crate::angle::{self, Threshold};
use crate::cover::{Cover, Filtering, Margins, Source};
use crate::healpix;
use crate::pixel::{MAX_ORDER, Pixel};
use crate::select::{CandidateColumns, SelectError};
use crate::tiling::{Tiling, TilingError};

/// The partition number of a row outside of all partitions.
const NOWHERE: u32 = u32::MAX;

/// The number of covers kept between the batches of a table; that of a partition of 100,000 rows takes about 30 kB.
const KEPT_COVERS: usize = 4096;

/// The least number of rows for which a cover is built that serves many batches: the first batch may have few.
const ROWS_OF_KEPT_COVER: u64 = 10_000;

/// A thread takes this many rows of a partition at a time, so that one large partition keeps all threads busy.
const ROWS_AT_A_TIME: usize = 1 << 16;

/// The largest number of threads: no machine has more cores, and each thread takes memory.
///
/// # Examples
/// ```
/// assert_eq!(skymargin_geometry::in_memory::MOST_THREADS, 1024);
/// ```
pub const MOST_THREADS: usize = 1024;

/// Why the margins of a table cannot be computed.
///
/// # Examples
/// ```
/// use skymargin_geometry::in_memory::InMemoryError;
///
/// let text = InMemoryError::Lengths { ra: 3, dec: 2 }.to_string();
/// assert_eq!(text, "ra_deg has 3 rows and dec_deg 2: they must agree");
/// ```
#[derive(Clone, Debug, Error, PartialEq)]
pub enum InMemoryError {
    /// Some rows have no valid position.
    #[error(
        "{count} of {rows} rows have no valid position (ra -360 to 360, dec -90 to 90 degrees); the first is {first}"
    )]
    NoPosition {
        /// How many.
        count: usize,
        /// Of how many rows.
        rows: usize,
        /// The first of them.
        first: TableRow,
    },
    /// Some rows lie in an empty pixel.
    #[error("{count} of {rows} rows lie in none of the partitions; the first is {first}")]
    NoPartition {
        /// How many.
        count: usize,
        /// Of how many rows.
        rows: usize,
        /// The first of them.
        first: TableRow,
    },
    /// The coordinates differ in length.
    #[error("ra_deg has {ra} rows and dec_deg {dec}: they must agree")]
    Lengths {
        /// Length of the right ascensions.
        ra: usize,
        /// Length of the declinations.
        dec: usize,
    },
    /// Row numbers are kept in 32 bits.
    #[error("{rows} rows are too many for one table in memory: at most {}", u32::MAX)]
    TooManyRows {
        /// How many.
        rows: usize,
    },
    /// More threads than [`MOST_THREADS`].
    #[error("threads {threads} is not allowed: it must be 0 (one for each core) to {MOST_THREADS}")]
    TooManyThreads {
        /// The number requested.
        threads: usize,
    },
    /// The threads cannot be started.
    #[error("{threads} threads cannot be started: {why}")]
    Threads {
        /// The number requested; 0 is one for each core.
        threads: usize,
        /// The message of the system.
        why: String,
    },
    /// The cover cannot be built.
    #[error(transparent)]
    Tiling(#[from] TilingError),
    /// Rows cannot be decided on.
    #[error(transparent)]
    Select(#[from] SelectError),
}

/// A row of the table, for messages.
///
/// # Examples
/// ```
/// use skymargin_geometry::in_memory::TableRow;
///
/// let row = TableRow { row: 4, ra_deg: 10.5, dec_deg: -3.0 };
/// assert_eq!(row.to_string(), "row 4: ra 10.5, dec -3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableRow {
    /// Its number, counted from 0.
    pub row: usize,
    /// Its right ascension in degrees.
    pub ra_deg: f64,
    /// Its declination in degrees.
    pub dec_deg: f64,
}

impl std::fmt::Display for TableRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {}: ra {}, dec {}", self.row, self.ra_deg, self.dec_deg)
    }
}

/// The coordinates of all rows, in degrees.
///
/// # Examples
/// ```
/// use skymargin_geometry::in_memory::Positions;
///
/// let positions = Positions { ra_deg: &[10.0, 20.0], dec_deg: &[-3.0, 4.0] };
/// assert_eq!(positions.ra_deg.len(), positions.dec_deg.len());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Positions<'a> {
    /// Right ascensions.
    pub ra_deg: &'a [f64],
    /// Declinations.
    pub dec_deg: &'a [f64],
}

/// The rows of a table, grouped by partition.
///
/// # Examples
/// ```
/// use skymargin_geometry::in_memory::{Positions, group_rows};
/// use skymargin_geometry::pixel::Pixel;
/// use skymargin_geometry::tiling::Tiling;
///
/// let tiling = Tiling::new(Pixel::base_cells())?;
/// let grouped = group_rows(&tiling, Positions { ra_deg: &[45.0, 0.0, 46.0], dec_deg: &[60.0, 0.0, 60.0] }, 1)?;
/// assert_eq!(grouped.rows, [0, 2, 1]);
/// assert_eq!(grouped.ends, [2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouped {
    /// Row numbers: by partition in nested order, within one as in the table.
    pub rows: Vec<u32>,
    /// Where in `rows` each partition ends.
    pub ends: Vec<usize>,
    /// The index value of each row at order 29, in the order of the table.
    index: Vec<i64>,
}

/// A row and a margin that it belongs to.
///
/// # Examples
/// ```
/// use skymargin_geometry::in_memory::MarginRow;
/// use skymargin_geometry::pixel::Pixel;
///
/// let margin_row = MarginRow { row: 4, pixel: Pixel::new(1, 3)?, separation_arcsec: 2.5 };
/// assert_eq!(margin_row.pixel.index(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarginRow {
    /// The row's number.
    pub row: u32,
    /// The pixel of the margin.
    pub pixel: Pixel,
    /// The separation from it in arcseconds.
    pub separation_arcsec: f64,
}

/// Whether a call passes the whole table, or a part of it.
///
/// # Examples
/// ```
/// use skymargin_geometry::in_memory::Batch;
///
/// assert_ne!(Batch::Whole, Batch::OneOfMany);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// The whole table: each partition occurs once.
    Whole,
    /// One of many parts: covers are kept for the next ones.
    OneOfMany,
}

/// The margins of a tiling, for tables in memory.
///
/// # Examples
/// ```
#[doc = include_str!("../doctest_setup/table_margins.txt")]
/// let rows = margins.rows(positions, 1, Batch::Whole)?;
/// assert_eq!(rows.iter().map(|row| (row.row, row.pixel.index())).collect::<Vec<_>>(), [(0, 1), (1, 0)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TableMargins {
    margins: Margins,
    tiling: Arc<Tiling>,
    index_slack: Threshold,
    covers: Mutex<HashMap<Pixel, Arc<Cover>>>,
}

/// Groups the rows of a table by the partition that they lie in.
///
/// `threads` 0 is one for each core.
///
/// # Errors
/// [`InMemoryError`] when a row has no position, or lies in no partition.
///
/// # Examples
/// ```
/// use skymargin_geometry::in_memory::{Positions, group_rows};
/// use skymargin_geometry::{pixel::Pixel, tiling::Tiling};
///
/// let tiling = Tiling::new([Pixel::new(0, 4)?])?;
/// assert!(group_rows(&tiling, Positions { ra_deg: &[0.0], dec_deg: &[0.0] }, 1).is_ok());
/// assert!(group_rows(&tiling, Positions { ra_deg: &[0.0], dec_deg: &[90.0] }, 1).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn group_rows(tiling: &Tiling, positions: Positions<'_>, threads: usize) -> Result<Grouped, InMemoryError> {
    on_threads(threads, || group(tiling, positions))?
}

impl TableMargins {
    /// The exact margins of a tiling at a threshold; `index_slack` is that of a [`Source`].
    ///
    /// # Errors
    /// [`TilingError`], which exact margins never cause.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/table_margins.txt")]
    /// assert!(margins.rows(positions, 1, Batch::Whole).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(tiling: Arc<Tiling>, threshold: Threshold, index_slack: Threshold) -> Result<Self, TilingError> {
        let margins = Margins::new(Arc::clone(&tiling), threshold, Filtering::Exact, None)?;
        Ok(Self { margins, tiling, index_slack, covers: Mutex::default() })
    }

    /// The rows of all margins, by row, then by the order and the index of the margin's pixel.
    ///
    /// `threads` 0 is one for each core. The result is the same for any number of threads.
    ///
    /// # Accuracy
    /// That of [`PixelSeparation`](crate::separation::PixelSeparation).
    ///
    /// # Errors
    /// [`InMemoryError`] when a row has no position, or lies in no partition.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/table_margins.txt")]
    /// let rows = margins.rows(positions, 2, Batch::OneOfMany)?;
    /// assert!(rows.iter().all(|row| row.separation_arcsec <= 3600.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rows(
        &self,
        positions: Positions<'_>,
        threads: usize,
        batch: Batch,
    ) -> Result<Vec<MarginRow>, InMemoryError> {
        on_threads(threads, || {
            let grouped = group(&self.tiling, positions)?;
            let starts = std::iter::once(0).chain(grouped.ends.iter().copied());
            let tasks: Vec<(Pixel, Range<usize>)> = self
                .tiling
                .partitions()
                .zip(starts.zip(&grouped.ends).map(|(start, &end)| start..end))
                .filter(|(_, range)| !range.is_empty())
                .collect();
            let of_each: Vec<_> = tasks
                .into_par_iter()
                .map(|(pixel, range)| self.rows_of(pixel, &grouped.rows[range], &grouped.index, positions, batch))
                .collect();
            let mut found = Vec::new();
            for rows in of_each {
                found.append(&mut rows?);
            }
            found.par_sort_unstable_by_key(|margin_row| (margin_row.row, margin_row.pixel));
            Ok(found)
        })?
    }

    /// The rows of one partition that belong to margins.
    fn rows_of(
        &self,
        pixel: Pixel,
        rows: &[u32],
        index: &[i64],
        positions: Positions<'_>,
        batch: Batch,
    ) -> Result<Vec<MarginRow>, InMemoryError> {
        let cover = self.cover(pixel, rows.len() as u64, batch)?;
        let destinations: Vec<Pixel> = cover.destinations().collect();
        let of_each: Vec<_> = rows
            .par_chunks(ROWS_AT_A_TIME)
            .map(|rows| {
                let values: Vec<i64> = rows.iter().map(|&row| index[row as usize]).collect();
                let mut candidates = Vec::new();
                cover.candidates(&values, 0, &mut candidates);
                let candidates: Vec<u64> = candidates.iter().map(|&place| u64::from(rows[place as usize])).collect();
                let of = |column: &[f64]| candidates.iter().map(|&row| column[row as usize]).collect::<Vec<f64>>();
                let (ra_deg, dec_deg) = (of(positions.ra_deg), of(positions.dec_deg));
                let values: Vec<Option<i64>> = candidates.iter().map(|&row| Some(index[row as usize])).collect();
                cover.select(CandidateColumns {
                    rows: &candidates,
                    index: &values,
                    coordinates_deg: Some((&ra_deg, &dec_deg)),
                })
            })
            .collect();
        let mut found = Vec::new();
        for selected in of_each {
            found.extend(selected?.into_iter().map(|one| MarginRow {
                row: one.row as u32,
                pixel: destinations[one.destination as usize],
                separation_arcsec: one.separation_arcsec,
            }));
        }
        Ok(found)
    }

    fn cover(&self, pixel: Pixel, rows: u64, batch: Batch) -> Result<Arc<Cover>, InMemoryError> {
        let source = |rows| Source { pixel, rows, index_order: MAX_ORDER, index_slack: self.index_slack };
        if batch == Batch::Whole {
            return Ok(Arc::new(self.margins.cover(source(rows))?));
        }
        // A poisoned lock only means that another thread panicked: the map is complete after every call.
        let kept = self.covers.lock().unwrap_or_else(PoisonError::into_inner).get(&pixel).cloned();
        if let Some(cover) = kept {
            return Ok(cover);
        }
        let cover = Arc::new(self.margins.cover(source(rows.max(ROWS_OF_KEPT_COVER)))?);
        let mut covers = self.covers.lock().unwrap_or_else(PoisonError::into_inner);
        if covers.len() < KEPT_COVERS {
            covers.insert(pixel, Arc::clone(&cover));
        }
        Ok(cover)
    }
}

/// Runs `work` on its own pool of threads: a pool shared by the whole process does not survive a fork.
fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, InMemoryError> {
    if threads > MOST_THREADS {
        return Err(InMemoryError::TooManyThreads { threads });
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| InMemoryError::Threads { threads, why: error.to_string() })?;
    Ok(pool.install(work))
}

fn group(tiling: &Tiling, positions: Positions<'_>) -> Result<Grouped, InMemoryError> {
    let Positions { ra_deg, dec_deg } = positions;
    let count = ra_deg.len();
    if count != dec_deg.len() {
        return Err(InMemoryError::Lengths { ra: count, dec: dec_deg.len() });
    }
    if count > u32::MAX as usize {
        return Err(InMemoryError::TooManyRows { rows: count });
    }
    let ranges: Vec<Range<u64>> = tiling.partitions().map(|pixel| pixel.range_at(MAX_ORDER)).collect();
    let (mut index, mut partitions) = (Vec::new(), Vec::new());
    ra_deg
        .par_iter()
        .zip(dec_deg)
        .with_min_len(1024)
        .map_init(
            || 0_usize,
            |last, (&ra_deg, &dec_deg)| {
                if angle::check_position(ra_deg, dec_deg).is_err() {
                    return (-1, NOWHERE);
                }
                let value = healpix::index_of_ra_dec_deg(MAX_ORDER, ra_deg, dec_deg);
                // Rows that are close on the sky are often stored together.
                if !ranges.get(*last).is_some_and(|range| range.contains(&value)) {
                    *last = ranges.partition_point(|range| range.end <= value);
                }
                let is_inside = ranges.get(*last).is_some_and(|range| range.contains(&value));
                (value as i64, if is_inside { *last as u32 } else { NOWHERE })
            },
        )
        .unzip_into_vecs(&mut index, &mut partitions);
    let mut next = vec![0_usize; ranges.len() + 1];
    let mut outside = 0;
    for &partition in &partitions {
        match next.get_mut(partition as usize + 1) {
            Some(rows) if partition != NOWHERE => *rows += 1,
            _ => outside += 1,
        }
    }
    if outside > 0 {
        return Err(outsiders(positions, &index, &partitions));
    }
    for partition in 0..ranges.len() {
        next[partition + 1] += next[partition];
    }
    let ends = next[1..].to_vec();
    let mut rows = vec![0_u32; count];
    for (row, &partition) in partitions.iter().enumerate() {
        let place = &mut next[partition as usize];
        rows[*place] = row as u32;
        *place += 1;
    }
    Ok(Grouped { rows, ends, index })
}

/// The error for rows without a position, or else for rows in no partition.
fn outsiders(positions: Positions<'_>, index: &[i64], partitions: &[u32]) -> InMemoryError {
    let rows = index.len();
    let table_row = |row: usize| TableRow { row, ra_deg: positions.ra_deg[row], dec_deg: positions.dec_deg[row] };
    let nowhere = |is_wrong: &dyn Fn(usize) -> bool| {
        let mut wrong = (0..rows).filter(|&row| is_wrong(row));
        wrong.next().map(|first| (table_row(first), 1 + wrong.count()))
    };
    if let Some((first, count)) = nowhere(&|row| index[row] < 0) {
        return InMemoryError::NoPosition { count, rows, first };
    }
    let (first, count) = nowhere(&|row| partitions[row] == NOWHERE).unwrap_or((table_row(0), 0));
    InMemoryError::NoPartition { count, rows, first }
}
