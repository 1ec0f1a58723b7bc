//! HEALPix as the map projection of Calabretta & Roukema (2007), with H = 4 and K = 3, in double-double.
//!
//! On their plane every pixel is a square standing on its corner, so an edge is a straight piece of the plane, and one
//! inverse projection serves every edge. Plane units are 45 degrees: base cells are centred at (1, 1), (0, 0), (1, -1)
//! and so on, and reach one unit to each corner; the belt is |v| <= 1, the poles are at |v| = 2.

use super::double_double::{Dd, PI};

/// A vector of space in double-double.
#[derive(Clone, Copy, Debug)]
pub struct Vector {
    pub x: Dd,
    pub y: Dd,
    pub z: Dd,
}

impl Vector {
    /// The point of the sphere at a right ascension and declination in degrees, converted in double-double.
    pub fn from_ra_dec_deg(ra_deg: f64, dec_deg: f64) -> Self {
        let (sin_dec, cos_dec) = radians(dec_deg).sin_cos();
        Self::from_longitude(radians(ra_deg), sin_dec, cos_dec)
    }

    #[inline]
    fn from_longitude(longitude_rad: Dd, sin_dec: Dd, cos_dec: Dd) -> Self {
        let (sin, cos) = longitude_rad.sin_cos();
        Self { x: cos_dec * cos, y: cos_dec * sin, z: sin_dec }
    }

    /// The squared length of the difference.
    #[inline]
    pub fn squared_chord(self, other: Self) -> Dd {
        let (x, y, z) = (self.x - other.x, self.y - other.y, self.z - other.z);
        x * x + y * y + z * z
    }

    /// The angle between two points of the sphere (Kahan): exact for tiny angles and near the antipode alike.
    pub fn separation_rad(self, other: Self) -> Dd {
        let opposite = Self { x: -other.x, y: -other.y, z: -other.z };
        Dd::atan2(self.squared_chord(other).sqrt(), self.squared_chord(opposite).sqrt()).scaled(2.0)
    }

    /// The nearest doubles.
    pub fn to_f64(self) -> [f64; 3] {
        [self.x.to_f64(), self.y.to_f64(), self.z.to_f64()]
    }
}

/// A whole or broken number of degrees, in radians.
fn radians(degrees: f64) -> Dd {
    PI * degrees / Dd::from(180.0)
}

/// A point of the plane, in units of 45 degrees: `u` eastward from the base cell's centre, `v` northward from the
/// equator.
#[derive(Clone, Copy, Debug)]
pub struct PlanePoint {
    pub u: Dd,
    pub v: Dd,
}

/// A base cell on the plane: where its centre is.
#[derive(Clone, Copy, Debug)]
pub struct BaseCell {
    centre_u: f64,
    centre_v: f64,
}

impl BaseCell {
    /// The base cell of that number: 0 to 3 northern, 4 to 7 on the equator, 8 to 11 southern.
    pub fn new(number: u64) -> Self {
        let column = (number % 4) as f64;
        match number / 4 {
            0 => Self { centre_u: 1.0 + 2.0 * column, centre_v: 1.0 },
            1 => Self { centre_u: 2.0 * column, centre_v: 0.0 },
            _ => Self { centre_u: 1.0 + 2.0 * column, centre_v: -1.0 },
        }
    }

    /// The place of (north-east, north-west) coordinates, each 0 to 1 within the base cell.
    #[inline]
    pub fn plane_point(self, east: Dd, west: Dd) -> PlanePoint {
        PlanePoint { u: east - west, v: east + west + Dd::from(self.centre_v - 1.0) }
    }

    /// The inverse projection: the point of the sphere.
    pub fn deproject(self, place: PlanePoint) -> Vector {
        let sigma = Dd::from(2.0) - place.v.abs();
        let (longitude, sin_dec, cos_dec) = if sigma >= Dd::ONE {
            let sin_dec = place.v.scaled(2.0) / Dd::from(3.0);
            (place.u, sin_dec, ((Dd::ONE - sin_dec) * (Dd::ONE + sin_dec)).sqrt())
        } else if sigma.hi <= 0.0 {
            (Dd::ZERO, Dd::ONE, Dd::ZERO)
        } else {
            // sin of half the colatitude is sigma / sqrt 6; the double-angle formulas keep full precision at the pole.
            let half_squared = sigma * sigma / Dd::from(6.0);
            let cos_dec = (half_squared * (Dd::ONE - half_squared)).sqrt().scaled(2.0);
            (place.u / sigma, Dd::ONE - half_squared.scaled(2.0), cos_dec)
        };
        let sin_dec = if sigma < Dd::ONE && self.centre_v < 0.0 { -sin_dec } else { sin_dec };
        Vector::from_longitude((longitude + Dd::from(self.centre_u)) * PI.scaled(0.25), sin_dec, cos_dec)
    }

    /// The projection of a position in degrees as (north-east, north-west) coordinates in this base cell.
    ///
    /// None where the position is certainly in another base cell; positions on the rim may come out as either.
    pub fn project(self, ra_deg: f64, dec_deg: f64) -> Option<(Dd, Dd)> {
        let mut longitude = Dd::from(ra_deg) / Dd::from(45.0) - Dd::from(self.centre_u);
        while longitude >= Dd::from(4.0) {
            longitude = longitude - Dd::from(8.0);
        }
        while longitude < Dd::from(-4.0) {
            longitude = longitude + Dd::from(8.0);
        }
        let (sin_dec, _) = radians(dec_deg).sin_cos();
        let belt_v = sin_dec.scaled(0.5) * 3.0;
        let (u, v) = if belt_v.abs() <= Dd::ONE {
            (longitude, belt_v)
        } else if longitude.abs() > Dd::ONE || belt_v.hi * self.centre_v <= 0.0 {
            return None;
        } else {
            let colatitude_deg = Dd::sum_of(90.0, -dec_deg.abs());
            let (sin_half, _) = (PI * colatitude_deg / Dd::from(360.0)).sin_cos();
            let sigma = Dd::from(6.0).sqrt() * sin_half;
            let v = Dd::from(2.0) - sigma;
            (longitude * sigma, if belt_v.hi < 0.0 { -v } else { v })
        };
        let height = v - Dd::from(self.centre_v - 1.0);
        Some(((height + u).scaled(0.5), (height - u).scaled(0.5)))
    }
}
