//! The margin rows of tables: every row against every tile, for any number of threads.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use skymargin_geometry::angle::Threshold;
use skymargin_geometry::cover::INDEX_SLACK_ARCSEC;
use skymargin_geometry::healpix;
use skymargin_geometry::in_memory::{self, Batch, InMemoryError, MarginRow, Positions, TableMargins};
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::separation::PixelSeparation;
use skymargin_geometry::tiling::Tiling;

struct Table {
    ra_deg: Vec<f64>,
    dec_deg: Vec<f64>,
}

impl Table {
    /// Rows around the corners of base cells (the poles, ra 0, |z| = 2/3 among them), at 1 to 10,000 arcsec.
    fn crowded(count: usize) -> Self {
        let mut state = 434_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let places =
            [(0.0, 90.0), (0.0, -90.0), (0.0, 0.0), (45.0, 0.0), (45.0, 41.810_314_895_778_6), (270.0, -41.81)];
        let (mut ra_deg, mut dec_deg) = (Vec::new(), Vec::new());
        for row in 0..count {
            let (ra, dec): (f64, f64) = places[row % places.len()];
            let reach_deg = 10_f64.powf(4.0 * uniform()) / 3600.0;
            dec_deg.push((dec + reach_deg * (2.0 * uniform() - 1.0)).clamp(-90.0, 90.0));
            let ra = if dec.abs() == 90.0 { 360.0 * uniform() } else { ra + reach_deg * (2.0 * uniform() - 1.0) };
            ra_deg.push(ra);
        }
        Self { ra_deg, dec_deg }
    }

    fn positions(&self) -> Positions<'_> {
        Positions { ra_deg: &self.ra_deg, dec_deg: &self.dec_deg }
    }

    fn rows(&self, from: usize, to: usize) -> Positions<'_> {
        Positions { ra_deg: &self.ra_deg[from..to], dec_deg: &self.dec_deg[from..to] }
    }

    fn index(&self, order: u8, row: usize) -> u64 {
        healpix::index_of_ra_dec_deg(order, self.ra_deg[row], self.dec_deg[row])
    }

    /// The pixels that hold rows: of order 3 in every other base cell, else of order 1.
    fn tiling(&self) -> Arc<Tiling> {
        let order = |row| if self.index(0, row).is_multiple_of(2) { 3 } else { 1 };
        let mut pixels: Vec<Pixel> =
            (0..self.ra_deg.len()).map(|row| Pixel::new(order(row), self.index(order(row), row)).unwrap()).collect();
        pixels.sort_unstable();
        pixels.dedup();
        Arc::new(Tiling::new(pixels).unwrap())
    }
}

fn arcsec(value: f64) -> Threshold {
    Threshold::from_arcsec(value).unwrap()
}

fn margins(tiling: &Arc<Tiling>, threshold_arcsec: f64) -> TableMargins {
    TableMargins::new(Arc::clone(tiling), arcsec(threshold_arcsec), arcsec(INDEX_SLACK_ARCSEC)).unwrap()
}

fn by_brute_force(table: &Table, tiling: &Tiling, threshold_arcsec: f64) -> Vec<(u32, Pixel)> {
    let mut found = Vec::new();
    for pixel in tiling.partitions().chain(tiling.empty_pixels()) {
        let separation = PixelSeparation::new(pixel, arcsec(threshold_arcsec));
        for row in 0..table.ra_deg.len() {
            if table.index(pixel.order(), row) != pixel.index()
                && separation.is_within(table.ra_deg[row], table.dec_deg[row]).unwrap()
            {
                found.push((row as u32, pixel));
            }
        }
    }
    found.sort_unstable();
    found
}

fn places(found: &[MarginRow]) -> Vec<(u32, Pixel)> {
    found.iter().map(|one| (one.row, one.pixel)).collect()
}

#[test]
fn every_row_is_found_and_no_other() {
    let table = Table::crowded(600);
    let tiling = table.tiling();
    for threshold_arcsec in [1.0, 600.0, 40_000.0, 324_000.0] {
        let expected = by_brute_force(&table, &tiling, threshold_arcsec);
        let found = margins(&tiling, threshold_arcsec).rows(table.positions(), 2, Batch::Whole).unwrap();
        assert_eq!(places(&found), expected, "{threshold_arcsec}");
        assert!(found.iter().all(|one| one.separation_arcsec <= threshold_arcsec));
        assert!(found.len() > 20);
    }
}

#[test]
fn threads_and_batches_change_nothing() {
    let table = Table::crowded(200_000);
    let tiling = table.tiling();
    let margins = margins(&tiling, 60.0);
    let expected = margins.rows(table.positions(), 1, Batch::Whole).unwrap();
    assert!(expected.len() > 100_000);
    for threads in [0, 2, 3] {
        assert_eq!(margins.rows(table.positions(), threads, Batch::Whole).unwrap(), expected);
    }
    let mut joined = Vec::new();
    for from in (0..200_000).step_by(7_000) {
        let part = margins.rows(table.rows(from, 200_000.min(from + 7_000)), 2, Batch::OneOfMany).unwrap();
        joined.extend(part.into_iter().map(|one| MarginRow { row: one.row + from as u32, ..one }));
    }
    assert_eq!(joined, expected);
}

#[test]
fn rows_are_grouped_by_partition_and_keep_their_order() {
    let table = Table::crowded(5_000);
    let tiling = table.tiling();
    let grouped = in_memory::group_rows(&tiling, table.positions(), 1).unwrap();
    assert_eq!(grouped, in_memory::group_rows(&tiling, table.positions(), 2).unwrap());
    let mut start = 0;
    for (pixel, &end) in tiling.partitions().zip(&grouped.ends) {
        let rows = &grouped.rows[start..end];
        assert!(rows.is_sorted() && !rows.is_empty());
        assert!(rows.iter().all(|&row| table.index(pixel.order(), row as usize) == pixel.index()));
        start = end;
    }
    assert_eq!(start, 5_000);
}

#[test]
fn no_rows_and_no_partitions_are_no_margins() {
    let nothing = Positions { ra_deg: &[], dec_deg: &[] };
    for tiling in [Tiling::new([]).unwrap(), Tiling::new([Pixel::new(0, 4).unwrap()]).unwrap()] {
        assert_eq!(margins(&Arc::new(tiling), 1.0).rows(nothing, 2, Batch::Whole).unwrap(), []);
    }
}

#[test]
fn the_first_row_at_fault_is_named() {
    let margins = margins(&Arc::new(Tiling::new([Pixel::new(0, 4).unwrap()]).unwrap()), 1.0);
    let refused =
        |ra_deg: &[f64], dec_deg: &[f64]| margins.rows(Positions { ra_deg, dec_deg }, 2, Batch::Whole).unwrap_err();
    // A row without a position weighs more than rows in the wrong place before it.
    let fault = refused(&[180.0, 0.0, f64::NAN, 0.0], &[0.0, 0.0, 0.0, -90.1]);
    assert_eq!(
        fault.to_string(),
        "2 of 4 rows have no valid position (ra -360 to 360, dec -90 to 90 degrees); the first is row 2: ra NaN, dec 0"
    );
    let fault = refused(&[0.0, 180.0, 200.0], &[0.0, 1.5, 0.0]);
    assert_eq!(fault.to_string(), "2 of 3 rows lie in none of the partitions; the first is row 1: ra 180, dec 1.5");
    assert_eq!(refused(&[0.0], &[]), InMemoryError::Lengths { ra: 1, dec: 0 });
}
