//! The assumption about the platform's mathematical functions that the accuracy claims of the crate rest on.
//!
//! The functions are called through `std`, over the ranges in which the crate uses them, and compared with
//! double-double arithmetic. An error is counted in units in the last place (ulp) of the exact result.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
use std::hint::black_box;

use crate::reference::double_double::Dd;
use crate::reference::random::Random;
use crate::search::{cases, judge, random};

/// What the crate documentation assumes of `sin`, `cos` and `atan2`.
const ASSUMED_ULP: f64 = 1.0;

/// `sqrt` is rounded correctly; the rest is room for the rounding of this measurement.
const ROUNDED_ULP: f64 = 0.5 + 1e-9;

/// Every computed double is off by up to half a unit: a search that finds less measures nothing.
const AT_LEAST: f64 = 0.45;

/// The distance of a computed value from the exact one, in units in the last place of the exact one.
fn ulps_off(computed: f64, exact: Dd) -> f64 {
    let magnitude = exact.to_f64().abs();
    (Dd::from(computed) - exact).abs().to_f64() / (magnitude.next_up() - magnitude)
}

/// An angle in (-π/2, π/2): anywhere, tiny, near π/4 and π/2 (where implementations change the formula), or near a
/// multiple of 1/1024 (where tables have their entries).
fn some_angle_rad(random: &mut Random) -> f64 {
    let magnitude = match random.below(6) {
        0 => random.log_between(1e-300, 1e-9),
        1 => random.log_between(1e-9, 1.0),
        2 => FRAC_PI_4 * (1.0 + random.sign() * random.log_between(1e-16, 1e-2)),
        3 => FRAC_PI_2 - random.log_between(1e-12, 1e-2),
        4 => random.below(1 << 10) as f64 / (1 << 10) as f64 * (1.0 + random.sign() * random.log_between(1e-16, 1e-9)),
        _ => random.between(0.0, FRAC_PI_2),
    };
    random.sign() * magnitude.min(FRAC_PI_2 - 1e-12)
}

/// The largest error of a function of an angle, in ulp.
fn worst_of_angle(stream: u64, function: impl Fn(f64) -> f64, exact: impl Fn(Dd) -> Dd) -> f64 {
    let mut random = random(stream);
    let mut worst = 0.0_f64;
    for _ in 0..200 * cases() {
        let angle_rad = some_angle_rad(&mut random);
        // Below the square of the smallest normal doubles the reference's products lose digits.
        if angle_rad.abs() > 1e-140 {
            worst = worst.max(ulps_off(function(black_box(angle_rad)), exact(Dd::from(angle_rad))));
        }
    }
    worst
}

#[test]
fn sin_and_cos_are_within_one_ulp() {
    let (sin, cos) = (|angle: Dd| angle.sin_cos().0, |angle: Dd| angle.sin_cos().1);
    judge("sin of the platform, ulp", worst_of_angle(20, f64::sin, sin), ASSUMED_ULP, AT_LEAST);
    judge("cos of the platform, ulp", worst_of_angle(21, f64::cos, cos), ASSUMED_ULP, AT_LEAST);
    // One call for both may be another function of the platform.
    judge("sin_cos of the platform, sin, ulp", worst_of_angle(20, |x| x.sin_cos().0, sin), ASSUMED_ULP, AT_LEAST);
    judge("sin_cos of the platform, cos, ulp", worst_of_angle(21, |x| x.sin_cos().1, cos), ASSUMED_ULP, AT_LEAST);
}

#[test]
fn atan2_is_within_one_ulp() {
    let mut random = random(22);
    let mut worst = 0.0_f64;
    for _ in 0..200 * cases() {
        // Lengths of chords, which are 0 to 2, and coordinates of points in all quadrants.
        let y = random.sign() * random.log_between(1e-17, 2.0);
        let x = match random.below(3) {
            0 => y * (1.0 + random.sign() * random.log_between(1e-16, 0.5)),
            1 => random.sign() * random.between(0.0, 2.0),
            _ => random.sign() * random.log_between(1e-17, 2.0),
        };
        let exact = Dd::atan2(Dd::from(y), Dd::from(x));
        worst = worst.max(ulps_off(black_box(y).atan2(black_box(x)), exact));
    }
    judge("atan2 of the platform, ulp", worst, ASSUMED_ULP, AT_LEAST);
}

#[test]
fn sqrt_is_rounded_correctly() {
    let mut random = random(23);
    let mut worst = 0.0_f64;
    for _ in 0..200 * cases() {
        // Squared chords, and squares of doubles moved by one unit, whose roots lie close to a double or midway.
        let square = match random.below(3) {
            0 => random.log_between(1e-34, 4.0),
            1 => random.between(0.0, 4.0),
            _ => {
                let root = random.between(0.5, 2.0);
                let square = root * root;
                [square.next_down(), square, square.next_up()][random.below(3) as usize]
            }
        };
        worst = worst.max(ulps_off(black_box(square).sqrt(), Dd::from(square).sqrt()));
    }
    judge("sqrt of the platform, ulp", worst, ROUNDED_ULP, 0.99);
}

/// The measurement sees errors of the size that it must refuse.
#[test]
fn a_worse_function_is_found_out() {
    let (sin, cos) = (|angle: Dd| angle.sin_cos().0, |angle: Dd| angle.sin_cos().1);
    let next_but_one = |value: f64| value.next_up().next_up();
    assert!(worst_of_angle(24, |x| next_but_one(x.sin()), sin) > 1.5);
    // In single precision; and with an argument that is off by 2^-52 of itself.
    assert!(worst_of_angle(25, |x| f64::from((x as f32).cos()), cos) > 1e6);
    assert!(worst_of_angle(26, |x| (x * (1.0 + f64::EPSILON)).sin(), sin) > 1.2);
}
