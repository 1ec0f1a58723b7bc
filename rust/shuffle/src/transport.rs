//! The types in which rows travel from the catalog's files to those of the margin.
//!
//! Dictionaries are replaced by their values: their order depends on which rows were read together, and the bytes of
//! the output would depend on it. Views are replaced by large strings, so that a few rows do not keep whole buffers.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};

use DataType::{
    Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, Duration,
    FixedSizeBinary, FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32, Int64, Interval, LargeBinary,
    LargeList, LargeListView, LargeUtf8, List, ListView, Map, Null, RunEndEncoded, Struct, Time32, Time64, Timestamp,
    UInt8, UInt16, UInt32, UInt64, Union, Utf8, Utf8View,
};

/// The schema in which rows of `schema` travel; names, nullability, metadata and order stay.
pub fn transport_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(transport_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn transport_field(field: &FieldRef) -> FieldRef {
    let data_type = transport_type(field.data_type());
    if data_type == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Every type is named, so that a new one does not compile until it is decided.
fn transport_type(data_type: &DataType) -> DataType {
    match data_type {
        Dictionary(_, values) => transport_type(values),
        Utf8View => LargeUtf8,
        BinaryView => LargeBinary,
        List(element) | ListView(element) => List(transport_field(element)),
        LargeList(element) | LargeListView(element) => LargeList(transport_field(element)),
        FixedSizeList(element, size) => FixedSizeList(transport_field(element), *size),
        Struct(fields) => Struct(fields.iter().map(transport_field).collect()),
        Map(entries, sorted) => Map(transport_field(entries), *sorted),
        Null | Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float16 | Float32
        | Float64 => data_type.clone(),
        Timestamp(..) | Date32 | Date64 | Time32(_) | Time64(_) | Duration(_) => data_type.clone(),
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => data_type.clone(),
        Utf8 | LargeUtf8 | Binary | LargeBinary | FixedSizeBinary(_) => data_type.clone(),
        // Parquet has none of these.
        Interval(_) | Union(..) | RunEndEncoded(..) => data_type.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::Field;

    #[test]
    fn views_and_dictionaries_are_replaced_at_every_depth() {
        let band = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8View));
        let pair =
            DataType::Struct(vec![Field::new("band", band, false), Field::new("n", DataType::Int8, true)].into());
        let list = DataType::LargeList(Arc::new(Field::new("item", pair, true)));
        let schema = Schema::new(vec![Field::new("x", list, false)]);
        let pair = DataType::Struct(
            vec![Field::new("band", DataType::LargeUtf8, false), Field::new("n", DataType::Int8, true)].into(),
        );
        let list = DataType::LargeList(Arc::new(Field::new("item", pair, true)));
        assert_eq!(*transport_schema(&schema), Schema::new(vec![Field::new("x", list, false)]));
    }
}
