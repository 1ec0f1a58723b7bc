//! Ring mode against brute force and `cdshealpix`, and covers of limited size.

use std::collections::BTreeSet;
use std::sync::Arc;

use cdshealpix::nested::external_edge_sorted;
use proptest::prelude::*;
use skymargin_geometry::cover::{Filtering, INDEX_SLACK_ARCSEC, Margins, Source};
use skymargin_geometry::pixel::{MAX_ORDER, Pixel};
use skymargin_geometry::select::CandidateColumns;
use skymargin_geometry::separation::PixelSeparation;
use skymargin_geometry::tiling::Tiling;

use crate::catalogs::{Row, catalog_of, catalogs, centre_deg, displaced_deg, index_of, points, selected, threshold};

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
    skymargin_geometry::boundary::edges(pixel)
        .into_iter()
        .flat_map(|edge| [0.0, 1.0].map(|t| edge.position(t)))
        .flat_map(move |corner| {
            (0..48).map(move |step| {
                let (sin, cos) = (f64::from(step) * std::f64::consts::TAU / 48.0 + 0.01).sin_cos();
                displaced_deg(corner, radius * cos, radius * sin)
            })
        })
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
        let edge = skymargin_geometry::boundary::edges(tile)[(4.0 * uniform()) as usize];
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(catalogs()))]

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
            let selected =
                cover.select(CandidateColumns { rows: &candidates, index: &index, coordinates_deg }).unwrap();
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
    for order in [0, 8, 16, 20] {
        let pixel = Pixel::new(order, 4 << (2 * order)).unwrap();
        let tiling = Arc::new(Tiling::new([pixel]).unwrap());
        let index_slack = threshold(INDEX_SLACK_ARCSEC);
        let source = Source { pixel, rows: u64::MAX, index_order: MAX_ORDER, index_slack };
        for (filtering, arcsec) in [
            (Filtering::Exact, 1e-9),
            (Filtering::Exact, 1e-6),
            (Filtering::Exact, 5.0),
            (Filtering::Ring { margin_order: MAX_ORDER }, 5.0),
        ] {
            for cell_order in [None, Some(MAX_ORDER)] {
                let margins = Margins::new(Arc::clone(&tiling), threshold(arcsec), filtering, cell_order).unwrap();
                let ranges = margins.cover(source).unwrap().ranges().len();
                assert!(ranges < 1_000_000, "order {order}, {filtering:?}, {arcsec}, {cell_order:?}: {ranges}");
            }
        }
    }
}

/// An index column of order 3 in partitions of order 5: one value holds the rows of sixteen partitions.
#[test]
fn an_index_coarser_than_the_partition_names_one_value() {
    let pixel = Pixel::new(5, 1000).unwrap();
    let other = Pixel::new(5, 1001).unwrap();
    let tiling = Arc::new(Tiling::new([pixel, other]).unwrap());
    let source = Source { pixel, rows: 2, index_order: 3, index_slack: threshold(INDEX_SLACK_ARCSEC) };
    let (far_ra_deg, far_dec_deg) = centre_deg(pixel);
    // The row nearest to partition 1001 lies in 1000, a few arcsec beside it.
    let own = PixelSeparation::new(other, threshold(60.0));
    let near = skymargin_geometry::boundary::edges(pixel)
        .into_iter()
        .flat_map(|edge| (1..1000).map(move |step| edge.position(f64::from(step) / 1000.0)))
        .map(|point| displaced_deg(point, 1e-6, 1e-6))
        .find(|&(ra, dec)| index_of(5, ra, dec) == 1000 && own.separation_arcsec(ra, dec).unwrap() < 5.0);
    let (ra_deg, dec_deg) = near.expect("a point of 1000 within 5 arcsec of 1001");
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
        let candidates = CandidateColumns {
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
