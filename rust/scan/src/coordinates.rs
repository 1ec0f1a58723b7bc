//! Right ascension and declination of rows as float64 degrees, from columns of any numeric type.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_schema::DataType;
use parquet::basic::Type;

use crate::budget::Budget;
use crate::column_reader::ColumnReader;
use crate::error::{ColumnError, ScanError};
use crate::fetched::Fetched;
use crate::file::ParquetFile;
use crate::row_ranges::RowRanges;
use crate::schema::FileColumn;
use skymargin_geometry::healpix;
use skymargin_geometry::pixel::MAX_ORDER;

/// The number of rows read at once.
const BATCH_ROWS: usize = 64 * 1024;

/// All integers up to this are exact as float64.
const EXACT_INTEGER: i128 = 1 << 53;
/// All powers of ten up to this one are exact as float64.
const EXACT_POWER_OF_TEN: i8 = 22;

/// The columns that hold the coordinates.
#[derive(Clone, Copy)]
pub(super) struct CoordinateColumns<'a> {
    pub(super) ra: &'a FileColumn,
    pub(super) dec: &'a FileColumn,
}

/// A piece of the coordinates of some rows.
pub(super) struct Coordinates {
    pub(super) ra_deg: Vec<f64>,
    pub(super) dec_deg: Vec<f64>,
    /// The columns with the types of the file.
    pub(super) ra: ArrayRef,
    pub(super) dec: ArrayRef,
}

impl CoordinateColumns<'_> {
    /// Checks that both are columns of numbers.
    pub(super) fn check_types(&self, file: &str) -> Result<(), ScanError> {
        for column in [self.ra, self.dec] {
            use DataType::{Decimal32, Decimal64, Decimal128, Float16, Float32, Float64};
            let fits = match column.natural() {
                Float16 | Float32 | Float64 => true,
                Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) => {
                    (0..=EXACT_POWER_OF_TEN).contains(scale)
                }
                other => other.is_integer(),
            };
            if !fits {
                return Err(ScanError::Column {
                    file: file.to_string(),
                    column: column.name().to_string(),
                    source: ColumnError::CoordinateType { found: column.natural().clone() },
                });
            }
        }
        Ok(())
    }
}

/// Reads both columns at some rows, in pieces.
pub(super) struct CoordinateReader {
    file: Arc<ParquetFile>,
    names: [String; 2],
    ra: ColumnReader,
    dec: ColumnReader,
    rows: RowRanges,
    given: u64,
}

impl CoordinateReader {
    pub(super) fn new(
        file: &Arc<ParquetFile>,
        columns: CoordinateColumns<'_>,
        rows: RowRanges,
        budget: Budget,
        in_hand: &Arc<Fetched>,
    ) -> Result<Self, ScanError> {
        let both = [columns.ra, columns.dec];
        let (covered, fetched) = file.fetch(&both, &rows, budget.fetch_bytes(), in_hand)?;
        let fetched_dec = match covered {
            1 => file.fetch(&both[1..], &rows, budget.fetch_bytes(), in_hand)?.1,
            _ => Arc::clone(&fetched),
        };
        let batch_rows = BATCH_ROWS.min(rows.len() as usize).min(budget.candidates());
        Ok(Self {
            ra: file.read(columns.ra, &rows, batch_rows, &fetched)?,
            dec: file.read(columns.dec, &rows, batch_rows, &fetched_dec)?,
            file: Arc::clone(file),
            names: both.map(|column| column.name().to_string()),
            rows,
            given: 0,
        })
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Coordinates>, ScanError> {
        let Some(ra) = self.ra.next().transpose()? else {
            self.file.check_rows(&self.names[0], self.given, self.rows.len())?;
            return Ok(None);
        };
        let dec = self.dec.next().transpose()?;
        let found = dec.as_ref().map_or(0, |dec| dec.len() as u64);
        self.file.check_rows(&self.names[1], self.given + found, self.given + ra.len() as u64)?;
        let Some(dec) = dec else { return Ok(None) };
        let ra_deg = self.degrees(&ra, &self.names[0])?;
        let dec_deg = self.degrees(&dec, &self.names[1])?;
        self.given += ra.len() as u64;
        Ok(Some(Coordinates { ra_deg, dec_deg, ra, dec }))
    }

    fn degrees(&self, array: &ArrayRef, column: &str) -> Result<Vec<f64>, ScanError> {
        degrees(array).map_err(|(position, value)| {
            let row = self.rows.iter().nth(self.given as usize + position).unwrap_or(self.given);
            let source = match value {
                Some(value) => ColumnError::CoordinateInexact { value, row },
                None => ColumnError::CoordinateType { found: array.data_type().clone() },
            };
            ScanError::Column { file: self.file.name().to_string(), column: column.to_string(), source }
        })
    }
}

/// The spatial index of positions at an order; `u64::MAX` for an invalid position.
pub(super) fn spatial_index(order: u8, ra_deg: &[f64], dec_deg: &[f64]) -> Vec<u64> {
    debug_assert!(order <= MAX_ORDER);
    let index = |(ra_deg, dec_deg): (&f64, &f64)| {
        if ra_deg.is_finite() && dec_deg.abs() <= 90.0 {
            healpix::index_of_ra_dec_deg(order, *ra_deg, *dec_deg)
        } else {
            u64::MAX
        }
    };
    ra_deg.iter().zip(dec_deg).map(index).collect()
}

/// The number that plain bytes of a column encode, in statistics, as float64; `None` where they encode none.
///
/// # Accuracy
/// That of the values themselves, which [`degrees`] reads: both round alike, so that bounds of values bound the
/// numbers.
pub(super) fn plain_degrees(bytes: &[u8], stored: Type, natural: &DataType) -> Option<f64> {
    use DataType::{Decimal32, Decimal64, Decimal128, Float16, Float32, Float64, UInt8, UInt16, UInt32, UInt64};
    let integer = || match stored {
        Type::INT32 => Some(i128::from(i32::from_le_bytes(bytes.try_into().ok()?))),
        Type::INT64 => Some(i128::from(i64::from_le_bytes(bytes.try_into().ok()?))),
        Type::FIXED_LEN_BYTE_ARRAY | Type::BYTE_ARRAY if (1..=16).contains(&bytes.len()) => {
            // Two's complement, the highest byte first.
            let sign = if bytes[0] >> 7 == 1 { -1 } else { 0 };
            Some(bytes.iter().fold(sign, |value, byte| value << 8 | i128::from(*byte)))
        }
        _ => None,
    };
    let exact = |value: i128| (-EXACT_INTEGER..=EXACT_INTEGER).contains(&value).then_some(value as f64);
    match natural {
        Float64 => Some(f64::from_le_bytes(bytes.try_into().ok()?)),
        Float32 => Some(f64::from(f32::from_le_bytes(bytes.try_into().ok()?))),
        Float16 => Some(<Float16Type as ArrowPrimitiveType>::Native::from_le_bytes(bytes.try_into().ok()?).into()),
        Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) => {
            Some(exact(integer()?)? / 10_f64.powi(i32::from(*scale)))
        }
        UInt64 => exact(i128::from(integer()? as u64)),
        UInt8 | UInt16 | UInt32 => exact(i128::from(integer()? as u32)),
        other if other.is_integer() => exact(integer()?),
        _ => None,
    }
}

/// The numbers of an array as float64, NaN for null.
///
/// # Accuracy
/// Floats and integers are exact. A decimal of up to 2^53 units and 22 places is the nearest float64, because both
/// the units and the power of ten are exact and the division rounds once.
///
/// # Errors
/// The position and the text of a value that is not exact; no text when the type is not numeric.
fn degrees(array: &ArrayRef) -> Result<Vec<f64>, (usize, Option<String>)> {
    fn exact<T: ArrowPrimitiveType<Native: Into<f64>>>(array: &ArrayRef) -> Vec<f64> {
        array.as_primitive::<T>().iter().map(|value| value.map_or(f64::NAN, Into::into)).collect()
    }
    fn checked<T: ArrowPrimitiveType<Native: Into<i128>>>(
        array: &ArrayRef,
        scale: i8,
    ) -> Result<Vec<f64>, (usize, Option<String>)> {
        let power = 10_f64.powi(i32::from(scale));
        let values = array.as_primitive::<T>().iter().enumerate();
        let number = |(position, value): (usize, Option<T::Native>)| match value.map(Into::into) {
            None => Ok(f64::NAN),
            Some(units) if (-EXACT_INTEGER..=EXACT_INTEGER).contains(&units) => Ok(units as f64 / power),
            Some(units) => Err((position, Some(format!("{units}e{}", -scale)))),
        };
        values.map(number).collect()
    }
    Ok(match array.data_type() {
        DataType::Float64 if array.null_count() == 0 => array.as_primitive::<Float64Type>().values().to_vec(),
        DataType::Float64 => exact::<Float64Type>(array),
        DataType::Float32 => exact::<Float32Type>(array),
        DataType::Float16 => exact::<Float16Type>(array),
        DataType::Int8 => exact::<Int8Type>(array),
        DataType::Int16 => exact::<Int16Type>(array),
        DataType::Int32 => exact::<Int32Type>(array),
        DataType::UInt8 => exact::<UInt8Type>(array),
        DataType::UInt16 => exact::<UInt16Type>(array),
        DataType::UInt32 => exact::<UInt32Type>(array),
        DataType::Int64 => checked::<Int64Type>(array, 0)?,
        DataType::UInt64 => checked::<UInt64Type>(array, 0)?,
        DataType::Decimal32(_, scale) => checked::<Decimal32Type>(array, *scale)?,
        DataType::Decimal64(_, scale) => checked::<Decimal64Type>(array, *scale)?,
        DataType::Decimal128(_, scale) => checked::<Decimal128Type>(array, *scale)?,
        _ => return Err((0, None)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Decimal128Array, Float32Array, Int64Array};

    fn degrees_of(array: impl Array + 'static) -> Result<Vec<f64>, (usize, Option<String>)> {
        let array: ArrayRef = Arc::new(array);
        degrees(&array)
    }

    #[test]
    fn numbers_of_every_kind_become_degrees() {
        assert_eq!(degrees_of(Float32Array::from(vec![0.1_f32])).unwrap(), [f64::from(0.1_f32)]);
        let decimals = Decimal128Array::from(vec![Some(123_456_789_i128), None]).with_precision_and_scale(20, 7);
        let decimals = degrees_of(decimals.unwrap()).unwrap();
        assert_eq!(decimals[0], 12.345_678_9);
        assert!(decimals[1].is_nan());
    }

    #[test]
    fn plain_bytes_are_read_by_their_type() {
        use DataType::{Decimal64, Decimal128, Float16, Float32, Float64, Int16, UInt32, UInt64};
        for (bytes, stored, natural, wanted) in [
            (&12.5_f64.to_le_bytes()[..], Type::DOUBLE, Float64, Some(12.5)),
            (&0.1_f32.to_le_bytes(), Type::FLOAT, Float32, Some(f64::from(0.1_f32))),
            (&[0x00, 0xbe], Type::FIXED_LEN_BYTE_ARRAY, Float16, Some(-1.5)),
            (&(-7_i32).to_le_bytes(), Type::INT32, Int16, Some(-7.0)),
            (&u32::MAX.to_le_bytes(), Type::INT32, UInt32, Some(4_294_967_295.0)),
            (&360_u64.to_le_bytes(), Type::INT64, UInt64, Some(360.0)),
            (&u64::MAX.to_le_bytes(), Type::INT64, UInt64, None),
            (&(-123_456_789_i64).to_le_bytes(), Type::INT64, Decimal64(12, 7), Some(-12.345_678_9)),
            (&[0xff, 0xf8, 0xa4, 0x32, 0xeb], Type::FIXED_LEN_BYTE_ARRAY, Decimal128(11, 7), Some(-12.345_678_9)),
            (&[0x07, 0x5b, 0xcd, 0x15], Type::FIXED_LEN_BYTE_ARRAY, Decimal128(9, 7), Some(12.345_678_9)),
            (&[0x07, 0x5b, 0xcd, 0x15], Type::BYTE_ARRAY, Decimal128(9, 7), Some(12.345_678_9)),
            (&[1, 2, 3], Type::DOUBLE, Float64, None),
            (&[], Type::BYTE_ARRAY, Decimal128(9, 7), None),
            (&[0; 17], Type::FIXED_LEN_BYTE_ARRAY, Decimal128(38, 0), None),
            (&[0; 4], Type::INT32, DataType::Boolean, None),
        ] {
            assert_eq!(plain_degrees(bytes, stored, &natural), wanted, "{bytes:?} {natural}");
        }
    }

    #[test]
    fn what_no_float64_equals_is_refused() {
        let error = degrees_of(Int64Array::from(vec![1, (1 << 53) + 1])).unwrap_err();
        assert_eq!(error, (1, Some("9007199254740993e0".to_string())));
    }

    #[test]
    fn what_is_no_position_has_no_index() {
        let index = spatial_index(29, &[10.0, f64::NAN, 0.0], &[10.0, 0.0, 90.1]);
        assert_eq!(index, [healpix::index_of_ra_dec_deg(29, 10.0, 10.0), u64::MAX, u64::MAX]);
    }
}
