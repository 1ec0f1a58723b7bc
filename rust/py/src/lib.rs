//! `skymargin._core`: the Rust core for Python. Private; the public names live in the Python package.

use pyo3::pymodule;

#[pymodule(gil_used = false)]
mod _core {}
