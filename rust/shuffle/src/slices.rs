//! Where the rows of a margin lie in a shard, as map tasks return it and reduce tasks get it.

use skymargin_geometry::pixel::{MAX_ORDER, Pixel};

/// Rows of one margin, in its order, in one record batch of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The margin's pixel.
    pub pixel: Pixel,
    /// Where the record batch begins in the shard, in bytes.
    pub position: u64,
    /// The size of the record batch in bytes.
    pub length: u64,
    /// Slices of a margin with the same number are in order one after the other.
    pub run: u32,
    /// The first row in the record batch.
    pub first: u32,
    /// The number of rows.
    pub rows: u32,
    /// What orders the first row: merging need not read a slice before its turn.
    pub(crate) key: RowKey,
}

/// What orders the rows of a margin: index, where the source begins along the sky, row in the source.
pub(crate) type RowKey = (u64, u64, u64);

/// The size of an encoded slice: little-endian order (1 byte), pixel, position, length (8 each), run, first, rows (4
/// each), key (3 of 8).
pub const SLICE_BYTES: usize = 61;

impl Slice {
    /// Appends the slice to `bytes`.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.pixel.order());
        for number in [self.pixel.index(), self.position, self.length] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.run, self.first, self.rows] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.key.0, self.key.1, self.key.2] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// The slice in `SLICE_BYTES` bytes; `None` when they are of another number or name no pixel.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SLICE_BYTES] = bytes.try_into().ok()?;
        let long = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let short = |at: usize| {
            let mut number = [0; 4];
            number.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(number)
        };
        Some(Self {
            pixel: Pixel::new(bytes[0], long(1)).ok()?,
            position: long(9),
            length: long(17),
            run: short(25),
            first: short(29),
            rows: short(33),
            key: (long(37), long(45), long(53)),
        })
    }
}

/// Where a pixel begins along the sky in nested order; distinct for disjoint pixels.
pub(crate) fn nested_position(pixel: Pixel) -> u64 {
    pixel.index() << (2 * (MAX_ORDER - pixel.order()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_comes_back_from_its_bytes() {
        let pixel = Pixel::new(3, 700).unwrap();
        let slice =
            Slice { pixel, position: 1 << 40, length: 77, run: 5, first: 9, rows: 1 << 31, key: (7, 1 << 60, 3) };
        let mut bytes = Vec::new();
        slice.encode(&mut bytes);
        assert_eq!(bytes.len(), SLICE_BYTES);
        assert_eq!(Slice::decode(&bytes), Some(slice));
        assert_eq!(Slice::decode(&bytes[1..]), None);
        bytes[0] = 30;
        assert_eq!(Slice::decode(&bytes), None);
    }

    #[test]
    fn pixels_are_ordered_along_the_sky() {
        let position = |order, index| nested_position(Pixel::new(order, index).unwrap());
        assert_eq!(position(29, 5), 5);
        assert!(position(1, 3) < position(0, 1) && position(0, 1) == position(2, 16));
    }
}
