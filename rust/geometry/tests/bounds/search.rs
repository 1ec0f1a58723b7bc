//! What all searches share: their settings, pixels of the reference's plane, and the verdict on a bound.

use std::str::FromStr;

use skymargin_geometry::angle::{ARCSEC_RAD, Vec3};
use skymargin_geometry::pixel::Pixel;

use crate::reference::cases::{self, PixelName};
use crate::reference::double_double::Dd;
use crate::reference::projection::{BaseCell, Vector};
use crate::reference::random::Random;

/// What a comparison of two chords may be off by, points and all: 1e-9 arcsec, the contract.
pub const TOLERANCE_RAD: f64 = 1e-9 * ARCSEC_RAD;

/// The size of the searches when `SKYMARGIN_CASES` is not set.
const DEFAULT_CASES: u64 = 1000;

fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

pub fn cases() -> u64 {
    setting("SKYMARGIN_CASES", DEFAULT_CASES)
}

/// The generator of a search; prints its seed.
pub fn random(stream: u64) -> Random {
    let seed: u64 = setting("SKYMARGIN_SEED", 20_251_123);
    println!("seed {seed}, stream {stream}, {} cases", cases());
    Random::new(seed, stream)
}

/// Pixels anywhere and pixels where the projection is special, in turn.
pub fn some_pixel(random: &mut Random) -> PixelName {
    if random.below(2) == 0 { cases::random_pixel(random) } else { cases::degenerate_pixel(random) }
}

/// A pixel as a square of the reference's plane.
#[derive(Clone, Copy)]
pub struct Square {
    pub order: u8,
    pub base_cell: u64,
    pub column: u64,
    pub row: u64,
}

impl Square {
    pub fn of((order, index): PixelName) -> Self {
        let bits = |first: u8| (0..order).fold(0, |sum, bit| sum | (index >> (2 * bit + first) & 1) << bit);
        Self { order, base_cell: index >> (2 * order), column: bits(0), row: bits(1) }
    }

    pub fn pixel(self) -> Pixel {
        let within = (0..self.order)
            .fold(0, |sum, bit| sum | (self.column >> bit & 1) << (2 * bit) | (self.row >> bit & 1) << (2 * bit + 1));
        Pixel::new(self.order, (self.base_cell << (2 * self.order)) + within).unwrap()
    }

    pub fn nside(self) -> f64 {
        (1_u64 << self.order) as f64
    }

    /// The point of the sphere at a place of the square, 0 to 1 to the north-east and to the north-west.
    pub fn at(self, east: Dd, west: Dd) -> Vector {
        let cell = BaseCell::new(self.base_cell);
        let scale = 1.0 / self.nside();
        let (east, west) = (east + Dd::from(self.column as f64), west + Dd::from(self.row as f64));
        cell.deproject(cell.plane_point(east.scaled(scale), west.scaled(scale)))
    }

    /// A point of an edge, in the order and the direction of `boundary::edges`.
    pub fn edge(self, edge: usize, t: f64) -> Vector {
        let t = Dd::from(t);
        match edge {
            0 => self.at(Dd::ZERO, t),
            1 => self.at(Dd::ONE, t),
            2 => self.at(t, Dd::ZERO),
            _ => self.at(t, Dd::ONE),
        }
    }

    /// The distance from the centre to the farthest of some points of the rim, in radians times nside.
    pub fn scaled_radius(self) -> f64 {
        let half = Dd::from(0.5);
        let centre = self.at(half, half);
        let rim = (0..4).flat_map(|edge| [0.0, 0.37, 0.81].map(|t| self.edge(edge, t)));
        rim.map(|place| place.separation_rad(centre).to_f64()).fold(0.0, f64::max) * self.nside()
    }

    /// Climbs from here, by steps of every power of two along column and row, to a pixel where the score is highest.
    pub fn climb(self, score: impl Fn(Self) -> f64) -> f64 {
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
pub fn combination<const N: usize>(terms: [(f64, Vector); N]) -> [f64; 3] {
    let sum = terms.map(|(factor, place)| components(place).map(|component| component * factor));
    std::array::from_fn(|axis| sum.iter().fold(Dd::ZERO, |total, term| total + term[axis]).to_f64())
}

pub fn length(vector: [f64; 3]) -> f64 {
    vector.iter().map(|component| component * component).sum::<f64>().sqrt()
}

/// What the core's point is off, by component.
pub fn error_of(found: Vec3, exact: Vector) -> [f64; 3] {
    let [x, y, z] = components(exact);
    [(x - Dd::from(found.x)).to_f64(), (y - Dd::from(found.y)).to_f64(), (z - Dd::from(found.z)).to_f64()]
}

pub fn largest(vector: [f64; 3]) -> f64 {
    vector.iter().fold(0.0, |most: f64, component| most.max(component.abs()))
}

/// Prints the worst a search found, and fails unless it lies within the bound and above `at_least` of it.
pub fn judge(what: &str, found: f64, bound: f64, at_least: f64) {
    println!("{what}: found {found:.6e}, bound {bound:.6e}: {:.4} of it", found / bound);
    assert!(found <= bound, "{what}: {found:e} is above the bound {bound:e}");
    assert!(found >= at_least * bound, "{what}: the bound {bound:e} is vacuous, or the search of {found:e} is weak");
}

/// Points on the rim of a pixel, on the reference's curves: all corners of pixels five orders finer.
pub fn rim(pixel: Pixel) -> Vec<[f64; 3]> {
    let square = Square::of((pixel.order(), pixel.index()));
    let t = |step: u32| f64::from(step) / 32.0;
    (0..4).flat_map(|edge| (0..=32).map(move |step| square.edge(edge, t(step)).to_f64())).collect()
}

pub fn sampled_chord(a: &[[f64; 3]], b: &[[f64; 3]]) -> f64 {
    let squared = |a: &[f64; 3], b: &[f64; 3]| (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>();
    a.iter().flat_map(|a| b.iter().map(move |b| squared(a, b))).fold(f64::INFINITY, f64::min).sqrt()
}
