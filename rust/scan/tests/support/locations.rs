//! Offset indexes that say what a test wants.

use bytes::Bytes;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};

/// A location of a page: offset, size, first row.
pub type Location = [i64; 3];

/// Rewrites the offset index of every chunk of a leaf: the new ones come before the footer.
pub fn with_locations(bytes: Vec<u8>, leaf: usize, change: impl Fn(&mut Vec<Location>)) -> Vec<u8> {
    let bytes = Bytes::from(bytes);
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.try_parse(&bytes).unwrap();
    let metadata = reader.finish().unwrap();
    let footer_bytes = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let mut written = bytes[..bytes.len() - 8 - footer_bytes].to_vec();
    let groups = metadata.row_groups().iter().zip(metadata.offset_index().unwrap()).map(|(group, indexes)| {
        let mut locations: Vec<Location> = indexes[leaf]
            .page_locations()
            .iter()
            .map(|page| [page.offset, i64::from(page.compressed_page_size), page.first_row_index])
            .collect();
        change(&mut locations);
        let encoded = encoded(&locations);
        let mut columns = group.columns().to_vec();
        columns[leaf] = columns[leaf]
            .clone()
            .into_builder()
            .set_offset_index_offset(Some(written.len() as i64))
            .set_offset_index_length(Some(encoded.len() as i32))
            .build()
            .unwrap();
        written.extend(encoded);
        group.clone().into_builder().set_column_metadata(columns).build().unwrap()
    });
    let groups = groups.collect();
    let changed = ParquetMetaData::new(metadata.file_metadata().clone(), groups);
    ParquetMetaDataWriter::new(&mut written, &changed).finish().unwrap();
    written
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
