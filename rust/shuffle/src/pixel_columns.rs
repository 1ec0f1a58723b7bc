//! The columns by which a HiPSCat margin names its own pixel, and the partition that each row comes from.

use std::sync::Arc;

use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray, UInt8Array, UInt64Array};
use arrow_schema::{ArrowError, DataType};
use skymargin_geometry::pixel::Pixel;

/// Directories hold so many pixels.
const DIRECTORY_PIXELS: u64 = 10_000;

/// Sets three columns of the rows to the margin's pixel, and adds order (uint8), directory and pixel (uint64) of the
/// partition that each row comes from.
#[derive(Clone, Copy, Debug)]
pub struct PixelColumns {
    /// The positions of the columns of order, directory and pixel.
    pub places: [usize; 3],
}

fn directory(pixel: u64) -> u64 {
    pixel / DIRECTORY_PIXELS * DIRECTORY_PIXELS
}

impl PixelColumns {
    /// A column of a margin's rows that come from these partitions, where it is not one of the catalog alone.
    ///
    /// `catalog_columns` is the number of those, `data_type` the type of the column.
    pub(crate) fn column(
        self,
        place: usize,
        data_type: &DataType,
        catalog_columns: usize,
        margin: Pixel,
        (orders, pixels): &(UInt8Array, UInt64Array),
    ) -> Result<Option<ArrayRef>, ArrowError> {
        let values = [u64::from(margin.order()), directory(margin.index()), margin.index()];
        if let Some(at) = self.places.iter().position(|own| *own == place) {
            return constant(values[at], pixels.len(), data_type).map(Some);
        }
        Ok(match place.checked_sub(catalog_columns) {
            None => None,
            Some(0) => Some(Arc::new(orders.clone())),
            Some(1) => Some(Arc::new(pixels.values().iter().map(|pixel| directory(*pixel)).collect::<UInt64Array>())),
            Some(_) => Some(Arc::new(pixels.clone())),
        })
    }
}

/// A column that has one number in all rows.
fn constant(number: u64, rows: usize, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    match data_type {
        DataType::Int8 => repeated::<Int8Type>(number, rows),
        DataType::Int16 => repeated::<Int16Type>(number, rows),
        DataType::Int32 => repeated::<Int32Type>(number, rows),
        DataType::Int64 => repeated::<Int64Type>(number, rows),
        DataType::UInt8 => repeated::<UInt8Type>(number, rows),
        DataType::UInt16 => repeated::<UInt16Type>(number, rows),
        DataType::UInt32 => repeated::<UInt32Type>(number, rows),
        DataType::UInt64 => repeated::<UInt64Type>(number, rows),
        _ => Err(ArrowError::CastError(format!("a pixel cannot be of type {data_type}"))),
    }
}

fn repeated<T: ArrowPrimitiveType>(number: u64, rows: usize) -> Result<ArrayRef, ArrowError>
where
    T::Native: TryFrom<u64>,
{
    let too_large = |_| ArrowError::CastError(format!("the pixel {number} is too large for {}", T::DATA_TYPE));
    Ok(Arc::new(PrimitiveArray::<T>::from_value(T::Native::try_from(number).map_err(too_large)?, rows)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;

    #[test]
    fn pixel_columns_keep_their_types() {
        let source = (UInt8Array::from(vec![3, 4]), UInt64Array::from(vec![123, 45_678]));
        let margin = Pixel::new(5, 10_007).unwrap();
        let pixel_columns = PixelColumns { places: [1, 2, 3] };
        let column = |place, data_type: &DataType| pixel_columns.column(place, data_type, 4, margin, &source).unwrap();
        let narrow = |place| column(place, &DataType::Int16).unwrap().as_primitive::<Int16Type>().values().to_vec();
        let wide = |place| column(place, &DataType::UInt64).unwrap().as_primitive::<UInt64Type>().values().to_vec();
        assert!(column(0, &DataType::Float64).is_none());
        assert_eq!((narrow(1), narrow(2), narrow(3)), (vec![5, 5], vec![10_000, 10_000], vec![10_007, 10_007]));
        assert_eq!(column(4, &DataType::UInt8).unwrap().as_primitive::<UInt8Type>().values().to_vec(), [3, 4]);
        assert_eq!((wide(5), wide(6)), (vec![0, 40_000], vec![123, 45_678]));
    }

    #[test]
    fn a_pixel_that_does_not_fit_its_column_is_refused() {
        let source = (UInt8Array::from(vec![3]), UInt64Array::from(vec![1]));
        let margin = Pixel::new(8, 700_000).unwrap();
        let pixel_columns = PixelColumns { places: [0, 0, 0] };
        assert!(pixel_columns.column(0, &DataType::UInt16, 1, margin, &source).is_ok());
        let pixel_columns = PixelColumns { places: [9, 9, 0] };
        assert!(pixel_columns.column(0, &DataType::UInt16, 1, margin, &source).is_err());
    }
}
