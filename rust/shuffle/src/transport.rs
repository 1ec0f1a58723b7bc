//! The types in which rows travel from the catalog's files to those of the margin.
//!
//! Dictionaries are replaced by their values: their order depends on which rows were read together, and the bytes of
//! the output would depend on it. Views are replaced by large strings, so that a few rows do not keep whole buffers.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};

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

fn transport_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => transport_type(values),
        DataType::Utf8View => DataType::LargeUtf8,
        DataType::BinaryView => DataType::LargeBinary,
        DataType::List(element) | DataType::ListView(element) => DataType::List(transport_field(element)),
        DataType::LargeList(element) | DataType::LargeListView(element) => {
            DataType::LargeList(transport_field(element))
        }
        DataType::FixedSizeList(element, size) => DataType::FixedSizeList(transport_field(element), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(transport_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(transport_field(entries), *sorted),
        other => other.clone(),
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
