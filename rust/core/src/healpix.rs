//! The only door to the `cdshealpix` crate: its words (depth, hash) stay behind it.

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

/// The pixels of a finer order that touch a pixel from outside, edges and corners, sorted.
///
/// This is the ring that hats-import keeps when it does not filter finely.
///
/// Precondition: `pixel.order() <= order <= 29`.
pub fn ring(pixel: Pixel, order: u8) -> Vec<u64> {
    debug_assert!(pixel.order() <= order);
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
