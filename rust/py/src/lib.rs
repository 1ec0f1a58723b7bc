//! `skymargin._core`: the Python binding of the Rust crates. It is private; the Python package has the public names.
//!
//! A function here extracts its arguments, releases the GIL, calls the core and wraps the result. It contains no
//! astronomy.

mod columns;
mod cover;
mod errors;
mod given_up;
mod healpix;
mod in_memory;
mod map;
mod neighbours;
mod numbers;
mod output;
mod parquet;
mod reduce;
mod scan;
mod separation;
mod tiling;

use pyo3::pymodule;

#[pymodule(gil_used = false)]
mod _core {
    /// Whether the crates were built with debug assertions and overflow checks, as for tests.
    #[pymodule_export]
    const DEBUG_ASSERTIONS: bool = cfg!(debug_assertions)
        && skymargin_geometry::DEBUG_ASSERTIONS
        && skymargin_scan::DEBUG_ASSERTIONS
        && skymargin_shuffle::DEBUG_ASSERTIONS;

    /// The version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use crate::cover::{Cover, Margins};
    #[pymodule_export]
    use crate::errors::{CoordinateError, GivenUpError, MarginWriteError, ShardError};
    #[pymodule_export]
    use crate::healpix::spatial_index;
    #[pymodule_export]
    use crate::in_memory::{TableMargins, group_rows};
    #[pymodule_export]
    use crate::map::{MapSpec, map_batch, transport_schema};
    #[pymodule_export]
    use crate::neighbours::neighbours;
    #[pymodule_export]
    use crate::parquet::{ParquetFormat, encrypted_column, row_groups};
    #[pymodule_export]
    use crate::reduce::{ReduceSpec, reduce_batch};
    #[pymodule_export]
    use crate::scan::{Scan, ScanFile, Scanner};
    #[pymodule_export]
    use crate::separation::{is_within, separation_arcsec};
    #[pymodule_export]
    use crate::tiling::Tiling;
}
