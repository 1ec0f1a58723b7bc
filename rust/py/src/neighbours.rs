//! The pixels near a pixel.

use std::sync::Arc;

use arrow_array::UInt64Array;
use pyo3::prelude::*;
use skymargin_geometry::neighbours as core;

use crate::{columns, errors};

/// The pixels of an order within a radius of a pixel, sorted, without those that share sky with it.
#[pyfunction]
pub(crate) fn neighbours(
    py: Python<'_>,
    order: i64,
    pixel: i64,
    at_order: i64,
    radius_arcsec: f64,
) -> PyResult<Bound<'_, PyAny>> {
    let (pixel, at_order) = (columns::pixel(order, pixel)?, columns::order("at_order", at_order)?);
    let radius = columns::threshold(radius_arcsec)?;
    let found = py.detach(|| core::neighbours(pixel, at_order, radius)).map_err(errors::neighbours)?;
    columns::to_pyarrow(py, Arc::new(UInt64Array::from(found)))
}
