//! Casts of columns to the types in which they are written.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use skymargin_scan::{cast, conform_with};

use DataType::{Time64, Timestamp};

/// Casts an array to exactly the type `to`.
///
/// # Errors
/// When a value is lost; one of a time or timestamp may be rounded towards zero if `truncate`.
pub(super) fn to_written(array: &ArrayRef, to: &DataType, truncate: bool) -> Result<ArrayRef, ArrowError> {
    conform_with(array, to, &|leaf, to| match (leaf.data_type(), to) {
        (Timestamp(from, _), Timestamp(unit, _)) | (Time64(from), Time64(unit)) if from != unit => {
            rescale(leaf, *from, *unit, to, truncate)
        }
        _ => cast(leaf, to),
    })
}

fn rescale(
    array: &ArrayRef,
    from: TimeUnit,
    unit: TimeUnit,
    to: &DataType,
    truncate: bool,
) -> Result<ArrayRef, ArrowError> {
    let (from, unit) = (per_second(from), per_second(unit));
    let scaled = |value: i64| {
        if unit >= from {
            return value
                .checked_mul(unit / from)
                .ok_or_else(|| ArrowError::CastError(format!("{value} is too large for {to}")));
        }
        let factor = from / unit;
        if value % factor != 0 && !truncate {
            return Err(ArrowError::CastError(format!("{value} of type {} is not exact as {to}", array.data_type())));
        }
        Ok(value / factor)
    };
    match to {
        Timestamp(TimeUnit::Second, _) => apply::<TimestampSecondType>(array, to, &scaled),
        Timestamp(TimeUnit::Millisecond, _) => apply::<TimestampMillisecondType>(array, to, &scaled),
        Timestamp(TimeUnit::Microsecond, _) => apply::<TimestampMicrosecondType>(array, to, &scaled),
        Timestamp(TimeUnit::Nanosecond, _) => apply::<TimestampNanosecondType>(array, to, &scaled),
        Time64(TimeUnit::Microsecond) => apply::<Time64MicrosecondType>(array, to, &scaled),
        Time64(TimeUnit::Nanosecond) => apply::<Time64NanosecondType>(array, to, &scaled),
        _ => Err(ArrowError::CastError(format!("{} cannot become {to}", array.data_type()))),
    }
}

fn apply<To: ArrowPrimitiveType<Native = i64>>(
    array: &ArrayRef,
    to: &DataType,
    scaled: &dyn Fn(i64) -> Result<i64, ArrowError>,
) -> Result<ArrayRef, ArrowError> {
    let values: PrimitiveArray<To> = match array.data_type() {
        Timestamp(TimeUnit::Second, _) => array.as_primitive::<TimestampSecondType>().try_unary(scaled)?,
        Timestamp(TimeUnit::Millisecond, _) => array.as_primitive::<TimestampMillisecondType>().try_unary(scaled)?,
        Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().try_unary(scaled)?,
        Timestamp(TimeUnit::Nanosecond, _) => array.as_primitive::<TimestampNanosecondType>().try_unary(scaled)?,
        Time64(TimeUnit::Microsecond) => array.as_primitive::<Time64MicrosecondType>().try_unary(scaled)?,
        _ => array.as_primitive::<Time64NanosecondType>().try_unary(scaled)?,
    };
    Ok(Arc::new(values.with_data_type(to.clone())))
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}
