//! All columns of the selected rows, in batches of limited size.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use arrow_select::take::take;

use crate::budget::Budget;
use crate::candidates::CandidateRows;
use crate::catch_panic::guarded;
use crate::error::ScanError;
use crate::fetched::Fetched;
use crate::file::{ParquetFile, array_bytes};
use crate::filter::SelectedCandidate;
use crate::row_ranges::RowRanges;
use crate::schema::{FileColumn, Projection};
use crate::try_reserve;

/// Selected rows of one file, in file order, with all their columns.
#[derive(Clone, Debug)]
pub struct ScanBatch {
    /// The rows, each once, in the catalog's schema.
    pub columns: RecordBatch,
    /// The row number of each in the partition.
    pub rows: Vec<u64>,
    /// The spatial index of each, from the index column, or computed where there is none.
    pub index: Vec<u64>,
    /// Which row belongs to which destination, by row of the batch, then destination.
    pub selected: Vec<BatchSelected>,
}

/// A row of a batch and a destination that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchSelected {
    /// The row within the batch.
    pub batch_row: usize,
    /// The destination, numbered by the filter.
    pub destination: u32,
    /// The separation from the destination in arcseconds; NaN where the filter does not know it.
    pub separation_arcsec: f64,
}

/// Selected rows that are not in a batch yet.
#[derive(Default)]
pub(super) struct Pending {
    /// By candidate, then destination.
    selected: Vec<SelectedCandidate>,
    next: usize,
}

impl Pending {
    pub(super) fn new(mut selected: Vec<SelectedCandidate>) -> Self {
        selected.sort_unstable_by_key(|selected| (selected.candidate, selected.destination));
        Self { selected, next: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next == self.selected.len()
    }

    /// The remaining selected candidates, each once.
    fn candidates(&self) -> impl Iterator<Item = usize> + '_ {
        self.selected[self.next..].chunk_by(|a, b| a.candidate == b.candidate).map(|same| same[0].candidate)
    }

    /// The rows of the remaining selected candidates.
    pub(super) fn rows(&self, candidates: &CandidateRows) -> RowRanges {
        let mut rows = RowRanges::default();
        for candidate in self.candidates() {
            let row = candidates.rows[candidate];
            rows.push(row..row + 1);
        }
        rows
    }

    /// Takes the selections of the next `count` candidates.
    fn take(&mut self, count: usize) -> Vec<BatchSelected> {
        let mut taken = Vec::new();
        let groups = self.selected[self.next..].chunk_by(|a, b| a.candidate == b.candidate);
        for (batch_row, same) in groups.take(count).enumerate() {
            taken.extend(same.iter().map(|selected| BatchSelected {
                batch_row,
                destination: selected.destination,
                separation_arcsec: selected.separation_arcsec,
            }));
        }
        self.next += taken.len();
        taken
    }
}

/// What a batch is read from.
pub(super) struct BatchReader<'a> {
    pub(super) file: &'a Arc<ParquetFile>,
    pub(super) projection: &'a Projection,
    pub(super) schema: &'a SchemaRef,
    pub(super) budget: Budget,
    /// What was read before.
    pub(super) in_hand: &'a Arc<Fetched>,
}

impl BatchReader<'_> {
    /// Reads the next batch of selected rows: as many as the budget allows, at least one.
    pub(super) fn read(&self, candidates: &CandidateRows, pending: &mut Pending) -> Result<ScanBatch, ScanError> {
        let (mut chosen, planned_bytes) = self.fitting(candidates, pending);
        let columns = self.projection.columns();
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; columns.len()];
        let mut used_bytes = 0;
        let held_bytes = self.in_hand.held_bytes();
        let is_low_latency = self.file.source().is_low_latency();
        let limit_bytes = if is_low_latency {
            self.budget.batch_limit_bytes(held_bytes)
        } else {
            self.budget.small_batch_limit_bytes(held_bytes, planned_bytes)
        };
        let pairs = pending.selected.len();
        let room_bytes = self.budget.batch_fetch_bytes(held_bytes, limit_bytes, candidates.rows.len(), pairs);

        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.retain(|place| candidates.known.iter().all(|(known, _)| known != place));
        let first_group = self.file.first_rows().partition_point(|first| *first <= candidates.rows[chosen[0]]) - 1;
        let group = self.file.metadata().row_group(first_group);
        if is_low_latency {
            // The widest columns first: they show whether rows are larger than the average of their row group.
            order.sort_by_cached_key(|place| std::cmp::Reverse(columns[*place].row_bytes(group)));
        } else {
            // Where not all are fetched at once, those that are lie together.
            let start = |leaf| group.column(leaf).data_page_offset();
            order.sort_by_cached_key(|place| columns[*place].leaves().map(start).min());
        }

        let mut order = order.as_slice();
        while !order.is_empty() {
            let rows = self.rows(candidates, &chosen);
            let ahead: Vec<&FileColumn> = order.iter().map(|place| &columns[*place]).collect();
            let (covered, fetched) = self.file.fetch(&ahead, &rows, room_bytes, self.in_hand)?;
            let (now, later) = order.split_at(covered.clamp(1, order.len()));
            for place in now {
                let rows = self.rows(candidates, &chosen);
                let column = &columns[*place];
                let sub_rows = self.budget.sub_rows(column.row_bytes(group));
                let mut pieces = Vec::new();
                let mut read_rows = 0;
                if column.is_null_typed() {
                    read_rows = chosen.len();
                    pieces.push(new_null_array(column.natural(), read_rows));
                } else {
                    for piece in self.file.read(column, &rows, sub_rows.min(chosen.len()), &fetched)? {
                        let piece = piece?;
                        used_bytes += array_bytes(piece.as_ref());
                        read_rows += piece.len();
                        pieces.push(piece);
                        if used_bytes > limit_bytes && read_rows > 0 {
                            break;
                        }
                    }
                }
                if read_rows < chosen.len() {
                    if used_bytes <= limit_bytes {
                        return Err(self.file.rows_error(column.name(), read_rows as u64, rows.len()));
                    }
                    // The batch is full: the other rows are left for the next one.
                    chosen.truncate(read_rows);
                    for array in arrays.iter_mut().flatten() {
                        *array = array.slice(0, read_rows);
                    }
                }
                arrays[*place] = Some(self.conformed(column, &pieces, None)?);
            }
            order = later;
        }
        for (place, pieces) in &candidates.known {
            let positions: UInt64Array = chosen.iter().map(|candidate| *candidate as u64).collect();
            arrays[*place] = Some(self.conformed(&columns[*place], pieces, Some(&positions))?);
        }
        self.assemble(candidates, &chosen, arrays, pending)
    }

    /// The next selected candidates that fit a batch, by the average size of a row in their row groups, and their size.
    fn fitting(&self, candidates: &CandidateRows, pending: &Pending) -> (Vec<usize>, u64) {
        let first_rows = self.file.first_rows();
        let most_bytes = self.budget.batch_bytes(self.in_hand.held_bytes());
        let mut chosen = Vec::new();
        let (mut total_bytes, mut group_end, mut row_bytes) = (0, 0, 0);
        for candidate in pending.candidates() {
            let row = candidates.rows[candidate];
            if row >= group_end {
                let group = first_rows.partition_point(|first| *first <= row) - 1;
                group_end = first_rows[group + 1];
                let group = self.file.metadata().row_group(group);
                row_bytes = self.projection.columns().iter().map(|column| column.row_bytes(group)).sum();
            }
            let with_row = u64::saturating_add(total_bytes, row_bytes);
            if with_row > most_bytes && !chosen.is_empty() {
                break;
            }
            total_bytes = with_row;
            chosen.push(candidate);
        }
        (chosen, total_bytes)
    }

    fn rows(&self, candidates: &CandidateRows, chosen: &[usize]) -> RowRanges {
        let rows: Vec<u64> = chosen.iter().map(|candidate| candidates.rows[*candidate]).collect();
        RowRanges::from_rows(&rows)
    }

    /// Joins the pieces of a column, takes the rows at `positions` if given, and converts them to the schema's type.
    fn conformed(
        &self,
        column: &FileColumn,
        pieces: &[ArrayRef],
        positions: Option<&UInt64Array>,
    ) -> Result<ArrayRef, ScanError> {
        let name = self.file.name();
        guarded(name, || {
            if pieces.len() > 1 || positions.is_some() {
                let bytes = pieces.iter().map(|piece| array_bytes(piece.as_ref())).sum::<u64>();
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                try_reserve::check(bytes).map_err(|_| self.file.room_error(column.name(), bytes))?;
            }
            let failed = |error| self.file.kernel_error(column.name(), error);
            let whole = match pieces {
                [piece] => Arc::clone(piece),
                pieces => {
                    let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
                    concat(&pieces).map_err(failed)?
                }
            };
            let chosen = match positions {
                Some(positions) => take(&whole, positions, None).map_err(failed)?,
                None => whole,
            };
            column.conform(&chosen, name)
        })
    }

    fn assemble(
        &self,
        candidates: &CandidateRows,
        chosen: &[usize],
        arrays: Vec<Option<ArrayRef>>,
        pending: &mut Pending,
    ) -> Result<ScanBatch, ScanError> {
        let options = RecordBatchOptions::new().with_row_count(Some(chosen.len()));
        let arrays: Vec<ArrayRef> = arrays.into_iter().flatten().collect();
        let columns = RecordBatch::try_new_with_options(Arc::clone(self.schema), arrays, &options)
            .map_err(|error| self.file.kernel_error("of the whole batch", error))?;
        Ok(ScanBatch {
            columns,
            rows: chosen.iter().map(|candidate| candidates.rows[*candidate]).collect(),
            index: chosen.iter().map(|candidate| candidates.index[*candidate]).collect(),
            selected: pending.take(chosen.len()),
        })
    }
}
