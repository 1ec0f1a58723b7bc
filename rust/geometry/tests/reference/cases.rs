//! What the reference is asked: pixels, positions and thresholds at which a decision is hard.

use super::random::Random;
use super::separation::ReferencePixel;

/// Radians in one arcsecond.
const ARCSEC_RAD: f64 = std::f64::consts::PI / 648_000.0;

/// The largest threshold.
pub const MAX_THRESHOLD_ARCSEC: f64 = 324_000.0;

/// A position and the threshold it was made for.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    pub ra_deg: f64,
    pub dec_deg: f64,
    pub threshold_arcsec: f64,
    /// Where the position was put.
    pub place: &'static str,
}

/// An order and a nested index.
pub type PixelName = (u8, u64);

/// Any pixel of any order, orders equally likely.
pub fn random_pixel(random: &mut Random) -> PixelName {
    let order = random.below(30) as u8;
    (order, random.below(12 << (2 * order)))
}

/// A pixel of any order that lies at a place where the projection is special.
pub fn degenerate_pixel(random: &mut Random) -> PixelName {
    let order = random.below(30) as u8;
    let last = (1_u64 << order) - 1;
    let close_to_rim = |random: &mut Random| -> u64 {
        let off = if random.below(2) == 0 { 0 } else { random.log_between(1.0, 1000.0) as u64 };
        off.min(last)
    };
    let any = |random: &mut Random| random.below(last + 1);
    let (cell, column, row) = match random.below(6) {
        // At a pole, or a few pixels away from it.
        0 => {
            let (column, row) = (close_to_rim(random), close_to_rim(random));
            let column_row = |flip: bool| if flip { (last - column, last - row) } else { (column, row) };
            let northern = random.below(2) == 0;
            let (column, row) = column_row(northern);
            (random.below(4) + if northern { 0 } else { 8 }, column, row)
        }
        // On an edge of a base cell.
        1 => {
            let (rim, along) = (random.pick(&[0, last]), any(random));
            let (column, row) = if random.below(2) == 0 { (rim, along) } else { (along, rim) };
            (random.below(12), column, row)
        }
        // In a corner of a base cell: among them all that three cells share.
        2 => (random.below(12), random.pick(&[0, last]), random.pick(&[0, last])),
        // Touching |z| = 2/3 from either side: its diagonal in the polar base cells.
        3 => {
            let column = any(random);
            let row = (last - column).saturating_add(random.below(3)).saturating_sub(1).min(last);
            (random.pick(&[0, 1, 2, 3, 8, 9, 10, 11]), column, row)
        }
        // Symmetric about its meridian.
        4 => {
            let column = any(random);
            (random.below(12), column, column)
        }
        _ => (random.below(12), any(random), any(random)),
    };
    let mut index = cell << (2 * order);
    for bit in 0..order {
        index |= (column >> bit & 1) << (2 * bit) | (row >> bit & 1) << (2 * bit + 1);
    }
    (order, index)
}

/// Half over all thresholds, half relative to the pixel.
fn random_threshold_arcsec(random: &mut Random, side_rad: f64) -> f64 {
    let threshold_arcsec = if random.below(2) == 0 {
        random.log_between(1e-3, MAX_THRESHOLD_ARCSEC)
    } else {
        random.log_between(1e-3, 1e3) * side_rad / ARCSEC_RAD
    };
    threshold_arcsec.min(MAX_THRESHOLD_ARCSEC)
}

/// Positions around a pixel at which decisions are hard, and some anywhere.
pub fn random_query(random: &mut Random, pixel: &ReferencePixel) -> Query {
    let side_rad = pixel.side_rad();
    let threshold_arcsec = random_threshold_arcsec(random, side_rad);
    let threshold_rad = threshold_arcsec * ARCSEC_RAD;
    let tiny_rad = 1e-12 * ARCSEC_RAD;
    let off_rad = random.sign() * random.log_between(tiny_rad, threshold_rad);
    let close_rad = random.log_between(tiny_rad, 2.0 * side_rad);
    let (edge, along) = (random.below(4) as usize, random.unit());
    let (point, place) = match random.below(8) {
        0 | 1 => (beside_edge(pixel, edge, along, threshold_rad + off_rad), "at the threshold from an edge"),
        2 => (around(random, corner(pixel, edge), threshold_rad + off_rad), "at the threshold from a corner"),
        3 => (beside_edge(pixel, edge, along, random.sign() * close_rad), "beside an edge"),
        4 => (around(random, corner(pixel, edge), close_rad), "beside a corner"),
        5 => {
            let distance_rad = random.log_between(0.1 * side_rad, std::f64::consts::PI);
            (around(random, pixel.centre().to_f64(), distance_rad), "about the pixel")
        }
        6 => {
            // Where two edges that meet in a corner compete: just off the end of an edge, a threshold away.
            let along = random.pick(&[0.0, 1.0]) + random.sign() * random.log_between(1e-9, 0.3);
            (beside_edge(pixel, edge, along.clamp(0.0, 1.0), threshold_rad + off_rad), "off the end of an edge")
        }
        _ => (anywhere(random), "anywhere"),
    };
    let (ra_deg, dec_deg) = ra_dec_deg(random, point);
    Query { ra_deg, dec_deg, threshold_arcsec, place }
}

/// Positions that are special themselves: poles, corners, |z| = 2/3, whole quarters of ra, antipodes, evolutes.
pub fn degenerate_query(random: &mut Random, pixel: &ReferencePixel) -> Query {
    let side_rad = pixel.side_rad();
    let threshold_arcsec = random_threshold_arcsec(random, side_rad);
    let (edge, along) = (random.below(4) as usize, random.unit());
    // Usually a hair beside the special place, sometimes on it.
    let off_rad = if random.below(3) == 0 { 0.0 } else { random.log_between(1e-17, 1e-3) };
    let (near_ra_deg, near_dec_deg) = {
        let distance_rad = random.log_between(0.5 * side_rad, std::f64::consts::PI);
        let point = around(random, pixel.centre().to_f64(), distance_rad);
        ra_dec_deg(random, point)
    };
    let two_thirds_deg = (2.0_f64 / 3.0).asin().to_degrees();
    let eighth_deg = 45.0 * (random.below(17) as f64 - 8.0);
    let ((ra_deg, dec_deg), place) = match random.below(9) {
        0 => ((random.pick(&[near_ra_deg, eighth_deg]), random.sign() * (90.0 - off_rad.to_degrees())), "a pole"),
        1 => {
            let vertices = [(0.0, two_thirds_deg), (0.0, -two_thirds_deg), (45.0, 0.0), (0.0, 90.0), (0.0, -90.0)];
            let (ra_deg, dec_deg) = random.pick(&vertices);
            let vertex = vector(ra_deg + 90.0 * random.below(4) as f64, dec_deg);
            let point = around(random, vertex, off_rad);
            (ra_dec_deg(random, point), "a corner of a base cell")
        }
        2 => ((near_ra_deg, nudged(random, sign_of(near_dec_deg) * two_thirds_deg)), "|z| = 2/3"),
        3 => ((nudged(random, eighth_deg).clamp(-360.0, 360.0), near_dec_deg), "ra a multiple of 45"),
        4 => {
            let point = around(random, corner(pixel, edge), off_rad);
            (ra_dec_deg(random, point), "a corner of the pixel")
        }
        5 => {
            let place = random.pick(&[corner(pixel, edge), pixel.centre().to_f64()]);
            let point = around(random, place.map(|component| -component), off_rad);
            (ra_dec_deg(random, point), "an antipode")
        }
        6 => {
            let point = around(random, evolute(pixel, edge, along), off_rad);
            let flipped = random.sign();
            (ra_dec_deg(random, point.map(|component| flipped * component)), "the evolute of an edge")
        }
        7 => {
            // The meridian of a symmetric pixel's middle: both sides are equally far.
            let (middle_ra_deg, _) = ra_dec_deg(random, pixel.centre().to_f64());
            let ra_deg = if random.below(2) == 0 { middle_ra_deg } else { (middle_ra_deg + 180.0) % 360.0 };
            ((nudged(random, ra_deg).clamp(-360.0, 360.0), near_dec_deg), "the meridian of the pixel's middle")
        }
        _ => {
            let off_rad = random.sign() * off_rad;
            let point = beside_edge(pixel, edge, along, random.pick(&[0.0, threshold_arcsec * ARCSEC_RAD]) + off_rad);
            (ra_dec_deg(random, point), "an edge, or at the threshold from it")
        }
    };
    Query { ra_deg, dec_deg, threshold_arcsec, place }
}

/// Thresholds close to a separation, the closest beyond the tolerance of the contract by a twentieth.
pub fn thresholds_about(random: &mut Random, separation_arcsec: f64, offsets_arcsec: &[f64]) -> Vec<f64> {
    let relative = separation_arcsec * (1.0 + random.sign() * random.log_between(1e-12, 0.5));
    let close = separation_arcsec + random.sign() * random.log_between(1.05e-9, 1e-6);
    let mut thresholds = vec![relative, close];
    for offset_arcsec in offsets_arcsec {
        thresholds.extend([separation_arcsec - offset_arcsec, separation_arcsec + offset_arcsec]);
    }
    thresholds.retain(|&threshold_arcsec| threshold_arcsec > 0.0 && threshold_arcsec <= MAX_THRESHOLD_ARCSEC);
    thresholds
}

/// The sign of a number: 1 for zero.
fn sign_of(value: f64) -> f64 {
    if value < 0.0 { -1.0 } else { 1.0 }
}

/// A number itself or up to three doubles beside it.
fn nudged(random: &mut Random, value: f64) -> f64 {
    (0..random.below(4)).fold(value, |value, _| if value > 0.0 { value.next_down() } else { value.next_up() })
}

/// The point of the sphere at a position in degrees, to double precision.
fn vector(ra_deg: f64, dec_deg: f64) -> [f64; 3] {
    let ((sin_ra, cos_ra), (sin_dec, cos_dec)) = (ra_deg.to_radians().sin_cos(), dec_deg.to_radians().sin_cos());
    [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec]
}

/// The position of a point in degrees; ra is now and then negative.
fn ra_dec_deg(random: &mut Random, [x, y, z]: [f64; 3]) -> (f64, f64) {
    let ra_deg = y.atan2(x).to_degrees();
    let ra_deg = if ra_deg < 0.0 && random.below(8) != 0 { ra_deg + 360.0 } else { ra_deg };
    (ra_deg, z.atan2(x.hypot(y)).to_degrees().clamp(-90.0, 90.0))
}

fn corner(pixel: &ReferencePixel, edge: usize) -> [f64; 3] {
    pixel.edge(edge, 0.0).to_f64()
}

fn anywhere(random: &mut Random) -> [f64; 3] {
    let (longitude_deg, z) = (random.between(0.0, 360.0), random.between(-1.0, 1.0));
    vector(longitude_deg, z.asin().to_degrees())
}

/// A point at a distance from another, in a random direction.
fn around(random: &mut Random, centre: [f64; 3], distance_rad: f64) -> [f64; 3] {
    let direction = normalised(cross(centre, anywhere(random)));
    moved(centre, direction, distance_rad)
}

/// A point on the great circle at right angles to an edge, outside the pixel for a positive distance.
fn beside_edge(pixel: &ReferencePixel, edge: usize, along: f64, distance_rad: f64) -> [f64; 3] {
    let (_, tangent, _) = pixel.derivatives(edge, along);
    let place = pixel.edge(edge, along).to_f64();
    // The edges run anticlockwise: the outside is to the right.
    moved(place, normalised(cross(tangent, place)), distance_rad)
}

/// A point from which the edge's separation is flat to third order at that place.
fn evolute(pixel: &ReferencePixel, edge: usize, along: f64) -> [f64; 3] {
    let (_, first, second) = pixel.derivatives(edge, along);
    normalised(cross(first, second))
}

fn moved(from: [f64; 3], direction: [f64; 3], distance_rad: f64) -> [f64; 3] {
    let (sin, cos) = distance_rad.sin_cos();
    std::array::from_fn(|axis| cos * from[axis] + sin * direction[axis])
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn normalised(a: [f64; 3]) -> [f64; 3] {
    let length = (a[0] * a[0] + a[1] * a[1] + a[2] * a[2]).sqrt();
    a.map(|component| component / length)
}
