//! The separation of points from a pixel, and whether it is within a threshold.

use std::sync::Arc;

use arrow_array::{BooleanArray, Float64Array};
use pyo3::prelude::*;
use skymargin_geometry::angle::{MAX_THRESHOLD_ARCSEC, Threshold};
use skymargin_geometry::separation::PixelSeparation;

use crate::columns::{self, Coordinates};

/// The separations of positions from a closed pixel in arcseconds, 0 inside; null where a coordinate is.
#[pyfunction]
pub(crate) fn separation_arcsec<'py>(
    py: Python<'py>,
    ra_deg: &Bound<'py, PyAny>,
    dec_deg: &Bound<'py, PyAny>,
    order: i64,
    pixel: i64,
) -> PyResult<Bound<'py, PyAny>> {
    let positions = Coordinates::new(ra_deg, dec_deg)?;
    // The value does not depend on the threshold; the largest needs the least preparation.
    let separation = PixelSeparation::new(columns::pixel(order, pixel)?, columns::threshold(MAX_THRESHOLD_ARCSEC)?);
    let values: Float64Array = py.detach(|| positions.map(|ra, dec| separation.separation_arcsec(ra, dec)))?;
    columns::to_pyarrow(py, Arc::new(values))
}

/// Whether positions lie in a closed pixel or within a threshold of it; null where a coordinate is.
#[pyfunction]
pub(crate) fn is_within<'py>(
    py: Python<'py>,
    ra_deg: &Bound<'py, PyAny>,
    dec_deg: &Bound<'py, PyAny>,
    order: i64,
    pixel: i64,
    threshold_arcsec: f64,
) -> PyResult<Bound<'py, PyAny>> {
    let positions = Coordinates::new(ra_deg, dec_deg)?;
    let threshold: Threshold = columns::threshold(threshold_arcsec)?;
    let separation = PixelSeparation::new(columns::pixel(order, pixel)?, threshold);
    let decisions: BooleanArray = py.detach(|| positions.map(|ra, dec| separation.is_within(ra, dec)))?;
    columns::to_pyarrow(py, Arc::new(decisions))
}
