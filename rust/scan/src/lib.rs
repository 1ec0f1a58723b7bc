//! Reads the selected rows of a Parquet file, and little more than their bytes.
//!
//! A [`Scanner`] holds what the files of a catalog share: the output schema, the names of the columns with spatial
//! index and coordinates, and the memory limit of one scan. [`Scanner::open`] reads the footer of a [`Source`], and
//! [`ScanFile::scan`] returns a [`Scan`], an iterator of [`ScanBatch`]es of the rows that a [`RowFilter`] selects. A
//! scan reads, each step for the rows that the previous one left:
//!
//! 1. the footer;
//! 2. the index column, of row groups and pages whose statistics may hold a candidate;
//! 3. the coordinates of the candidates among its values;
//! 4. all other columns, for the selected rows alone: other pages are never decompressed, and not
//!    fetched where an offset index gives their positions.
//!
//! Where statistics of the coordinates contradict the index, the rows are read first, and the filter checks them
//! ([`RowFilter::check`]).
//!
//! Without an index column, the scan reads the coordinates of all rows and computes the index from them.
//!
//! Over a high-latency source each step is one call of [`RangedReader::read_ranges`] while its bytes fit the budget, and
//! steps are joined where little is read in vain: the index and the coordinates, or all columns; a small file is read
//! whole. Over low-latency sources, pages are read one by one, as they are needed.
//!
//! What a file says beside its pages is a hint: a page index, a size, a dictionary's position or an embedded schema that
//! contradicts the file is ignored and counted, and the page headers and the Parquet schema are used instead.
//!
//! Files are not trusted: the numbers in footers and page headers are checked before anything is allocated for them,
//! large allocations may fail, and a decoder that panics on damaged bytes becomes an error that names the file.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
// An error ends a scan, so its size does not matter, and boxing it would complicate every match.
#![allow(clippy::result_large_err)]

/// Whether this crate was built with debug assertions, as for tests of the binding.
pub const DEBUG_ASSERTIONS: bool = cfg!(debug_assertions);

mod budget;
mod buffers;
mod candidates;
mod cast;
mod catch_panic;
mod codec;
mod column_index;
mod column_reader;
pub mod compact;
mod compared_pages;
mod conform;
mod coordinates;
mod error;
mod fetch_ahead;
mod fetched;
mod file;
mod filter;
mod first_read;
mod footer;
mod footer_types;
mod footer_walk;
mod hints;
mod history;
mod index_ahead;
mod index_column;
mod int96;
mod levels;
mod masked_nulls;
mod offset_index;
mod one_line;
mod page_body;
mod page_bounds;
mod page_header;
mod page_map;
mod pages;
mod report;
mod root_types;
pub mod row_filter;
mod row_ranges;
mod scanner;
mod schema;
mod selected;
mod source;
mod suspects;
mod try_reserve;
mod unchecked_text;

pub use cast::cast;
pub use catch_panic::catch_panic;
pub use conform::conform_with;
pub use error::{ChunkProblem, ColumnError, CompactError, FooterError, IndexProblem, PageError, ScanError};
pub use filter::{Candidates, FilterAnswerError, FilterError, RowBounds, RowFilter, SelectedCandidate};
pub use footer_walk::encrypted_column;
pub use int96::Int96Error;
pub use report::ScanReport;
pub use scanner::{DEFAULT_MEMORY_BYTES, OptionsError, Scan, ScanFile, ScanOptions, Scanner};
pub use selected::{BatchSelected, ScanBatch};
pub use source::{LocalFile, RangedReader, Source};
pub use try_reserve::check_room;
