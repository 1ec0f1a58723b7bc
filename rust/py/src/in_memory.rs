//! The margin rows of whole tables.

use std::sync::Arc;

use arrow_array::{Array, Float64Array, UInt8Array, UInt32Array, UInt64Array};
use pyo3::prelude::*;
use skymargin_geometry::cover::INDEX_SLACK_ARCSEC;
use skymargin_geometry::in_memory::{self as core, Batch, MarginRow, Positions};

use crate::columns::{self, Coordinates};
use crate::errors;
use crate::tiling::Tiling;

/// The margins of a tiling, for tables.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct TableMargins(core::TableMargins);

#[pymethods]
impl TableMargins {
    #[new]
    fn new(tiling: &Tiling, margin_threshold_arcsec: f64) -> PyResult<Self> {
        let threshold = columns::threshold(margin_threshold_arcsec)?;
        let index_slack = columns::threshold(INDEX_SLACK_ARCSEC)?;
        core::TableMargins::new(Arc::clone(&tiling.0), threshold, index_slack).map(Self).map_err(errors::tiling)
    }

    /// The rows that belong to margins, by row, then by margin: row (uint32), margin_order (uint8), margin_pixel
    /// (uint64), separation_arcsec (float64). With `one_of_many`, covers are kept for the next call.
    #[pyo3(signature = (ra_deg, dec_deg, *, threads = 0, one_of_many = false))]
    fn rows<'py>(
        &self,
        py: Python<'py>,
        ra_deg: &Bound<'py, PyAny>,
        dec_deg: &Bound<'py, PyAny>,
        threads: usize,
        one_of_many: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let coordinates = coordinates(ra_deg, dec_deg)?;
        let batch = if one_of_many { Batch::OneOfMany } else { Batch::Whole };
        let found = py.detach(|| self.0.rows(positions(&coordinates), threads, batch).map(columns_of));
        columns::batch_to_pyarrow(py, found.map_err(errors::in_memory)?)
    }
}

/// Row numbers (uint32) by partition in nested order, within one as in the table; and how many rows each partition
/// has (uint64).
#[pyfunction]
#[pyo3(signature = (tiling, ra_deg, dec_deg, *, threads = 0))]
pub(crate) fn group_rows<'py>(
    py: Python<'py>,
    tiling: &Tiling,
    ra_deg: &Bound<'py, PyAny>,
    dec_deg: &Bound<'py, PyAny>,
    threads: usize,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let coordinates = coordinates(ra_deg, dec_deg)?;
    let grouped = py.detach(|| core::group_rows(&tiling.0, positions(&coordinates), threads));
    let grouped = grouped.map_err(errors::in_memory)?;
    let starts = std::iter::once(0).chain(grouped.ends.iter().copied());
    let counts: UInt64Array = grouped.ends.iter().zip(starts).map(|(end, start)| (end - start) as u64).collect();
    let rows = columns::to_pyarrow(py, Arc::new(UInt32Array::from(grouped.rows)))?;
    Ok((rows, columns::to_pyarrow(py, Arc::new(counts))?))
}

/// Coordinates without nulls.
fn coordinates(ra_deg: &Bound<'_, PyAny>, dec_deg: &Bound<'_, PyAny>) -> PyResult<Coordinates> {
    let coordinates = Coordinates::new(ra_deg, dec_deg)?;
    refuse_nulls("ra_deg", &coordinates.ra_deg)?;
    refuse_nulls("dec_deg", &coordinates.dec_deg)?;
    Ok(coordinates)
}

fn refuse_nulls(name: &str, column: &Float64Array) -> PyResult<()> {
    match (0..column.len()).find(|&row| column.is_null(row)) {
        Some(row) => Err(errors::CoordinateError::new_err(format!(
            "{name} has {} nulls, the first in row {row}: every row needs a position",
            column.null_count()
        ))),
        None => Ok(()),
    }
}

fn positions(coordinates: &Coordinates) -> Positions<'_> {
    Positions { ra_deg: coordinates.ra_deg.values(), dec_deg: coordinates.dec_deg.values() }
}

fn columns_of(found: Vec<MarginRow>) -> Vec<(&'static str, arrow_array::ArrayRef)> {
    let rows: Vec<u32> = found.iter().map(|one| one.row).collect();
    let orders: Vec<u8> = found.iter().map(|one| one.pixel.order()).collect();
    let pixels: Vec<u64> = found.iter().map(|one| one.pixel.index()).collect();
    let separations: Vec<f64> = found.iter().map(|one| one.separation_arcsec).collect();
    vec![
        ("row", Arc::new(UInt32Array::from(rows))),
        ("margin_order", Arc::new(UInt8Array::from(orders))),
        ("margin_pixel", Arc::new(UInt64Array::from(pixels))),
        ("separation_arcsec", Arc::new(Float64Array::from(separations))),
    ]
}
