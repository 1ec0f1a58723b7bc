//! The rows of one margin in order, from runs of rows that are each in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt8Array, UInt64Array};
use arrow_select::interleave::interleave;
use skymargin_scan::check_room;

use crate::error::ShardError;
use crate::idle_nulls::without_idle_nulls;
use crate::shard_reader::{ShardBatch, ShardReader};
use crate::slices::{RowKey, Slice};

/// Where row groups end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupRule {
    /// Most rows of a row group.
    pub(crate) rows: usize,
    /// Rows of one group have the same index above so many bits.
    pub(crate) subtile_shift: Option<u8>,
}

/// A run: slices of one shard that are in order one after the other, and where it is.
struct Run {
    shard: u32,
    rest: std::vec::IntoIter<Slice>,
    current: Slice,
    /// The record batch of the current slice, once it was the turn of its first row.
    batch: Option<Arc<ShardBatch>>,
    /// The number of `batch` among those picked from, when it is among them.
    number: Option<usize>,
    /// The next row, counted from the first of the slice.
    row: u32,
}

/// The key of a run's next row, and the run; the heap gives the smallest.
type Next = Reverse<(RowKey, usize)>;

/// Merges the runs of one margin; holds the record batches of the runs whose turn it is, and those of the row group that
/// is being made.
pub(crate) struct Merge {
    runs: Vec<Run>,
    heap: BinaryHeap<Next>,
    threshold_arcsec: Option<f64>,
}

/// The rows of a row group, not yet copied.
pub(crate) struct Picked {
    batches: Vec<Arc<ShardBatch>>,
    /// Record batch and row of each.
    picks: Vec<(usize, usize)>,
}

impl Merge {
    /// Begins with the slices of one margin, each with its shard: those of one shard together, in the order of the
    /// shard. Rows with a larger separation than the threshold are left out.
    pub(crate) fn new(slices: &[(u32, Slice)], threshold_arcsec: Option<f64>) -> Self {
        let mut merge = Self { runs: Vec::new(), heap: BinaryHeap::new(), threshold_arcsec };
        for run in slices.chunk_by(|(shard, a), (other, b)| shard == other && a.run == b.run) {
            let shard = run[0].0;
            let mut rest = run.iter().map(|(_, slice)| *slice).collect::<Vec<_>>().into_iter();
            let Some(current) = rest.next() else { continue };
            merge.heap.push(Reverse((current.key, merge.runs.len())));
            merge.runs.push(Run { shard, rest, current, batch: None, number: None, row: 0 });
        }
        merge
    }

    /// The rows of the next row group; `None` when there are no more.
    pub(crate) fn next_group(
        &mut self,
        rule: GroupRule,
        reader: &mut ShardReader<'_>,
    ) -> Result<Option<Picked>, ShardError> {
        let mut picked = Picked { batches: Vec::new(), picks: Vec::new() };
        for run in &mut self.runs {
            run.number = None;
        }
        let mut subtile = 0;
        while picked.picks.len() < rule.rows
            && let Some(mut next) = self.heap.peek_mut()
        {
            let Reverse(((index, ..), number)) = *next;
            if let Some(shift) = rule.subtile_shift {
                let here = index.checked_shr(shift.into()).unwrap_or(0);
                // A row that is not picked begins no row group.
                if picked.picks.is_empty() {
                    subtile = here;
                }
                if subtile != here {
                    break;
                }
            }
            let run = &mut self.runs[number];
            let batch = run.batch(reader)?;
            if batch.is_within(run.place(), self.threshold_arcsec) {
                picked.add(run, &batch);
            }
            match run.advance(&batch) {
                Some(key) => *next = Reverse((key, number)),
                None => {
                    PeekMut::pop(next);
                }
            }
        }
        Ok((!picked.picks.is_empty()).then_some(picked))
    }
}

impl Run {
    /// The record batch of the next row.
    fn batch(&mut self, reader: &mut ShardReader<'_>) -> Result<Arc<ShardBatch>, ShardError> {
        let batch = match &self.batch {
            Some(batch) => Arc::clone(batch),
            None => reader.batch(self.shard, &self.current)?,
        };
        self.batch = Some(Arc::clone(&batch));
        Ok(batch)
    }

    /// The next row in its record batch.
    fn place(&self) -> usize {
        (self.current.first + self.row) as usize
    }

    /// Moves on to the next row, and returns its key; `None` at the end.
    fn advance(&mut self, batch: &ShardBatch) -> Option<RowKey> {
        self.row += 1;
        if self.row < self.current.rows {
            return Some(batch.key(self.place()));
        }
        (self.batch, self.number) = (None, None);
        self.current = self.rest.next()?;
        self.row = 0;
        Some(self.current.key)
    }
}

impl Picked {
    fn add(&mut self, run: &mut Run, batch: &Arc<ShardBatch>) {
        let number = run.number.unwrap_or_else(|| self.number(batch));
        run.number = Some(number);
        self.picks.push((number, run.place()));
    }

    /// The number of a record batch, which is added if it is not there: runs of small slices may share one.
    fn number(&mut self, batch: &Arc<ShardBatch>) -> usize {
        let back = self.batches.iter().rev().take(8).position(|other| Arc::ptr_eq(other, batch));
        if let Some(back) = back {
            return self.batches.len() - 1 - back;
        }
        self.batches.push(Arc::clone(batch));
        self.batches.len() - 1
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.picks.len()
    }

    /// Checks that there is memory for the row group: a column of it, its pages, and the pages compressed.
    pub(crate) fn check_room(&self) -> Result<(), ShardError> {
        // Of a record batch, a margin may use one row.
        let row_bytes: Vec<u64> =
            self.batches.iter().map(|batch| batch.bytes / (batch.index.len() as u64).max(1)).collect();
        let bytes: u64 = self.picks.iter().map(|(batch, _)| row_bytes[*batch]).sum();
        check_room(3 * bytes).map_err(|_| {
            let text = format!("there is no memory for a row group of {bytes} bytes");
            std::io::Error::new(std::io::ErrorKind::OutOfMemory, text).into()
        })
    }

    /// A column of the catalog of these rows.
    pub(crate) fn column(&self, place: usize) -> Result<ArrayRef, ShardError> {
        let arrays: Vec<&dyn Array> = self.batches.iter().map(|batch| batch.columns()[place].as_ref()).collect();
        interleave(&arrays, &self.picks).map(without_idle_nulls).map_err(ShardError::Rows)
    }

    /// The order and the pixel of the partition that each row comes from.
    pub(crate) fn sources(&self) -> (UInt8Array, UInt64Array) {
        let orders = self.picks.iter().map(|(batch, row)| self.batches[*batch].source_order[*row]);
        let pixels = self.picks.iter().map(|(batch, row)| self.batches[*batch].source_pixel[*row]);
        (orders.collect(), pixels.collect())
    }
}
