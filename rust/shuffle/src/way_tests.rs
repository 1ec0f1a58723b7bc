//! The way of rows through a shard: compared with a sort of all rows.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use proptest::prelude::*;
use skymargin_geometry::pixel::Pixel;
use skymargin_scan::{BatchSelected, ScanBatch};

use crate::merge::{GroupRule, Merge};
use crate::read_ahead::ReadAhead;
use crate::shard_reader::ShardReader;
use crate::shard_writer::{ShardContents, ShardWriter};
use crate::shards::Shards;
use crate::slices::{SLICE_BYTES, Slice, nested_position};

/// Shards in memory, numbered from `first`.
struct Memory {
    first: u32,
    shards: Vec<Bytes>,
    ahead_bytes: u64,
}

impl Memory {
    fn one(number: u32, bytes: &Bytes) -> Self {
        Self { first: number, shards: vec![bytes.clone()], ahead_bytes: 0 }
    }
}

impl Shards for Memory {
    fn read(&self, ranges: &[(u32, Range<u64>)]) -> io::Result<Vec<Bytes>> {
        let part = |(shard, range): &(u32, Range<u64>)| {
            let bytes = &self.shards[(shard - self.first) as usize];
            let (start, end) = (range.start as usize, range.end as usize);
            if end > bytes.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes.slice(start..end)) }
        };
        ranges.iter().map(part).collect()
    }

    fn ahead_bytes(&self) -> u64 {
        self.ahead_bytes
    }
}

fn reader<'a>(shards: &'a Memory, slices: &[(u32, Slice)]) -> ShardReader<'a> {
    ShardReader::new(&schema(), ReadAhead::new(shards, std::iter::once(slices)))
}

fn pixel(number: u64) -> Pixel {
    Pixel::new(2, number).unwrap()
}

fn schema() -> Arc<Schema> {
    let fields = vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, true)];
    Arc::new(Schema::new(fields))
}

/// A row: source, row in it, index, destination, separation.
type Row = (u64, u64, u64, u64, f64);

/// A shard of rows, in record batches of three rows. The id of a row is its position in `rows`.
fn shard(rows: &[Row], first_id: i64, gathered_bytes: u64, thresholds_arcsec: &[f64]) -> (Vec<u8>, ShardContents) {
    let mut file = Vec::new();
    let mut writer = ShardWriter::new(&mut file, &schema(), gathered_bytes, thresholds_arcsec).unwrap();
    let destinations: Vec<Option<Pixel>> = (0..64).map(|number| Some(pixel(number))).collect();
    for (batch, chunk) in rows.chunks(3).enumerate() {
        for source in 0..8 {
            let here: Vec<(usize, &Row)> = chunk.iter().enumerate().filter(|(_, row)| row.0 == source).collect();
            let ids: Vec<i64> = here.iter().map(|(at, _)| first_id + (3 * batch + at) as i64).collect();
            let names: ArrayRef = Arc::new(StringArray::from_iter(
                ids.iter().map(|id| (id % 3 != 0).then(|| "x".repeat(*id as usize % 50))),
            ));
            let columns = RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(ids)), names]).unwrap();
            let selected = here.iter().enumerate().map(|(batch_row, (_, row))| BatchSelected {
                batch_row,
                destination: row.3 as u32,
                separation_arcsec: row.4,
            });
            let selection = ScanBatch {
                columns,
                rows: here.iter().map(|(_, row)| row.1).collect(),
                index: here.iter().map(|(_, row)| row.2).collect(),
                selected: selected.collect(),
            };
            writer.add(selection, pixel(100 + source), &destinations).unwrap();
        }
    }
    let contents = writer.finish().unwrap();
    (file, contents)
}

fn slices_of(contents: &ShardContents) -> Vec<Slice> {
    contents.slices.chunks_exact(SLICE_BYTES).map(|bytes| Slice::decode(bytes).unwrap()).collect()
}

/// The ids of a margin, by row group.
fn merged(
    shards: &[(Vec<u8>, ShardContents)],
    margin: Pixel,
    threshold_arcsec: Option<f64>,
    rule: GroupRule,
    ahead_bytes: u64,
) -> Vec<Vec<i64>> {
    let files = shards.iter().map(|(file, _)| Bytes::from(file.clone())).collect();
    let memory = Memory { first: 0, shards: files, ahead_bytes };
    let numbered = shards
        .iter()
        .enumerate()
        .flat_map(|(number, (_, contents))| slices_of(contents).into_iter().map(move |slice| (number as u32, slice)));
    let slices: Vec<(u32, Slice)> = numbered.filter(|(_, slice)| slice.pixel == margin).collect();
    let mut reader = reader(&memory, &slices);
    let mut merge = Merge::new(&slices, threshold_arcsec);
    let mut groups = Vec::new();
    while let Some(picked) = merge.next_group(rule, &mut reader).unwrap() {
        let ids = picked.column(0).unwrap().as_primitive::<Int64Type>().values().to_vec();
        let names = picked.column(1).unwrap();
        let names = names.as_string::<i32>();
        for (row, id) in ids.iter().enumerate() {
            assert_eq!(names.is_null(row), id % 3 == 0);
            assert!(names.is_null(row) || names.value(row).len() as i64 == id % 50);
        }
        assert_eq!(picked.sources().0.len(), picked.rows());
        groups.push(ids);
    }
    groups
}

#[test]
fn another_shard_in_the_place_of_the_one_that_was_written_is_noticed() {
    let rows: Vec<Row> = (0..40).map(|row| (row % 8, row, row % 5, row % 2, 1.0)).collect();
    let (file, contents) = shard(&rows, 0, 1 << 20, &[10.0]);
    let bytes = Bytes::from(file);
    let memory = Memory::one(7, &bytes);
    let read = |slice: Slice| {
        let rule = GroupRule { rows: 1000, subtile_shift: None };
        let mut reader = reader(&memory, &[(7, slice)]);
        Merge::new(&[(7, slice)], None).next_group(rule, &mut reader).map(|picked| picked.map(|picked| picked.rows()))
    };
    let slice = slices_of(&contents)[0];
    assert_eq!(read(slice).unwrap(), Some(20));
    let error = read(Slice { key: (slice.key.0, slice.key.1, slice.key.2 + 1), ..slice }).unwrap_err();
    assert_eq!(error.to_string(), "shard 7 is damaged: Ipc error: it has other rows than were written");
    let error = read(Slice { rows: 1000, ..slice }).unwrap_err();
    assert!(error.to_string().contains("it has fewer rows than were written"));
    let error = read(Slice { position: 1 << 40, ..slice }).unwrap_err();
    assert!(error.to_string().starts_with("shard 7: "), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn margins_are_in_order_whatever_was_gathered_together(
        lines in prop::collection::vec((0..8u64, 0..20u64, 0..4u64, 0.0..10.0f64), 1..120),
        cut in 0..120usize,
        gathered_bytes in 1..20_000u64,
        group_rows in 1..9usize,
        threshold_arcsec in 0.0..10.0f64,
        ahead_bytes in prop_oneof![Just(0u64), 1..20_000u64],
    ) {
        let mut rows: Vec<Row> = Vec::new();
        // A row of a source is selected once for a margin.
        for (number, (source, index, destination, separation)) in lines.into_iter().enumerate() {
            rows.push((source, number as u64, index, destination, separation));
        }
        let cut = cut.min(rows.len());
        let thresholds_arcsec = [10.0, threshold_arcsec];
        let shards = [
            shard(&rows[..cut], 0, gathered_bytes, &thresholds_arcsec),
            shard(&rows[cut..], cut as i64, gathered_bytes, &thresholds_arcsec),
        ];
        let within = rows.iter().filter(|row| row.4 <= threshold_arcsec).count() as u64;
        let total: u64 = shards.iter().map(|(_, contents)| contents.rows_per_threshold[1]).sum();
        prop_assert_eq!(total, within);
        for margin in 0..4 {
            for threshold in [None, Some(threshold_arcsec)] {
                let mut expected: Vec<(u64, u64, u64, i64)> = rows
                    .iter()
                    .zip(0..)
                    .filter(|(row, _)| row.3 == margin && threshold.is_none_or(|threshold| row.4 <= threshold))
                    .map(|(row, id)| (row.2, nested_position(pixel(100 + row.0)), row.1, id))
                    .collect();
                expected.sort_unstable();
                let ids: Vec<i64> = expected.iter().map(|row| row.3).collect();
                let by_rows =
                    merged(&shards, pixel(margin), threshold, GroupRule { rows: group_rows, subtile_shift: None }, ahead_bytes);
                let expected_groups: Vec<Vec<i64>> = ids.chunks(group_rows).map(<[i64]>::to_vec).collect();
                prop_assert_eq!(by_rows, expected_groups);
                let rule = GroupRule { rows: 1000, subtile_shift: Some(2) };
                let by_subtile = merged(&shards, pixel(margin), threshold, rule, ahead_bytes);
                let chunks = expected.chunk_by(|a, b| a.0 >> 2 == b.0 >> 2);
                let expected_groups: Vec<Vec<i64>> =
                    chunks.map(|chunk| chunk.iter().map(|row| row.3).collect()).collect();
                prop_assert_eq!(by_subtile, expected_groups);
            }
        }
    }

    #[test]
    fn a_damaged_shard_is_an_error_and_no_panic(at in 0..10_000usize, value in 0..=255u8, length in 0..400u64) {
        let rows: Vec<Row> = (0..40).map(|row| (row % 8, row, row % 5, row % 2, 1.0)).collect();
        let (mut file, contents) = shard(&rows, 0, 1 << 20, &[10.0]);
        let place = at % file.len();
        file[place] = value;
        let mut slice = slices_of(&contents)[0];
        slice.length = slice.length.saturating_sub(length);
        let bytes = Bytes::from(file);
        let memory = Memory::one(0, &bytes);
        let read = skymargin_scan::catch_panic(|| {
            let mut reader = reader(&memory, &[(0, slice)]);
            let rule = GroupRule { rows: 1000, subtile_shift: None };
            Merge::new(&[(0, slice)], None).next_group(rule, &mut reader).map(|_| ())
        });
        // Only what Arrow's decoder does not check itself may panic; `reduce` turns that into an error.
        if let Err(message) = read {
            prop_assert!(!message.is_empty());
        }
    }
}
