//! Rows of margins on their way from the catalog's files to their own.
//!
//! [`map`](map::map) reads partitions and writes the rows that belong to margins to a shard, an Arrow IPC file grouped
//! by margin; what is in it is returned as [`slices::Slice`]s. [`reduce`](reduce::reduce) merges the slices of each
//! margin in the order (index, source partition, source row) and writes them as Parquet. Both work from their first
//! byte to their last without Python.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
// An error ends a task, so its size does not matter.
#![allow(clippy::result_large_err)]

/// Whether this crate was built with debug assertions, as for tests of the binding.
pub const DEBUG_ASSERTIONS: bool = cfg!(debug_assertions);

mod error;
mod idle_nulls;
pub mod map;
mod merge;
mod opened_ahead;
mod output;
pub mod parquet;
mod pixel_columns;
mod read_ahead;
mod recent;
pub mod reduce;
mod shard_reader;
mod shard_writer;
mod shards;
mod slices;
mod transport;
#[cfg(test)]
mod way_tests;

pub use error::{MapError, ReduceError, ShardError};
pub use opened_ahead::OpenFile;
pub use output::{LocalFile, LocalFolder, Output, OutputFile};
pub use pixel_columns::PixelColumns;
pub use shard_writer::ShardContents;
pub use shards::{LocalShards, Shards};
pub use slices::{SLICE_BYTES, Slice};
pub use transport::transport_schema;
