//! Where in a source partition the rows of margins can lie, and which rows they are.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, UInt64Array};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use skymargin_geometry::cover::{self as core, Filtering, INDEX_SLACK_ARCSEC, Source};
use skymargin_geometry::pixel::Pixel;
use skymargin_geometry::select::{CandidateColumns, SelectedRow};

use crate::tiling::Tiling;
use crate::{columns, errors};

/// The margins of a tiling at one threshold.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct Margins(pub(crate) Arc<core::Margins>);

#[pymethods]
impl Margins {
    #[new]
    #[pyo3(signature = (tiling, margin_threshold_arcsec, margin_order = -1, fine_filtering = true))]
    fn new(tiling: &Tiling, margin_threshold_arcsec: f64, margin_order: i64, fine_filtering: bool) -> PyResult<Self> {
        let threshold = columns::threshold(margin_threshold_arcsec)?;
        let margin_order = if margin_order == -1 { None } else { Some(columns::order("margin_order", margin_order)?) };
        let filtering = match (fine_filtering, margin_order) {
            (true, _) => Filtering::Exact,
            (false, Some(margin_order)) => Filtering::Ring { margin_order },
            (false, None) => {
                return Err(PyValueError::new_err("without fine_filtering a margin_order of 0 to 29 must be given"));
            }
        };
        core::Margins::new(Arc::clone(&tiling.0), threshold, filtering, margin_order)
            .map(Arc::new)
            .map(Self)
            .map_err(errors::tiling)
    }

    /// The cover of one source partition of that many rows.
    #[pyo3(signature = (order, pixel, *, rows, index_order = 29, index_slack_arcsec = INDEX_SLACK_ARCSEC))]
    fn cover(
        &self,
        py: Python<'_>,
        order: i64,
        pixel: i64,
        rows: u64,
        index_order: i64,
        index_slack_arcsec: f64,
    ) -> PyResult<Cover> {
        let index_order = columns::order("index_order", index_order)?;
        let index_slack = columns::threshold(index_slack_arcsec)?;
        let source = Source { pixel: columns::pixel(order, pixel)?, rows, index_order, index_slack };
        py.detach(|| self.0.cover(source)).map(|cover| Cover(Arc::new(cover))).map_err(errors::tiling)
    }
}

/// Where in one source partition the rows of margins can lie.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct Cover(pub(crate) Arc<core::Cover>);

#[pymethods]
impl Cover {
    /// The order of the pixels that the cover consists of.
    #[getter]
    fn margin_order(&self) -> u8 {
        self.0.margin_order()
    }

    /// Whether `select` needs ra and dec.
    #[getter]
    fn needs_coordinates(&self) -> bool {
        self.0.needs_coordinates()
    }

    /// The pixels whose margins the source may feed: order (uint8) and pixel (uint64).
    fn destinations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        columns::pixels_to_pyarrow(py, self.0.destinations())
    }

    /// The ranges of index values that may feed a margin: start and stop (uint64).
    fn ranges<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (starts, stops): (Vec<u64>, Vec<u64>) =
            self.0.ranges().iter().map(|range| (range.start, range.end)).unzip();
        let columns = vec![
            ("start", Arc::new(UInt64Array::from(starts)) as _),
            ("stop", Arc::new(UInt64Array::from(stops)) as _),
        ];
        columns::batch_to_pyarrow(py, columns)
    }

    /// Whether row groups or pages with these least and greatest index values may hold a candidate; true for a null.
    fn may_hold<'py>(
        &self,
        py: Python<'py>,
        minima: &Bound<'py, PyAny>,
        maxima: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (minima, maxima) = (columns::integers("minima", minima)?, columns::integers("maxima", maxima)?);
        if minima.len() != maxima.len() {
            let (minima, maxima) = (minima.len(), maxima.len());
            return Err(PyValueError::new_err(format!("{minima} minima and {maxima} maxima: they must agree")));
        }
        let may_hold = |(min, max): (Option<i64>, Option<i64>)| {
            Some(min.zip(max).is_none_or(|(min, max)| self.0.may_hold(min, max)))
        };
        let held: BooleanArray = py.detach(|| minima.iter().zip(&maxima).map(may_hold).collect());
        columns::to_pyarrow(py, Arc::new(held))
    }

    /// The positions in a column of index values of the rows to check, as uint64.
    fn candidates<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let index = columns::integers("index", index)?;
        let found = py.detach(|| {
            let mut found = Vec::new();
            if index.null_count() == 0 {
                self.0.candidates(index.values(), 0, &mut found);
            } else {
                let index: Vec<i64> = index.iter().map(|index| index.unwrap_or(-1)).collect();
                self.0.candidates(&index, 0, &mut found);
            }
            found
        });
        columns::to_pyarrow(py, Arc::new(UInt64Array::from(found)))
    }

    /// The rows that belong to margins: row (uint64), margin_order (uint8), margin_pixel (uint64), separation_arcsec
    /// (float64; null where none was computed).
    fn select<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
        index: &Bound<'py, PyAny>,
        ra_deg: &Bound<'py, PyAny>,
        dec_deg: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let rows = columns::row_numbers("rows", rows)?;
        let index = columns::integers("index", index)?;
        let coordinates = match (ra_deg.is_none(), dec_deg.is_none()) {
            (true, true) => None,
            _ => Some((columns::floats("ra_deg", ra_deg)?, columns::floats("dec_deg", dec_deg)?)),
        };
        let selected = py.detach(|| {
            let index: Vec<Option<i64>> = index.iter().collect();
            // A null coordinate is not a position, like NaN.
            let values = |column: &Float64Array| column.iter().map(|v| v.unwrap_or(f64::NAN)).collect::<Vec<f64>>();
            let coordinates = coordinates.as_ref().map(|(ra, dec)| (values(ra), values(dec)));
            let coordinates_deg = coordinates.as_ref().map(|(ra, dec)| (ra.as_slice(), dec.as_slice()));
            self.0.select(CandidateColumns { rows: rows.values(), index: &index, coordinates_deg })
        });
        self.to_pyarrow(py, &selected.map_err(errors::select)?)
    }
}

impl Cover {
    fn to_pyarrow<'py>(&self, py: Python<'py>, selected: &[SelectedRow]) -> PyResult<Bound<'py, PyAny>> {
        let destinations: Vec<Pixel> = self.0.destinations().collect();
        let margins = selected.iter().map(|row| (destinations[row.destination as usize], row.separation_arcsec));
        let rows: UInt64Array = selected.iter().map(|row| row.row).collect();
        let mut named: Vec<(&str, ArrayRef)> = vec![("row", Arc::new(rows))];
        named.extend(columns::margin_columns(margins));
        columns::batch_to_pyarrow(py, named)
    }
}
