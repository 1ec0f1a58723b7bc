//! Conversion of columns: input by Arrow's PyCapsule interface or from numpy, without a copy where the type is right;
//! output as pyarrow.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, UInt8Array, UInt64Array, make_array};
use arrow_data::ArrayData;
use arrow_pyarrow::{FromPyArrow, ToPyArrow};
use arrow_schema::{DataType, Field, Schema};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use skymargin_geometry::angle::{AngleError, Threshold};
use skymargin_geometry::pixel::{MAX_ORDER, Pixel};

use crate::{errors, numbers};

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
    numbers::convert(&array, wanted).map_err(|error| refuse(format!(": {error}")))
}

fn import(name: &str, column: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    let refuse =
        |given: &str| PyTypeError::new_err(format!("{name} must be a one-dimensional column of numbers, not {given}"));
    if let Some(given) = no_column(column)? {
        return Err(refuse(&given));
    }
    let imported = array_of(column).and_then(|array| ArrayData::from_pyarrow_bound(&array));
    imported.map(make_array).map_err(|error| {
        let kind = kind_of(column);
        refuse(&format!("{kind}: {}", error.value(column.py())))
    })
}

/// What a value is that can be no column of numbers, whatever it holds; `None` for one that may be.
fn no_column(column: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let is_arrow = column.hasattr("__arrow_c_array__")? || column.hasattr("__arrow_c_stream__")?;
    if !is_arrow && column.try_iter().is_err() && !column.hasattr("ndim")? {
        return Ok(Some(kind_of(column)));
    }
    // Those of numpy and pandas.
    let Ok(dimensions) = column.getattr("ndim").and_then(|ndim| ndim.extract::<usize>()) else { return Ok(None) };
    if dimensions != 1 {
        return Ok(Some(format!("{} of shape {}", kind_of(column), column.getattr("shape")?)));
    }
    let Ok(data_type) = column.getattr("dtype") else { return Ok(None) };
    let is_complex = data_type.getattr("kind").and_then(|kind| kind.extract::<char>()).is_ok_and(|kind| kind == 'c');
    Ok(is_complex.then(|| format!("{} of {data_type}", kind_of(column))))
}

fn kind_of(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "this".to_owned(), |name| name.to_string())
}

/// A column as one array that has the PyCapsule interface.
fn array_of<'py>(column: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if column.hasattr("__arrow_c_array__")? {
        return Ok(column.clone());
    }
    let pyarrow = column.py().import("pyarrow")?;
    if column.hasattr("__arrow_c_stream__")? {
        let chunked = pyarrow.call_method1("chunked_array", (column,))?;
        let is_whole = chunked.getattr("num_chunks")?.extract::<usize>()? == 1;
        return if is_whole { chunked.call_method1("chunk", (0,)) } else { chunked.call_method0("combine_chunks") };
    }
    match numpy_column(column)? {
        Some(values) => from_numpy(&pyarrow, &values),
        // Plain sequences.
        None => pyarrow.call_method1("array", (column,)),
    }
}

/// An array of numpy that has numbers of this machine side by side; `None` for anything else, and for one with a mask.
fn numpy_column<'py>(column: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !column.hasattr("__array_interface__")? || !column.hasattr("flags")? || column.hasattr("mask")? {
        return Ok(None);
    }
    let data_type = column.getattr("dtype")?;
    let is_number = "iuf".contains(data_type.getattr("kind")?.extract::<char>()?);
    if !is_number || column.getattr("ndim")?.extract::<usize>()? != 1 {
        return Ok(None);
    }
    if !data_type.getattr("isnative")?.is_truthy()? {
        // FITS files have the other order of bytes; the memory would be read as other numbers.
        let native = data_type.call_method1("newbyteorder", ("=",))?;
        return column.call_method1("astype", (native,)).map(Some);
    }
    let flags = column.getattr("flags")?;
    let is_whole = flags.getattr("c_contiguous")?.is_truthy()? && flags.getattr("aligned")?.is_truthy()?;
    if is_whole { Ok(Some(column.clone())) } else { column.call_method0("copy").map(Some) }
}

/// The array over the memory of numpy's. pyarrow's own conversion imports pandas where it is installed.
fn from_numpy<'py>(pyarrow: &Bound<'py, PyModule>, values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = values.py();
    let data_type = pyarrow.call_method1("from_numpy_dtype", (values.getattr("dtype")?,))?;
    let buffers = PyList::new(py, [py.None().into_bound(py), pyarrow.call_method1("py_buffer", (values,))?])?;
    pyarrow.getattr("Array")?.call_method1("from_buffers", (data_type, values.len()?, buffers))
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

    /// A column of a value for each position, null where a coordinate is; an error names the row.
    pub(crate) fn map<T, A: FromIterator<Option<T>>>(
        &self,
        value: impl Fn(f64, f64) -> Result<T, AngleError>,
    ) -> PyResult<A> {
        let of_row = |(row, (ra, dec)): (usize, (Option<f64>, Option<f64>))| match ra.zip(dec) {
            Some((ra, dec)) => value(ra, dec)
                .map(Some)
                .map_err(|error| errors::CoordinateError::new_err(format!("row {row}: {error}"))),
            None => Ok(None),
        };
        self.ra_deg.iter().zip(&self.dec_deg).enumerate().map(of_row).collect()
    }
}

/// A column for Python.
pub(crate) fn to_pyarrow(py: Python<'_>, array: ArrayRef) -> PyResult<Bound<'_, PyAny>> {
    array.to_data().to_pyarrow(py)
}

/// Named columns for Python.
pub(crate) fn batch_to_pyarrow<'py>(py: Python<'py>, columns: Vec<(&str, ArrayRef)>) -> PyResult<Bound<'py, PyAny>> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), array.is_nullable())).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    batch.to_pyarrow(py)
}

/// The columns of memberships in margins, by pixel and separation: margin_order (uint8), margin_pixel (uint64) and
/// separation_arcsec (float64; null where it is NaN, because none was computed).
pub(crate) fn margin_columns(
    margins: impl Iterator<Item = (Pixel, f64)> + Clone,
) -> impl Iterator<Item = (&'static str, ArrayRef)> {
    let orders: UInt8Array = margins.clone().map(|(pixel, _)| pixel.order()).collect();
    let pixels: UInt64Array = margins.clone().map(|(pixel, _)| pixel.index()).collect();
    let separations: Float64Array = margins.map(|(_, arcsec)| (!arcsec.is_nan()).then_some(arcsec)).collect();
    let columns: [(&'static str, ArrayRef); 3] = [
        ("margin_order", Arc::new(orders)),
        ("margin_pixel", Arc::new(pixels)),
        ("separation_arcsec", Arc::new(separations)),
    ];
    columns.into_iter()
}

/// Pixels for Python: their orders and their indices.
pub(crate) fn pixels_to_pyarrow<'py>(
    py: Python<'py>,
    pixels: impl Iterator<Item = Pixel>,
) -> PyResult<Bound<'py, PyAny>> {
    let (orders, indices): (Vec<u8>, Vec<u64>) = pixels.map(|pixel| (pixel.order(), pixel.index())).unzip();
    let orders = Arc::new(UInt8Array::from(orders));
    batch_to_pyarrow(py, vec![("order", orders), ("pixel", Arc::new(UInt64Array::from(indices)))])
}
