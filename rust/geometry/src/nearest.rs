//! The exact step: the point of an edge, the true curve, that is nearest to a point.

use crate::angle::Vec3;
use crate::boundary::{Edge, Jet, NEGLIGIBLE_DEVIATION};

/// Newton's method stops at this step, in sides of the base cell: twice the rounding of a slope.
const NEWTON_STEP: f64 = 1e-15;

/// An end of a stretch of an edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) t: f64,
    pub(crate) position: Vec3,
}

/// The nearest point found so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nearest {
    /// The squared chord to it.
    pub(crate) squared: f64,
    /// The squared chord from it to the antipode: near the antipode it distinguishes points that the chord to them does
    /// not.
    squared_from_antipode: f64,
    pub(crate) position: Vec3,
}

impl Nearest {
    /// The value before any point was found.
    pub(crate) const NONE: Self =
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

/// The point of a stretch of an edge that is nearest to a point, or `best` where that is nearer.
///
/// Branch and bound: a stretch that cannot beat the best is dropped, by the deviation bound of its chord. One on which
/// the squared distance f(s) = |p - e(s)|² is proven convex is solved by Newton's method; one on which it is proven
/// monotonic has its minimum at an end; any other is halved. So both of two local minima on one edge are found.
///
/// * Convex: f''/2 = |e'|² - (p - e)·e'' >= m - D M, with m and M the bounds of the derivatives on the edge and D that
///   of the distance on the stretch.
/// * Monotonic: f'/2 = -p·e' changes by at most M h/2 from the middle of a stretch of length h, because |p·e''| <= M.
///
/// A meridian is a great circle, on which all points of a stretch may be equally far: it is solved in closed form.
///
/// # Accuracy
/// The chord is at most 1e-15 longer than the curve's, beyond the rounding of its points.
pub(crate) fn nearest(edge: &Edge, point: Vec3, start: End, end: End, best: Nearest) -> Nearest {
    let best = best.or(point, start.position).or(point, end.position);
    let distance = point.squared_distance_to_segment(start.position, end.position).sqrt();
    let deviation = edge.deviation_bound(end.t - start.t);
    if distance - deviation >= best.squared.sqrt() {
        return best;
    }
    if let Some(t) = edge.nearest_on_meridian(point) {
        return best.or(point, edge.position(t.clamp(start.t, end.t)));
    }
    let middle_t = 0.5 * (start.t + end.t);
    if deviation <= NEGLIGIBLE_DEVIATION {
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
