//! The index is trusted for where to look, and statistics of the coordinates are held against it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::result_large_err)]

mod support;

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Decimal32Array, Decimal64Array, Decimal128Array, Float16Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, RecordBatch, UInt16Array, UInt64Array,
};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use half::f16;
use parquet::data_type::ByteArray;
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use skymargin_geometry::angle::Threshold;
use skymargin_geometry::boundary;
use skymargin_geometry::cover::{Filtering, INDEX_SLACK_ARCSEC, Margins, Source as Partition};
use skymargin_geometry::healpix;
use skymargin_geometry::pixel::{MAX_ORDER, Pixel};
use skymargin_geometry::tiling::Tiling;
use skymargin_scan::row_filter::CoverFilter;
use skymargin_scan::{
    Candidates, FilterError, RowFilter, ScanError, ScanOptions, ScanReport, Scanner, SelectedCandidate, Source,
};
use support::{Memory, write};

const ROWS: usize = 1000;
const PAGE_ROWS: usize = 100;

/// Pixels at the poles, at ra 0, at the equator and where the belt meets the caps.
const PIXELS: [(u8, u64); 8] = [(2, 15), (2, 128), (2, 74), (2, 47), (0, 4), (1, 13), (5, 5000), (9, 1_234_567)];

#[derive(Clone, Debug)]
struct Rows {
    index: Vec<i64>,
    ra_deg: Vec<f64>,
    dec_deg: Vec<f64>,
}

/// Rows all over a pixel, in the order of their index.
fn rows_of(pixel: Pixel, count: usize) -> Rows {
    let own = pixel.range_at(MAX_ORDER);
    let mut state = 20_261_128_u64;
    let mut positions: Vec<(i64, f64, f64)> = Vec::new();
    while positions.len() < count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let index = own.start + (state >> 4) % (own.end - own.start);
        let centre = boundary::centre(Pixel::new(MAX_ORDER, index).unwrap());
        let ra_deg = centre.y.atan2(centre.x).to_degrees().rem_euclid(360.0);
        let dec_deg = centre.z.atan2(centre.x.hypot(centre.y)).to_degrees();
        let index = healpix::index_of_ra_dec_deg(MAX_ORDER, ra_deg, dec_deg);
        if own.contains(&index) {
            positions.push((index as i64, ra_deg, dec_deg));
        }
    }
    positions.sort_by_key(|row| row.0);
    Rows {
        index: positions.iter().map(|row| row.0).collect(),
        ra_deg: positions.iter().map(|row| row.1).collect(),
        dec_deg: positions.iter().map(|row| row.2).collect(),
    }
}

/// Rows whose coordinates are rounded to what a column holds, in the order of the index of what it holds.
fn rounded(rows: &Rows, pixel: Pixel, round: impl Fn(f64) -> f64) -> Rows {
    let mut kept: Vec<(i64, f64, f64)> = (0..rows.index.len())
        .map(|row| (round(rows.ra_deg[row]), round(rows.dec_deg[row])))
        .map(|(ra_deg, dec_deg)| (healpix::index_of_ra_dec_deg(MAX_ORDER, ra_deg, dec_deg) as i64, ra_deg, dec_deg))
        .filter(|row| pixel.range_at(MAX_ORDER).contains(&(row.0 as u64)))
        .collect();
    kept.sort_by_key(|row| row.0);
    Rows {
        index: kept.iter().map(|row| row.0).collect(),
        ra_deg: kept.iter().map(|row| row.1).collect(),
        dec_deg: kept.iter().map(|row| row.2).collect(),
    }
}

impl Rows {
    /// Gives two rows each other's position.
    fn swapped(&self, one: usize, other: usize) -> Self {
        let mut rows = self.clone();
        rows.ra_deg.swap(one, other);
        rows.dec_deg.swap(one, other);
        rows
    }

    fn batch(&self) -> RecordBatch {
        let floats = |values: &[f64]| -> ArrayRef { Arc::new(Float64Array::from_iter_values(values.iter().copied())) };
        self.batch_of(floats(&self.ra_deg), floats(&self.dec_deg))
    }

    fn batch_of(&self, ra: ArrayRef, dec: ArrayRef) -> RecordBatch {
        let index: ArrayRef = Arc::new(Int64Array::from_iter_values(self.index.iter().copied()));
        RecordBatch::try_from_iter([("index", index), ("ra", ra), ("dec", dec)]).unwrap()
    }
}

fn properties(statistics: EnabledStatistics) -> WriterProperties {
    WriterProperties::builder()
        .set_statistics_enabled(statistics)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS / 2)
        .build()
}

fn file(rows: &Rows, statistics: EnabledStatistics) -> Bytes {
    write(&rows.batch(), properties(statistics))
}

type Found = Result<(Vec<u64>, ScanReport), ScanError>;

/// Scans a file for the rows of the margins of all other pixels. Gives their numbers and the report.
fn scanned(pixel: Pixel, bytes: &Bytes, low_latency: bool, check_all: bool) -> Found {
    let schema = Arc::clone(support::read_all(bytes).schema_ref());
    scan(&schema, bytes, low_latency, cover_filter(pixel, check_all))
}

fn cover_filter(pixel: Pixel, check_all: bool) -> CoverFilter {
    cover_filter_of(pixel, ROWS, check_all)
}

fn cover_filter_of(pixel: Pixel, rows: usize, check_all: bool) -> CoverFilter {
    let tiling = Arc::new(Tiling::new([pixel]).unwrap());
    let margins = Margins::new(tiling, Threshold::from_arcsec(10.0).unwrap(), Filtering::Exact, None).unwrap();
    let index_slack = Threshold::from_arcsec(INDEX_SLACK_ARCSEC).unwrap();
    let partition = Partition { pixel, rows: rows as u64, index_order: MAX_ORDER, index_slack };
    CoverFilter::new(Arc::new(margins.cover(partition).unwrap()), 0, check_all)
}

fn scan(schema: &SchemaRef, bytes: &Bytes, low_latency: bool, filter: impl RowFilter) -> Found {
    let options = ScanOptions { index_order: MAX_ORDER, ..support::options(schema, 1 << 20) };
    let source = Source::new("partition.parquet", Box::new(Memory::new(bytes.clone(), low_latency)))?;
    let mut scan = Scanner::new(options).unwrap().open(source)?.scan(5000, filter)?;
    let mut rows = Vec::new();
    for batch in &mut scan {
        rows.extend(batch?.rows);
    }
    Ok((rows, scan.report()))
}

/// A filter that trusts the index wherever it names a place far from every margin.
struct Trusting(CoverFilter);

impl RowFilter for Trusting {
    fn may_hold(&self, min: u64, max: u64) -> bool {
        self.0.may_hold(min, max)
    }

    fn candidates(&self, index: &[u64], positions: &mut Vec<usize>) {
        self.0.candidates(index, positions);
    }

    fn select(&mut self, candidates: Candidates<'_>, selected: &mut Vec<SelectedCandidate>) -> Result<(), FilterError> {
        self.0.select(candidates, selected)
    }
}

fn pixels() -> impl Iterator<Item = Pixel> {
    PIXELS.into_iter().map(|(order, index)| Pixel::new(order, index).unwrap())
}

/// Rewrites the footer of a file with other metadata of some column chunks.
fn with_chunks(bytes: &Bytes, change: impl Fn(usize, ColumnChunkMetaData) -> ColumnChunkMetaData) -> Bytes {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(bytes).unwrap();
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let groups = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().cloned().enumerate().map(|(leaf, chunk)| change(leaf, chunk)).collect();
        group.clone().into_builder().set_column_metadata(columns).build().unwrap()
    });
    let changed = ParquetMetaData::new(metadata.file_metadata().clone(), groups.collect());
    let mut written = bytes[..bytes.len() - 8 - length].to_vec();
    ParquetMetaDataWriter::new(&mut written, &changed).finish().unwrap();
    written.into()
}

/// Replaces a value wherever the page index or the footer has it.
fn with_bound(bytes: &Bytes, old: f64, new: f64) -> Bytes {
    with_encoded(bytes, old.to_le_bytes(), new.to_le_bytes())
}

fn with_encoded(bytes: &Bytes, old: [u8; 8], new: [u8; 8]) -> Bytes {
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    reader.try_parse(bytes).unwrap();
    let metadata = reader.finish().unwrap();
    let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
    let start = chunks.filter_map(|chunk| chunk.column_index_offset()).min().unwrap() as usize;
    let (mut changed, mut places) = (bytes.to_vec(), 0);
    for at in start..bytes.len() - 8 {
        if changed[at..at + 8] == old {
            changed[at..at + 8].copy_from_slice(&new);
            places += 1;
        }
    }
    assert!(places > 0, "{old:?} is no bound");
    changed.into()
}

#[test]
fn right_statistics_are_never_doubted() {
    for pixel in pixels() {
        for statistics in [EnabledStatistics::None, EnabledStatistics::Chunk, EnabledStatistics::Page] {
            let bytes = file(&rows_of(pixel, ROWS), statistics);
            for low_latency in [true, false] {
                let (found, report) = scanned(pixel, &bytes, low_latency, false).unwrap();
                assert_eq!(report.hints_ignored, 0, "{pixel}, {statistics:?}");
                assert_eq!(found, scanned(pixel, &bytes, low_latency, true).unwrap().0, "{pixel}");
            }
        }
    }
}

#[test]
fn nothing_is_read_for_it() {
    for pixel in pixels() {
        let rows = rows_of(pixel, ROWS);
        let bytes = file(&rows, EnabledStatistics::Page);
        for low_latency in [true, false] {
            let trusting = Trusting(cover_filter(pixel, false));
            let trusted = scan(rows.batch().schema_ref(), &bytes, low_latency, trusting).unwrap();
            assert_eq!(scanned(pixel, &bytes, low_latency, false).unwrap(), trusted, "{pixel}");
        }
    }
}

#[test]
fn rows_that_lie_elsewhere_in_their_partition_are_refused() {
    for pixel in pixels() {
        // The positions of two rows of different pages, far from each other.
        let bytes = file(&rows_of(pixel, ROWS).swapped(150, 730), EnabledStatistics::Page);
        for low_latency in [true, false] {
            let error = scanned(pixel, &bytes, low_latency, false).unwrap_err().to_string();
            let fault = "rows checked lie more than 0.2 arcsec from the pixel of their index value; the first is row ";
            assert!(error.starts_with("partition.parquet: ") && error.contains(fault), "{pixel}: {error}");
            assert!(error.contains("row 5150: ra ") || error.contains("row 5730: ra "), "{pixel}: {error}");
        }
    }
}

#[test]
fn rows_outside_their_partition_are_refused_by_the_footer_alone() {
    for pixel in pixels() {
        let mut rows = rows_of(pixel, ROWS);
        // Beyond three quarters of the index, which are at the centre of a pixel.
        rows.dec_deg[790] = if rows.dec_deg[790] > 0.0 { -85.0 } else { 85.0 };
        let bytes = file(&rows, EnabledStatistics::Chunk);
        let error = scanned(pixel, &bytes, true, false).unwrap_err().to_string();
        assert!(error.contains(": 1 of ") && error.contains("row 5790: ra "), "{pixel}: {error}");
        // Without statistics nothing shows it, unless every row is checked.
        let bytes = file(&rows, EnabledStatistics::None);
        scanned(pixel, &bytes, true, false).unwrap_or_else(|error| panic!("{pixel}: {error}"));
        assert!(scanned(pixel, &bytes, true, true).is_err(), "{pixel}");
    }
}

#[test]
fn statistics_that_are_wrong_change_nothing() {
    for pixel in pixels() {
        let rows = rows_of(pixel, ROWS);
        let bytes = file(&rows, EnabledStatistics::Page);
        let (found, _) = scanned(pixel, &bytes, true, false).unwrap();
        let page = &rows.dec_deg[300..300 + PAGE_ROWS];
        let largest = page.iter().copied().fold(f64::MIN, f64::max);
        let smallest = page.iter().copied().fold(f64::MAX, f64::min);
        let opposite = if largest > 0.0 { -80.0 } else { 80.0 };
        let stale = with_bound(&bytes, if opposite > 0.0 { largest } else { smallest }, opposite);
        for low_latency in [true, false] {
            let (now, report) = scanned(pixel, &stale, low_latency, false).unwrap();
            assert_eq!((&now, report.hints_ignored), (&found, 1), "{pixel}");
            // NaN and bounds that cross say nothing.
            for nothing in [with_bound(&bytes, largest, f64::NAN), with_bound(&bytes, largest, smallest - 1e-9)] {
                let (now, report) = scanned(pixel, &nothing, low_latency, false).unwrap();
                assert_eq!((&now, report.hints_ignored), (&found, 0), "{pixel}");
            }
        }
    }
}

#[test]
fn what_is_fetched_is_not_fetched_again_to_check_it() {
    let pixel = Pixel::new(2, 74).unwrap();
    let rows = rows_of(pixel, 150_000);
    let bytes = file(&rows, EnabledStatistics::Chunk);
    assert!(bytes.len() > 3 << 20);
    // By its bounds, every row may lie elsewhere.
    let stale = with_chunks(&bytes, |leaf, chunk| {
        let statistics = Statistics::double(Some(-80.0), Some(80.0), None, Some(0), false);
        if leaf == 2 { chunk.into_builder().set_statistics(statistics).build().unwrap() } else { chunk }
    });
    let options = ScanOptions { index_order: MAX_ORDER, ..support::options(rows.batch().schema_ref(), 1 << 26) };
    let found = [&bytes, &stale].map(|bytes| {
        let memory = Memory::new(bytes.clone(), false);
        let source = Source::new("partition.parquet", Box::new(memory.clone())).unwrap();
        let filter = cover_filter_of(pixel, rows.index.len(), false);
        let mut scan = Scanner::new(options.clone()).unwrap().open(source).unwrap().scan(0, filter).unwrap();
        let rows: Vec<u64> = (&mut scan).flat_map(|batch| batch.unwrap().rows).collect();
        (rows, scan.report())
    });
    let [(wanted, _), (rows, report)] = found;
    assert_eq!((&rows, report.hints_ignored), (&wanted, 1));
    // The end of the file twice: as such, and as part of the column there.
    assert!(report.bytes_fetched <= bytes.len() as u64 + (64 << 10), "{} bytes", report.bytes_fetched);
}

#[test]
fn wrong_statistics_of_the_index_hide_no_row() {
    for pixel in [Pixel::new(9, 1_234_567).unwrap(), Pixel::new(8, 400_000).unwrap()] {
        let rows = rows_of(pixel, ROWS);
        let bytes = file(&rows, EnabledStatistics::Page);
        let (wanted, _) = scanned(pixel, &bytes, true, false).unwrap();
        // A page of rows of the margin that says of itself that it is one page further, in the middle of the partition.
        let page = (0..ROWS / PAGE_ROWS).find(|page| {
            let own = 5000 + (page * PAGE_ROWS) as u64..5000 + ((page + 1) * PAGE_ROWS) as u64;
            wanted.iter().any(|row| own.contains(row))
        });
        let first = page.unwrap() * PAGE_ROWS;
        let centre = pixel.range_at(MAX_ORDER).start as i64
            + (pixel.range_at(MAX_ORDER).end as i64 - pixel.range_at(MAX_ORDER).start as i64) / 4 * 3;
        let bound = |bytes: &Bytes, old: i64, new: i64| with_encoded(bytes, old.to_le_bytes(), new.to_le_bytes());
        let wrong = bound(&bytes, rows.index[first], centre);
        let wrong = bound(&wrong, rows.index[first + PAGE_ROWS - 1], centre + 1000);
        for low_latency in [true, false] {
            let trusting = Trusting(cover_filter(pixel, false));
            let trusted = scan(rows.batch().schema_ref(), &wrong, low_latency, trusting).unwrap();
            assert!(trusted.0.len() < wanted.len(), "{pixel}: the page is not hidden");
            let (found, report) = scanned(pixel, &wrong, low_latency, false).unwrap();
            assert_eq!((&found, report.hints_ignored), (&wanted, 1), "{pixel}");
        }
    }
}

#[test]
fn rows_without_a_position_are_no_contradiction() {
    let pixel = Pixel::new(2, 74).unwrap();
    let mut rows = rows_of(pixel, ROWS);
    let (found, _) = scanned(pixel, &file(&rows, EnabledStatistics::Page), true, false).unwrap();
    assert!(!found.contains(&5310) && !found.contains(&5320));
    (rows.ra_deg[310], rows.dec_deg[320]) = (f64::NAN, f64::NAN);
    let bytes = file(&rows, EnabledStatistics::Page);
    let page = rows.dec_deg[300..400].iter().copied().fold(f64::MIN, f64::max);
    for bytes in [bytes.clone(), with_bound(&bytes, page, 80.0)] {
        assert_eq!(scanned(pixel, &bytes, true, false).unwrap().0, found);
    }
    assert!(scanned(pixel, &bytes, true, true).is_err());
}

#[test]
fn statistics_that_cannot_be_decoded_are_left_out() {
    let pixel = Pixel::new(2, 74).unwrap();
    let rows = rows_of(pixel, ROWS);
    let bytes = file(&rows, EnabledStatistics::Chunk);
    let (wanted, _) = scanned(pixel, &bytes, true, false).unwrap();
    for leaf in 0..3 {
        let short = || Some(ByteArray::from(vec![1, 2, 3]));
        let broken = with_chunks(&bytes, |at, chunk| {
            let statistics = Statistics::byte_array(short(), short(), None, Some(0), false);
            if at == leaf { chunk.into_builder().set_statistics(statistics).build().unwrap() } else { chunk }
        });
        let (found, report) = scan(rows.batch().schema_ref(), &broken, true, cover_filter(pixel, false)).unwrap();
        assert_eq!((&found, report.hints_ignored), (&wanted, 1), "{leaf}");
    }
}

/// A kind of column with what it makes of a number of degrees.
type Kind = (&'static str, fn(f64) -> f64, fn(&[f64]) -> ArrayRef);

fn kinds() -> Vec<Kind> {
    fn array<A: arrow_array::Array + 'static>(array: A) -> ArrayRef {
        Arc::new(array)
    }
    fn thousandths(value: f64) -> f64 {
        (value * 1000.0).round() / 1000.0
    }
    fn units(values: &[f64]) -> impl Iterator<Item = i64> {
        values.iter().map(|value| (value * 1000.0).round() as i64)
    }
    vec![
        ("float32", |v| f64::from(v as f32), |v| array(Float32Array::from_iter_values(v.iter().map(|v| *v as f32)))),
        (
            "float16",
            |v| f16::from_f64(v).to_f64(),
            |v| array(Float16Array::from_iter_values(v.iter().map(|v| f16::from_f64(*v)))),
        ),
        ("int16", f64::round, |v| array(Int16Array::from_iter_values(v.iter().map(|v| *v as i16)))),
        ("int32", f64::round, |v| array(Int32Array::from_iter_values(v.iter().map(|v| *v as i32)))),
        ("int64", f64::round, |v| array(Int64Array::from_iter_values(v.iter().map(|v| *v as i64)))),
        ("uint16", f64::round, |v| array(UInt16Array::from_iter_values(v.iter().map(|v| *v as u16)))),
        ("uint64", f64::round, |v| array(UInt64Array::from_iter_values(v.iter().map(|v| *v as u64)))),
        ("decimal32", thousandths, |v| {
            array(Decimal32Array::from_iter_values(units(v).map(|v| v as i32)).with_precision_and_scale(9, 3).unwrap())
        }),
        ("decimal64", thousandths, |v| {
            array(Decimal64Array::from_iter_values(units(v)).with_precision_and_scale(15, 3).unwrap())
        }),
        ("decimal128", thousandths, |v| {
            array(Decimal128Array::from_iter_values(units(v).map(i128::from)).with_precision_and_scale(38, 3).unwrap())
        }),
    ]
}

#[test]
fn statistics_of_every_type_are_read() {
    // Northern pixels, as unsigned integers have no southern declinations.
    for pixel in [Pixel::new(0, 0).unwrap(), Pixel::new(1, 7).unwrap(), Pixel::new(1, 2).unwrap()] {
        for (name, round, array) in kinds() {
            let rows = rounded(&rows_of(pixel, 2 * ROWS), pixel, round);
            let bytes = |rows: &Rows| {
                let batch = rows.batch_of(array(&rows.ra_deg), array(&rows.dec_deg));
                write(&batch, properties(EnabledStatistics::Page))
            };
            let what = format!("{name} in {pixel}, {} rows", rows.index.len());
            let (_, report) =
                scanned(pixel, &bytes(&rows), true, false).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(report.hints_ignored, 0, "{what}");
            let error = scanned(pixel, &bytes(&rows.swapped(150, 1530)), true, false).unwrap_err().to_string();
            assert!(
                error.contains("rows checked lie more than 0.2 arcsec from the pixel of their index"),
                "{what}: {error}"
            );
        }
    }
}
