//! Conversion of arrays without children to other types, in which every value must be.
//!
//! The crate arrow-cast converts all to all, and takes a quarter of the time of compiling this workspace.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, BinaryType, ByteArrayType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, LargeBinaryType,
    LargeUtf8Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type, Utf8Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryViewArray, DictionaryArray, GenericByteArray, GenericListArray,
    GenericListViewArray, Int64Array, LargeBinaryArray, LargeStringArray, OffsetSizeTrait, PrimitiveArray,
    StringViewArray, UInt64Array, make_array,
};
use arrow_buffer::{ArrowNativeType, OffsetBuffer, ScalarBuffer, i256};
use arrow_schema::{ArrowError, DataType, FieldRef, TimeUnit};
use arrow_select::take::take;

use DataType::{
    Binary, BinaryView, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, Duration,
    FixedSizeBinary, Int8, Int16, Int32, Int64, LargeBinary, LargeList, LargeListView, LargeUtf8, List, ListView,
    Time32, Time64, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
};

const MILLISECONDS_OF_DAY: i64 = 86_400_000;

/// Converts an array to exactly the type `to`.
///
/// # Errors
/// When a value does not fit, or values of the one type are not all values of the other.
pub fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (Dictionary(..), _) => {
            let dictionary = array.as_any_dictionary();
            let values = cast(dictionary.values(), if let Dictionary(_, values) = to { values.as_ref() } else { to })?;
            cast(&take(&values, dictionary.keys(), None)?, to)
        }
        (_, Dictionary(key, values)) => packed(&cast(array, values)?, key, to),
        (List(from), ListView(field)) if from == field => {
            Ok(Arc::new(GenericListViewArray::<i32>::from(array.as_list::<i32>().clone())))
        }
        (LargeList(from), LargeListView(field)) if from == field => {
            Ok(Arc::new(GenericListViewArray::<i64>::from(array.as_list::<i64>().clone())))
        }
        (from, Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..)) if from.is_decimal() => {
            decimals(array, to)
        }
        (from, to) if from.is_numeric() && to.is_numeric() => numbers(array, to).ok_or_else(|| no_cast(array, to)),
        (from, to) => match factor(from, to) {
            Some(factor) => times(array, to, factor),
            None => bytes(array, to),
        },
    }
}

/// The lists of a list view, in the order of its rows; `None` for another array.
///
/// # Errors
/// When they are too long for the offsets of a list.
pub(super) fn as_list(array: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    match array.data_type() {
        ListView(field) => gathered::<i32>(array, field).map(Some),
        LargeListView(field) => gathered::<i64>(array, field).map(Some),
        _ => Ok(None),
    }
}

fn gathered<O: OffsetSizeTrait>(array: &ArrayRef, field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let lists = array.as_list_view::<O>();
    let mut rows: Vec<u64> = Vec::new();
    let mut offsets = vec![O::default()];
    for row in 0..lists.len() {
        if lists.is_valid(row) {
            let start = lists.value_offset(row).as_usize();
            rows.extend((start..start + lists.value_size(row).as_usize()).map(|value| value as u64));
        }
        let too_long = || ArrowError::CastError(format!("the elements of {} are too many", array.data_type()));
        offsets.push(O::from_usize(rows.len()).ok_or_else(too_long)?);
    }
    let values = take(lists.values(), &UInt64Array::from(rows), None)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let list = GenericListArray::<O>::try_new(Arc::clone(field), offsets, values, lists.nulls().cloned())?;
    Ok(Arc::new(list))
}

macro_rules! widened {
    ($array:ident, $to:ident, $($from:ident as $from_type:ident: $($wide:ident as $wide_type:ident),+;)+) => {
        match ($array.data_type(), $to) {
            $($((DataType::$from, DataType::$wide) => Some(widen::<$from_type, $wide_type>($array)),)+)+
            _ => None,
        }
    };
}

fn numbers(array: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    widened!(array, to,
        Int8 as Int8Type: Int16 as Int16Type, Int32 as Int32Type, Int64 as Int64Type, Float16 as Float16Type,
            Float32 as Float32Type, Float64 as Float64Type;
        Int16 as Int16Type: Int32 as Int32Type, Int64 as Int64Type, Float32 as Float32Type, Float64 as Float64Type;
        Int32 as Int32Type: Int64 as Int64Type, Float64 as Float64Type;
        UInt8 as UInt8Type: UInt16 as UInt16Type, UInt32 as UInt32Type, UInt64 as UInt64Type, Int16 as Int16Type,
            Int32 as Int32Type, Int64 as Int64Type, Float16 as Float16Type, Float32 as Float32Type,
            Float64 as Float64Type;
        UInt16 as UInt16Type: UInt32 as UInt32Type, UInt64 as UInt64Type, Int32 as Int32Type, Int64 as Int64Type,
            Float32 as Float32Type, Float64 as Float64Type;
        UInt32 as UInt32Type: UInt64 as UInt64Type, Int64 as Int64Type, Float64 as Float64Type;
        Float16 as Float16Type: Float32 as Float32Type, Float64 as Float64Type;
        Float32 as Float32Type: Float64 as Float64Type;
    )
}

fn widen<From: ArrowPrimitiveType, To: ArrowPrimitiveType>(array: &ArrayRef) -> ArrayRef
where
    From::Native: Into<To::Native>,
{
    Arc::new(array.as_primitive::<From>().unary::<_, To>(Into::into))
}

fn decimals(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let (values, scale) = match array.data_type() {
        Decimal32(_, scale) => (wide_decimals::<Decimal32Type>(array), *scale),
        Decimal64(_, scale) => (wide_decimals::<Decimal64Type>(array), *scale),
        Decimal128(_, scale) => (wide_decimals::<Decimal128Type>(array), *scale),
        Decimal256(_, scale) => (wide_decimals::<Decimal256Type>(array), *scale),
        _ => return Err(no_cast(array, to)),
    };
    let narrow = |value: i256| value.to_i128();
    match to {
        Decimal32(digits, to_scale) => {
            let own = |value: i256| narrow(value).and_then(|value| i32::try_from(value).ok());
            rescaled::<Decimal32Type>(array, &values, (scale, *to_scale), *digits, own)
        }
        Decimal64(digits, to_scale) => {
            let own = |value: i256| narrow(value).and_then(|value| i64::try_from(value).ok());
            rescaled::<Decimal64Type>(array, &values, (scale, *to_scale), *digits, own)
        }
        Decimal128(digits, to_scale) => rescaled::<Decimal128Type>(array, &values, (scale, *to_scale), *digits, narrow),
        Decimal256(digits, to_scale) => rescaled::<Decimal256Type>(array, &values, (scale, *to_scale), *digits, Some),
        _ => Err(no_cast(array, to)),
    }
}

fn wide_decimals<T: DecimalType>(array: &ArrayRef) -> Vec<Option<i256>>
where
    i256: From<T::Native>,
{
    array.as_primitive::<T>().iter().map(|value| value.map(i256::from)).collect()
}

fn rescaled<T: DecimalType>(
    array: &ArrayRef,
    values: &[Option<i256>],
    (from_scale, to_scale): (i8, i8),
    digits: u8,
    narrow: impl Fn(i256) -> Option<T::Native>,
) -> Result<ArrayRef, ArrowError> {
    let to = T::TYPE_CONSTRUCTOR(digits, to_scale);
    let zeros = u32::try_from(i32::from(to_scale) - i32::from(from_scale)).map_err(|_| no_cast(array, &to))?;
    let factor = (0..zeros).try_fold(i256::ONE, |factor, _| factor.checked_mul(i256::from(10_i64)));
    let too_large = || ArrowError::CastError(format!("a value of {} is too large for {to}", array.data_type()));
    let rescale = |value: i256| factor.and_then(|factor| value.checked_mul(factor)).and_then(&narrow);
    let rescaled: PrimitiveArray<T> = values
        .iter()
        .map(|value| value.map(|value| rescale(value).ok_or_else(too_large)).transpose())
        .collect::<Result<_, _>>()?;
    Ok(Arc::new(rescaled.with_precision_and_scale(digits, to_scale)?))
}

/// By how much times of one type are multiplied to be times of another.
fn factor(from: &DataType, to: &DataType) -> Option<i64> {
    let (from, to) = match (from, to) {
        (Date32, Date64) => return Some(MILLISECONDS_OF_DAY),
        (Timestamp(from, from_zone), Timestamp(to, to_zone)) if from_zone.is_some() == to_zone.is_some() => (from, to),
        (Duration(from), Duration(to)) => (from, to),
        (Time32(from) | Time64(from), Time32(to) | Time64(to)) => (from, to),
        _ => return None,
    };
    let (from, to) = (per_second(*from), per_second(*to));
    (to >= from).then(|| to / from)
}

fn times(array: &ArrayRef, to: &DataType, factor: i64) -> Result<ArrayRef, ArrowError> {
    let ticks: Int64Array = match array.data_type() {
        Date32 | Time32(_) => retyped(array, Int32)?.as_primitive::<Int32Type>().unary(i64::from),
        _ => retyped(array, Int64)?.as_primitive::<Int64Type>().clone(),
    };
    let too_large = |value: i64| ArrowError::CastError(format!("{value} is too large for {to}"));
    let ticks: Int64Array = ticks.try_unary(|value| value.checked_mul(factor).ok_or_else(|| too_large(value)))?;
    if !matches!(to, Time32(_)) {
        return retyped(&ticks, to.clone());
    }
    let narrow: PrimitiveArray<Int32Type> =
        ticks.try_unary(|value| i32::try_from(value).map_err(|_| too_large(value)))?;
    retyped(&narrow, to.clone())
}

/// The ticks of a second.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// The same bytes as another type of the same width.
fn retyped(array: &dyn Array, to: DataType) -> Result<ArrayRef, ArrowError> {
    Ok(make_array(array.to_data().into_builder().data_type(to).build()?))
}

fn bytes(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (Utf8, LargeUtf8) => with_offsets::<Utf8Type, LargeUtf8Type>(array),
        (Utf8, Binary) => with_offsets::<Utf8Type, BinaryType>(array),
        (Utf8, LargeBinary) => with_offsets::<Utf8Type, LargeBinaryType>(array),
        (LargeUtf8, Utf8) => with_offsets::<LargeUtf8Type, Utf8Type>(array),
        (LargeUtf8, Binary) => with_offsets::<LargeUtf8Type, BinaryType>(array),
        (LargeUtf8, LargeBinary) => with_offsets::<LargeUtf8Type, LargeBinaryType>(array),
        (Binary, LargeBinary) => with_offsets::<BinaryType, LargeBinaryType>(array),
        (LargeBinary, Binary) => with_offsets::<LargeBinaryType, BinaryType>(array),
        (Utf8, Utf8View) => Ok(Arc::new(StringViewArray::from(array.as_string::<i32>()))),
        (LargeUtf8, Utf8View) => Ok(Arc::new(StringViewArray::from(array.as_string::<i64>()))),
        (Utf8, BinaryView) => Ok(Arc::new(StringViewArray::from(array.as_string::<i32>()).to_binary_view())),
        (LargeUtf8, BinaryView) => Ok(Arc::new(StringViewArray::from(array.as_string::<i64>()).to_binary_view())),
        (Utf8View, BinaryView) => Ok(Arc::new(array.as_string_view().clone().to_binary_view())),
        (Binary, BinaryView) => Ok(Arc::new(BinaryViewArray::from(array.as_binary::<i32>()))),
        (LargeBinary, BinaryView) => Ok(Arc::new(BinaryViewArray::from(array.as_binary::<i64>()))),
        // By way of 64-bit offsets, which have room for everything.
        (Utf8View, Utf8 | LargeUtf8 | Binary | LargeBinary) => {
            cast(&(Arc::new(array.as_string_view().iter().collect::<LargeStringArray>()) as ArrayRef), to)
        }
        (BinaryView, Binary | LargeBinary) => {
            cast(&(Arc::new(array.as_binary_view().iter().collect::<LargeBinaryArray>()) as ArrayRef), to)
        }
        (FixedSizeBinary(_), Binary | LargeBinary | BinaryView) => {
            cast(&(Arc::new(array.as_fixed_size_binary().iter().collect::<LargeBinaryArray>()) as ArrayRef), to)
        }
        _ => Err(no_cast(array, to)),
    }
}

/// The same bytes with offsets of another width.
fn with_offsets<From: ByteArrayType, To: ByteArrayType>(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let (offsets, values, nulls) = array.as_bytes::<From>().clone().into_parts();
    let too_large = || ArrowError::CastError(format!("{} is too large for {}", From::DATA_TYPE, To::DATA_TYPE));
    let offsets = offsets
        .iter()
        .map(|offset| To::Offset::from_usize(offset.as_usize()).ok_or_else(too_large))
        .collect::<Result<ScalarBuffer<_>, _>>()?;
    Ok(Arc::new(GenericByteArray::<To>::try_new(OffsetBuffer::new(offsets), values, nulls)?))
}

/// A dictionary of values, which are in the order of their first rows.
fn packed(values: &ArrayRef, key: &DataType, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let bytes: ArrayRef = match values.data_type().primitive_width() {
        Some(width) => retyped(values, FixedSizeBinary(i32::try_from(width).map_err(|_| no_cast(values, to))?))?,
        None => Arc::clone(values),
    };
    let bytes = cast(&bytes, &LargeBinary).map_err(|_| no_cast(values, to))?;
    let mut first_rows: Vec<u64> = Vec::new();
    let mut numbers: HashMap<&[u8], usize> = HashMap::new();
    let keys: Vec<Option<usize>> = bytes
        .as_binary::<i64>()
        .iter()
        .enumerate()
        .map(|(row, value)| {
            value.map(|value| {
                *numbers.entry(value).or_insert_with(|| {
                    first_rows.push(row as u64);
                    first_rows.len() - 1
                })
            })
        })
        .collect();
    let distinct = take(values, &UInt64Array::from(first_rows), None)?;
    match key {
        Int8 => with_keys::<Int8Type>(&keys, distinct),
        Int16 => with_keys::<Int16Type>(&keys, distinct),
        Int32 => with_keys::<Int32Type>(&keys, distinct),
        Int64 => with_keys::<Int64Type>(&keys, distinct),
        UInt8 => with_keys::<UInt8Type>(&keys, distinct),
        UInt16 => with_keys::<UInt16Type>(&keys, distinct),
        UInt32 => with_keys::<UInt32Type>(&keys, distinct),
        UInt64 => with_keys::<UInt64Type>(&keys, distinct),
        _ => Err(no_cast(values, to)),
    }
}

fn with_keys<K: ArrowDictionaryKeyType>(keys: &[Option<usize>], values: ArrayRef) -> Result<ArrayRef, ArrowError> {
    let keys: PrimitiveArray<K> = keys
        .iter()
        .map(|key| key.map(|key| K::Native::from_usize(key).ok_or(ArrowError::DictionaryKeyOverflowError)).transpose())
        .collect::<Result<_, _>>()?;
    Ok(Arc::new(DictionaryArray::try_new(keys, values)?))
}

fn no_cast(array: &ArrayRef, to: &DataType) -> ArrowError {
    ArrowError::CastError(format!("{} cannot become {to}", array.data_type()))
}
