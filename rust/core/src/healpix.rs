//! The only door to the `cdshealpix` crate: its words (depth, hash) stay behind it.

use cdshealpix::compass_point::MainWind;
use cdshealpix::nested;

use crate::pixel::Pixel;

/// The index, at an order, of the pixel a position lies in.
///
/// Preconditions: `order <= 29`, ra finite, dec in [-90, 90] degrees.
///
/// # Accuracy
/// A position within about 1e-15 rad of an edge may be given to the neighbour.
pub fn index_of_ra_dec_deg(order: u8, ra_deg: f64, dec_deg: f64) -> u64 {
    debug_assert!(ra_deg.is_finite() && dec_deg.abs() <= 90.0);
    nested::hash(order, ra_deg.to_radians(), dec_deg.to_radians())
}

/// The winds in which a pixel has neighbours.
const WINDS: [MainWind; 8] =
    [MainWind::S, MainWind::SE, MainWind::E, MainWind::SW, MainWind::NE, MainWind::W, MainWind::NW, MainWind::N];

/// The pixels of its own order that touch a pixel at an edge or a corner: six to eight.
pub fn touching(pixel: Pixel) -> impl Iterator<Item = Pixel> + Clone {
    let order = pixel.order();
    let around = nested::neighbours(order, pixel.index(), false);
    let around = WINDS.map(|wind| around.get(wind).and_then(|&index| Pixel::new(order, index).ok()));
    around.into_iter().flatten()
}

/// Whether two pixels that share no sky touch at an edge or a corner; pixels that share sky do not.
///
/// At the order of the finer pixel, those that touch a coarser one from outside are the ring that hats-import keeps when
/// it does not filter finely.
pub fn touches(one: Pixel, other: Pixel) -> bool {
    let (coarse, fine) = if one.order() <= other.order() { (one, other) } else { (other, one) };
    !coarse.contains(fine) && touching(fine).any(|near| coarse.contains(near))
}

/// The pixels of a finer order that touch a pixel from outside, edges and corners, sorted: as many as
/// 4 (2^(order - pixel.order()) + 1), hence for tests alone.
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
