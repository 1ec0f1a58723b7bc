//! Where in a source partition the rows of margins can lie: index ranges, each with the margins it may feed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::angle::{Threshold, chord_of_rad};
use crate::boundary;
use crate::healpix;
use crate::pixel::{MAX_ORDER, Pixel};
use crate::separation::PixelSeparation;
use crate::tiling::{Tiling, TilingError};

/// How far a row's coordinates may lie from its index value's pixel, in arcseconds, unless told otherwise.
///
/// A coordinate kept as a 32-bit float is up to 0.055 arcsec off in ra and 0.014 in dec, hence a row up to 0.057; three
/// times that leaves room for an index that was computed in such numbers too.
pub const INDEX_SLACK_ARCSEC: f64 = 0.2;

/// So many prepared pixels are kept between sources; each takes up to 13 kB.
const KEPT_SEPARATIONS: usize = 4096;

/// A cover's cells are at most this many orders finer than pays off.
const FINER_AT_MOST: u8 = 3;

/// More rows than these make a cover no finer: its size is bounded whatever a file claims to hold.
const ROWS_THAT_REFINE: u64 = 1 << 26;

/// Which rows make up a margin.
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
#[derive(Debug)]
pub struct Margins {
    tiling: Arc<Tiling>,
    threshold: Threshold,
    filtering: Filtering,
    /// The order of a cover's cells, when the caller chose it.
    cell_order: Option<u8>,
    separations: Mutex<HashMap<Pixel, Arc<PixelSeparation>>>,
}

/// A source partition, as far as its cover depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The pixel of the partition.
    pub pixel: Pixel,
    /// Its number of rows: it decides how fine a cover pays off.
    pub rows: u64,
    /// The order of the index column.
    pub index_order: u8,
    /// How far a row may lie from its index value's pixel, and from the partition.
    pub index_slack: Threshold,
}

/// Index values `start..end` that may feed the margins of one set of destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoverRange {
    /// The first index value.
    pub start: u64,
    /// The first index value beyond.
    pub end: u64,
    /// Which set of destinations.
    pub(crate) set: u32,
}

/// Where in one source partition the rows of margins can lie.
#[derive(Clone, Debug)]
pub struct Cover {
    pub(crate) source: Source,
    pub(crate) filtering: Filtering,
    cell_order: u8,
    /// The source pixel, prepared for the slack.
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
    /// The margins of a tiling. `cell_order` tunes how fine the covers are, never which rows are selected.
    ///
    /// # Errors
    /// [`TilingError::RingOrder`] for a ring that is coarser than a partition.
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
        Ok(Self { tiling, threshold, filtering, cell_order, separations: Mutex::default() })
    }

    /// The cover of a source partition.
    ///
    /// # Errors
    /// [`TilingError::NotAPartition`] when the source is none of the tiling's partitions.
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
            // What touches the source lies within any threshold of it.
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
    /// the rows they spare; `docs/explanation/margin_order.md` has the measurements. A finer order that was asked for is
    /// kept up to [`FINER_AT_MOST`]: beyond, a cover costs four times the whole selection and doubles with each order.
    /// A ring may be far finer than its rows: its pixels are looked for in cells that the rows fill.
    fn cell_order_for(&self, source: Source) -> u8 {
        let coarsest = source.pixel.order();
        let by_rows = coarsest + (source.rows.clamp(1, ROWS_THAT_REFINE).ilog2() / 2) as u8;
        let order = match self.filtering {
            Filtering::Exact => {
                let by_threshold = (1.0 / self.threshold.rad()).log2().ceil().clamp(0.0, f64::from(MAX_ORDER)) as u8;
                let best = by_threshold.min(by_rows);
                self.cell_order.map_or(best, |asked| asked.min(best + FINER_AT_MOST))
            }
            Filtering::Ring { margin_order } => margin_order.min(by_rows),
        };
        order.min(source.index_order).max(coarsest)
    }

    fn separation(&self, pixel: Pixel) -> Arc<PixelSeparation> {
        // A poisoned lock only means that another thread died: the map itself is whole after every call.
        let mut kept = self.separations.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_SEPARATIONS {
            kept.clear();
        }
        Arc::clone(kept.entry(pixel).or_insert_with(|| Arc::new(PixelSeparation::new(pixel, self.threshold))))
    }
}

impl Cover {
    /// The pixels whose margins the source may feed, in nested order.
    pub fn destinations(&self) -> impl ExactSizeIterator<Item = Pixel> {
        self.destinations.iter().map(Destination::pixel)
    }

    /// The order of the cells the ranges are made of.
    pub const fn margin_order(&self) -> u8 {
        match self.filtering {
            Filtering::Exact => self.cell_order,
            Filtering::Ring { margin_order } => margin_order,
        }
    }

    /// Whether selecting needs coordinates: always, unless the index column alone tells a row's pixel in the ring.
    pub fn needs_coordinates(&self) -> bool {
        match self.filtering {
            Filtering::Exact => true,
            Filtering::Ring { margin_order } => self.source.index_order < margin_order,
        }
    }

    /// The index ranges, sorted and disjoint, at the order of the index column.
    pub fn ranges(&self) -> &[CoverRange] {
        &self.ranges
    }

    /// Whether rows whose index values lie in `min..=max` may hold a candidate. Never misses.
    pub fn may_hold(&self, min: i64, max: i64) -> bool {
        let (Ok(min), Ok(max)) = (u64::try_from(min), u64::try_from(max)) else { return true };
        let own = self.source.pixel.range_at(self.source.index_order);
        if min < own.start || max >= own.end {
            return true;
        }
        let place = self.ranges.partition_point(|range| range.end <= min);
        self.ranges.get(place).is_some_and(|range| range.start <= max)
    }

    /// The destinations that a row with this index value may feed; all of them when the value lies outside the source.
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
