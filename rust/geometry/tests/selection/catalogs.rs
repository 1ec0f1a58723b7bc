//! Random catalogs, and which of their rows a selection finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use skymargin_geometry::angle::{Threshold, Vec3};
use skymargin_geometry::cover::{INDEX_SLACK_ARCSEC, Margins, Source};
use skymargin_geometry::healpix;
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::select::CandidateColumns;
use skymargin_geometry::tiling::Tiling;

/// A row: coordinates in degrees and the index value at the catalog's order.
pub type Row = (f64, f64, i64);

pub fn threshold(arcsec: f64) -> Threshold {
    Threshold::from_arcsec(arcsec).unwrap()
}

pub fn index_of(order: u8, ra_deg: f64, dec_deg: f64) -> i64 {
    healpix::index_of_ra_dec_deg(order, ra_deg, dec_deg) as i64
}

/// Cuts the sky as imports do: a pixel with more rows than allowed is split, an empty one is no partition.
pub fn partitions(points: &[(f64, f64)], max_rows: usize) -> Vec<(Pixel, Vec<(f64, f64)>)> {
    let mut open: Vec<(Pixel, Vec<(f64, f64)>)> = Pixel::base_cells().map(|cell| (cell, Vec::new())).collect();
    for &(ra_deg, dec_deg) in points {
        open[healpix::index_of_ra_dec_deg(0, ra_deg, dec_deg) as usize].1.push((ra_deg, dec_deg));
    }
    let mut done = Vec::new();
    while let Some((pixel, rows)) = open.pop() {
        if rows.len() > max_rows && pixel.order() < 12 {
            for child in pixel.children() {
                let is_inside =
                    |&&(ra, dec): &&(f64, f64)| healpix::index_of_ra_dec_deg(child.order(), ra, dec) == child.index();
                open.push((child, rows.iter().filter(is_inside).copied().collect()));
            }
        } else if !rows.is_empty() {
            done.push((pixel, rows));
        }
    }
    done
}

/// Every (source, row, destination) by the cover and the selection.
pub fn selected(margins: &Margins, catalog: &[(Pixel, Vec<Row>)], index_order: u8) -> BTreeSet<(Pixel, u64, Pixel)> {
    let mut found = BTreeSet::new();
    for (pixel, rows) in catalog {
        let index_slack = threshold(INDEX_SLACK_ARCSEC);
        let cover = margins.cover(Source { pixel: *pixel, rows: rows.len() as u64, index_order, index_slack }).unwrap();
        let index: Vec<i64> = rows.iter().map(|row| row.2).collect();
        let mut candidates = Vec::new();
        cover.candidates(&index, 0, &mut candidates);
        let pick =
            |field: fn(&Row) -> f64| candidates.iter().map(|&row| field(&rows[row as usize])).collect::<Vec<_>>();
        let (ra_deg, dec_deg) = (pick(|row| row.0), pick(|row| row.1));
        let index: Vec<Option<i64>> = candidates.iter().map(|&row| Some(index[row as usize])).collect();
        let destinations: Vec<Pixel> = cover.destinations().collect();
        let selected = cover
            .select(CandidateColumns { rows: &candidates, index: &index, coordinates_deg: Some((&ra_deg, &dec_deg)) })
            .unwrap();
        for row in selected {
            let is_new = found.insert((*pixel, row.row, destinations[row.destination as usize]));
            assert!(is_new, "a row occurs at most once in a margin");
        }
    }
    found
}

pub fn catalog_of(points: &[(f64, f64)], max_rows: usize, index_order: u8) -> (Vec<(Pixel, Vec<Row>)>, Arc<Tiling>) {
    let with_index =
        |rows: Vec<(f64, f64)>| rows.into_iter().map(|(ra, dec)| (ra, dec, index_of(index_order, ra, dec)));
    let mut catalog: Vec<(Pixel, Vec<Row>)> =
        partitions(points, max_rows).into_iter().map(|(pixel, rows)| (pixel, with_index(rows).collect())).collect();
    for (place, (_, rows)) in catalog.iter_mut().enumerate() {
        // Some files are sorted by index, some are not.
        if place % 2 == 0 {
            rows.sort_unstable_by_key(|row| row.2);
        }
    }
    let tiling = Tiling::new(catalog.iter().map(|(pixel, _)| *pixel)).unwrap();
    (catalog, Arc::new(tiling))
}

/// Points over the sky, in one clump of a given size, and on special places.
pub fn points() -> impl Strategy<Value = Vec<(f64, f64)>> {
    let anywhere = (0.0..360.0, -90.0..=90.0);
    let special = (
        prop_oneof![Just(0.0), Just(45.0), Just(90.0), Just(180.0), Just(359.999_999_999), 0.0..360.0],
        prop_oneof![Just(90.0), Just(-90.0), Just(0.0), Just(41.810_314_895_778_6), Just(-41.810_314_895_778_6)],
    );
    let clump = (0.0..360.0, -89.0..89.0, -6.0..1.0).prop_flat_map(|(ra, dec, log_size): (f64, f64, f64)| {
        let size_deg = 10_f64.powf(log_size);
        let near = (-size_deg..size_deg, -size_deg..size_deg);
        let place = move |(d_ra, d_dec): (f64, f64)| {
            let dec_deg: f64 = (dec + d_dec).clamp(-90.0, 90.0);
            ((ra + d_ra / dec_deg.to_radians().cos().max(1e-3)).rem_euclid(360.0), dec_deg)
        };
        prop::collection::vec(near.prop_map(place), 1..60)
    });
    (prop::collection::vec(prop_oneof![3 => anywhere, 1 => special], 1..40), clump)
        .prop_map(|(spread, clump)| spread.into_iter().chain(clump).collect())
}

/// The position of a point moved along two directions at right angles to it, in radians.
pub fn displaced_deg(point: Vec3, along: f64, across: f64) -> (f64, f64) {
    let helper = if point.z.abs() < 0.9 { Vec3 { x: 0.0, y: 0.0, z: 1.0 } } else { Vec3 { x: 1.0, y: 0.0, z: 0.0 } };
    let first = helper.plus_scaled(-helper.dot(point), point);
    let first = Vec3 { x: 0.0, y: 0.0, z: 0.0 }.plus_scaled(1.0 / first.squared().sqrt(), first);
    let second = Vec3 {
        x: point.y * first.z - point.z * first.y,
        y: point.z * first.x - point.x * first.z,
        z: point.x * first.y - point.y * first.x,
    };
    let moved = point.plus_scaled(along, first).plus_scaled(across, second);
    (moved.y.atan2(moved.x).to_degrees(), moved.z.atan2(moved.x.hypot(moved.y)).to_degrees())
}

pub fn centre_deg(pixel: Pixel) -> (f64, f64) {
    let centre = skymargin_geometry::boundary::centre(pixel);
    (centre.y.atan2(centre.x).to_degrees(), centre.z.asin().to_degrees())
}

/// The number of random catalogs of a property.
pub fn catalogs() -> u32 {
    std::env::var("SKYMARGIN_CATALOGS").map_or(1000, |cases| cases.parse().expect("SKYMARGIN_CATALOGS is a number"))
}
