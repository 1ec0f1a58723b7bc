//! Exact decisions per second on candidates: rows in the cells of a cover, within a few thresholds of the edge.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skymargin_geometry::angle::{Threshold, UnitVector};
use skymargin_geometry::boundary;
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::separation::PixelSeparation;

/// Points beside the edges of a pixel, up to `reach_rad` to either side, by a fixed linear congruential generator.
fn candidates(pixel: Pixel, reach_rad: f64, count: usize) -> Vec<(f64, f64)> {
    let mut state = 434_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let edges = boundary::edges(pixel);
    (0..count)
        .map(|row| {
            let on_edge = edges[row % 4].position(uniform());
            let dec_rad = on_edge.z.asin() + reach_rad * (2.0 * uniform() - 1.0);
            let ra_rad = on_edge.y.atan2(on_edge.x) + reach_rad * (2.0 * uniform() - 1.0) / dec_rad.cos();
            (ra_rad.to_degrees(), dec_rad.to_degrees())
        })
        .collect()
}

fn decisions(c: &mut Criterion) {
    let mut group = c.benchmark_group("decisions");
    for (name, order, index, threshold_arcsec) in
        [("order 2, 10 arcsec", 2, 77, 10.0), ("order 5, 10 arcsec", 5, 5000, 10.0), ("order 8, 60 arcsec", 8, 3, 60.0)]
    {
        let pixel = Pixel::new(order, index).unwrap();
        let threshold = Threshold::from_arcsec(threshold_arcsec).unwrap();
        let rows = candidates(pixel, 3.0 * threshold.chord(), 100_000);
        let separation = PixelSeparation::new(pixel, threshold);
        group.throughput(Throughput::Elements(rows.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                rows.iter()
                    .filter(|&&(ra_deg, dec_deg)| {
                        let point = UnitVector::from_ra_dec_deg(black_box(ra_deg), dec_deg).unwrap();
                        separation.is_within_of_edges(point)
                    })
                    .count()
            });
        });
    }
    group.finish();
}

fn values(c: &mut Criterion) {
    let pixel = Pixel::new(5, 5000).unwrap();
    let threshold = Threshold::from_arcsec(10.0).unwrap();
    let rows = candidates(pixel, 3.0 * threshold.chord(), 100_000);
    let separation = PixelSeparation::new(pixel, threshold);
    let mut group = c.benchmark_group("separations");
    group.throughput(Throughput::Elements(rows.len() as u64));
    group.bench_function("order 5", |b| {
        b.iter(|| rows.iter().map(|&(ra, dec)| separation.separation_arcsec(black_box(ra), dec).unwrap()).sum::<f64>());
    });
    group.finish();
}

criterion_group!(benches, decisions, values);
criterion_main!(benches);
