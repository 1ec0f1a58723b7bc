//! What a scan holds is bounded, whatever the size of the file and of its rows.
//!
//! The peak of a process is measured in a process of its own, which this test starts from its own binary: the memory
//! that writing the file took is then not in it. Linux alone tells the peak.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::result_large_err,
    clippy::single_range_in_vec_init
)]
#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int64Array, ListArray, RecordBatch};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use skymargin_scan::{Scanner, Source};
use support::{RangeFilter, options};

const ROWS: usize = 3000;
const POINTS: usize = 2500;
const PAGE_BYTES: u64 = 1024 * 1024;
const MEGABYTE: u64 = 1024 * 1024;

/// Rows of 40 kB: two lists of 2,500 numbers each, which do not compress, and a fixed column.
fn rows(range: std::ops::Range<usize>) -> RecordBatch {
    let noise = |seed: u64| -> ArrayRef {
        let values = (0..range.len() * POINTS)
            .map(|at| f64::from_bits((at as u64 ^ seed << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2));
        let values: ArrayRef = Arc::new(Float64Array::from_iter_values(values));
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(POINTS, range.len()));
        Arc::new(ListArray::new(Arc::new(Field::new("item", DataType::Float64, true)), offsets, values, None))
    };
    let degrees = |row: usize| row as f64 / 100.0;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("index", Arc::new(Int64Array::from_iter_values(range.clone().map(|row| row as i64)))),
        ("ra", Arc::new(Float64Array::from_iter_values(range.clone().map(degrees)))),
        ("dec", Arc::new(Float64Array::from_iter_values(range.clone().map(degrees)))),
        ("mjd", noise(range.start as u64 + 1)),
        ("mag", noise(range.start as u64 + 2)),
        ("tag", Arc::new(FixedSizeBinaryArray::try_from_iter(range.map(|row| [row as u8; 16])).unwrap())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// One row group, as old writers make it: no page index, and pages of version 1, whose rows are not told.
fn write(path: &Path, page_index: bool) {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(PAGE_BYTES as usize)
        .set_write_batch_size(8)
        .set_max_row_group_row_count(None);
    if !page_index {
        builder = builder.set_statistics_enabled(EnabledStatistics::Chunk).set_offset_index_disabled(true);
    }
    let schema = rows(0..1).schema();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), schema, Some(builder.build())).unwrap();
    for start in (0..ROWS).step_by(100) {
        writer.write(&rows(start..start + 100)).unwrap();
    }
    writer.close().unwrap();
}

/// A line of this process' status, in bytes.
fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The part that runs in the process of its own: scans, and prints rows and growth of the peak.
#[test]
fn child() {
    let Ok(path) = std::env::var("SKYMARGIN_SCAN_FILE") else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (step, memory_bytes) = (number("SKYMARGIN_SCAN_STEP"), number("SKYMARGIN_SCAN_MEMORY"));
    let ranges = (0..ROWS as u64).step_by(step as usize).map(|row| row..row + 1).collect();
    let filter = RangeFilter { ranges, ..RangeFilter::default() };
    let scanner = Scanner::new(options(&rows(0..1).schema(), memory_bytes)).unwrap();
    let before = status_bytes("VmRSS");
    let mut rows = 0;
    for batch in scanner.open(Source::local(path).unwrap()).unwrap().scan(0, filter).unwrap() {
        rows += batch.unwrap().columns.num_rows();
    }
    println!("\nMEASURED {rows} {}", status_bytes("VmHWM") - before);
}

/// Scans every `step`th row in a process of its own. Gives the rows and the growth of the peak in bytes.
fn measure(path: &Path, step: u64, memory_bytes: u64) -> (u64, u64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("SKYMARGIN_SCAN_FILE", path)
        .env("SKYMARGIN_SCAN_STEP", step.to_string())
        .env("SKYMARGIN_SCAN_MEMORY", memory_bytes.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("MEASURED ")).unwrap_or_else(|| panic!("{output:?}"));
    let (rows, growth) = line.split_once(' ').unwrap();
    (rows.parse().unwrap(), growth.parse().unwrap())
}

#[test]
fn rows_of_40_kilobytes_stay_within_the_budget() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for page_index in [true, false] {
        let path = directory.path().join(format!("wide_{page_index}.parquet"));
        write(&path, page_index);
        assert!(path.metadata().unwrap().len() > 110 * MEGABYTE);
        // 15 rows: of each of two columns a page as it is stored and as it is decompressed, and the code itself.
        let (rows, growth) = measure(&path, 200, 16 * MEGABYTE);
        assert_eq!(rows, 15);
        assert!(growth < 16 * MEGABYTE, "15 rows took {} MB", growth / MEGABYTE);
        // Every row, 120 MB, within a budget that holds a few hundred of them.
        let (rows, growth) = measure(&path, 1, 16 * MEGABYTE);
        assert_eq!(rows, ROWS as u64);
        assert!(growth < 16 * MEGABYTE + 16 * PAGE_BYTES, "every row took {} MB", growth / MEGABYTE);
    }
}
