//! A HEALPix pixel: its order and nested index, and the index ranges that it covers.

use std::ops::Range;

use thiserror::Error;

/// The finest order: its indices still fit into an `i64` column.
///
/// # Examples
/// ```
/// use skymargin_geometry::pixel::{BASE_CELLS, MAX_ORDER};
///
/// assert!(BASE_CELLS << (2 * MAX_ORDER) < i64::MAX as u64);
/// ```
pub const MAX_ORDER: u8 = 29;

/// The number of pixels of order 0.
///
/// # Examples
/// ```
/// use skymargin_geometry::pixel::{BASE_CELLS, Pixel};
///
/// assert_eq!(Pixel::base_cells().count() as u64, BASE_CELLS);
/// ```
pub const BASE_CELLS: u64 = 12;

/// Why an order and an index do not name a pixel.
///
/// # Examples
/// ```
/// use skymargin_geometry::pixel::{Pixel, PixelError};
///
/// assert_eq!(Pixel::new(0, 12), Err(PixelError::Index { order: 0, index: 12, last: 11 }));
/// ```
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PixelError {
    /// The order is beyond [`MAX_ORDER`].
    #[error("order {order} is not allowed: a HEALPix order is 0 to {MAX_ORDER}")]
    Order {
        /// The order given.
        order: u8,
    },
    /// The index is beyond the last pixel of its order.
    #[error("pixel {index} does not exist at order {order}: its pixels are 0 to {last}")]
    Index {
        /// The order given.
        order: u8,
        /// The index given.
        index: u64,
        /// The last index of that order.
        last: u64,
    },
}

/// A HEALPix pixel in the nested scheme.
///
/// The derived ordering is by order, then index.
///
/// # Examples
/// ```
/// use skymargin_geometry::pixel::Pixel;
///
/// let pixel = Pixel::new(5, 1000)?;
/// assert_eq!(pixel.to_string(), "order 5, pixel 1000");
/// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pixel {
    order: u8,
    index: u64,
}

impl Pixel {
    /// The pixel of an order and a nested index.
    ///
    /// # Errors
    /// [`PixelError`] when the order is above 29, or has no pixel of that index.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// assert!(Pixel::new(1, 47).is_ok());
    /// assert!(Pixel::new(1, 48).is_err());
    /// assert!(Pixel::new(30, 0).is_err());
    /// ```
    pub const fn new(order: u8, index: u64) -> Result<Self, PixelError> {
        if order > MAX_ORDER {
            return Err(PixelError::Order { order });
        }
        let last = (BASE_CELLS << (2 * order)) - 1;
        if index > last {
            return Err(PixelError::Index { order, index, last });
        }
        Ok(Self { order, index })
    }

    /// The twelve pixels of order 0.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// assert_eq!(Pixel::base_cells().map(Pixel::index).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
    /// ```
    pub fn base_cells() -> impl Iterator<Item = Self> {
        (0..BASE_CELLS).map(|index| Self { order: 0, index })
    }

    /// The order, 0 to 29.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// assert_eq!(Pixel::new(5, 1000)?.order(), 5);
    /// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
    /// ```
    pub const fn order(self) -> u8 {
        self.order
    }

    /// The nested index.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// assert_eq!(Pixel::new(5, 1000)?.index(), 1000);
    /// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
    /// ```
    pub const fn index(self) -> u64 {
        self.index
    }

    /// The number of pixels along the side of a base cell.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// assert_eq!(Pixel::new(5, 1000)?.nside(), 32);
    /// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
    /// ```
    pub const fn nside(self) -> u64 {
        1 << self.order
    }

    /// The base cell (0 to 11) that contains the pixel.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// assert_eq!(Pixel::new(1, 7)?.base_cell(), 1);
    /// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
    /// ```
    pub const fn base_cell(self) -> u8 {
        // An index below 12 * 4^order, shifted by 2 * order, is below 12.
        (self.index >> (2 * self.order)) as u8
    }

    /// Column and row within the base cell, each below [`Pixel::nside`]: the even and the odd bits of the index.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// assert_eq!(Pixel::new(1, 2)?.column_row(), (0, 1));
    /// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
    /// ```
    pub const fn column_row(self) -> (u64, u64) {
        let within = self.index & ((1 << (2 * self.order)) - 1);
        (even_bits(within), even_bits(within >> 1))
    }

    /// The four pixels of the next order; none at order 29.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// let children: Vec<u64> = Pixel::new(3, 5)?.children().map(Pixel::index).collect();
    /// assert_eq!(children, [20, 21, 22, 23]);
    /// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
    /// ```
    pub fn children(self) -> impl Iterator<Item = Self> {
        let count = if self.order < MAX_ORDER { 4 } else { 0 };
        (0..count).map(move |child| Self { order: self.order + 1, index: 4 * self.index + child })
    }

    /// The pixel of a coarser (or the same) order that contains this one.
    ///
    /// Precondition: `order <= self.order()`.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// assert_eq!(Pixel::new(5, 1000)?.ancestor(3), Pixel::new(3, 62)?);
    /// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
    /// ```
    pub const fn ancestor(self, order: u8) -> Self {
        debug_assert!(order <= self.order);
        Self { order, index: self.index >> (2 * (self.order - order)) }
    }

    /// The indices, at any order, of the pixels that share sky with this one: at a finer order those that it consists
    /// of, at a coarser order the one that contains it.
    ///
    /// Precondition: `order <= 29`.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// assert_eq!(Pixel::new(5, 1000)?.range_at(7), 16_000..16_016);
    /// assert_eq!(Pixel::new(5, 1000)?.range_at(4), 250..251);
    /// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
    /// ```
    pub const fn range_at(self, order: u8) -> Range<u64> {
        debug_assert!(order <= MAX_ORDER);
        if order < self.order {
            let above = self.ancestor(order).index;
            return above..above + 1;
        }
        let shift = 2 * (order - self.order);
        self.index << shift..(self.index + 1) << shift
    }

    /// Whether `other` is this pixel or lies in it.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::pixel::Pixel;
    ///
    /// let pixel = Pixel::new(3, 62)?;
    /// assert!(pixel.contains(pixel) && pixel.contains(Pixel::new(5, 1000)?));
    /// assert!(!pixel.contains(Pixel::new(2, 15)?));
    /// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
    /// ```
    pub const fn contains(self, other: Self) -> bool {
        other.order >= self.order && other.index >> (2 * (other.order - self.order)) == self.index
    }
}

impl std::fmt::Display for Pixel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "order {}, pixel {}", self.order, self.index)
    }
}

/// The even bits of `v`, closed up (the inverse of Morton's interleaving).
const fn even_bits(v: u64) -> u64 {
    let mut v = v & 0x5555_5555_5555_5555;
    v = (v | v >> 1) & 0x3333_3333_3333_3333;
    v = (v | v >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    v = (v | v >> 4) & 0x00ff_00ff_00ff_00ff;
    v = (v | v >> 8) & 0x0000_ffff_0000_ffff;
    (v | v >> 16) & 0x0000_0000_ffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_pixel() {
        assert_eq!(Pixel::new(30, 0), Err(PixelError::Order { order: 30 }));
        assert_eq!(Pixel::new(0, 12), Err(PixelError::Index { order: 0, index: 12, last: 11 }));
        assert!(Pixel::new(29, 12 * (1 << 58) - 1).is_ok());
        assert!(Pixel::new(29, 12 * (1 << 58)).is_err());
    }

    #[test]
    fn family_is_consistent() {
        let pixel = Pixel::new(5, 1000).unwrap();
        assert_eq!(pixel.range_at(7), 16000..16016);
        assert_eq!(pixel.ancestor(0).index(), 0);
        for child in pixel.children() {
            assert!(pixel.contains(child));
            assert!(!child.contains(pixel));
            assert_eq!(child.ancestor(5), pixel);
        }
        assert_eq!(Pixel::new(29, 7).unwrap().children().count(), 0);
    }

    #[test]
    fn a_range_holds_the_pixels_that_share_sky() {
        let pixel = Pixel::new(5, 1000).unwrap();
        assert_eq!(pixel.range_at(5), 1000..1001);
        assert_eq!(pixel.range_at(4), 250..251);
        assert_eq!(pixel.range_at(0), 0..1);
        assert_eq!(Pixel::new(29, 12 * (1 << 58) - 1).unwrap().range_at(0), 11..12);
        assert_eq!(Pixel::new(0, 11).unwrap().range_at(29), 11 << 58..12 << 58);
    }

    #[test]
    fn column_and_row_interleave_to_the_index() {
        let pixel = Pixel::new(3, 3 * 64 + 0b10_01_11).unwrap();
        assert_eq!(pixel.base_cell(), 3);
        assert_eq!(pixel.column_row(), (0b011, 0b101));
    }
}
