//! Footers as bytes: taken apart, and their row groups prepared for a `_metadata` file.

use skymargin_scan::CompactError;
use skymargin_scan::compact::{Compact, I64, LIST, STRUCT};

use crate::parquet::page_header::first_binary;

const MAGIC: &[u8] = b"PAR1";
/// The length of the footer and the magic number.
const TRAILER_BYTES: usize = 8;
/// Fields of FileMetaData, RowGroup and ColumnChunk in parquet.thrift.
const ROWS: i16 = 3;
const ROW_GROUPS: i16 = 4;
const COLUMNS: i16 = 1;
const FILE_PATH: i16 = 1;

/// The row groups of a footer, as a `_metadata` file lists them: every column chunk names its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowGroups {
    /// The footer up to the number of rows: version and schema.
    pub before: Vec<u8>,
    /// The number of rows in the row groups.
    pub rows: u64,
    /// The number of row groups.
    pub count: u64,
    /// The encoded row groups.
    pub content: Vec<u8>,
    /// The rest of the footer.
    pub after: Vec<u8>,
}

impl RowGroups {
    /// The row groups of the file that ends with these bytes, for a `_metadata` file that names it `path`.
    ///
    /// # Errors
    /// When the bytes do not end with a whole footer, or it is damaged, or names files itself.
    pub fn of_file(tail: &[u8], path: &str) -> Result<Self, CompactError> {
        let footer = footer_of(tail)?;
        let parts = FooterParts::of(footer)?;
        parts.row_groups(footer, &footer[..parts.rows_at], path)
    }
}

/// Where the parts of a footer are.
pub(super) struct FooterParts {
    /// The header of the field with the number of rows.
    pub(super) rows_at: usize,
    rows: u64,
    count: usize,
    /// Where the row groups start.
    content: usize,
    /// Where they end.
    after: usize,
}

/// The footer in the last bytes of a file.
pub(super) fn footer_of(tail: &[u8]) -> Result<&[u8], CompactError> {
    let (rest, trailer) = tail.split_last_chunk::<TRAILER_BYTES>().ok_or(CompactError::Truncated)?;
    let [a, b, c, d, magic @ ..] = trailer;
    let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    if magic != MAGIC {
        return Err(CompactError::Truncated);
    }
    rest.len().checked_sub(length).map(|start| &rest[start..]).ok_or(CompactError::Truncated)
}

/// The end of a file whose footer has these parts.
pub(super) fn trailer(footer_bytes: usize) -> Option<[u8; TRAILER_BYTES]> {
    let [a, b, c, d] = u32::try_from(footer_bytes).ok()?.to_le_bytes();
    Some([a, b, c, d, b'P', b'A', b'R', b'1'])
}

impl FooterParts {
    /// # Errors
    /// When it is not a footer.
    pub(super) fn of(footer: &[u8]) -> Result<Self, CompactError> {
        let mut cursor = Compact::new(footer);
        let mut last = 0;
        let mut rows = None;
        loop {
            let start = cursor.position();
            let field = cursor.field(&mut last)?.ok_or(CompactError::Field)?;
            match (field.id, field.kind, rows) {
                (ROWS, I64, None) => {
                    let count = u64::try_from(cursor.integer()?).map_err(|_| CompactError::Field)?;
                    rows = Some((start, count));
                }
                (ROW_GROUPS, LIST, Some((rows_at, rows))) => {
                    let (_, count) = cursor.list()?;
                    let content = cursor.position();
                    for _ in 0..count {
                        cursor.skip(STRUCT)?;
                    }
                    return Ok(Self { rows_at, rows, count, content, after: cursor.position() });
                }
                (_, kind, _) => cursor.skip(kind)?,
            }
        }
    }

    /// The row groups of the footer with the path of the file in each column chunk.
    ///
    /// # Errors
    /// When the footer is damaged, or has a path.
    pub(super) fn row_groups(&self, footer: &[u8], before: &[u8], path: &str) -> Result<RowGroups, CompactError> {
        let encoded = &footer[self.content..self.after];
        let mut content = Vec::with_capacity(encoded.len() + 1024);
        let mut cursor = Compact::new(encoded);
        for _ in 0..self.count {
            let mut copied = cursor.position();
            let mut last = 0;
            while let Some(field) = cursor.field(&mut last)? {
                if (field.id, field.kind) != (COLUMNS, LIST) {
                    cursor.skip(field.kind)?;
                    continue;
                }
                let (_, chunks) = cursor.list()?;
                content.extend_from_slice(&encoded[copied..cursor.position()]);
                for _ in 0..chunks {
                    let start = cursor.position();
                    cursor.skip(STRUCT)?;
                    let chunk = &encoded[start..cursor.position()];
                    let head = *chunk.first().ok_or(CompactError::Truncated)?;
                    // The first field's number is in the high half of its header.
                    if head >> 4 <= FILE_PATH as u8 {
                        return Err(CompactError::Field);
                    }
                    first_binary(&mut content, FILE_PATH, path.as_bytes());
                    content.push(head - ((FILE_PATH as u8) << 4));
                    content.extend_from_slice(&chunk[1..]);
                }
                copied = cursor.position();
            }
            content.extend_from_slice(&encoded[copied..cursor.position()]);
        }
        Ok(RowGroups {
            before: before.to_vec(),
            rows: self.rows,
            count: self.count as u64,
            content,
            after: footer[self.after..].to_vec(),
        })
    }
}
