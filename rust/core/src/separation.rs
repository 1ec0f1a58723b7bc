//! How far a point is from a pixel, and whether that is within a threshold.
//!
//! Distances are chords (straight lines through the ball), which order points as angles do and need no `arccos`.
//! A decision takes two steps. The *chord step* replaces an edge by straight chords, halved again and again, each with
//! a proven bound of its deviation; it decides all points but those in a thin shell about the threshold. The *exact
//! step* finds the minimum on the true curve for the rest.

use crate::angle::{AngleError, Threshold, UnitVector, Vec3, arcsec_between};
use crate::boundary::{self, Edge, Jet};
use crate::healpix;
use crate::pixel::Pixel;

/// An edge is halved at most this often for the chord step: 128 chords.
const MAX_HALVINGS: u32 = 7;

/// The chord step stops halving where the deviation is this fraction of the threshold's chord.
const SHELL_FRACTION: f64 = 1.0 / 64.0;

/// Below this length (2e-11 arcsec) a chord and its curve are the same to double precision.
const NEGLIGIBLE_CHORD: f64 = 1e-16;

/// Newton's method stops at this step, in base-cell sides: twice the rounding of a slope.
const NEWTON_STEP: f64 = 1e-15;

/// The separation of points from the closed pixel, prepared for one threshold.
///
/// # Accuracy
/// A decision is that of exact arithmetic on the given doubles whenever the separation differs from the threshold by
/// more than 1e-9 arcsec (4.8e-15 rad): points are placed within 5e-16 rad ([`UnitVector`]), edges within 7e-16 rad
/// ([`Edge`]), the minimum found is at most 1e-15 rad too long, and the comparison rounds by 4e-16 rad.
#[derive(Clone, Debug)]
pub struct PixelSeparation {
    pixel: Pixel,
    threshold: Threshold,
    edges: [Polyline; 4],
}

impl PixelSeparation {
    /// Prepares a pixel for a threshold.
    pub fn new(pixel: Pixel, threshold: Threshold) -> Self {
        let chord = threshold.chord();
        let edges = boundary::edges(pixel).map(|edge| Polyline::new(edge, chord));
        Self { pixel, threshold, edges }
    }

    /// The pixel.
    pub const fn pixel(&self) -> Pixel {
        self.pixel
    }

    /// The threshold.
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Whether a position lies in the closed pixel or within the threshold of it.
    ///
    /// # Errors
    /// [`AngleError::Position`] for what is no position.
    pub fn is_within(&self, ra_deg: f64, dec_deg: f64) -> Result<bool, AngleError> {
        let point = UnitVector::from_ra_dec_deg(ra_deg, dec_deg)?;
        Ok(self.is_within_of_edges(point) || self.holds(ra_deg, dec_deg))
    }

    /// Whether a point lies within the threshold of the pixel's edges: for a point outside, of the pixel.
    #[inline]
    pub fn is_within_of_edges(&self, point: UnitVector) -> bool {
        let point = point.as_vec3();
        self.edges.iter().any(|edge| edge.is_within(point))
    }

    /// Whether a point may lie within a chord of the pixel's edges; never misses, and errs by a 64th of the
    /// threshold, or by the deviation of 128 chords from the edge where that is more.
    pub fn edges_may_be_within(&self, point: Vec3, chord: f64) -> bool {
        self.edges.iter().any(|edge| edge.triage(point, chord, 0, 0, true))
    }

    /// Whether a point surely lies within a chord of the pixel's edges; never wrong, and misses by as much as
    /// [`PixelSeparation::edges_may_be_within`] errs.
    pub fn edges_are_within(&self, point: Vec3, chord: f64) -> bool {
        self.edges.iter().any(|edge| edge.triage(point, chord, 0, 0, false))
    }

    /// The separation from the closed pixel in arcseconds, 0 inside; it does not depend on the threshold.
    ///
    /// # Errors
    /// [`AngleError::Position`] for what is no position.
    pub fn separation_arcsec(&self, ra_deg: f64, dec_deg: f64) -> Result<f64, AngleError> {
        let point = UnitVector::from_ra_dec_deg(ra_deg, dec_deg)?;
        if self.holds(ra_deg, dec_deg) {
            return Ok(0.0);
        }
        Ok(self.separation_from_edges_arcsec(point))
    }

    /// The separation from the nearest edge in arcseconds: for a point outside, from the pixel.
    pub fn separation_from_edges_arcsec(&self, point: UnitVector) -> f64 {
        let point = point.as_vec3();
        let nearest = self.edges.iter().fold(Nearest::NONE, |best, polyline| {
            nearest(&polyline.edge, point, polyline.end(0), polyline.end(polyline.ends.len() - 1), best)
        });
        arcsec_between(point, nearest.position)
    }

    /// Whether a position lies inside the pixel, as `cdshealpix` indexes it.
    pub(crate) fn holds(&self, ra_deg: f64, dec_deg: f64) -> bool {
        healpix::index_of_ra_dec_deg(self.pixel.order(), ra_deg, dec_deg) == self.pixel.index()
    }
}

/// An edge with the ends of its 2^halvings chords.
#[derive(Clone, Debug)]
struct Polyline {
    edge: Edge,
    /// The chord of the threshold.
    chord: f64,
    ends: Vec<Vec3>,
    levels: Vec<Level>,
}

/// What decides at one level of halving.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// No point of the curve is farther than this from the point of its chord with the same t, and vice versa.
    deviation: f64,
    /// A squared distance from the chord above this is out of the threshold.
    out_above: f64,
    /// A squared distance from the chord up to this is within; negative where the deviation exceeds the threshold.
    in_up_to: f64,
}

impl Polyline {
    fn new(edge: Edge, chord: f64) -> Self {
        let first = deviation_bound(&edge, 1.0);
        let mut halvings = 0;
        while halvings < MAX_HALVINGS && first * 0.25_f64.powi(halvings as i32) > SHELL_FRACTION * chord {
            halvings += 1;
        }
        let count = 1_u32 << halvings;
        let ends = (0..=count).map(|end| edge.position(f64::from(end) / f64::from(count))).collect();
        let levels = (0..=halvings)
            .map(|level| {
                let deviation = first * 0.25_f64.powi(level as i32);
                let inner = chord - deviation;
                Level {
                    deviation,
                    out_above: (chord + deviation) * (chord + deviation),
                    in_up_to: if inner > 0.0 { inner * inner } else { -1.0 },
                }
            })
            .collect();
        Self { edge, chord, ends, levels }
    }

    #[inline]
    fn chord_ends(&self, level: usize, place: usize) -> (Vec3, Vec3) {
        let stride = (self.ends.len() - 1) >> level;
        (self.ends[place * stride], self.ends[(place + 1) * stride])
    }

    /// Whether the curve comes within the threshold of the point.
    #[inline]
    fn is_within(&self, point: Vec3) -> bool {
        self.stretch_is_within(point, 0, 0)
    }

    fn stretch_is_within(&self, point: Vec3, level: usize, place: usize) -> bool {
        let (start, end) = self.chord_ends(level, place);
        let squared = point.squared_distance_to_segment(start, end);
        let bounds = &self.levels[level];
        if squared > bounds.out_above {
            return false;
        }
        if squared <= bounds.in_up_to {
            return true;
        }
        if level + 1 < self.levels.len() {
            return self.stretch_is_within(point, level + 1, 2 * place)
                || self.stretch_is_within(point, level + 1, 2 * place + 1);
        }
        self.is_within_exactly(point, place)
    }

    #[cold]
    fn is_within_exactly(&self, point: Vec3, place: usize) -> bool {
        let nearest = nearest(&self.edge, point, self.end(place), self.end(place + 1), Nearest::NONE);
        nearest.squared.sqrt() <= self.chord
    }

    fn end(&self, place: usize) -> End {
        End { t: place as f64 / (self.ends.len() - 1) as f64, position: self.ends[place] }
    }

    /// Whether the curve comes within a chord of the point, as far as chords alone tell; `undecided` where they do not.
    fn triage(&self, point: Vec3, chord: f64, level: usize, place: usize, undecided: bool) -> bool {
        let (start, end) = self.chord_ends(level, place);
        let distance = point.squared_distance_to_segment(start, end).sqrt();
        let deviation = self.levels[level].deviation;
        if distance > chord + deviation {
            return false;
        }
        if distance + deviation <= chord {
            return true;
        }
        if level + 1 == self.levels.len() {
            return undecided;
        }
        self.triage(point, chord, level + 1, 2 * place, undecided)
            || self.triage(point, chord, level + 1, 2 * place + 1, undecided)
    }
}

/// Where a stretch of an edge begins or ends.
#[derive(Clone, Copy, Debug)]
struct End {
    t: f64,
    position: Vec3,
}

/// The nearest point of the curves looked at so far.
#[derive(Clone, Copy, Debug)]
struct Nearest {
    /// The squared chord to it.
    squared: f64,
    /// The squared chord from it to the antipode: near there it tells points apart that the chord to them does not.
    squared_from_antipode: f64,
    position: Vec3,
}

impl Nearest {
    /// Before any point was looked at.
    const NONE: Self =
        Self { squared: f64::INFINITY, squared_from_antipode: -1.0, position: Vec3 { x: 0.0, y: 0.0, z: 0.0 } };

    /// The nearer of this and a point of the curve.
    fn or(self, point: Vec3, position: Vec3) -> Self {
        let squared = (position - point).squared();
        let squared_from_antipode = position.plus_scaled(1.0, point).squared();
        let is_nearer = if squared.min(self.squared) < 2.0 {
            squared < self.squared
        } else {
            squared_from_antipode > self.squared_from_antipode
        };
        if is_nearer { Self { squared, squared_from_antipode, position } } else { self }
    }
}

/// The largest distance between a stretch of an edge, `part` of it long, and its chord at equal parameter.
///
/// The error of linear interpolation of a curve with |e''| <= M over a step h is at most M h² / 8.
fn deviation_bound(edge: &Edge, part: f64) -> f64 {
    let step = part * edge.length();
    edge.second_derivative_bound() * step * step / 8.0
}

/// The point of a stretch of an edge that is nearest to a point, or `best` where that is nearer.
///
/// Branch and bound: a stretch that cannot beat the best is dropped, by the deviation bound of its chord. One on which
/// the squared distance f(s) = |p - e(s)|² is proven convex is solved by Newton's method; one on which it is proven
/// monotonic has its minimum at an end; any other is halved. So two local minima on one edge are both looked at.
///
/// * Convex: f''/2 = |e'|² - (p - e)·e'' >= m - D M, with m and M the bounds of the derivatives on the edge and D that
///   of the distance on the stretch.
/// * Monotonic: f'/2 = -p·e' changes by at most M h/2 from the middle of a stretch of length h, because |p·e''| <= M.
///
/// A meridian is a great circle, of which a whole stretch may be equally far: it is solved in closed form.
///
/// # Accuracy
/// The chord is at most 1e-15 longer than the curve's, beyond the rounding of its points.
fn nearest(edge: &Edge, point: Vec3, start: End, end: End, best: Nearest) -> Nearest {
    let best = best.or(point, start.position).or(point, end.position);
    let distance = point.squared_distance_to_segment(start.position, end.position).sqrt();
    let deviation = deviation_bound(edge, end.t - start.t);
    if distance - deviation >= best.squared.sqrt() {
        return best;
    }
    if let Some(t) = edge.nearest_on_meridian(point) {
        return best.or(point, edge.position(t.clamp(start.t, end.t)));
    }
    let middle_t = 0.5 * (start.t + end.t);
    if deviation <= NEGLIGIBLE_CHORD {
        let along = end.position - start.position;
        let part = ((point - start.position).dot(along) / along.squared()).clamp(0.0, 1.0);
        let foot_t = if part.is_nan() { middle_t } else { start.t + part * (end.t - start.t) };
        return best.or(point, edge.position(foot_t));
    }
    let to_ends = (start.position - point).squared().max((end.position - point).squared()).sqrt();
    if (to_ends + deviation) * edge.second_derivative_bound() < edge.squared_speed_bound() {
        return newton(edge, point, start.t, end.t, best);
    }
    let jet = edge.jet(middle_t);
    let half_length = 0.5 * (end.t - start.t) * edge.length();
    if point.dot(jet.first).abs() > edge.second_derivative_bound() * half_length {
        return best;
    }
    let middle = End { t: middle_t, position: jet.position };
    let best = nearest(edge, point, start, middle, best);
    nearest(edge, point, middle, end, best)
}

/// The nearest point of a stretch on which the squared chord is convex, or `best` where that is nearer.
fn newton(edge: &Edge, point: Vec3, start: f64, end: f64, mut best: Nearest) -> Nearest {
    // Half the first and second derivatives of the squared chord in s.
    let slopes = |jet: &Jet| {
        let off = jet.position - point;
        (off.dot(jet.first), jet.first.squared() + off.dot(jet.second))
    };
    let (mut low, mut high) = (start, end);
    let mut t = 0.5 * (start + end);
    // Quadratic convergence needs about five rounds; bisection, the safeguard, at most sixty.
    for _ in 0..64 {
        let jet = edge.jet(t);
        best = best.or(point, jet.position);
        let (slope, curvature) = slopes(&jet);
        if slope > 0.0 {
            high = t;
        } else {
            low = t;
        }
        let next = t - slope / (curvature * edge.length());
        let next = if next > low && next < high {
            next
        } else if next <= start && low == start {
            start
        } else if next >= end && high == end {
            end
        } else {
            0.5 * (low + high)
        };
        if (next - t).abs() * edge.length() <= NEWTON_STEP || high - low <= f64::EPSILON {
            break;
        }
        t = next;
    }
    best
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
