//! The core's separations and decisions against the independent reference, case by case.
//!
//! `SKYMARGIN_CASES` is the number of random positions (a tenth as many near-degenerate ones are added),
//! `SKYMARGIN_SEED` the seed, `SKYMARGIN_THREADS` the number of threads of each suite. Every position is decided at
//! several thresholds. A wrong decision is printed as a test to paste at the end of this file.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[allow(dead_code, reason = "each test crate uses its part of the reference")]
mod reference;

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use reference::arcsec;
use reference::cases::{self, PixelName, Query};
use reference::double_double::Dd;
use reference::random::Random;
use reference::separation::ReferencePixel;
use skymargin_geometry::angle::Threshold;
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::separation::PixelSeparation;

/// The contract: a decision may differ from exact arithmetic only this close to the threshold, a value only by this.
const TOLERANCE_ARCSEC: f64 = 1e-9;

/// Positions asked of one pixel: its samples cost as much as an answer.
const POSITIONS_PER_PIXEL: u64 = 4;

/// Random positions when `SKYMARGIN_CASES` is not set.
const DEFAULT_CASES: u64 = 40_000;

/// Failures worth printing.
const PRINTED_FAILURES: usize = 10;

fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// What the core says of one position at one threshold.
fn core_answer((order, index): PixelName, ra_deg: f64, dec_deg: f64, threshold_arcsec: f64) -> (bool, f64) {
    let pixel = Pixel::new(order, index).unwrap();
    let separation = PixelSeparation::new(pixel, Threshold::from_arcsec(threshold_arcsec).unwrap());
    (separation.is_within(ra_deg, dec_deg).unwrap(), separation.separation_arcsec(ra_deg, dec_deg).unwrap())
}

/// What a suite found.
#[derive(Default)]
struct Findings {
    positions: u64,
    decisions: u64,
    /// Decisions within 1e-8 arcsec of the threshold, and those too close to it to be held to anything.
    hard: u64,
    ties: u64,
    wrong_decisions: u64,
    wrong_values: u64,
    /// The worst value error in arcsec of separations below 1, 90 and 180 degrees, and the worst of all as a test.
    worst_arcsec: [f64; 3],
    worst: String,
    failures: Vec<String>,
}

impl Findings {
    fn check(&mut self, pixel: PixelName, query: Query, threshold_arcsec: f64, separation_arcsec: Dd) {
        let (within, value_arcsec) = core_answer(pixel, query.ra_deg, query.dec_deg, threshold_arcsec);
        let above_arcsec = (separation_arcsec - Dd::from(threshold_arcsec)).to_f64();
        let decided = above_arcsec.abs() > TOLERANCE_ARCSEC;
        let wrong_decision = decided && within != (above_arcsec <= 0.0);
        let error_arcsec = (separation_arcsec - Dd::from(value_arcsec)).to_f64().abs();
        let wrong_value = error_arcsec.is_nan() || error_arcsec > TOLERANCE_ARCSEC;
        self.decisions += 1;
        self.ties += u64::from(!decided);
        self.hard += u64::from(decided && above_arcsec.abs() <= 1.01e-8);
        self.wrong_decisions += u64::from(wrong_decision);
        self.wrong_values += u64::from(wrong_value);
        let worst_arcsec = self.worst_arcsec.iter().fold(0.0, |worst: f64, error| worst.max(*error));
        if wrong_decision || wrong_value || error_arcsec > worst_arcsec {
            let literal = literal_test(pixel, query, threshold_arcsec, separation_arcsec, self.decisions);
            if wrong_decision || wrong_value {
                self.failures.push(literal.clone());
                self.failures.truncate(PRINTED_FAILURES);
            }
            if error_arcsec > worst_arcsec {
                self.worst = literal;
            }
        }
        let range =
            usize::from(separation_arcsec.to_f64() > 3600.0) + usize::from(separation_arcsec.to_f64() > 324_001.0);
        self.worst_arcsec[range] = self.worst_arcsec[range].max(error_arcsec);
    }

    fn merge(&mut self, other: Self) {
        if other.worst_arcsec.iter().any(|error| self.worst_arcsec.iter().all(|mine| error > mine)) {
            self.worst = other.worst;
        }
        self.positions += other.positions;
        self.decisions += other.decisions;
        self.hard += other.hard;
        self.ties += other.ties;
        self.wrong_decisions += other.wrong_decisions;
        self.wrong_values += other.wrong_values;
        self.worst_arcsec = std::array::from_fn(|range| self.worst_arcsec[range].max(other.worst_arcsec[range]));
        self.failures.extend(other.failures);
        self.failures.truncate(PRINTED_FAILURES);
    }
}

/// A failure as a test that can be pasted.
fn literal_test((order, index): PixelName, query: Query, threshold_arcsec: f64, separation: Dd, number: u64) -> String {
    let Query { ra_deg, dec_deg, place, .. } = query;
    let within = separation <= Dd::from(threshold_arcsec);
    let value_arcsec = separation.to_f64();
    let mut text = String::new();
    writeln!(text, "/// Found at a position put here: {place}.").unwrap();
    writeln!(text, "#[test]\nfn decides_order_{order}_pixel_{index}_case_{number}() {{").unwrap();
    writeln!(text, "    let pixel = ({order}, {index});").unwrap();
    writeln!(
        text,
        "    check_literal(pixel, {ra_deg:?}, {dec_deg:?}, {threshold_arcsec:?}, {within}, {value_arcsec:?});\n}}"
    )
    .unwrap();
    text
}

/// One decision and one value, of the core and of the reference, against numbers that are written down.
fn check_literal(pixel: PixelName, ra_deg: f64, dec_deg: f64, threshold_arcsec: f64, within: bool, value_arcsec: f64) {
    let reference = arcsec(ReferencePixel::new(pixel.0, pixel.1).separation_rad(ra_deg, dec_deg));
    assert!((reference.to_f64() - value_arcsec).abs() <= 1e-15 * value_arcsec, "the reference says {reference:?}");
    let (core_within, core_arcsec) = core_answer(pixel, ra_deg, dec_deg, threshold_arcsec);
    assert!((core_arcsec - value_arcsec).abs() <= TOLERANCE_ARCSEC, "{core_arcsec:?} is not {value_arcsec:?}");
    assert_eq!(core_within, within, "separation {value_arcsec:?}, threshold {threshold_arcsec:?}");
}

/// How a suite draws its cases.
struct Suite {
    name: &'static str,
    stream: u64,
    positions: u64,
    pixel: fn(&mut Random) -> PixelName,
    query: fn(&mut Random, &ReferencePixel) -> Query,
    offsets_arcsec: &'static [f64],
}

impl Suite {
    /// All decisions about one pixel.
    fn block(&self, seed: u64, block: u64, findings: &mut Findings) {
        let mut random = Random::new(seed, self.stream << 40 | block);
        let name = (self.pixel)(&mut random);
        let pixel = ReferencePixel::new(name.0, name.1);
        for _ in 0..POSITIONS_PER_PIXEL {
            let query = (self.query)(&mut random, &pixel);
            let separation_arcsec = arcsec(pixel.separation_rad(query.ra_deg, query.dec_deg));
            findings.positions += 1;
            findings.check(name, query, query.threshold_arcsec, separation_arcsec);
            for threshold_arcsec in
                cases::thresholds_about(&mut random, separation_arcsec.to_f64(), self.offsets_arcsec)
            {
                findings.check(name, query, threshold_arcsec, separation_arcsec);
            }
        }
    }

    /// Runs the suite, the same cases for any number of threads, and fails on a single wrong answer.
    fn run(&self) {
        let seed: u64 = setting("SKYMARGIN_SEED", 20_251_123);
        let threads: u64 = setting("SKYMARGIN_THREADS", 1);
        let blocks = self.positions.div_ceil(POSITIONS_PER_PIXEL);
        let (started, next) = (Instant::now(), AtomicU64::new(0));
        let mut findings = Findings::default();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.max(1))
                .map(|_| {
                    scope.spawn(|| {
                        let mut findings = Findings::default();
                        loop {
                            let block = next.fetch_add(1, Ordering::Relaxed);
                            if block >= blocks {
                                return findings;
                            }
                            self.block(seed, block, &mut findings);
                        }
                    })
                })
                .collect();
            for worker in workers {
                findings.merge(worker.join().unwrap());
            }
        });
        let Findings { positions, decisions, hard, ties, wrong_decisions, wrong_values, .. } = findings;
        println!(
            "{}: seed {seed}, {positions} positions, {decisions} decisions, {hard} of them within 1e-8 arcsec of the \
             threshold, {ties} within 1e-9 not held to anything; {wrong_decisions} wrong decisions, {wrong_values} \
             wrong values; {:.1} s on {threads} threads",
            self.name,
            started.elapsed().as_secs_f64()
        );
        println!(
            "{}: worst value error {:.2e} arcsec below 1 degree, {:.2e} to 90 degrees, {:.2e} beyond; the worst:\n{}",
            self.name, findings.worst_arcsec[0], findings.worst_arcsec[1], findings.worst_arcsec[2], findings.worst
        );
        for failure in &findings.failures {
            println!("{failure}");
        }
        assert!(positions >= self.positions && hard > positions / 10, "the suite must not lose its hard cases");
        assert_eq!((wrong_decisions, wrong_values), (0, 0), "failures are printed above as tests");
    }
}

#[test]
fn random_decisions_and_values_are_exact() {
    Suite {
        name: "random",
        stream: 1,
        positions: setting("SKYMARGIN_CASES", DEFAULT_CASES),
        pixel: cases::random_pixel,
        query: cases::random_query,
        offsets_arcsec: &[1.05e-9],
    }
    .run();
}

#[test]
fn near_degenerate_decisions_and_values_are_exact() {
    Suite {
        name: "near-degenerate",
        stream: 2,
        positions: setting("SKYMARGIN_CASES", DEFAULT_CASES).div_ceil(10),
        pixel: cases::degenerate_pixel,
        query: cases::degenerate_query,
        offsets_arcsec: &[1.05e-9, 2e-9, 5e-9, 1e-8],
    }
    .run();
}

/// The ten positions of hats-import issue 434, of which tools that measure to sampled points lose some.
#[test]
fn the_ten_published_positions_split_seven_to_three() {
    for (ra_deg, dec_deg, within, value_arcsec) in [
        (11.25802281, 78.28414956, true, 3.4798670236699447),
        (11.257565935411892, 78.28447927669177, true, 4.238279315507095),
        (11.25438323, 78.28465534, true, 3.3706670505494705),
        (11.25798339, 78.28502524, true, 6.002483194664604),
        (11.25629879, 78.28579153, true, 7.495407358801743),
        (11.26724867, 78.28314478, true, 4.561539841306929),
        (11.26660872, 78.28447675, true, 8.147205432907194),
        (11.26730961, 78.28523861, false, 10.660185893303836),
        (11.26968296, 78.28613398, false, 14.284604535772162),
        (11.26865726, 78.28766018, false, 18.266202232696234),
    ] {
        check_literal((5, 1000), ra_deg, dec_deg, 10.0, within, value_arcsec);
    }
}

/// The position is the pole of an edge's great circle: every point of the edge is 90 degrees away.
#[test]
fn decides_where_a_whole_edge_is_equally_far() {
    for base_cell in [0, 3, 8, 11] {
        let quarter_deg = 90.0 * (base_cell % 4 + 2) as f64;
        check_literal((0, base_cell), quarter_deg % 360.0, 0.0, 323_999.999_999_99, false, 324_000.0);
    }
    check_literal((1, 40), 1.438679173315687e-15, 9.100851249091002e-15, 323_999.999_999_99, false, 324_000.0);
}

/// Towards the antipode a chord says nothing of its angle: it is flat there.
#[test]
fn values_are_right_near_the_antipode() {
    check_literal((7, 152_674), 351.694_756_433_666_5, 45.072_038_636_142_1, 9171.4, false, 629_635.817_895_180_2);
    check_literal((16, 47_244_640_256), -360.0, 90.0, 324_000.0, false, 647_994.860_397_062);
    let pixel = (29, 1_285_177_214_203_066_365);
    check_literal(pixel, -147.188_984_965_905_55, -10.403_402_479_847_037, 7.8, false, 647_999.999_703_212_1);
}
