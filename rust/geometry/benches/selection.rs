//! Index values per second through candidates and selection on a sorted index column, and covers per second.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skymargin_geometry::angle::Threshold;
use skymargin_geometry::cover::{Filtering, INDEX_SLACK_ARCSEC, Margins, Source};
use skymargin_geometry::healpix;
use skymargin_geometry::pixel::{MAX_ORDER, Pixel};
use skymargin_geometry::select::CandidateColumns;
use skymargin_geometry::tiling::Tiling;

/// The rows of a source pixel, uniform on the sky and sorted by index: index values, ra and dec.
fn rows_of(pixel: Pixel, count: usize) -> (Vec<i64>, Vec<f64>, Vec<f64>) {
    let mut state = 685_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut rows = Vec::with_capacity(count);
    while rows.len() < count {
        // Base cell 4, to which the pixel belongs, lies within 45 degrees of ra 0, dec 0.
        let (ra_deg, z): (f64, f64) = (90.0 * uniform() - 45.0, 2.0 * uniform() - 1.0);
        let dec_deg = z.asin().to_degrees();
        if healpix::index_of_ra_dec_deg(pixel.order(), ra_deg, dec_deg) == pixel.index() {
            rows.push((healpix::index_of_ra_dec_deg(MAX_ORDER, ra_deg, dec_deg) as i64, ra_deg, dec_deg));
        }
    }
    rows.sort_unstable_by_key(|row| row.0);
    let (index, places): (Vec<i64>, Vec<(f64, f64)>) = rows.into_iter().map(|(i, ra, dec)| (i, (ra, dec))).unzip();
    let (ra_deg, dec_deg) = places.into_iter().unzip();
    (index, ra_deg, dec_deg)
}

fn margins(order: u8) -> Margins {
    let tiling = Tiling::new((0..12 << (2 * order)).map(|index| Pixel::new(order, index).unwrap())).unwrap();
    Margins::new(Arc::new(tiling), Threshold::from_arcsec(10.0).unwrap(), Filtering::Exact, None).unwrap()
}

fn source(pixel: Pixel, rows: u64) -> Source {
    let index_slack = Threshold::from_arcsec(INDEX_SLACK_ARCSEC).unwrap();
    Source { pixel, rows, index_order: MAX_ORDER, index_slack }
}

fn selection(c: &mut Criterion) {
    let mut group = c.benchmark_group("selection, 10 arcsec, sorted index");
    for (order, count) in [(2_u8, 1_000_000), (4, 100_000)] {
        let pixel = Pixel::new(order, (4 << (2 * order)) + (1 << (2 * order)) / 3).unwrap();
        let (index, ra_deg, dec_deg) = rows_of(pixel, count);
        let cover = margins(order).cover(source(pixel, count as u64)).unwrap();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("order {order}, {count} rows"), |b| {
            b.iter(|| {
                let mut candidates = Vec::new();
                cover.candidates(black_box(&index), 0, &mut candidates);
                let of = |column: &[f64]| candidates.iter().map(|&row| column[row as usize]).collect::<Vec<_>>();
                let (ra_deg, dec_deg) = (of(&ra_deg), of(&dec_deg));
                let index: Vec<Option<i64>> = candidates.iter().map(|&row| Some(index[row as usize])).collect();
                cover
                    .select(CandidateColumns {
                        rows: &candidates,
                        index: &index,
                        coordinates_deg: Some((&ra_deg, &dec_deg)),
                    })
                    .unwrap()
                    .len()
            });
        });
    }
    group.finish();
}

fn covers(c: &mut Criterion) {
    let mut group = c.benchmark_group("covers, 10 arcsec");
    group.throughput(Throughput::Elements(1));
    for (order, rows) in [(1_u8, 200_000_u64), (4, 5_000), (6, 200)] {
        let margins = margins(order);
        let count = 12_u64 << (2 * order);
        let mut next = 0;
        group.bench_function(format!("order {order}, {rows} rows"), |b| {
            b.iter(|| {
                next = (next + 1) % count;
                margins.cover(source(Pixel::new(order, next).unwrap(), rows)).unwrap().ranges().len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, selection, covers);
criterion_main!(benches);
