//! Between which right ascensions and declinations a range of the spatial index lies.
//!
//! Statistics of coordinates are held against it: a value outside is no position of a row with such an index.

use std::f64::consts::FRAC_PI_2;

use crate::angle::Threshold;
use crate::pixel::{BASE_CELLS, MAX_ORDER, Pixel};

/// How far a computed bound may be off, in degrees: far more than rounding, far less than any slack.
///
/// Heights and longitudes are multiples of 1/nside or one quotient of them, within 2 ulp; arcsines are of arguments
/// below 0.75, where they do not amplify an error more than 1.6 times; and the sums of degrees stay below 1000. All of it
/// is below 1e-12 degrees.
const ROUNDING_DEG: f64 = 1e-9;

/// A partly covered pixel of a range counts as a whole one when the range is this many times as long.
const COARSEST_PART: u64 = 16;

/// The right ascensions and declinations between which some sky lies: a bound, not the exact extremes of a range.
///
/// # Accuracy
/// Exact for a pixel, up to rounding ([`Extent::allows_ra`] and [`Extent::allows_dec`] allow for it). Within a base cell
/// z = sin(dec) depends on x + y alone and rises with it, so that the south and north corners have the extremes of dec.
/// The longitude is linear in x - y in the belt. In a cap it is that of the western side of the base cell plus
/// 90° a/(a + b), with a and b the distances from the western and the eastern side: it rises with a and falls with b.
/// So the west and east corners have its extremes.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::Threshold;
/// use skymargin_geometry::extent::Extent;
/// use skymargin_geometry::pixel::Pixel;
///
/// let slack = Threshold::from_arcsec(0.2)?;
/// // Base cell 4 lies around ra 0, dec 0.
/// let extent = Extent::of_pixel(Pixel::new(0, 4)?);
/// assert!(extent.allows_ra(359.0, slack) && extent.allows_ra(-1.0, slack) && extent.allows_dec(40.0, slack));
/// assert!(!extent.allows_ra(46.0, slack) && !extent.allows_dec(42.0, slack));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Where it begins in the west, in 45 degrees, and where it ends in the east: less than 8 apart, or all around.
    west_eighths: f64,
    east_eighths: f64,
    /// The heights of its southernmost and northernmost point: 3z/2 in the belt, ±(2 - σ) in the caps.
    south: f64,
    north: f64,
}

impl Extent {
    /// The extent of a pixel.
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{angle::Threshold, extent::Extent, pixel::Pixel};
    /// let slack = Threshold::from_arcsec(1.0).unwrap();
    /// assert!(Extent::of_pixel(Pixel::new(0, 0).unwrap()).allows_dec(90.0, slack));
    /// assert!(!Extent::of_pixel(Pixel::new(0, 0).unwrap()).allows_dec(-1.0, slack));
    /// ```
    pub fn of_pixel(pixel: Pixel) -> Self {
        let (column, row) = pixel.column_row();
        let (cell, nside) = (i64::from(pixel.base_cell()), pixel.nside() as f64);
        let (column, row) = (column as f64, row as f64);
        // The middle line of the base cell in 45 degrees, and the height of its centre.
        let (middle_eighths, middle_height) = match cell / 4 {
            0 => (2 * (cell % 4) + 1, 1.0),
            1 => (2 * (cell % 4), 0.0),
            _ => (2 * (cell % 4) + 1, -1.0),
        };
        let middle_eighths = middle_eighths as f64;
        let south = (column + row - nside) / nside + middle_height;
        let middle = (column + row + 1.0 - nside) / nside + middle_height;
        let eighths = |column: f64, row: f64| {
            // Distances from the sides of the base cell that meet at the pole.
            let (to_east, to_west) = if middle >= 0.0 { (nside - column, nside - row) } else { (row, column) };
            if middle.abs() > 1.0 {
                middle_eighths - 1.0 + 2.0 * to_west / (to_east + to_west)
            } else {
                middle_eighths + (column - row) / nside
            }
        };
        Self {
            west_eighths: eighths(column, row + 1.0),
            east_eighths: eighths(column + 1.0, row),
            south,
            north: south + 2.0 / nside,
        }
    }

    /// The extent of the pixels `first..=last` of an order; `None` where these are none.
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{extent::Extent, pixel::Pixel};
    /// let whole = Extent::of_range(5, 4 << 10, (5 << 10) - 1).unwrap();
    /// assert_eq!(whole, Extent::of_pixel(Pixel::new(0, 4).unwrap()));
    /// assert!(Extent::of_range(0, 5, 12).is_none() && Extent::of_range(0, 5, 4).is_none());
    /// ```
    pub fn of_range(order: u8, first: u64, last: u64) -> Option<Self> {
        if order > MAX_ORDER || first > last || last >= BASE_CELLS << (2 * order) {
            return None;
        }
        let mut all = None;
        let smallest = (last - first + 1) / COARSEST_PART;
        for cell in first >> (2 * order)..=last >> (2 * order) {
            let base = Pixel::new(0, cell).ok()?;
            add_covered(base, order, (first, last), smallest, &mut all);
        }
        all
    }

    /// Whether a position within `slack` of the sky can have this right ascension; it may be of any turn.
    ///
    /// True for NaN.
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{angle::Threshold, extent::Extent, pixel::Pixel};
    /// let (south, slack) = (Extent::of_pixel(Pixel::new(3, 512).unwrap()), Threshold::from_arcsec(0.2).unwrap());
    /// // It touches the pole, beside which all right ascensions are near.
    /// assert!(south.allows_ra(200.0, slack));
    /// ```
    pub fn allows_ra(&self, ra_deg: f64, slack: Threshold) -> bool {
        // A circle of radius s around a point of declination d spans asin(sin s / cos d) to both sides, and reaches the
        // pole where d + s is 90 degrees: then it spans all.
        let farthest_rad = dec_rad(self.south).abs().max(dec_rad(self.north).abs());
        if farthest_rad + slack.rad() >= FRAC_PI_2 - ROUNDING_DEG {
            return true;
        }
        let sine = slack.rad().sin() / farthest_rad.cos();
        if sine >= 1.0 {
            return true;
        }
        let slack_deg = sine.asin().to_degrees() + ROUNDING_DEG;
        let span_deg = (self.east_eighths - self.west_eighths) * 45.0 + 2.0 * slack_deg;
        let east_of_start_deg = (ra_deg - (self.west_eighths * 45.0 - slack_deg)).rem_euclid(360.0);
        // Written so that a NaN is allowed.
        !(span_deg < 360.0 && east_of_start_deg > span_deg)
    }

    /// Whether a position within `slack` of the sky can have this declination. True for NaN.
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{angle::Threshold, extent::Extent, pixel::Pixel};
    /// let (extent, slack) = (Extent::of_pixel(Pixel::new(0, 0).unwrap()), Threshold::from_arcsec(3600.0).unwrap());
    /// assert!(extent.allows_dec(-0.9, slack) && !extent.allows_dec(-1.1, slack) && extent.allows_dec(f64::NAN, slack));
    /// ```
    pub fn allows_dec(&self, dec_deg: f64, slack: Threshold) -> bool {
        let slack_deg = slack.rad().to_degrees() + ROUNDING_DEG;
        let south_deg = dec_rad(self.south).to_degrees() - slack_deg;
        let north_deg = dec_rad(self.north).to_degrees() + slack_deg;
        !(dec_deg < south_deg || dec_deg > north_deg)
    }

    /// The extent of both.
    fn joined(self, other: Self) -> Self {
        Self {
            west_eighths: self.west_eighths.min(other.west_eighths),
            east_eighths: self.east_eighths.max(other.east_eighths),
            south: self.south.min(other.south),
            north: self.north.max(other.north),
        }
    }
}

/// Adds the pixels inside `pixel` that cover a range of an order, those of `smallest` indices or less as a whole.
fn add_covered(pixel: Pixel, order: u8, (first, last): (u64, u64), smallest: u64, all: &mut Option<Extent>) {
    let range = pixel.range_at(order);
    if range.end <= first || last < range.start {
        return;
    }
    let is_whole = first <= range.start && range.end - 1 <= last;
    if is_whole || pixel.order() >= order || range.end - range.start <= smallest {
        let extent = Extent::of_pixel(pixel);
        *all = Some(all.map_or(extent, |all| all.joined(extent)));
    } else {
        pixel.children().for_each(|child| add_covered(child, order, (first, last), smallest, all));
    }
}

/// The declination of a height in [-2, 2].
///
/// # Accuracy
/// 4e-16 rad: in the caps it is 90 degrees less the colatitude, whose sine keeps full precision at the pole.
fn dec_rad(height: f64) -> f64 {
    if height.abs() <= 1.0 {
        (height * (2.0 / 3.0)).asin()
    } else {
        let sigma = (2.0 - height.abs()).max(0.0);
        let colatitude_rad = (sigma * (2.0 / 3.0 - sigma * sigma / 9.0).sqrt()).asin();
        (FRAC_PI_2 - colatitude_rad).copysign(height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::angle::Vec3;
    use crate::boundary;

    fn degrees(extent: &Extent) -> [f64; 4] {
        let Extent { west_eighths, east_eighths, south, north } = extent;
        [west_eighths * 45.0, east_eighths * 45.0, dec_rad(*south).to_degrees(), dec_rad(*north).to_degrees()]
    }

    #[test]
    fn base_cells_have_their_known_bounds() {
        let north_deg = (2.0_f64 / 3.0).asin().to_degrees();
        for (cell, wanted) in [
            (0, [0.0, 90.0, 0.0, 90.0]),
            (3, [270.0, 360.0, 0.0, 90.0]),
            (4, [-45.0, 45.0, -north_deg, north_deg]),
            (6, [135.0, 225.0, -north_deg, north_deg]),
            (9, [90.0, 180.0, -90.0, 0.0]),
        ] {
            let found = degrees(&Extent::of_pixel(Pixel::new(0, cell).unwrap()));
            assert!(
                found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-12),
                "{cell}: {found:?}"
            );
        }
    }

    #[test]
    fn the_corners_of_a_pixel_are_its_bounds() {
        let pixels = (0..=4).flat_map(|order| (0..12_u64 << (2 * order)).map(move |index| (order, index)));
        for (order, index) in pixels.chain([(29, 0), (29, (1 << 58) - 1), (29, (9 << 58) + 1), (20, 7 << 40)]) {
            let pixel = Pixel::new(order, index).unwrap();
            let [west_deg, east_deg, south_deg, north_deg] = degrees(&Extent::of_pixel(pixel));
            let [south_west, north_east, _, north_west] = boundary::edges(pixel);
            let (south, west) = (south_west.position(0.0), south_west.position(1.0));
            let (east, north) = (north_east.position(0.0), north_west.position(1.0));
            let close = |one_deg: f64, other_deg: f64| (one_deg - other_deg).abs() < 1e-12;
            let dec_deg = |corner: Vec3| corner.z.atan2(corner.x.hypot(corner.y)).to_degrees();
            assert!(close(dec_deg(south), south_deg) && close(dec_deg(north), north_deg), "{pixel}");
            for (corner, ra_deg) in [(west, west_deg), (east, east_deg)] {
                let turned = corner.y.atan2(corner.x).to_degrees() - ra_deg;
                assert!(close((turned + 180.0).rem_euclid(360.0), 180.0), "{pixel}: {turned}");
            }
        }
    }

    #[test]
    fn a_range_is_bounded_by_the_pixels_in_it() {
        for (order, first, last) in [(3, 5, 5), (3, 5, 6), (3, 100, 131), (4, 1023, 1024), (5, 0, 12_287), (2, 60, 70)]
        {
            let extent = Extent::of_range(order, first, last).unwrap();
            let of = |index| Extent::of_pixel(Pixel::new(order, index).unwrap());
            let exact = (first..=last).map(of).reduce(Extent::joined).unwrap();
            assert_eq!(extent.joined(exact), extent, "{order}, {first} to {last}");
            // Pixels of a sixteenth of the range on each side may be in it, and no more.
            let part = (last - first + 1) / COARSEST_PART;
            let around = first.saturating_sub(part)..=(last + part).min((12 << (2 * order)) - 1);
            let around = around.map(of).reduce(Extent::joined).unwrap();
            assert_eq!(around.joined(extent), around, "{order}, {first} to {last}");
        }
    }

    #[test]
    fn turns_and_zero_are_no_borders() {
        let slack = Threshold::from_arcsec(0.2).unwrap();
        let extent = Extent::of_pixel(Pixel::new(0, 4).unwrap());
        for ra_deg in [0.0, 44.9, -44.9, 359.0, 315.1, -315.5, 360.0, -360.0] {
            assert!(extent.allows_ra(ra_deg, slack), "{ra_deg}");
        }
        for ra_deg in [45.1, 180.0, -180.0, 314.9, -45.1, -314.0] {
            assert!(!extent.allows_ra(ra_deg, slack), "{ra_deg}");
        }
    }
}
