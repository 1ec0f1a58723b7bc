//! How many rows begin in a page of a repeated column, by its repetition levels alone.

/// The rows that begin in a page, and whether its first value begins one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowStarts {
    pub(super) rows: u64,
    pub(super) first_starts: bool,
}

/// Counts the zeros among `values` levels in Parquet's hybrid of run lengths and bit packing.
///
/// `None` when the bytes hold fewer levels, as the `parquet` crate reads them: it loops for ever when levels run out. A
/// run of no levels ends them, and it cuts a number of levels to 32 bits, which no page needs.
pub(super) fn count_row_starts(mut bytes: &[u8], max_level: i16, values: u32) -> Option<RowStarts> {
    let width = (i16::BITS - max_level.leading_zeros()) as usize;
    let mut left = u64::from(values);
    let mut starts = RowStarts { rows: 0, first_starts: false };
    let mut first = true;
    while left > 0 {
        let head = varint(&mut bytes)?;
        let zeros;
        let first_is_zero;
        let stated = if head & 1 == 0 { head >> 1 } else { (head >> 1).checked_mul(8)? };
        if stated == 0 || stated > u32::MAX.into() {
            return None;
        }
        if head & 1 == 0 {
            let run = stated.min(left);
            let (level, rest) = bytes.split_at_checked(width.div_ceil(8))?;
            bytes = rest;
            first_is_zero = level.iter().all(|byte| *byte == 0);
            zeros = if first_is_zero { run } else { 0 };
            left -= run;
        } else {
            let groups = usize::try_from(head >> 1).ok()?;
            let packed_bytes = groups.checked_mul(width)?.min(bytes.len());
            let (packed, rest) = bytes.split_at(packed_bytes);
            bytes = rest;
            // The last group may be cut short where its levels are not used.
            let used = ((packed_bytes * 8 / width) as u64).min(left);
            if used == 0 {
                return None;
            }
            first_is_zero = is_zero(packed, 0, width);
            zeros = count_zeros(packed, width, used as usize);
            left -= used;
        }
        if first {
            starts.first_starts = first_is_zero;
            first = false;
        }
        starts.rows += zeros;
    }
    Some(starts)
}

/// The zeros among the first `count` levels of `width` bits, packed from the lowest bit on.
fn count_zeros(packed: &[u8], width: usize, count: usize) -> u64 {
    if width > 1 {
        return (0..count).filter(|at| is_zero(packed, at * width, width)).count() as u64;
    }
    let (whole, rest) = (count / 8, count % 8);
    let in_whole: u32 = packed[..whole].iter().map(|byte| byte.count_zeros()).sum();
    let in_rest = (0..rest).filter(|bit| packed[whole] >> bit & 1 == 0).count();
    u64::from(in_whole) + in_rest as u64
}

/// Whether the `width` bits from `bit` on are zero; a level has 15 at most.
fn is_zero(packed: &[u8], bit: usize, width: usize) -> bool {
    let byte = |at: usize| u32::from(packed.get(bit / 8 + at).copied().unwrap_or(0));
    let window = byte(0) | byte(1) << 8 | byte(2) << 16;
    window >> (bit % 8) & ((1 << width) - 1) == 0
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
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
    fn runs_and_packed_groups_are_counted() {
        // A run of three 1, a group of eight packed one-bit levels 0 1 1 0 1 1 1 1, a run of two 0.
        let bytes = [3 << 1, 1, 1 << 1 | 1, 0b1111_0110, 2 << 1, 0];
        let all = count_row_starts(&bytes, 1, 13);
        assert_eq!(all, Some(RowStarts { rows: 4, first_starts: false }));
        assert_eq!(count_row_starts(&bytes, 1, 5), Some(RowStarts { rows: 1, first_starts: false }));
        assert_eq!(count_row_starts(&bytes[2..], 1, 1), Some(RowStarts { rows: 1, first_starts: true }));
        assert_eq!(count_row_starts(&bytes, 1, 14), None);
    }

    #[test]
    fn wider_levels_are_counted() {
        // Two bits a level: 0 2 1 0, 3 3 0 1.
        let bytes = [1 << 1 | 1, 0b00_01_10_00, 0b01_00_11_11];
        assert_eq!(count_row_starts(&bytes, 3, 8), Some(RowStarts { rows: 3, first_starts: true }));
    }

    #[test]
    fn an_endless_or_empty_encoding_ends() {
        assert_eq!(count_row_starts(&[], 1, 1), None);
        assert_eq!(count_row_starts(&[0, 0, 0, 0], 1, 1), None);
        // Four levels after a run of none; eight after groups and a run whose numbers are 0 in 32 bits.
        assert_eq!(count_row_starts(&[4, 0, 0, 0, 4, 0], 1, 4), None);
        assert_eq!(count_row_starts(&[0x81, 0x80, 0x80, 0x80, 4, 0xff, 1 << 1 | 1, 0], 1, 8), None);
        assert_eq!(count_row_starts(&[0x80, 0x80, 0x80, 0x80, 0x20, 0, 1 << 1 | 1, 0], 1, 8), None);
        assert_eq!(count_row_starts(&[], 1, 0), Some(RowStarts { rows: 0, first_starts: false }));
        assert_eq!(count_row_starts(&[0xff; 30], 1, 1), None);
    }
}
