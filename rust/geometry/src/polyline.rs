//! The chord step: an edge as straight chords, each with a proven bound on its deviation from the curve.

use std::ops::Range;

use crate::angle::Vec3;
use crate::boundary::Edge;
use crate::nearest::{self, End, Nearest};

/// An edge is halved at most this often: 128 chords.
const MAX_HALVINGS: usize = 7;

/// Halving stops where the deviation is this fraction of the threshold's chord.
const SHELL_FRACTION: f64 = 1.0 / 64.0;

/// The number of halvings done at once where a chord does not decide: of the eight parts, one or two are checked.
const HALVINGS_AT_ONCE: usize = 3;

/// An edge with the ends of its 2^halvings chords.
#[derive(Clone, Debug)]
pub(crate) struct Polyline {
    edge: Edge,
    /// The chord of the threshold.
    chord: f64,
    ends: Vec<Vec3>,
    levels: Vec<Level>,
}

/// The bounds that decide at one level of halving.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// No point of the curve is farther than this from the point of its chord with the same t, and vice versa.
    deviation: f64,
    /// One over the length of the shortest chord.
    inverse_length: f64,
    /// Above this squared distance from the chord, a point is outside the threshold.
    out_above: f64,
    /// Up to this squared distance, a point is within the threshold; negative where the deviation exceeds the
    /// threshold.
    in_up_to: f64,
}

/// A stretch of the edge: the `place`-th of 2^level.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    level: usize,
    place: usize,
}

impl Stretch {
    const WHOLE: Self = Self { level: 0, place: 0 };
}

impl Polyline {
    pub(crate) fn new(edge: Edge, chord: f64) -> Self {
        let deviation = |level: usize| edge.deviation_bound(0.5_f64.powi(level as i32));
        let halvings =
            (0..MAX_HALVINGS).find(|&level| deviation(level) <= SHELL_FRACTION * chord).unwrap_or(MAX_HALVINGS);
        let count = 1_usize << halvings;
        let ends: Vec<Vec3> = (0..=count).map(|end| edge.position(end as f64 / count as f64)).collect();
        let levels = (0..=halvings).map(|level| {
            let chords = ends.iter().step_by(count >> level).zip(ends.iter().step_by(count >> level).skip(1));
            let shortest = chords.map(|(&start, &end)| (end - start).squared()).fold(f64::INFINITY, f64::min).sqrt();
            let (outer, inner) = (chord + deviation(level), chord - deviation(level));
            Level {
                deviation: deviation(level),
                inverse_length: 1.0 / shortest,
                out_above: outer * outer,
                in_up_to: if inner > 0.0 { inner * inner } else { -1.0 },
            }
        });
        Self { edge, chord, levels: levels.collect(), ends }
    }

    /// Whether the curve comes within the threshold of the point.
    #[inline]
    pub(crate) fn is_within(&self, point: Vec3) -> bool {
        self.stretch_is_within(point, Stretch::WHOLE)
    }

    /// Whether the curve may come within a chord of the point, by chords alone. Never misses.
    pub(crate) fn may_be_within(&self, point: Vec3, chord: f64) -> bool {
        self.triage(point, chord, Stretch::WHOLE, true)
    }

    /// Whether the curve certainly comes within a chord of the point, by chords alone. Never wrong.
    pub(crate) fn is_surely_within(&self, point: Vec3, chord: f64) -> bool {
        self.triage(point, chord, Stretch::WHOLE, false)
    }

    /// The point of the edge that is nearest to a point, or `best` where that is nearer.
    pub(crate) fn nearest(&self, point: Vec3, best: Nearest) -> Nearest {
        nearest::nearest(&self.edge, point, self.end(0), self.end(self.ends.len() - 1), best)
    }

    fn stretch_is_within(&self, point: Vec3, stretch: Stretch) -> bool {
        let (start, end) = self.chord_ends(stretch);
        let foot = point.foot_on_line(start, end);
        let squared = point.squared_distance_at(start, end, foot);
        let bounds = &self.levels[stretch.level];
        if squared > bounds.out_above {
            return false;
        }
        if squared <= bounds.in_up_to {
            return true;
        }
        if stretch.level + 1 == self.levels.len() {
            return self.is_within_exactly(point, stretch.place);
        }
        let (level, mut places) = self.parts(stretch, foot, self.chord);
        places.any(|place| self.stretch_is_within(point, Stretch { level, place }))
    }

    #[cold]
    fn is_within_exactly(&self, point: Vec3, place: usize) -> bool {
        let (start, end) = (self.end(place), self.end(place + 1));
        nearest::nearest(&self.edge, point, start, end, Nearest::NONE).squared.sqrt() <= self.chord
    }

    /// Whether the curve comes within a chord of the point, by chords alone; `undecided` where they do not decide.
    fn triage(&self, point: Vec3, chord: f64, stretch: Stretch, undecided: bool) -> bool {
        let (start, end) = self.chord_ends(stretch);
        let foot = point.foot_on_line(start, end);
        let distance = point.squared_distance_at(start, end, foot).sqrt();
        let deviation = self.levels[stretch.level].deviation;
        if distance > chord + deviation {
            return false;
        }
        if distance + deviation <= chord {
            return true;
        }
        if stretch.level + 1 == self.levels.len() {
            return undecided;
        }
        let (level, mut places) = self.parts(stretch, foot, chord);
        places.any(|place| self.triage(point, chord, Stretch { level, place }, undecided))
    }

    /// The finer stretches of a stretch that may come within a chord of a point, whose foot on the line of the
    /// stretch's chord lies at `foot` (0 at its start, 1 at its end).
    ///
    /// The curve's point at t has its own foot within deviation/length of t. Two points are no nearer than their feet,
    /// so where the curve is within the chord, t is within (chord + deviation)/length of the point's foot.
    fn parts(&self, stretch: Stretch, foot: f64, chord: f64) -> (usize, Range<usize>) {
        let Level { deviation, inverse_length, .. } = self.levels[stretch.level];
        let level = (stretch.level + HALVINGS_AT_ONCE).min(self.levels.len() - 1);
        let count = (1_usize << (level - stretch.level)) as f64;
        // Rounding moves the foot by at most 4e-16 of the point's distance. The 1e-9 of the chord's length covers that
        // where the point is up to 10^6 lengths away, not at orders from 24 with thresholds of degrees. There a part is
        // left out by rounding alone only if it is farther than the threshold less 6e-16 rad, which is within the
        // tolerance of a decision.
        let reach = (chord + deviation) * inverse_length + 1e-9;
        // The casts round down, and give 0 for negative numbers and NaN.
        let first = ((foot - reach) * count) as usize;
        let end = (((foot + reach) * count) as usize + 1).min(count as usize);
        let before = stretch.place * count as usize;
        (level, before + first..before + end)
    }

    #[inline]
    fn chord_ends(&self, Stretch { level, place }: Stretch) -> (Vec3, Vec3) {
        let stride = (self.ends.len() - 1) >> level;
        (self.ends[place * stride], self.ends[(place + 1) * stride])
    }

    fn end(&self, place: usize) -> End {
        End { t: place as f64 / (self.ends.len() - 1) as f64, position: self.ends[place] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::angle::{Threshold, UnitVector};
    use crate::boundary;
    use crate::pixel::Pixel;

    /// Skipping parts by the foot must not skip one that decides: compared with asking every finest chord.
    #[test]
    fn parts_leave_out_nothing_that_is_within() {
        let mut state = 7_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut within = 0;
        for round in 0..20_000 {
            let order = round % 12;
            let index = (uniform() * (12_u64 << (2 * order)) as f64) as u64;
            let pixel = Pixel::new(order as u8, index).unwrap();
            let size_arcsec = 200_000.0 / pixel.nside() as f64;
            let threshold = Threshold::from_arcsec(size_arcsec * 10_f64.powf(-5.0 * uniform())).unwrap();
            let edge = boundary::edges(pixel)[round % 4];
            let polyline = Polyline::new(edge, threshold.chord());
            let on_edge = edge.position(uniform());
            let away = 3.0 * threshold.chord() * (uniform() - 0.5);
            let (z, lon_rad) = ((on_edge.z + away).clamp(-1.0, 1.0), on_edge.y.atan2(on_edge.x) + away);
            let point = UnitVector::from_ra_dec_deg(lon_rad.to_degrees(), z.asin().to_degrees()).unwrap().as_vec3();
            let finest = polyline.levels.len() - 1;
            let every =
                (0..1_usize << finest).any(|place| polyline.stretch_is_within(point, Stretch { level: finest, place }));
            assert_eq!(polyline.is_within(point), every, "{pixel} {threshold:?} {point:?}");
            within += usize::from(every);
        }
        assert!((5_000..15_000).contains(&within), "{within}: the points must lie on both sides");
    }
}
