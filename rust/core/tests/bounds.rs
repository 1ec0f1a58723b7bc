//! Every bound the core states, attacked by an independent search on the reference's curves.
//!
//! Each search prints the worst it found beside the bound, and fails both when the bound is broken and when the bound
//! is so far above the worst found that it says nothing. `SKYMARGIN_CASES` scales the searches, `SKYMARGIN_SEED` is
//! their seed.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[allow(dead_code, reason = "each test crate uses its part of the reference")]
mod reference;

use std::str::FromStr;

use cdshealpix::nested::external_edge_sorted;
use reference::cases::{self, PixelName};
use reference::double_double::Dd;
use reference::projection::{BaseCell, Vector};
use reference::random::Random;
use reference::separation::ReferencePixel;
use skymargin_core::angle::{ARCSEC_RAD, Threshold, UnitVector, Vec3, chord_of_rad};
use skymargin_core::boundary::{self, CENTRE_TO_EDGE_RAD};
use skymargin_core::healpix;
use skymargin_core::neighbours::neighbours;
use skymargin_core::pixel::Pixel;
use skymargin_core::separation::PixelSeparation;
use skymargin_core::tiling::Tiling;

/// What a comparison of two chords may be off by, points and all: 1e-9 arcsec, the contract.
const TOLERANCE_RAD: f64 = 1e-9 * ARCSEC_RAD;

/// At order 29 the reference's rounding, 1e-32, is this part of the differences taken here, 1e-24. At the pole the bounds
/// of a meridian are attained.
const ROUNDING_OF_DIFFERENCES: f64 = 1e-8;

/// The size of the searches when `SKYMARGIN_CASES` is not set.
const DEFAULT_CASES: u64 = 1000;

fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn cases() -> u64 {
    setting("SKYMARGIN_CASES", DEFAULT_CASES)
}

/// The generator of a search; prints its seed.
fn random(stream: u64) -> Random {
    let seed: u64 = setting("SKYMARGIN_SEED", 20_251_123);
    println!("seed {seed}, stream {stream}, {} cases", cases());
    Random::new(seed, stream)
}

/// Pixels anywhere and pixels where the projection is special, in turn.
fn some_pixel(random: &mut Random) -> PixelName {
    if random.below(2) == 0 { cases::random_pixel(random) } else { cases::degenerate_pixel(random) }
}

/// A pixel as a square of the reference's plane.
#[derive(Clone, Copy)]
struct Square {
    order: u8,
    base_cell: u64,
    column: u64,
    row: u64,
}

impl Square {
    fn of((order, index): PixelName) -> Self {
        let bits = |first: u8| (0..order).fold(0, |sum, bit| sum | (index >> (2 * bit + first) & 1) << bit);
        Self { order, base_cell: index >> (2 * order), column: bits(0), row: bits(1) }
    }

    fn pixel(self) -> Pixel {
        let within = (0..self.order)
            .fold(0, |sum, bit| sum | (self.column >> bit & 1) << (2 * bit) | (self.row >> bit & 1) << (2 * bit + 1));
        Pixel::new(self.order, (self.base_cell << (2 * self.order)) + within).unwrap()
    }

    fn nside(self) -> f64 {
        (1_u64 << self.order) as f64
    }

    /// The point of the sphere at a place of the square, 0 to 1 to the north-east and to the north-west.
    fn at(self, east: Dd, west: Dd) -> Vector {
        let cell = BaseCell::new(self.base_cell);
        let scale = 1.0 / self.nside();
        let (east, west) = (east + Dd::from(self.column as f64), west + Dd::from(self.row as f64));
        cell.deproject(cell.plane_point(east.scaled(scale), west.scaled(scale)))
    }

    /// A point of an edge, in the order and the direction of `boundary::edges`.
    fn edge(self, edge: usize, t: f64) -> Vector {
        let t = Dd::from(t);
        match edge {
            0 => self.at(Dd::ZERO, t),
            1 => self.at(Dd::ONE, t),
            2 => self.at(t, Dd::ZERO),
            _ => self.at(t, Dd::ONE),
        }
    }

    /// The distance from the centre to the farthest of some points of the rim, in radians times nside.
    fn scaled_radius(self) -> f64 {
        let half = Dd::from(0.5);
        let centre = self.at(half, half);
        let rim = (0..4).flat_map(|edge| [0.0, 0.37, 0.81].map(|t| self.edge(edge, t)));
        rim.map(|place| place.separation_rad(centre).to_f64()).fold(0.0, f64::max) * self.nside()
    }

    /// Climbs from here, by steps of every power of two along column and row, to a pixel where the score is highest.
    fn climb(self, score: impl Fn(Self) -> f64) -> f64 {
        let (mut here, mut best) = (self, score(self));
        for power in (0..self.order).rev() {
            let step = 1_i64 << power;
            for (columns, rows) in [(step, 0), (-step, 0), (0, step), (0, -step), (step, step), (-step, -step)] {
                let moved = |from: u64, by: i64| from.checked_add_signed(by).filter(|&to| to < 1 << self.order);
                let (Some(column), Some(row)) = (moved(here.column, columns), moved(here.row, rows)) else { continue };
                let there = Self { column, row, ..here };
                let found = score(there);
                if found > best {
                    (here, best) = (there, found);
                }
            }
        }
        best
    }
}

fn components(place: Vector) -> [Dd; 3] {
    [place.x, place.y, place.z]
}

/// `sum of factor * place`, as doubles.
fn combination<const N: usize>(terms: [(f64, Vector); N]) -> [f64; 3] {
    let sum = terms.map(|(factor, place)| components(place).map(|component| component * factor));
    std::array::from_fn(|axis| sum.iter().fold(Dd::ZERO, |total, term| total + term[axis]).to_f64())
}

fn length(vector: [f64; 3]) -> f64 {
    vector.iter().map(|component| component * component).sum::<f64>().sqrt()
}

/// What the core's point is off, by component.
fn error_of(found: Vec3, exact: Vector) -> [f64; 3] {
    let [x, y, z] = components(exact);
    [(x - Dd::from(found.x)).to_f64(), (y - Dd::from(found.y)).to_f64(), (z - Dd::from(found.z)).to_f64()]
}

fn largest(vector: [f64; 3]) -> f64 {
    vector.iter().fold(0.0, |most: f64, component| most.max(component.abs()))
}

/// Prints the worst a search found, and fails unless it lies within the bound and above `at_least` of it.
fn judge(what: &str, found: f64, bound: f64, at_least: f64) {
    println!("{what}: found {found:.6e}, bound {bound:.6e}: {:.4} of it", found / bound);
    assert!(found <= bound, "{what}: {found:e} is above the bound {bound:e}");
    assert!(found >= at_least * bound, "{what}: the bound {bound:e} is vacuous, or the search of {found:e} is weak");
}

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
        let bound = edge.second_derivative_bound() * (to * edge.length()).powi(2) / 8.0;
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
    judge("Edge::position, a component", worst_edge_component, 4e-16, 0.3);
    judge("Edge::position", worst_edge, 7e-16, 0.3);
    judge("UnitVector, a component", worst_position_component, 3e-16, 0.3);
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
        let query = cases::random_query(&mut random, &exact);
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

/// Splits a pixel at random into tiles, of which some are partitions.
fn split(random: &mut Random, pixel: Pixel, deepest: u8, tiles: &mut Vec<Pixel>) {
    if pixel.order() < deepest && (pixel.order() == 0 || random.below(3) == 0) {
        pixel.children().for_each(|child| split(random, child, deepest, tiles));
    } else if random.below(4) != 0 {
        tiles.push(pixel);
    }
}

#[test]
fn tiles_within_the_threshold_are_never_missed() {
    let mut random = random(7);
    let (mut near_tiles, mut far_tiles, mut returned, mut worst) = (0, 0, 0, 0.0_f64);
    for _ in 0..6.max(cases() / 60) {
        let mut partitions = Vec::new();
        let deepest = 2 + random.below(4) as u8;
        Pixel::base_cells().for_each(|cell| split(&mut random, cell, deepest, &mut partitions));
        let tiling = Tiling::new(partitions.iter().copied()).unwrap();
        let tiles: Vec<Pixel> = tiling.partitions().chain(tiling.empty_pixels()).collect();
        let points: Vec<Vec<[f64; 3]>> = tiles.iter().map(|&tile| rim(tile)).collect();
        for _ in 0..4 {
            let own = random.below(tiles.len() as u64) as usize;
            let distances: Vec<f64> = points.iter().map(|theirs| sampled_chord(&points[own], theirs)).collect();
            // Just beyond the sampled distance of some tile, so that this one is barely within.
            let target = distances[random.below(tiles.len() as u64) as usize];
            let beyond_rad = 2.0 * (0.5 * target).min(1.0).asin() * (1.0 + 1e-12) + 1e-14;
            let reach_rad = beyond_rad.min(std::f64::consts::FRAC_PI_2 - 1e-9);
            let slack_rad = if random.below(2) == 0 { 0.0 } else { reach_rad * random.log_between(1e-9, 0.9) };
            let threshold = Threshold::from_arcsec((reach_rad - slack_rad) / ARCSEC_RAD * (1.0 + 1e-15)).unwrap();
            let near = tiling.near(tiles[own], threshold, slack_rad);
            returned += near.len();
            for (tile, &distance) in tiles.iter().zip(&distances) {
                let is_near = near.contains(tile);
                assert!(!is_near || *tile != tiles[own], "{tile} is its own neighbour");
                if *tile != tiles[own] && distance <= chord_of_rad(reach_rad) - 1e-15 {
                    near_tiles += 1;
                    assert!(
                        is_near,
                        "{tile} is {distance:e} from {}, within {reach_rad:e} rad, and missed",
                        tiles[own]
                    );
                }
                if is_near {
                    far_tiles += u64::from(distance > chord_of_rad(reach_rad));
                    let beyond_rad = 2.0 * (0.5 * distance).min(1.0).asin() - reach_rad;
                    let allowed_rad =
                        boundary::radius_rad(*tile) + boundary::radius_rad(tiles[own]) + threshold.chord() / 16.0;
                    worst = worst.max(beyond_rad / allowed_rad);
                }
            }
        }
    }
    println!("{near_tiles} tiles within, {far_tiles} beyond of {returned} returned; farthest {worst:.3} of a tile");
    assert!(near_tiles > 200 && worst < 1.0);
    assert!(far_tiles < returned as u64 / 2, "most tiles returned must be near");
}

/// Points on the rim of a pixel, on the reference's curves: all corners of pixels five orders finer.
fn rim(pixel: Pixel) -> Vec<[f64; 3]> {
    let square = Square::of((pixel.order(), pixel.index()));
    let t = |step: u32| f64::from(step) / 32.0;
    (0..4).flat_map(|edge| (0..=32).map(move |step| square.edge(edge, t(step)).to_f64())).collect()
}

fn sampled_chord(a: &[[f64; 3]], b: &[[f64; 3]]) -> f64 {
    let squared = |a: &[f64; 3], b: &[f64; 3]| (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>();
    a.iter().flat_map(|a| b.iter().map(move |b| squared(a, b))).fold(f64::INFINITY, f64::min).sqrt()
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
