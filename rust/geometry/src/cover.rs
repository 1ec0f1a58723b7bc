//! Where in a source partition the rows of margins can lie: index ranges, each with the margins it may feed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::angle::{Threshold, chord_of_rad};
use crate::boundary;
use crate::healpix;
use crate::pixel::{MAX_ORDER, Pixel};
use crate::separation::PixelSeparation;
use crate::separation_cache::SeparationCache;
use crate::tiling::{Tiling, TilingError};

/// The default for how far a row's coordinates may lie from the pixel of its index value, in arcseconds.
///
/// A 32-bit coordinate is off by up to 0.055 arcsec in ra and 0.014 in dec, hence a row by up to 0.057. Three times
/// that also covers an index that was computed from such numbers.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::Threshold;
/// use skymargin_geometry::cover::INDEX_SLACK_ARCSEC;
///
/// assert!(Threshold::from_arcsec(INDEX_SLACK_ARCSEC).is_ok());
/// ```
pub const INDEX_SLACK_ARCSEC: f64 = 0.2;

/// A cover's cells are at most this many orders finer than the order that is fastest.
const FINER_AT_MOST: u8 = 3;

/// A larger number of rows does not make a cover finer, so its size is limited even if a file claims too many rows.
const ROWS_THAT_REFINE: u64 = 1 << 26;

/// Which rows make up a margin.
///
/// # Examples
/// ```
/// use skymargin_geometry::cover::Filtering;
///
/// assert_ne!(Filtering::Exact, Filtering::Ring { margin_order: 8 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// The rows within the threshold: the contract.
    Exact,
    /// The rows whose pixel at this order touches the margin's pixel from outside: hats-import's set.
    Ring {
        /// The order of the ring, at least that of every partition.
        margin_order: u8,
    },
}

/// The margins of a tiling at one threshold.
///
/// It may be shared between threads: they keep what they prepare for each other.
///
/// # Examples
/// ```
#[doc = include_str!("../doctest_setup/cover.txt")]
/// assert!(cover.destinations().any(|destination| destination == Pixel::new(1, 3).unwrap()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Margins {
    tiling: Arc<Tiling>,
    threshold: Threshold,
    filtering: Filtering,
    /// The order of a cover's cells, when the caller chose it.
    cell_order: Option<u8>,
    separations: SeparationCache,
}

/// The properties of a source partition on which its cover depends.
///
/// # Examples
/// ```
#[doc = include_str!("../doctest_setup/cover.txt")]
/// let source = Source { pixel, rows: 100, index_order: MAX_ORDER, index_slack };
/// // A partition of fewer rows gets a coarser cover.
/// assert!(margins.cover(source)?.margin_order() < cover.margin_order());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The pixel of the partition.
    pub pixel: Pixel,
    /// Its number of rows, which decides how fine a cover is worth its cost.
    pub rows: u64,
    /// The order of the index column.
    pub index_order: u8,
    /// How far a row may lie from the pixel of its index value, and from the partition.
    pub index_slack: Threshold,
}

/// The index values `start..end`, whose rows may belong to the margins of one set of destinations.
///
/// # Examples
/// ```
#[doc = include_str!("../doctest_setup/cover.txt")]
/// let range = cover.ranges()[0];
/// assert!(cover.may_hold(range.start as i64, range.end as i64 - 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoverRange {
    /// The first index value.
    pub start: u64,
    /// One more than the last index value.
    pub end: u64,
    /// The set of destinations.
    pub(crate) set: u32,
}

/// Where in one source partition the rows of margins can lie.
///
/// # Examples
/// ```
#[doc = include_str!("../doctest_setup/cover.txt")]
/// // Only a small part of the partition is near its edges.
/// let covered: u64 = cover.ranges().iter().map(|range| range.end - range.start).sum();
/// let all = pixel.range_at(MAX_ORDER);
/// assert!(covered < (all.end - all.start) / 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cover {
    pub(crate) source: Source,
    pub(crate) filtering: Filtering,
    cell_order: u8,
    /// The separation from the source pixel, prepared for the slack.
    pub(crate) own: PixelSeparation,
    pub(crate) destinations: Vec<Destination>,
    ranges: Vec<CoverRange>,
    sets: Vec<Box<[u32]>>,
}

/// A margin that the source may feed.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) separation: Arc<PixelSeparation>,
}

impl Destination {
    pub(crate) fn pixel(&self) -> Pixel {
        self.separation.pixel()
    }
}

impl Margins {
    /// The margins of a tiling.
    ///
    /// `cell_order` sets how fine the covers are; it never changes which rows are selected, and rings ignore it.
    ///
    /// # Errors
    /// [`TilingError::RingOrder`] for a ring that is coarser than a partition.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// let tiling = Arc::new(Tiling::new([Pixel::new(3, 5)?])?);
    /// let threshold = Threshold::from_arcsec(10.0)?;
    /// assert!(Margins::new(Arc::clone(&tiling), threshold, Filtering::Ring { margin_order: 3 }, None).is_ok());
    /// assert!(Margins::new(tiling, threshold, Filtering::Ring { margin_order: 2 }, None).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        tiling: Arc<Tiling>,
        threshold: Threshold,
        filtering: Filtering,
        cell_order: Option<u8>,
    ) -> Result<Self, TilingError> {
        if let Filtering::Ring { margin_order } = filtering
            && let Some(finest) = tiling.finest_order()
            && margin_order < finest
        {
            return Err(TilingError::RingOrder { margin_order, finest });
        }
        Ok(Self { tiling, threshold, filtering, cell_order, separations: SeparationCache::default() })
    }

    /// The cover of a source partition.
    ///
    /// # Errors
    /// [`TilingError::NotAPartition`] when the source is not a partition of the tiling.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// let empty = Source { pixel: Pixel::new(0, 7)?, rows: 0, index_order: MAX_ORDER, index_slack };
    /// assert!(margins.cover(empty).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cover(&self, source: Source) -> Result<Cover, TilingError> {
        if !self.tiling.is_partition(source.pixel) {
            return Err(TilingError::NotAPartition { pixel: source.pixel });
        }
        let mut builder = Builder {
            reach_rad: self.threshold.rad() + source.index_slack.rad(),
            inner_rad: self.threshold.rad() - source.index_slack.rad(),
            known_sets: HashMap::new(),
            cover: Cover {
                source,
                filtering: self.filtering,
                cell_order: self.cell_order_for(source),
                own: PixelSeparation::new(source.pixel, source.index_slack),
                destinations: Vec::new(),
                ranges: Vec::new(),
                sets: Vec::new(),
            },
        };
        let mut near = self.tiling.near(source.pixel, self.threshold, source.index_slack.rad());
        if matches!(self.filtering, Filtering::Ring { .. }) {
            // Pixels that touch the source are within any threshold of it.
            near.retain(|&pixel| healpix::touches(source.pixel, pixel));
        }
        builder.cover.destinations =
            near.into_iter().map(|pixel| Destination { separation: self.separation(pixel) }).collect();
        let all: Vec<u32> = (0..builder.cover.destinations.len() as u32).collect();
        match self.filtering {
            Filtering::Exact => builder.descend(source.pixel, &all),
            Filtering::Ring { .. } => builder.descend_to_rings(source.pixel, &all),
        }
        Ok(builder.cover)
    }

    /// The order of the cells of a source's cover.
    ///
    /// Cells smaller than the threshold prune little more, and cells that hold less than a row or two cost more than
    /// the rows they spare; `docs/explanation/margin_order.md` has the measurements. A finer order that was asked for
    /// is kept up to [`FINER_AT_MOST`]: beyond, a cover costs four times the whole selection and doubles with each
    /// order. A ring may be far finer than its rows, so its cells are as large as the rows allow.
    fn cell_order_for(&self, source: Source) -> u8 {
        let coarsest = source.pixel.order();
        let by_rows = coarsest + (source.rows.clamp(1, ROWS_THAT_REFINE).ilog2() / 2) as u8;
        let order = match self.filtering {
            Filtering::Exact => {
                // Candidates lie up to the slack farther away, so that smaller cells than that prune nothing.
                let reach_rad = self.threshold.rad() + source.index_slack.rad();
                let by_threshold = (1.0 / reach_rad).log2().ceil().clamp(0.0, f64::from(MAX_ORDER)) as u8;
                let best = by_threshold.min(by_rows);
                self.cell_order.map_or(best, |asked| asked.min(best + FINER_AT_MOST))
            }
            Filtering::Ring { margin_order } => margin_order.min(by_rows),
        };
        order.min(source.index_order).max(coarsest)
    }

    fn separation(&self, pixel: Pixel) -> Arc<PixelSeparation> {
        self.separations.get_or_build(pixel, || PixelSeparation::new(pixel, self.threshold))
    }
}

impl Cover {
    /// The pixels whose margins the source may feed, in nested order.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// assert!(cover.destinations().all(|destination| destination != pixel));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn destinations(&self) -> impl ExactSizeIterator<Item = Pixel> {
        self.destinations.iter().map(Destination::pixel)
    }

    /// Which rows make up the margins.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// assert_eq!(cover.filtering(), Filtering::Exact);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn filtering(&self) -> Filtering {
        self.filtering
    }

    /// The order of the cells that the ranges consist of; of a ring, the order of its pixels, which the cells of the
    /// ranges may be coarser than.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// assert!(cover.margin_order() > pixel.order());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn margin_order(&self) -> u8 {
        match self.filtering {
            Filtering::Exact => self.cell_order,
            Filtering::Ring { margin_order } => margin_order,
        }
    }

    /// Whether selection needs coordinates: always, unless the index column alone gives a row's pixel in the ring.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// assert!(cover.needs_coordinates());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn needs_coordinates(&self) -> bool {
        match self.filtering {
            Filtering::Exact => true,
            Filtering::Ring { margin_order } => self.source.index_order < margin_order,
        }
    }

    /// The index ranges, sorted and disjoint, at the order of the index column.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// assert!(cover.ranges().is_sorted_by(|a, b| a.end <= b.start));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ranges(&self) -> &[CoverRange] {
        &self.ranges
    }

    /// Whether rows whose index values lie in `min..=max` may hold a candidate. Never misses one.
    ///
    /// Values outside the source partition always may: such rows can lie anywhere near it.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doctest_setup/cover.txt")]
    /// let own = pixel.range_at(MAX_ORDER);
    /// assert!(cover.may_hold(own.start as i64, own.end as i64 - 1));
    /// // The centre of the partition is far from its edges.
    /// let centre = (own.start + 3 * (own.end - own.start) / 4) as i64;
    /// assert!(!cover.may_hold(centre, centre + 1_000_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn may_hold(&self, min: i64, max: i64) -> bool {
        let (Ok(min), Ok(max)) = (u64::try_from(min), u64::try_from(max)) else { return true };
        let own = self.source.pixel.range_at(self.source.index_order);
        if min < own.start || max >= own.end {
            return true;
        }
        let place = self.ranges.partition_point(|range| range.end <= min);
        self.ranges.get(place).is_some_and(|range| range.start <= max)
    }

    /// The destinations whose margins may contain a row with this index value; all of them when the value is outside
    /// the source.
    pub(crate) fn destinations_of(&self, index: Option<i64>) -> DestinationSet<'_> {
        let own = self.source.pixel.range_at(self.source.index_order);
        match index.and_then(|index| u64::try_from(index).ok()) {
            Some(index) if own.contains(&index) => {
                let place = self.ranges.partition_point(|range| range.end <= index);
                match self.ranges.get(place) {
                    Some(range) if range.start <= index => DestinationSet::Some(&self.sets[range.set as usize]),
                    _ => DestinationSet::Some(&[]),
                }
            }
            _ => DestinationSet::All(self.destinations.len() as u32),
        }
    }
}

/// Some of a cover's destinations.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DestinationSet<'a> {
    All(u32),
    Some(&'a [u32]),
}

impl DestinationSet<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let (all, some): (_, &[u32]) = match self {
            Self::All(count) => (0..*count, &[]),
            Self::Some(some) => (0..0, some),
        };
        all.chain(some.iter().copied())
    }
}

struct Builder {
    /// The threshold plus the slack.
    reach_rad: f64,
    /// The threshold less the slack.
    inner_rad: f64,
    known_sets: HashMap<Box<[u32]>, u32>,
    cover: Cover,
}

impl Builder {
    /// Adds the cells inside `cell` that may lie within reach of the active destinations.
    fn descend(&mut self, cell: Pixel, active: &[u32]) {
        let (centre, radius_rad) = (boundary::centre(cell), boundary::radius_rad(cell));
        let separation = |&destination: &u32| &self.cover.destinations[destination as usize].separation;
        let reach_rad = self.reach_rad + radius_rad;
        let kept: Vec<u32> = if reach_rad >= std::f64::consts::PI {
            active.to_vec()
        } else {
            let chord = chord_of_rad(reach_rad);
            active.iter().filter(|active| separation(active).edges_may_be_within(centre, chord)).copied().collect()
        };
        if kept.is_empty() {
            return;
        }
        let is_finest = cell.order() >= self.cover.cell_order;
        // Finer cells of one that lies within the threshold of all its destinations would all be kept.
        let inner_chord = (self.inner_rad - radius_rad > 0.0).then(|| chord_of_rad(self.inner_rad - radius_rad));
        if is_finest
            || inner_chord.is_some_and(|chord| kept.iter().all(|kept| separation(kept).edges_are_within(centre, chord)))
        {
            let range = cell.range_at(self.cover.source.index_order);
            self.push(range, kept);
        } else {
            cell.children().for_each(|child| self.descend(child, &kept));
        }
    }

    /// Adds the cells inside `cell` that touch the active destinations: they hold all pixels of the rings.
    fn descend_to_rings(&mut self, cell: Pixel, active: &[u32]) {
        let touches = |&&active: &&u32| healpix::touches(cell, self.cover.destinations[active as usize].pixel());
        let kept: Vec<u32> = active.iter().filter(touches).copied().collect();
        if kept.is_empty() {
            return;
        }
        if cell.order() >= self.cover.cell_order {
            let range = cell.range_at(self.cover.source.index_order);
            self.push(range, kept);
        } else {
            cell.children().for_each(|child| self.descend_to_rings(child, &kept));
        }
    }

    fn push(&mut self, range: std::ops::Range<u64>, destinations: Vec<u32>) {
        let sets = &mut self.cover.sets;
        let set = *self.known_sets.entry(destinations.into_boxed_slice()).or_insert_with_key(|destinations| {
            sets.push(destinations.clone());
            (sets.len() - 1) as u32
        });
        match self.cover.ranges.last_mut() {
            Some(last) if last.end == range.start && last.set == set => last.end = range.end,
            _ => self.cover.ranges.push(CoverRange { start: range.start, end: range.end, set }),
        }
    }
}
