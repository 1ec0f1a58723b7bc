//! The pixels of an order that lie within a radius of a pixel, decided on the true edges of both.

use thiserror::Error;

use crate::angle::{Threshold, Vec3, chord_of_rad};
use crate::boundary::{self, Edge, NEGLIGIBLE_DEVIATION};
use crate::pixel::Pixel;
use crate::separation::PixelSeparation;

/// The largest number of pixels listed: they take 128 MiB.
///
/// # Examples
/// ```
/// use skymargin_geometry::neighbours::MOST_NEIGHBOURS;
///
/// assert_eq!(MOST_NEIGHBOURS, 16_777_216);
/// ```
pub const MOST_NEIGHBOURS: u64 = 1 << 24;

/// Why the neighbours of a pixel cannot be listed.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::Threshold;
/// use skymargin_geometry::neighbours::{NeighboursError, neighbours};
/// use skymargin_geometry::pixel::Pixel;
///
/// let refused = neighbours(Pixel::new(0, 4)?, 29, Threshold::from_arcsec(1.0)?);
/// assert!(matches!(refused, Err(NeighboursError::TooMany { order: 29, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NeighboursError {
    /// There are too many.
    #[error(
        "at_order {order} is not allowed with this radius: about {count} pixels of order {order} lie within it of {pixel}, \
         and at most {MOST_NEIGHBOURS} are listed; choose a coarser at_order or a smaller radius"
    )]
    TooMany {
        /// The order requested.
        order: u8,
        /// The pixel.
        pixel: Pixel,
        /// Their approximate number.
        count: u64,
    },
    /// There is no memory for them.
    #[error("there is no memory for the pixels of order {order} about {pixel}, about {count} of them")]
    NoMemory {
        /// The order requested.
        order: u8,
        /// The pixel.
        pixel: Pixel,
        /// Their approximate number.
        count: u64,
    },
}

/// The pixels of an order whose closed sky comes within the radius of a closed pixel, and that share no sky with it,
/// sorted.
///
/// Precondition: `order <= 29`.
///
/// # Accuracy
/// A pixel whose separation differs from the radius by more than 1e-9 arcsec is decided as in exact arithmetic.
///
/// # Errors
/// [`NeighboursError`] when there are more than [`MOST_NEIGHBOURS`], or more than the memory holds.
///
/// # Examples
/// ```
/// use skymargin_geometry::angle::Threshold;
/// use skymargin_geometry::neighbours::neighbours;
/// use skymargin_geometry::pixel::Pixel;
///
/// // With a small radius, the eight pixels around it.
/// let around = neighbours(Pixel::new(3, 300)?, 3, Threshold::from_arcsec(1.0)?)?;
/// assert_eq!(around.len(), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn neighbours(pixel: Pixel, order: u8, radius: Threshold) -> Result<Vec<u64>, NeighboursError> {
    let count = estimated_count(pixel, order, radius);
    // Refused before any work where even the lowest count that the estimate allows is too many.
    if count as f64 > ESTIMATE_AT_MOST * MOST_NEIGHBOURS as f64 {
        return Err(NeighboursError::TooMany { order, pixel, count });
    }
    let near = Near { separation: PixelSeparation::new(pixel, radius), edges: boundary::edges(pixel), radius, order };
    let mut found = Vec::new();
    for cell in Pixel::base_cells() {
        near.visit(cell, &mut found).map_err(|stop| match stop {
            Stop::TooMany => NeighboursError::TooMany { order, pixel, count: count.max(MOST_NEIGHBOURS + 1) },
            Stop::NoMemory => NeighboursError::NoMemory { order, pixel, count },
        })?;
    }
    Ok(found)
}

/// The estimate of the number of neighbours is at most this many times the number; the tests hold it to that.
const ESTIMATE_AT_MOST: f64 = 1.7;

/// About how many pixels of an order lie within a radius of a pixel: up to two thirds too many, or a fifth too few.
///
/// The area within r of a convex region of perimeter P and area A, outside of it, is P sin r + (2π - A)(1 - cos r)
/// (Steiner's formula on the sphere), and its outer edge is P cos r + (2π - A) sin r long. Squares of side s laid at
/// random meet a curve of length L about (2/π) L / s times in addition to those that its inside fills. But the pixels
/// that touch are never fewer than P / s and the corners.
fn estimated_count(pixel: Pixel, order: u8, radius: Threshold) -> u64 {
    const STEPS: u32 = 16;
    let perimeter_rad: f64 = boundary::edges(pixel)
        .iter()
        .map(|edge| {
            let place = |step: u32| edge.position(f64::from(step) / f64::from(STEPS));
            (0..STEPS).map(|step| (place(step + 1) - place(step)).squared().sqrt()).sum::<f64>()
        })
        .sum();
    let area = |order: u8| std::f64::consts::PI / 3.0 / 4_f64.powi(i32::from(order));
    let side_rad = perimeter_rad / 4.0 * 2_f64.powi(i32::from(pixel.order()) - i32::from(order));
    let (sin, cos) = radius.rad().sin_cos();
    let outside = std::f64::consts::TAU - area(pixel.order());
    let band = perimeter_rad * sin + outside * (1.0 - cos);
    let outer_edge_rad = perimeter_rad * cos + outside * sin;
    let within = band / area(order) + std::f64::consts::FRAC_2_PI * outer_edge_rad / side_rad;
    within.max(perimeter_rad / side_rad + 4.0).ceil() as u64
}

/// Why a listing ends early.
enum Stop {
    TooMany,
    NoMemory,
}

struct Near {
    separation: PixelSeparation,
    edges: [Edge; 4],
    radius: Threshold,
    order: u8,
}

impl Near {
    fn visit(&self, node: Pixel, found: &mut Vec<u64>) -> Result<(), Stop> {
        let pixel = self.separation.pixel();
        if pixel.contains(node) {
            return Ok(());
        }
        let holds_pixel = node.contains(pixel);
        if !holds_pixel {
            let (centre, radius_rad) = (boundary::centre(node), boundary::radius_rad(node));
            let reach_rad = self.radius.rad() + radius_rad;
            if reach_rad < std::f64::consts::PI && !self.separation.edges_may_be_within(centre, chord_of_rad(reach_rad))
            {
                return Ok(());
            }
            if node.order() == self.order {
                if self.is_within(node) {
                    if found.len() as u64 == MOST_NEIGHBOURS {
                        return Err(Stop::TooMany);
                    }
                    found.try_reserve(1).map_err(|_| Stop::NoMemory)?;
                    found.push(node.index());
                }
                return Ok(());
            }
        }
        if node.order() < self.order {
            node.children().try_for_each(|child| self.visit(child, found))?;
        }
        Ok(())
    }

    fn is_within(&self, node: Pixel) -> bool {
        let chord = self.radius.chord();
        boundary::edges(node).iter().any(|theirs| {
            self.edges.iter().any(|ours| {
                let (ours, theirs) = (Stretch::whole(ours), Stretch::whole(theirs));
                ours.comes_within(&theirs, chord)
            })
        })
    }
}

/// A meridian farther away than this is not replaced by chords: at about 90 degrees all of it may be equally far.
const FAR_CHORD: f64 = 1.0;

/// A part of an edge, and its ends.
struct Stretch<'a> {
    edge: &'a Edge,
    from_t: f64,
    to_t: f64,
    from: Vec3,
    to: Vec3,
}

impl<'a> Stretch<'a> {
    fn whole(edge: &'a Edge) -> Self {
        Self { edge, from_t: 0.0, to_t: 1.0, from: edge.position(0.0), to: edge.position(1.0) }
    }

    /// No point of the stretch is farther than this from its chord, and vice versa.
    fn deviation(&self) -> f64 {
        self.edge.deviation_bound(self.to_t - self.from_t)
    }

    fn halves(&self) -> [Self; 2] {
        let middle_t = 0.5 * (self.from_t + self.to_t);
        let middle = self.edge.position(middle_t);
        [Self { to_t: middle_t, to: middle, ..*self }, Self { from_t: middle_t, from: middle, ..*self }]
    }

    /// Decides about a far meridian and a curve, replacing only the curve by chords.
    ///
    /// From the pole of its great circle, all points of a meridian are equally far, so that with a radius of 90 degrees
    /// or slightly less its chords would be halved for ever. But its distance from a point has a closed form. Along a
    /// chord of length l, the distance from a point has a second derivative of at most its inverse, so that it is at
    /// most l² / (8 (d - l)) below the smaller value d at the ends.
    fn far_meridian_comes_within(&self, curve: &Self, chord: f64) -> Far {
        let (Some(from), Some(to)) = (self.distance_of_meridian(curve.from), self.distance_of_meridian(curve.to))
        else {
            return Far::No;
        };
        let nearest = from.min(to);
        let length = (curve.to - curve.from).squared().sqrt();
        if nearest < FAR_CHORD || length > 0.5 * nearest {
            return Far::No;
        }
        let below = length * length / (8.0 * (nearest - length)) + curve.deviation();
        if nearest <= chord {
            Far::Decided(true)
        } else if nearest - below > chord || below <= NEGLIGIBLE_DEVIATION {
            Far::Decided(false)
        } else {
            Far::Undecided
        }
    }

    /// The chord from a point to the stretch, when it is a meridian.
    fn distance_of_meridian(&self, point: Vec3) -> Option<f64> {
        let foot = self.edge.position(self.edge.nearest_on_meridian(point)?.clamp(self.from_t, self.to_t));
        // Where the foot is beyond an end, either end may be nearest.
        let nearest = [foot, self.from, self.to].map(|place| (place - point).squared());
        Some(nearest.into_iter().fold(f64::INFINITY, f64::min).sqrt())
    }

    /// Whether two stretches come within a chord of each other. The one that deviates more is halved until the bounds
    /// decide or are negligible.
    fn comes_within(&self, other: &Self, chord: f64) -> bool {
        let distance = squared_distance_of_chords(self.from, self.to, other.from, other.to).sqrt();
        let (own, others) = (self.deviation(), other.deviation());
        if distance - own - others > chord {
            return false;
        }
        if distance + own + others <= chord {
            return true;
        }
        if own.max(others) <= NEGLIGIBLE_DEVIATION {
            return distance <= chord;
        }
        for (meridian, curve) in [(self, other), (other, self)] {
            match meridian.far_meridian_comes_within(curve, chord) {
                Far::No => {}
                Far::Decided(is_within) => return is_within,
                Far::Undecided => return curve.halves().iter().any(|half| half.comes_within(meridian, chord)),
            }
        }
        if own >= others {
            self.halves().iter().any(|half| half.comes_within(other, chord))
        } else {
            other.halves().iter().any(|half| self.comes_within(half, chord))
        }
    }
}

/// The result of [`Stretch::far_meridian_comes_within`].
enum Far {
    /// Not applicable: it is not a meridian, or not far.
    No,
    Decided(bool),
    /// The curve must be halved.
    Undecided,
}

/// The squared distance of two straight segments: the least of the distance between the lines, where the nearest points
/// lie on both, and the distances from each end to the other segment.
fn squared_distance_of_chords(a: Vec3, b: Vec3, c: Vec3, d: Vec3) -> f64 {
    let ends = [
        a.squared_distance_to_segment(c, d),
        b.squared_distance_to_segment(c, d),
        c.squared_distance_to_segment(a, b),
        d.squared_distance_to_segment(a, b),
    ];
    let nearest_end = ends.into_iter().fold(f64::INFINITY, f64::min);
    let (u, v, w) = (b - a, d - c, a - c);
    let (uu, uv, vv, uw, vw) = (u.squared(), u.dot(v), v.squared(), u.dot(w), v.dot(w));
    let determinant = uu * vv - uv * uv;
    if determinant <= 0.0 {
        return nearest_end;
    }
    let (s, t) = ((uv * vw - vv * uw) / determinant, (uu * vw - uv * uw) / determinant);
    if (0.0..=1.0).contains(&s) && (0.0..=1.0).contains(&t) {
        // The distance of any two points of the segments is an upper bound, so rounding in s and t is harmless.
        nearest_end.min(w.plus_scaled(s, u).plus_scaled(-t, v).squared())
    } else {
        nearest_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::angle::UnitVector;

    fn pixel(order: u8, index: u64) -> Pixel {
        Pixel::new(order, index).unwrap()
    }

    fn radius(arcsec: f64) -> Threshold {
        Threshold::from_arcsec(arcsec).unwrap()
    }

    #[test]
    fn a_tiny_radius_gives_the_ring() {
        for (order, index) in [(0, 0), (0, 4), (1, 3), (2, 100), (3, 767), (5, 1000)] {
            for at_order in order..=order + 3 {
                let found = neighbours(pixel(order, index), at_order, radius(1e-6)).unwrap();
                assert_eq!(found, crate::healpix::ring(pixel(order, index), at_order), "{order} {index} {at_order}");
            }
        }
    }

    #[test]
    fn coarser_pixels_are_neighbours_unless_they_hold_the_pixel() {
        let found = neighbours(pixel(4, 0), 1, radius(1e-6)).unwrap();
        assert!(!found.contains(&0));
        assert!(found.len() >= 2);
        assert!(found.iter().all(|&index| {
            let coarse = pixel(1, index);
            crate::healpix::ring(pixel(4, 0), 4).iter().any(|&touching| coarse.contains(pixel(4, touching)))
        }));
    }

    #[test]
    fn a_radius_reaches_as_far_as_the_nearest_points_of_the_pixels() {
        let own = pixel(6, 12345);
        let reach = radius(3000.0);
        let found = neighbours(own, 6, reach).unwrap();
        let separation = PixelSeparation::new(own, reach);
        // Dense points on the edges of every pixel within three degrees: 0.1 arcsec is more than their spacing hides.
        let around = neighbours(own, 6, radius(10_800.0)).unwrap();
        assert!(around.len() > 2 * found.len());
        for index in around {
            let nearest_arcsec = boundary::edges(pixel(6, index))
                .iter()
                .flat_map(|edge| (0..=128).map(|step| edge.position(f64::from(step) / 128.0)))
                .map(|Vec3 { x, y, z }| separation.separation_from_edges_arcsec(UnitVector { x, y, z }))
                .fold(f64::INFINITY, f64::min);
            if (nearest_arcsec - 3000.0).abs() > 0.1 {
                assert_eq!(found.contains(&index), nearest_arcsec <= 3000.0, "{index} at {nearest_arcsec} arcsec");
            }
        }
    }

    #[test]
    fn what_would_not_fit_is_refused_with_its_count() {
        for (order, index, at_order, arcsec, least, most) in [
            // A ring of 4 * 2^29 pixels and its corners; a cap; half the sky.
            (0, 4, 29, 1e-9, 2_147_483_652_u64, 2_150_000_000),
            (5, 1000, 29, 3600.0, 400_000_000_000_000, 1_000_000_000_000_000),
            (0, 0, 29, 324_000.0, 12 << 57, 12 << 58),
            (29, 5, 29, 10.0, 2_000_000_000, 4_000_000_000),
        ] {
            let refused = neighbours(pixel(order, index), at_order, radius(arcsec)).unwrap_err();
            let NeighboursError::TooMany { count, .. } = refused else { panic!("{refused}") };
            assert!((least..=most).contains(&count), "{order} {index} {at_order} {arcsec}: {count}");
            assert!(refused.to_string().contains(&format!("about {count} pixels of order 29")), "{refused}");
        }
    }

    #[test]
    fn the_count_is_known_before() {
        let mut state = 28_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        for _ in 0..1000 {
            let order = (6.0 * uniform()) as u8;
            let own = pixel(order, (uniform() * (12_u64 << (2 * order)) as f64) as u64);
            let at_order = (order + (5.0 * uniform()) as u8).min(6);
            let arcsec = 10_f64.powf(5.5 * uniform());
            let expected = neighbours(own, at_order, radius(arcsec)).unwrap().len() as f64;
            let count = estimated_count(own, at_order, radius(arcsec)) as f64;
            assert!(
                count < 1.7 * expected + 8.0 && count > 0.8 * expected - 8.0,
                "{own} at order {at_order} within {arcsec}: {count} for {expected}"
            );
        }
    }
}
