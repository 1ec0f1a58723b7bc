//! Page headers of arrow-rs, rewritten for pages as they are stored.

use std::ops::Range;

use skymargin_scan::CompactError;
use skymargin_scan::compact::{BINARY, Compact, FALSE, I32, STRUCT, TRUE};

/// Page types and encodings of parquet.thrift.
const DATA_PAGE: i64 = 0;
const DICTIONARY_PAGE: i64 = 2;
const DATA_PAGE_V2: i64 = 3;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const RLE_DICTIONARY: i64 = 8;
/// The fields of a page header with the header of the kind of page.
const DATA_PAGE_HEADER: i16 = 5;
const DICTIONARY_PAGE_HEADER: i16 = 7;
const DATA_PAGE_HEADER_V2: i16 = 8;
/// The field of a data page's header with its statistics, in version 1.0.
const STATISTICS: i16 = 5;

/// What the header of a page says that arrow-rs wrote without compression: of a dictionary, or of data in version 2.0.
#[derive(Debug, Default)]
pub(super) struct PageHeader {
    kind: i64,
    values: i64,
    encoding: i64,
    /// The bytes of repetition levels and of definition levels before the values.
    pub(super) repetition_bytes: usize,
    pub(super) definition_bytes: usize,
    /// Where the encoded inner header is, and in the original header the encoding, the field that says whether the page
    /// is compressed, and the statistics.
    inner: Range<usize>,
    encoding_at: usize,
    compressed_at: usize,
    statistics: Option<Range<usize>>,
}

/// A page as it is stored.
pub(super) struct StoredPage {
    /// The size of its body without compression.
    pub(super) uncompressed_bytes: usize,
    /// The size of its body.
    pub(super) stored_bytes: usize,
    /// Whether it is of version 2.0, if it has data; and then, whether it is compressed.
    pub(super) v2: bool,
    pub(super) compressed: bool,
    pub(super) checksum: Option<u32>,
    /// Whether encodings with dictionary have their names of Parquet 1.0.
    pub(super) plain_dictionary: bool,
}

impl PageHeader {
    /// # Errors
    /// When the bytes are not the header of such a page.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CompactError> {
        let mut cursor = Compact::new(bytes);
        let mut header = Self::default();
        let mut last = 0;
        while let Some(field) = cursor.field(&mut last)? {
            match (field.id, field.kind) {
                (1, I32) => header.kind = cursor.integer()?,
                (DICTIONARY_PAGE_HEADER | DATA_PAGE_HEADER_V2, STRUCT) => {
                    let start = cursor.position();
                    header.parse_inner(&mut cursor)?;
                    header.inner = start..cursor.position();
                }
                (_, kind) => cursor.skip(kind)?,
            }
        }
        match (header.kind, header.inner.is_empty()) {
            (DICTIONARY_PAGE | DATA_PAGE_V2, false) => Ok(header),
            _ => Err(CompactError::Field),
        }
    }

    fn parse_inner(&mut self, cursor: &mut Compact<'_>) -> Result<(), CompactError> {
        let is_data = self.kind == DATA_PAGE_V2;
        let encoding_field = if is_data { 4 } else { 2 };
        let size = |value: i64| usize::try_from(value).map_err(|_| CompactError::Field);
        let mut last = 0;
        let mut start = cursor.position();
        while let Some(field) = cursor.field(&mut last)? {
            match (field.id, field.kind) {
                (1, I32) => self.values = cursor.integer()?,
                (id, I32) if id == encoding_field => {
                    self.encoding_at = cursor.position();
                    self.encoding = cursor.integer()?;
                }
                (5, I32) if is_data => self.definition_bytes = size(cursor.integer()?)?,
                (6, I32) if is_data => self.repetition_bytes = size(cursor.integer()?)?,
                (7, TRUE | FALSE) if is_data => self.compressed_at = start,
                (8, STRUCT) if is_data => {
                    let statistics = cursor.position();
                    cursor.skip(STRUCT)?;
                    self.statistics = Some(statistics..cursor.position());
                }
                (_, kind) => cursor.skip(kind)?,
            }
            start = cursor.position();
        }
        Ok(())
    }

    pub(super) fn is_dictionary(&self) -> bool {
        self.kind == DICTIONARY_PAGE
    }

    /// Appends the header of the page as it is stored.
    pub(super) fn write(&self, original: &[u8], page: &StoredPage, to: &mut Vec<u8>) {
        let (kind, inner_field) = match (self.is_dictionary(), page.v2) {
            (true, _) => (DICTIONARY_PAGE, DICTIONARY_PAGE_HEADER),
            (false, false) => (DATA_PAGE, DATA_PAGE_HEADER),
            (false, true) => (DATA_PAGE_V2, DATA_PAGE_HEADER_V2),
        };
        let renamed = page.plain_dictionary && (self.is_dictionary() || self.encoding == RLE_DICTIONARY);
        let encoding = if renamed { PLAIN_DICTIONARY } else { self.encoding };
        let mut last = integers(to, &[kind, page.uncompressed_bytes as i64, page.stored_bytes as i64]);
        if let Some(checksum) = page.checksum {
            // The checksum is unsigned, the field signed.
            to.push(field_head(1, I32));
            varint(to, zigzag(i64::from(checksum.cast_signed())));
            last += 1;
        }
        to.push(field_head(inner_field - last, STRUCT));
        if kind == DATA_PAGE {
            let last = integers(to, &[self.values, encoding, RLE, RLE]);
            if let Some(statistics) = &self.statistics {
                to.push(field_head(STATISTICS - last, STRUCT));
                to.extend_from_slice(&original[statistics.clone()]);
            }
            to.push(0);
        } else {
            let start = to.len();
            to.extend_from_slice(&original[self.inner.clone()]);
            // Every encoding takes one byte.
            to[start + self.encoding_at - self.inner.start] = zigzag(encoding) as u8;
            if kind == DATA_PAGE_V2 {
                let head = &mut to[start + self.compressed_at - self.inner.start];
                *head = *head & 0xf0 | if page.compressed { TRUE } else { FALSE };
            }
        }
        to.push(0);
    }
}

/// Appends the first fields of a struct, and returns the number of the last one.
fn integers(to: &mut Vec<u8>, values: &[i64]) -> i16 {
    for &value in values {
        to.push(field_head(1, I32));
        varint(to, zigzag(value));
    }
    values.len() as i16
}

/// Appends a field with a byte string, the first of its struct.
pub(super) fn first_binary(to: &mut Vec<u8>, id: i16, bytes: &[u8]) {
    to.push(field_head(id, BINARY));
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn field_head(delta: i16, kind: u8) -> u8 {
    (delta as u8) << 4 | kind
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
