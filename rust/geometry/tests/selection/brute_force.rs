//! Exact selection against brute force, at any order of index column and cover.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use skymargin_geometry::cover::{Filtering, INDEX_SLACK_ARCSEC, Margins, Source};
use skymargin_geometry::pixel::{MAX_ORDER, Pixel};
use skymargin_geometry::separation::PixelSeparation;
use skymargin_geometry::tiling::Tiling;

use crate::catalogs::{Row, catalog_of, catalogs, points, selected, threshold};

/// Every (source, row, destination) at a threshold, by the cover and the selection.
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(catalogs()))]

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
