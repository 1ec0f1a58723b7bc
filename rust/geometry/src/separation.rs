//! How far a point is from a pixel, and whether that is within a threshold.
//!
//! Distances are chords (straight lines through the ball), which order points as angles do and need no `arccos`.
//! A decision takes two steps: the *chord step* (module `polyline`) decides all points but those in a thin shell around
//! the threshold, the *exact step* (module `nearest`) the rest.

use crate::angle::{AngleError, Threshold, UnitVector, Vec3, arcsec_between};
use crate::boundary;
use crate::healpix;
use crate::nearest::Nearest;
use crate::pixel::Pixel;
use crate::polyline::Polyline;

/// The separation of points from a closed pixel, prepared for one threshold.
///
/// # Accuracy
/// A decision is that of exact arithmetic on the given doubles whenever the separation differs from the threshold by
/// more than 1e-9 arcsec (4.8e-15 rad): points are placed within 5e-16 rad ([`UnitVector`]) and edges within 7e-16 rad
/// ([`boundary::Edge`]), the minimum is at most 1e-15 rad too long, and the comparison is off by at most 1e-15 rad (the
/// threshold's chord by 3.2e-16, the distance, three subtractions and a root, by 5.5e-16 at 90 degrees). Together
/// 3.2e-15 rad.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::Threshold;
/// use skymargin_geometry::pixel::Pixel;
/// use skymargin_geometry::separation::PixelSeparation;
///
/// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
///
/// // Two of the points that hats-import issue 434 lists, 3.48 and 10.66 arcsec from a corner.
/// assert!(near.is_within(11.25802281, 78.28414956)?);
/// assert!(!near.is_within(11.26730961, 78.28523861)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PixelSeparation {
    pixel: Pixel,
    threshold: Threshold,
    edges: [Polyline; 4],
}

impl PixelSeparation {
    /// Prepares a pixel for a threshold.
    ///
    /// It takes up to 13 kB and about as long as a hundred decisions.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::separation::PixelSeparation;
    ///
    /// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
    ///
    /// assert_eq!(near.threshold().arcsec(), 10.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(pixel: Pixel, threshold: Threshold) -> Self {
        let chord = threshold.chord();
        let edges = boundary::edges(pixel).map(|edge| Polyline::new(edge, chord));
        Self { pixel, threshold, edges }
    }

    /// The pixel.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::separation::PixelSeparation;
    ///
    /// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
    /// assert_eq!(near.pixel().index(), 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn pixel(&self) -> Pixel {
        self.pixel
    }

    /// The threshold.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::separation::PixelSeparation;
    ///
    /// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
    /// assert_eq!(near.threshold(), Threshold::from_arcsec(10.0)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Whether a position lies in the closed pixel or within the threshold of it.
    ///
    /// # Accuracy
    /// That of [`PixelSeparation`].
    ///
    /// # Errors
    /// [`AngleError::Position`] for a value that is not a position.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::separation::PixelSeparation;
    ///
    /// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
    ///
    /// assert!(near.is_within(11.25438323, 78.28465534)?);
    /// assert!(near.is_within(f64::NAN, 0.0).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_within(&self, ra_deg: f64, dec_deg: f64) -> Result<bool, AngleError> {
        let point = UnitVector::from_ra_dec_deg(ra_deg, dec_deg)?;
        Ok(self.is_within_of_edges(point) || self.holds(ra_deg, dec_deg))
    }

    /// Whether a point lies within the threshold of the pixel's edges: for a point outside, of the pixel.
    ///
    /// # Accuracy
    /// That of [`PixelSeparation`].
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::UnitVector;
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::separation::PixelSeparation;
    ///
    /// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
    ///
    /// // The centre of the pixel is inside, and far from its edges.
    /// assert!(!near.is_within_of_edges(UnitVector::from_ra_dec_deg(15.0, 76.8)?));
    /// assert!(near.is_within_of_edges(UnitVector::from_ra_dec_deg(11.25438323, 78.28465534)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn is_within_of_edges(&self, point: UnitVector) -> bool {
        let point = point.as_vec3();
        self.edges.iter().any(|edge| edge.is_within(point))
    }

    /// Whether a point may lie within a chord of the pixel's edges.
    ///
    /// # Accuracy
    /// Never misses. It errs by at most a 32nd of the threshold, or by twice the deviation of 128 chords from the edge
    /// where that is more.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::{UnitVector, chord_of_rad};
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::separation::PixelSeparation;
    ///
    /// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
    ///
    /// let point = UnitVector::from_ra_dec_deg(11.25, 79.28)?.as_vec3();
    /// assert!(near.edges_may_be_within(point, chord_of_rad(1.5_f64.to_radians())));
    /// assert!(!near.edges_may_be_within(point, chord_of_rad(0.5_f64.to_radians())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn edges_may_be_within(&self, point: Vec3, chord: f64) -> bool {
        self.edges.iter().any(|edge| edge.may_be_within(point, chord))
    }

    /// Whether a point certainly lies within a chord of the pixel's edges.
    ///
    /// # Accuracy
    /// Never wrong. It misses by as much as [`PixelSeparation::edges_may_be_within`] errs.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::{UnitVector, chord_of_rad};
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::separation::PixelSeparation;
    ///
    /// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
    ///
    /// let point = UnitVector::from_ra_dec_deg(11.25, 79.28)?.as_vec3();
    /// assert!(near.edges_are_within(point, chord_of_rad(1.5_f64.to_radians())));
    /// assert!(!near.edges_are_within(point, chord_of_rad(0.5_f64.to_radians())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn edges_are_within(&self, point: Vec3, chord: f64) -> bool {
        self.edges.iter().any(|edge| edge.is_surely_within(point, chord))
    }

    /// The separation from the closed pixel in arcseconds, 0 inside. It does not depend on the threshold.
    ///
    /// # Errors
    /// [`AngleError::Position`] for a value that is not a position.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::separation::PixelSeparation;
    ///
    /// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
    ///
    /// assert!((near.separation_arcsec(11.26968296, 78.28613398)? - 14.284605).abs() < 1e-6);
    /// assert_eq!(near.separation_arcsec(15.0, 76.8)?, 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn separation_arcsec(&self, ra_deg: f64, dec_deg: f64) -> Result<f64, AngleError> {
        let point = UnitVector::from_ra_dec_deg(ra_deg, dec_deg)?;
        if self.holds(ra_deg, dec_deg) {
            return Ok(0.0);
        }
        Ok(self.separation_from_edges_arcsec(point))
    }

    /// The separation from the nearest edge in arcseconds: for a point outside, from the pixel.
    ///
    /// # Examples
    /// ```
    /// use skymargin_geometry::angle::UnitVector;
    /// use skymargin_geometry::angle::Threshold;
    /// use skymargin_geometry::pixel::Pixel;
    /// use skymargin_geometry::separation::PixelSeparation;
    ///
    /// let near = PixelSeparation::new(Pixel::new(5, 1000)?, Threshold::from_arcsec(10.0)?);
    ///
    /// let inside = UnitVector::from_ra_dec_deg(15.0, 76.8)?;
    /// assert!(near.separation_from_edges_arcsec(inside) > 1000.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn separation_from_edges_arcsec(&self, point: UnitVector) -> f64 {
        let point = point.as_vec3();
        let nearest = self.edges.iter().fold(Nearest::NONE, |best, polyline| polyline.nearest(point, best));
        arcsec_between(point, nearest.position)
    }

    /// Whether a position lies inside the pixel, as `cdshealpix` indexes it.
    pub(crate) fn holds(&self, ra_deg: f64, dec_deg: f64) -> bool {
        healpix::index_of_ra_dec_deg(self.pixel.order(), ra_deg, dec_deg) == self.pixel.index()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separation(order: u8, index: u64, arcsec: f64) -> PixelSeparation {
        PixelSeparation::new(Pixel::new(order, index).unwrap(), Threshold::from_arcsec(arcsec).unwrap())
    }

    /// The ten points published in hats-import issue 434, seven of which a precise check lost at a corner;
    /// separations in arcsec, computed independently to six digits.
    #[test]
    fn hats_import_434_corner_of_order_5_pixel_1000() {
        let points = [
            (11.25802281, 78.28414956, 3.479867),
            (11.257565935411892, 78.28447927669177, 4.238279),
            (11.25438323, 78.28465534, 3.370667),
            (11.25798339, 78.28502524, 6.002483),
            (11.25629879, 78.28579153, 7.495407),
            (11.26724867, 78.28314478, 4.561540),
            (11.26660872, 78.28447675, 8.147205),
            (11.26730961, 78.28523861, 10.660186),
            (11.26968296, 78.28613398, 14.284605),
            (11.26865726, 78.28766018, 18.266202),
        ];
        let near = separation(5, 1000, 10.0);
        for (ra_deg, dec_deg, arcsec) in points {
            let found = near.separation_arcsec(ra_deg, dec_deg).unwrap();
            assert!((found - arcsec).abs() < 1e-6, "{ra_deg} {dec_deg}: {found} {arcsec}");
            assert_eq!(near.is_within(ra_deg, dec_deg).unwrap(), arcsec <= 10.0);
        }
    }

    #[test]
    fn inside_is_zero_and_within_any_threshold() {
        let near = separation(0, 4, 1e-6);
        assert_eq!(near.separation_arcsec(0.0, 0.0).unwrap(), 0.0);
        assert!(near.is_within(0.0, 0.0).unwrap());
        assert!(near.is_within(360.0, 10.0).unwrap());
    }

    #[test]
    fn ninety_degrees_from_the_pole_is_the_equator() {
        // Order 1, pixel 3 lies at longitudes 0 to 90 and touches the pole, so from longitude 225 the pole is nearest.
        let near = separation(1, 3, 324_000.0);
        assert!(near.is_within(225.0, 1e-9).unwrap());
        assert!(!near.is_within(225.0, -1e-9).unwrap());
        assert!(!near.is_within(10.0, -90.0).unwrap());
    }

    /// The distance from the pole of a great circle is the same all along it: halving would never end.
    #[test]
    fn meridian_edges_seen_from_their_own_pole_end_at_once() {
        let flat = separation(0, 11, 324_000.0);
        assert!((flat.separation_arcsec(180.0, 0.0).unwrap() - 324_000.0).abs() < 1e-9);
        for (order, index) in [(0, 0), (0, 3), (0, 10), (1, 40)] {
            let near = separation(order, index, 324_000.0);
            for ra_deg in [0.0, 90.0, 180.0, 270.0] {
                assert!(near.separation_arcsec(ra_deg, 0.0).unwrap() <= 324_000.0 + 1e-9);
            }
        }
    }

    #[test]
    fn the_antipode_is_as_precise_as_the_pixel() {
        // The separation of the antipode of a pixel's centre is 180 degrees less that of the farthest corner.
        let pixel = Pixel::new(29, 12_345_678_901_234_567).unwrap();
        let centre = boundary::centre(pixel);
        let (ra_deg, dec_deg) = (centre.y.atan2(centre.x).to_degrees(), centre.z.asin().to_degrees());
        let opposite = if ra_deg > 0.0 { ra_deg - 180.0 } else { ra_deg + 180.0 };
        let found = PixelSeparation::new(pixel, Threshold::from_arcsec(1.0).unwrap())
            .separation_arcsec(opposite, -dec_deg)
            .unwrap();
        assert!((648_000.0 - found - 4e-4).abs() < 2e-4, "{found}");
    }

    #[test]
    fn refuses_what_is_no_position() {
        assert!(separation(3, 5, 10.0).is_within(f64::NAN, 0.0).is_err());
        assert!(separation(3, 5, 10.0).separation_arcsec(0.0, 91.0).is_err());
    }
}
