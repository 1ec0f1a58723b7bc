//! The only module that calls the `cdshealpix` crate and uses its vocabulary (depth, hash).

use cdshealpix::compass_point::MainWind;
use cdshealpix::nested;

use crate::pixel::Pixel;

/// The index, at an order, of the pixel that contains a position.
///
/// Preconditions: `order <= 29`, ra finite, dec in [-90, 90] degrees.
///
/// # Accuracy
/// A position within about 1e-15 rad of an edge may be given to the neighbour.
///
/// # Examples
/// ```
/// use skymargin_geometry::healpix;
///
/// assert_eq!(healpix::index_of_ra_dec_deg(0, 0.0, 0.0), 4);
/// assert_eq!(healpix::index_of_ra_dec_deg(29, 45.0, 90.0), (1 << 58) - 1);
/// ```
pub fn index_of_ra_dec_deg(order: u8, ra_deg: f64, dec_deg: f64) -> u64 {
    debug_assert!(ra_deg.is_finite() && dec_deg.abs() <= 90.0);
    nested::hash(order, ra_deg.to_radians(), dec_deg.to_radians())
}

/// The winds in which a pixel has neighbours.
const WINDS: [MainWind; 8] =
    [MainWind::S, MainWind::SE, MainWind::E, MainWind::SW, MainWind::NE, MainWind::W, MainWind::NW, MainWind::N];

/// The pixels of the same order that touch a pixel at an edge or a corner: six to eight.
///
/// # Examples
/// ```
/// use skymargin_geometry::healpix;
/// use skymargin_geometry::pixel::Pixel;
///
/// assert_eq!(healpix::touching(Pixel::new(3, 300)?).count(), 8);
/// assert_eq!(healpix::touching(Pixel::new(0, 4)?).count(), 6);
/// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
/// ```
pub fn touching(pixel: Pixel) -> impl Iterator<Item = Pixel> + Clone {
    let order = pixel.order();
    let around = nested::neighbours(order, pixel.index(), false);
    let around = WINDS.map(|wind| around.get(wind).and_then(|&index| Pixel::new(order, index).ok()));
    around.into_iter().flatten()
}

/// Whether two pixels touch at an edge or a corner. Pixels that share sky do not.
///
/// The pixels of a finer order that touch a pixel are its ring: the set that hats-import keeps without fine filtering.
///
/// # Examples
/// ```
/// use skymargin_geometry::healpix;
/// use skymargin_geometry::pixel::Pixel;
///
/// let pixel = Pixel::new(1, 2)?;
/// assert!(healpix::touches(pixel, Pixel::new(1, 3)?) && healpix::touches(Pixel::new(2, 12)?, pixel));
/// assert!(!healpix::touches(pixel, pixel) && !healpix::touches(pixel, Pixel::new(2, 8)?));
/// # Ok::<(), skymargin_geometry::pixel::PixelError>(())
/// ```
pub fn touches(one: Pixel, other: Pixel) -> bool {
    let (coarse, fine) = if one.order() <= other.order() { (one, other) } else { (other, one) };
    !coarse.contains(fine) && touching(fine).any(|near| coarse.contains(near))
}

/// The pixels of a finer order that touch a pixel from outside, at edges and corners, sorted. There are
/// 4 (2^(order - pixel.order()) + 1) of them, so this is for tests only.
///
/// Precondition: `pixel.order() <= order <= 29`.
#[cfg(test)]
pub(crate) fn ring(pixel: Pixel, order: u8) -> Vec<u64> {
    nested::external_edge_sorted(pixel.order(), pixel.index(), order - pixel.order()).into_vec()
}

/// The corners (south, east, north, west) and the centre as `cdshealpix` has them, to compare ours with.
#[cfg(test)]
pub(crate) fn corners_and_centre(pixel: Pixel) -> ([crate::angle::Vec3; 4], crate::angle::Vec3) {
    let place = |(lon_rad, lat_rad): (f64, f64)| crate::angle::Vec3 {
        x: lat_rad.cos() * lon_rad.cos(),
        y: lat_rad.cos() * lon_rad.sin(),
        z: lat_rad.sin(),
    };
    let corners = nested::vertices(pixel.order(), pixel.index()).map(place);
    (corners, place(nested::center(pixel.order(), pixel.index())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_a_pixel_is_its_ring() {
        let pixels = (0..=2).flat_map(|order| (0..12_u64 << (2 * order)).map(move |index| (order, index)));
        for (order, index) in pixels.chain([(3, 0), (3, 21), (3, 63), (3, 767), (5, 1000)]) {
            let pixel = Pixel::new(order, index).unwrap();
            for at_order in order..=order + 4 {
                let mut touched: Vec<u64> = ring(pixel, order)
                    .into_iter()
                    .flat_map(|near| Pixel::new(order, near).unwrap().range_at(at_order))
                    .filter(|&near| touches(pixel, Pixel::new(at_order, near).unwrap()))
                    .collect();
                touched.sort_unstable();
                assert_eq!(touched, ring(pixel, at_order), "{pixel} at order {at_order}");
                // Within the pixel nothing touches it.
                assert!(pixel.range_at(at_order).all(|own| !touches(Pixel::new(at_order, own).unwrap(), pixel)));
            }
        }
    }
}
