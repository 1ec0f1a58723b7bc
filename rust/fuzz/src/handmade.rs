//! A Parquet file of three columns: right ascension and declination, and one that is given as the bytes of its pages.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::thrift::Struct;

/// The number of physical types: BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY and FIXED_LEN_BYTE_ARRAY.
pub const PHYSICAL_TYPES: u8 = 8;
/// The number of codecs: none, Snappy, GZIP, LZO, Brotli, LZ4, Zstandard and LZ4_RAW.
pub const CODECS: u8 = 8;
/// Required, optional, repeated.
pub const REPETITIONS: u8 = 3;
/// The numbers of the encodings; 1 was never used.
pub const ENCODINGS: [i32; 9] = [0, 2, 3, 4, 5, 6, 7, 8, 9];

const FIXED_BYTES: i32 = 4;
const DOUBLE: i32 = 5;
const FIXED_LEN_BYTE_ARRAY: u8 = 7;
const REPEATED: u8 = 2;

/// The column whose pages are given.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Its physical type.
    pub physical: u8,
    /// Its codec.
    pub codec: u8,
    /// Whether it is required, optional or repeated.
    pub repetition: u8,
    /// The number of its values, which is that of the rows if it is not repeated.
    pub values: usize,
    /// Its pages.
    pub pages: &'a [u8],
    /// Where its first data page begins among them: before it is a dictionary.
    pub data_start: usize,
}

impl Column<'_> {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        if self.repetition == REPEATED { self.values.div_ceil(2) } else { self.values }
    }

    /// The schema of its file.
    pub fn schema(&self) -> SchemaRef {
        let value = match self.physical {
            0 => DataType::Boolean,
            1 => DataType::Int32,
            2 => DataType::Int64,
            3 => DataType::Timestamp(TimeUnit::Nanosecond, None),
            4 => DataType::Float32,
            5 => DataType::Float64,
            6 => DataType::Binary,
            _ => DataType::FixedSizeBinary(FIXED_BYTES),
        };
        let value = match self.repetition {
            REPEATED => DataType::List(Arc::new(Field::new("value", value, true))),
            _ => value,
        };
        let degrees = |name| Field::new(name, DataType::Float64, true);
        Arc::new(Schema::new(vec![degrees("ra"), degrees("dec"), Field::new("value", value, true)]))
    }

    /// The file.
    pub fn file(&self) -> Vec<u8> {
        let rows = self.rows();
        let mut file = b"PAR1".to_vec();
        let mut chunks = Vec::new();
        for (name, step) in [("ra", 1.25), ("dec", -0.25)] {
            let start = file.len();
            let degrees: Vec<u8> = (0..rows).flat_map(|row| (row as f64 * step).to_le_bytes()).collect();
            file.extend(data_page(rows as i32, 0, degrees.len() as i32, degrees.len() as i32));
            file.extend(&degrees);
            let about = chunk(name, DOUBLE, 0, rows, file.len() - start).i64(9, start as i64);
            chunks.push(Struct::default().i64(2, start as i64).inner(3, about));
        }
        let start = file.len();
        file.extend(self.pages);
        let physical = i32::from(self.physical);
        let about = chunk("value", physical, i32::from(self.codec), self.values, self.pages.len());
        let about = about.i64(9, (start + self.data_start) as i64);
        let about = if self.data_start > 0 { about.i64(11, start as i64) } else { about };
        chunks.push(Struct::default().i64(2, start as i64).inner(3, about));

        let degrees = |name| Struct::default().i32(1, DOUBLE).i32(3, 0).text(4, name);
        let value = Struct::default().i32(1, physical);
        let value = if self.physical == FIXED_LEN_BYTE_ARRAY { value.i32(2, FIXED_BYTES) } else { value };
        let value = value.i32(3, self.repetition.into()).text(4, "value");
        let root = Struct::default().text(4, "schema").i32(5, 3);
        let group = Struct::default().structs(1, chunks).i64(2, file.len() as i64).i64(3, rows as i64);
        let footer = Struct::default()
            .i32(1, 1)
            .structs(2, vec![root, degrees("ra"), degrees("dec"), value])
            .i64(3, rows as i64)
            .structs(4, vec![group])
            .end();
        with_footer(file, &footer)
    }
}

/// A file of what comes before its footer, and the footer.
pub fn with_footer(mut file: Vec<u8>, footer: &[u8]) -> Vec<u8> {
    file.extend(footer);
    file.extend((footer.len() as u32).to_le_bytes());
    file.extend(b"PAR1");
    file
}

fn chunk(name: &str, physical: i32, codec: i32, values: usize, bytes: usize) -> Struct {
    // What it takes before compression is a hint, and lets pages of 1 MB pass.
    Struct::default()
        .i32(1, physical)
        .i32s(2, &[0])
        .texts(3, &[name])
        .i32(4, codec)
        .i64(5, values as i64)
        .i64(6, 1 << 20)
        .i64(7, bytes as i64)
}

/// The header of a data page of version 1, whose levels are run-length encoded.
pub fn data_page(values: i32, encoding: i32, bytes: i32, compressed_bytes: i32) -> Vec<u8> {
    let detail = Struct::default().i32(1, values).i32(2, encoding).i32(3, 3).i32(4, 3);
    Struct::default().i32(1, 0).i32(2, bytes).i32(3, compressed_bytes).inner(5, detail).end()
}

/// The header of a dictionary page.
pub fn dictionary_page(values: i32, bytes: i32, compressed_bytes: i32) -> Vec<u8> {
    let detail = Struct::default().i32(1, values).i32(2, 0);
    Struct::default().i32(1, 2).i32(2, bytes).i32(3, compressed_bytes).inner(7, detail).end()
}

/// What the header of a data page of version 2 says beside its sizes.
#[derive(Clone, Copy, Debug)]
pub struct Version2 {
    /// The number of values.
    pub values: i32,
    /// The number of nulls among them.
    pub nulls: i32,
    /// The number of rows.
    pub rows: i32,
    /// The encoding of the values.
    pub encoding: i32,
    /// The bytes of the definition levels.
    pub definition_bytes: i32,
    /// The bytes of the repetition levels.
    pub repetition_bytes: i32,
    /// Whether the values are compressed.
    pub is_compressed: bool,
}

/// The header of a data page of version 2.
pub fn data_page_v2(page: Version2, bytes: i32, compressed_bytes: i32) -> Vec<u8> {
    let detail = Struct::default()
        .i32(1, page.values)
        .i32(2, page.nulls)
        .i32(3, page.rows)
        .i32(4, page.encoding)
        .i32(5, page.definition_bytes)
        .i32(6, page.repetition_bytes)
        .bool(7, page.is_compressed);
    Struct::default().i32(1, 3).i32(2, bytes).i32(3, compressed_bytes).inner(8, detail).end()
}
