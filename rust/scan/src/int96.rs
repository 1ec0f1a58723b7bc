//! Timestamps stored as INT96: the nanoseconds of the day in 8 bytes, then the number of the Julian day in 4.

use std::sync::Arc;

use arrow_array::temporal_conversions::timestamp_s_to_datetime;
use arrow_array::types::{
    ArrowTimestampType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, PrimitiveArray};
use arrow_schema::TimeUnit;
use thiserror::Error;

/// The bytes of a value.
pub(super) const INT96_BYTES: i32 = 12;

/// The number of the Julian day that 1 January 1970 is.
const JULIAN_DAY_OF_EPOCH: i128 = 2_440_588;
const NANOSECONDS_OF_DAY: i128 = 86_400_000_000_000;
const NANOSECONDS_OF_SECOND: i128 = 1_000_000_000;

/// A timestamp that a unit does not hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Int96Error {
    /// It is too early or too late for 64 bits.
    #[error("the timestamp {value}, stored as INT96, is out of the range of timestamps in {unit}")]
    Range {
        /// The timestamp as text.
        value: String,
        /// The unit: s, ms, us or ns.
        unit: &'static str,
    },
    /// It falls between two.
    #[error("the timestamp {value}, stored as INT96, is not a whole number of {unit}")]
    Inexact {
        /// The timestamp as text.
        value: String,
        /// The unit: s, ms, us or ns.
        unit: &'static str,
    },
}

/// The timestamps in a unit, null where a value is.
///
/// # Errors
/// The first that the unit does not hold.
pub(super) fn timestamps(
    values: &FixedSizeBinaryArray,
    unit: TimeUnit,
    zone: Option<Arc<str>>,
) -> Result<ArrayRef, Int96Error> {
    match unit {
        TimeUnit::Second => of_unit::<TimestampSecondType>(values, zone, NANOSECONDS_OF_SECOND, "s"),
        TimeUnit::Millisecond => of_unit::<TimestampMillisecondType>(values, zone, 1_000_000, "ms"),
        TimeUnit::Microsecond => of_unit::<TimestampMicrosecondType>(values, zone, 1_000, "us"),
        TimeUnit::Nanosecond => of_unit::<TimestampNanosecondType>(values, zone, 1, "ns"),
    }
}

fn of_unit<T: ArrowTimestampType>(
    values: &FixedSizeBinaryArray,
    zone: Option<Arc<str>>,
    nanoseconds: i128,
    unit: &'static str,
) -> Result<ArrayRef, Int96Error> {
    let timestamp = |row: usize| {
        if values.is_null(row) {
            return Ok(0);
        }
        let since_epoch = nanoseconds_since_epoch(values.value(row));
        if since_epoch % nanoseconds != 0 {
            return Err(Int96Error::Inexact { value: text(since_epoch), unit });
        }
        i64::try_from(since_epoch / nanoseconds).map_err(|_| Int96Error::Range { value: text(since_epoch), unit })
    };
    let timestamps = (0..values.len()).map(timestamp).collect::<Result<Vec<i64>, Int96Error>>()?;
    let timestamps = PrimitiveArray::<T>::new(timestamps.into(), values.nulls().cloned());
    Ok(Arc::new(timestamps.with_timezone_opt(zone)))
}

fn nanoseconds_since_epoch(value: &[u8]) -> i128 {
    let (mut of_day, mut day) = ([0; 8], [0; 4]);
    of_day.copy_from_slice(&value[..8]);
    day.copy_from_slice(&value[8..12]);
    let days = i128::from(i32::from_le_bytes(day)) - JULIAN_DAY_OF_EPOCH;
    days * NANOSECONDS_OF_DAY + i128::from(i64::from_le_bytes(of_day))
}

/// The timestamp as ISO 8601 writes it.
fn text(nanoseconds: i128) -> String {
    let seconds = nanoseconds.div_euclid(NANOSECONDS_OF_SECOND);
    let fraction = match nanoseconds.rem_euclid(NANOSECONDS_OF_SECOND) {
        0 => String::new(),
        fraction => format!(".{fraction:09}"),
    };
    match i64::try_from(seconds).ok().and_then(timestamp_s_to_datetime) {
        Some(time) => format!("{time:?}{fraction}"),
        None => format!("of {seconds}{fraction} s since 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;

    fn int96(day: i32, nanoseconds: i64) -> Vec<u8> {
        [&nanoseconds.to_le_bytes()[..], &day.to_le_bytes()].concat()
    }

    fn in_unit(value: Vec<u8>, unit: TimeUnit) -> Result<ArrayRef, Int96Error> {
        let values =
            FixedSizeBinaryArray::try_from_sparse_iter_with_size([None, Some(value)].into_iter(), INT96_BYTES).unwrap();
        timestamps(&values, unit, Some("UTC".into()))
    }

    #[test]
    fn timestamps_that_a_unit_holds_are_exact() {
        let found = in_unit(int96(2_440_589, 1_002_003_004), TimeUnit::Nanosecond).unwrap();
        let found = found.as_primitive::<TimestampNanosecondType>();
        assert_eq!((found.is_null(0), found.value(1), found.timezone()), (true, 86_401_002_003_004, Some("UTC")));
        // The last second of the year 9999, and the first of the year 1.
        for (day, of_day, seconds) in [(5_373_484, 86_399, 253_402_300_799), (1_721_426, 0, -62_135_596_800)] {
            let found = in_unit(int96(day, of_day * 1_000_000_000), TimeUnit::Microsecond).unwrap();
            assert_eq!(found.as_primitive::<TimestampMicrosecondType>().value(1), seconds * 1_000_000);
        }
    }

    #[test]
    fn timestamps_that_a_unit_does_not_hold_are_named() {
        let error = in_unit(int96(5_373_484, 0), TimeUnit::Nanosecond).unwrap_err();
        let wanted = "the timestamp 9999-12-31T00:00:00, stored as INT96, is out of the range of timestamps in ns";
        assert_eq!(error.to_string(), wanted);
        let error = in_unit(int96(2_440_588, 1_500), TimeUnit::Microsecond).unwrap_err();
        let wanted = "the timestamp 1970-01-01T00:00:00.000001500, stored as INT96, is not a whole number of us";
        assert_eq!(error.to_string(), wanted);
        let far = in_unit(int96(i32::MAX, 7), TimeUnit::Nanosecond).unwrap_err();
        let text = far.to_string();
        assert!(text.contains("of 185331720297600.000000007 s since 1970"), "{text}");
        // The two ends of the range in nanoseconds.
        for (day, of_day, is_held) in [
            (2_547_339, 85_636_854_775_807_i64, true),
            (2_547_339, 85_636_854_775_808, false),
            (2_333_836, 763_145_224_192, true),
            (2_333_836, 763_145_224_191, false),
        ] {
            assert_eq!(in_unit(int96(day, of_day), TimeUnit::Nanosecond).is_ok(), is_held, "{day} {of_day}");
        }
    }
}
