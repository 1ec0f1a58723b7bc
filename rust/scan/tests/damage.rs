//! Damaged files give errors that name the file: no panic, no hang, no memory without bound.
//!
//! `SKYMARGIN_FUZZ_CASES` sets the number of random cases (the default is for every day).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::result_large_err,
    clippy::single_range_in_vec_init
)]

mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use skymargin_scan::ScanError;
use support::{Memory, RangeFilter, assert_scanned, options, scan, write};

const ROWS: usize = 300;

fn catalog() -> RecordBatch {
    let light =
        ListArray::from_iter_primitive::<Float32Type, _, _>((0..ROWS).map(|row| {
            (row % 5 > 0).then(|| (0..row % 30).map(|n| (n % 4 > 0).then_some(n as f32)).collect::<Vec<_>>())
        }));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter((0..ROWS).map(|row| (row % 3 > 0).then(|| format!("n{}", row % 40)))));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![
        (
            Arc::new(Field::new("light", DataType::List(Arc::new(Field::new("item", DataType::Float32, true))), true)),
            Arc::new(light) as ArrayRef,
        ),
        (Arc::new(Field::new("name", DataType::Utf8, true)), Arc::clone(&names)),
    ]));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("index", Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|row| row * row)))),
        ("ra", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64)))),
        ("dec", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 10.0 - 5.0)))),
        ("name", names),
        ("nested", nested),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn filter() -> RangeFilter {
    RangeFilter { ranges: vec![2_000..9_000, 40_000..60_000], ..RangeFilter::default() }
}

/// Files of the catalog in layouts that take every way through the scan.
fn files() -> &'static [Bytes] {
    static FILES: OnceLock<Vec<Bytes>> = OnceLock::new();
    FILES.get_or_init(|| {
        let codecs = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::BROTLI(BrotliLevel::default()),
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::default()),
        ];
        let mut files = Vec::new();
        for (at, codec) in codecs.into_iter().enumerate() {
            for page_index in [true, false] {
                let version = if at % 2 == 0 { WriterVersion::PARQUET_1_0 } else { WriterVersion::PARQUET_2_0 };
                let mut builder = WriterProperties::builder()
                    .set_compression(codec)
                    .set_writer_version(version)
                    .set_data_page_row_count_limit(20)
                    .set_write_batch_size(20)
                    .set_max_row_group_row_count(Some(110));
                if at < 3 {
                    builder = builder.set_dictionary_enabled(false);
                    for column in ["ra", "dec"] {
                        builder = builder.set_column_encoding(ColumnPath::from(column), Encoding::BYTE_STREAM_SPLIT);
                    }
                    builder = builder.set_column_encoding(ColumnPath::from("index"), Encoding::DELTA_BINARY_PACKED);
                    builder = builder.set_column_encoding(ColumnPath::from("name"), Encoding::DELTA_BYTE_ARRAY);
                }
                if !page_index {
                    builder = builder.set_statistics_enabled(EnabledStatistics::Chunk).set_offset_index_disabled(true);
                }
                files.push(write(&catalog(), builder.build()));
            }
        }
        files
    })
}

#[derive(Clone, Debug)]
enum Damage {
    Truncate(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    /// Close to the end, where footer and page index are.
    FlipNearEnd(u16, u8),
    Overwrite(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    FooterLength(u32),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let bytes = || prop::collection::vec(any::<u8>(), 1..12);
    prop_oneof![
        1 => at().prop_map(Damage::Truncate),
        6 => (at(), 1_u8..).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        6 => (9_u16..4000, 1_u8..).prop_map(|(back, mask)| Damage::FlipNearEnd(back, mask)),
        2 => (at(), bytes()).prop_map(|(at, bytes)| Damage::Overwrite(at, bytes)),
        1 => (at(), any::<u8>()).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (at(), bytes()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => any::<u32>().prop_map(Damage::FooterLength),
    ]
}

fn damaged(file: &Bytes, damages: &[Damage]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for damage in damages {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        match damage {
            Damage::Truncate(at) => bytes.truncate(at.index(length)),
            Damage::Flip(at, mask) => bytes[at.index(length)] ^= mask,
            Damage::FlipNearEnd(back, mask) => bytes[length.saturating_sub(usize::from(*back))] ^= mask,
            Damage::Overwrite(at, with) => {
                for (byte, with) in bytes[at.index(length)..].iter_mut().zip(with) {
                    *byte = *with;
                }
            }
            Damage::Remove(at, count) => {
                let start = at.index(length);
                bytes.drain(start..length.min(start + usize::from(*count)));
            }
            Damage::Insert(at, with) => {
                let start = at.index(length);
                bytes.splice(start..start, with.iter().copied());
            }
            Damage::FooterLength(claimed) if length >= 8 => {
                bytes[length - 8..length - 4].copy_from_slice(&claimed.to_le_bytes());
            }
            Damage::FooterLength(_) => {}
        }
    }
    bytes
}

fn cases() -> u32 {
    std::env::var("SKYMARGIN_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600)
}

/// Scans, and panics only if a panic got through the scan.
fn survives(bytes: Vec<u8>, low_latency: bool) -> Result<usize, ScanError> {
    let schema = catalog().schema();
    let result = catch_unwind(AssertUnwindSafe(|| {
        scan(&options(&schema, 1 << 20), &Memory::new(bytes, low_latency), &filter())
    }));
    let scanned = result.unwrap_or_else(|_| panic!("a panic got through"))?;
    Ok(scanned.batches.iter().map(|batch| batch.columns.num_rows()).sum())
}

/// Panics of decoders are caught and told as errors; their messages need not fill the log.
fn quietly() {
    static QUIET: OnceLock<()> = OnceLock::new();
    QUIET.get_or_init(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.location().is_some_and(|at| at.file().contains("skymargin") || at.file().starts_with("rust/scan"))
            {
                usual(panic);
            }
        }));
    });
}

#[test]
fn the_undamaged_files_are_right() {
    for (at, file) in files().iter().enumerate() {
        for low_latency in [true, false] {
            let batch = catalog();
            let scanned = scan(&options(&batch.schema(), 1 << 20), &Memory::new(file.clone(), low_latency), &filter());
            assert_scanned(&scanned.unwrap(), &batch, &filter(), &format!("file {at}"));
        }
    }
}

#[test]
fn damage_is_an_error_that_names_the_file() {
    quietly();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 200,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    });
    let (refused, read) = (Cell::new(0_u32), Cell::new(0_u32));
    let cases = (any::<prop::sample::Index>(), prop::collection::vec(damage(), 1..4), any::<bool>());
    let property = |(which, damages, low_latency): (prop::sample::Index, Vec<Damage>, bool)| {
        match survives(damaged(which.get(files()), &damages), low_latency) {
            // Some damage does not show: a flipped bit of a value, a byte that nothing reads.
            Ok(rows) => {
                read.set(read.get() + 1);
                prop_assert!(rows <= ROWS);
            }
            Err(error) => {
                refused.set(refused.get() + 1);
                prop_assert!(error.to_string().starts_with("memory.parquet: "), "{}", error);
            }
        }
        Ok(())
    };
    runner.run(&cases, property).unwrap();
    println!("damaged files: {} read, {} refused", read.get(), refused.get());
}

#[test]
fn every_truncation_is_an_error() {
    quietly();
    for file in files().iter().step_by(3) {
        for length in (0..file.len()).step_by(7) {
            assert!(survives(file[..length].to_vec(), true).is_err(), "{length} of {} bytes", file.len());
        }
    }
}

#[test]
fn every_byte_of_a_footer_and_a_page_index_may_flip() {
    quietly();
    let file = &files()[0];
    let footer_bytes = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().unwrap()) as usize;
    let mut errors = 0;
    for at in file.len() - footer_bytes - 1200..file.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = file.to_vec();
            bytes[at] ^= mask;
            errors += usize::from(survives(bytes, at % 2 == 0).is_err());
        }
    }
    assert!(errors > footer_bytes, "{errors} errors");
}

#[test]
fn a_missing_file_is_named() {
    let error = skymargin_scan::Source::local("no/such.parquet").err().unwrap();
    assert!(matches!(&error, ScanError::Read { file, .. } if file == "no/such.parquet"));
}
