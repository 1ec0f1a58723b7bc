//! Every layout a file can have gives the rows that reading everything and filtering gives.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::result_large_err,
    clippy::single_range_in_vec_init
)]

mod support;

use std::sync::Arc;

use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, LargeStringArray, ListArray, RecordBatch,
    StringArray, StructArray,
};
use arrow_schema::{DataType, Field};
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;
use skymargin_geometry::healpix;
use support::{Memory, RangeFilter, assert_scanned, options, read_all, scan, write};

/// A small generator of numbers, so that runs agree (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A catalog of `rows` rows: index (order 10), ra, dec, and columns of many kinds.
fn catalog(rows: usize, sorted: bool, null_index: bool) -> RecordBatch {
    let mut numbers = Numbers(rows as u64);
    let mut index: Vec<u64> = (0..rows).map(|_| numbers.below(12 << 20)).collect();
    if sorted {
        index.sort_unstable();
    }
    let ra: Vec<f64> = (0..rows).map(|_| numbers.below(360_000) as f64 / 1000.0).collect();
    let dec: Vec<f64> = (0..rows).map(|_| numbers.below(180_000) as f64 / 1000.0 - 90.0).collect();
    // Where the index is null it is computed: the rows keep the one they had only if it is the one of their place.
    let index = index.iter().zip(ra.iter().zip(&dec)).map(|(index, (ra, dec))| {
        let computed = healpix::index_of_ra_dec_deg(10, *ra, *dec);
        (!null_index || *index % 5 > 0).then_some(if null_index { computed } else { *index } as i64)
    });
    let index: Int64Array = index.collect();
    let flux: Float32Array = (0..rows).map(|row| (row % 4 != 1).then_some(row as f32 / 7.0)).collect();
    let name: StringArray = (0..rows).map(|row| (row % 3 != 0).then(|| format!("star {}", row % 11))).collect();
    let note: LargeStringArray = (0..rows).map(|row| Some("x".repeat(row % 40))).collect();
    let flag: BooleanArray = (0..rows).map(|row| (row % 7 != 2).then_some(row % 2 == 0)).collect();
    let light = ListArray::from_iter_primitive::<Float32Type, _, _>((0..rows).map(|row| match row % 6 {
        0 => None,
        1 => Some(vec![]),
        n => Some((0..n * 9).map(|point| (point % 5 != 3).then_some((row + point) as f32)).collect::<Vec<_>>()),
    }));
    let bands = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..rows).map(|row| Some((0..row % 4).map(|band| Some(band as i32)).collect::<Vec<_>>())),
    );
    let source: ArrayRef = Arc::new(StructArray::from(vec![
        (Arc::new(Field::new("light", light.data_type().clone(), true)), Arc::new(light) as ArrayRef),
        (Arc::new(Field::new("bands", bands.data_type().clone(), true)), Arc::new(bands) as ArrayRef),
    ]));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("index", Arc::new(index), true),
        ("ra", Arc::new(Float64Array::from(ra)), false),
        ("name", Arc::new(name), true),
        ("source", source, true),
        ("flux", Arc::new(flux), true),
        ("note", Arc::new(note), true),
        ("flag", Arc::new(flag), true),
        ("dec", Arc::new(Float64Array::from(dec)), false),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Three ranges: a wide one, a narrow one, and one beyond everything.
fn filter() -> RangeFilter {
    let whole = 12 << 20;
    RangeFilter {
        ranges: vec![whole / 7..whole / 5, whole / 2..whole / 2 + whole / 40, whole..2 * whole],
        ..RangeFilter::default()
    }
}

fn base() -> WriterPropertiesBuilder {
    // The writer looks at the size of a page after every so many rows.
    WriterProperties::builder().set_data_page_row_count_limit(13).set_write_batch_size(13)
}

fn without_page_index(builder: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    builder.set_statistics_enabled(EnabledStatistics::Chunk).set_offset_index_disabled(true)
}

fn check(batch: &RecordBatch, properties: WriterProperties, filter: &RangeFilter, context: &str) {
    let bytes = write(batch, properties);
    let all = read_all(&bytes);
    assert_eq!(&all, batch, "{context}: the file is right");
    for low_latency in [true, false] {
        for memory_bytes in [1 << 20, 64 << 20] {
            let context = format!("{context}, low_latency {low_latency}, {memory_bytes} bytes");
            let scanned =
                scan(&options(&batch.schema(), memory_bytes), &Memory::new(bytes.clone(), low_latency), filter);
            assert_scanned(&scanned.unwrap_or_else(|error| panic!("{context}: {error}")), &all, filter, &context);
        }
    }
}

#[test]
fn row_groups_of_every_size() {
    for sorted in [true, false] {
        let batch = catalog(600, sorted, false);
        for group_rows in [1, 7, 100, 599, 600, 10_000] {
            for page_index in [true, false] {
                for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
                    let builder = base().set_max_row_group_row_count(Some(group_rows)).set_writer_version(version);
                    let builder = if page_index { builder } else { without_page_index(builder) };
                    let context =
                        format!("sorted {sorted}, groups of {group_rows}, page index {page_index}, {version:?}");
                    check(&batch, builder.build(), &filter(), &context);
                }
            }
        }
    }
}

#[test]
fn every_codec() {
    let batch = catalog(600, true, false);
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    for codec in codecs {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for page_index in [true, false] {
                let builder = base().set_compression(codec).set_writer_version(version);
                let builder = if page_index { builder } else { without_page_index(builder) };
                let context = format!("{codec:?}, {version:?}, page index {page_index}");
                check(&batch, builder.set_max_row_group_row_count(Some(250)).build(), &filter(), &context);
            }
        }
    }
}

#[test]
fn every_encoding() {
    let batch = catalog(600, true, false);
    let leaf = |path: &str| ColumnPath::from(path.split('.').map(String::from).collect::<Vec<_>>());
    let encodings = [
        ("index", Encoding::DELTA_BINARY_PACKED),
        ("ra", Encoding::BYTE_STREAM_SPLIT),
        ("dec", Encoding::BYTE_STREAM_SPLIT),
        ("flux", Encoding::BYTE_STREAM_SPLIT),
        ("name", Encoding::DELTA_BYTE_ARRAY),
        ("note", Encoding::DELTA_LENGTH_BYTE_ARRAY),
        ("flag", Encoding::RLE),
        ("source.light.list.item", Encoding::BYTE_STREAM_SPLIT),
        ("source.bands.list.item", Encoding::DELTA_BINARY_PACKED),
    ];
    for plain in [true, false] {
        for page_index in [true, false] {
            let mut builder =
                base().set_dictionary_enabled(false).set_compression(Compression::ZSTD(ZstdLevel::default()));
            for (path, encoding) in encodings {
                builder = builder.set_column_encoding(leaf(path), if plain { Encoding::PLAIN } else { encoding });
            }
            let builder = if page_index { builder } else { without_page_index(builder) };
            check(&batch, builder.build(), &filter(), &format!("plain {plain}, page index {page_index}"));
        }
    }
}

#[test]
fn dictionaries_that_overflow_into_plain_pages() {
    let batch = catalog(600, true, false);
    let builder = base().set_dictionary_page_size_limit(64);
    check(&batch, builder.build(), &filter(), "dictionaries of 64 bytes");
}

#[test]
fn nulls_in_the_index_are_computed_from_the_coordinates() {
    let batch = catalog(600, false, true);
    let bytes = write(&batch, base().set_max_row_group_row_count(Some(170)).build());
    let filter = filter();
    for low_latency in [true, false] {
        let scanned =
            scan(&options(&batch.schema(), 1 << 20), &Memory::new(bytes.clone(), low_latency), &filter).unwrap();
        let mut wanted = Vec::new();
        let (ra, dec) = (batch.column_by_name("ra").unwrap(), batch.column_by_name("dec").unwrap());
        let of = |column: &ArrayRef, row: usize| column.as_any().downcast_ref::<Float64Array>().unwrap().value(row);
        for row in 0..batch.num_rows() {
            let index = healpix::index_of_ra_dec_deg(10, of(ra, row), of(dec, row));
            if !filter.selects(index, of(dec, row)).is_empty() {
                wanted.push((1000 + row as u64, index));
            }
        }
        let found =
            scanned.batches.iter().flat_map(|batch| batch.rows.iter().copied().zip(batch.index.iter().copied()));
        assert_eq!(found.collect::<Vec<_>>(), wanted);
        assert!(batch.column(0).null_count() > 50 && wanted.len() > 20);
    }
}

#[test]
fn without_an_index_column_it_is_computed() {
    let batch = catalog(600, false, true);
    let filter = filter();
    for page_index in [true, false] {
        let builder = base().set_max_row_group_row_count(Some(170));
        let builder = if page_index { builder } else { without_page_index(builder) };
        let bytes = write(&batch, builder.build());
        let with = scan(&options(&batch.schema(), 1 << 20), &Memory::new(bytes.clone(), true), &filter).unwrap();
        let mut options = options(&batch.schema(), 1 << 20);
        options.index_column = None;
        let without = scan(&options, &Memory::new(bytes, false), &filter).unwrap();
        assert_eq!(with.batches.len(), without.batches.len());
        for (with, without) in with.batches.iter().zip(&without.batches) {
            assert_eq!((&with.columns, &with.rows, &with.index), (&without.columns, &without.rows, &without.index));
            assert_eq!(with.selected, without.selected);
        }
    }
}

#[test]
fn an_index_of_any_integer_type() {
    let batch = catalog(300, true, false);
    let all = read_all(&write(&batch, base().build()));
    for data_type in [DataType::Int32, DataType::UInt32, DataType::UInt64] {
        let mut columns: Vec<(String, ArrayRef, bool)> = Vec::new();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let cast = if field.name() == "index" {
                arrow_cast::cast(column, &data_type).unwrap()
            } else {
                Arc::clone(column)
            };
            columns.push((field.name().clone(), cast, true));
        }
        let retyped = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let bytes = write(&retyped, base().set_max_row_group_row_count(Some(50)).build());
        let scanned = scan(&options(&retyped.schema(), 1 << 20), &Memory::new(bytes, true), &filter()).unwrap();
        let rows: Vec<u64> = scanned.batches.iter().flat_map(|batch| batch.rows.iter().map(|row| row - 1000)).collect();
        assert_eq!(rows, support::expected_rows(&all, &filter()), "{data_type}");
        assert!(scanned.report.row_groups_read < scanned.report.row_groups_total, "{data_type}");
        for batch in &scanned.batches {
            assert_eq!(batch.columns.schema(), retyped.schema());
        }
    }
}

#[test]
fn coordinates_are_not_read_when_the_filter_does_without() {
    let batch = catalog(400, true, false);
    let filter = RangeFilter { without_coordinates: true, ..filter() };
    check(&batch, base().build(), &filter, "without coordinates");
}

#[test]
fn nothing_selected_and_nothing_there() {
    let batch = catalog(50, true, false);
    let nothing = RangeFilter { ranges: vec![12 << 20..13 << 20], ..RangeFilter::default() };
    check(&batch, base().build(), &nothing, "nothing selected");
    check(&batch.slice(0, 0), base().build(), &filter(), "no rows");
}

#[test]
fn everything_selected_leaves_in_bounded_batches() {
    let batch = catalog(5000, true, false);
    let everything = RangeFilter { ranges: vec![0..13 << 20], without_coordinates: true };
    let bytes = write(&batch, WriterProperties::builder().set_max_row_group_row_count(Some(2000)).build());
    let memory_bytes = 1 << 20;
    let scanned =
        scan(&options(&batch.schema(), memory_bytes), &Memory::new(bytes.clone(), true), &everything).unwrap();
    assert_scanned(&scanned, &batch, &everything, "everything");
    assert!(scanned.batches.len() > 4);
    for batch in &scanned.batches {
        let bytes: usize = batch.columns.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap()).sum();
        assert!(bytes as u64 <= memory_bytes / 4 + memory_bytes / 32, "{bytes} bytes");
    }
}

#[test]
fn a_scanner_is_used_for_many_files() {
    let batch = catalog(300, true, false);
    let scanner = skymargin_scan::Scanner::new(options(&batch.schema(), 1 << 20)).unwrap();
    let filter = filter();
    for builder in [base(), without_page_index(base()), base().set_max_row_group_row_count(Some(9))] {
        let bytes = write(&batch, builder.build());
        let source = skymargin_scan::Source::new("one of many", Box::new(Memory::new(bytes, true))).unwrap();
        let mut scan = scanner.open(source).unwrap().scan(1000, filter.clone()).unwrap();
        let batches = scan.by_ref().map(Result::unwrap).collect();
        let scanned = support::Scanned { batches, report: scan.report() };
        assert_scanned(&scanned, &batch, &filter, "one of many");
    }
}
