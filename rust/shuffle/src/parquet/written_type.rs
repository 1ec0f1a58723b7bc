//! The types in which arrays are given to arrow-rs: those that it writes as the template has its columns.

use std::slice::Iter;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, TimeUnit};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit as ParquetUnit, Type};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use crate::parquet::error::FormatError;

use DataType::{
    Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, Duration,
    FixedSizeBinary, FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeList,
    LargeListView, LargeUtf8, List, ListView, Map, Null, Struct, Time32, Time64, Timestamp, UInt8, UInt16, UInt32,
    UInt64, Utf8, Utf8View,
};

/// Definition and repetition levels.
#[derive(Clone, Copy)]
struct Levels {
    definition: i16,
    repetition: i16,
}

/// The fields in which arrays of `fields` are written to columns.
///
/// # Errors
/// When a field does not fit its columns.
pub(super) fn written_fields(fields: &Fields, columns: &[ColumnDescPtr]) -> Result<Fields, FormatError> {
    let mut left = columns.iter();
    let top = Levels { definition: 0, repetition: 0 };
    let written: Result<Fields, FormatError> =
        fields.iter().map(|field| written_field(field, field.is_nullable(), top, &mut left)).collect();
    let count_error = |fields| FormatError::ColumnCount { template: columns.len(), fields };
    match (written, left.len()) {
        (Ok(written), 0) => Ok(written),
        (Ok(_), more) => Err(count_error(columns.len() - more)),
        (Err(FormatError::ColumnCount { .. }), _) => Err(count_error(columns.len() + 1)),
        (Err(error), _) => Err(error),
    }
}

fn written_field(
    field: &FieldRef,
    nullable: bool,
    mut levels: Levels,
    columns: &mut Iter<'_, ColumnDescPtr>,
) -> Result<FieldRef, FormatError> {
    levels.definition += i16::from(nullable);
    let written = Field::new(field.name(), written_type(field.data_type(), levels, columns)?, nullable);
    Ok(Arc::new(written.with_metadata(field.metadata().clone())))
}

fn written_type(
    data_type: &DataType,
    levels: Levels,
    columns: &mut Iter<'_, ColumnDescPtr>,
) -> Result<DataType, FormatError> {
    let element = Levels { definition: levels.definition + 1, repetition: levels.repetition + 1 };
    let mut child = |field: &FieldRef| written_field(field, field.is_nullable(), element, columns);
    Ok(match data_type {
        Dictionary(_, values) => written_type(values, levels, columns)?,
        List(field) => List(child(field)?),
        LargeList(field) => LargeList(child(field)?),
        ListView(field) => ListView(child(field)?),
        LargeListView(field) => LargeListView(child(field)?),
        FixedSizeList(field, size) => FixedSizeList(child(field)?, *size),
        // Neither entries nor keys of a map are null.
        Map(entries, sorted) => {
            let Struct(pair) = entries.data_type() else {
                return Err(FormatError::Options(format!("{data_type} is not a map of pairs")));
            };
            let pair: Result<Fields, _> = pair
                .iter()
                .enumerate()
                .map(|(number, field)| written_field(field, number > 0 && field.is_nullable(), element, columns))
                .collect();
            Map(Arc::new(Field::new(entries.name(), Struct(pair?), false)), *sorted)
        }
        Struct(fields) => {
            let fields: Result<Fields, _> =
                fields.iter().map(|field| written_field(field, field.is_nullable(), levels, columns)).collect();
            Struct(fields?)
        }
        leaf => {
            let column = columns.next().ok_or(FormatError::ColumnCount { template: 0, fields: 0 })?;
            let fits = column.max_def_level() == levels.definition && column.max_rep_level() == levels.repetition;
            if !fits {
                return Err(FormatError::Levels { column: column.path().string() });
            }
            written_leaf(leaf, column)?
        }
    })
}

/// The type in which arrow-rs writes values to a column, which for most types is their own.
fn written_leaf(data_type: &DataType, column: &ColumnDescriptor) -> Result<DataType, FormatError> {
    let unit = time_unit(column);
    Ok(match (data_type, column.physical_type()) {
        (Timestamp(own, zone), Type::INT64) => Timestamp(unit.unwrap_or(*own), zone.clone()),
        (Time32(own), Type::INT32) => Time32(unit.unwrap_or(*own)),
        (Time64(own), Type::INT64) => Time64(unit.unwrap_or(*own)),
        (UInt32, Type::INT64) => Int64,
        (Decimal32(digits, scale), Type::INT64) => Decimal64(*digits, *scale),
        (Boolean, Type::BOOLEAN)
        | (Null | Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 | Date32 | Date64, Type::INT32)
        | (Int64 | UInt64 | Duration(_), Type::INT64)
        | (Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..), Type::INT32)
        | (Decimal64(..) | Decimal128(..) | Decimal256(..), Type::INT64)
        | (Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..), Type::FIXED_LEN_BYTE_ARRAY)
        | (Float16 | FixedSizeBinary(_), Type::FIXED_LEN_BYTE_ARRAY)
        | (Float32, Type::FLOAT)
        | (Float64, Type::DOUBLE)
        | (Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView, Type::BYTE_ARRAY) => data_type.clone(),
        (_, physical) => {
            let column = column.path().string();
            return Err(FormatError::Type { column, data_type: data_type.clone(), physical });
        }
    })
}

/// The unit of a column of times or timestamps.
fn time_unit(column: &ColumnDescriptor) -> Option<TimeUnit> {
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => Some(arrow_unit(&time.unit)),
        Some(LogicalType::Time(time)) => Some(arrow_unit(&time.unit)),
        _ => match column.converted_type() {
            ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIME_MILLIS => Some(TimeUnit::Millisecond),
            ConvertedType::TIMESTAMP_MICROS | ConvertedType::TIME_MICROS => Some(TimeUnit::Microsecond),
            _ => None,
        },
    }
}

fn arrow_unit(unit: &ParquetUnit) -> TimeUnit {
    match unit {
        ParquetUnit::MILLIS => TimeUnit::Millisecond,
        ParquetUnit::MICROS => TimeUnit::Microsecond,
        ParquetUnit::NANOS => TimeUnit::Nanosecond,
    }
}
