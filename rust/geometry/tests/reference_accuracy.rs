//! The reference itself: its arithmetic against known digits, its separations against the mpmath table.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[allow(dead_code, reason = "each test crate uses its part of the reference")]
mod reference;

use reference::arcsec;
use reference::cases;
use reference::double_double::{Dd, PI};
use reference::random::Random;
use reference::separation::ReferencePixel;

/// What [`Dd`] promises of one operation, for numbers about 1.
const ROUNDING: f64 = 5e-31;

fn assert_digits(value: Dd, digits: &str) {
    let error = (value - Dd::parse(digits).unwrap()).to_f64();
    assert!(error.abs() < ROUNDING, "{value:?} is not {digits}: {error:e}");
}

#[test]
fn arithmetic_keeps_31_digits() {
    assert_digits(PI, "3.14159265358979323846264338327950288");
    assert_digits(Dd::ONE / Dd::from(7.0), "0.142857142857142857142857142857142857");
    assert_digits(Dd::from(2.0).sqrt(), "1.41421356237309504880168872420969808");
    let (sin, cos) = Dd::ONE.sin_cos();
    assert_digits(sin, "0.841470984807896506652502321630298999622");
    assert_digits(cos, "0.540302305868139717400936607442976603732");
    let (sin, cos) = Dd::from(-4.0).sin_cos();
    assert_digits(sin, "0.756802495307928251372639094511829094135");
    assert_digits(cos, "-0.653643620863611914639168183097750381424");
    assert_digits((Dd::ONE / Dd::from(3.0)).asin(), "0.339836909454121937096392513391764066388");
    assert_digits(Dd::ONE.asin(), "1.57079632679489661923132169163975144");
    assert_digits(Dd::atan2(Dd::from(3.0), Dd::from(-4.0)), "2.498091544796508851659834154562171");
}

#[test]
fn arithmetic_keeps_its_identities() {
    let mut random = Random::new(7, 0);
    for _ in 0..20_000 {
        let a = Dd::sum_of(random.between(-7.0, 7.0), random.between(-1e-17, 1e-17));
        let b = Dd::sum_of(random.sign() * random.between(0.1, 7.0), random.between(-1e-17, 1e-17));
        let (sin, cos) = a.sin_cos();
        assert!((sin * sin + cos * cos - Dd::ONE).to_f64().abs() < ROUNDING, "{a:?}");
        let (sin_b, cos_b) = b.sin_cos();
        let (sin_sum, _) = (a + b).sin_cos();
        assert!((sin_sum - sin * cos_b - cos * sin_b).to_f64().abs() < 4.0 * ROUNDING, "{a:?} {b:?}");
        assert!((a / b * b - a).to_f64().abs() < 10.0 * ROUNDING, "{a:?} {b:?}");
        assert!((a.abs().sqrt() * a.abs().sqrt() - a.abs()).to_f64().abs() < 10.0 * ROUNDING, "{a:?}");
        let turned = Dd::atan2(sin, cos);
        let (sin_turned, cos_turned) = turned.sin_cos();
        assert!((sin_turned - sin).to_f64().abs() < ROUNDING && (cos_turned - cos).to_f64().abs() < ROUNDING, "{a:?}");
    }
}

#[test]
fn separations_are_those_of_mpmath() {
    let table = include_str!("reference/mpmath_cases.csv");
    let (mut inside, mut outside, mut worst_arcsec) = (0, 0, 0.0_f64);
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [order, index, ra_deg, dec_deg, digits] = fields[..] else { panic!("{line}") };
        let pixel = ReferencePixel::new(order.parse().unwrap(), index.parse().unwrap());
        let separation_arcsec = arcsec(pixel.separation_rad(ra_deg.parse().unwrap(), dec_deg.parse().unwrap()));
        let error_arcsec = (separation_arcsec - Dd::parse(digits).unwrap()).to_f64().abs();
        worst_arcsec = worst_arcsec.max(error_arcsec);
        assert!(error_arcsec < 2e-22, "{line}: {separation_arcsec:?}, off by {error_arcsec:e} arcsec");
        *(if separation_arcsec == Dd::ZERO { &mut inside } else { &mut outside }) += 1;
    }
    println!("{inside} positions inside and {outside} outside agree with mpmath to {worst_arcsec:.1e} arcsec");
    assert!(inside > 50 && outside > 200);
}

/// The ten positions of hats-import issue 434, whose separations from this pixel were published to a microarcsecond.
#[test]
fn separations_are_the_published_ones() {
    let pixel = ReferencePixel::new(5, 1000);
    for (ra_deg, dec_deg, published_arcsec) in [
        (11.25802281, 78.28414956, 3.479867),
        (11.257565935411892, 78.28447927669177, 4.238279),
        (11.25438323, 78.28465534, 3.370667),
        (11.25798339, 78.28502524, 6.002483),
        (11.25629879, 78.28579153, 7.495407),
        (11.26724867, 78.28314478, 4.561540),
        (11.26660872, 78.28447675, 8.147205),
        (11.26730961, 78.28523861, 10.660186),
        (11.26968296, 78.28613398, 14.284605),
        (11.26865726, 78.28766018, 18.266202),
    ] {
        let error_arcsec = arcsec(pixel.separation_rad(ra_deg, dec_deg)).to_f64() - published_arcsec;
        assert!(error_arcsec.abs() < 6e-7, "{ra_deg} {dec_deg}: {error_arcsec}");
    }
}

/// A finer search (every edge in 4,096 steps) finds nothing nearer than the brackets of the reference do.
#[test]
fn no_minimum_is_missed() {
    const STEPS: usize = 4096;
    let mut random = Random::new(11, 0);
    for case in 0..150 {
        let (name, degenerate) = match case % 2 {
            0 => (cases::random_pixel(&mut random), false),
            _ => (cases::degenerate_pixel(&mut random), true),
        };
        let pixel = ReferencePixel::new(name.0, name.1);
        let make = if degenerate { cases::degenerate_query } else { cases::random_query };
        let query = make(&mut random, &pixel);
        let found = pixel.boundary_separation_rad(query.ra_deg, query.dec_deg);
        let point = reference::projection::Vector::from_ra_dec_deg(query.ra_deg, query.dec_deg);
        let nearest_squared_chord = (0..4 * STEPS)
            .map(|step| pixel.edge(step / STEPS, (step % STEPS) as f64 / STEPS as f64).squared_chord(point))
            .fold(
                Dd::from(5.0),
                |nearest, squared_chord| if squared_chord < nearest { squared_chord } else { nearest },
            );
        let found_chord = found.scaled(0.5).sin_cos().0.scaled(2.0);
        let nearer = (found_chord - nearest_squared_chord.sqrt()).to_f64();
        assert!(nearer < 1e-27, "{name:?} {query:?}: a sample is nearer by {nearer:e}");
    }
}
