//! Positions to index values.

use std::sync::Arc;

use arrow_array::Int64Array;
use pyo3::prelude::*;
use skymargin_geometry::angle::UnitVector;
use skymargin_geometry::healpix;

use crate::columns::{self, Coordinates};

/// The index values of positions at an order; null where a coordinate is.
#[pyfunction]
#[pyo3(signature = (ra_deg, dec_deg, order = 29))]
pub(crate) fn spatial_index<'py>(
    py: Python<'py>,
    ra_deg: &Bound<'py, PyAny>,
    dec_deg: &Bound<'py, PyAny>,
    order: i64,
) -> PyResult<Bound<'py, PyAny>> {
    let (order, positions) = (columns::order("order", order)?, Coordinates::new(ra_deg, dec_deg)?);
    let index_of = |ra_deg, dec_deg| {
        UnitVector::from_ra_dec_deg(ra_deg, dec_deg)?;
        Ok(healpix::index_of_ra_dec_deg(order, ra_deg, dec_deg) as i64)
    };
    let indices: Int64Array = py.detach(|| positions.map(index_of))?;
    columns::to_pyarrow(py, Arc::new(indices))
}
