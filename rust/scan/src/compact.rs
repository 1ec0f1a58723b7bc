//! A reader for the part of Thrift's compact protocol that Parquet's headers and page indexes use.
//!
//! It finds pages and checks their sizes, and it walks each footer once before the `parquet` crate allocates what the
//! footer claims: a list cannot have more elements than there are bytes left, and nesting has an end.

use crate::error::CompactError;

/// The deepest nesting accepted; Parquet's own structures nest six deep.
const MAX_DEPTH: usize = 24;

/// Type of a boolean field that is true.
pub const TRUE: u8 = 1;
/// Type of a boolean field that is false.
pub const FALSE: u8 = 2;
/// Type of an 8-bit integer.
pub const BYTE: u8 = 3;
/// Type of a 16-bit integer.
pub const I16: u8 = 4;
/// Type of a 32-bit integer.
pub const I32: u8 = 5;
/// Type of a 64-bit integer.
pub const I64: u8 = 6;
/// Type of a float64.
pub const DOUBLE: u8 = 7;
/// Type of a byte string.
pub const BINARY: u8 = 8;
/// Type of a list.
pub const LIST: u8 = 9;
/// Type of a set.
pub const SET: u8 = 10;
/// Type of a map.
pub const MAP: u8 = 11;
/// Type of a struct.
pub const STRUCT: u8 = 12;
/// Type of a UUID.
pub const UUID: u8 = 13;

/// A field of a struct: its number and the type of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The number that parquet.thrift gives it.
    pub id: i16,
    /// The type of its value.
    pub kind: u8,
}

/// A cursor over encoded bytes.
pub struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
    takes_bools: bool,
}

impl<'a> Compact<'a> {
    /// A cursor at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, takes_bools: true }
    }

    /// A cursor at the first byte of a footer. Lists and maps of booleans are refused: there are none that Parquet
    /// knows, and the decoder of the `parquet` crate takes none of their bytes.
    pub fn of_footer(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, takes_bools: false }
    }

    /// The number of bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CompactError> {
        let end = self.at.checked_add(count).ok_or(CompactError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(CompactError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CompactError> {
        let byte = *self.bytes.get(self.at).ok_or(CompactError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, CompactError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CompactError::Varint)
    }

    /// An integer of a field of type i16, i32 or i64.
    pub fn integer(&mut self) -> Result<i64, CompactError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next field of a struct; `None` at its end. The caller keeps `last_id`, which starts at 0.
    pub fn field(&mut self, last_id: &mut i16) -> Result<Option<Field>, CompactError> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let delta = i16::from(head >> 4);
        let id = if delta == 0 {
            i16::try_from(self.integer()?).map_err(|_| CompactError::Field)?
        } else {
            last_id.checked_add(delta).ok_or(CompactError::Field)?
        };
        *last_id = id;
        Ok(Some(Field { id, kind: head & 0x0f }))
    }

    /// The header of a list: the type and the number of its elements.
    pub fn list(&mut self) -> Result<(u8, usize), CompactError> {
        let head = self.byte()?;
        let claimed = match head >> 4 {
            15 => self.varint()?,
            short => u64::from(short),
        };
        // Every element takes at least one byte.
        match usize::try_from(claimed) {
            Ok(count) if count <= self.remaining() => Ok((head & 0x0f, count)),
            _ => Err(CompactError::List { claimed, bytes: self.remaining() }),
        }
    }

    /// A byte string.
    pub fn binary(&mut self) -> Result<&'a [u8], CompactError> {
        let length = usize::try_from(self.varint()?).map_err(|_| CompactError::Truncated)?;
        self.take(length)
    }

    /// A boolean that is the element of a list.
    pub fn element_bool(&mut self) -> Result<bool, CompactError> {
        Ok(self.byte()? == TRUE)
    }

    /// Skips the value of a field.
    pub fn skip(&mut self, kind: u8) -> Result<(), CompactError> {
        self.skip_nested(kind, false, MAX_DEPTH)
    }

    fn skip_nested(&mut self, kind: u8, element: bool, depth: usize) -> Result<(), CompactError> {
        let deeper = depth.checked_sub(1).ok_or(CompactError::Depth)?;
        match kind {
            TRUE | FALSE if !element => {}
            TRUE | FALSE if !self.takes_bools => return Err(CompactError::Bools),
            TRUE | FALSE | BYTE => {
                self.byte()?;
            }
            I16 | I32 | I64 => {
                self.varint()?;
            }
            DOUBLE => {
                self.take(8)?;
            }
            BINARY => {
                self.binary()?;
            }
            UUID => {
                self.take(16)?;
            }
            LIST | SET => {
                let (element_kind, count) = self.list()?;
                for _ in 0..count {
                    self.skip_nested(element_kind, true, deeper)?;
                }
            }
            MAP => {
                let claimed = self.varint()?;
                if claimed > self.remaining() as u64 {
                    return Err(CompactError::List { claimed, bytes: self.remaining() });
                }
                if claimed > 0 {
                    let kinds = self.byte()?;
                    for _ in 0..claimed {
                        self.skip_nested(kinds >> 4, true, deeper)?;
                        self.skip_nested(kinds & 0x0f, true, deeper)?;
                    }
                }
            }
            STRUCT => {
                let mut last_id = 0;
                while let Some(field) = self.field(&mut last_id)? {
                    self.skip_nested(field.kind, false, deeper)?;
                }
            }
            other => return Err(CompactError::Type(other)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_the_protocol_says() {
        // Field 1: i32 of -3; field 3: list of two i64; field 20: binary.
        let bytes = [0x15, 0x05, 0x29, 0x26, 0x02, 0x03, 0x08, 0x28, 0x02, b'a', b'b', 0x00];
        let mut cursor = Compact::new(&bytes);
        let mut last_id = 0;
        assert_eq!(cursor.field(&mut last_id), Ok(Some(Field { id: 1, kind: I32 })));
        assert_eq!(cursor.integer(), Ok(-3));
        assert_eq!(cursor.field(&mut last_id), Ok(Some(Field { id: 3, kind: LIST })));
        assert_eq!(cursor.list(), Ok((I64, 2)));
        assert_eq!((cursor.integer(), cursor.integer()), (Ok(1), Ok(-2)));
        assert_eq!(cursor.field(&mut last_id), Ok(Some(Field { id: 20, kind: BINARY })));
        assert_eq!(cursor.binary(), Ok(&b"ab"[..]));
        assert_eq!(cursor.field(&mut last_id), Ok(None));
        assert_eq!(cursor.position(), bytes.len());
        assert_eq!(Compact::new(&bytes[..11]).skip(STRUCT), Err(CompactError::Truncated));
        assert_eq!(Compact::new(&bytes).skip(STRUCT), Ok(()));
    }

    #[test]
    fn refuses_lists_beyond_their_bytes() {
        let bytes = [0xf5, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0];
        assert_eq!(Compact::new(&bytes).list(), Err(CompactError::List { claimed: 0x7fff_ffff, bytes: 2 }));
        let nested = [0x19_u8; 1000];
        assert_eq!(Compact::new(&nested).skip(LIST), Err(CompactError::Depth));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut cursor = Compact::new(&bytes);
            if cursor.skip(STRUCT).is_ok() {
                prop_assert!(cursor.position() <= bytes.len());
            }
        }
    }
}
