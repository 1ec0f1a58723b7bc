//! Exact HEALPix margins, without Python: which rows of a catalog lie within a threshold of a pixel.
//!
//! Read in this order: [`pixel`] and [`angle`] are the words, [`boundary`] the true edges of a pixel,
//! [`separation`] the decision, [`tiling`] the partitions of a catalog, [`cover`] where in a partition
//! a margin can lie, [`select`] the rows.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod angle;
pub mod healpix;
pub mod pixel;
