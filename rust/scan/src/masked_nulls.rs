//! Nulls of structs in their children.
//!
//! Of a struct that is null, the decoder of the `parquet` crate gives a child that is never null any value, or a null
//! that no struct around it masks: then Arrow's kernels refuse the struct. Here such children are null where the struct
//! is.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray, make_array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, FieldRef};

use crate::int96::INT96_BYTES;

use DataType::{FixedSizeBinary, FixedSizeList, LargeList, List, Map, Struct};

/// An array as it was decoded, with the nulls of structs in children that need them.
///
/// # Errors
/// When a null is where none is allowed.
pub(super) fn with_masked_nulls(array: ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !has_masked(array.data_type()) {
        return Ok(array);
    }
    Ok(match array.data_type() {
        Struct(fields) => {
            let own = array.as_struct();
            let nulls = own.nulls();
            let children = fields.iter().zip(own.columns()).map(|(field, child)| {
                with_masked_nulls(match nulls {
                    Some(nulls) if is_masked(field) => masked(child, nulls)?,
                    _ => Arc::clone(child),
                })
            });
            let children = children.collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), children, nulls.cloned(), array.len())?)
        }
        List(field) => list::<i32>(&array, field)?,
        LargeList(field) => list::<i64>(&array, field)?,
        FixedSizeList(field, size) => {
            let values = with_masked_nulls(Arc::clone(array.as_fixed_size_list().values()))?;
            let (field, nulls) = (Arc::clone(field), array.nulls().cloned());
            Arc::new(FixedSizeListArray::try_new_with_length(field, *size, values, nulls, array.len())?)
        }
        Map(field, sorted) => {
            let own = array.as_map();
            let entries = with_masked_nulls(Arc::new(own.entries().clone()))?;
            let (offsets, entries) = (own.offsets().clone(), entries.as_struct().clone());
            Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, own.nulls().cloned(), *sorted)?)
        }
        _ => array,
    })
}

fn list<O: OffsetSizeTrait>(array: &ArrayRef, field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let own = array.as_list::<O>();
    let values = with_masked_nulls(Arc::clone(own.values()))?;
    let (offsets, nulls) = (own.offsets().clone(), own.nulls().cloned());
    Ok(Arc::new(GenericListArray::<O>::try_new(Arc::clone(field), offsets, values, nulls)?))
}

/// A child that is null where the struct around it is.
fn masked(child: &ArrayRef, nulls: &NullBuffer) -> Result<ArrayRef, ArrowError> {
    let nulls = NullBuffer::union(child.nulls(), Some(nulls));
    Ok(make_array(child.to_data().into_builder().nulls(nulls).build()?))
}

/// Whether a type has a struct with a child that needs the nulls of the struct.
fn has_masked(data_type: &DataType) -> bool {
    match data_type {
        Struct(fields) => fields.iter().any(|field| is_masked(field) || has_masked(field.data_type())),
        List(field) | LargeList(field) | FixedSizeList(field, _) | Map(field, _) => has_masked(field.data_type()),
        _ => false,
    }
}

/// Structs have children that must not be null, and INT96 has values that are no timestamps.
fn is_masked(field: &FieldRef) -> bool {
    !field.is_nullable() && matches!(field.data_type(), Struct(_) | FixedSizeBinary(INT96_BYTES))
}
