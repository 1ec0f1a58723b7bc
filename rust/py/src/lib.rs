//! `skymargin._core`: the Rust core for Python. Private; the public names live in the Python package.
//!
//! A function here extracts its arguments, releases the GIL, calls the core and wraps the result: no astronomy.

mod columns;
mod cover;
mod errors;
mod healpix;
mod in_memory;
mod neighbours;
mod scan;
mod separation;
mod tiling;

use pyo3::pymodule;

#[pymodule(gil_used = false)]
mod _core {
    /// Whether both crates check their assertions, and arithmetic for overflow: so are they built for tests.
    #[pymodule_export]
    const DEBUG_ASSERTIONS: bool = cfg!(debug_assertions) && skymargin_core::DEBUG_ASSERTIONS;

    #[pymodule_export]
    use crate::cover::{Cover, Margins};
    #[pymodule_export]
    use crate::errors::CoordinateError;
    #[pymodule_export]
    use crate::healpix::spatial_index;
    #[pymodule_export]
    use crate::in_memory::{TableMargins, group_rows};
    #[pymodule_export]
    use crate::neighbours::neighbours;
    #[pymodule_export]
    use crate::scan::{Scan, ScanFile, Scanner};
    #[pymodule_export]
    use crate::separation::{is_within, separation_arcsec};
    #[pymodule_export]
    use crate::tiling::Tiling;
}
