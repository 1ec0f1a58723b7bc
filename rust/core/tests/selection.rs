//! Cover and selection against brute force: every row of every partition against every partition and empty pixel.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;

use cdshealpix::nested::external_edge_sorted;
use proptest::prelude::*;
use skymargin_core::angle::{Threshold, Vec3};
use skymargin_core::cover::{Filtering, INDEX_SLACK_ARCSEC, Margins, Source};
use skymargin_core::healpix;
use skymargin_core::pixel::{MAX_ORDER, Pixel};
use skymargin_core::select::{Candidates, Fault, SelectError};
use skymargin_core::separation::PixelSeparation;
use skymargin_core::tiling::Tiling;

/// A row: coordinates in degrees and the index value at the catalog's order.
type Row = (f64, f64, i64);

fn threshold(arcsec: f64) -> Threshold {
    Threshold::from_arcsec(arcsec).unwrap()
}

fn index_of(order: u8, ra_deg: f64, dec_deg: f64) -> i64 {
    healpix::index_of_ra_dec_deg(order, ra_deg, dec_deg) as i64
}

/// Cuts the sky as imports do: a pixel with more rows than allowed is split, an empty one is no partition.
fn partitions(points: &[(f64, f64)], max_rows: usize) -> Vec<(Pixel, Vec<(f64, f64)>)> {
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
fn by_selection(
    catalog: &[(Pixel, Vec<Row>)],
    tiling: &Arc<Tiling>,
    arcsec: f64,
    index_order: u8,
    cell_order: Option<u8>,
) -> BTreeSet<(Pixel, u64, Pixel)> {
    let margins = Margins::new(Arc::clone(tiling), threshold(arcsec), Filtering::Exact, cell_order).unwrap();
    selected(&margins, catalog, index_order)
}

fn selected(margins: &Margins, catalog: &[(Pixel, Vec<Row>)], index_order: u8) -> BTreeSet<(Pixel, u64, Pixel)> {
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
            .select(Candidates { rows: &candidates, index: &index, coordinates_deg: Some((&ra_deg, &dec_deg)) })
            .unwrap();
        for row in selected {
            let is_new = found.insert((*pixel, row.row, destinations[row.destination as usize]));
            assert!(is_new, "a row occurs at most once in a margin");
        }
    }
    found
}

/// The same by asking for every row and every tile.
fn by_brute_force(catalog: &[(Pixel, Vec<Row>)], tiling: &Tiling, arcsec: f64) -> BTreeSet<(Pixel, u64, Pixel)> {
    let mut found = BTreeSet::new();
    for tile in tiling.partitions().chain(tiling.empty_pixels()) {
        let separation = PixelSeparation::new(tile, threshold(arcsec));
        for (pixel, rows) in catalog.iter().filter(|(pixel, _)| *pixel != tile) {
            for (number, &(ra_deg, dec_deg, _)) in rows.iter().enumerate() {
                if separation.separation_arcsec(ra_deg, dec_deg).unwrap() <= arcsec {
                    found.insert((*pixel, number as u64, tile));
                }
            }
        }
    }
    found
}

/// The same for rings: whether a row's pixel touches a tile is asked of points about the corners of that pixel, which lie
/// in all pixels that it touches.
fn in_rings_by_brute_force(
    catalog: &[(Pixel, Vec<Row>)],
    tiling: &Tiling,
    margin_order: u8,
) -> BTreeSet<(Pixel, u64, Pixel)> {
    let tiles: Vec<Pixel> = tiling.partitions().chain(tiling.empty_pixels()).collect();
    let mut found = BTreeSet::new();
    for (source, rows) in catalog {
        for (number, &(ra_deg, dec_deg, _)) in rows.iter().enumerate() {
            let pixel = Pixel::new(margin_order, index_of(margin_order, ra_deg, dec_deg) as u64).unwrap();
            let around: BTreeSet<Pixel> = about_corners(pixel)
                .map(|(ra, dec)| Pixel::new(margin_order, index_of(margin_order, ra, dec) as u64).unwrap())
                .collect();
            let touched = |tile: &&Pixel| *tile != source && around.iter().any(|near| tile.contains(*near));
            found.extend(tiles.iter().filter(touched).map(|tile| (*source, number as u64, *tile)));
        }
    }
    found
}

/// Points on small circles about the corners of a pixel, close enough to meet every pixel at the corner.
fn about_corners(pixel: Pixel) -> impl Iterator<Item = (f64, f64)> {
    let radius = 1e-3 / pixel.nside() as f64;
    skymargin_core::boundary::edges(pixel).into_iter().flat_map(|edge| [0.0, 1.0].map(|t| edge.position(t))).flat_map(
        move |corner| {
            (0..48).map(move |step| {
                let (sin, cos) = (f64::from(step) * std::f64::consts::TAU / 48.0 + 0.01).sin_cos();
                displaced_deg(corner, radius * cos, radius * sin)
            })
        },
    )
}

/// The position of a point moved along two directions at right angles to it, in radians.
fn displaced_deg(point: Vec3, along: f64, across: f64) -> (f64, f64) {
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

/// The catalog with rows about the edges and corners of some of its tiles: as near as the pixels of a ring are wide.
fn with_rows_at_edges(
    mut catalog: Vec<(Pixel, Vec<Row>)>,
    tiling: &Tiling,
    margin_order: u8,
    index_order: u8,
    seed: u64,
) -> Vec<(Pixel, Vec<Row>)> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let tiles: Vec<Pixel> = tiling.partitions().chain(tiling.empty_pixels()).collect();
    for _ in 0..40 {
        let tile = tiles[(uniform() * tiles.len() as f64) as usize];
        let edge = skymargin_core::boundary::edges(tile)[(4.0 * uniform()) as usize];
        let t = if uniform() < 0.3 { (2.0 * uniform()).floor() } else { uniform() };
        let width = 3.0 / (1_u64 << margin_order) as f64;
        let (along, across) = (width * (uniform() - 0.5), width * (uniform() - 0.5));
        let (ra_deg, dec_deg) = displaced_deg(edge.position(t), along, across);
        let own =
            |(pixel, _): &&mut (Pixel, Vec<Row>)| index_of(pixel.order(), ra_deg, dec_deg) as u64 == pixel.index();
        if let Some((_, rows)) = catalog.iter_mut().find(own) {
            rows.push((ra_deg, dec_deg, index_of(index_order, ra_deg, dec_deg)));
        }
    }
    // A row on an edge, to the last digit, may be given to one side at one order and to the other at another.
    for (pixel, rows) in &mut catalog {
        rows.retain(|&(ra_deg, dec_deg, _)| {
            let finest = Pixel::new(MAX_ORDER, index_of(MAX_ORDER, ra_deg, dec_deg) as u64).unwrap();
            let is_same = |order: u8| finest.ancestor(order).index() == index_of(order, ra_deg, dec_deg) as u64;
            is_same(pixel.order()) && is_same(margin_order) && is_same(index_order)
        });
    }
    catalog
}

fn catalog_of(points: &[(f64, f64)], max_rows: usize, index_order: u8) -> (Vec<(Pixel, Vec<Row>)>, Arc<Tiling>) {
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
fn points() -> impl Strategy<Value = Vec<(f64, f64)>> {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("SKYMARGIN_CATALOGS").map_or(1000, |cases| cases.parse().expect("SKYMARGIN_CATALOGS is a number"))
    ))]

    /// Every row that belongs, and no other, at any order of index column and cover.
    #[test]
    fn selection_is_brute_force(
        points in points(),
        max_rows in 1_usize..60,
        log_arcsec in -3.0..5.5_f64,
        index_order in 0..=MAX_ORDER,
        cell_order in prop::option::of(0..=MAX_ORDER),
    ) {
        let arcsec = 10_f64.powf(log_arcsec);
        let (catalog, tiling) = catalog_of(&points, max_rows, index_order);
        let expected = by_brute_force(&catalog, &tiling, arcsec);
        // A chosen order is kept where cells are few: a cover of a base cell at order 29 has no end.
        let cell_order = cell_order.filter(|&order| catalog.iter().all(|(pixel, _)| order <= pixel.order() + 2));
        prop_assert_eq!(by_selection(&catalog, &tiling, arcsec, index_order, cell_order), expected);
    }

    /// In ring mode every row whose pixel touches the margin's from outside, and no other: at any order of the ring and
    /// of the index column.
    #[test]
    fn rings_are_brute_force(
        points in points(),
        max_rows in 1_usize..60,
        finer in 0..=MAX_ORDER,
        index_order in prop_oneof![Just(MAX_ORDER), 0..=MAX_ORDER],
        seed in any::<u64>(),
    ) {
        let (catalog, tiling) = catalog_of(&points, max_rows, index_order);
        let margin_order = (tiling.finest_order().unwrap() + finer).min(MAX_ORDER);
        let catalog = with_rows_at_edges(catalog, &tiling, margin_order, index_order, seed);
        let filtering = Filtering::Ring { margin_order };
        let margins = Margins::new(Arc::clone(&tiling), threshold(5.0), filtering, None).unwrap();
        let found = selected(&margins, &catalog, index_order);
        prop_assert_eq!(found, in_rings_by_brute_force(&catalog, &tiling, margin_order));
    }

    /// The statistics of a run of rows never rule out a row that belongs.
    #[test]
    fn statistics_never_rule_out_a_row(points in points(), max_rows in 1_usize..60, log_arcsec in -3.0..5.5_f64) {
        let (catalog, tiling) = catalog_of(&points, max_rows, MAX_ORDER);
        let margins =
            Margins::new(Arc::clone(&tiling), threshold(10_f64.powf(log_arcsec)), Filtering::Exact, None).unwrap();
        for (pixel, rows) in &catalog {
            let index_slack = threshold(INDEX_SLACK_ARCSEC);
            let source = Source { pixel: *pixel, rows: rows.len() as u64, index_order: MAX_ORDER, index_slack };
            let cover = margins.cover(source).unwrap();
            let index: Vec<i64> = rows.iter().map(|row| row.2).collect();
            for (chunk, first) in index.chunks(7).zip((0..).step_by(7)) {
                let mut found = Vec::new();
                cover.candidates(chunk, first, &mut found);
                if !found.is_empty() {
                    prop_assert!(cover.may_hold(*chunk.iter().min().unwrap(), *chunk.iter().max().unwrap()));
                }
            }
        }
    }
}

/// Two partitions side by side, and a cover of the first for 10 arcsec.
fn small_cover(index_order: u8) -> (skymargin_core::cover::Cover, Pixel) {
    let pixel = Pixel::new(3, 100).unwrap();
    let tiling = Arc::new(Tiling::new([pixel, Pixel::new(3, 101).unwrap()]).unwrap());
    let margins = Margins::new(tiling, threshold(10.0), Filtering::Exact, None).unwrap();
    let source = Source { pixel, rows: 1000, index_order, index_slack: threshold(INDEX_SLACK_ARCSEC) };
    (margins.cover(source).unwrap(), pixel)
}

fn centre_deg(pixel: Pixel) -> (f64, f64) {
    let centre = skymargin_core::boundary::centre(pixel);
    (centre.y.atan2(centre.x).to_degrees(), centre.z.asin().to_degrees())
}

#[test]
fn a_row_whose_coordinates_contradict_its_index_is_refused() {
    let (cover, pixel) = small_cover(29);
    let (ra_deg, dec_deg) = centre_deg(pixel);
    let wrong = index_of(29, ra_deg, dec_deg) + (1 << 20);
    let candidates = Candidates { rows: &[17], index: &[Some(wrong)], coordinates_deg: Some((&[ra_deg], &[dec_deg])) };
    let error = cover.select(candidates).unwrap_err();
    assert!(matches!(error, SelectError::Rows { count: 1, checked: 1, fault: Fault::OffIndex { .. }, .. }), "{error}");
    assert!(error.to_string().contains("the first is row 17"), "{error}");
}

#[test]
fn every_position_can_be_held_against_the_index_whatever_the_filtering() {
    let (cover, pixel) = small_cover(29);
    let tiling = Arc::new(Tiling::new(vec![pixel]).unwrap());
    let ring = Filtering::Ring { margin_order: 12 };
    let margins = Margins::new(tiling, threshold(10.0), ring, Some(12)).unwrap();
    let index_slack = threshold(INDEX_SLACK_ARCSEC);
    let rings = margins.cover(Source { pixel, rows: 1000, index_order: 29, index_slack }).unwrap();
    let (ra_deg, dec_deg) = centre_deg(pixel);
    let right = index_of(29, ra_deg, dec_deg);
    // Near the centre of the partition, where neither cover has a candidate.
    let wrong = right + (1 << 20);
    for cover in [cover, rings] {
        let mut found = Vec::new();
        cover.candidates(&[right, wrong], 0, &mut found);
        assert_eq!(found, []);
        let check = |index, coordinates_deg| {
            cover.check_positions(Candidates { rows: &[0, 1], index: &[Some(right), Some(index)], coordinates_deg })
        };
        let coordinates_deg: (&[f64], &[f64]) = (&[ra_deg; 2], &[dec_deg; 2]);
        assert_eq!(check(right, Some(coordinates_deg)), Ok(()));
        let error = check(wrong, Some(coordinates_deg)).unwrap_err();
        assert!(matches!(error, SelectError::Rows { count: 1, checked: 2, fault: Fault::OffIndex { .. }, .. }));
        assert_eq!(check(right, None), Err(SelectError::NoCoordinates));
    }
}

#[test]
fn a_row_of_another_partition_is_refused() {
    let (cover, _) = small_cover(29);
    let (ra_deg, dec_deg) = centre_deg(Pixel::new(3, 600).unwrap());
    let index = index_of(29, ra_deg, dec_deg);
    let mut found = Vec::new();
    cover.candidates(&[index], 5, &mut found);
    assert_eq!(found, [5], "a value outside the partition is always looked at");
    let candidates = Candidates { rows: &found, index: &[Some(index)], coordinates_deg: Some((&[ra_deg], &[dec_deg])) };
    let error = cover.select(candidates).unwrap_err();
    assert!(matches!(error, SelectError::Rows { fault: Fault::OffPartition { .. }, .. }), "{error}");
}

#[test]
fn a_row_without_a_position_is_refused_and_counted() {
    let (cover, pixel) = small_cover(29);
    let (ra_deg, dec_deg) = centre_deg(pixel);
    let index = Some(index_of(29, ra_deg, dec_deg));
    let candidates = Candidates {
        rows: &[3, 4, 5],
        index: &[index, None, index],
        coordinates_deg: Some((&[ra_deg, f64::NAN, ra_deg], &[dec_deg, dec_deg, 90.5])),
    };
    let error = cover.select(candidates).unwrap_err();
    assert_eq!(
        error.to_string().split(';').next().unwrap().split(' ').take(4).collect::<Vec<_>>(),
        ["2", "of", "3", "rows"]
    );
    assert!(error.to_string().contains("row 4: ra NaN"), "{error}");
}

#[test]
fn a_row_a_rounding_error_outside_its_partition_is_never_lost() {
    // The row lies in partition 101, a hair across the border, but is stored in 100's file.
    let (cover, pixel) = small_cover(29);
    let destination = Pixel::new(3, 101).unwrap();
    let shared = skymargin_core::boundary::edges(destination)
        .into_iter()
        .flat_map(|edge| (1..100).map(move |step| edge.position(f64::from(step) / 100.0)))
        .find_map(|point| {
            let (ra_deg, dec_deg) = (point.y.atan2(point.x).to_degrees(), point.z.asin().to_degrees());
            let hair_deg = 1e-8;
            let (ra_deg, dec_deg) = (ra_deg + hair_deg, dec_deg + hair_deg);
            let own = PixelSeparation::new(pixel, threshold(1.0));
            let is_there = healpix::index_of_ra_dec_deg(3, ra_deg, dec_deg) == destination.index();
            (is_there && own.separation_arcsec(ra_deg, dec_deg).unwrap() < 1e-3).then_some((ra_deg, dec_deg))
        });
    let (ra_deg, dec_deg) = shared.expect("the two pixels share an edge");
    for index in [Some(index_of(29, ra_deg, dec_deg)), None] {
        let mut found = Vec::new();
        cover.candidates(&[index.unwrap_or(-1)], 0, &mut found);
        assert_eq!(found, [0]);
        let coordinates_deg = Some((&[ra_deg][..], &[dec_deg][..]));
        let selected = cover.select(Candidates { rows: &found, index: &[index], coordinates_deg }).unwrap();
        let destinations: Vec<Pixel> = cover.destinations().collect();
        let there = selected.iter().find(|row| destinations[row.destination as usize] == destination);
        assert_eq!(there.map(|row| row.separation_arcsec), Some(0.0));
    }
}

#[test]
fn unequal_columns_are_refused() {
    let (cover, _) = small_cover(29);
    let candidates = Candidates { rows: &[1, 2], index: &[None], coordinates_deg: Some((&[0.0], &[0.0])) };
    assert!(matches!(cover.select(candidates), Err(SelectError::Lengths { rows: 2, index: 1, ra: 1, dec: 1 })));
    let none = Candidates { rows: &[1], index: &[None], coordinates_deg: None };
    assert_eq!(cover.select(none), Err(SelectError::NoCoordinates));
}

#[test]
fn rings_are_those_of_cdshealpix_at_any_index_order() {
    let catalog: Vec<Pixel> = (0..48).map(|index| Pixel::new(1, index).unwrap()).collect();
    let tiling = Arc::new(Tiling::new(catalog.iter().copied()).unwrap());
    let filtering = Filtering::Ring { margin_order: 5 };
    for index_order in [0, 3, 5, 29] {
        let margins = Margins::new(Arc::clone(&tiling), threshold(5.0), filtering, None).unwrap();
        let mut found = BTreeSet::new();
        for &pixel in &catalog {
            let index_slack = threshold(INDEX_SLACK_ARCSEC);
            let cover = margins.cover(Source { pixel, rows: 256, index_order, index_slack }).unwrap();
            let destinations: Vec<Pixel> = cover.destinations().collect();
            // One row at the centre of every pixel of order 5 in the source.
            let cells: Vec<u64> = pixel.range_at(5).collect();
            let places: Vec<(f64, f64)> = cells.iter().map(|&cell| centre_deg(Pixel::new(5, cell).unwrap())).collect();
            let index: Vec<i64> = places.iter().map(|&(ra, dec)| index_of(index_order, ra, dec)).collect();
            let mut candidates = Vec::new();
            cover.candidates(&index, 0, &mut candidates);
            let (ra_deg, dec_deg): (Vec<f64>, Vec<f64>) = candidates.iter().map(|&row| places[row as usize]).unzip();
            let index: Vec<Option<i64>> = candidates.iter().map(|&row| Some(index[row as usize])).collect();
            assert_eq!(cover.needs_coordinates(), index_order < 5);
            let coordinates_deg = cover.needs_coordinates().then_some((&ra_deg[..], &dec_deg[..]));
            let selected = cover.select(Candidates { rows: &candidates, index: &index, coordinates_deg }).unwrap();
            found.extend(selected.iter().map(|row| (destinations[row.destination as usize], cells[row.row as usize])));
        }
        let expected: BTreeSet<(Pixel, u64)> = catalog
            .iter()
            .flat_map(|&pixel| external_edge_sorted(1, pixel.index(), 4).into_iter().map(move |cell| (pixel, cell)))
            .collect();
        assert_eq!(found, expected, "index order {index_order}");
    }
}

/// 2,000 rows in 13 partitions, and rings of pixels 10^8 times narrower than they are.
#[test]
fn rings_far_finer_than_the_partitions_take_little_memory() {
    let catalog: Vec<Pixel> = Pixel::base_cells().skip(1).chain(Pixel::new(0, 0).unwrap().children().take(2)).collect();
    assert_eq!(catalog.len(), 13);
    let tiling = Arc::new(Tiling::new(catalog.iter().copied()).unwrap());
    for margin_order in [27, 29] {
        let margins =
            Margins::new(Arc::clone(&tiling), threshold(5.0), Filtering::Ring { margin_order }, None).unwrap();
        for &pixel in &catalog {
            let index_slack = threshold(INDEX_SLACK_ARCSEC);
            let cover = margins.cover(Source { pixel, rows: 154, index_order: 29, index_slack }).unwrap();
            assert!(cover.ranges().len() < 100, "{}", cover.ranges().len());
        }
    }
}

/// However many rows a file claims, and however small the threshold or fine the cells that were asked for.
#[test]
fn a_cover_is_bounded_whatever_the_rows_claimed() {
    let tiling = Arc::new(Tiling::new(Pixel::base_cells()).unwrap());
    let source = Source {
        pixel: Pixel::new(0, 4).unwrap(),
        rows: u64::MAX,
        index_order: MAX_ORDER,
        index_slack: threshold(INDEX_SLACK_ARCSEC),
    };
    for (filtering, arcsec) in [(Filtering::Exact, 1e-9), (Filtering::Ring { margin_order: 29 }, 5.0)] {
        let cover =
            Margins::new(Arc::clone(&tiling), threshold(arcsec), filtering, None).unwrap().cover(source).unwrap();
        assert!(cover.ranges().len() < 100_000, "{filtering:?}: {}", cover.ranges().len());
    }
}

/// An index column of order 3 in partitions of order 5: one value holds the rows of sixteen partitions.
#[test]
fn an_index_coarser_than_the_partition_names_one_value() {
    let pixel = Pixel::new(5, 1000).unwrap();
    let other = Pixel::new(5, 1001).unwrap();
    let tiling = Arc::new(Tiling::new([pixel, other]).unwrap());
    let source = Source { pixel, rows: 2, index_order: 3, index_slack: threshold(INDEX_SLACK_ARCSEC) };
    let (ra_deg, dec_deg) = (11.258_022_81, 78.284_149_56);
    let (far_ra_deg, far_dec_deg) = centre_deg(pixel);
    // The row nearest to partition 1001 lies in 1000, a few arcsec beside it.
    let own = PixelSeparation::new(other, threshold(60.0));
    let near = skymargin_core::boundary::edges(pixel)
        .into_iter()
        .flat_map(|edge| (1..1000).map(move |step| edge.position(f64::from(step) / 1000.0)))
        .map(|point| displaced_deg(point, 1e-6, 1e-6))
        .find(|&(ra, dec)| index_of(5, ra, dec) == 1000 && own.separation_arcsec(ra, dec).unwrap() < 5.0);
    let (ra_deg, dec_deg) = near.unwrap_or((ra_deg, dec_deg));
    for (filtering, margin) in [(Filtering::Exact, 10.0), (Filtering::Ring { margin_order: 7 }, 10.0)] {
        let margins = Margins::new(Arc::clone(&tiling), threshold(margin), filtering, None).unwrap();
        let cover = margins.cover(source).unwrap();
        let ranges: Vec<(u64, u64)> = cover.ranges().iter().map(|range| (range.start, range.end)).collect();
        assert_eq!(ranges, [(1000 >> 4, (1000 >> 4) + 1)], "{filtering:?}");
        assert!(cover.may_hold(1000 >> 4, 1000 >> 4));
        let index = [1000 >> 4; 2];
        let mut found = Vec::new();
        cover.candidates(&index, 0, &mut found);
        assert_eq!(found, [0, 1]);
        let candidates = Candidates {
            rows: &found,
            index: &index.map(Some),
            coordinates_deg: Some((&[far_ra_deg, ra_deg], &[far_dec_deg, dec_deg])),
        };
        let destinations: Vec<Pixel> = cover.destinations().collect();
        let rows: Vec<u64> = cover
            .select(candidates)
            .unwrap()
            .iter()
            .filter(|row| destinations[row.destination as usize] == other)
            .map(|row| row.row)
            .collect();
        assert_eq!(rows, [1], "{filtering:?}");
    }
}
