//! The edges of pixels: they meet at the corners, and their derivatives and bounds are those of the curve.
#![allow(clippy::unwrap_used, missing_docs)]

use skymargin_geometry::angle::Vec3;
use skymargin_geometry::boundary::{centre, edges, radius_rad};
use skymargin_geometry::pixel::Pixel;

fn pixels() -> impl Iterator<Item = Pixel> {
    let small = (0..=3).flat_map(|order| (0..12 << (2 * order)).map(move |index| (order, index)));
    let large = [10, 20, 29].into_iter().flat_map(|order| {
        let last = (1_u64 << (2 * order)) - 1;
        (0..12_u64).flat_map(move |cell| {
            [0, 1, last / 3, last / 2, last - 1, last].map(|within| (order, (cell << (2 * order)) + within))
        })
    });
    small.chain(large).map(|(order, index)| Pixel::new(order, index).unwrap())
}

fn close(a: Vec3, b: Vec3, tolerance: f64) -> bool {
    (a - b).squared().sqrt() <= tolerance
}

#[test]
fn edges_meet_at_the_corners() {
    for pixel in pixels() {
        let [south_west, north_east, south_east, north_west] = edges(pixel);
        for (a, b) in [
            (south_west.position(0.0), south_east.position(0.0)),
            (south_west.position(1.0), north_west.position(0.0)),
            (north_east.position(0.0), south_east.position(1.0)),
            (north_east.position(1.0), north_west.position(1.0)),
        ] {
            assert!(close(a, b, 1e-15), "{pixel}: {a:?} {b:?}");
        }
    }
}

fn scaled(vector: Vec3, factor: f64) -> Vec3 {
    Vec3 { x: vector.x * factor, y: vector.y * factor, z: vector.z * factor }
}

#[test]
fn derivatives_are_those_of_the_curve() {
    for pixel in pixels().filter(|pixel| pixel.order() <= 3) {
        for edge in edges(pixel) {
            for t in [0.1, 0.5, 0.9] {
                let step = 1e-4;
                let (before, here, after) = (edge.position(t - step), edge.jet(t), edge.position(t + step));
                let ds = step * edge.length();
                let first = scaled(after - before, 1.0 / (2.0 * ds));
                let second = scaled((after - here.position) - (here.position - before), 1.0 / (ds * ds));
                assert!(close(first, here.first, 1e-6 * edge.second_derivative_bound()), "{pixel} {t}");
                assert!(close(second, here.second, 1e-4 * edge.second_derivative_bound()), "{pixel} {t}");
                assert!(close(here.position, edge.position(t), 1e-15));
            }
        }
    }
}

#[test]
fn bounds_hold_on_a_dense_sample() {
    for pixel in pixels() {
        for edge in edges(pixel) {
            for step in 0..=64 {
                let jet = edge.jet(f64::from(step) / 64.0);
                let bound = edge.second_derivative_bound();
                assert!(jet.second.squared().sqrt() <= bound * (1.0 + 1e-12), "{pixel} {step}");
                assert!(jet.first.squared() >= edge.squared_speed_bound() * (1.0 - 1e-12), "{pixel} {step}");
                let to_centre = (jet.position - centre(pixel)).squared().sqrt();
                assert!(to_centre <= radius_rad(pixel), "{pixel} {step}");
            }
        }
    }
}
