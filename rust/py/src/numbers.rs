//! Columns of numbers of one type as another.

use std::fmt::Display;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float64Type, Int64Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, Float64Array, new_null_array};
use arrow_schema::{ArrowError, DataType};
use skymargin_scan::cast;

/// A column of numbers as 64-bit floats or integers; floats become the nearest.
///
/// # Errors
/// When a number is none of the type.
pub(crate) fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (DataType::Null, to) => Ok(new_null_array(to, array.len())),
        (DataType::Int64, DataType::Float64) => {
            Ok(Arc::new(array.as_primitive::<Int64Type>().unary::<_, Float64Type>(|value| value as f64)))
        }
        (DataType::UInt64, DataType::Float64) => {
            Ok(Arc::new(array.as_primitive::<UInt64Type>().unary::<_, Float64Type>(|value| value as f64)))
        }
        (DataType::Decimal32(..), DataType::Float64) => decimals::<Decimal32Type>(array),
        (DataType::Decimal64(..), DataType::Float64) => decimals::<Decimal64Type>(array),
        (DataType::Decimal128(..), DataType::Float64) => decimals::<Decimal128Type>(array),
        (DataType::Decimal256(..), DataType::Float64) => decimals::<Decimal256Type>(array),
        (DataType::UInt64, DataType::Int64) => {
            let own = |value: u64| i64::try_from(value).map_err(|_| outside(value, to));
            Ok(Arc::new(array.as_primitive::<UInt64Type>().try_unary::<_, Int64Type, _>(own)?) as ArrayRef)
        }
        (from, DataType::UInt64) if from.is_signed_integer() => {
            let wide = cast(array, &DataType::Int64)?;
            let own = |value: i64| u64::try_from(value).map_err(|_| outside(value, to));
            Ok(Arc::new(wide.as_primitive::<Int64Type>().try_unary::<_, UInt64Type, _>(own)?) as ArrayRef)
        }
        _ => cast(array, to),
    }
}

/// By way of text, which is rounded once.
fn decimals<T: DecimalType>(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let values = array.as_primitive::<T>();
    let number = |row: usize| {
        let text = values.value_as_string(row);
        text.parse::<f64>().map_err(|_| outside(text, &DataType::Float64))
    };
    let floats: Float64Array =
        (0..values.len()).map(|row| values.is_valid(row).then(|| number(row)).transpose()).collect::<Result<_, _>>()?;
    Ok(Arc::new(floats))
}

fn outside(value: impl Display, to: &DataType) -> ArrowError {
    ArrowError::CastError(format!("{value} is no {to}"))
}
