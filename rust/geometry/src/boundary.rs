//! The four edges of a pixel as the exact curves they are.
//!
//! Within a base cell a pixel is the square `[x, x+1] x [y, y+1]` in units of 1/nside, x to the north-east and y to the
//! north-west; on the sphere its edges are not great circles. An edge lives either in the equatorial belt (|z| <= 2/3)
//! or in a polar cap, never in both, because corners have `x + y` at multiples of 1/nside. With s the length along the
//! edge in units of the base cell's side:
//!
//! * belt: longitude and z are linear, dlon/ds = ±π/4 and dz/ds = ±2/3;
//! * cap: with a and b the distances of the point from the two sides of the base cell that meet at the pole and
//!   σ = a + b, z = ±(1 - σ²/3), sin(colatitude) = σ √(2/3 - σ²/9), and the longitude is that of the side plus or minus
//!   (π/2) a/σ (b/σ on the other side's account), where a (or b) is constant along the edge.
//!
//! Source: Górski et al. 2005, ApJ 622, 759, sections 4 and 5; the same in Calabretta & Roukema 2007, MNRAS 381, 865.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

use crate::angle::{Vec3, quarter_turns};
use crate::pixel::Pixel;

/// Below this deviation (2e-11 arcsec) a chord and its curve are equal in double precision.
pub(crate) const NEGLIGIBLE_DEVIATION: f64 = 1e-16;

/// No point of a pixel is farther from its centre than this over nside, in radians.
///
/// A straight path from the centre in base-cell coordinates has |dx|, |dy| <= h/2 with h = 1/nside. In the belt its
/// squared length element is dz²/ρ² + ρ² dlon² <= (4/9)(9/5)(dx+dy)² + (π/4)²(dx-dy)² <= 0.80 h², since
/// |dx+dy| + |dx-dy| <= h. In a cap it is (4/3)/(1+|z|) dσ² + (1+|z|)/3 (π/2)² ((b da - a db)/σ)², a convex form whose
/// maximum over the square is at a corner of it: <= 0.80 h² + (5/9)(π²/16) h² = 1.1428 h² at |z| = 2/3 and less towards
/// the pole. √1.1428 = 1.0690.
///
/// # Examples
/// ```
/// # use skymargin_geometry::{boundary::{CENTRE_TO_EDGE_RAD, radius_rad}, pixel::Pixel};
/// assert_eq!(radius_rad(Pixel::new(3, 5).unwrap()), CENTRE_TO_EDGE_RAD / 8.0);
/// ```
pub const CENTRE_TO_EDGE_RAD: f64 = 1.0691;

/// How an edge runs.
#[derive(Clone, Copy, Debug)]
enum Course {
    /// Longitude `quarters * 90° + eighths * 45°` and z both linear.
    Belt {
        /// Multiples of 90 degrees taken out of the longitude.
        quarters: i64,
        /// What is left of the longitude at the start, in 45 degrees, within [-1, 1].
        start_eighths: f64,
        /// +1 eastwards or -1 westwards.
        east: f64,
        /// 3z/2 at the start, a multiple of 1/nside.
        start_height: f64,
    },
    /// Towards or from a pole, at a constant distance from a meridian side of the base cell.
    Cap {
        /// The longitude of that side in 90 degrees.
        quarters: i64,
        /// +1 when the base cell lies east of that side, -1 when west.
        east: f64,
        /// Distance from that side, in 1/nside.
        offset: f64,
        /// σ at the start, in 1/nside.
        start_sigma: f64,
        /// +1 when σ grows along the edge, -1 when it shrinks.
        away: f64,
        /// +1 for the northern cap, -1 for the southern.
        hemisphere: f64,
    },
}

/// One edge of a pixel: a smooth curve on t in [0, 1].
///
/// # Accuracy
/// Each component of [`Edge::position`] is within 5e-16 of the exact curve, and the point within 7e-16: z and the
/// distance from the axis round by 2.4e-16 at most, the longitude by 4.3e-16 where the circle of latitude has 3/4 of
/// the equator's radius; `sin` and `cos` are within 1 ulp ([assumed](crate#accuracy)), which is 1.11e-16 below 1.
///
/// # Examples
/// ```
/// # use skymargin_geometry::{boundary, pixel::Pixel};
/// // Base cell 0 reaches from the equator to the pole.
/// let [south_west, _, _, north_west] = boundary::edges(Pixel::new(0, 0).unwrap());
/// assert_eq!(south_west.position(0.0).z, 0.0);
/// assert_eq!(north_west.position(1.0).z, 1.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    course: Course,
    /// 1/nside: the length of the edge in units of the base cell's side.
    length: f64,
}

/// A point of an edge with the derivatives of the curve in s, the length along the edge in sides of the base cell.
///
/// # Examples
/// ```
/// # use skymargin_geometry::{boundary, pixel::Pixel};
/// let jet = boundary::edges(Pixel::new(2, 17).unwrap())[0].jet(0.5);
/// // The curve lies on the sphere, so that its derivative is at right angles to the point.
/// assert!(jet.position.dot(jet.first).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Jet {
    /// The point, on the unit sphere.
    pub position: Vec3,
    /// The first derivative.
    pub first: Vec3,
    /// The second derivative.
    pub second: Vec3,
}

/// The coordinate that stays constant along an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Along {
    /// y runs, x stays.
    Row,
    /// x runs, y stays.
    Column,
}

/// The four edges of a pixel: south-west, north-east, south-east, north-west.
///
/// # Examples
/// ```
/// # use skymargin_geometry::{boundary, pixel::Pixel};
/// let [south_west, _, _, north_west] = boundary::edges(Pixel::new(4, 1234).unwrap());
/// // They meet at the western corner.
/// assert!((south_west.position(1.0) - north_west.position(0.0)).squared() < 1e-30);
/// ```
pub fn edges(pixel: Pixel) -> [Edge; 4] {
    let (column, row) = pixel.column_row();
    let (cell, nside) = (pixel.base_cell(), pixel.nside());
    [
        Edge::new(cell, nside, Along::Row, column, row),
        Edge::new(cell, nside, Along::Row, column + 1, row),
        Edge::new(cell, nside, Along::Column, column, row),
        Edge::new(cell, nside, Along::Column, column, row + 1),
    ]
}

/// The centre of a pixel, on the unit sphere.
///
/// # Examples
/// ```
/// # use skymargin_geometry::{boundary, pixel::Pixel};
/// let centre = boundary::centre(Pixel::new(0, 4).unwrap());
/// assert_eq!((centre.x, centre.y, centre.z), (1.0, 0.0, 0.0));
/// ```
pub fn centre(pixel: Pixel) -> Vec3 {
    let (column, row) = pixel.column_row();
    // On the grid twice as fine the centre is a corner, where an edge starts.
    Edge::new(pixel.base_cell(), 2 * pixel.nside(), Along::Row, 2 * column + 1, 2 * row + 1).position(0.0)
}

/// A bound of the distance from a pixel's centre to its farthest point, in radians; see [`CENTRE_TO_EDGE_RAD`].
///
/// # Examples
/// ```
/// # use skymargin_geometry::{boundary, pixel::Pixel};
/// let pixel = Pixel::new(6, 20_000).unwrap();
/// let corner = boundary::edges(pixel)[0].position(0.0);
/// assert!((corner - boundary::centre(pixel)).squared().sqrt() <= boundary::radius_rad(pixel));
/// ```
pub fn radius_rad(pixel: Pixel) -> f64 {
    CENTRE_TO_EDGE_RAD / pixel.nside() as f64
}

impl Edge {
    /// The edge of length 1/nside that starts at (column, row) of a base cell.
    fn new(base_cell: u8, nside: u64, along: Along, column: u64, row: u64) -> Self {
        let cell = i64::from(base_cell);
        let (column, row, nside) = (column as i64, row as i64, nside as i64);
        let length = 1.0 / nside as f64;
        // The middle line of the base cell: its longitude in 45 degrees, and 3z/2 at its centre.
        let (middle_eighths, middle_height) = match cell / 4 {
            0 => (2 * (cell % 4) + 1, 1),
            1 => (2 * (cell % 4), 0),
            _ => (2 * (cell % 4) + 1, -1),
        };
        let height = column + row - nside + middle_height * nside;
        let course = if (-nside..nside).contains(&height) {
            let eighths = middle_eighths * nside + column - row;
            let quarters = (eighths + nside).div_euclid(2 * nside);
            Course::Belt {
                quarters,
                start_eighths: (eighths - 2 * quarters * nside) as f64 * length,
                east: if along == Along::Column { 1.0 } else { -1.0 },
                start_height: height as f64 * length,
            }
        } else {
            let north = height > 0;
            // Distances from the side on the east (of x = 1 in the north, y = 0 in the south) and on the west.
            let (to_east, to_west) = if north { (nside - column, nside - row) } else { (row, column) };
            let east_stays = (along == Along::Row) == north;
            let (offset, east, side_eighths) =
                if east_stays { (to_east, -1.0, middle_eighths + 1) } else { (to_west, 1.0, middle_eighths - 1) };
            Course::Cap {
                quarters: side_eighths / 2,
                east,
                offset: offset as f64,
                start_sigma: (to_east + to_west) as f64,
                away: if north { -1.0 } else { 1.0 },
                hemisphere: if north { 1.0 } else { -1.0 },
            }
        };
        Self { course, length }
    }

    /// The length of the edge in sides of the base cell: 1/nside.
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{boundary, pixel::Pixel};
    /// assert_eq!(boundary::edges(Pixel::new(3, 5).unwrap())[2].length(), 0.125);
    /// ```
    pub const fn length(&self) -> f64 {
        self.length
    }

    /// The point at t in [0, 1].
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{boundary, pixel::Pixel};
    /// let middle = boundary::edges(Pixel::new(3, 5).unwrap())[2].position(0.5);
    /// assert!((middle.squared() - 1.0).abs() < 1e-15);
    /// ```
    pub fn position(&self, t: f64) -> Vec3 {
        match self.course {
            Course::Belt { quarters, start_eighths, east, start_height } => {
                let z = (start_height + t * self.length) * (2.0 / 3.0);
                let rho = ((1.0 - z) * (1.0 + z)).sqrt();
                let (sin, cos) = ((start_eighths + east * t * self.length) * FRAC_PI_4).sin_cos();
                let (sin, cos) = quarter_turns(quarters, sin, cos);
                Vec3 { x: rho * cos, y: rho * sin, z }
            }
            Course::Cap { quarters, east, offset, start_sigma, away, hemisphere } => {
                let sigma_steps = start_sigma + away * t;
                let sigma = sigma_steps * self.length;
                let rho = sigma * (2.0 / 3.0 - sigma * sigma / 9.0).sqrt();
                // Without an offset the edge is the meridian itself, also at the pole, where σ is 0.
                let turn = if offset == 0.0 { 0.0 } else { east * FRAC_PI_2 * (offset / sigma_steps) };
                let (sin, cos) = turn.sin_cos();
                let (sin, cos) = quarter_turns(quarters, sin, cos);
                Vec3 { x: rho * cos, y: rho * sin, z: hemisphere * (1.0 - sigma * sigma / 3.0) }
            }
        }
    }

    /// The point at t in [0, 1] with the derivatives of the curve.
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{boundary, pixel::Pixel};
    /// let edge = boundary::edges(Pixel::new(3, 5).unwrap())[2];
    /// let (jet, position) = (edge.jet(0.25), edge.position(0.25));
    /// assert!((jet.position - position).squared() < 1e-30);
    /// assert!(jet.second.squared().sqrt() <= edge.second_derivative_bound());
    /// ```
    pub fn jet(&self, t: f64) -> Jet {
        // In cylinder coordinates: e = ρ u + z k, with u' = lon' w and w' = -lon' u.
        let (quarters, turn_rad, lon_1, lon_2, rho, rho_1, rho_2, z, z_1, z_2) = match self.course {
            Course::Belt { quarters, start_eighths, east, start_height } => {
                let z = (start_height + t * self.length) * (2.0 / 3.0);
                let rho = ((1.0 - z) * (1.0 + z)).sqrt();
                let turn_rad = (start_eighths + east * t * self.length) * FRAC_PI_4;
                let z_1: f64 = 2.0 / 3.0;
                let rho_2 = -z_1 * z_1 / (rho * rho * rho);
                (quarters, turn_rad, east * FRAC_PI_4, 0.0, rho, -z * z_1 / rho, rho_2, z, z_1, 0.0)
            }
            Course::Cap { quarters, east, offset, start_sigma, away, hemisphere } => {
                let sigma_steps = start_sigma + away * t;
                let sigma = sigma_steps * self.length;
                let height = 1.0 - sigma * sigma / 3.0;
                let g = (2.0 / 3.0 - sigma * sigma / 9.0).sqrt();
                let turn_rad = if offset == 0.0 { 0.0 } else { east * FRAC_PI_2 * (offset / sigma_steps) };
                let (lon_1, lon_2) = if offset == 0.0 {
                    (0.0, 0.0)
                } else {
                    (-away * turn_rad / sigma, 2.0 * turn_rad / (sigma * sigma))
                };
                let rho_1 = away * (2.0 / 3.0) * height / g;
                let rho_2 = -(2.0 / 9.0) * sigma * (2.0 + height) / ((1.0 + height) * g);
                let z_1 = -away * hemisphere * (2.0 / 3.0) * sigma;
                let z_2 = -hemisphere * (2.0 / 3.0);
                (quarters, turn_rad, lon_1, lon_2, sigma * g, rho_1, rho_2, hemisphere * height, z_1, z_2)
            }
        };
        let (sin, cos) = turn_rad.sin_cos();
        let (sin, cos) = quarter_turns(quarters, sin, cos);
        let in_frame = |radial: f64, tangential: f64, vertical: f64| Vec3 {
            x: radial * cos - tangential * sin,
            y: radial * sin + tangential * cos,
            z: vertical,
        };
        Jet {
            position: in_frame(rho, 0.0, z),
            first: in_frame(rho_1, rho * lon_1, z_1),
            second: in_frame(rho_2 - rho * lon_1 * lon_1, 2.0 * rho_1 * lon_1 + rho * lon_2, z_2),
        }
    }

    /// The t at which a meridian edge is nearest to a point; `None` when the edge is not a meridian.
    ///
    /// It is the stationary point of the distance on the whole meridian and may lie beyond the ends of the edge: then
    /// one of the ends is nearest.
    ///
    /// On a meridian of longitude λ, at colatitude θ, p·e = A sin θ + B cos θ with A = p·(cos λ, sin λ) and B = ±p_z,
    /// greatest at atan2(A, B); and σ = √6 sin(θ/2).
    ///
    /// # Accuracy
    /// An error of 1e-15 in t is harmless: at its minimum the distance depends on t in second order.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::UnitVector;
    /// # use skymargin_geometry::{boundary, pixel::Pixel};
    /// let [south_west, _, _, north_west] = boundary::edges(Pixel::new(0, 0).unwrap());
    /// let point = UnitVector::from_ra_dec_deg(350.0, 60.0).unwrap().as_vec3();
    /// assert_eq!(south_west.nearest_on_meridian(point), None);
    /// let t = north_west.nearest_on_meridian(point).unwrap();
    /// assert!(t > 0.0 && t < 1.0);
    /// ```
    pub fn nearest_on_meridian(&self, point: Vec3) -> Option<f64> {
        match self.course {
            Course::Cap { quarters, offset: 0.0, start_sigma, away, hemisphere, .. } => {
                let (sin, cos) = quarter_turns(quarters, 0.0, 1.0);
                let colatitude_rad = (point.x * cos + point.y * sin).atan2(hemisphere * point.z);
                let sigma = 6.0_f64.sqrt() * (0.5 * colatitude_rad).sin();
                Some((sigma / self.length - start_sigma) * away)
            }
            Course::Belt { .. } | Course::Cap { .. } => None,
        }
    }

    /// A bound of the length of the second derivative anywhere on the edge.
    ///
    /// Belt: |e''|² = (z'²/ρ³ + ρ lon'²)² + (2 z z' lon'/ρ)², which grows with |z| and is 1.7966² at |z| = 2/3.
    /// Cap, with C = (π/2)·offset and g² = 2/3 - σ²/9 in [5/9, 2/3]: |ρ''| = (2/9) σ (2+|z|)/((1+|z|) g) <= 0.478 σ;
    /// ρ lon'² = g C²/σ³ <= 2.0147 offset²/σ³; the tangential part is 2C/(9g) <= 0.469 offset; |z''| = 2/3.
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{boundary, pixel::Pixel};
    /// // In the belt one bound holds for all edges.
    /// assert_eq!(boundary::edges(Pixel::new(4, 4 << 8).unwrap())[0].second_derivative_bound(), 1.797);
    /// ```
    pub fn second_derivative_bound(&self) -> f64 {
        match self.course {
            Course::Belt { .. } => 1.797,
            Course::Cap { offset, start_sigma, away, .. } => {
                let end_sigma = start_sigma + away;
                let sigma_low = start_sigma.min(end_sigma) * self.length;
                let sigma_high = start_sigma.max(end_sigma) * self.length;
                let offset = offset * self.length;
                let turning =
                    if offset == 0.0 { 0.0 } else { 2.0147 * (offset / sigma_low) * (offset / sigma_low) / sigma_low };
                let radial = 0.478 * sigma_high + turning;
                let tangential = 0.469 * offset;
                (radial * radial + tangential * tangential + 4.0 / 9.0).sqrt()
            }
        }
    }

    /// The bound of the chord step: the largest distance between a stretch of the edge, `part` of it long, and its
    /// chord, at equal parameter.
    ///
    /// The error of linear interpolation of a curve with |e''| <= M over a step h is at most M h² / 8.
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{boundary, pixel::Pixel};
    /// let edge = boundary::edges(Pixel::new(4, 4 << 8).unwrap())[0];
    /// // A chord of half an edge deviates at most a quarter as far.
    /// assert_eq!(edge.deviation_bound(0.5), edge.deviation_bound(1.0) / 4.0);
    /// ```
    pub fn deviation_bound(&self, part: f64) -> f64 {
        let step = part * self.length;
        self.second_derivative_bound() * step * step / 8.0
    }

    /// A lower bound of the squared length of the first derivative anywhere on the edge.
    ///
    /// Belt: z'²/ρ² + ρ² lon'² = (4/9)/ρ² + (π²/16) ρ² >= 2 (2/3)(π/4) = π/3. Cap: (4/3)/(1+|z|) + (1+|z|)/3 (C/σ)²
    /// >= 2/3.
    ///
    /// # Examples
    /// ```
    /// # use skymargin_geometry::{boundary, pixel::Pixel};
    /// let edge = boundary::edges(Pixel::new(4, 300).unwrap())[1];
    /// assert!(edge.jet(0.7).first.squared() >= edge.squared_speed_bound());
    /// ```
    pub fn squared_speed_bound(&self) -> f64 {
        match self.course {
            Course::Belt { .. } => 1.047,
            Course::Cap { .. } => 2.0 / 3.0 - 1e-9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::healpix;

    #[test]
    fn corners_and_centres_are_those_of_cdshealpix() {
        let close = |a: Vec3, b: Vec3| (a - b).squared().sqrt() <= 2e-15;
        let orders = (0..=3).flat_map(|order| (0..12 << (2 * order)).map(move |index| (order, index)));
        let fine = [10, 20, 29].into_iter().flat_map(|order| {
            let last = (1_u64 << (2 * order)) - 1;
            (0..12_u64).flat_map(move |cell| {
                [0, 1, last / 3, last / 2, last - 1, last].map(|within| (order, (cell << (2 * order)) + within))
            })
        });
        for (order, index) in orders.chain(fine) {
            let pixel = Pixel::new(order, index).unwrap();
            let [_, north_east, south_east, _] = edges(pixel);
            let [south, east, north, _] = healpix::corners_and_centre(pixel).0;
            let centre_there = healpix::corners_and_centre(pixel).1;
            assert!(close(south_east.position(0.0), south), "{pixel}");
            assert!(close(north_east.position(0.0), east), "{pixel}");
            assert!(close(north_east.position(1.0), north), "{pixel}");
            assert!(close(centre(pixel), centre_there), "{pixel}");
        }
    }
}
