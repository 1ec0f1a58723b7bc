//! Pages without a selected row are neither fetched nor decompressed, and requests are few.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::result_large_err,
    clippy::single_range_in_vec_init
)]

mod support;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use skymargin_scan::{LocalFile, RangedReader, Scanner, Source};
use support::{Memory, RangeFilter, assert_scanned, options, scan, scan_with, write};

const ROWS: usize = 20_000;

/// A sorted index of every third number, coordinates, and columns with and without dictionaries and repetition.
fn catalog() -> RecordBatch {
    let dec = (0..ROWS).map(|row| ((row * 7919) % 180_000) as f64 / 1000.0 - 30.0);
    let light = ListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..ROWS).map(|row| (row % 5 > 0).then(|| (0..row % 9).map(|n| Some((row * n) as f32)).collect::<Vec<_>>())),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("index", Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|row| 3 * row)))),
        ("ra", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 100.0)))),
        ("dec", Arc::new(Float64Array::from_iter_values(dec))),
        ("flux", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| (row as f64).sin())))),
        ("band", Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| ["g", "r", "i"][row % 3])))),
        ("light", Arc::new(light)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn builder() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_data_page_row_count_limit(500)
        .set_write_batch_size(500)
        .set_max_row_group_row_count(Some(5000))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
}

fn without_page_index(builder: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    builder.set_statistics_enabled(EnabledStatistics::Chunk).set_offset_index_disabled(true)
}

/// Candidates in three of the four row groups, but in few pages; half of them are selected.
fn filter() -> RangeFilter {
    RangeFilter { ranges: vec![600..700, 6000..6030, 14_990..15_200, 50_000..50_001], ..RangeFilter::default() }
}

fn metadata(bytes: &Bytes) -> ParquetMetaData {
    ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional).parse_and_finish(bytes).unwrap()
}

/// The pages of a leaf that hold any of the rows, by the offset index, with their dictionaries: ranges of the file.
fn pages(metadata: &ParquetMetaData, leaf: usize, rows: &[u64]) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    let mut first_row = 0;
    for (at, group) in metadata.row_groups().iter().enumerate() {
        let locations = metadata.offset_index().unwrap()[at][leaf].page_locations();
        let before = found.len();
        for (page, location) in locations.iter().enumerate() {
            let start = first_row + location.first_row_index as u64;
            let end = locations.get(page + 1).map_or(group.num_rows(), |next| next.first_row_index) as u64;
            if rows.iter().any(|row| (start..first_row + end.max(1)).contains(row)) {
                let offset = location.offset as u64;
                found.push(offset..offset + location.compressed_page_size as u64);
            }
        }
        let chunk = group.column(leaf);
        if let (Some(dictionary), true) = (chunk.dictionary_page_offset(), found.len() > before) {
            found.push(dictionary as u64..chunk.data_page_offset() as u64);
        }
        first_row += group.num_rows() as u64;
    }
    found
}

/// The rows of the index pages that may hold candidates, of the candidates, and of the selected.
fn rows_of_steps(batch: &RecordBatch, filter: &RangeFilter) -> [Vec<u64>; 3] {
    let index = batch.column(0).as_primitive::<Int64Type>();
    let dec = batch.column(2).as_primitive::<Float64Type>();
    let all = 0..batch.num_rows();
    let candidates: Vec<usize> = all.filter(|row| filter.holds(index.value(*row) as u64)).collect();
    let selected = candidates.iter().filter(|row| dec.value(**row) >= 0.0).map(|row| *row as u64).collect();
    let candidates: Vec<u64> = candidates.into_iter().map(|row| row as u64).collect();
    // By its bounds, the page of row 16,666 may hold the last range, which lies between two of its values.
    let index_rows = candidates.iter().copied().chain([50_000 / 3]).collect();
    [index_rows, candidates, selected]
}

/// The pages that a scan has to read: index, coordinates of candidates, the rest of the selected.
fn needed(bytes: &Bytes, batch: &RecordBatch, filter: &RangeFilter) -> Vec<Range<u64>> {
    let metadata = metadata(bytes);
    let [index_rows, candidates, selected] = rows_of_steps(batch, filter);
    let mut needed = pages(&metadata, 0, &index_rows);
    for (leaves, rows) in [(1..3, &candidates), (3..6, &selected)] {
        needed.extend(leaves.flat_map(|leaf| pages(&metadata, leaf, rows)));
    }
    needed
}

#[test]
fn exactly_the_pages_with_rows_are_decoded() {
    let batch = catalog();
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let indexed = write(&batch, builder().set_writer_version(version).build());
        let needed = needed(&indexed, &batch, &filter());
        assert!((20..200).contains(&needed.len()), "{} pages", needed.len());
        for low_latency in [true, false] {
            let scanned =
                scan(&options(&batch.schema(), 1 << 24), &Memory::new(indexed.clone(), low_latency), &filter());
            let scanned = scanned.unwrap();
            assert_scanned(&scanned, &batch, &filter(), "indexed");
            assert_eq!(scanned.report.pages_decoded, needed.len() as u64, "{version:?}");
            assert_eq!(scanned.report.candidates, rows_of_steps(&batch, &filter())[1].len() as u64);
            assert_eq!((scanned.report.row_groups_read, scanned.report.row_groups_total), (3, 4));
        }
    }
}

#[test]
fn without_a_page_index_pages_are_passed_over_by_their_headers() {
    let batch = catalog();
    let index_pages_of_read_groups = 3 * 10;
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for codec in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())] {
            let builder = || builder().set_writer_version(version).set_compression(codec);
            let indexed = write(&batch, builder().build());
            // The index column is read whole in the row groups that its statistics leave.
            let of_index = pages(&metadata(&indexed), 0, &rows_of_steps(&batch, &filter())[0]);
            let index_dictionaries = of_index.len() % 10;
            let others = needed(&indexed, &batch, &filter()).len() - of_index.len();
            let bytes = write(&batch, without_page_index(builder()).build());
            assert!(metadata(&bytes).offset_index().is_none());
            for low_latency in [true, false] {
                let memory = Memory::new(bytes.clone(), low_latency);
                let scanned = scan(&options(&batch.schema(), 1 << 24), &memory, &filter()).unwrap();
                assert_scanned(&scanned, &batch, &filter(), "not indexed");
                let decoded = scanned.report.pages_decoded as usize;
                let dictionaries = 0..=3;
                assert!(
                    dictionaries.contains(&(decoded - others - index_pages_of_read_groups)),
                    "{decoded} pages, {others} of them not of the index ({index_dictionaries}), {version:?}, {codec:?}"
                );
            }
        }
    }
}

#[test]
fn a_small_file_is_one_request() {
    let batch = catalog();
    for properties in [builder(), without_page_index(builder())] {
        let bytes = write(&batch, properties.build());
        let memory = Memory::new(bytes.clone(), false);
        let scanned = scan(&options(&batch.schema(), 1 << 24), &memory, &filter()).unwrap();
        assert_scanned(&scanned, &batch, &filter(), "small");
        let report = scanned.report;
        assert_eq!((report.requests, report.round_trips, report.bytes_fetched), (1, 1, bytes.len() as u64));
        assert_eq!(memory.asked.calls.load(Ordering::Relaxed), 1);
        assert_eq!(memory.asked.bytes.load(Ordering::Relaxed), bytes.len() as u64);
    }
}

/// 16 MB: a sorted index, and four columns that do not compress.
fn noise() -> RecordBatch {
    let rows = 400_000_i64;
    let index: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let noise = |seed: u64| -> ArrayRef {
        let value = move |row: i64| ((row as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / 1e14;
        Arc::new(Float64Array::from_iter_values((0..rows).map(value)))
    };
    let columns = vec![("index", index), ("ra", noise(1)), ("dec", noise(2)), ("a", noise(3)), ("b", noise(4))];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn noise_builder() -> WriterPropertiesBuilder {
    let builder = WriterProperties::builder().set_dictionary_enabled(false).set_max_row_group_row_count(None);
    builder.set_data_page_row_count_limit(4096)
}

#[test]
fn a_large_file_is_tail_then_index_with_coordinates_then_the_rest() {
    let batch = noise();
    let bytes = write(&batch, without_page_index(noise_builder()).build());
    let nothing = RangeFilter { ranges: vec![1 << 40..1 << 41], ..RangeFilter::default() };
    let filter = RangeFilter { ranges: vec![200_000..200_010], ..RangeFilter::default() };
    let scanner = Scanner::new(options(&batch.schema(), 1 << 26)).unwrap();
    // Once a file has shown that its other columns are needed, those of the next come with the index.
    for (filter, round_trips) in [(&nothing, 1), (&filter, 3), (&filter, 2), (&nothing, 1)] {
        let scanned = scan_with(&scanner, &Memory::new(bytes.clone(), false), filter).unwrap();
        assert_scanned(&scanned, &batch, filter, "large");
        assert_eq!(scanned.report.round_trips, round_trips);
        assert_eq!(scanned.report.requests, round_trips);
        assert!(scanned.report.bytes_fetched <= bytes.len() as u64 + 512 * 1024);
    }
}

#[test]
fn columns_that_few_files_need_are_not_read_in_vain() {
    let batch = noise();
    let bytes = write(&batch, without_page_index(noise_builder()).build());
    // The filter selects no row below the equator, and the noise is above it.
    let dec = batch.column(2).as_primitive::<Float64Type>();
    let mut columns = batch.columns().to_vec();
    columns[2] = Arc::new(Float64Array::from_iter_values(dec.values().iter().map(|value| -1.0 - value)));
    let southern = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let southern_bytes = write(&southern, without_page_index(noise_builder()).build());
    let filter = RangeFilter { ranges: vec![200_000..200_010], ..RangeFilter::default() };
    let scanner = Scanner::new(options(&batch.schema(), 1 << 26)).unwrap();
    for _ in 0..3 {
        let scanned = scan_with(&scanner, &Memory::new(southern_bytes.clone(), false), &filter).unwrap();
        assert_eq!((scanned.report.rows_selected, scanned.report.round_trips), (0, 2));
        // Index and coordinates, three of five columns.
        assert!(scanned.report.bytes_fetched < bytes.len() as u64 / 5 * 3 + 512 * 1024);
    }
    let scanned = scan_with(&scanner, &Memory::new(bytes, false), &filter).unwrap();
    assert_scanned(&scanned, &batch, &filter, "northern");
    assert_eq!(scanned.report.round_trips, 3);
}

#[test]
fn what_is_fetched_at_once_fits_the_memory() {
    let batch = noise();
    for properties in [noise_builder(), without_page_index(noise_builder())] {
        let bytes = write(&batch, properties.build());
        for step in [1, 2_000, 20_000] {
            let each = (0..400_000).step_by(step).map(|row| row..row + 1);
            let ranges = if step == 1 { vec![0..400_000] } else { each.collect() };
            let filter = RangeFilter { ranges, ..RangeFilter::default() };
            for memory_bytes in [1 << 20, 1 << 23, 1 << 25] {
                let scanner = Scanner::new(options(&batch.schema(), memory_bytes)).unwrap();
                for _ in 0..2 {
                    let memory = Memory::new(bytes.clone(), false);
                    let source = Source::new("memory.parquet", Box::new(memory.clone())).unwrap();
                    let batches = scanner.open(source).unwrap().scan(0, filter.clone()).unwrap();
                    let rows: usize = batches.map(|batch| batch.unwrap().rows.len()).sum();
                    assert_eq!(rows, 400_000 / step);
                    let largest = memory.asked.largest.load(Ordering::Relaxed);
                    // Pages that are not fetched ahead are read in windows of 4 MiB.
                    assert!(largest <= memory_bytes.max(6 << 20), "{largest} bytes with {memory_bytes}");
                }
            }
        }
    }
}

#[test]
fn a_file_that_changed_while_it_was_opened_says_so() {
    struct Stale(Memory);
    impl RangedReader for Stale {
        fn size_bytes(&self) -> io::Result<u64> {
            Ok(self.0.bytes.len() as u64 - 100)
        }
        fn read_ranges(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
            self.0.read_ranges(ranges)
        }
        fn check_size(&self) -> io::Result<()> {
            Err(io::Error::other("it has another size now"))
        }
    }
    let batch = catalog();
    let scanner = Scanner::new(options(&batch.schema(), 1 << 24)).unwrap();
    let stale = Stale(Memory::new(write(&batch, builder().build()), false));
    let Err(error) = scanner.open(Source::new("memory.parquet", Box::new(stale)).unwrap()) else { panic!("opened") };
    assert_eq!(error.to_string(), "memory.parquet: cannot be read: it has another size now");
}

#[test]
fn bytes_between_far_pages_are_not_fetched() {
    let batch = noise();
    let bytes = write(&batch, noise_builder().build());
    let filter = RangeFilter { ranges: vec![200_000..200_010], ..RangeFilter::default() };
    for low_latency in [true, false] {
        let scanned =
            scan(&options(&batch.schema(), 1 << 24), &Memory::new(bytes.clone(), low_latency), &filter).unwrap();
        assert_scanned(&scanned, &batch, &filter, "far pages");
        let fetched = scanned.report.bytes_fetched;
        assert!(fetched < bytes.len() as u64 / 40, "{fetched} of {} bytes", bytes.len());
    }
}

#[test]
fn a_local_file_is_read_in_place() {
    let batch = catalog();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.parquet");
    std::fs::write(&path, write(&batch, builder().build())).unwrap();
    let file = LocalFile::open(&path).unwrap();
    assert!(file.is_low_latency() && file.size_bytes().unwrap() == path.metadata().unwrap().len());
    let scanner = Scanner::new(options(&batch.schema(), 1 << 24)).unwrap();
    let source = Source::local(&path).unwrap();
    let mut scan = scanner.open(source).unwrap().scan(1000, filter()).unwrap();
    let batches = scan.by_ref().map(Result::unwrap).collect();
    let scanned = support::Scanned { batches, report: scan.report() };
    assert_scanned(&scanned, &batch, &filter(), "local");
}

#[test]
fn page_indexes_of_many_row_groups_are_read_together() {
    let batch = catalog();
    let many = || builder().set_max_row_group_row_count(Some(20));
    let nothing = RangeFilter { ranges: vec![1 << 40..1 << 41], ..RangeFilter::default() };
    // Rows of 500 of the 1,000 row groups.
    let half = RangeFilter { ranges: vec![15_000..45_000], ..RangeFilter::default() };
    for (properties, index_reads) in [(many(), 1000 / 64 + 1), (without_page_index(many()), 0)] {
        let bytes = write(&batch, properties.build());
        assert!(metadata(&bytes).num_row_groups() == 1000 && bytes.len() > 1 << 20);
        let scanned = |filter: &RangeFilter| {
            let scanned = scan(&options(&batch.schema(), 1 << 24), &Memory::new(bytes.clone(), true), filter).unwrap();
            assert_scanned(&scanned, &batch, filter, "many row groups");
            assert_eq!(scanned.report.hints_ignored, 0);
            scanned.report
        };
        // The end of the file, the whole footer, bounds and places.
        let report = scanned(&nothing);
        assert!(report.requests <= 2 + 2 * index_reads, "{} reads", report.requests);
        if index_reads > 0 {
            // Each page is one read, and its place is no other.
            let report = scanned(&half);
            let most = report.pages_decoded + 2 + 2 * index_reads + 6 * (500 / 64 + 2);
            assert!(report.requests <= most, "{} reads of {} pages", report.requests, report.pages_decoded);
        }
    }
}

#[test]
fn an_index_that_is_right_costs_a_header_of_each_page_passed_over() {
    let batch = catalog();
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let bytes = write(&batch, builder().set_writer_version(version).build());
        let scanned = scan(&options(&batch.schema(), 1 << 24), &Memory::new(bytes.clone(), true), &filter()).unwrap();
        let read = scanned.report.pages_decoded;
        // Of ten pages in each of three row groups of six columns; the page index is read with the footer.
        let passed_over = 3 * 10 * 6 - read;
        assert!(scanned.report.requests <= 2 + read + passed_over, "{} reads", scanned.report.requests);
        assert!(scanned.report.bytes_fetched < bytes.len() as u64);
    }
}
