//! The partitions of a catalog and its empty pixels.

use std::sync::Arc;

use arrow_array::{UInt8Array, UInt64Array};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use skymargin_geometry::cover::INDEX_SLACK_ARCSEC;
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::tiling as core;

use crate::{columns, errors};

/// The partitions of a catalog and its empty pixels: disjoint, covering the sky.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct Tiling(pub(crate) Arc<core::Tiling>);

#[pymethods]
impl Tiling {
    #[new]
    fn new(py: Python<'_>, orders: &Bound<'_, PyAny>, pixels: &Bound<'_, PyAny>) -> PyResult<Self> {
        let partitions = pixels_of(orders, pixels)?;
        py.detach(|| Ok(Self(Arc::new(core::Tiling::new(partitions).map_err(errors::tiling)?))))
    }

    fn __len__(&self) -> usize {
        self.0.partition_count()
    }

    /// The partitions in nested order: order (uint8) and pixel (uint64).
    fn partitions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        columns::pixels_to_pyarrow(py, self.0.partitions())
    }

    /// The fewest pixels that cover the rest of the sky: order (uint8) and pixel (uint64).
    fn empty_pixels<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        columns::pixels_to_pyarrow(py, self.0.empty_pixels())
    }

    /// The partitions and empty pixels that may lie within a radius of a pixel, without itself. Never misses one.
    fn near<'py>(&self, py: Python<'py>, order: i64, pixel: i64, radius_arcsec: f64) -> PyResult<Bound<'py, PyAny>> {
        let (pixel, radius) = (columns::pixel(order, pixel)?, columns::threshold(radius_arcsec)?);
        let near = py.detach(|| self.0.near(pixel, radius, 0.0));
        columns::pixels_to_pyarrow(py, near.into_iter())
    }

    /// The partitions and empty pixels that may lie within a threshold of each of some pixels, as `near`: the pixel's
    /// place among the arguments (uint64), order (uint8) and pixel (uint64). `slack_arcsec` is that of a cover.
    #[pyo3(signature = (orders, pixels, threshold_arcsec, slack_arcsec = INDEX_SLACK_ARCSEC))]
    fn near_each<'py>(
        &self,
        py: Python<'py>,
        orders: &Bound<'_, PyAny>,
        pixels: &Bound<'_, PyAny>,
        threshold_arcsec: f64,
        slack_arcsec: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let pixels = pixels_of(orders, pixels)?;
        let (threshold, slack) = (columns::threshold(threshold_arcsec)?, columns::threshold(slack_arcsec)?);
        let (mut places, mut orders, mut indices) = (Vec::new(), Vec::new(), Vec::new());
        py.detach(|| {
            for (place, &pixel) in (0_u64..).zip(&pixels) {
                for near in self.0.near(pixel, threshold, slack.rad()) {
                    places.push(place);
                    orders.push(near.order());
                    indices.push(near.index());
                }
            }
        });
        let columns = vec![
            ("place", Arc::new(UInt64Array::from(places)) as _),
            ("order", Arc::new(UInt8Array::from(orders)) as _),
            ("pixel", Arc::new(UInt64Array::from(indices)) as _),
        ];
        columns::batch_to_pyarrow(py, columns)
    }

    /// The constructor's arguments, for pickle.
    fn __getnewargs__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let partitions = self.partitions(py)?;
        let column = |name: &str| partitions.call_method1("column", (name,));
        Ok((column("order")?, column("pixel")?))
    }
}

/// The pixels whose orders and indices two columns have.
fn pixels_of(orders: &Bound<'_, PyAny>, pixels: &Bound<'_, PyAny>) -> PyResult<Vec<Pixel>> {
    let orders = columns::row_numbers("orders", orders)?;
    let indices = columns::row_numbers("pixels", pixels)?;
    if orders.len() != indices.len() {
        let (orders, pixels) = (orders.len(), indices.len());
        return Err(PyValueError::new_err(format!("{orders} orders and {pixels} pixels: they must agree")));
    }
    let pixel = |(&order, &index): (&u64, &u64)| {
        // An order that does not fit into a byte is above 29.
        Pixel::new(u8::try_from(order).unwrap_or(u8::MAX), index).map_err(errors::pixel)
    };
    orders.values().iter().zip(indices.values()).map(pixel).collect()
}
