//! The margin rows of a table in memory: all its partitions at once, on several threads.
//!
//! The one place that uses threads of its own. What is found, and its order, are the same for any number of them: rows
//! are decided on one by one, and what the threads find is put together in the order of the partitions, then sorted.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use thiserror::Error;

use crate::angle::{self, Threshold};
use crate::cover::{Cover, Filtering, Margins, Source};
use crate::healpix;
use crate::pixel::{MAX_ORDER, Pixel};
use crate::select::{Candidates, SelectError};
use crate::tiling::{Tiling, TilingError};

/// The partition of a row that lies in none.
const NOWHERE: u32 = u32::MAX;

/// So many covers are kept between the batches of a table; one of a partition of 100,000 rows takes about 30 kB.
const KEPT_COVERS: usize = 4096;

/// For how many rows a cover is made that is to serve many batches, when the first brings fewer.
const ROWS_OF_KEPT_COVER: u64 = 10_000;

/// A thread takes on this many rows of a partition at a time, so that one large partition keeps all of them busy.
const ROWS_AT_A_TIME: usize = 1 << 16;

/// The most threads: a machine has fewer cores, and each thread takes memory of its own.
pub const MOST_THREADS: usize = 1024;

/// Why a table has no margins.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum InMemoryError {
    /// Some rows lie nowhere.
    #[error(
        "{count} of {rows} rows have no valid position (ra -360 to 360, dec -90 to 90 degrees); the first is {first}"
    )]
    NoPosition {
        /// How many.
        count: usize,
        /// Of how many rows.
        rows: usize,
        /// The first of them.
        first: Place,
    },
    /// Some rows lie in an empty pixel.
    #[error("{count} of {rows} rows lie in none of the partitions; the first is {first}")]
    NoPartition {
        /// How many.
        count: usize,
        /// Of how many rows.
        rows: usize,
        /// The first of them.
        first: Place,
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
    /// So many threads are never started.
    #[error("threads {threads} is not allowed: it must be 0 (one for each core) to {MOST_THREADS}")]
    TooManyThreads {
        /// How many were asked for.
        threads: usize,
    },
    /// The system gave no threads.
    #[error("{threads} threads cannot be started: {why}")]
    Threads {
        /// How many were asked for; 0 is one for each core.
        threads: usize,
        /// What the system said.
        why: String,
    },
    /// There is no such cover.
    #[error(transparent)]
    Tiling(#[from] TilingError),
    /// Rows could not be decided on.
    #[error(transparent)]
    Select(#[from] SelectError),
}

/// A row of the table, for messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Its number, counted from 0.
    pub row: usize,
    /// Its right ascension in degrees.
    pub ra_deg: f64,
    /// Its declination in degrees.
    pub dec_deg: f64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {}: ra {}, dec {}", self.row, self.ra_deg, self.dec_deg)
    }
}

/// The coordinates of all rows, in degrees.
#[derive(Clone, Copy, Debug)]
pub struct Positions<'a> {
    /// Right ascensions.
    pub ra_deg: &'a [f64],
    /// Declinations.
    pub dec_deg: &'a [f64],
}

/// The rows of a table, those of one partition together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouped {
    /// Row numbers: by partition in nested order, within one as in the table.
    pub rows: Vec<u32>,
    /// Where in `rows` each partition ends.
    pub ends: Vec<usize>,
    /// The index value of each row at order 29, in the order of the table.
    index: Vec<i64>,
}

/// A row and a margin it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarginRow {
    /// The row's number.
    pub row: u32,
    /// The pixel of the margin.
    pub pixel: Pixel,
    /// The separation from it in arcseconds.
    pub separation_arcsec: f64,
}

/// Whether a call brings the whole table, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// The whole table: each partition is met once.
    Whole,
    /// One of many: covers are made to last, and kept.
    OneOfMany,
}

/// The margins of a tiling, for tables.
#[derive(Debug)]
pub struct TableMargins {
    margins: Margins,
    tiling: Arc<Tiling>,
    index_slack: Threshold,
    covers: Mutex<HashMap<Pixel, Arc<Cover>>>,
}

/// Groups the rows of a table by the partition they lie in.
///
/// # Errors
/// [`InMemoryError`] when a row lies nowhere or in no partition.
pub fn group_rows(tiling: &Tiling, positions: Positions<'_>, threads: usize) -> Result<Grouped, InMemoryError> {
    on_threads(threads, || group(tiling, positions))?
}

impl TableMargins {
    /// The exact margins of a tiling at a threshold; `index_slack` is what [`Source`] has under that name.
    ///
    /// # Errors
    /// None in practice: exact margins are possible for every tiling.
    pub fn new(tiling: Arc<Tiling>, threshold: Threshold, index_slack: Threshold) -> Result<Self, TilingError> {
        let margins = Margins::new(Arc::clone(&tiling), threshold, Filtering::Exact, None)?;
        Ok(Self { margins, tiling, index_slack, covers: Mutex::default() })
    }

    /// The rows of all margins, by row, then by the order and the index of the margin's pixel.
    ///
    /// `threads` 0 is one for each core.
    ///
    /// # Errors
    /// [`InMemoryError`] when a row lies nowhere or in no partition.
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
                cover.select(Candidates {
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
        // A poisoned lock only means that another thread died: the map itself is whole after every call.
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

/// Runs on a pool of its own: a pool that is shared by all of a process does not survive a fork.
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
                // Rows that lie together are often stored together.
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

/// What to say of rows that lie nowhere, or else of those that lie in no partition.
fn outsiders(positions: Positions<'_>, index: &[i64], partitions: &[u32]) -> InMemoryError {
    let rows = index.len();
    let place = |row: usize| Place { row, ra_deg: positions.ra_deg[row], dec_deg: positions.dec_deg[row] };
    let nowhere = |is_wrong: &dyn Fn(usize) -> bool| {
        let mut wrong = (0..rows).filter(|&row| is_wrong(row));
        wrong.next().map(|first| (place(first), 1 + wrong.count()))
    };
    if let Some((first, count)) = nowhere(&|row| index[row] < 0) {
        return InMemoryError::NoPosition { count, rows, first };
    }
    let (first, count) = nowhere(&|row| partitions[row] == NOWHERE).unwrap_or((place(0), 0));
    InMemoryError::NoPartition { count, rows, first }
}
