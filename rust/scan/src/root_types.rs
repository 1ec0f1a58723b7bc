//! The Arrow types of the root columns of a file, as pyarrow has them.
//!
//! They follow from the Parquet schema. The Arrow schema that writers embed refines them (durations, sizes of lists),
//! but it may be left over from before columns were dropped, added, renamed or converted: then it is ignored, for the
//! whole file or for one column.

use std::sync::Arc;

use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parquet::arrow::{
    ARROW_SCHEMA_META_KEY, FieldLevels, ProjectionMask, encode_arrow_schema, parquet_to_arrow_field_levels,
    parquet_to_arrow_schema,
};
use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::catch_panic::catch_panic;
use crate::conform::{decimal, same_values};
use crate::int96::INT96_BYTES;

use DataType::{
    Binary, Date32, Date64, Dictionary, Duration, FixedSizeList, Int32, Int64, LargeList, LargeListView, LargeUtf8,
    List, ListView, Map, Struct, Time32, Time64, Timestamp, Utf8, Utf8View,
};

/// The types of a root column.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RootType {
    pub(super) name: String,
    /// By the Parquet schema alone.
    pub(super) stored: DataType,
    /// With the embedded Arrow schema where that fits.
    pub(super) natural: DataType,
    /// Whether it is one column of INT96.
    pub(super) is_int96: bool,
}

/// The types of all root columns, and how many parts of the embedded schema contradict them.
///
/// # Errors
/// The name of a column whose Parquet type has no Arrow type.
pub(super) fn root_types(
    parquet: &SchemaDescriptor,
    embedded: Option<&String>,
) -> std::result::Result<(Vec<RootType>, u64), (String, ParquetError)> {
    let roots = parquet.root_schema().get_fields();
    let stored = roots.iter().map(|root| {
        let as_pyarrow = as_pyarrow_has_it(root, Int96::Timestamp);
        let stored = as_pyarrow.and_then(|root| Ok((arrow_type(&root, None)?, root)));
        stored.map_err(|error| (root.name().to_string(), error))
    });
    let (stored, roots_read): (Vec<DataType>, Vec<TypePtr>) =
        stored.collect::<std::result::Result<Vec<_>, _>>()?.into_iter().unzip();
    let (hinted, mut ignored) = match embedded {
        Some(embedded) => hinted_types(&roots_read, embedded),
        None => (vec![None; stored.len()], 0),
    };
    let mut types = Vec::with_capacity(roots.len());
    for ((root, stored), hinted) in roots.iter().zip(stored).zip(hinted) {
        let natural = match hinted {
            Some(hinted) if refines(&stored, &hinted) => hinted,
            Some(_) => {
                ignored += 1;
                stored.clone()
            }
            None => stored.clone(),
        };
        let is_int96 = root.is_primitive() && root.get_physical_type() == PhysicalType::INT96;
        types.push(RootType { name: root.name().to_string(), stored, natural, is_int96 });
    }
    Ok((types, ignored))
}

/// How to decode one root column as a type, in which INT96 is binary. A type that does not fit the column is ignored.
pub(super) fn decoding(root: &TypePtr, data_type: &DataType) -> Result<FieldLevels> {
    let root = as_pyarrow_has_it(root, Int96::Binary)?;
    let hint = Fields::from(vec![Field::new(root.name(), data_type.clone(), true)]);
    parquet_to_arrow_field_levels(&alone(&root)?, ProjectionMask::all(), Some(&hint))
}

/// For each root column, the type of the embedded schema as far as the column can be decoded as that; `None` where it
/// says nothing.
///
/// A schema with other columns counts as one contradiction, and so does a column's type that cannot be used.
fn hinted_types(roots: &[TypePtr], embedded: &str) -> (Vec<Option<DataType>>, u64) {
    let all = Type::group_type_builder("schema").with_fields(roots.to_vec()).build();
    if let Ok(all) = all
        && let Some(schema) = with_embedded(&SchemaDescriptor::new(Arc::new(all)), embedded)
        && schema.fields().len() == roots.len()
    {
        return (schema.fields().iter().map(|field| Some(field.data_type().clone())).collect(), 0);
    }
    // A schema with other columns: those that are in both, by name.
    let fields = embedded_fields(embedded).unwrap_or_default();
    let mut ignored = 1;
    let mut hinted = |root: &TypePtr| {
        let mut same_name = fields.iter().filter(|field| field.name() == root.name());
        let (Some(field), None) = (same_name.next(), same_name.next()) else { return None };
        let hinted = catch_panic(|| arrow_type(root, Some(field)));
        if !matches!(hinted, Ok(Ok(_))) {
            ignored += 1;
        }
        hinted.ok()?.ok()
    };
    let hinted = roots.iter().map(&mut hinted).collect();
    (hinted, ignored)
}

/// The Arrow schema of columns with an embedded one; `None` where that cannot be used.
fn with_embedded(parquet: &SchemaDescriptor, embedded: &str) -> Option<Schema> {
    let metadata = vec![KeyValue::new(ARROW_SCHEMA_META_KEY.to_string(), embedded.to_string())];
    // A damaged schema may be more than the library expects.
    catch_panic(|| parquet_to_arrow_schema(parquet, Some(&metadata)).ok()).ok().flatten()
}

/// The fields of an embedded Arrow schema; `None` where it cannot be decoded.
fn embedded_fields(embedded: &str) -> Option<Fields> {
    let bytes = BASE64_STANDARD.decode(embedded).ok()?;
    // Since Arrow 0.15, a marker and the length come before the message.
    let message = match bytes.strip_prefix(&[0xff; 4]) {
        Some(rest) => rest.get(4..)?,
        None => &bytes[..],
    };
    catch_panic(|| try_schema_from_flatbuffer_bytes(message).ok()).ok().flatten().map(|schema| schema.fields)
}

fn arrow_type(root: &TypePtr, hint: Option<&FieldRef>) -> Result<DataType> {
    let metadata = hint.map(|hint| {
        let schema = Schema::new(vec![Arc::clone(hint)]);
        vec![KeyValue::new(ARROW_SCHEMA_META_KEY.to_string(), encode_arrow_schema(&schema))]
    });
    let schema = parquet_to_arrow_schema(&alone(root)?, metadata.as_ref())?;
    let field = schema.fields().first();
    field.map(|field| field.data_type().clone()).ok_or_else(|| ParquetError::General("a group without columns".into()))
}

fn alone(root: &TypePtr) -> Result<SchemaDescriptor> {
    let alone = Type::group_type_builder("schema").with_fields(vec![Arc::clone(root)]).build()?;
    Ok(SchemaDescriptor::new(Arc::new(alone)))
}

/// What INT96 is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Int96 {
    Timestamp,
    /// 12 bytes, because the decoder wraps timestamps that are out of range.
    Binary,
}

/// A column whose logical types are those that pyarrow knows: an INTERVAL is 12 bytes, and integers of an unknown
/// logical type are integers.
fn as_pyarrow_has_it(node: &TypePtr, int96: Int96) -> Result<TypePtr> {
    let info = node.get_basic_info();
    let (physical_type, length) = match node.as_ref() {
        Type::GroupType { fields, .. } => {
            let changed = fields.iter().map(|field| as_pyarrow_has_it(field, int96)).collect::<Result<Vec<_>>>()?;
            let is_same = changed.iter().zip(fields).all(|(changed, field)| Arc::ptr_eq(changed, field));
            return Ok(match is_same {
                true => Arc::clone(node),
                false => Arc::new(Type::GroupType { basic_info: info.clone(), fields: changed }),
            });
        }
        Type::PrimitiveType { physical_type, type_length, .. } => match physical_type {
            PhysicalType::INT96 if int96 == Int96::Binary => (PhysicalType::FIXED_LEN_BYTE_ARRAY, INT96_BYTES),
            PhysicalType::FIXED_LEN_BYTE_ARRAY if info.converted_type() == ConvertedType::INTERVAL => {
                (PhysicalType::FIXED_LEN_BYTE_ARRAY, *type_length)
            }
            PhysicalType::INT32 | PhysicalType::INT64
                if matches!(info.logical_type_ref(), Some(LogicalType::_Unknown { .. })) =>
            {
                (*physical_type, -1)
            }
            _ => return Ok(Arc::clone(node)),
        },
    };
    let plain = Type::primitive_type_builder(node.name(), physical_type)
        .with_repetition(info.repetition())
        .with_length(length)
        .with_id(info.has_id().then(|| info.id()));
    Ok(Arc::new(plain.build()?))
}

/// Whether values of a column that is stored as one type are those of the other, in bits: the other only says more.
///
/// The `parquet` crate also takes units of time and scales of decimals from an embedded schema, which changes values.
fn refines(stored: &DataType, natural: &DataType) -> bool {
    if same_values(stored, natural) {
        return true;
    }
    match (stored, natural) {
        (_, Dictionary(_, values)) => refines(stored, values),
        (Int32, Time32(_) | Timestamp(..)) => true,
        (Int64, Time64(_) | Timestamp(..) | Duration(_) | Date64) | (Date32, Date64) => true,
        (Binary, Utf8 | LargeUtf8 | Utf8View) => true,
        (Timestamp(unit, _), Timestamp(other, _)) => unit == other,
        (List(stored), List(field) | LargeList(field) | FixedSizeList(field, _))
        | (List(stored), ListView(field) | LargeListView(field)) => refines(stored.data_type(), field.data_type()),
        (Struct(stored), Struct(natural)) => {
            stored.len() == natural.len()
                && stored.iter().zip(natural).all(|(stored, field)| {
                    stored.name() == field.name() && refines(stored.data_type(), field.data_type())
                })
        }
        (Map(stored, _), Map(natural, _)) => match (stored.data_type(), natural.data_type()) {
            (Struct(stored), Struct(natural)) => {
                let pairs = stored.iter().zip(natural);
                stored.len() == natural.len()
                    && pairs.into_iter().all(|(stored, field)| refines(stored.data_type(), field.data_type()))
            }
            _ => false,
        },
        _ => decimal(stored).is_some() && decimal(stored) == decimal(natural),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::TimeUnit;
    use parquet::schema::parser::parse_message_type;

    fn descriptor(message: &str) -> SchemaDescriptor {
        SchemaDescriptor::new(Arc::new(parse_message_type(message).unwrap()))
    }

    fn types(message: &str, embedded: &[(&str, DataType)]) -> (Vec<DataType>, u64) {
        let fields: Vec<Field> = embedded.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        let embedded = (!fields.is_empty()).then(|| encode_arrow_schema(&Schema::new(fields)));
        let (types, ignored) = root_types(&descriptor(message), embedded.as_ref()).unwrap();
        (types.into_iter().map(|root| root.natural).collect(), ignored)
    }

    const THREE: &str = "message schema { optional int64 wait; optional binary name (UTF8); optional double ra; }";

    #[test]
    fn an_embedded_schema_refines_types() {
        let wait = Duration(TimeUnit::Second);
        let embedded = [("wait", wait.clone()), ("name", LargeUtf8), ("ra", DataType::Float64)];
        assert_eq!(types(THREE, &embedded), (vec![wait, LargeUtf8, DataType::Float64], 0));
    }

    #[test]
    fn a_schema_of_other_columns_is_used_by_name() {
        let wait = Duration(TimeUnit::Second);
        let dropped = [("wait", wait.clone()), ("old", Int32), ("name", LargeUtf8), ("ra", DataType::Float64)];
        assert_eq!(types(THREE, &dropped), (vec![wait.clone(), LargeUtf8, DataType::Float64], 1));
        let renamed = [("wait", wait.clone()), ("title", LargeUtf8), ("ra", DataType::Float64)];
        assert_eq!(types(THREE, &renamed), (vec![wait.clone(), Utf8, DataType::Float64], 1));
        let added = [("wait", wait.clone()), ("ra", DataType::Float64)];
        assert_eq!(types(THREE, &added), (vec![wait, Utf8, DataType::Float64], 1));
        let group = "message schema { optional group s { optional int32 a; optional int64 b; } optional int64 wait; }";
        let less = Struct(vec![Field::new("a", Int32, true)].into());
        let (found, ignored) = types(group, &[("s", less), ("wait", Duration(TimeUnit::Second))]);
        assert_eq!((found.len(), &found[1], ignored), (2, &Duration(TimeUnit::Second), 2));
    }

    #[test]
    fn damaged_schemas_are_ignored() {
        for embedded in ["", "not base64!", "////////", "AAAA", "/////xAAAAAAAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAA"] {
            let (found, ignored) = root_types(&descriptor(THREE), Some(&embedded.to_string())).unwrap();
            assert_eq!((found[0].natural.clone(), ignored), (Int64, 1), "{embedded}");
        }
    }

    #[test]
    fn no_hint_changes_values() {
        let message = "message schema {
            optional int64 t (TIMESTAMP(NANOS,false)); optional int32 d (DECIMAL(9,2)); optional int64 n;
        }";
        let unit = |unit| Timestamp(unit, None);
        let (decimal, other) = (DataType::Decimal128(9, 2), DataType::Decimal64(9, 3));
        let embedded = [("t", unit(TimeUnit::Microsecond)), ("d", other), ("n", unit(TimeUnit::Second))];
        let wanted = vec![unit(TimeUnit::Nanosecond), decimal, unit(TimeUnit::Second)];
        assert_eq!(types(message, &embedded), (wanted, 2));
    }

    #[test]
    fn intervals_and_int96_are_as_pyarrow_has_them() {
        let message = "message schema {
            optional group s { optional fixed_len_byte_array(12) wait (INTERVAL); optional int96 seen; }
            optional int96 at;
        }";
        let (found, _) = root_types(&descriptor(message), None).unwrap();
        let nanoseconds = Timestamp(TimeUnit::Nanosecond, None);
        let fields = vec![
            Field::new("wait", DataType::FixedSizeBinary(12), true),
            Field::new("seen", nanoseconds.clone(), true),
        ];
        assert_eq!(found[0].stored, Struct(fields.into()));
        assert_eq!((&found[1].stored, found[1].is_int96, found[0].is_int96), (&nanoseconds, true, false));
    }
}
