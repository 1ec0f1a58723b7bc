//! The tiles near a pixel: none within the threshold is missed, and most of them are near.

use skymargin_geometry::angle::{ARCSEC_RAD, Threshold, chord_of_rad};
use skymargin_geometry::boundary;
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::tiling::Tiling;

use crate::reference::random::Random;
use crate::search::{cases, random, rim, sampled_chord};

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
