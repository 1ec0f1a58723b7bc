//! The partitions of a catalog and its empty pixels, as one sorted tiling of the whole sky.

use thiserror::Error;

use crate::angle::{Threshold, chord_of_rad};
use crate::boundary;
use crate::pixel::{MAX_ORDER, Pixel, PixelError};
use crate::separation::PixelSeparation;

/// Why a list of pixels is not a set of partitions, or a question about partitions is refused.
///
/// # Examples
/// ```
/// use skymargin_geometry::pixel::Pixel;
/// use skymargin_geometry::tiling::{Tiling, TilingError};
///
/// let (outer, inner) = (Pixel::new(2, 5)?, Pixel::new(5, 5 << 6)?);
/// assert_eq!(Tiling::new([inner, outer]), Err(TilingError::Overlap { outer, inner }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TilingError {
    /// A listed pixel does not exist.
    #[error(transparent)]
    Pixel(#[from] PixelError),
    /// A pixel is listed twice.
    #[error("the partition at {pixel} is listed twice")]
    Duplicate {
        /// The pixel.
        pixel: Pixel,
    },
    /// Two pixels share a part of the sky.
    #[error("the partitions at {outer} and at {inner} overlap")]
    Overlap {
        /// The coarser of the two.
        outer: Pixel,
        /// The finer of the two.
        inner: Pixel,
    },
    /// The ring of a margin is coarser than a partition.
    #[error("margin_order {margin_order} is not allowed: the finest partition has order {finest}")]
    RingOrder {
        /// The order of the ring.
        margin_order: u8,
        /// The order of the finest partition.
        finest: u8,
    },
    /// A pixel is not a partition.
    #[error("{pixel} is not a partition of this catalog")]
    NotAPartition {
        /// The pixel.
        pixel: Pixel,
    },
}

/// A tile of the sky: a partition or an empty pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    /// First index at order 29; the tile ends where the next one starts.
    start: u64,
    pixel: Pixel,
    is_partition: bool,
}

/// The partitions of a catalog and the fewest pixels that cover the rest of the sky, in nested order.
///
/// # Examples
/// ```
/// use skymargin_geometry::pixel::Pixel;
/// use skymargin_geometry::tiling::Tiling;
///
/// let tiling = Tiling::new([Pixel::new(1, 2)?, Pixel::new(1, 3)?, Pixel::new(0, 7)?])?;
/// assert_eq!((tiling.partitions().count(), tiling.empty_pixels().count()), (3, 12));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiling {
    tiles: Vec<Tile>,
    partitions: usize,
}

impl Tiling {
    /// The tiling of these partitions, given in any order.
    ///
    /// # Errors
    /// [`TilingError`] when two of them are the same or overlap.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::tiling::Tiling;
    ///
    /// assert!(Tiling::new([Pixel::new(3, 1)?, Pixel::new(2, 5)?]).is_ok());
    /// assert!(Tiling::new([Pixel::new(3, 1)?, Pixel::new(3, 1)?]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(partitions: impl IntoIterator<Item = Pixel>) -> Result<Self, TilingError> {
        let mut pixels: Vec<Pixel> = partitions.into_iter().collect();
        pixels.sort_unstable_by_key(|pixel| (pixel.range_at(MAX_ORDER).start, pixel.order()));
        for pair in pixels.windows(2) {
            let (outer, inner) = (pair[0], pair[1]);
            if outer == inner {
                return Err(TilingError::Duplicate { pixel: outer });
            }
            if outer.contains(inner) {
                return Err(TilingError::Overlap { outer, inner });
            }
        }
        let mut tiles = Vec::with_capacity(2 * pixels.len() + 12);
        for cell in Pixel::base_cells() {
            tile(cell, &pixels, &mut tiles);
        }
        Ok(Self { tiles, partitions: pixels.len() })
    }

    /// The number of partitions.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::tiling::Tiling;
    ///
    /// let tiling = Tiling::new([Pixel::new(1, 2)?, Pixel::new(1, 3)?, Pixel::new(0, 7)?])?;
    /// assert_eq!(tiling.partition_count(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn partition_count(&self) -> usize {
        self.partitions
    }

    /// The partitions, in nested order.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::tiling::Tiling;
    ///
    /// let tiling = Tiling::new([Pixel::new(1, 2)?, Pixel::new(1, 3)?, Pixel::new(0, 7)?])?;
    /// assert_eq!(tiling.partitions().last(), Some(Pixel::new(0, 7)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn partitions(&self) -> impl Iterator<Item = Pixel> {
        self.tiles.iter().filter(|tile| tile.is_partition).map(|tile| tile.pixel)
    }

    /// The empty pixels, in nested order.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::tiling::Tiling;
    ///
    /// let tiling = Tiling::new([Pixel::new(1, 2)?, Pixel::new(1, 3)?, Pixel::new(0, 7)?])?;
    /// // Two pixels remain of base cell 0, and ten base cells.
    /// assert_eq!(tiling.empty_pixels().map(Pixel::order).collect::<Vec<_>>(), [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn empty_pixels(&self) -> impl Iterator<Item = Pixel> {
        self.tiles.iter().filter(|tile| !tile.is_partition).map(|tile| tile.pixel)
    }

    /// The finest order of a partition, if there is one. No empty pixel is finer.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::tiling::Tiling;
    ///
    /// let tiling = Tiling::new([Pixel::new(1, 2)?, Pixel::new(1, 3)?, Pixel::new(0, 7)?])?;
    /// assert_eq!(tiling.finest_order(), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finest_order(&self) -> Option<u8> {
        self.partitions().map(Pixel::order).max()
    }

    /// Whether a pixel is a partition.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::tiling::Tiling;
    ///
    /// let tiling = Tiling::new([Pixel::new(1, 2)?, Pixel::new(1, 3)?, Pixel::new(0, 7)?])?;
    /// assert!(tiling.is_partition(Pixel::new(1, 2)?));
    /// assert!(!tiling.is_partition(Pixel::new(1, 0)?) && !tiling.is_partition(Pixel::new(1, 28)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_partition(&self, pixel: Pixel) -> bool {
        let place = self.tiles.partition_point(|tile| tile.start < pixel.range_at(MAX_ORDER).start);
        self.tiles.get(place).is_some_and(|tile| tile.pixel == pixel && tile.is_partition)
    }

    /// The tiles that may lie within the threshold plus `slack_rad` of a pixel, in nested order, without those that
    /// share sky with it.
    ///
    /// # Accuracy
    /// Never misses a tile. It returns a few more, because it takes a tile as the disc around it.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::tiling::Tiling;
    ///
    /// let tiling = Tiling::new([Pixel::new(1, 2)?, Pixel::new(1, 3)?, Pixel::new(0, 7)?])?;
    ///
    /// let near = tiling.near(Pixel::new(1, 2)?, Threshold::from_arcsec(10.0)?, 0.0);
    /// assert!(near.contains(&Pixel::new(1, 3)?) && near.contains(&Pixel::new(1, 0)?));
    /// assert!(!near.contains(&Pixel::new(0, 7)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn near(&self, pixel: Pixel, threshold: Threshold, slack_rad: f64) -> Vec<Pixel> {
        let near = Near { separation: PixelSeparation::new(pixel, threshold), reach_rad: threshold.rad() + slack_rad };
        let mut found = Vec::new();
        for cell in Pixel::base_cells() {
            near.visit(cell, &self.tiles, &mut found);
        }
        found
    }
}

/// A search for the tiles near a pixel.
struct Near {
    separation: PixelSeparation,
    reach_rad: f64,
}

impl Near {
    /// Adds the near tiles inside `node`.
    fn visit(&self, node: Pixel, tiles: &[Tile], found: &mut Vec<Pixel>) {
        let range = node.range_at(MAX_ORDER);
        let tiles = &tiles[tiles.partition_point(|tile| tile.start < range.start)..];
        let tiles = &tiles[..tiles.partition_point(|tile| tile.start < range.end)];
        let pixel = self.separation.pixel();
        if pixel.contains(node) || !node.contains(pixel) && !self.may_hold(node) {
            return;
        }
        match tiles {
            [] => {}
            [tile] => {
                if !tile.pixel.contains(pixel) && (tile.pixel == node || self.may_hold(tile.pixel)) {
                    found.push(tile.pixel);
                }
            }
            _ => node.children().for_each(|child| self.visit(child, tiles, found)),
        }
    }

    /// Whether a pixel that shares no sky with ours may lie within reach, taken as the disc around it.
    fn may_hold(&self, node: Pixel) -> bool {
        let reach_rad = self.reach_rad + boundary::radius_rad(node);
        reach_rad >= std::f64::consts::PI
            || self.separation.edges_may_be_within(boundary::centre(node), chord_of_rad(reach_rad))
    }
}

/// Adds the tiles of a node: its partitions, and the fewest pixels for the rest.
fn tile(node: Pixel, partitions: &[Pixel], tiles: &mut Vec<Tile>) {
    let range = node.range_at(MAX_ORDER);
    let start_of = |pixel: &Pixel| pixel.range_at(MAX_ORDER).start;
    let partitions = &partitions[partitions.partition_point(|pixel| start_of(pixel) < range.start)..];
    let partitions = &partitions[..partitions.partition_point(|pixel| start_of(pixel) < range.end)];
    match partitions {
        [] => tiles.push(Tile { start: range.start, pixel: node, is_partition: false }),
        [only] if *only == node => tiles.push(Tile { start: range.start, pixel: node, is_partition: true }),
        _ => node.children().for_each(|child| tile(child, partitions, tiles)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(order: u8, index: u64) -> Pixel {
        Pixel::new(order, index).unwrap()
    }

    #[test]
    fn a_tiling_covers_the_sky_with_the_fewest_pixels() {
        let tiling = Tiling::new([pixel(2, 5), pixel(0, 7), pixel(1, 0)]).unwrap();
        assert_eq!(tiling.partitions().collect::<Vec<_>>(), [pixel(1, 0), pixel(2, 5), pixel(0, 7)]);
        let empty: Vec<_> = tiling.empty_pixels().collect();
        let expected: Vec<_> = [(2, 4), (2, 6), (2, 7), (1, 2), (1, 3)]
            .into_iter()
            .chain((1..12).filter(|&cell| cell != 7).map(|cell| (0, cell)))
            .map(|(order, index)| pixel(order, index))
            .collect();
        assert_eq!(empty, expected);
        assert!(tiling.is_partition(pixel(2, 5)) && !tiling.is_partition(pixel(2, 4)));
        assert!(!tiling.is_partition(pixel(1, 28)) && !tiling.is_partition(pixel(3, 0)));
    }

    #[test]
    fn no_partitions_leave_the_base_cells() {
        let tiling = Tiling::new([]).unwrap();
        assert_eq!(tiling.empty_pixels().count(), 12);
        assert_eq!(tiling.partition_count(), 0);
    }

    #[test]
    fn refuses_twice_and_overlapping() {
        let twice = Tiling::new([pixel(2, 5), pixel(3, 1), pixel(2, 5)]);
        assert_eq!(twice, Err(TilingError::Duplicate { pixel: pixel(2, 5) }));
        let overlap = Tiling::new([pixel(5, 5 << 6), pixel(2, 5)]);
        assert_eq!(overlap, Err(TilingError::Overlap { outer: pixel(2, 5), inner: pixel(5, 5 << 6) }));
    }

    #[test]
    fn near_finds_all_neighbours_and_nothing_far() {
        let tiling = Tiling::new((0..768).map(|index| pixel(3, index))).unwrap();
        for index in [0, 63, 255, 256, 400, 767] {
            let near = tiling.near(pixel(3, index), Threshold::from_arcsec(1.0).unwrap(), 0.0);
            let ring = crate::healpix::ring(pixel(3, index), 3);
            assert!(ring.iter().all(|&neighbour| near.contains(&pixel(3, neighbour))), "{index}");
            assert!(!near.contains(&pixel(3, index)));
            assert!(near.len() <= 24, "{index}: {}", near.len());
        }
    }

    #[test]
    fn near_at_90_degrees_reaches_half_the_sky() {
        let tiling = Tiling::new([pixel(0, 0)]).unwrap();
        let near = tiling.near(pixel(0, 0), Threshold::from_arcsec(324_000.0).unwrap(), 0.0);
        assert_eq!(near.len(), 11, "base cell 0 touches the pole and the equator");
    }
}
