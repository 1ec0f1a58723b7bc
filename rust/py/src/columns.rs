//! Conversion of columns: input by Arrow's PyCapsule interface or the buffer protocol, without a copy where the type is
//! right; output as pyarrow.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::input::AnyArray;
use pyo3_arrow::{PyArray, PyRecordBatch};
use skymargin_geometry::angle::Threshold;
use skymargin_geometry::pixel::{MAX_ORDER, Pixel};

use crate::errors;

/// A column of floats; integers and narrower floats are widened.
pub(crate) fn floats(name: &str, column: &Bound<'_, PyAny>) -> PyResult<Float64Array> {
    Ok(cast(name, column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// A column of signed integers.
pub(crate) fn integers(name: &str, column: &Bound<'_, PyAny>) -> PyResult<Int64Array> {
    Ok(cast(name, column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// A column of row numbers, without nulls.
pub(crate) fn row_numbers(name: &str, column: &Bound<'_, PyAny>) -> PyResult<UInt64Array> {
    let column = cast(name, column, &DataType::UInt64)?.as_primitive::<UInt64Type>().clone();
    if column.null_count() > 0 {
        return Err(PyValueError::new_err(format!("{name} has {} nulls: none are allowed", column.null_count())));
    }
    Ok(column)
}

fn cast(name: &str, column: &Bound<'_, PyAny>, wanted: &DataType) -> PyResult<ArrayRef> {
    let array = import(name, column)?;
    let found = array.data_type();
    if found == wanted {
        return Ok(array);
    }
    let is_number = found.is_numeric() || *found == DataType::Null;
    let refuse = |why: String| PyTypeError::new_err(format!("{name} must be a column of {wanted}, not {found}{why}"));
    if !is_number || (wanted.is_integer() && found.is_floating()) {
        return Err(refuse(String::new()));
    }
    // Arrow's unsafe casts turn values that do not fit into nulls, which are then refused.
    let options = arrow_cast::CastOptions { safe: false, ..Default::default() };
    arrow_cast::cast_with_options(&array, wanted, &options).map_err(|error| refuse(format!(": {error}")))
}

fn import(name: &str, column: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    let any: AnyArray = match column.extract() {
        Ok(any) => any,
        // Plain sequences, and arrays in a layout that Arrow does not have.
        Err(_) => {
            let pyarrow = column.py().import("pyarrow")?;
            pyarrow.call_method1("array", (column,)).and_then(|array| array.extract()).map_err(|error| {
                let kind = column.get_type();
                PyTypeError::new_err(format!("{name} must be an array of numbers, not {kind}: {error}"))
            })?
        }
    };
    let chunked = any.into_chunked_array()?;
    let chunks: Vec<&dyn Array> = chunked.chunks().iter().map(AsRef::as_ref).collect();
    match chunks.as_slice() {
        [] => Ok(arrow_array::new_empty_array(chunked.field().data_type())),
        [_] => Ok(Arc::clone(&chunked.chunks()[0])),
        _ => arrow_select::concat::concat(&chunks)
            .map_err(|error| PyValueError::new_err(format!("{name} cannot be joined from its chunks: {error}"))),
    }
}

/// The pixel of an order and an index given as Python integers.
pub(crate) fn pixel(order: i64, index: i64) -> PyResult<Pixel> {
    let order = self::order("order", order)?;
    let index = u64::try_from(index)
        .map_err(|_| PyValueError::new_err(format!("pixel {index} is not allowed: a pixel is 0 or above")))?;
    Pixel::new(order, index).map_err(errors::pixel)
}

/// An order given as a Python integer.
pub(crate) fn order(name: &str, order: i64) -> PyResult<u8> {
    match u8::try_from(order) {
        Ok(order) if order <= MAX_ORDER => Ok(order),
        _ => Err(PyValueError::new_err(format!("{name} {order} is not allowed: a HEALPix order is 0 to {MAX_ORDER}"))),
    }
}

/// A threshold given in arcseconds.
pub(crate) fn threshold(arcsec: f64) -> PyResult<Threshold> {
    Threshold::from_arcsec(arcsec).map_err(errors::angle)
}

/// Coordinates of equal length; a row with a null in either has none.
pub(crate) struct Coordinates {
    pub(crate) ra_deg: Float64Array,
    pub(crate) dec_deg: Float64Array,
}

impl Coordinates {
    pub(crate) fn new(ra_deg: &Bound<'_, PyAny>, dec_deg: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (ra_deg, dec_deg) = (floats("ra_deg", ra_deg)?, floats("dec_deg", dec_deg)?);
        if ra_deg.len() != dec_deg.len() {
            let (ra, dec) = (ra_deg.len(), dec_deg.len());
            return Err(PyValueError::new_err(format!("ra_deg has {ra} rows and dec_deg {dec}: they must agree")));
        }
        Ok(Self { ra_deg, dec_deg })
    }

    /// The positions, `None` where a coordinate is null.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<(f64, f64)>> {
        self.ra_deg.iter().zip(&self.dec_deg).map(|(ra, dec)| ra.zip(dec))
    }

    /// An error that names the row.
    pub(crate) fn at_row<T>(row: usize, result: Result<T, skymargin_geometry::angle::AngleError>) -> PyResult<T> {
        result.map_err(|error| errors::CoordinateError::new_err(format!("row {row}: {error}")))
    }
}

/// A column for Python.
pub(crate) fn to_pyarrow(py: Python<'_>, array: ArrayRef) -> PyResult<Bound<'_, PyAny>> {
    let array = PyArray::from_array_ref(array);
    Ok(array.to_pyarrow(py)?.unbind().into_bound(py))
}

/// Named columns for Python.
pub(crate) fn batch_to_pyarrow<'py>(py: Python<'py>, columns: Vec<(&str, ArrayRef)>) -> PyResult<Bound<'py, PyAny>> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), array.is_nullable())).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    PyRecordBatch::new(batch).into_pyarrow(py)
}

/// Pixels for Python: their orders and their indices.
pub(crate) fn pixels_to_pyarrow<'py>(
    py: Python<'py>,
    pixels: impl Iterator<Item = Pixel>,
) -> PyResult<Bound<'py, PyAny>> {
    let (orders, indices): (Vec<u8>, Vec<u64>) = pixels.map(|pixel| (pixel.order(), pixel.index())).unzip();
    let orders = Arc::new(arrow_array::UInt8Array::from(orders));
    batch_to_pyarrow(py, vec![("order", orders), ("pixel", Arc::new(UInt64Array::from(indices)))])
}
