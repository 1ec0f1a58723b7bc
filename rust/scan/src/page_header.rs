//! The header of a page: its kind and size, limited by the column chunk.

use parquet::basic::Encoding;

use crate::compact::{BYTE, Compact, FALSE, I16, I32, I64, STRUCT, TRUE};
use crate::error::{CompactError, PageError};

/// The largest decompressed page accepted; the documentation names it.
pub(super) const MAX_PAGE_BYTES: u64 = 1 << 30;

/// The longest header accepted; only absurd statistics make it longer.
pub(super) const MAX_HEADER_BYTES: u64 = 16 * 1024 * 1024;

/// What a column chunk can hold at most. A page that claims more is damaged.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkBounds {
    pub(super) uncompressed_bytes: u64,
    pub(super) values: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageKind {
    Data {
        values: u32,
        encoding: Encoding,
        definition: Encoding,
        repetition: Encoding,
    },
    DataV2(DataV2),
    Dictionary {
        values: u32,
        encoding: Encoding,
        sorted: bool,
    },
    /// An index page, or a page of an unknown kind: skipped.
    Other,
}

impl PageKind {
    /// Whether it is a data page whose values are dictionary indices.
    pub(super) fn needs_dictionary(self) -> bool {
        match self {
            Self::Data { encoding, .. } | Self::DataV2(DataV2 { encoding, .. }) => {
                matches!(encoding, Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY)
            }
            Self::Dictionary { .. } | Self::Other => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataV2 {
    pub(super) values: u32,
    pub(super) nulls: u32,
    pub(super) rows: u32,
    pub(super) encoding: Encoding,
    pub(super) definition_bytes: u32,
    pub(super) repetition_bytes: u32,
    pub(super) compressed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) kind: PageKind,
    /// The size of the header itself.
    pub(super) header_bytes: usize,
    pub(super) compressed_bytes: usize,
    pub(super) uncompressed_bytes: usize,
    /// Whether it is larger than the chunk is said to be. Then its bytes must confirm its size before there is memory
    /// for it.
    pub(super) is_beyond_chunk: bool,
    pub(super) checksum: Option<u32>,
}

impl PageHeader {
    /// Parses the header at the beginning of `bytes`, which is at `offset` in the file.
    ///
    /// [`CompactError::Truncated`] may mean that more bytes are needed.
    pub(super) fn parse(bytes: &[u8], offset: u64, bounds: ChunkBounds) -> Result<Self, PageError> {
        let raw = Raw::parse(bytes).map_err(|source| PageError::Header { offset, source })?;
        let bounded = |what, found: Option<i64>, allowed: u64| {
            let source = CompactError::Missing(what);
            let found = found.ok_or(PageError::Header { offset, source })?;
            match u64::try_from(found) {
                Ok(number) if number <= allowed => Ok(number as usize),
                _ => Err(PageError::Bound { offset, what, found, allowed }),
            }
        };
        let uncompressed_bytes = bounded("its size", raw.numbers[2], MAX_PAGE_BYTES)?;
        let largest = bounds.uncompressed_bytes.min(MAX_PAGE_BYTES).max(uncompressed_bytes as u64);
        // A codec may enlarge what it cannot compress, but by far less than this.
        let compressed_bytes = bounded("its compressed size", raw.numbers[3], largest + largest / 4 + 1024)?;
        let checksum = raw.numbers[4].map(|checksum| checksum as u32);

        let values_allowed = bounds.values.min(u64::from(u32::MAX >> 1));
        let count = |what, found, allowed| bounded(what, found, allowed).map(|number| number as u32);
        let encoding = |found: Option<i64>| {
            let source = CompactError::Missing("encoding");
            let number = found.ok_or(PageError::Header { offset, source })?;
            encoding_of(number).ok_or(PageError::Encoding { offset, number })
        };
        let kind = match (raw.numbers[1], raw.detail) {
            (Some(0), Some(detail)) => PageKind::Data {
                values: count("its number of values", detail[1], values_allowed)?,
                encoding: encoding(detail[2])?,
                definition: encoding(detail[3])?,
                repetition: encoding(detail[4])?,
            },
            (Some(2), Some(detail)) => PageKind::Dictionary {
                values: count("its number of values", detail[1], u64::from(u32::MAX >> 1))?,
                encoding: encoding(detail[2])?,
                sorted: detail[3] == Some(1),
            },
            (Some(3), Some(detail)) => {
                let values = count("its number of values", detail[1], values_allowed)?;
                let definition_bytes = count("the size of its levels", detail[5], uncompressed_bytes as u64)?;
                let left = uncompressed_bytes as u64 - u64::from(definition_bytes);
                let repetition_bytes = count("the size of its levels", detail[6], left)?;
                PageKind::DataV2(DataV2 {
                    values,
                    nulls: count("its number of nulls", detail[2], u64::from(values))?,
                    rows: count("its number of rows", detail[3], u64::from(values))?,
                    encoding: encoding(detail[4])?,
                    definition_bytes,
                    repetition_bytes,
                    compressed: detail[7] != Some(0),
                })
            }
            (Some(0 | 2 | 3), None) => {
                let source = CompactError::Missing("page header");
                return Err(PageError::Header { offset, source });
            }
            _ => PageKind::Other,
        };
        let is_beyond_chunk = uncompressed_bytes as u64 > bounds.uncompressed_bytes;
        let header_bytes = raw.header_bytes;
        Ok(Self { kind, header_bytes, compressed_bytes, uncompressed_bytes, is_beyond_chunk, checksum })
    }

    /// The size of the page with its header.
    pub(super) fn total_bytes(&self) -> u64 {
        self.header_bytes as u64 + self.compressed_bytes as u64
    }
}

/// The unchecked numbers of a header by field number. Booleans are 0 and 1.
struct Raw {
    numbers: [Option<i64>; 8],
    detail: Option<[Option<i64>; 8]>,
    header_bytes: usize,
}

impl Raw {
    fn parse(bytes: &[u8]) -> Result<Self, CompactError> {
        let mut cursor = Compact::new(bytes);
        let mut numbers = [None; 8];
        let mut detail = None;
        let mut last_id = 0;
        while let Some(field) = cursor.field(&mut last_id)? {
            match (field.id, field.kind) {
                // 5: data page, 7: dictionary page, 8: data page of version 2.
                (5 | 7 | 8, STRUCT) => detail = Some(numbers_of(&mut cursor)?),
                (id, kind) => number(&mut cursor, &mut numbers, id, kind)?,
            }
        }
        Ok(Self { numbers, detail, header_bytes: cursor.position() })
    }
}

fn numbers_of(cursor: &mut Compact<'_>) -> Result<[Option<i64>; 8], CompactError> {
    let mut numbers = [None; 8];
    let mut last_id = 0;
    while let Some(field) = cursor.field(&mut last_id)? {
        number(cursor, &mut numbers, field.id, field.kind)?;
    }
    Ok(numbers)
}

fn number(cursor: &mut Compact<'_>, numbers: &mut [Option<i64>; 8], id: i16, kind: u8) -> Result<(), CompactError> {
    let slot = usize::try_from(id).ok().and_then(|id| numbers.get_mut(id));
    match (slot, kind) {
        (Some(slot), I16 | I32 | I64) => *slot = Some(cursor.integer()?),
        (Some(slot), TRUE) => *slot = Some(1),
        (Some(slot), FALSE) => *slot = Some(0),
        (_, BYTE) => cursor.skip(BYTE)?,
        (_, kind) => cursor.skip(kind)?,
    }
    Ok(())
}

#[allow(deprecated, reason = "BIT_PACKED levels occur in old files")]
fn encoding_of(number: i64) -> Option<Encoding> {
    Some(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        4 => Encoding::BIT_PACKED,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: ChunkBounds = ChunkBounds { uncompressed_bytes: 1000, values: 100 };

    /// type, uncompressed and compressed size, then a data page header of 5 plain values.
    fn header(uncompressed: u8, compressed: u8, values: u8) -> Vec<u8> {
        let mut bytes = vec![0x15, 0, 0x15, uncompressed * 2, 0x15, compressed * 2];
        bytes.extend([0x2c, 0x15, values * 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0]);
        bytes
    }

    #[test]
    fn a_header_is_parsed() {
        let mut bytes = header(40, 20, 5);
        let length = bytes.len();
        bytes.extend([9; 20]);
        let header = PageHeader::parse(&bytes, 0, BOUNDS).unwrap();
        assert_eq!((header.header_bytes, header.compressed_bytes, header.uncompressed_bytes), (length, 20, 40));
        let levels = Encoding::RLE;
        let wanted = PageKind::Data { values: 5, encoding: Encoding::PLAIN, definition: levels, repetition: levels };
        assert_eq!(header.kind, wanted);
    }

    #[test]
    fn claims_beyond_the_chunk_are_refused() {
        let small = ChunkBounds { uncompressed_bytes: 39, values: 100 };
        assert!(PageHeader::parse(&header(40, 20, 5), 77, small).unwrap().is_beyond_chunk);
        assert!(!PageHeader::parse(&header(39, 20, 5), 77, small).unwrap().is_beyond_chunk);
        let mut huge = header(40, 20, 5);
        // A size of 2^30 + 1.
        huge.splice(3..4, [0x82, 0x80, 0x80, 0x80, 0x08]);
        let error = PageHeader::parse(&huge, 77, BOUNDS).unwrap_err();
        assert_eq!(error.to_string(), "page at byte 77: its size is 1073741825, allowed are up to 1073741824");
        let few = ChunkBounds { uncompressed_bytes: 1000, values: 4 };
        assert!(matches!(PageHeader::parse(&header(40, 20, 5), 0, few), Err(PageError::Bound { .. })));
    }

    #[test]
    fn truncation_shows() {
        let bytes = header(40, 20, 5);
        for end in 0..bytes.len() {
            let Err(PageError::Header { source, .. }) = PageHeader::parse(&bytes[..end], 0, BOUNDS) else {
                panic!("{end} bytes are no header");
            };
            assert_eq!(source, CompactError::Truncated);
        }
    }
}
