//! The reference the core is tested against: the published projection in double-double arithmetic and brute force.
//!
//! It shares no line and no formula with the core on purpose: [`double_double`] is the arithmetic, [`projection`] the
//! HEALPix plane, [`separation`] the brute force, [`random`] and [`cases`] what it is asked.

pub mod cases;
pub mod double_double;
pub mod projection;
pub mod random;
pub mod separation;

use double_double::{Dd, PI};

/// An angle in radians as arcseconds.
pub fn arcsec(angle_rad: Dd) -> Dd {
    angle_rad * 648_000.0 / PI
}
