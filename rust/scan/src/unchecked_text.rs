//! Text that the decoder does not check.
//!
//! The `parquet` crate checks the encoding of columns that are annotated as UTF-8. Those of other annotations, as JSON,
//! and those that only an embedded Arrow schema says to be text are text of Arrow, too, which must be UTF-8.

use arrow_array::Array;
use arrow_schema::DataType;
use parquet::basic::{ConvertedType, Type};
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescriptor;

/// Whether text in a Parquet column is not checked by the decoder.
pub(super) fn is_unchecked(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Type::BYTE_ARRAY && column.converted_type() != ConvertedType::UTF8
}

/// Checks the text in an array.
///
/// # Errors
/// When it is not UTF-8.
pub(super) fn check_text(array: &dyn Array) -> Result<()> {
    if !has_text(array.data_type()) {
        return Ok(());
    }
    array.to_data().validate_full().map_err(|error| ParquetError::General(error.to_string()))
}

fn has_text(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeUtf8, List, Map, Struct, Utf8};
    match data_type {
        Utf8 | LargeUtf8 => true,
        Struct(fields) => fields.iter().any(|field| has_text(field.data_type())),
        List(field) | LargeList(field) | FixedSizeList(field, _) | Map(field, _) => has_text(field.data_type()),
        _ => false,
    }
}
