//! Angles and points on the sphere: arcseconds in the public interface, radians and squared chords inside.

use std::f64::consts::PI;

use thiserror::Error;

/// One arcsecond in radians.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::ARCSEC_RAD;
///
/// assert!((3600.0 * ARCSEC_RAD - 1_f64.to_radians()).abs() < 1e-17);
/// ```
pub const ARCSEC_RAD: f64 = PI / 648_000.0;

/// The largest threshold: 90 degrees.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::{MAX_THRESHOLD_ARCSEC, Threshold};
///
/// assert!(Threshold::from_arcsec(MAX_THRESHOLD_ARCSEC).is_ok());
/// ```
pub const MAX_THRESHOLD_ARCSEC: f64 = 90.0 * 3600.0;

/// Why a number is refused as a threshold or a position.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::{AngleError, Threshold};
///
/// assert_eq!(Threshold::from_arcsec(-1.0), Err(AngleError::Threshold { arcsec: -1.0 }));
/// ```
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum AngleError {
    /// A threshold that is zero, negative, not a number or above 90 degrees.
    #[error(
        "margin_threshold {arcsec} arcsec is not allowed: it must be above 0 and at most {MAX_THRESHOLD_ARCSEC} (90 degrees)"
    )]
    Threshold {
        /// The threshold given.
        arcsec: f64,
    },
    /// A position that is not on the sphere.
    #[error("ra {ra_deg}, dec {dec_deg} is not a position: ra must be -360 to 360 degrees and dec -90 to 90 degrees")]
    Position {
        /// Right ascension as given.
        ra_deg: f64,
        /// Declination as given.
        dec_deg: f64,
    },
}

/// Checks that a right ascension and a declination are a position.
///
/// # Errors
/// [`AngleError::Position`] unless ra is in [-360, 360] and dec in [-90, 90] degrees.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::check_position;
///
/// assert!(check_position(359.9, -90.0).is_ok());
/// assert!(check_position(f64::NAN, 0.0).is_err());
/// ```
#[inline]
pub fn check_position(ra_deg: f64, dec_deg: f64) -> Result<(), AngleError> {
    // Written so that a NaN fails.
    if ra_deg.abs() <= 360.0 && dec_deg.abs() <= 90.0 { Ok(()) } else { Err(AngleError::Position { ra_deg, dec_deg }) }
}

/// A point of the unit sphere.
///
/// # Accuracy
/// Each component of [`UnitVector::from_ra_dec_deg`] is within 3.1e-16 of the exact value for the given doubles, and
/// the point within 5e-16 rad: the degrees are reduced to at most 45 without rounding; converting them to radians
/// rounds by 6.9e-17; `sin` and `cos` are within 1 ulp ([assumed](crate#accuracy)), which is 1.11e-16 below 1; and the
/// product of two such factors rounds by 5.6e-17.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::UnitVector;
///
/// let pole = UnitVector::from_ra_dec_deg(123.0, 90.0)?;
/// assert_eq!((pole.x, pole.y, pole.z), (0.0, 0.0, 1.0));
/// # Ok::<(), skymargin_geometry::angle::AngleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitVector {
    /// Towards ra 0, dec 0.
    pub x: f64,
    /// Towards ra 90, dec 0.
    pub y: f64,
    /// Towards dec 90.
    pub z: f64,
}

impl UnitVector {
    /// The point at a right ascension and a declination in degrees.
    ///
    /// # Errors
    /// [`AngleError::Position`] unless ra is in [-360, 360] and dec in [-90, 90].
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::UnitVector;
    ///
    /// let west = UnitVector::from_ra_dec_deg(-90.0, 0.0)?;
    /// assert_eq!((west.x, west.y, west.z), (0.0, -1.0, 0.0));
    /// assert!(UnitVector::from_ra_dec_deg(0.0, 90.1).is_err());
    /// # Ok::<(), skymargin_geometry::angle::AngleError>(())
    /// ```
    pub fn from_ra_dec_deg(ra_deg: f64, dec_deg: f64) -> Result<Self, AngleError> {
        check_position(ra_deg, dec_deg)?;
        let (sin_ra, cos_ra) = sin_cos_deg(ra_deg);
        let (sin_dec, cos_dec) = sin_cos_deg(dec_deg);
        Ok(Self { x: cos_dec * cos_ra, y: cos_dec * sin_ra, z: sin_dec })
    }

    /// The point as a vector.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::UnitVector;
    ///
    /// let point = UnitVector::from_ra_dec_deg(12.5, -33.0)?.as_vec3();
    /// assert!((point.squared() - 1.0).abs() < 1e-15);
    /// # Ok::<(), skymargin_geometry::angle::AngleError>(())
    /// ```
    pub const fn as_vec3(self) -> Vec3 {
        Vec3 { x: self.x, y: self.y, z: self.z }
    }
}

/// A vector in space: a point, the difference of two points, or a derivative of a curve.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::Vec3;
///
/// let (a, b) = (Vec3 { x: 1.0, y: 2.0, z: 3.0 }, Vec3 { x: 1.0, y: 0.0, z: 3.0 });
/// assert_eq!(a - b, Vec3 { x: 0.0, y: 2.0, z: 0.0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vec3 {
    /// First component.
    pub x: f64,
    /// Second component.
    pub y: f64,
    /// Third component.
    pub z: f64,
}

impl Vec3 {
    /// The scalar product.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Vec3;
    ///
    /// let (a, b) = (Vec3 { x: 1.0, y: 2.0, z: 3.0 }, Vec3 { x: 2.0, y: 0.0, z: 1.0 });
    /// assert_eq!(a.dot(b), 5.0);
    /// ```
    #[inline]
    pub fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    /// This vector plus `factor` times another.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Vec3;
    ///
    /// let (a, b) = (Vec3 { x: 1.0, y: 2.0, z: 3.0 }, Vec3 { x: 2.0, y: 0.0, z: 1.0 });
    /// assert_eq!(a.plus_scaled(-2.0, b), Vec3 { x: -3.0, y: 2.0, z: 1.0 });
    /// ```
    #[inline]
    pub fn plus_scaled(self, factor: f64, other: Self) -> Self {
        Self { x: self.x + factor * other.x, y: self.y + factor * other.y, z: self.z + factor * other.z }
    }

    /// The squared length.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Vec3;
    ///
    /// assert_eq!(Vec3 { x: 3.0, y: 0.0, z: 4.0 }.squared(), 25.0);
    /// ```
    #[inline]
    pub fn squared(self) -> f64 {
        self.dot(self)
    }

    /// Where the perpendicular from this point meets the line through `start` and `end`: 0 at the start, 1 at the end.
    ///
    /// It is 0 when the two ends are the same point.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Vec3;
    ///
    /// let (start, end) = (Vec3 { x: 0.0, y: 0.0, z: 0.0 }, Vec3 { x: 4.0, y: 0.0, z: 0.0 });
    /// assert_eq!(Vec3 { x: 1.0, y: 7.0, z: 0.0 }.foot_on_line(start, end), 0.25);
    /// ```
    #[inline]
    pub fn foot_on_line(self, start: Self, end: Self) -> f64 {
        let along = end - start;
        let squared = along.squared();
        if squared > 0.0 { (self - start).dot(along) / squared } else { 0.0 }
    }

    /// The squared distance to the point of the segment from `start` to `end` that is nearest to `foot` on its line.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Vec3;
    ///
    /// let (start, end) = (Vec3 { x: 0.0, y: 0.0, z: 0.0 }, Vec3 { x: 4.0, y: 0.0, z: 0.0 });
    /// let point = Vec3 { x: 6.0, y: 1.0, z: 0.0 };
    /// assert_eq!(point.squared_distance_at(start, end, point.foot_on_line(start, end)), 5.0);
    /// ```
    #[inline]
    pub fn squared_distance_at(self, start: Self, end: Self, foot: f64) -> f64 {
        (self - start).plus_scaled(-foot.clamp(0.0, 1.0), end - start).squared()
    }

    /// The squared distance to the straight segment from `start` to `end`.
    ///
    /// # Accuracy
    /// Its root is within a few roundings of the coordinates: any point of the segment bounds the distance from above,
    /// and near its minimum the distance hardly depends on where the foot is.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Vec3;
    ///
    /// let (start, end) = (Vec3 { x: 0.0, y: 0.0, z: 0.0 }, Vec3 { x: 4.0, y: 0.0, z: 0.0 });
    /// assert_eq!(Vec3 { x: 1.0, y: 3.0, z: 0.0 }.squared_distance_to_segment(start, end), 9.0);
    /// ```
    #[inline]
    pub fn squared_distance_to_segment(self, start: Self, end: Self) -> f64 {
        self.squared_distance_at(start, end, self.foot_on_line(start, end))
    }
}

impl std::ops::Sub for Vec3 {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        Self { x: self.x - other.x, y: self.y - other.y, z: self.z - other.z }
    }
}

/// A margin threshold: above 0, at most 90 degrees.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::Threshold;
///
/// let threshold = Threshold::from_arcsec(5.0)?;
/// assert_eq!(threshold.arcsec(), 5.0);
/// # Ok::<(), skymargin_geometry::angle::AngleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Threshold {
    arcsec: f64,
}

impl Threshold {
    /// A threshold in arcseconds.
    ///
    /// # Errors
    /// [`AngleError::Threshold`] unless it is above 0 and at most 324,000 (90 degrees).
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    ///
    /// assert!(Threshold::from_arcsec(0.001).is_ok());
    /// assert!(Threshold::from_arcsec(0.0).is_err());
    /// ```
    pub fn from_arcsec(arcsec: f64) -> Result<Self, AngleError> {
        if arcsec > 0.0 && arcsec <= MAX_THRESHOLD_ARCSEC {
            Ok(Self { arcsec })
        } else {
            Err(AngleError::Threshold { arcsec })
        }
    }

    /// The threshold in arcseconds, as given.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    ///
    /// assert_eq!(Threshold::from_arcsec(0.1)?.arcsec(), 0.1);
    /// # Ok::<(), skymargin_geometry::angle::AngleError>(())
    /// ```
    pub const fn arcsec(self) -> f64 {
        self.arcsec
    }

    /// The threshold in radians.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    ///
    /// assert_eq!(Threshold::from_arcsec(3600.0)?.rad(), 1_f64.to_radians());
    /// # Ok::<(), skymargin_geometry::angle::AngleError>(())
    /// ```
    pub fn rad(self) -> f64 {
        self.arcsec * ARCSEC_RAD
    }

    /// The length of the chord that spans the threshold.
    ///
    /// # Accuracy
    /// Within 3.2e-16: the sine is within 1 ulp ([assumed](crate#accuracy)), and its argument within 1.4e-16.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    ///
    /// let quarter = Threshold::from_arcsec(324_000.0)?.chord();
    /// assert!((quarter - 2_f64.sqrt()).abs() < 1e-15);
    /// # Ok::<(), skymargin_geometry::angle::AngleError>(())
    /// ```
    pub fn chord(self) -> f64 {
        chord_of_rad(self.rad())
    }
}

/// The chord of an angle in radians.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::chord_of_rad;
///
/// assert!((chord_of_rad(std::f64::consts::PI) - 2.0).abs() < 1e-15);
/// ```
pub fn chord_of_rad(angle_rad: f64) -> f64 {
    2.0 * (0.5 * angle_rad).sin()
}

/// The angle between two points of the unit sphere in arcseconds.
///
/// # Accuracy
/// Full precision from 0 to 180 degrees: half the angle has the tangent |a - b| / |a + b|, whereas the chord alone
/// loses half of the digits near the antipode.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::{UnitVector, arcsec_between};
///
/// let (a, b) = (UnitVector::from_ra_dec_deg(10.0, 0.0)?, UnitVector::from_ra_dec_deg(10.0, 1.0)?);
/// assert!((arcsec_between(a.as_vec3(), b.as_vec3()) - 3600.0).abs() < 1e-9);
/// # Ok::<(), skymargin_geometry::angle::AngleError>(())
/// ```
pub fn arcsec_between(a: Vec3, b: Vec3) -> f64 {
    2.0 * (a - b).squared().sqrt().atan2(a.plus_scaled(1.0, b).squared().sqrt()) / ARCSEC_RAD
}

/// Sine and cosine of an angle in degrees, exact in its reduction.
///
/// Precondition: `angle_deg` is finite.
fn sin_cos_deg(angle_deg: f64) -> (f64, f64) {
    debug_assert!(angle_deg.is_finite());
    // Multiples of 90 below 2^53 and the difference are exact, because both lie on the grid of the finer operand.
    let quarters = (angle_deg / 90.0 + 0.5_f64.copysign(angle_deg)) as i64;
    let rest_deg = angle_deg - 90.0 * quarters as f64;
    let (sin, cos) = (rest_deg * (PI / 180.0)).sin_cos();
    quarter_turns(quarters, sin, cos)
}

/// Sine and cosine of `quarters * 90 degrees + a` from those of `a`.
pub(crate) fn quarter_turns(quarters: i64, sin: f64, cos: f64) -> (f64, f64) {
    match quarters.rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_quarters_are_exact() {
        let pole = UnitVector::from_ra_dec_deg(123.0, 90.0).unwrap();
        assert_eq!((pole.x, pole.y, pole.z), (0.0, 0.0, 1.0));
        let west = UnitVector::from_ra_dec_deg(270.0, 0.0).unwrap();
        assert_eq!((west.x, west.y, west.z), (0.0, -1.0, 0.0));
        let round = UnitVector::from_ra_dec_deg(360.0, -90.0).unwrap();
        assert_eq!((round.x, round.y, round.z), (0.0, 0.0, -1.0));
    }

    #[test]
    fn refuses_what_is_no_position() {
        for (ra_deg, dec_deg) in [(f64::NAN, 0.0), (0.0, f64::NAN), (0.0, 90.1), (361.0, 0.0), (f64::INFINITY, 0.0)] {
            assert!(UnitVector::from_ra_dec_deg(ra_deg, dec_deg).is_err());
        }
    }

    #[test]
    fn refuses_what_is_no_threshold() {
        for arcsec in [0.0, -1.0, f64::NAN, 324_000.1, f64::INFINITY] {
            assert!(Threshold::from_arcsec(arcsec).is_err());
        }
        let quarter = Threshold::from_arcsec(324_000.0).unwrap().chord();
        assert!((quarter - 2.0_f64.sqrt()).abs() <= f64::EPSILON);
    }

    #[test]
    fn angles_are_precise_from_0_to_180_degrees() {
        let pole = UnitVector::from_ra_dec_deg(0.0, 90.0).unwrap().as_vec3();
        for colatitude_deg in [1e-7, 1.0, 90.0, 179.0, 180.0 - 1e-7] {
            let point = UnitVector::from_ra_dec_deg(123.0, 90.0 - colatitude_deg).unwrap().as_vec3();
            let exact_arcsec = (90.0 - (90.0 - colatitude_deg)) * 3600.0;
            assert!((arcsec_between(pole, point) - exact_arcsec).abs() < 1e-9, "{colatitude_deg}");
        }
    }
}
