//! Neighbours within a radius: none missed, and decided at the distance itself.

use cdshealpix::nested::external_edge_sorted;
use skymargin_geometry::angle::{ARCSEC_RAD, Threshold};
use skymargin_geometry::healpix;
use skymargin_geometry::neighbours::neighbours;
use skymargin_geometry::pixel::Pixel;

use crate::search::{Square, TOLERANCE_RAD, cases, length, random, rim, sampled_chord, some_pixel};

/// Samples of one stretch of an edge in a search.
const GRID: usize = 16;

/// The lowest value of a function on a stretch: a grid, zoomed in on its lowest place until that says nothing new.
fn lowest((from, to): (f64, f64), finest: f64, mut function: impl FnMut(f64) -> f64) -> f64 {
    let (mut from, mut to, mut least) = (from, to, f64::INFINITY);
    loop {
        let place = |step: usize| from + (to - from) * step as f64 / GRID as f64;
        let (low, value) =
            (0..=GRID).map(|step| (step, function(place(step)))).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        least = least.min(value);
        if (to - from) / (GRID as f64) < finest {
            return least;
        }
        (from, to) = (place(low.saturating_sub(1)), place((low + 1).min(GRID)));
    }
}

/// The least chord between the rims of two pixels; on each edge the nearest point of each point of the other's.
///
/// Never too small; too large only where a pair of edges has a second, deeper and narrower place.
fn chord_between(a: Square, b: Square) -> f64 {
    let squared = |a: [f64; 3], b: [f64; 3]| (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>();
    let points = |square: Square, edge: usize| -> [[f64; 3]; GRID + 1] {
        std::array::from_fn(|step| square.edge(edge, step as f64 / GRID as f64).to_f64())
    };
    // No point of a pixel moves by more than twice a step of the parameter over nside.
    let hidden = (1.0 / a.nside() + 1.0 / b.nside()) / GRID as f64;
    let mut pairs: Vec<(f64, usize, usize)> = (0..16)
        .map(|pair| {
            let (ours, theirs) = (points(a, pair / 4), points(b, pair % 4));
            let all = ours.iter().flat_map(|ours| theirs.iter().map(|theirs| squared(*ours, *theirs)));
            (all.fold(f64::INFINITY, f64::min).sqrt(), pair / 4, pair % 4)
        })
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut least = pairs[0].0;
    if least == 0.0 {
        return 0.0;
    }
    for (sampled, edge_a, edge_b) in pairs {
        if sampled - hidden > least {
            continue;
        }
        let found = lowest((0.0, 1.0), 1e-8, |t| {
            let ours = a.edge(edge_a, t);
            lowest((0.0, 1.0), 1e-8, |u| squared(ours.to_f64(), b.edge(edge_b, u).to_f64()))
        });
        least = least.min(found.sqrt());
    }
    least
}

/// A pixel that some point within the radius lies in is a neighbour, wherever the point was put.
#[test]
fn neighbours_hold_every_point_within_the_radius() {
    let mut random = random(8);
    let mut checked = 0;
    for _ in 0..cases() / 4 {
        let (order, index) = some_pixel(&mut random);
        let (square, pixel) = (Square::of((order, index)), Pixel::new(order, index).unwrap());
        let at_order = (order + random.below(5) as u8).saturating_sub(2).min(29);
        let side_rad = 1.0 / (1_u64 << at_order.max(order)) as f64;
        let radius_rad = (side_rad * random.log_between(1e-6, 6.0)).min(std::f64::consts::FRAC_PI_2);
        let radius = Threshold::from_arcsec(radius_rad / ARCSEC_RAD * (1.0 - 1e-15)).unwrap();
        let found = neighbours(pixel, at_order, radius).unwrap();
        assert!(found.is_sorted_by(|a, b| a < b));
        for _ in 0..40 {
            let from = square.edge(random.below(4) as usize, random.unit()).to_f64();
            // Positions in degrees are rounded to 1e-14 rad, so keep a little inside.
            let reach_rad = (radius.rad() * random.pick(&[1.0, 1.0 - 1e-9, 0.5]) - 3e-13).max(0.0);
            let (turn, other) = (random.between(0.0, std::f64::consts::TAU), [from[1], -from[0], 0.0]);
            let norm = length(other).max(1e-300);
            let u = other.map(|component| component / norm);
            let w = [from[1] * u[2] - from[2] * u[1], from[2] * u[0] - from[0] * u[2], from[0] * u[1] - from[1] * u[0]];
            let place: [f64; 3] = std::array::from_fn(|axis| {
                reach_rad.cos() * from[axis] + reach_rad.sin() * (turn.cos() * u[axis] + turn.sin() * w[axis])
            });
            if norm < 1e-9 || reach_rad == 0.0 {
                continue;
            }
            let ra_deg = place[1].atan2(place[0]).to_degrees();
            let dec_deg = place[2].atan2(place[0].hypot(place[1])).to_degrees().clamp(-90.0, 90.0);
            let holder = Pixel::new(at_order, healpix::index_of_ra_dec_deg(at_order, ra_deg, dec_deg)).unwrap();
            if !holder.contains(pixel) && !pixel.contains(holder) {
                checked += 1;
                assert!(found.binary_search(&holder.index()).is_ok(), "{pixel}, {radius:?}: {holder} is missing");
            }
        }
    }
    println!("{checked} points outside their pixel");
    assert!(checked > cases());
}

/// At a radius a hair more or less than the distance of two pixels.
#[test]
fn neighbours_are_decided_at_the_distance_itself() {
    let mut random = random(9);
    let mut decided = [0_u64; 2];
    for _ in 0..cases() / 12 {
        let (order, index) = some_pixel(&mut random);
        let (square, pixel) = (Square::of((order, index)), Pixel::new(order, index).unwrap());
        let at_order = (order + random.below(5) as u8).saturating_sub(2).min(29);
        let side_rad = 1.0 / (1_u64 << at_order.max(order)) as f64;
        let radius_rad = (side_rad * random.log_between(0.1, 4.0)).min(1.5);
        let around = neighbours(pixel, at_order, Threshold::from_arcsec(radius_rad / ARCSEC_RAD).unwrap()).unwrap();
        if around.is_empty() {
            continue;
        }
        let there = random.pick(&around);
        let chord = chord_between(square, Square::of((at_order, there)));
        let separation_arcsec = 2.0 * (0.5 * chord).asin() / ARCSEC_RAD;
        assert!(
            separation_arcsec * ARCSEC_RAD <= radius_rad + TOLERANCE_RAD,
            "{pixel}: {there} at {separation_arcsec}"
        );
        for (hair_arcsec, is_within) in [(2e-9, true), (1e-6, true), (-2e-9, false), (-1e-6, false)] {
            let Ok(radius) = Threshold::from_arcsec(separation_arcsec + hair_arcsec) else { continue };
            let found = neighbours(pixel, at_order, radius).unwrap().binary_search(&there).is_ok();
            assert_eq!(
                found, is_within,
                "{pixel} and {there} at order {at_order}: {separation_arcsec:?} {hair_arcsec:e}"
            );
            decided[usize::from(is_within)] += 1;
        }
    }
    println!("{} within and {} beyond by a hair", decided[1], decided[0]);
    assert!(decided[1] > cases() / 20 && decided[0] > cases() / 50);
}

/// Seen from its pole a meridian is flat, and touching pixels have no distance: halving must end all the same.
#[test]
fn neighbours_end_at_flat_and_at_tiny_radii() {
    let hairs = [324_000.0, 323_999.999_999_999_9, 323_999.999_999_99, 323_999.999_9];
    for (order, index, at_order) in [(0, 0, 1), (3, 21, 2), (1, 40, 2), (0, 8, 2), (2, 15, 1)] {
        let (square, pixel) = (Square::of((order, index)), Pixel::new(order, index).unwrap());
        let found = hairs.map(|arcsec| neighbours(pixel, at_order, Threshold::from_arcsec(arcsec).unwrap()).unwrap());
        for other in 0..12_u64 << (2 * at_order) {
            let there = Pixel::new(at_order, other).unwrap();
            if there.contains(pixel) || pixel.contains(there) {
                continue;
            }
            // Only a pixel that samples place about 90 degrees away needs the exact distance.
            let sampled = sampled_chord(&rim(pixel), &rim(there));
            let chord = if (sampled - std::f64::consts::SQRT_2).abs() < 0.01 {
                chord_between(square, Square::of((at_order, other)))
            } else {
                sampled
            };
            let separation_arcsec = 2.0 * (0.5 * chord).min(1.0).asin() / ARCSEC_RAD;
            for (arcsec, found) in hairs.iter().zip(&found) {
                if (separation_arcsec - arcsec).abs() > 2e-9 {
                    let is_found = found.binary_search(&other).is_ok();
                    assert_eq!(is_found, separation_arcsec <= *arcsec, "{pixel} {there} {separation_arcsec} {arcsec}");
                }
            }
        }
    }
    for (order, index) in [(0, 0), (0, 6), (3, 63), (5, 1000), (8, 70_000), (29, 1 << 58)] {
        let pixel = Pixel::new(order, index).unwrap();
        for at_order in order..=(order + 2).min(29) {
            // At order 29 pixels 4e-4 arcsec wide are still told from the ring.
            let ring = external_edge_sorted(order, index, at_order - order).into_vec();
            for arcsec in [1e-6, 2e-9] {
                assert_eq!(
                    neighbours(pixel, at_order, Threshold::from_arcsec(arcsec).unwrap()).unwrap(),
                    ring,
                    "{pixel} {arcsec}"
                );
            }
            // Below the rounding of a point none but touching pixels may come.
            for arcsec in [1e-12, 1e-15, 1e-300] {
                let found = neighbours(pixel, at_order, Threshold::from_arcsec(arcsec).unwrap()).unwrap();
                assert!(found.iter().all(|index| ring.contains(index)), "{pixel} {arcsec}");
            }
        }
    }
}
