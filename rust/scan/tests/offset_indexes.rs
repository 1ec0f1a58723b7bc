//! Offset indexes that are wrong in some pages only, and agree with the headers of others, decide no value.
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

use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{ArrayRef, BinaryArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::{WriterProperties, WriterVersion};
use support::locations::{Location, with_locations};
use support::{Memory, RangeFilter, assert_scanned, options, scan, write};

const ROWS: usize = 400;
const LEAVES: usize = 7;

/// Flat columns with and without a dictionary and nulls, and lists: leaves 0 to 6.
fn catalog() -> RecordBatch {
    let light = ListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..ROWS).map(|row| (row % 5 > 0).then(|| (0..row % 7).map(|n| Some((row + n) as f32)).collect::<Vec<_>>())),
    );
    let curve = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..ROWS).map(|row| Some((0..row % 3).map(|n| Some((row * n) as i32)).collect::<Vec<_>>())),
    );
    let quality: ArrayRef = Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| (row as f64).cos())));
    let nested = StructArray::try_from(vec![("curve", Arc::new(curve) as ArrayRef), ("quality", quality)]).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("index", Arc::new(Int64Array::from_iter_values(0..ROWS as i64))),
        ("ra", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64)))),
        ("dec", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 10.0)))),
        (
            "name",
            Arc::new(StringArray::from_iter((0..ROWS).map(|row| (row % 3 > 0).then(|| format!("n{}", row % 40))))),
        ),
        ("light", Arc::new(light)),
        ("nested", Arc::new(nested)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Pages of 20 rows in row groups of 150.
fn file(layout: (WriterVersion, bool)) -> Vec<u8> {
    write(&catalog(), properties(layout)).to_vec()
}

fn properties((version, has_dictionaries): (WriterVersion, bool)) -> WriterProperties {
    WriterProperties::builder()
        .set_writer_version(version)
        .set_dictionary_enabled(has_dictionaries)
        .set_data_page_row_count_limit(20)
        .set_write_batch_size(10)
        .set_max_row_group_row_count(Some(150))
        .build()
}

/// The same with pages of different numbers of rows.
fn uneven_file(layout: (WriterVersion, bool)) -> Vec<u8> {
    let batch = catalog();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties(layout))).unwrap();
    for start in (0..ROWS).step_by(13) {
        writer.write(&batch.slice(start, 13.min(ROWS - start))).unwrap();
    }
    writer.into_inner().unwrap()
}

fn selecting(range: Range<u64>) -> RangeFilter {
    RangeFilter { ranges: vec![range], ..RangeFilter::default() }
}

/// Scans few rows anywhere, and all, from a disk and over a server. Whoever reads all pages notices a wrong index.
fn assert_right(what: &str, bytes: &[u8], is_wrong: bool) {
    let batch = catalog();
    let windows = (0..ROWS as u64).step_by(17).map(|start| start..start + 2);
    let apart = RangeFilter { ranges: vec![3..5, 90..92, 130..131, 239..240, 390..392], ..RangeFilter::default() };
    let whole = selecting(0..ROWS as u64);
    for low_latency in [true, false] {
        let filters = windows.clone().map(selecting).chain([apart.clone(), whole.clone()]);
        for filter in filters {
            let what = format!("{what}, low latency {low_latency}, rows {:?}", filter.ranges);
            let memory = Memory::new(bytes.to_vec(), low_latency);
            let scanned = scan(&options(&batch.schema(), 1 << 20), &memory, &filter);
            let scanned = scanned.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_scanned(&scanned, &batch, &filter, &what);
            let ignored = scanned.report.hints_ignored;
            assert!(if is_wrong { ignored > 0 || filter.ranges != whole.ranges } else { ignored == 0 }, "{what}");
        }
    }
}

fn place(location: &Location) -> (i64, i64) {
    (location[0], location[1])
}

fn set_place(location: &mut Location, (offset, size): (i64, i64)) {
    (location[0], location[1]) = (offset, size);
}

/// Two pages become one, and a later page two: pages between them are one further, with the same numbers of rows.
fn join_and_split(locations: &mut [Location]) {
    let old: Vec<(i64, i64)> = locations.iter().map(place).collect();
    let [_, one, other, third, fourth, ..] = old[..] else { return };
    let half = fourth.1 / 2;
    let new = [(one.0, one.1 + other.1), third, (fourth.0, half), (fourth.0 + half, fourth.1 - half)];
    for (location, place) in locations[1..].iter_mut().zip(new) {
        set_place(location, place);
    }
}

/// What is changed in the offset index of each row group.
type Change = (&'static str, fn(&mut Vec<Location>));

const CHANGES: [Change; 9] = [
    ("later rows", |locations| locations.iter_mut().skip(2).take(2).for_each(|location| location[2] += 3)),
    ("earlier rows", |locations| locations.iter_mut().skip(2).take(2).for_each(|location| location[2] -= 7)),
    ("all later", |locations| locations.iter_mut().skip(1).for_each(|location| location[2] += 3)),
    ("one page's rows", |locations| locations[2][2] += 2),
    ("swapped", |locations| {
        let places = [place(&locations[2]), place(&locations[3])];
        set_place(&mut locations[3], places[0]);
        set_place(&mut locations[2], places[1]);
    }),
    ("rotated", |locations| {
        let mut places: Vec<_> = locations.iter().map(place).collect();
        places.rotate_left(1);
        locations.iter_mut().zip(places).for_each(|(location, place)| set_place(location, place));
    }),
    ("the next page", |locations| {
        let next = place(&locations[3]);
        set_place(&mut locations[2], next);
    }),
    ("one page less", |locations| {
        let places: Vec<_> = locations.iter().map(place).collect();
        locations.pop();
        locations.iter_mut().zip(&places[1..]).skip(2).for_each(|(location, place)| set_place(location, *place));
    }),
    ("joined and split", |locations| join_and_split(locations)),
];

/// The version of pages, and whether there are dictionaries.
const LAYOUTS: [(WriterVersion, bool); 3] =
    [(WriterVersion::PARQUET_1_0, false), (WriterVersion::PARQUET_2_0, false), (WriterVersion::PARQUET_2_0, true)];

#[test]
fn rows_are_those_of_the_pages_wherever_the_index_is_wrong() {
    for layout in LAYOUTS {
        let right = file(layout);
        assert_right("right", &right, false);
        for (leaf, (name, change)) in (0..LEAVES).flat_map(|leaf| CHANGES.map(|change| (leaf, change))) {
            let wrong = with_locations(right.clone(), leaf, change);
            assert_right(&format!("{name}, leaf {leaf}, {layout:?}"), &wrong, true);
        }
    }
}

#[test]
fn pages_of_different_sizes_are_found() {
    for layout in LAYOUTS {
        let right = uneven_file(layout);
        assert_right("right", &right, false);
        for leaf in 0..LEAVES {
            let even = with_locations(right.clone(), leaf, |locations| {
                let (pages, last) = (locations.len() as i64, locations[locations.len() - 1][2]);
                let rows: Vec<i64> = (0..pages).map(|page| last / (pages - 1) * page).collect();
                locations.iter_mut().zip(rows).for_each(|(location, first)| location[2] = first);
            });
            assert_right(&format!("even, leaf {leaf}, {layout:?}"), &even, true);
        }
    }
}

#[test]
fn no_byte_of_an_offset_index_decides_a_value() {
    let batch = catalog();
    for layout in &LAYOUTS[1..] {
        let right = file(*layout);
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(right.clone())).unwrap();
        let columns = metadata.row_groups().iter().flat_map(|group| group.columns());
        let indexes = columns.map(|column| {
            let start = column.offset_index_offset().unwrap() as usize;
            start..start + column.offset_index_length().unwrap() as usize
        });
        let filter = RangeFilter { ranges: vec![3..5, 90..92, 239..240, 330..332, 390..392], ..RangeFilter::default() };
        for at in indexes.flatten() {
            let mut wrong = right.clone();
            wrong[at] ^= [0x02, 0x08, 0x40, 0x80][at % 4];
            for low_latency in [true, false] {
                let what = format!("byte {at}, {layout:?}, low latency {low_latency}");
                let memory = Memory::new(wrong.clone(), low_latency);
                let scanned = scan(&options(&batch.schema(), 1 << 20), &memory, &filter);
                assert_scanned(&scanned.unwrap_or_else(|error| panic!("{what}: {error}")), &batch, &filter, &what);
            }
        }
    }
}

/// 24 MB of texts of different lengths, in pages of about half a megabyte.
fn large() -> RecordBatch {
    let rows = 48_000_usize;
    let text = |row: usize| {
        let byte = move |at: usize| ((row * 1000 + at) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
        (0..row * 7919 % 1000).map(byte).collect::<Vec<u8>>()
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("index", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("ra", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 200.0)))),
        ("dec", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 1000.0)))),
        ("text", Arc::new(BinaryArray::from_iter_values((0..rows).map(text)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn over_a_server_only_what_is_fetched_is_compared() {
    let batch = large();
    let builder = WriterProperties::builder().set_dictionary_enabled(false).set_max_row_group_row_count(None);
    let builder = builder.set_data_page_size_limit(512 * 1024).set_write_batch_size(16);
    let right = write(&batch, builder.build()).to_vec();
    let (few, wide) = (vec![20_000..20_003, 40_000..40_003], vec![20_000..40_000]);
    let [few, wide] = [few, wide].map(|ranges| RangeFilter { ranges, ..RangeFilter::default() });
    let scanned = |bytes: &[u8], filter: &RangeFilter, what| {
        let scanned = scan(&options(&batch.schema(), 1 << 26), &Memory::new(bytes.to_vec(), false), filter).unwrap();
        assert_scanned(&scanned, &batch, filter, what);
        scanned.report
    };
    let report = scanned(&right, &few, "right");
    assert_eq!(report.hints_ignored, 0);
    assert!(report.bytes_fetched < 5 << 20, "{} bytes", report.bytes_fetched);
    // The second quarter of the pages, of which the last hold selected rows.
    let shifted = with_locations(right.clone(), 3, |locations| {
        let quarter = locations.len() / 4;
        locations[quarter..2 * quarter].iter_mut().for_each(|location| location[2] -= 3);
    });
    assert_eq!(scanned(&shifted, &wide, "shifted").hints_ignored, 1);
    // A page that is left out leaves a gap, and the chunk is fetched whole.
    let shorter = with_locations(right, 3, |locations| {
        let places: Vec<_> = locations.iter().map(place).collect();
        locations.pop();
        locations.iter_mut().zip(&places[1..]).skip(2).for_each(|(location, place)| set_place(location, *place));
    });
    assert!(scanned(&shorter, &few, "shorter").hints_ignored > 0);
}
