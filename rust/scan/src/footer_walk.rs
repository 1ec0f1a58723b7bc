//! A walk through an encoded footer before it is decoded: what it claims, what is encrypted, which metadata is text.

use std::ops::Range;

use crate::compact::{BINARY, Compact, I16, I32, I64, LIST, STRUCT};
use crate::error::{CompactError, FooterError};
use crate::footer_types::{CHUNK, FILE, PAIR, ROW_GROUP, SCHEMA_ELEMENT, skip_field};

/// The row groups that the `parquet` crate numbers. It makes space for as many as a footer claims, of which each may be
/// one byte.
const MAX_ROW_GROUPS: usize = 1 << 15;

/// The deepest schema accepted; the decoders recurse into it.
const MAX_SCHEMA_LEVELS: usize = 64;

/// What a walk through a footer finds.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The leaves that are root columns with one of the names asked for, ascending.
    pub(super) leaves: Vec<usize>,
    pub(super) metadata: Option<KeyValues>,
    /// Where the name of the writer is, if that is no text, as the decoder wants it.
    pub(super) odd_writer: Option<Range<usize>>,
}

/// Where the list of key-value metadata is, and the pairs in it that are text, as the decoder wants all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeyValues {
    list: Range<usize>,
    pairs: Vec<Range<usize>>,
    pub(super) is_text: bool,
}

impl KeyValues {
    /// The footer without the pairs that are no text.
    pub(super) fn text_alone(&self, footer: &[u8]) -> Vec<u8> {
        let count = self.pairs.len();
        let mut written = footer[..self.list.start].to_vec();
        if count < 15 {
            written.push((count as u8) << 4 | STRUCT);
        } else {
            written.push(0xf0 | STRUCT);
            let mut left = count;
            while left > 0x7f {
                written.push(left as u8 & 0x7f | 0x80);
                left >>= 7;
            }
            written.push(left as u8);
        }
        for pair in &self.pairs {
            written.extend_from_slice(&footer[pair.clone()]);
        }
        written.extend_from_slice(&footer[self.list.end..]);
        written
    }
}

/// The first column that an encoded footer says is encrypted; none where the footer is damaged before that.
pub fn encrypted_column(footer: &[u8]) -> Option<String> {
    match walk(footer, &[]) {
        Err(FooterError::EncryptedColumn { column }) => Some(column),
        _ => None,
    }
}

/// Walks the whole footer and checks that no list is longer than its bytes, no schema deeper than the stack allows, no
/// element without what it must have, no field of another type than its own, and no column encrypted.
///
/// The decoder takes 100 bytes for each element of a list, and whatever a group claims to have of children.
pub(super) fn walk(encoded: &[u8], columns: &[&str]) -> Result<Walked, FooterError> {
    let mut cursor = Compact::of_footer(encoded);
    let mut last_id = 0;
    let mut walked = Walked::default();
    let mut roots = Vec::new();
    while let Some(field) = cursor.field(&mut last_id)? {
        match (field.id, field.kind) {
            (2, LIST) => (walked.leaves, roots) = walk_schema(&mut cursor, columns)?,
            (4, LIST) => walk_row_groups(&mut cursor, &roots)?,
            (5, LIST) => walked.metadata = Some(walk_metadata(&mut cursor)?),
            (6, BINARY) => {
                let name = cursor.binary()?;
                let end = cursor.position();
                walked.odd_writer = std::str::from_utf8(name).is_err().then_some(end - name.len()..end);
            }
            _ => skip_field(&mut cursor, FILE, field)?,
        }
    }
    Ok(walked)
}

/// The number of elements of a list of structs.
fn structs(cursor: &mut Compact<'_>) -> Result<usize, CompactError> {
    match cursor.list()? {
        (kind, count) if kind != STRUCT && count > 0 => Err(CompactError::Type(kind)),
        (_, count) => Ok(count),
    }
}

/// Walks the row groups and refuses an encrypted column. `roots` has the root column of each leaf.
fn walk_row_groups(cursor: &mut Compact<'_>, roots: &[&[u8]]) -> Result<(), FooterError> {
    let found = structs(cursor)?;
    if found > MAX_ROW_GROUPS {
        return Err(FooterError::RowGroups { found, allowed: MAX_ROW_GROUPS });
    }
    for _ in 0..found {
        let mut last_id = 0;
        while let Some(field) = cursor.field(&mut last_id)? {
            if (field.id, field.kind) != (1, LIST) {
                skip_field(cursor, ROW_GROUP, field)?;
                continue;
            }
            for leaf in 0..structs(cursor)? {
                if walk_chunk(cursor)? {
                    let root = roots.get(leaf).copied().unwrap_or_default();
                    let column = String::from_utf8_lossy(root).into_owned();
                    return Err(FooterError::EncryptedColumn { column });
                }
            }
        }
    }
    Ok(())
}

/// Whether a column chunk is encrypted: it says with which key, or its metadata is encrypted, too.
fn walk_chunk(cursor: &mut Compact<'_>) -> Result<bool, CompactError> {
    let (mut last_id, mut encrypted) = (0, false);
    while let Some(field) = cursor.field(&mut last_id)? {
        encrypted |= matches!((field.id, field.kind), (8, STRUCT) | (9, BINARY));
        skip_field(cursor, CHUNK, field)?;
    }
    Ok(encrypted)
}

fn walk_metadata(cursor: &mut Compact<'_>) -> Result<KeyValues, FooterError> {
    let start = cursor.position();
    let mut found = KeyValues { is_text: true, ..KeyValues::default() };
    for _ in 0..structs(cursor)? {
        let (start, mut is_text, mut has_key, mut last_id) = (cursor.position(), true, false, 0);
        while let Some(field) = cursor.field(&mut last_id)? {
            has_key |= field.id == 1;
            match field.kind {
                BINARY => is_text &= std::str::from_utf8(cursor.binary()?).is_ok(),
                _ => skip_field(cursor, PAIR, field)?,
            }
        }
        if !has_key {
            return Err(CompactError::Missing("key").into());
        }
        found.is_text &= is_text;
        if is_text {
            found.pairs.push(start..cursor.position());
        }
    }
    found.list = start..cursor.position();
    Ok(found)
}

/// Walks the schema: the leaves that are root columns of some names, and the name of the root column of each leaf.
fn walk_schema<'a>(cursor: &mut Compact<'a>, columns: &[&str]) -> Result<(Vec<usize>, Vec<&'a [u8]>), FooterError> {
    let shape = FooterError::SchemaShape { allowed: MAX_SCHEMA_LEVELS };
    let (kind, count) = cursor.list()?;
    if kind != STRUCT {
        return Err(CompactError::Type(kind).into());
    }
    // The number of children still expected in each open group, the root first.
    let mut open: Vec<i64> = Vec::new();
    let (mut roots, mut root, mut leaves) = (Vec::new(), &b""[..], Vec::new());
    for element in 0..count {
        let Element { name, children, repetition } = schema_element(cursor)?;
        if repetition.is_some_and(|kind| kind != I32) {
            return Err(FooterError::Repetition { column: String::from_utf8_lossy(name).into_owned() });
        }
        match open.last_mut() {
            Some(left) => *left -= 1,
            None if element == 0 => {}
            None => return Err(shape),
        }
        if open.len() == 1 {
            root = name;
        }
        if children == 0 && element > 0 {
            if open.len() == 1 && columns.iter().any(|wanted| wanted.as_bytes() == name) {
                leaves.push(roots.len());
            }
            roots.push(root);
        } else if children >= 0 && open.len() < MAX_SCHEMA_LEVELS {
            open.push(children);
        } else {
            return Err(shape);
        }
        while open.pop_if(|left| *left == 0).is_some() {}
    }
    if open.is_empty() { Ok((leaves, roots)) } else { Err(shape) }
}

/// An element of a schema: its name, the number of its children, and the type that its repetition is stored as.
#[derive(Default)]
struct Element<'a> {
    name: &'a [u8],
    children: i64,
    repetition: Option<u8>,
}

fn schema_element<'a>(cursor: &mut Compact<'a>) -> Result<Element<'a>, CompactError> {
    let mut found = Element::default();
    let (mut has_name, mut last_id) = (false, 0);
    while let Some(field) = cursor.field(&mut last_id)? {
        has_name |= field.id == 4;
        if field.id == 3 {
            found.repetition = Some(field.kind);
        }
        match (field.id, field.kind) {
            (4, BINARY) => found.name = cursor.binary()?,
            (5, I16 | I32 | I64) => found.children = cursor.integer()?,
            // The schema is refused for its type.
            (3, kind) => cursor.skip(kind)?,
            _ => skip_field(cursor, SCHEMA_ELEMENT, field)?,
        }
    }
    if has_name { Ok(found) } else { Err(CompactError::Missing("name")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer with nothing but a schema: (name, number of children) of each element.
    fn schema_footer(elements: &[(&str, u8)]) -> Vec<u8> {
        let mut bytes = vec![0x29, 0xfc, elements.len() as u8];
        for (name, children) in elements {
            bytes.extend([0x48, name.len() as u8]);
            bytes.extend(name.as_bytes());
            if *children > 0 {
                bytes.extend([0x15, children * 2]);
            }
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn columns_are_found_among_the_roots() {
        let footer = schema_footer(&[("schema", 3), ("a", 0), ("s", 2), ("index", 0), ("b", 0), ("index", 0)]);
        assert_eq!(walk(&footer, &["index"]).unwrap().leaves, [3]);
        assert_eq!(walk(&footer, &["b", "a", "none"]).unwrap().leaves, [0]);
    }

    /// A footer of a schema and one row group, whose column chunks have these fields after their offset.
    fn chunks_footer(chunks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = schema_footer(&[("schema", 2), ("id", 0), ("s", 2), ("a", 0), ("b", 0)]);
        bytes.pop();
        // The list of row groups, with one; its list of chunks; each with its offset 4.
        bytes.extend([0x29, 0x1c, 0x19, (chunks.len() as u8) << 4 | STRUCT]);
        for fields in chunks {
            bytes.extend([0x26, 8]);
            bytes.extend(*fields);
            bytes.push(0);
        }
        bytes.extend([0, 0]);
        bytes
    }

    #[test]
    fn an_encrypted_column_is_named() {
        assert!(walk(&chunks_footer(&[&[], &[], &[]]), &[]).is_ok());
        assert_eq!(encrypted_column(&chunks_footer(&[&[], &[], &[]])), None);
        assert_eq!(encrypted_column(b"damaged"), None);
        // Field 8, a struct with an empty struct in it: the key of the footer. Field 9: encrypted metadata.
        for declared in [&[0x6c, 0x1c, 0, 0][..], &[0x78, 2, 7, 7]] {
            let error = walk(&chunks_footer(&[&[], &[], declared]), &[]).unwrap_err();
            assert_eq!(error.to_string(), "column 's' is encrypted; encrypted Parquet is not supported");
            assert!(matches!(error, FooterError::EncryptedColumn { .. }));
            assert_eq!(encrypted_column(&chunks_footer(&[&[], &[], declared])).as_deref(), Some("s"));
        }
    }

    /// The error of a footer with a list of structs as one of its fields.
    fn error_of(field: u8, count: u32, structs: &[u8]) -> String {
        let mut bytes = vec![field << 4 | LIST, 0xf0 | STRUCT];
        let mut left = count;
        while left > 0x7f {
            bytes.push(left as u8 & 0x7f | 0x80);
            left >>= 7;
        }
        bytes.push(left as u8);
        bytes.extend(structs);
        bytes.push(0);
        walk(&bytes, &[]).unwrap_err().to_string()
    }

    #[test]
    fn children_are_counted_in_integers_of_any_size() {
        // A name, and 400,000,000 children as i16, i32 and i64.
        for kind in [I16, I32, I64] {
            let element = [&[0x48, 1, b'a', 0x10 | kind][..], &[0x80, 0x90, 0xbc, 0xfd, 2, 0]].concat();
            assert_eq!(error_of(2, 1, &element), "damaged footer: its schema is not a tree of at most 64 levels");
        }
    }

    #[test]
    fn elements_without_what_they_must_have_are_refused() {
        assert_eq!(error_of(2, 2, &[0, 0]), "damaged footer: the required field name is missing");
        assert_eq!(error_of(5, 1, &[0x28, 1, b'v', 0]), "damaged footer: the required field key is missing");
        let found = (1 << 15) + 1;
        assert_eq!(error_of(4, found, &vec![0; found as usize]), "has 32769 row groups; at most 32768 are supported");
    }

    #[test]
    fn metadata_that_is_no_text_is_left_out() {
        for others in [1, 14, 15, 200] {
            let with = |texts: &[u8]| {
                let mut bytes = schema_footer(&[("schema", 1), ("a", 0)]);
                bytes.pop();
                bytes.push(0x39);
                match texts.len() {
                    short @ ..15 => bytes.push((short as u8) << 4 | STRUCT),
                    127.. => bytes.extend([0xf0 | STRUCT, 0xc8, 1]),
                    _ => bytes.extend([0xf0 | STRUCT, 15]),
                }
                for text in texts {
                    bytes.extend([0x18, 1, b'k', 0x18, 1, *text, 0]);
                }
                bytes.push(0);
                bytes
            };
            let right = with(&vec![b'v'; others]);
            assert!(walk(&right, &[]).unwrap().metadata.unwrap().is_text);
            let found = KeyValues { is_text: false, ..walk(&right, &[]).unwrap().metadata.unwrap() };
            assert_eq!(found.text_alone(&right), right);
        }
        let mut footer = schema_footer(&[("schema", 1), ("a", 0)]);
        footer.pop();
        let start = footer.clone();
        let pair = |value: u8| [0x18, 1, b'k', 0x18, 1, value, 0];
        footer.extend([&[0x39, 0x2c][..], &pair(0xe9), &pair(b'v'), &[0]].concat());
        let found = walk(&footer, &[]).unwrap().metadata.unwrap();
        assert!(!found.is_text);
        assert_eq!(found.text_alone(&footer), [&start[..], &[0x39, 0x1c], &pair(b'v'), &[0]].concat());
    }

    #[test]
    fn a_name_of_a_writer_that_is_no_text_is_found() {
        let mut footer = schema_footer(&[("schema", 1), ("a", 0)]);
        footer.pop();
        let start = footer.len();
        footer.extend([0x48, 2, b'J', 0xe9, 0]);
        assert_eq!(walk(&footer, &[]).unwrap().odd_writer, Some(start + 2..start + 4));
        footer[start + 3] = b'o';
        assert_eq!(walk(&footer, &[]).unwrap().odd_writer, None);
    }

    #[test]
    fn a_repetition_that_is_no_number_is_named() {
        // Field 3 of a column as a boolean, then its name; the root has one child.
        for boolean in [0x31, 0x32] {
            let footer = [0x29, 0x2c, 0x48, 1, b's', 0x15, 2, 0, boolean, 0x18, 2, b'r', b'a', 0, 0];
            let error = walk(&footer, &[]).unwrap_err();
            assert!(matches!(&error, FooterError::Repetition { column } if column == "ra"), "{error}");
        }
        let footer = [0x29, 0x2c, 0x48, 1, b's', 0x15, 2, 0, 0x35, 2, 0x18, 2, b'r', b'a', 0, 0];
        assert!(walk(&footer, &[]).is_ok());
    }

    #[test]
    fn refuses_schemas_that_are_no_tree_or_too_deep() {
        let unfinished = schema_footer(&[("schema", 2), ("a", 0)]);
        assert!(matches!(walk(&unfinished, &[]), Err(FooterError::SchemaShape { .. })));
        let two_roots = schema_footer(&[("schema", 1), ("a", 0), ("b", 0)]);
        assert!(matches!(walk(&two_roots, &[]), Err(FooterError::SchemaShape { .. })));
        let mut deep = vec![("d", 1); 100];
        deep.push(("leaf", 0));
        assert!(matches!(walk(&schema_footer(&deep), &[]), Err(FooterError::SchemaShape { .. })));
    }
}
