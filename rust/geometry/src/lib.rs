//! Exact HEALPix margins: which rows of a catalog lie within a threshold of a pixel.
//!
//! The crate knows neither Python nor Arrow nor Parquet. Read its modules in this order:
//!
//! * [`pixel`] and [`angle`] are the vocabulary;
//! * [`boundary`] has the edges of a pixel as exact curves;
//! * [`separation`] decides whether a point is within a threshold of a pixel, in the two steps of `polyline` and
//!   `nearest`;
//! * [`tiling`] has the partitions of a catalog, [`cover`] the parts of a partition where rows of margins can lie, and
//!   [`select`] those rows;
//! * [`in_memory`] selects in a whole table, [`neighbours`] lists the pixels near a pixel;
//! * [`healpix`] is the only module that calls the `cdshealpix` crate.
//!
//! # Examples
//!
//! The margin rows of a table in memory, 10 arcsec around pixels of order 1:
//!
//! ```
//! use std::sync::Arc;
//!
//! use skymargin_geometry::angle::Threshold;
//! use skymargin_geometry::cover::INDEX_SLACK_ARCSEC;
//! use skymargin_geometry::in_memory::{Batch, Positions, TableMargins};
//! use skymargin_geometry::pixel::Pixel;
//! use skymargin_geometry::tiling::Tiling;
//!
//! let tiling = Arc::new(Tiling::new(Pixel::base_cells().flat_map(Pixel::children))?);
//! let index_slack = Threshold::from_arcsec(INDEX_SLACK_ARCSEC)?;
//! let margins = TableMargins::new(tiling, Threshold::from_arcsec(10.0)?, index_slack)?;
//! // Pixels 2 and 3 meet at the first position.
//! let positions = Positions { ra_deg: &[30.0, 30.0], dec_deg: &[54.340, 50.0] };
//! let rows = margins.rows(positions, 1, Batch::Whole)?;
//! assert_eq!(rows.len(), 1);
//! assert_eq!((rows[0].row, rows[0].pixel), (0, Pixel::new(1, 3)?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Accuracy
//!
//! A decision agrees with exact arithmetic on the given doubles whenever |separation - threshold| > 1e-9 arcsec
//! (4.8e-15 rad). Every function states its part of that bound. All of them rest on one assumption about the platform's
//! mathematical library, called through `std`:
//!
//! * `sin`, `cos` and `atan2` are within 1 ulp (unit in the last place of the exact result), as the C libraries in use
//!   document or are measured to be;
//! * `sqrt` is rounded correctly, which IEEE 754 requires.
//!
//! The claims use it as follows, with ε = 2^-53 = 1.11e-16, which is one ulp of a number in [0.5, 1):
//!
//! * [`angle::UnitVector`] takes `sin` and `cos` of angles up to π/4, [`boundary::Edge`] up to π/2: an ulp of a result
//!   below 1 is at most ε. It enters a component once (z) or twice (x and y, as factors of a product), so that of the
//!   5e-16 rad of a point at most 2.9e-16 are the library's, and of the 7e-16 rad of an edge at most 1.6e-16.
//! * [`angle::Threshold::chord`] is 2 sin(θ/2), at most √2: an ulp of the sine is 2.2e-16 in the chord, of the 1e-15
//!   rad that are allowed for a comparison.
//! * [`boundary::Edge::nearest_on_meridian`] and [`angle::arcsec_between`] use `atan2`. In the first, an ulp moves the
//!   foot by 4.4e-16 rad, which changes the distance in second order only; the second gives a value and decides
//!   nothing.
//! * [`healpix`] decides only on which side of an edge a position lies. A point that close to an edge (1e-15 rad) is
//!   within every threshold of both pixels that is above 1e-9 arcsec.
//!
//! `tests/bounds/libm.rs` measures the platform's functions against double-double arithmetic over these ranges and
//! fails above the assumed error; the other tests of `tests/bounds` attack each bound itself.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

/// Whether this crate was built with debug assertions, as for tests of the binding.
///
/// # Examples
/// ```
/// assert_eq!(skymargin_geometry::DEBUG_ASSERTIONS, cfg!(debug_assertions));
/// ```
pub const DEBUG_ASSERTIONS: bool = cfg!(debug_assertions);

pub mod angle;
pub mod boundary;
pub mod cover;
pub mod extent;
pub mod healpix;
pub mod in_memory;
mod nearest;
pub mod neighbours;
pub mod pixel;
mod polyline;
pub mod select;
pub mod separation;
mod separation_cache;
pub mod tiling;

/// The example of the README is a test, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
