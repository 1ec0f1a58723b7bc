//! Reading of a Parquet file no more than what is selected from it.
//!
//! A [`Scanner`] knows what the files of a catalog have in common: the schema their rows shall have, the columns that
//! hold spatial index and coordinates, the bytes one scan may hold. [`Scanner::open`] reads the footer of a [`Source`],
//! and [`ScanFile::scan`] gives a [`Scan`], an iterator of [`ScanBatch`]es of the rows that a [`RowFilter`] selects. It reads, each step as little as
//! the one before left over:
//!
//! 1. the footer;
//! 2. the index column, of row groups and pages whose statistics may hold a candidate;
//! 3. the coordinates of the candidates among its values;
//! 4. all other columns, for the selected rows alone: pages without one are not fetched where an offset index tells
//!    where they are, and never decompressed.
//!
//! Without an index column, the coordinates of all rows are read and the index computed from them.
//!
//! Each step is one call of [`RangedReader::read_ranges`] while its bytes fit the budget. Over sources where seeks are
//! cheap, pages are read one by one, as they are needed.
//!
//! Files are not trusted: footers and page headers are bounded before anything is allocated for them, large allocations
//! are tried first, and a panic of a decoder on damaged bytes is an error of that file.

// An error ends a scan: its size costs nothing, and a box would be in every match.
#![allow(clippy::result_large_err)]

mod budget;
mod buffers;
mod candidates;
mod codec;
mod column_index;
mod column_reader;
mod compact;
mod conform;
mod coordinates;
mod error;
mod fetched;
mod file;
mod filter;
mod footer;
mod guard;
mod index_column;
mod levels;
mod page_body;
mod page_header;
mod page_map;
mod pages;
mod report;
mod room;
mod row_ranges;
mod scanner;
mod schema;
mod selected;
mod source;

pub use error::{ChunkProblem, ColumnError, CompactError, FooterError, IndexProblem, PageError, ScanError};
pub use filter::{Candidates, FilterAnswerError, FilterError, RowFilter, Selected};
pub use report::ScanReport;
pub use scanner::{DEFAULT_MEMORY_BYTES, OptionsError, Scan, ScanFile, ScanOptions, Scanner};
pub use selected::{BatchSelected, ScanBatch};
pub use source::{LocalFile, RangedReader, Source};
