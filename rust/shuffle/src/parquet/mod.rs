//! Parquet files as pyarrow writes them, encoded by arrow-rs and compressed with contexts that are kept.
//!
//! pyarrow writes one file without rows, the *template*: its schema and key-value metadata are those of every file.
//! arrow-rs encodes the pages uncompressed, because its own codecs make a context per column, which takes seven times as
//! long as encoding a small file. [`Compressors`] compress the pages, and the writer patches their headers.

mod cast;
mod chunk;
mod compressors;
mod error;
mod footer;
mod format;
mod options;
mod page_header;
mod page_shelf;
mod sink;
#[cfg(test)]
mod tests;
mod writer;
mod written_type;

pub use compressors::Compressors;
pub use error::{FormatError, WriteError};
pub use footer::RowGroups;
pub use format::ParquetFormat;
pub use options::{BloomFilter, Codec, ColumnOptions, ParquetOptions, SortingColumn};
pub use parquet::basic::Encoding;
pub use writer::ParquetWriter;
