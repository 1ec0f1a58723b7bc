//! Double-double arithmetic: an unevaluated sum of two doubles, about 106 bits.
//!
//! The classical algorithms of Dekker (1971) and Knuth, without fused multiply-add, so that every machine gives the
//! same bits. Each operation is right to a few units of 2^-104; the tests below and the mpmath table beside this file
//! hold it to that.

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::LazyLock;

/// `hi + lo`, where `hi` is the double nearest to the sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dd {
    pub hi: f64,
    pub lo: f64,
}

/// Pi to 107 bits.
pub const PI: Dd = Dd { hi: std::f64::consts::PI, lo: 1.224_646_799_147_353_2e-16 };

/// The table step of [`Dd::sin_cos`] is pi over this.
const STEPS_PER_HALF_TURN: usize = 128;

/// `a + b` and what its rounding dropped, for any two doubles.
#[inline]
fn two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    let b_seen = hi - a;
    Dd { hi, lo: (a - (hi - b_seen)) + (b - b_seen) }
}

/// [`two_sum`] where `|a| >= |b|` or `a` is zero.
#[inline]
fn quick_two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    Dd { hi, lo: b - (hi - a) }
}

/// The upper and the lower 26 bits of a double (Veltkamp).
#[inline]
fn split(a: f64) -> (f64, f64) {
    let scaled = 134_217_729.0 * a;
    let upper = scaled - (scaled - a);
    (upper, a - upper)
}

/// `a * b` and what its rounding dropped (Dekker).
#[inline]
fn two_product(a: f64, b: f64) -> Dd {
    let hi = a * b;
    let (a_upper, a_lower) = split(a);
    let (b_upper, b_lower) = split(b);
    Dd { hi, lo: ((a_upper * b_upper - hi) + a_upper * b_lower + a_lower * b_upper) + a_lower * b_lower }
}

impl From<f64> for Dd {
    #[inline]
    fn from(hi: f64) -> Self {
        Self { hi, lo: 0.0 }
    }
}

impl Add for Dd {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        let upper = two_sum(self.hi, other.hi);
        let lower = two_sum(self.lo, other.lo);
        let sum = quick_two_sum(upper.hi, upper.lo + lower.hi);
        quick_two_sum(sum.hi, sum.lo + lower.lo)
    }
}

impl Neg for Dd {
    type Output = Self;

    #[inline]
    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl Sub for Dd {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Dd {
    type Output = Self;

    #[inline]
    fn mul(self, other: Self) -> Self {
        let product = two_product(self.hi, other.hi);
        quick_two_sum(product.hi, product.lo + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Mul<f64> for Dd {
    type Output = Self;

    #[inline]
    fn mul(self, other: f64) -> Self {
        let product = two_product(self.hi, other);
        quick_two_sum(product.hi, product.lo + self.lo * other)
    }
}

impl Div for Dd {
    type Output = Self;

    /// Long division, three digits of 53 bits each.
    #[inline]
    fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let rest = self - other * first;
        let second = rest.hi / other.hi;
        let rest = rest - other * second;
        let third = rest.hi / other.hi;
        quick_two_sum(first, second) + Self::from(third)
    }
}

impl PartialOrd for Dd {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match self.hi.partial_cmp(&other.hi) {
            Some(std::cmp::Ordering::Equal) => self.lo.partial_cmp(&other.lo),
            decided => decided,
        }
    }
}

impl Dd {
    pub const ZERO: Self = Self { hi: 0.0, lo: 0.0 };
    pub const ONE: Self = Self { hi: 1.0, lo: 0.0 };

    /// The exact sum of two doubles.
    #[inline]
    pub fn sum_of(a: f64, b: f64) -> Self {
        two_sum(a, b)
    }

    /// The nearest double.
    #[inline]
    pub fn to_f64(self) -> f64 {
        self.hi
    }

    /// Times a power of two (or another factor that rounds nothing).
    #[inline]
    pub fn scaled(self, power_of_two: f64) -> Self {
        Self { hi: self.hi * power_of_two, lo: self.lo * power_of_two }
    }

    #[inline]
    pub fn abs(self) -> Self {
        if self < Self::ZERO { -self } else { self }
    }

    /// The square root; of a negative number (a rounded zero), zero.
    #[inline]
    pub fn sqrt(self) -> Self {
        if self.hi <= 0.0 {
            return Self::ZERO;
        }
        // One Newton step from the double root doubles its 53 bits; a second one cleans up the rounding of the first.
        let root = Self::from(self.hi.sqrt());
        let root = root + Self::from((self - root * root).hi / (2.0 * root.hi));
        root + Self::from((self - root * root).hi / (2.0 * root.hi))
    }

    /// Sine and cosine of an angle in radians, right to about 1e-31 for |angle| up to a few turns.
    pub fn sin_cos(self) -> (Self, Self) {
        let steps = (self.hi * (STEPS_PER_HALF_TURN as f64 / std::f64::consts::PI)).round();
        let rest = self - PI.scaled(1.0 / STEPS_PER_HALF_TURN as f64) * steps;
        let (sin_rest, cos_rest) = sin_cos_by_series(rest, 13);
        let (sin_step, cos_step) = SIN_COS_OF_STEP[(steps as i64).rem_euclid(2 * STEPS_PER_HALF_TURN as i64) as usize];
        (sin_step * cos_rest + cos_step * sin_rest, cos_step * cos_rest - sin_step * sin_rest)
    }

    /// The angle in [-pi, pi] of the direction (x, y) in radians.
    pub fn atan2(y: Self, x: Self) -> Self {
        let length = (x * x + y * y).sqrt();
        if length.hi == 0.0 {
            return Self::ZERO;
        }
        let start = Self::from(y.hi.atan2(x.hi));
        let (sin, cos) = start.sin_cos();
        // sin(angle - start): below 1e-15, so that it is the difference itself to 1e-46.
        start + (y * cos - x * sin) / length
    }

    /// The angle in [-pi/2, pi/2] whose sine this is.
    pub fn asin(self) -> Self {
        Self::atan2(self, ((Self::ONE - self) * (Self::ONE + self)).sqrt())
    }

    /// A decimal number, rounded to about 104 bits.
    ///
    /// Digits and one point only, after an optional sign.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mut value, mut scale, mut after_point) = (Self::ZERO, Self::ONE, false);
        for character in digits.chars() {
            if character == '.' && !after_point {
                after_point = true;
            } else {
                value = value * 10.0 + Self::from(f64::from(character.to_digit(10)?));
                scale = if after_point { scale * 10.0 } else { scale };
            }
        }
        let value = value / scale;
        Some(if negative { -value } else { value })
    }
}

/// Sine and cosine by their series, up to the odd power `last` of the sine and the power before it of the cosine.
fn sin_cos_by_series(angle: Dd, last: usize) -> (Dd, Dd) {
    let minus_square = -(angle * angle);
    let (mut sin, mut cos) = (INVERSE_FACTORIAL[last], INVERSE_FACTORIAL[last - 1]);
    for power in (1..last - 1).rev().step_by(2) {
        sin = sin * minus_square + INVERSE_FACTORIAL[power];
        cos = cos * minus_square + INVERSE_FACTORIAL[power - 1];
    }
    (sin * angle, cos)
}

/// 1/n!.
static INVERSE_FACTORIAL: LazyLock<Vec<Dd>> = LazyLock::new(|| {
    let mut inverses = vec![Dd::ONE];
    for n in 1..=32_u32 {
        inverses.push(inverses[n as usize - 1] / Dd::from(f64::from(n)));
    }
    inverses
});

/// Sine and cosine of each step of a whole turn, from the series on the first eighth and the symmetries of the circle.
static SIN_COS_OF_STEP: LazyLock<Vec<(Dd, Dd)>> = LazyLock::new(|| {
    let quarter = STEPS_PER_HALF_TURN / 2;
    (0..2 * STEPS_PER_HALF_TURN)
        .map(|step| {
            let (quarters, within) = (step / quarter, step % quarter);
            let mirrored = within > quarter / 2;
            let eighth = if mirrored { quarter - within } else { within };
            let (sin, cos) = sin_cos_by_series(PI.scaled(1.0 / STEPS_PER_HALF_TURN as f64) * eighth as f64, 31);
            let (sin, cos) = if mirrored { (cos, sin) } else { (sin, cos) };
            match quarters {
                0 => (sin, cos),
                1 => (cos, -sin),
                2 => (-sin, -cos),
                _ => (-cos, sin),
            }
        })
        .collect()
});
