//! Offset indexes that say what a test wants.

use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};

/// A location of a page: offset, size, first row.
pub type Location = [i64; 3];

/// Rewrites the offset index of every chunk of a leaf in its place.
pub fn with_locations(mut bytes: Vec<u8>, leaf: usize, change: impl Fn(&mut Vec<Location>)) -> Vec<u8> {
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.try_parse(&bytes::Bytes::from(bytes.clone())).unwrap();
    let metadata = reader.finish().unwrap();
    for (group, indexes) in metadata.row_groups().iter().zip(metadata.offset_index().unwrap()) {
        let mut locations: Vec<Location> = indexes[leaf]
            .page_locations()
            .iter()
            .map(|page| [page.offset, i64::from(page.compressed_page_size), page.first_row_index])
            .collect();
        change(&mut locations);
        let encoded = encoded(&locations);
        let column = group.column(leaf);
        let start = column.offset_index_offset().unwrap() as usize;
        let room = column.offset_index_length().unwrap() as usize;
        // What follows the end of the struct is not read.
        assert!(encoded.len() <= room, "{} bytes in {room}", encoded.len());
        bytes[start..start + encoded.len()].copy_from_slice(&encoded);
    }
    bytes
}

fn encoded(locations: &[Location]) -> Vec<u8> {
    let mut bytes = vec![0x19];
    match locations.len() {
        short @ ..15 => bytes.push((short as u8) << 4 | 12),
        long => bytes.extend([0xfc, long as u8]),
    }
    for [offset, size, first_row] in locations {
        for (head, value) in [(0x16, offset), (0x15, size), (0x16, first_row)] {
            bytes.push(head);
            let mut zigzag = (value << 1 ^ value >> 63) as u64;
            while zigzag > 0x7f {
                bytes.push(zigzag as u8 & 0x7f | 0x80);
                zigzag >>= 7;
            }
            bytes.push(zigzag as u8);
        }
        bytes.push(0);
    }
    bytes.push(0);
    bytes
}
