//! Exact HEALPix margins, without Python: which rows of a catalog lie within a threshold of a pixel.
//!
//! Read in this order: [`pixel`] and [`angle`] are the words, [`boundary`] the true edges of a pixel,
//! [`separation`] the decision (its two steps are `polyline` and `nearest`), [`tiling`] the partitions of a catalog, [`cover`] where in a partition
//! a margin can lie, [`select`] the rows; [`scan`] reads Parquet, [`row_filter`] joins the two; [`in_memory`] selects
//! in a whole table; [`neighbours`] answers the plain question which pixels are near one.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

/// Whether this crate was built with debug assertions: the tests of the binding see to it that they run on such a build.
pub const DEBUG_ASSERTIONS: bool = cfg!(debug_assertions);

pub mod angle;
pub mod boundary;
pub mod cover;
pub mod healpix;
pub mod in_memory;
mod nearest;
pub mod neighbours;
pub mod pixel;
mod polyline;
pub mod row_filter;
pub mod scan;
pub mod select;
pub mod separation;
pub mod tiling;
