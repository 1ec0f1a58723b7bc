//! The smallest and largest value of each page, from the column index of a column.

use crate::compact::{BINARY, Compact, FALSE, I64, LIST, TRUE};
use crate::error::CompactError;

/// What is known about the values of a page or a row group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageBounds<T> {
    pub(super) min: Option<T>,
    pub(super) max: Option<T>,
    /// `None` when the file does not say.
    pub(super) nulls: Option<u64>,
}

/// The bounds of each page; `value` reads an encoded one.
pub(super) fn column_index<T: Copy>(
    bytes: &[u8],
    value: impl Fn(&[u8]) -> Option<T>,
) -> Result<Vec<PageBounds<T>>, CompactError> {
    let mut cursor = Compact::new(bytes);
    let (mut null_pages, mut minima, mut maxima, mut nulls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut last_id = 0;
    while let Some(field) = cursor.field(&mut last_id)? {
        match (field.id, field.kind) {
            (1, LIST) => null_pages = list(&mut cursor, &[TRUE, FALSE], Compact::element_bool)?,
            (2, LIST) => minima = list(&mut cursor, &[BINARY], |cursor| cursor.binary().map(&value))?,
            (3, LIST) => maxima = list(&mut cursor, &[BINARY], |cursor| cursor.binary().map(&value))?,
            (5, LIST) => nulls = list(&mut cursor, &[I64], Compact::integer)?,
            (_, kind) => cursor.skip(kind)?,
        }
    }
    if minima.len() != null_pages.len() || maxima.len() != null_pages.len() {
        return Err(CompactError::Missing("bounds of every page"));
    }
    let bounds = null_pages.iter().enumerate().map(|(page, null_page)| PageBounds {
        min: minima[page].filter(|_| !null_page),
        max: maxima[page].filter(|_| !null_page),
        nulls: nulls.get(page).and_then(|nulls| u64::try_from(*nulls).ok()),
    });
    Ok(bounds.collect())
}

fn list<'a, T>(
    cursor: &mut Compact<'a>,
    kinds: &[u8],
    mut element: impl FnMut(&mut Compact<'a>) -> Result<T, CompactError>,
) -> Result<Vec<T>, CompactError> {
    let (kind, count) = cursor.list()?;
    if count > 0 && !kinds.contains(&kind) {
        return Err(CompactError::Type(kind));
    }
    (0..count).map(|_| element(cursor)).collect()
}

/// A plain INT32 or INT64. Unsigned values are stored in the bits of signed ones.
pub(super) fn integer(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        4 => bytes.first_chunk().map(|bytes| i64::from(i32::from_le_bytes(*bytes))),
        8 => bytes.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read() {
        let mut bytes = vec![0x19, 0x21, FALSE, TRUE];
        for bound in [[7, 0, 0, 0], [9, 0, 0, 0]] {
            bytes.extend([0x19, 0x28, 4]);
            bytes.extend(bound);
            bytes.push(0);
        }
        bytes.extend([0x15, 0, 0x19, 0x26, 0, 8, 0]);
        let bounds = column_index(&bytes, integer).unwrap();
        assert_eq!(bounds[0], PageBounds { min: Some(7), max: Some(9), nulls: Some(0) });
        assert_eq!(bounds[1], PageBounds { min: None, max: None, nulls: Some(4) });
        for end in 0..bytes.len() {
            assert!(column_index(&bytes[..end], integer).is_err());
        }
    }
}
