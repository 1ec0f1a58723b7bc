//! What the tests of the scan share: files in memory, a filter that is easily foretold, and the slow way.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

pub mod locations;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use skymargin_scan::{
    Candidates, FilterError, RangedReader, RowFilter, ScanBatch, ScanError, ScanOptions, ScanReport, Scanner,
    SelectedCandidate, Source,
};

/// Bytes in memory that count what is asked of them.
#[derive(Clone)]
pub struct Memory {
    pub bytes: Bytes,
    pub low_latency: bool,
    pub asked: Arc<Asked>,
}

#[derive(Default)]
pub struct Asked {
    pub calls: AtomicU64,
    pub bytes: AtomicU64,
    /// The bytes of the largest call.
    pub largest: AtomicU64,
}

impl Memory {
    pub fn new(bytes: impl Into<Bytes>, low_latency: bool) -> Self {
        Self { bytes: bytes.into(), low_latency, asked: Arc::default() }
    }
}

impl RangedReader for Memory {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        self.asked.calls.fetch_add(1, Ordering::Relaxed);
        let total = ranges.iter().map(|range| range.end - range.start).sum();
        self.asked.bytes.fetch_add(total, Ordering::Relaxed);
        self.asked.largest.fetch_max(total, Ordering::Relaxed);
        Ok(ranges.iter().map(|range| self.bytes.slice(range.start as usize..range.end as usize)).collect())
    }

    fn is_low_latency(&self) -> bool {
        self.low_latency
    }
}

/// Selects rows whose index lies in one of some ranges and whose declination is not negative.
///
/// A row goes to destination `index % 3` and, if that is 0, to 7 as well, at a separation of its declination.
#[derive(Clone, Debug, Default)]
pub struct RangeFilter {
    pub ranges: Vec<Range<u64>>,
    pub without_coordinates: bool,
}

impl RangeFilter {
    pub fn holds(&self, index: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(&index))
    }

    pub fn selects(&self, index: u64, dec_deg: f64) -> Vec<(u32, f64)> {
        let separation = if self.without_coordinates { f64::NAN } else { dec_deg };
        if !self.holds(index) || !self.without_coordinates && dec_deg < 0.0 {
            return Vec::new();
        }
        let mut selected = vec![((index % 3) as u32, separation)];
        if index.is_multiple_of(3) {
            selected.push((7, separation));
        }
        selected
    }
}

impl RowFilter for RangeFilter {
    fn may_hold(&self, min: u64, max: u64) -> bool {
        self.ranges.iter().any(|range| range.start <= max && min < range.end)
    }

    fn candidates(&self, index: &[u64], positions: &mut Vec<usize>) {
        positions.extend((0..index.len()).filter(|at| self.holds(index[*at])));
    }

    fn needs_coordinates(&self) -> bool {
        !self.without_coordinates
    }

    fn select(&mut self, candidates: Candidates<'_>, selected: &mut Vec<SelectedCandidate>) -> Result<(), FilterError> {
        if let Some(at) = candidates.ra_deg.iter().zip(candidates.dec_deg).position(|(ra, dec)| (ra + dec).is_nan()) {
            return Err(format!("row {} is nowhere", candidates.rows[at]).into());
        }
        assert!(candidates.rows.is_sorted_by(|a, b| a < b));
        for (candidate, index) in candidates.index.iter().enumerate() {
            let dec_deg = candidates.dec_deg.get(candidate).copied().unwrap_or(f64::NAN);
            // Destinations descend: the scan puts them in order.
            for (destination, separation_arcsec) in self.selects(*index, dec_deg).into_iter().rev() {
                selected.push(SelectedCandidate { candidate, destination, separation_arcsec });
            }
        }
        Ok(())
    }
}

pub fn write(batch: &RecordBatch, properties: WriterProperties) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

pub fn options(schema: &SchemaRef, memory_bytes: u64) -> ScanOptions {
    ScanOptions {
        schema: Arc::clone(schema),
        index_column: Some("index".into()),
        index_order: 10,
        index_shift: 0,
        ra_column: "ra".into(),
        dec_column: "dec".into(),
        memory_bytes,
        other_columns: false,
    }
}

pub struct Scanned {
    pub batches: Vec<ScanBatch>,
    pub report: ScanReport,
}

pub fn scan(options: &ScanOptions, reader: &Memory, filter: &RangeFilter) -> Result<Scanned, ScanError> {
    scan_with(&Scanner::new(options.clone()).unwrap(), reader, filter)
}

pub fn scan_with(scanner: &Scanner, reader: &Memory, filter: &RangeFilter) -> Result<Scanned, ScanError> {
    let source = Source::new("memory.parquet", Box::new(reader.clone()))?;
    let mut scan = scanner.open(source)?.scan(1000, filter.clone())?;
    let mut batches = Vec::new();
    for batch in &mut scan {
        batches.push(batch?);
    }
    assert!(scan.next().is_none());
    Ok(Scanned { batches, report: scan.report() })
}

/// Everything of a file, by the reader of the parquet crate.
pub fn read_all(bytes: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The rows a filter selects from a batch, by looking at each.
pub fn expected_rows(all: &RecordBatch, filter: &RangeFilter) -> Vec<u64> {
    let index = all.column_by_name("index").unwrap().as_primitive::<Int64Type>();
    let dec = all.column_by_name("dec").unwrap().as_primitive::<Float64Type>();
    (0..all.num_rows())
        .filter(|row| index.is_valid(*row) && !filter.selects(index.value(*row) as u64, dec.value(*row)).is_empty())
        .map(|row| row as u64)
        .collect()
}

/// Checks a scan against everything read and filtered. Gives the number of batches.
pub fn assert_scanned(scanned: &Scanned, all: &RecordBatch, filter: &RangeFilter, context: &str) {
    let rows = expected_rows(all, filter);
    let found: Vec<u64> = scanned.batches.iter().flat_map(|batch| batch.rows.iter().map(|row| row - 1000)).collect();
    assert_eq!(found, rows, "{context}");
    let wanted = take_record_batch(all, &UInt64Array::from(rows.clone())).unwrap();
    let dec = wanted.column_by_name("dec").unwrap().as_primitive::<Float64Type>();
    let index = wanted.column_by_name("index").unwrap().as_primitive::<Int64Type>();
    let mut at = 0;
    for batch in &scanned.batches {
        let rows = batch.columns.num_rows();
        assert!(rows > 0 && rows == batch.rows.len(), "{context}");
        let part = wanted.slice(at, rows);
        assert_eq!(batch.columns.columns().len(), part.columns().len(), "{context}");
        for (column, name) in part.columns().iter().zip(part.schema().fields()) {
            let found = batch.columns.column_by_name(name.name()).unwrap();
            assert_eq!(found, column, "{context}: column {}", name.name());
        }
        let mut selected = Vec::new();
        for row in 0..rows {
            assert_eq!(batch.index[row], index.value(at + row) as u64, "{context}");
            for (destination, separation) in filter.selects(batch.index[row], dec.value(at + row)) {
                selected.push((row, destination, separation.to_bits()));
            }
        }
        let found: Vec<_> =
            batch.selected.iter().map(|s| (s.batch_row, s.destination, s.separation_arcsec.to_bits())).collect();
        assert_eq!(found, selected, "{context}");
        at += rows;
    }
    let pairs: usize = scanned.batches.iter().map(|batch| batch.selected.len()).sum();
    assert_eq!(scanned.report.selected, pairs as u64, "{context}");
    assert_eq!(scanned.report.rows_selected, rows.len() as u64, "{context}");
    assert_eq!(scanned.report.rows_total, all.num_rows() as u64, "{context}");
}
