//! The types that the fields of a footer have by `parquet.thrift`.
//!
//! The decoder of the `parquet` crate reads a field that it knows by its number, whatever type the footer gives it. A
//! field of another type puts it in another place than a walk by the types: it takes bytes for the sizes of lists, which
//! it believes. So fields have the types that they should have, or the footer is refused.

use crate::compact::{BINARY, BYTE, Compact, DOUBLE, FALSE, Field, I16, I32, I64, LIST, STRUCT, TRUE};
use crate::error::CompactError;

use Shape::{Binary, Bool, Byte, Double, Integer, List, Struct};

/// The type of a value.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Bool,
    Byte,
    /// Of 16, 32 or 64 bits, which are encoded alike; fastparquet takes one for another.
    Integer,
    Double,
    Binary,
    List(&'static Shape),
    Struct(Fields),
}

/// The numbers and types of fields. Others may be there, of any type.
type Fields = &'static [(i16, Shape)];

const EMPTY: Shape = Struct(&[]);
const UNITS: Shape = Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]);
const TIME: Shape = Struct(&[(1, Bool), (2, UNITS)]);
const LOGICAL_TYPE: Shape = Struct(&[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, Struct(&[(1, Integer), (2, Integer)])),
    (6, EMPTY),
    (7, TIME),
    (8, TIME),
    (10, Struct(&[(1, Byte), (2, Bool)])),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Binary)])),
    (18, Struct(&[(1, Binary), (2, Integer)])),
]);
const KEY_VALUE: Shape = Struct(PAIR);
const STATISTICS: Shape =
    Struct(&[(1, Binary), (2, Binary), (3, Integer), (4, Integer), (5, Binary), (6, Binary), (7, Bool), (8, Bool)]);
const SIZE_STATISTICS: Shape = Struct(&[(1, Integer), (2, List(&Integer)), (3, List(&Integer))]);
const BOX: Shape =
    Struct(&[(1, Double), (2, Double), (3, Double), (4, Double), (5, Double), (6, Double), (7, Double), (8, Double)]);
const COLUMN_METADATA: Shape = Struct(&[
    (1, Integer),
    (2, List(&Integer)),
    (3, List(&Binary)),
    (4, Integer),
    (5, Integer),
    (6, Integer),
    (7, Integer),
    (8, List(&KEY_VALUE)),
    (9, Integer),
    (10, Integer),
    (11, Integer),
    (12, STATISTICS),
    (13, List(&Struct(&[(1, Integer), (2, Integer), (3, Integer)]))),
    (14, Integer),
    (15, Integer),
    (16, SIZE_STATISTICS),
    (17, Struct(&[(1, BOX), (2, List(&Integer))])),
]);

/// The footer. The walk goes into its lists of structs itself, as into that of a row group.
pub(super) const FILE: Fields = &[
    (1, Integer),
    (2, List(&EMPTY)),
    (3, Integer),
    (4, List(&EMPTY)),
    (5, List(&KEY_VALUE)),
    (6, Binary),
    (7, List(&Struct(&[(1, EMPTY)]))),
];

/// An element of its schema.
pub(super) const SCHEMA_ELEMENT: Fields = &[
    (1, Integer),
    (2, Integer),
    (3, Integer),
    (4, Binary),
    (5, Integer),
    (6, Integer),
    (7, Integer),
    (8, Integer),
    (9, Integer),
    (10, LOGICAL_TYPE),
];

/// A row group.
pub(super) const ROW_GROUP: Fields = &[
    (1, List(&EMPTY)),
    (2, Integer),
    (3, Integer),
    (4, List(&Struct(&[(1, Integer), (2, Bool), (3, Bool)]))),
    (5, Integer),
    (6, Integer),
    (7, Integer),
];

/// A column chunk.
pub(super) const CHUNK: Fields =
    &[(1, Binary), (2, Integer), (3, COLUMN_METADATA), (4, Integer), (5, Integer), (6, Integer), (7, Integer)];

/// A pair of key and value.
pub(super) const PAIR: Fields = &[(1, Binary), (2, Binary)];

/// Skips a field that has the type of its number, or a number that is not known.
pub(super) fn skip_field(cursor: &mut Compact<'_>, fields: Fields, field: Field) -> Result<(), CompactError> {
    // Numbers go from one on: most fields are found where they should be.
    let found = usize::try_from(field.id.wrapping_sub(1))
        .ok()
        .and_then(|place| fields.get(place))
        .filter(|(id, _)| *id == field.id);
    match found.or_else(|| fields.iter().find(|(id, _)| *id == field.id)) {
        Some((_, shape)) if shape.is_of(field.kind) => shape.skip(cursor, field.kind),
        Some(_) => Err(CompactError::FieldType { id: field.id, kind: field.kind }),
        None => cursor.skip(field.kind),
    }
}

impl Shape {
    /// Whether a value of a type is one.
    fn is_of(self, kind: u8) -> bool {
        match self {
            Bool => matches!(kind, TRUE | FALSE),
            Byte => kind == BYTE,
            Integer => matches!(kind, I16 | I32 | I64),
            Double => kind == DOUBLE,
            Binary => kind == BINARY,
            List(_) => kind == LIST,
            Struct(_) => kind == STRUCT,
        }
    }

    /// Skips a value of a type that is right.
    fn skip(self, cursor: &mut Compact<'_>, kind: u8) -> Result<(), CompactError> {
        match self {
            List(element) => {
                let (kind, count) = cursor.list()?;
                if count > 0 && !element.is_of(kind) {
                    return Err(CompactError::Type(kind));
                }
                (0..count).try_for_each(|_| element.skip(cursor, kind))
            }
            Struct(fields) => {
                let mut last_id = 0;
                while let Some(field) = cursor.field(&mut last_id)? {
                    skip_field(cursor, fields, field)?;
                }
                Ok(())
            }
            _ => cursor.skip(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a field of a type is skipped, with a value of some bytes.
    fn skipped(fields: Fields, id: i16, kind: u8, value: &[u8]) -> Result<(), CompactError> {
        skip_field(&mut Compact::of_footer(value), fields, Field { id, kind })
    }

    #[test]
    fn known_fields_have_their_types() {
        let integers = &[4, 5, 6][..];
        let file = [(1, integers), (2, &[9]), (3, integers), (4, &[9]), (5, &[9]), (6, &[8]), (7, &[9])];
        let chunk =
            [(1, &[8][..]), (2, integers), (3, &[12]), (4, integers), (5, integers), (6, integers), (7, integers)];
        for (fields, types) in [(FILE, file), (CHUNK, chunk)] {
            for (id, allowed) in types {
                for kind in 1..=13 {
                    let refused = Err(CompactError::FieldType { id, kind });
                    let expected = if allowed.contains(&kind) { Ok(()) } else { refused };
                    assert_eq!(skipped(fields, id, kind, &[0; 16]), expected);
                }
            }
        }
    }

    #[test]
    fn what_is_in_known_fields_has_its_type() {
        // Column metadata with its field 2: a list of one integer, of one text.
        assert_eq!(skipped(CHUNK, 3, STRUCT, &[0x29, 0x15, 0, 0]), Ok(()));
        assert_eq!(skipped(CHUNK, 3, STRUCT, &[0x29, 0x18, 0, 0]), Err(CompactError::Type(BINARY)));
        // With its statistics: whether the maximum is exact, as a boolean and as a number.
        assert_eq!(skipped(CHUNK, 3, STRUCT, &[0xcc, 0x71, 0, 0]), Ok(()));
        let refused = Err(CompactError::FieldType { id: 7, kind: I32 });
        assert_eq!(skipped(CHUNK, 3, STRUCT, &[0xcc, 0x75, 0, 0, 0]), refused);
    }

    #[test]
    fn unknown_fields_have_any_type_but_lists_of_booleans() {
        assert_eq!(skipped(CHUNK, 8, STRUCT, &[0x1c, 0x15, 2, 0, 0]), Ok(()));
        assert_eq!(skipped(FILE, 99, LIST, &[0x25, 2, 2]), Ok(()));
        assert_eq!(skipped(FILE, 99, LIST, &[0x21, 1, 2]), Err(CompactError::Bools));
        assert_eq!(skipped(FILE, 99, LIST, &[0x01]), Ok(()));
    }
}
