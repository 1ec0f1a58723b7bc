//! Checks of a decompressed page before it is decoded.
//!
//! The decoders of the `parquet` crate allocate the number of values that a dictionary or a delta encoding claims, and
//! loop for ever when repetition levels run out. So these numbers are first checked against the size of the page.

use parquet::basic::Encoding;

use crate::error::PageError;
use crate::levels::{RowStarts, count_row_starts};
use crate::page_header::PageKind;
use crate::page_map::Chunk;

/// Checks that a page does not claim more than its bytes hold. `rows` is what begins in a data page: so many rows, and
/// one of them with the page if that is stated.
///
/// Returns whether it has bytes of values.
pub(super) fn check_body(
    chunk: &Chunk,
    offset: u64,
    kind: PageKind,
    body: &[u8],
    rows: Option<RowStarts>,
) -> Result<bool, PageError> {
    let levels = || PageError::Levels { offset };
    let (values, encoding, repetition, plain) = match kind {
        PageKind::Dictionary { values, .. } => {
            let what = "its number of values";
            let allowed = body.len() as u64 / chunk.value_bytes;
            let found = i64::from(values);
            return if found as u64 <= allowed {
                Ok(true)
            } else {
                Err(PageError::Bound { offset, what, found, allowed })
            };
        }
        PageKind::Data { values, encoding, definition, repetition } => {
            let mut rest = body;
            let repetition = match chunk.max_repetition {
                0 => None,
                most => v1_levels(repetition, most, values, &mut rest).ok_or_else(levels)?,
            };
            if chunk.max_definition > 0 {
                v1_levels(definition, chunk.max_definition, values, &mut rest).ok_or_else(levels)?;
            }
            (values, encoding, repetition, rest)
        }
        PageKind::DataV2(page) => {
            let (repetition, rest) = body.split_at_checked(page.repetition_bytes as usize).ok_or_else(levels)?;
            let plain = rest.get(page.definition_bytes as usize..).ok_or_else(levels)?;
            (page.values, page.encoding, (chunk.max_repetition > 0).then_some(repetition), plain)
        }
        PageKind::Other => return Ok(true),
    };
    if let Some(repetition) = repetition {
        let starts = count_row_starts(repetition, chunk.max_repetition, values).ok_or_else(levels)?;
        let continues = !starts.first_starts && values > 0;
        if rows.is_some_and(|wanted| wanted.rows != starts.rows || wanted.first_starts && continues) {
            return Err(levels());
        }
    }
    let fits = |length: Option<(u64, usize)>| length.is_some_and(|(count, _)| count <= u64::from(values));
    let sound = match encoding {
        _ if plain.is_empty() => true,
        Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => fits(delta_packed(plain)),
        Encoding::DELTA_BYTE_ARRAY => {
            let prefixes = delta_packed(plain);
            fits(prefixes)
                && prefixes.is_some_and(|(_, end)| plain.get(end..).is_some_and(|rest| fits(delta_packed(rest))))
        }
        _ => true,
    };
    if sound { Ok(!plain.is_empty()) } else { Err(PageError::Values { offset }) }
}

/// Takes the levels of a page of version 1, which follow their length. `Some(None)` for those of the oldest encoding,
/// which all take the same number of bits, and have no length.
#[allow(clippy::option_option, reason = "damaged, of the oldest kind, or there")]
fn v1_levels<'a>(encoding: Encoding, most: i16, values: u32, rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    if encoding != Encoding::RLE {
        let bits = u64::from(i16::BITS - most.leading_zeros());
        *rest = rest.get((u64::from(values) * bits).div_ceil(8) as usize..)?;
        return Some(None);
    }
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (levels, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(Some(levels))
}

/// The number of values of a delta encoding, and where it ends.
///
/// A block is: its smallest delta, the bit widths of its mini blocks, and these, of which those after the last value
/// are left out.
fn delta_packed(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut at = 0;
    let block_values = varint(bytes, &mut at)?;
    let mini_blocks = varint(bytes, &mut at)?;
    let count = varint(bytes, &mut at)?;
    varint(bytes, &mut at)?;
    let mini_values = block_values.checked_div(mini_blocks)?;
    let mut left = count.saturating_sub(1);
    // A page without a block, of no value or one, may be shorter than the bit widths of a block.
    if mini_values == 0 || left > 0 && mini_blocks > bytes.len() as u64 {
        return None;
    }
    while left > 0 {
        varint(bytes, &mut at)?;
        let widths = bytes.get(at..at + mini_blocks as usize)?;
        at += mini_blocks as usize;
        for width in widths {
            if left == 0 {
                break;
            }
            at = at.checked_add(usize::try_from(u64::from(*width).checked_mul(mini_values)? / 8).ok()?)?;
            left = left.saturating_sub(mini_values);
        }
    }
    Some((count, at))
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_delta_encoding_is_found() {
        // Blocks of 128 values in 4 mini blocks; 40 values: two mini blocks of 3 and 5 bits, the others unused.
        let mut bytes = vec![0x80, 0x01, 4, 40, 2, 0, 3, 5, 99, 99];
        bytes.extend(vec![0; 12 + 20]);
        let end = bytes.len();
        bytes.extend([7; 9]);
        assert_eq!(delta_packed(&bytes), Some((40, end)));
        // As DuckDB writes a page of nulls, and one of a single value: shorter than its 8 mini blocks.
        assert_eq!(delta_packed(&[0x80, 0x10, 8, 0, 0]), Some((0, 5)));
        assert_eq!(delta_packed(&[0x80, 0x10, 8, 1, 0x10]), Some((1, 5)));
        // One value has no block, and neither has none.
        assert_eq!(delta_packed(&[0x80, 0x01, 4, 1, 2, 9]), Some((1, 5)));
        assert_eq!(delta_packed(&[0x80, 0x01, 4, 0, 0, 9]), Some((0, 5)));
    }

    #[test]
    fn levels_of_the_oldest_encoding_hide_no_values() {
        // Seven values with levels of three bits, then what follows.
        let mut rest = &[0, 0, 0, 8, 9][..];
        #[allow(deprecated, reason = "levels of old files")]
        let packed = Encoding::BIT_PACKED;
        assert_eq!(v1_levels(packed, 4, 7, &mut rest), Some(None));
        assert_eq!(rest, [8, 9]);
        assert_eq!(v1_levels(packed, 4, 6, &mut rest), None);
    }

    #[test]
    fn a_delta_encoding_that_claims_much_ends() {
        let claim = [0x80, 0x01, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 2];
        assert_eq!(delta_packed(&claim), None);
        let empty_blocks = [0x00, 1, 9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(delta_packed(&empty_blocks), None);
        // Mini blocks without width take no bytes, but each block does.
        let mut flat = claim.to_vec();
        flat.extend([0; 1000]);
        assert_eq!(delta_packed(&flat), None);
    }
}
