//! Drops null bitmaps without nulls.
//!
//! Arrow's kernels make one wherever an input has one, so that it depends on which rows were gathered together. Parquet's
//! encoder works in other steps where there is a bitmap, and cuts pages at other rows.

use arrow_array::{Array, ArrayRef, make_array};

/// The array without bitmaps that mark no null, at every depth.
pub(crate) fn without_idle_nulls(array: ArrayRef) -> ArrayRef {
    if array.nulls().is_none() && !array.data_type().is_nested() {
        return array;
    }
    // `ArrayData` does not keep them.
    make_array(array.to_data())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::{Int64Array, ListArray, StructArray};
    use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
    use arrow_schema::{DataType, Field};
    use std::sync::Arc;

    #[test]
    fn only_bitmaps_without_nulls_go() {
        let idle = |length| Some(NullBuffer::new_valid(length));
        let numbers: ArrayRef = Arc::new(Int64Array::new(ScalarBuffer::from(vec![1, 2, 3]), idle(3)));
        let field = Arc::new(Field::new("n", DataType::Int64, true));
        let nulls = Some(NullBuffer::from(vec![true, false, true]));
        let pair: ArrayRef = Arc::new(StructArray::new(vec![Arc::clone(&field)].into(), vec![numbers.clone()], nulls));
        let entry = Arc::new(Field::new("item", pair.data_type().clone(), true));
        let lists: ArrayRef =
            Arc::new(ListArray::new(entry, OffsetBuffer::from_lengths([2, 1]), Arc::clone(&pair), idle(2)));
        let kept = without_idle_nulls(Arc::clone(&lists));
        assert_eq!(&kept, &lists);
        assert!(kept.nulls().is_none());
        let pairs = kept.as_list::<i32>().values().as_struct();
        assert_eq!(pairs.null_count(), 1);
        assert!(pairs.column(0).nulls().is_none());
        assert!(without_idle_nulls(numbers).nulls().is_none());
        assert_eq!(without_idle_nulls(pair).null_count(), 1);
    }
}
