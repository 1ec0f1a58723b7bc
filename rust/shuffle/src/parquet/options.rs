//! How files are encoded and compressed.

use parquet::basic::{Compression, Encoding};

/// A compression codec with its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// No compression.
    Uncompressed,
    /// Snappy.
    Snappy,
    /// Gzip, of level 1 to 9.
    Gzip(u32),
    /// Brotli, of level 0 to 11.
    Brotli(u32),
    /// LZ4 blocks without a frame, `LZ4_RAW`.
    Lz4Raw,
    /// Zstandard, of a level that zstd allows.
    Zstd(i32),
}

impl Codec {
    /// The codec as the footer names it. A footer does not have levels.
    pub(super) fn in_footer(self) -> Compression {
        match self {
            Self::Uncompressed => Compression::UNCOMPRESSED,
            Self::Snappy => Compression::SNAPPY,
            Self::Gzip(_) => Compression::GZIP(Default::default()),
            Self::Brotli(_) => Compression::BROTLI(Default::default()),
            Self::Lz4Raw => Compression::LZ4_RAW,
            Self::Zstd(_) => Compression::ZSTD(Default::default()),
        }
    }
}

/// A Bloom filter of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BloomFilter {
    /// The number of distinct values it is made for.
    pub distinct_values: u64,
    /// The probability of a false positive with that number of values, between 0 and 1.
    pub false_positives: f64,
}

/// How one Parquet column is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnOptions {
    /// How its pages are compressed.
    pub codec: Codec,
    /// The encoding of its values, and of those for which there is no space in the dictionary.
    pub encoding: Encoding,
    /// Whether it has a dictionary while that is small.
    pub dictionary: bool,
    /// Whether it has statistics: of the column chunk, and of pages.
    pub statistics: bool,
    /// Its Bloom filter, if it has one.
    pub bloom_filter: Option<BloomFilter>,
}

impl Default for ColumnOptions {
    fn default() -> Self {
        Self { codec: Codec::Snappy, encoding: Encoding::PLAIN, dictionary: true, statistics: true, bloom_filter: None }
    }
}

/// A column that rows are sorted by, as the footer says it. The writer does not sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortingColumn {
    /// The number of the Parquet column, from 0.
    pub column: i32,
    /// Whether the largest value is first.
    pub descending: bool,
    /// Whether nulls are before all values.
    pub nulls_first: bool,
}

/// How files are written. The defaults are those of `pyarrow.parquet.write_table`.
#[derive(Clone, Debug, PartialEq)]
pub struct ParquetOptions {
    /// One for each Parquet column, in the order of the schema; empty for the defaults of all columns.
    pub columns: Vec<ColumnOptions>,
    /// The size from which on a page is complete.
    pub data_page_bytes: usize,
    /// The size of a dictionary from which on further values are written without it.
    pub dictionary_page_bytes: usize,
    /// The number of values after which the size of a page is checked.
    pub write_batch_size: usize,
    /// The most rows of a page.
    pub max_rows_per_page: usize,
    /// Whether data pages are of version 2.0.
    pub data_page_v2: bool,
    /// Whether files have a page index. Otherwise the headers of pages have the statistics.
    pub page_index: bool,
    /// Whether pages have checksums.
    pub page_checksum: bool,
    /// Columns that the rows are sorted by; empty for a footer that does not say.
    pub sorting_columns: Vec<SortingColumn>,
    /// Whether a timestamp that the column's unit cannot represent is rounded; otherwise it is an error.
    pub allow_truncated_timestamps: bool,
    /// Whether encodings with dictionary have their names of Parquet 1.0.
    pub plain_dictionary: bool,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            data_page_bytes: 1 << 20,
            dictionary_page_bytes: 1 << 20,
            write_batch_size: 1024,
            max_rows_per_page: 20_000,
            data_page_v2: false,
            page_index: false,
            page_checksum: false,
            sorting_columns: Vec::new(),
            allow_truncated_timestamps: false,
            plain_dictionary: false,
        }
    }
}
