//! The extent of pixels and of ranges of the index: no position in them, or within the slack of them, is outside.

use skymargin_geometry::angle::{ARCSEC_RAD, Threshold};
use skymargin_geometry::extent::Extent;
use skymargin_geometry::healpix;
use skymargin_geometry::pixel::Pixel;

use crate::reference::double_double::Dd;
use crate::reference::projection::Vector;
use crate::reference::random::Random;
use crate::search::{Square, cases, random, some_pixel};

/// Right ascension and declination of a point, precise at the poles too.
fn degrees([x, y, z]: [f64; 3]) -> (f64, f64) {
    (y.atan2(x).to_degrees(), z.atan2(x.hypot(y)).to_degrees())
}

/// A place of a pixel's square: often on its rim or in a corner.
fn place(random: &mut Random) -> f64 {
    match random.below(4) {
        0 => 0.0,
        1 => 1.0,
        2 => random.log_between(1e-15, 1.0),
        _ => random.unit(),
    }
}

/// The point at a distance from another, in any direction; often due north, south, east or west.
fn moved([x, y, z]: [f64; 3], by_rad: f64, random: &mut Random) -> [f64; 3] {
    let rho = x.hypot(y);
    let (east, north) = if rho > 0.0 {
        ([-y / rho, x / rho, 0.0], [-z * x / rho, -z * y / rho, rho])
    } else {
        ([0.0, 1.0, 0.0], [-z, 0.0, 0.0])
    };
    let quarter = std::f64::consts::FRAC_PI_2;
    let direction = if random.below(2) == 0 { quarter * random.below(4) as f64 } else { 4.0 * quarter * random.unit() };
    let (sin, cos) = by_rad.sin_cos();
    let to = |axis: usize| direction.cos() * east[axis] + direction.sin() * north[axis];
    [x * cos + to(0) * sin, y * cos + to(1) * sin, z * cos + to(2) * sin]
}

/// A right ascension in another turn.
fn turned(ra_deg: f64, random: &mut Random) -> f64 {
    let other = ra_deg + random.pick(&[-360.0, 0.0, 360.0]);
    if other.abs() <= 360.0 { other } else { ra_deg }
}

/// Ranges of the index that hold a pixel: itself, some around it, all of its ancestors' and some that cross them.
fn ranges(pixel: Pixel, random: &mut Random) -> Vec<(u8, u64, u64)> {
    let (order, index, last) = (pixel.order(), pixel.index(), (12_u64 << (2 * pixel.order())) - 1);
    let mut ranges = vec![(order, index, index), (order, 0, last)];
    for above in 0..=order {
        let own = pixel.ancestor(above).range_at(order);
        ranges.push((order, own.start, own.end - 1));
    }
    for _ in 0..4 {
        let mut reach = || random.log_between(1.0, last as f64 + 1.0) as u64;
        let (before, after) = (reach() - 1, reach() - 1);
        ranges.push((order, index.saturating_sub(before), index.saturating_add(after).min(last)));
    }
    // The same at the finest order, which index columns have.
    let own = pixel.range_at(29);
    ranges.push((29, own.start, own.end - 1));
    ranges
}

#[test]
fn positions_within_the_slack_are_never_outside() {
    let mut random = random(31);
    let mut checked = 0_u64;
    for _ in 0..4 * cases() {
        let name = some_pixel(&mut random);
        let pixel = Pixel::new(name.0, name.1).unwrap();
        let square = Square::of(name);
        let slack = Threshold::from_arcsec(random.log_between(1e-6, 3e5)).unwrap();
        let ranges = ranges(pixel, &mut random);
        for _ in 0..6 {
            let inside = square.at(Dd::from(place(&mut random)), Dd::from(place(&mut random))).to_f64();
            let by_rad = slack.rad() * random.pick(&[0.0, 0.5, 1.0, 1.0]);
            let (ra_deg, dec_deg) = degrees(moved(inside, by_rad, &mut random));
            let ra_deg = turned(ra_deg, &mut random);
            for &(order, first, last) in &ranges {
                let extent = Extent::of_range(order, first, last).unwrap();
                let what =
                    format!("{pixel} in {order}, {first} to {last}: {ra_deg} {dec_deg}, slack {}", slack.arcsec());
                assert!(extent.allows_dec(dec_deg, slack), "{what}: dec");
                assert!(extent.allows_ra(ra_deg, slack), "{what}: ra");
                checked += 1;
            }
        }
    }
    println!("{checked} positions checked");
}

#[test]
fn rows_are_where_their_index_says() {
    let mut random = random(32);
    let slack = Threshold::from_arcsec(1e-6).unwrap();
    for _ in 0..20 * cases() {
        let near = |random: &mut Random, value: f64| value + random.sign() * random.log_between(1e-14, 1.0);
        let ra_deg = match random.below(3) {
            0 => random.pick(&[0.0, 45.0, 90.0, 135.0, 180.0, 270.0, 315.0, 360.0, -45.0, -360.0]),
            1 => {
                let value = random.pick(&[0.0, 45.0, 90.0, 180.0, 270.0]);
                near(&mut random, value)
            }
            _ => random.between(-360.0, 360.0),
        };
        let transition_deg = (2.0_f64 / 3.0).asin().to_degrees();
        let dec_deg: f64 = match random.below(3) {
            0 => random.pick(&[0.0, 90.0, -90.0, transition_deg, -transition_deg]),
            1 => {
                let value = random.pick(&[0.0, 90.0, -90.0, transition_deg, -transition_deg]);
                near(&mut random, value)
            }
            _ => random.between(-1.0_f64, 1.0).asin().to_degrees(),
        };
        let dec_deg = dec_deg.clamp(-90.0, 90.0);
        let order = random.below(30) as u8;
        let index = healpix::index_of_ra_dec_deg(order, ra_deg, dec_deg);
        for (order, first, last) in ranges(Pixel::new(order, index).unwrap(), &mut random) {
            let extent = Extent::of_range(order, first, last).unwrap();
            let is_allowed = extent.allows_ra(ra_deg, slack) && extent.allows_dec(dec_deg, slack);
            assert!(is_allowed, "{ra_deg} {dec_deg} in {order}, {first} to {last}");
        }
    }
}

#[test]
fn positions_beyond_the_corners_are_outside() {
    let mut random = random(33);
    let (mut of_ra, mut of_dec) = (0, 0);
    for _ in 0..4 * cases() {
        let name = some_pixel(&mut random);
        let (pixel, square) = (Pixel::new(name.0, name.1).unwrap(), Square::of(name));
        let slack = Threshold::from_arcsec(random.log_between(1e-3, 10.0)).unwrap();
        let extent = Extent::of_pixel(pixel);
        let corner = |east: f64, west: f64| -> Vector { square.at(Dd::from(east), Dd::from(west)) };
        let beyond_deg = (1.01 * slack.rad()).to_degrees() + 1e-8;
        for (corner, sign) in [(corner(0.0, 0.0), -1.0), (corner(1.0, 1.0), 1.0)] {
            let dec_deg = degrees(corner.to_f64()).1;
            if dec_deg.abs() < 90.0 {
                of_dec += 1;
                assert!(!extent.allows_dec(dec_deg + sign * beyond_deg, slack), "{pixel}: {dec_deg} {sign}");
            }
        }
        let farthest_deg = [corner(0.0, 0.0), corner(1.0, 1.0)].map(|corner| degrees(corner.to_f64()).1.abs());
        let farthest_deg = farthest_deg.into_iter().fold(0.0, f64::max);
        let sine = slack.rad().sin() / farthest_deg.to_radians().cos();
        if farthest_deg.to_radians() + slack.rad() < 1.57 && sine < 0.5 && pixel.order() > 0 {
            let beyond_deg = 1.01 * sine.asin().to_degrees() + 1e-8;
            for (corner, sign) in [(corner(0.0, 1.0), -1.0), (corner(1.0, 0.0), 1.0)] {
                let ra_deg = degrees(corner.to_f64()).0;
                of_ra += 1;
                assert!(!extent.allows_ra(ra_deg + sign * beyond_deg, slack), "{pixel}: {ra_deg} {sign}");
            }
        }
    }
    println!("{of_ra} right ascensions and {of_dec} declinations, slack above {ARCSEC_RAD:e} rad");
    assert!(of_ra as u64 > cases() && of_dec as u64 > cases());
}
