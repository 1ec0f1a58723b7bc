//! Which types convert to the catalog's without loss, and the conversion.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray, new_null_array,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, TimeUnit};

use crate::cast::{as_list, cast, per_second};
use crate::int96::{self, INT96_BYTES};

use DataType::{
    Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, Duration,
    FixedSizeBinary, FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32, Int64, Interval, LargeBinary,
    LargeList, LargeListView, LargeUtf8, List, ListView, Map, Null, RunEndEncoded, Struct, Time32, Time64, Timestamp,
    UInt8, UInt16, UInt32, UInt64, Union, Utf8, Utf8View,
};

/// Whether every value of type `from` is a value of type `to`.
///
/// Names and order of struct fields matter, names of list elements do not. Nulls are checked in the values.
pub(super) fn fits(from: &DataType, to: &DataType) -> bool {
    if from == to {
        return true;
    }
    match (from, to) {
        (Null, _) => true,
        (Dictionary(_, values), to) => fits(values, to),
        (from, Dictionary(_, values)) => fits(from, values),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView) => true,
        (Binary | LargeBinary | BinaryView | FixedSizeBinary(_), Binary | LargeBinary | BinaryView) => true,
        (Int8, Int16 | Int32 | Int64 | Float16 | Float32 | Float64) => true,
        (Int16, Int32 | Int64 | Float32 | Float64) | (Int32, Int64 | Float64) => true,
        (UInt8, UInt16 | UInt32 | UInt64 | Int16 | Int32 | Int64 | Float16 | Float32 | Float64) => true,
        (UInt16, UInt32 | UInt64 | Int32 | Int64 | Float32 | Float64) => true,
        (UInt32, UInt64 | Int64 | Float64) => true,
        (Float16, Float32 | Float64) | (Float32, Float64) | (Date32, Date64) => true,
        (Timestamp(from, from_zone), Timestamp(to, to_zone)) => {
            finer(*from, *to) && from_zone.is_some() == to_zone.is_some()
        }
        (Duration(from), Duration(to)) => finer(*from, *to),
        (Time32(from) | Time64(from), Time32(to) | Time64(to)) => finer(*from, *to),
        (from, to) if decimal(from).is_some() && decimal(to).is_some() => {
            let (Some((digits, scale)), Some((to_digits, to_scale))) = (decimal(from), decimal(to)) else {
                return false;
            };
            to_scale >= scale && to_digits - to_scale >= digits - scale
        }
        (List(from) | LargeList(from) | ListView(from) | LargeListView(from), to) => {
            element(to).is_some_and(|to| fits(from.data_type(), to.data_type()))
        }
        (FixedSizeList(from, size), FixedSizeList(to, to_size)) => {
            size == to_size && fits(from.data_type(), to.data_type())
        }
        (Struct(from), Struct(to)) => {
            from.len() == to.len()
                && to
                    .iter()
                    .all(|to| from.find(to.name()).is_some_and(|(_, from)| fits(from.data_type(), to.data_type())))
        }
        (Map(from, _), Map(to, _)) => match (from.data_type(), to.data_type()) {
            (Struct(from), Struct(to)) => {
                from.len() == to.len() && from.iter().zip(to).all(|(from, to)| fits(from.data_type(), to.data_type()))
            }
            _ => false,
        },
        _ => false,
    }
}

/// Whether two types hold the same values and differ only in representation: width of offsets, views, dictionaries,
/// names of list elements. Then the file can be decoded directly as the second type.
pub(super) fn same_values(from: &DataType, to: &DataType) -> bool {
    let same_fields = |from: &Fields, to: &Fields| {
        from.len() == to.len() && from.iter().zip(to).all(|(from, to)| same_values(from.data_type(), to.data_type()))
    };
    match (from, to) {
        (Dictionary(_, values), to) => same_values(values, to),
        (from, Dictionary(_, values)) => same_values(from, values),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => true,
        (List(from) | LargeList(from) | ListView(from) | LargeListView(from), to) => {
            element(to).is_some_and(|to| same_values(from.data_type(), to.data_type()))
        }
        (FixedSizeList(from, size), FixedSizeList(to, to_size)) => {
            size == to_size && same_values(from.data_type(), to.data_type())
        }
        (Struct(from), Struct(to)) => {
            from.iter().zip(to).all(|(from, to)| from.name() == to.name()) && same_fields(from, to)
        }
        (Map(from, _), Map(to, _)) => match (from.data_type(), to.data_type()) {
            (Struct(from), Struct(to)) => same_fields(from, to),
            _ => false,
        },
        (from, to) => from == to,
    }
}

/// The elements of a list of any length, whatever its offsets.
fn element(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        List(element) | LargeList(element) | ListView(element) | LargeListView(element) => Some(element),
        _ => None,
    }
}

/// The type to decode as: views would keep whole pages alive for one row, and dictionaries all their values.
///
/// Every type is named, so that a new one does not compile until it is decided.
pub(super) fn storage(data_type: &DataType) -> DataType {
    let field = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(storage(field.data_type())));
    match data_type {
        Dictionary(_, values) => storage(values),
        Utf8View => Utf8,
        BinaryView => Binary,
        List(element) | ListView(element) => List(field(element)),
        LargeList(element) | LargeListView(element) => LargeList(field(element)),
        FixedSizeList(element, size) => FixedSizeList(field(element), *size),
        Struct(fields) => Struct(fields.iter().map(field).collect()),
        Map(entries, sorted) => Map(field(entries), *sorted),
        Null | Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float16 | Float32
        | Float64 => data_type.clone(),
        Timestamp(..) | Date32 | Date64 | Time32(_) | Time64(_) | Duration(_) => data_type.clone(),
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => data_type.clone(),
        Utf8 | LargeUtf8 | Binary | LargeBinary | FixedSizeBinary(_) => data_type.clone(),
        // Parquet has none of these.
        Interval(_) | Union(..) | RunEndEncoded(..) => data_type.clone(),
    }
}

/// Converts an array to exactly the type `to`.
///
/// # Errors
/// When a value does not fit: a null where none is allowed, or an overflow.
pub(super) fn conform(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    conform_with(array, to, &convert)
}

/// Converts an array to exactly the type `to`, its leaves with a function of array and type.
///
/// # Errors
/// When the function fails, the types nest differently, or a null is where none is allowed.
pub fn conform_with(
    array: &ArrayRef,
    to: &DataType,
    leaf: &dyn Fn(&ArrayRef, &DataType) -> Result<ArrayRef, ArrowError>,
) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    if let Some(list) = as_list(array)? {
        return conform_with(&list, to, leaf);
    }
    let nulls = array.nulls().cloned();
    match (array.data_type(), to) {
        (Null, to) => Ok(new_null_array(to, array.len())),
        (Struct(_), Struct(fields)) => {
            let from = array.as_struct();
            // A name may occur twice where the order is the same.
            let same_names = from.fields().iter().map(|field| field.name()).eq(fields.iter().map(|field| field.name()));
            let columns = fields
                .iter()
                .enumerate()
                .map(|(place, field)| {
                    let own = if same_names { from.columns().get(place) } else { from.column_by_name(field.name()) };
                    match own {
                        Some(column) => conform_with(column, field.data_type(), leaf),
                        None => Err(no_cast(array.data_type(), to)),
                    }
                })
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, array.len())?))
        }
        (List(_), List(field)) => list::<i32, i32>(array, field, leaf),
        (List(_), LargeList(field)) => list::<i32, i64>(array, field, leaf),
        (LargeList(_), List(field)) => list::<i64, i32>(array, field, leaf),
        (LargeList(_), LargeList(field)) => list::<i64, i64>(array, field, leaf),
        (List(_) | LargeList(_), ListView(field)) => leaf(&conform_with(array, &List(Arc::clone(field)), leaf)?, to),
        (List(_) | LargeList(_), LargeListView(field)) => {
            leaf(&conform_with(array, &LargeList(Arc::clone(field)), leaf)?, to)
        }
        (FixedSizeList(_, size), FixedSizeList(field, to_size)) if size == to_size => {
            let values = conform_with(array.as_fixed_size_list().values(), field.data_type(), leaf)?;
            let list = FixedSizeListArray::try_new_with_length(Arc::clone(field), *size, values, nulls, array.len())?;
            Ok(Arc::new(list))
        }
        (Map(_, _), Map(entries, sorted)) => {
            let from = array.as_map();
            let Struct(fields) = entries.data_type() else { return Err(no_cast(array.data_type(), to)) };
            let pairs = from.entries().columns().iter().zip(fields);
            let columns = pairs
                .map(|(column, field)| conform_with(column, field.data_type(), leaf))
                .collect::<Result<Vec<_>, _>>()?;
            let entries_array = StructArray::try_new(fields.clone(), columns, from.entries().nulls().cloned())?;
            let offsets = from.offsets().clone();
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, entries_array, nulls, *sorted)?))
        }
        (_, Dictionary(_, values)) => leaf(&conform_with(array, values, leaf)?, to),
        _ => leaf(array, to),
    }
}

fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if let (FixedSizeBinary(INT96_BYTES), Timestamp(unit, zone)) = (array.data_type(), to) {
        // No binary fits a timestamp: it is a column of INT96.
        let timestamps = int96::timestamps(array.as_fixed_size_binary(), *unit, zone.clone());
        return timestamps.map_err(|error| ArrowError::ExternalError(Box::new(error)));
    }
    cast(array, to)
}

fn list<From: OffsetSizeTrait, To: OffsetSizeTrait>(
    array: &ArrayRef,
    field: &Arc<Field>,
    leaf: &dyn Fn(&ArrayRef, &DataType) -> Result<ArrayRef, ArrowError>,
) -> Result<ArrayRef, ArrowError> {
    let from = array.as_list::<From>();
    let values = conform_with(from.values(), field.data_type(), leaf)?;
    let offsets = from
        .offsets()
        .iter()
        .map(|offset| To::from_usize(offset.as_usize()).ok_or_else(|| no_cast(array.data_type(), field.data_type())))
        .collect::<Result<ScalarBuffer<To>, _>>()?;
    let offsets = OffsetBuffer::new(offsets);
    let list = GenericListArray::<To>::try_new(Arc::clone(field), offsets, values, array.nulls().cloned())?;
    Ok(Arc::new(list))
}

fn no_cast(from: &DataType, to: &DataType) -> ArrowError {
    ArrowError::CastError(format!("{from} cannot become {to}"))
}

/// The number of digits, and of digits after the point.
pub(super) fn decimal(data_type: &DataType) -> Option<(i32, i32)> {
    match data_type {
        Decimal32(digits, scale) | Decimal64(digits, scale) => Some((i32::from(*digits), i32::from(*scale))),
        Decimal128(digits, scale) | Decimal256(digits, scale) => Some((i32::from(*digits), i32::from(*scale))),
        _ => None,
    }
}

fn finer(from: TimeUnit, to: TimeUnit) -> bool {
    per_second(to) >= per_second(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::{FixedSizeBinaryArray, Int32Array, Int64Array, ListArray, NullArray, StringArray, UInt64Array};

    #[test]
    fn only_lossless_casts_fit() {
        let micros = |zone: Option<&str>| Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let list = |of| List(Arc::new(Field::new("item", of, true)));
        let yes = [
            (Null, Utf8),
            (Int32, Int64),
            (UInt32, Int64),
            (Float32, Float64),
            (Int32, Float64),
            (Utf8, LargeUtf8),
            (LargeUtf8, Utf8View),
            (Utf8, Dictionary(Box::new(Int32), Box::new(Utf8))),
            (Decimal128(9, 2), Decimal128(12, 4)),
            (Decimal128(9, 2), Decimal256(9, 2)),
            (micros(Some("UTC")), micros(Some("+00:00"))),
            (micros(None), Timestamp(TimeUnit::Nanosecond, None)),
            (list(Int32), ListView(Arc::new(Field::new("element", Int64, true)))),
        ];
        for (from, to) in yes {
            assert!(fits(&from, &to), "{from} fits {to}");
        }
        let no = [
            (Utf8, Null),
            (list(Int32), Int32),
            (list(Int64), LargeList(Arc::new(Field::new("item", Int32, true)))),
            (Int64, Int32),
            (Int64, Float64),
            (UInt64, Int64),
            (Int32, Float32),
            (Float64, Float32),
            (Binary, Utf8),
            (Int64, micros(None)),
            (Decimal128(9, 2), Decimal128(9, 4)),
            (Decimal128(9, 2), Decimal128(9, 1)),
            (micros(None), micros(Some("UTC"))),
            (Timestamp(TimeUnit::Nanosecond, None), micros(None)),
        ];
        for (from, to) in no {
            assert!(!fits(&from, &to), "{from} does not fit {to}");
        }
    }

    #[test]
    fn nested_arrays_take_the_exact_type() {
        let inner = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        let fields =
            Fields::from(vec![Field::new("light", inner.data_type().clone(), true), Field::new("empty", Null, true)]);
        let from: ArrayRef =
            Arc::new(StructArray::new(fields, vec![Arc::new(inner), Arc::new(NullArray::new(3))], None));
        let element = Field::new("element", Int64, true).with_metadata([("unit".into(), "mJy".into())].into());
        let to = Struct(Fields::from(vec![
            Field::new("empty", Utf8, true),
            Field::new("light", LargeList(Arc::new(element)), true),
        ]));
        assert!(fits(from.data_type(), &to));
        let conformed = conform(&from, &to).unwrap();
        assert_eq!(conformed.data_type(), &to);
        let light = conformed.as_struct().column(1).as_list::<i64>();
        assert_eq!((light.value_length(0), light.is_null(1), light.value_length(2)), (2, true, 0));
        assert_eq!(conformed.as_struct().column(0).null_count(), 3);
    }

    #[test]
    fn nulls_where_none_are_allowed_are_an_error() {
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let from: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(Field::new("a", Int32, true)), values)]));
        let to = Struct(Fields::from(vec![Field::new("a", Int32, false)]));
        assert!(conform(&from, &to).is_err());
    }

    #[test]
    fn lists_become_list_views() {
        let from = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        let from: ArrayRef = Arc::new(from);
        for to in [
            ListView(Arc::new(Field::new("element", Int64, true))),
            LargeListView(Arc::new(Field::new("element", Int32, true))),
        ] {
            let conformed = conform(&from, &to).unwrap();
            assert_eq!((conformed.data_type(), conformed.null_count(), conformed.len()), (&to, 1, 3));
            assert_eq!(&arrow_cast::cast(&conformed, from.data_type()).unwrap(), &from);
            // Views of any order become lists, too.
            let back = DataType::List(Arc::new(Field::new("item", Int64, true)));
            let lists = conform(&conform(&conformed, &to).unwrap(), &back).unwrap();
            assert_eq!(&lists, &arrow_cast::cast(&from, &back).unwrap());
        }
    }

    /// Values at the ends of their type, and nulls between them.
    fn extremes() -> Vec<ArrayRef> {
        let integers: ArrayRef =
            Arc::new(Int64Array::from(vec![Some(0), None, Some(-128), Some(127), Some(7), None, Some(7)]));
        let naturals: ArrayRef = Arc::new(UInt64Array::from(vec![Some(0), None, Some(255), Some(7), Some(7)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some(""),
            None,
            Some("a"),
            Some("a text of more than 12 bytes"),
            Some("a"),
        ]));
        let as_type = |array: &ArrayRef, to: &DataType| arrow_cast::cast(array, to).unwrap();
        let mut arrays: Vec<ArrayRef> =
            [Int8, Int16, Int32, Int64, Float16, Float32, Float64].iter().map(|to| as_type(&integers, to)).collect();
        arrays.extend([UInt8, UInt16, UInt32, UInt64].iter().map(|to| as_type(&naturals, to)));
        arrays
            .extend([Utf8, LargeUtf8, Utf8View, Binary, LargeBinary, BinaryView].iter().map(|to| as_type(&texts, to)));
        let narrow = as_type(&integers, &Int32);
        arrays.extend([Date32, Time32(TimeUnit::Second)].iter().map(|to| as_type(&narrow, to)));
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond] {
            let zones = [None, Some("UTC".into())];
            arrays.extend(zones.map(|zone| as_type(&integers, &Timestamp(unit, zone))));
            arrays.push(as_type(&integers, &Duration(unit)));
        }
        arrays.push(as_type(&integers, &Time64(TimeUnit::Microsecond)));
        for to in [Decimal32(9, 2), Decimal64(12, 0), Decimal128(20, -2), Decimal256(40, 5)] {
            arrays.push(as_type(&naturals, &to));
        }
        for values in [Utf8, Binary, Int16, Float64] {
            let from = if matches!(values, Utf8 | Binary) { &texts } else { &integers };
            arrays.push(as_type(from, &Dictionary(Box::new(Int8), Box::new(values))));
        }
        let fixed = [Some(*b"abc"), None, Some(*b"xyz")].into_iter();
        arrays.push(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 3).unwrap()));
        arrays
    }

    #[test]
    fn what_fits_is_converted_as_by_arrow_cast() {
        let arrays = extremes();
        let mut types: Vec<DataType> = arrays.iter().map(|array| array.data_type().clone()).collect();
        for values in [Utf8, LargeBinary, Int64, Float64, Timestamp(TimeUnit::Nanosecond, None)] {
            types.push(Dictionary(Box::new(UInt16), Box::new(values)));
        }
        types.extend([Date64, Time32(TimeUnit::Millisecond), Time64(TimeUnit::Nanosecond)]);
        types.extend([Duration(TimeUnit::Nanosecond), Timestamp(TimeUnit::Nanosecond, Some("Europe/Paris".into()))]);
        types.extend([Decimal32(9, 3), Decimal64(18, 4), Decimal128(38, 4), Decimal256(76, 20)]);
        let options = arrow_cast::CastOptions { safe: false, ..Default::default() };
        let mut compared = 0;
        for array in &arrays {
            for to in types.iter().filter(|to| fits(array.data_type(), to)) {
                // Dictionaries are compared by their values: their order is free, and arrow-cast packs times of another
                // unit wrongly.
                let plain = if let Dictionary(_, values) = to { values.as_ref() } else { to };
                let expected = arrow_cast::cast_with_options(array, plain, &options).unwrap();
                for (array, expected) in [(array, &expected), (&array.slice(1, 2), &expected.slice(1, 2))] {
                    let found = conform(array, to).unwrap_or_else(|error| panic!("{}: {error}", array.data_type()));
                    assert_eq!(found.data_type(), to);
                    let found = arrow_cast::cast(&found, plain).unwrap();
                    assert_eq!(&found, expected, "{} to {to}", array.data_type());
                    compared += 1;
                }
            }
        }
        assert!(compared > 200, "{compared}");
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let second = Timestamp(TimeUnit::Second, None);
        let late: ArrayRef = arrow_cast::cast(&Int64Array::from(vec![i64::MAX / 1_000]), &second).unwrap();
        assert!(conform(&late, &Timestamp(TimeUnit::Millisecond, None)).is_ok());
        assert!(conform(&late, &Timestamp(TimeUnit::Microsecond, None)).is_err());
        let many: ArrayRef = Arc::new(StringArray::from_iter_values((0..200).map(|number| number.to_string())));
        let dictionary = |key| Dictionary(Box::new(key), Box::new(Utf8));
        assert!(matches!(conform(&many, &dictionary(Int8)), Err(ArrowError::DictionaryKeyOverflowError)));
        assert!(conform(&many, &dictionary(UInt8)).is_ok());
    }

    #[test]
    fn int96_is_exact_or_refused() {
        // Noon of 2 January 1970, and the year 9999.
        let noon = [&43_200_000_000_000_i64.to_le_bytes()[..], &2_440_589_i32.to_le_bytes()].concat();
        let far = [&[0; 8][..], &5_373_484_i32.to_le_bytes()].concat();
        let binary = |value: Vec<u8>| -> ArrayRef {
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(value)].into_iter(), 12).unwrap())
        };
        let (seconds, nanoseconds) = (Timestamp(TimeUnit::Second, None), Timestamp(TimeUnit::Nanosecond, None));
        let found = conform(&binary(noon), &seconds).unwrap();
        assert_eq!(found.as_primitive::<arrow_array::types::TimestampSecondType>().value(0), 129_600);
        assert!(conform(&binary(far.clone()), &seconds).is_ok());
        let error = conform(&binary(far), &nanoseconds).unwrap_err();
        assert!(matches!(error, ArrowError::ExternalError(_)), "{error}");
    }

    #[test]
    fn strings_become_dictionaries_and_views() {
        let from: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]));
        for to in [Dictionary(Box::new(Int8), Box::new(LargeUtf8)), Utf8View, LargeBinary] {
            let conformed = conform(&from, &to).unwrap();
            assert_eq!(conformed.data_type(), &to);
            assert!(conformed.is_null(1));
        }
    }
}
