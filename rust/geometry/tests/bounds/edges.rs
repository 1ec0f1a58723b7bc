//! Bounds of the edges themselves: radii, derivatives, deviations of chords, accuracy of points.

use skymargin_geometry::angle::{Threshold, UnitVector, Vec3, chord_of_rad};
use skymargin_geometry::boundary::{self, CENTRE_TO_EDGE_RAD};
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::separation::PixelSeparation;

use crate::reference::cases as queries;
use crate::reference::double_double::Dd;
use crate::reference::projection::Vector;
use crate::reference::separation::ReferencePixel;
use crate::search::{Square, TOLERANCE_RAD, cases, combination, error_of, judge, largest, length, random, some_pixel};

/// At order 29 the reference's rounding, 1e-32, is this part of the differences taken here, 1e-24. At the pole the
/// bounds of a meridian are attained.
const ROUNDING_OF_DIFFERENCES: f64 = 1e-8;

#[test]
fn no_point_of_a_pixel_is_farther_from_its_centre() {
    let mut random = random(1);
    let mut worst = 0.0_f64;
    for order in 0..=29_u8 {
        let mut worst_of_order = 0.0_f64;
        for climb in 0..12 + cases() / 250 {
            let last = (1 << order) - 1;
            let (column, row) = (random.below(last + 1), random.below(last + 1));
            // Two of three start in a corner of the base cell.
            let (column, row) = match climb % 3 {
                0 => (column, row),
                1 => (last, 0),
                _ => (random.pick(&[0, last]), random.pick(&[0, last])),
            };
            let start = Square { order, base_cell: climb % 12, column, row };
            worst_of_order = worst_of_order.max(start.climb(Square::scaled_radius));
        }
        println!("order {order}: {worst_of_order:.7}");
        worst = worst.max(worst_of_order);
    }
    for _ in 0..20 * cases() {
        worst = worst.max(Square::of(some_pixel(&mut random)).scaled_radius());
    }
    judge("CENTRE_TO_EDGE_RAD", worst, CENTRE_TO_EDGE_RAD, 0.9995);
}

/// Second differences are means of the second derivative, so they obey its bound but for the reference's rounding.
#[test]
fn derivatives_keep_to_their_bounds() {
    const STEP: f64 = 1.0 / 1024.0;
    const SHORT_STEP: f64 = 1.0 / 1_048_576.0;
    let mut random = random(2);
    // The belt; meridians; other edges in the caps.
    let mut worst_second = [0.0_f64; 3];
    let mut worst_speed = [0.0_f64; 3];
    let mut loosest_second = [1.0_f64; 3];
    for _ in 0..20 * cases() {
        let square = Square::of(some_pixel(&mut random));
        let (index, length_s) = (random.below(4) as usize, 1.0 / square.nside());
        let edge = boundary::edges(square.pixel())[index];
        let here = square.edge(index, 0.5).z.to_f64();
        let is_meridian = edge.nearest_on_meridian(Vec3 { x: 0.3, y: 0.2, z: 0.1 }).is_some();
        let kind = if here.abs() < 2.0 / 3.0 { 0 } else { 2 - usize::from(is_meridian) };
        let mut most_second = 0.0_f64;
        for t in [STEP, 1.0 - STEP, random.below(1 << 30) as f64 / (1_u64 << 30) as f64] {
            let t = t.clamp(STEP, 1.0 - STEP);
            let [before, here, after] = [t - STEP, t, t + STEP].map(|t| square.edge(index, t));
            let second = length(combination([(1.0, before), (-2.0, here), (1.0, after)])) / (STEP * length_s).powi(2);
            most_second = most_second.max(second / edge.second_derivative_bound());
            let [before, after] = [t - SHORT_STEP, t + SHORT_STEP].map(|t| square.edge(index, t));
            let first = length(combination([(1.0, after), (-1.0, before)])) / (2.0 * SHORT_STEP * length_s);
            worst_speed[kind] = worst_speed[kind].max(edge.squared_speed_bound() / (first * first));
        }
        worst_second[kind] = worst_second[kind].max(most_second);
        loosest_second[kind] = loosest_second[kind].min(most_second);
    }
    println!("loosest second derivative bound of one edge, worst over bound: {loosest_second:.3?}");
    for (kind, name) in ["belt", "meridian", "cap"].into_iter().enumerate() {
        judge(&format!("|e''| over its bound, {name}"), worst_second[kind], 1.0 + ROUNDING_OF_DIFFERENCES, 0.98);
        judge(&format!("bound of |e'|² over it, {name}"), worst_speed[kind], 1.0, 0.999);
        assert!(loosest_second[kind] > 0.3, "{name}: an edge bends far less than its bound");
    }
}

#[test]
fn a_chord_deviates_no_more_than_its_bound() {
    let mut random = random(3);
    let mut worst = 0.0_f64;
    for _ in 0..30 * cases() {
        let square = Square::of(some_pixel(&mut random));
        let index = random.below(4) as usize;
        let edge = boundary::edges(square.pixel())[index];
        let parts = (1_u64 << random.below(8)) as f64;
        // Parameters are binary fractions, so that no sum of them rounds.
        let share = match random.below(3) {
            0 => 0.0,
            1 => 1.0,
            _ => random.below(1 << 20) as f64 / (1_u64 << 20) as f64,
        };
        let (from, to) = (share * (1.0 - 1.0 / parts), 1.0 / parts);
        let bound = edge.deviation_bound(to);
        let part = random.between(20.0, 44.0).round() / 64.0;
        let [start, place, end] = [from, from + to * part, from + to].map(|t| square.edge(index, t));
        let off = length(combination([(1.0, place), (part - 1.0, start), (-part, end)]));
        worst = worst.max(off / bound);
    }
    judge("deviation over M h² / 8", worst, 1.0 + ROUNDING_OF_DIFFERENCES, 0.97);
}

#[test]
fn points_of_edges_and_positions_are_as_accurate_as_stated() {
    let mut random = random(4);
    let (mut worst_edge, mut worst_edge_component) = (0.0_f64, 0.0_f64);
    let (mut worst_position, mut worst_position_component) = (0.0_f64, 0.0_f64);
    for _ in 0..100 * cases() {
        let square = Square::of(some_pixel(&mut random));
        let (index, t) = (random.below(4) as usize, random.unit());
        let found = boundary::edges(square.pixel())[index].position(t);
        let error = error_of(found, square.edge(index, t));
        worst_edge = worst_edge.max(length(error));
        worst_edge_component = worst_edge_component.max(largest(error));
        let ra_deg = if random.below(8) == 0 { 45.0 * random.below(9) as f64 } else { random.between(-360.0, 360.0) };
        let dec_deg = match random.below(4) {
            0 => random.sign() * (90.0 - random.log_between(1e-13, 90.0)),
            _ => random.between(-1.0, 1.0).asin().to_degrees(),
        };
        let found = UnitVector::from_ra_dec_deg(ra_deg, dec_deg).unwrap().as_vec3();
        let error = error_of(found, Vector::from_ra_dec_deg(ra_deg, dec_deg));
        worst_position = worst_position.max(length(error));
        worst_position_component = worst_position_component.max(largest(error));
    }
    judge("Edge::position, a component", worst_edge_component, 5e-16, 0.3);
    judge("Edge::position", worst_edge, 7e-16, 0.3);
    judge("UnitVector, a component", worst_position_component, 3.1e-16, 0.3);
    judge("UnitVector", worst_position, 5e-16, 0.3);
}

/// The stationary point of the closed form, measured on the reference's curve: how far along the edge it is off.
#[test]
fn the_nearest_point_of_a_meridian_is_that_of_the_curve() {
    let mut random = random(5);
    let (mut worst, mut worst_miss, mut inside) = (0.0_f64, 0.0_f64, 0);
    for _ in 0..5 * cases() {
        let order = random.below(30) as u8;
        let last = (1_u64 << order) - 1;
        let along = if random.below(2) == 0 { random.below(last + 1) } else { random.below(last.min(3) + 1) };
        let northern = random.below(2) == 0;
        // The side on the meridian: x = 1 (edge 1) or y = 1 (edge 3) in the north, x = 0 or y = 0 in the south.
        let (index, column, row) = match (northern, random.below(2)) {
            (true, 0) => (1, last, last - along),
            (true, _) => (3, last - along, last),
            (false, 0) => (0, 0, along),
            (false, _) => (2, along, 0),
        };
        let square = Square { order, base_cell: random.below(4) + if northern { 0 } else { 8 }, column, row };
        let edges = boundary::edges(square.pixel());
        let (ra_deg, dec_deg) = (random.between(0.0, 360.0), random.between(-1.0, 1.0).asin().to_degrees());
        let (ra_deg, dec_deg) = if random.below(2) == 0 {
            (ra_deg, dec_deg)
        } else {
            // Off to the side of a place of the edge.
            let [x, y, z] = square.edge(index, random.unit()).to_f64();
            let off_deg = random.sign() * random.log_between(1e-9, 1.0);
            (y.atan2(x).to_degrees() + off_deg, z.clamp(-1.0, 1.0).asin().to_degrees())
        };
        let point = UnitVector::from_ra_dec_deg(ra_deg, dec_deg).unwrap().as_vec3();
        let t = edges[index].nearest_on_meridian(point).unwrap();
        let exact = Vector { x: Dd::from(point.x), y: Dd::from(point.y), z: Dd::from(point.z) };
        let chord = |t: f64| square.edge(index, t).squared_chord(exact).sqrt();
        let best = [t.clamp(0.0, 1.0), 0.0, 1.0].map(|t| chord(t).to_f64()).into_iter().fold(9.0, f64::min);
        let sampled = (0..=32).map(|step| chord(f64::from(step) / 32.0).to_f64()).fold(9.0, f64::min);
        worst_miss = worst_miss.max(best - sampled);
        if t > 1e-3 && t < 1.0 - 1e-3 {
            // p·e' = R sin(angle off), and R is p·e where that is greatest.
            let step = 1.0 / 16_777_216.0;
            let tangent = combination([(1.0, square.edge(index, t + step)), (-1.0, square.edge(index, t - step))]);
            let place = square.edge(index, t).to_f64();
            let dot = |a: [f64; 3]| a[0] * point.x + a[1] * point.y + a[2] * point.z;
            if dot(place) > 0.1 && order < 10 {
                inside += 1;
                worst = worst.max((dot(tangent) / length(tangent) / dot(place)).abs());
            }
        }
    }
    println!("{inside} feet inside an edge: off along it by up to {worst:.2e} rad; missed by {worst_miss:.2e}");
    assert!(inside > cases() / 10);
    assert!(worst_miss <= TOLERANCE_RAD / 4.0, "a sample of the edge is nearer by {worst_miss:e}");
    // An error of 4e-8 along the edge lengthens the chord by 1e-15 of itself; the closed form is far better.
    assert!(worst <= 1e-14, "the foot is off by {worst:e} rad");
}

/// The chord step alone: what it says may be within, and what it says is within, at any chord.
#[test]
fn chords_never_miss_and_are_never_wrong() {
    let mut random = random(6);
    let (mut worst_over, mut worst_under, mut counts) = (0.0_f64, 0.0_f64, [0_u64; 3]);
    for _ in 0..cases() {
        let name = some_pixel(&mut random);
        let (exact, pixel) = (ReferencePixel::new(name.0, name.1), Pixel::new(name.0, name.1).unwrap());
        let query = queries::random_query(&mut random, &exact);
        let separation_rad = exact.boundary_separation_rad(query.ra_deg, query.dec_deg).to_f64();
        let point = UnitVector::from_ra_dec_deg(query.ra_deg, query.dec_deg).unwrap().as_vec3();
        let exact_chord = chord_of_rad(separation_rad);
        let prepared = PixelSeparation::new(pixel, Threshold::from_arcsec(query.threshold_arcsec).unwrap());
        let bend = boundary::edges(pixel).iter().map(|edge| edge.second_derivative_bound()).fold(0.0, f64::max);
        let deviation = bend / (8.0 * (128.0 * pixel.nside() as f64).powi(2));
        let shell = (prepared.threshold().chord() / 64.0).max(deviation);
        for _ in 0..6 {
            let off = random.sign() * random.log_between(1e-16, 4.0 * shell);
            let chord = [exact_chord + off, random.log_between(1e-12, 2.0)][usize::from(random.below(8) == 0)];
            if chord <= 0.0 {
                continue;
            }
            let may_be = prepared.edges_may_be_within(point, chord);
            let are = prepared.edges_are_within(point, chord);
            let above = exact_chord - chord;
            assert!(may_be || above > -TOLERANCE_RAD, "{pixel} {query:?} {chord:e}: missed by {above:e}");
            assert!(!are || above < TOLERANCE_RAD, "{pixel} {query:?} {chord:e}: wrong by {above:e}");
            if above.abs() > TOLERANCE_RAD {
                worst_over = worst_over.max(if may_be { above / shell } else { 0.0 });
                worst_under = worst_under.max(if are { 0.0 } else { -above / shell });
                counts[usize::from(may_be) + usize::from(are)] += 1;
            }
        }
    }
    println!("{} surely out, {} undecided, {} surely in", counts[0], counts[1], counts[2]);
    assert!(counts.iter().all(|&count| count > cases() / 5), "{counts:?}: the search must try all three");
    // The point may be a deviation from its chord on one side and the chord a deviation from the curve on the other.
    judge("edges_may_be_within, shells beyond", worst_over, 2.0, 0.25);
    judge("edges_are_within, shells short", worst_under, 2.0, 0.25);
}
