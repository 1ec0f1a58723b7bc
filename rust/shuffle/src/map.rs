//! Mapping: from the files of some partitions to one shard.

use std::collections::HashSet;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use skymargin_geometry::angle::Threshold;
use skymargin_geometry::cover::{Margins, Source as Partition};
use skymargin_geometry::pixel::Pixel;
use skymargin_scan::row_filter::CoverFilter;
use skymargin_scan::{ScanFile, Scanner, catch_panic};

use crate::error::MapError;
use crate::opened_ahead::{OpenFile, map_each};
use crate::shard_writer::{ShardContents, ShardWriter};

/// What map tasks of a run have in common.
#[derive(Debug)]
pub struct MapSpec {
    /// The margins at the widest threshold.
    pub margins: Arc<Margins>,
    /// The reader of the catalog; its schema is that of `transport_schema`.
    pub scanner: Arc<Scanner>,
    /// How far a row may lie from the pixel of its index value.
    pub index_slack: Threshold,
    /// Whether every row's position is checked against its index.
    pub check_index: bool,
    /// The thresholds of the run, the widest first.
    pub thresholds_arcsec: Vec<f64>,
    /// How many bytes of rows are gathered before they are written.
    pub gathered_bytes: u64,
    /// The margins that are made; `None` for all.
    pub wanted: Option<HashSet<Pixel>>,
}

/// A partition, or a part of one, to map.
#[derive(Clone, Debug)]
pub struct MapPart {
    /// The partition.
    pub pixel: Pixel,
    /// Its files, in the order in which their rows are numbered.
    pub files: Vec<String>,
    /// Which part it is, counted from 0. A part has the row groups whose middle is in it, by bytes.
    pub part: u32,
    /// Into how many parts the partition is cut.
    pub parts: u32,
}

/// A partition as its footers describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedPartition {
    /// The partition.
    pub pixel: Pixel,
    /// Its rows.
    pub rows: u64,
    /// The size of its columns before compression.
    pub memory_bytes: u64,
}

/// What a task read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// The partitions whose first part the task had.
    pub partitions: Vec<MappedPartition>,
    /// What is in the shard.
    pub contents: ShardContents,
    /// Bytes fetched from the files.
    pub bytes_read: u64,
    /// Pages that were decompressed.
    pub pages_decoded: u64,
    /// What files say beside their pages and that contradicted them, and was ignored.
    pub hints_ignored: u64,
}

/// Writes the rows of `parts` that belong to margins to a shard.
///
/// `open` opens a file, also from other threads: over high-latency sources, files of the next parts are opened while one
/// is mapped. `is_given_up` is asked before every part and every batch of rows.
///
/// # Errors
/// [`MapError`] when a partition cannot be read, the shard cannot be written, or the run is given up.
pub fn map(
    spec: &MapSpec,
    parts: &[MapPart],
    open: &OpenFile<'_>,
    shard: impl Write,
    is_given_up: &dyn Fn() -> bool,
) -> Result<Mapped, MapError> {
    catch_panic(|| {
        let schema = &spec.scanner.options().schema;
        let mut shard = ShardWriter::new(shard, schema, spec.gathered_bytes, &spec.thresholds_arcsec)?;
        let mut mapped = Mapped::default();
        let files: Vec<&[String]> = parts.iter().map(|part| part.files.as_slice()).collect();
        map_each(&spec.scanner, &files, open, is_given_up, |number, files| {
            map_part(spec, &parts[number], &files, &mut shard, &mut mapped, is_given_up)
        })?;
        mapped.contents = shard.finish()?;
        Ok(mapped)
    })
    .unwrap_or_else(|message| Err(MapError::Panic(message)))
}

fn map_part(
    spec: &MapSpec,
    part: &MapPart,
    files: &[ScanFile],
    shard: &mut ShardWriter<impl Write>,
    mapped: &mut Mapped,
    is_given_up: &dyn Fn() -> bool,
) -> Result<(), MapError> {
    let rows = files.iter().map(ScanFile::rows_total).sum();
    if part.part == 0 {
        let memory_bytes = files.iter().map(ScanFile::uncompressed_bytes).fold(0, u64::saturating_add);
        mapped.partitions.push(MappedPartition { pixel: part.pixel, rows, memory_bytes });
    }
    let index_order = spec.scanner.options().index_order;
    let partition = Partition { pixel: part.pixel, rows, index_order, index_slack: spec.index_slack };
    let cover = Arc::new(spec.margins.cover(partition)?);
    let is_wanted = |pixel: &Pixel| spec.wanted.as_ref().is_none_or(|wanted| wanted.contains(pixel));
    let destinations: Vec<Option<Pixel>> =
        cover.destinations().map(|pixel| is_wanted(&pixel).then_some(pixel)).collect();
    let is_needed = destinations.iter().any(Option::is_some);
    let mut first_row = 0;
    for (file, row_groups) in files.iter().zip(row_groups(files, part)) {
        if is_needed && !row_groups.is_empty() {
            let filter = CoverFilter::new(Arc::clone(&cover), file.index_shift(), spec.check_index);
            let mut scan = file.scan_row_groups(first_row, filter, row_groups)?;
            while let Some(batch) = scan.next().transpose()? {
                shard.add(batch, part.pixel, &destinations)?;
                if is_given_up() {
                    return Err(MapError::GivenUp);
                }
            }
            let report = scan.report();
            mapped.pages_decoded += report.pages_decoded;
            mapped.hints_ignored += report.hints_ignored;
        }
        mapped.bytes_read += file.bytes_fetched();
        first_row += file.rows_total();
    }
    Ok(())
}

/// The row groups of each file that a part has: those whose middle, by bytes before compression, lies in it.
fn row_groups(files: &[ScanFile], part: &MapPart) -> Vec<Range<usize>> {
    let sizes: Vec<Vec<u64>> = files.iter().map(ScanFile::row_group_bytes).collect();
    let total: u128 = sizes.iter().flatten().map(|bytes| u128::from(*bytes)).sum();
    let parts = u128::from(part.parts.max(1));
    let mut before = 0;
    let in_part = |bytes: u64, before: u128| {
        let middle = 2 * before + u128::from(bytes);
        // Without bytes there is nothing to share out.
        let number = (middle * parts).checked_div(2 * total).unwrap_or(0);
        number.min(parts - 1) == u128::from(part.part)
    };
    let mut ranges = Vec::with_capacity(files.len());
    for sizes in &sizes {
        let mut range = 0..0;
        for (group, bytes) in sizes.iter().enumerate() {
            if in_part(*bytes, before) {
                range = if range.is_empty() { group..group + 1 } else { range.start..group + 1 };
            }
            before += u128::from(*bytes);
        }
        ranges.push(range);
    }
    ranges
}
