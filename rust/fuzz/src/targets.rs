//! The targets: each makes a file of its bytes and scans it, from a disk and over a network.
//!
//! A target returns whether the file could be read. It panics where the reader has done what it may not.

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use skymargin_scan::{
    Candidates, FilterError, RangedReader, RowFilter, ScanError, ScanOptions, Scanner, SelectedCandidate, Source,
};

use crate::handmade::{
    CODECS, Column, ENCODINGS, PHYSICAL_TYPES, REPETITIONS, Version2, data_page, data_page_v2, dictionary_page,
    with_footer,
};

const NAME: &str = "fuzzed.parquet";
/// What the rows of one batch and the pages in hand may take.
const MEMORY_BYTES: u64 = 1 << 20;
/// What lies before a fuzzed footer: about as much as in the files that footers are taken from.
const BEFORE_FOOTER_BYTES: usize = 16 << 10;
/// A scan is left when it has selected so many rows: a few bytes can stand for billions of equal values.
const MOST_ROWS: usize = 1 << 20;

/// A target: its name, and the function.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All targets.
pub const TARGETS: [Target; 4] =
    [("footer", footer), ("page_header", page_header), ("page_body", page_body), ("scan", scan)];

/// The encoded footer of a file.
pub fn footer(bytes: &[u8]) -> bool {
    let mut before = vec![0; BEFORE_FOOTER_BYTES];
    before[..4].copy_from_slice(b"PAR1");
    scan(&with_footer(before, bytes))
}

/// All pages of a column, with their headers, after four bytes: its physical type, codec, repetition and values.
pub fn page_header(bytes: &[u8]) -> bool {
    let Some(([physical, codec, repetition, values], pages)) = bytes.split_first_chunk() else { return false };
    let column = Column {
        physical: physical % PHYSICAL_TYPES,
        codec: codec % CODECS,
        repetition: repetition % REPETITIONS,
        values: usize::from(*values),
        pages,
        data_start: 0,
    };
    scan_column(&column)
}

/// The body of a data page and that of a dictionary before it, after ten bytes that say what they are.
///
/// These are the physical type, codec, repetition and number of values; the encoding; flags (1: a page of version 2,
/// 2: its values are not compressed, 4: there is a dictionary); the size before compression, of two bytes; and two
/// numbers: the bytes of definition and repetition levels of a page of version 2, or the values of the dictionary and a
/// sixteenth of its bytes.
pub fn page_body(bytes: &[u8]) -> bool {
    let Some(([physical, codec, repetition, values, encoding, flags, low, high, first, second], rest)) =
        bytes.split_first_chunk()
    else {
        return false;
    };
    let (is_v2, is_compressed, has_dictionary) = (flags & 1 > 0, flags & 2 == 0, flags & 4 > 0);
    let mut column = Column {
        physical: physical % PHYSICAL_TYPES,
        codec: codec % CODECS,
        repetition: repetition % REPETITIONS,
        values: usize::from(*values),
        pages: &[],
        data_start: 0,
    };
    let encoding = ENCODINGS[usize::from(*encoding) % ENCODINGS.len()];
    let is_plain = |is_compressed: bool| !is_compressed || column.codec == 0;
    let stated = i32::from(u16::from_le_bytes([*low, *high]));
    let size = |body: &[u8], is_compressed| if is_plain(is_compressed) { body.len() as i32 } else { stated };
    let mut pages = Vec::new();
    let mut rest = rest;
    if has_dictionary {
        let dictionary;
        (dictionary, rest) = rest.split_at(rest.len().min(16 * usize::from(*second)));
        pages.extend(dictionary_page((*first).into(), size(dictionary, true), dictionary.len() as i32));
        pages.extend(dictionary);
        column.data_start = pages.len();
    }
    let values = i32::from(*values);
    if is_v2 {
        let (definition_bytes, repetition_bytes) =
            if has_dictionary { (0, 0) } else { ((*first).into(), (*second).into()) };
        let rows = column.rows() as i32;
        let page = Version2 { values, nulls: 0, rows, encoding, definition_bytes, repetition_bytes, is_compressed };
        pages.extend(data_page_v2(page, size(rest, is_compressed), rest.len() as i32));
    } else {
        pages.extend(data_page(values, encoding, size(rest, true), rest.len() as i32));
    }
    pages.extend(rest);
    scan_column(&Column { pages: &pages, ..column })
}

/// A whole file, with the columns that `tests/campaign/fuzz` writes.
pub fn scan(bytes: &[u8]) -> bool {
    static SCHEMAS: OnceLock<[SchemaRef; 2]> = OnceLock::new();
    let schemas = SCHEMAS.get_or_init(schemas);
    let bytes = Bytes::copy_from_slice(bytes);
    let mut is_read = false;
    for schema in schemas {
        is_read |= scan_with(schema, Some("index"), &bytes);
    }
    is_read
}

/// Those of files with nested columns and without.
fn schemas() -> [SchemaRef; 2] {
    let field = |name: &str, kind| Field::new(name, kind, true);
    let list = |kind| DataType::List(Arc::new(Field::new("element", kind, true)));
    let flat = vec![
        field("index", DataType::Int64),
        field("ra", DataType::Float64),
        field("dec", DataType::Float64),
        field("flag", DataType::Boolean),
        field("number", DataType::Int32),
        field("name", DataType::Utf8),
        field("when", DataType::Timestamp(TimeUnit::Microsecond, None)),
        field("blob", DataType::Binary),
    ];
    let light =
        DataType::Struct(vec![field("mjd", list(DataType::Float64)), field("band", list(DataType::Utf8))].into());
    let nested = [flat.clone(), vec![field("light", light), field("lists", list(list(DataType::Int32)))]].concat();
    [Arc::new(Schema::new(nested)), Arc::new(Schema::new(flat))]
}

fn scan_column(column: &Column<'_>) -> bool {
    scan_with(&column.schema(), None, &column.file().into())
}

fn scan_with(schema: &SchemaRef, index_column: Option<&str>, bytes: &Bytes) -> bool {
    let options = ScanOptions {
        schema: Arc::clone(schema),
        index_column: index_column.map(str::to_string),
        index_order: 29,
        index_shift: 0,
        ra_column: "ra".to_string(),
        dec_column: "dec".to_string(),
        memory_bytes: MEMORY_BYTES,
        other_columns: false,
    };
    let Ok(scanner) = Scanner::new(options) else { panic!("the options are right") };
    let outcomes = [true, false].map(|low_latency| scan_file(&scanner, Memory { bytes: bytes.clone(), low_latency }));
    for outcome in &outcomes {
        if let Err(error) = outcome {
            let message = error.to_string();
            assert!(message.starts_with(NAME) && !message.contains('\n'), "{message}");
        }
    }
    match outcomes {
        [Ok(near), Ok(far)] => assert_eq!(near, far, "rows from a disk and over a network"),
        // A page that is needed in one way may be skipped in the other.
        _ => return false,
    }
    true
}

/// The rows that were selected.
fn scan_file(scanner: &Scanner, reader: Memory) -> Result<Vec<u64>, ScanError> {
    let file = scanner.open(Source::new(NAME, Box::new(reader))?)?;
    let mut scan = file.scan(0, EveryThird)?;
    let mut rows = Vec::new();
    for batch in &mut scan {
        let batch = batch?;
        assert_eq!(batch.rows.len(), batch.columns.num_rows());
        rows.extend(batch.rows);
        if rows.len() > MOST_ROWS {
            break;
        }
    }
    assert!(rows.is_sorted_by(|row, next| row < next) && rows.last().is_none_or(|last| *last < file.rows_total()));
    Ok(rows)
}

/// Bytes in memory.
struct Memory {
    bytes: Bytes,
    low_latency: bool,
}

impl RangedReader for Memory {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        Ok(ranges.iter().map(|range| self.bytes.slice(range.start as usize..range.end as usize)).collect())
    }

    fn is_low_latency(&self) -> bool {
        self.low_latency
    }
}

/// Selects every third row, wherever it is.
struct EveryThird;

impl RowFilter for EveryThird {
    fn may_hold(&self, _min: u64, _max: u64) -> bool {
        true
    }

    fn candidates(&self, index: &[u64], positions: &mut Vec<usize>) {
        positions.extend(0..index.len());
    }

    fn select(&mut self, candidates: Candidates<'_>, selected: &mut Vec<SelectedCandidate>) -> Result<(), FilterError> {
        for (candidate, row) in candidates.rows.iter().enumerate() {
            if row % 3 == 0 {
                selected.push(SelectedCandidate { candidate, destination: 0, separation_arcsec: 0.0 });
            }
        }
        Ok(())
    }
}
