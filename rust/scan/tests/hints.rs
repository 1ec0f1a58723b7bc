//! Page indexes that contradict their file change nothing but the work, and are counted.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::result_large_err,
    clippy::single_range_in_vec_init
)]

mod support;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::WriterProperties;
use support::locations::{Location, with_locations};
use support::{Memory, RangeFilter, assert_scanned, options, scan, write};

const ROWS: usize = 400;

fn catalog() -> RecordBatch {
    let light = ListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..ROWS).map(|row| (row % 5 > 0).then(|| (0..row % 7).map(|n| Some(n as f32)).collect::<Vec<_>>())),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("index", Arc::new(Int64Array::from_iter_values(0..ROWS as i64))),
        ("ra", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64)))),
        ("dec", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 10.0)))),
        (
            "name",
            Arc::new(StringArray::from_iter((0..ROWS).map(|row| (row % 3 > 0).then(|| format!("n{}", row % 40))))),
        ),
        ("light", Arc::new(light)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn file() -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(20)
        .set_write_batch_size(10)
        .set_max_row_group_row_count(Some(150))
        .build();
    write(&catalog(), properties).to_vec()
}

fn selecting(range: Range<u64>) -> RangeFilter {
    RangeFilter { ranges: vec![range], ..RangeFilter::default() }
}

/// Scans the file with the index of one leaf changed, from a disk and over a server, for few rows and for all.
fn assert_ignored(what: &str, change: impl Fn(&mut Vec<Location>)) {
    let batch = catalog();
    for leaf in 0..5 {
        let bytes = with_locations(file(), leaf, &change);
        for low_latency in [true, false] {
            for filter in [selecting(0..ROWS as u64), selecting(19..23), selecting(139..160), selecting(375..400)] {
                let memory = Memory::new(bytes.clone(), low_latency);
                let what = format!("{what}, leaf {leaf}, low latency {low_latency}, rows {:?}", filter.ranges);
                let scanned = scan(&options(&batch.schema(), 1 << 20), &memory, &filter);
                let scanned = scanned.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_scanned(&scanned, &batch, &filter, &what);
                assert!(scanned.report.hints_ignored > 0, "{what}");
            }
        }
    }
}

#[test]
fn right_indexes_are_used() {
    let batch = catalog();
    let filter = selecting(139..160);
    let scanned = scan(&options(&batch.schema(), 1 << 20), &Memory::new(file(), true), &filter).unwrap();
    assert_scanned(&scanned, &batch, &filter, "right");
    assert_eq!(scanned.report.hints_ignored, 0);
    // The rows lie in two or three pages of each of five columns, with two dictionaries a column at most.
    assert!(scanned.report.pages_decoded <= 5 * 5 + 5, "{}", scanned.report.pages_decoded);
}

#[test]
fn sizes_without_headers_are_ignored() {
    assert_ignored("sizes", |locations| locations.iter_mut().for_each(|location| location[1] -= 12));
}

#[test]
fn pages_that_are_elsewhere_are_found() {
    assert_ignored("far", |locations| locations.iter_mut().for_each(|location| location[0] = 1));
    assert_ignored("near", |locations| locations.iter_mut().for_each(|location| location[0] += 1));
}

#[test]
fn rows_are_those_of_the_pages() {
    assert_ignored("rows", |locations| {
        // Every second page, so that each of them has another number of rows: a shift of all would not show.
        for location in locations.iter_mut().skip(1).step_by(2) {
            location[2] -= 7;
        }
    });
    assert_ignored("fewer pages", |locations| locations.truncate(1));
}

#[test]
fn an_index_that_is_none_is_ignored() {
    let batch = catalog();
    let mut reader = ParquetMetaDataReader::new();
    reader.try_parse(&bytes::Bytes::from(file())).unwrap();
    let metadata = reader.finish().unwrap();
    for byte in [0x00, 0xff, 0x19] {
        let mut bytes = file();
        for group in metadata.row_groups() {
            for column in group.columns() {
                for (offset, length) in [
                    (column.offset_index_offset(), column.offset_index_length()),
                    (column.column_index_offset(), column.column_index_length()),
                ] {
                    let start = offset.unwrap() as usize;
                    bytes[start..start + length.unwrap() as usize].fill(byte);
                }
            }
        }
        for low_latency in [true, false] {
            let filter = selecting(100..200);
            let memory = Memory::new(bytes.clone(), low_latency);
            let scanned = scan(&options(&batch.schema(), 1 << 20), &memory, &filter).unwrap();
            assert_scanned(&scanned, &batch, &filter, "no index");
            assert!(scanned.report.hints_ignored > 0);
        }
    }
}
