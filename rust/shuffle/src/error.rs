//! The errors of mapping and reducing.

use std::io;

use arrow_schema::ArrowError;
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::tiling::TilingError;
use skymargin_scan::ScanError;
use thiserror::Error;

use crate::parquet::WriteError;

/// Why a shard cannot be written or read.
#[derive(Debug, Error)]
pub enum ShardError {
    /// It cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It cannot be opened or read.
    #[error("shard {shard}: {source}")]
    Read {
        /// Its number.
        shard: u32,
        /// Why.
        source: io::Error,
    },
    /// Its bytes are not what was written.
    #[error("shard {shard} is damaged: {source}")]
    Damaged {
        /// Its number.
        shard: u32,
        /// What is wrong.
        source: ArrowError,
    },
    /// Its rows cannot be put together.
    #[error("rows cannot be put in order: {0}")]
    Rows(ArrowError),
}

/// Why partitions were not mapped.
#[derive(Debug, Error)]
#[allow(clippy::large_enum_variant, reason = "an error ends the task")]
pub enum MapError {
    /// A partition cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A partition is not one of the catalog.
    #[error(transparent)]
    Tiling(#[from] TilingError),
    /// The shard cannot be written.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The run was given up.
    #[error("the run was given up")]
    GivenUp,
    /// A panic, which is a fault of this package or of a library.
    #[error("the task stopped with: {0}")]
    Panic(String),
}

/// Why margins were not written.
#[derive(Debug, Error)]
pub enum ReduceError {
    /// A shard cannot be read.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The rows of a margin cannot be put in order.
    #[error("the margin of order {}, pixel {}: {source}", pixel.order(), pixel.index())]
    Rows {
        /// The margin.
        pixel: Pixel,
        /// Why.
        source: ShardError,
    },
    /// A file cannot be written.
    #[error("the margin of order {}, pixel {}: {source}", pixel.order(), pixel.index())]
    Write {
        /// The margin.
        pixel: Pixel,
        /// Why.
        source: WriteError,
    },
    /// The run was given up.
    #[error("the run was given up")]
    GivenUp,
    /// A panic, which is a fault of this package or of a library.
    #[error("the task stopped with: {0}")]
    Panic(String),
}
