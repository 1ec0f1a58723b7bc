//! The values of one column at some rows, batch by batch.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use parquet::arrow::FieldLevels;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::errors::ParquetError;

use crate::catch_panic::guarded;
use crate::error::ScanError;
use crate::fetched::Fetched;
use crate::file::ParquetFile;
use crate::index_ahead::{INDEX_GROUPS, IndexParts};
use crate::masked_nulls::with_masked_nulls;
use crate::pages::{ChunkPlan, ColumnChunks};
use crate::row_ranges::RowRanges;
use crate::schema::FileColumn;
use crate::unchecked_text::{check_text, is_unchecked};

/// The number of rows of a batch when many more are read than were asked for.
const LEAST_BATCH_ROWS: usize = 512;

impl ParquetFile {
    /// A reader of one column at some rows, `batch_rows` at a time.
    pub(super) fn read(
        self: &Arc<Self>,
        column: &FileColumn,
        rows: &RowRanges,
        batch_rows: usize,
        fetched: &Arc<Fetched>,
    ) -> Result<ColumnReader, ScanError> {
        let parquet = self.metadata().file_metadata().schema_descr();
        let request = Request {
            file: Arc::clone(self),
            column: column.name().to_string(),
            levels: Arc::clone(column.levels()),
            leaves: column.leaves(),
            batch_rows: batch_rows.max(1),
            checks_text: column.leaves().any(|leaf| is_unchecked(&parquet.column(leaf))),
            fetched: Arc::clone(fetched),
        };
        let reader = request.reader(rows)?;
        Ok(ColumnReader { reader, request, rows: rows.clone(), given: 0, by_pages: false, changed: None })
    }
}

/// What is read, but for the rows.
struct Request {
    file: Arc<ParquetFile>,
    column: String,
    levels: Arc<FieldLevels>,
    leaves: Range<usize>,
    batch_rows: usize,
    checks_text: bool,
    fetched: Arc<Fetched>,
}

impl Request {
    fn reader(&self, rows: &RowRanges) -> Result<ParquetRecordBatchReader, ScanError> {
        let file = &self.file;
        let groups = rows.by_group(file.first_rows());
        let plans = self.leaves.clone().map(|leaf| self.plans(leaf, &groups));
        let chunks = ColumnChunks {
            file: Arc::clone(file),
            leaves: plans.collect::<Result<_, _>>()?,
            row_groups: groups.iter().map(|(row_group, _)| *row_group).collect(),
            fetched: Arc::clone(&self.fetched),
        };
        let group_rows = |group: &usize| file.metadata().row_group(*group).num_rows() as u64;
        let selection = RowRanges::selection(groups.iter().map(|(group, rows)| (group_rows(group), rows)));
        guarded(file.name(), || {
            ParquetRecordBatchReader::try_new_with_row_groups(&self.levels, &chunks, self.batch_rows, Some(selection))
                .map_err(|error| file.decode_error(&self.column, error))
        })
    }

    fn plans(&self, leaf: usize, groups: &[(usize, RowRanges)]) -> Result<Vec<ChunkPlan>, ScanError> {
        let mut plans = Vec::with_capacity(groups.len());
        for next in groups.chunks(INDEX_GROUPS) {
            let row_groups = next.iter().map(|(row_group, _)| *row_group);
            self.file.read_indexes_ahead(row_groups, &[leaf], IndexParts::Places)?;
            for (row_group, rows) in next {
                plans.push(self.plan(*row_group, leaf, rows)?);
            }
        }
        self.file.keep_index_ahead(Fetched::default());
        Ok(plans)
    }

    fn plan(&self, row_group: usize, leaf: usize, rows: &RowRanges) -> Result<ChunkPlan, ScanError> {
        let chunk = self.file.chunk(row_group, leaf)?;
        let map = self.file.pages_for(&chunk, rows, &self.fetched)?;
        let needed = map.pages_of(rows.as_slice()).into();
        Ok(ChunkPlan { chunk, map, needed })
    }

    /// The next array, as the decoder gives it.
    fn next(&self, reader: &mut ParquetRecordBatchReader) -> Result<Option<ArrayRef>, ScanError> {
        guarded(self.file.name(), || match reader.next() {
            None => Ok(None),
            Some(Ok(batch)) if batch.num_columns() == 1 => {
                let array = with_masked_nulls(Arc::clone(batch.column(0)))
                    .map_err(|error| self.file.kernel_error(&self.column, error))?;
                if self.checks_text {
                    check_text(&array).map_err(|error| self.file.decode_error(&self.column, error))?;
                }
                Ok(Some(array))
            }
            Some(Ok(batch)) => {
                let message = format!("{} columns instead of one", batch.num_columns());
                Err(self.file.decode_error(&self.column, ParquetError::General(message)))
            }
            Some(Err(error)) => Err(self.file.decode_error(&self.column, error.into())),
        })
    }

    /// Goes by the page headers of a row group from now on. Returns whether that is worth another try: a page index was
    /// used, and it is right about the first `rows` rows of the row group, which are read already.
    fn distrusts_index(&self, row_group: usize, rows: u64) -> Result<bool, ScanError> {
        let mut retry = false;
        for leaf in self.leaves.clone() {
            let chunk = self.file.chunk(row_group, leaf)?;
            if let Some(indexed) = self.file.distrust_index(&chunk)? {
                retry = true;
                if rows > 0 && !indexed.agrees_with(self.file.pages(&chunk, &self.fetched)?.as_ref(), rows) {
                    return Ok(false);
                }
            }
        }
        Ok(retry)
    }
}

/// The arrays of one column, batch by batch.
pub(super) struct ColumnReader {
    request: Request,
    reader: ParquetRecordBatchReader,
    rows: RowRanges,
    /// How many of the rows are read.
    given: u64,
    /// Whether the rows were chosen by the pages they are in.
    by_pages: bool,
    changed: Option<RowRanges>,
}

impl ColumnReader {
    /// For rows that were chosen by the pages they are in: where these are elsewhere, reads all rows that may be meant.
    pub(super) fn of_pages(self) -> Self {
        Self { by_pages: true, ..self }
    }

    /// The rows that are read from the last array on, if they are others than before.
    pub(super) fn changed_rows(&mut self) -> Option<RowRanges> {
        self.changed.take()
    }

    fn next_array(&mut self) -> Result<Option<ArrayRef>, ScanError> {
        loop {
            match self.request.next(&mut self.reader) {
                Err(ScanError::Page { row_group, .. }) if self.begins_again(row_group) => {}
                Ok(Some(array)) => {
                    self.given += array.len() as u64;
                    return Ok(Some(array));
                }
                other => return other,
            }
        }
    }

    /// After a damaged page: reads the rows that are left by the page headers, if they were read by a page index.
    fn begins_again(&mut self, row_group: usize) -> bool {
        let start = self.request.file.first_rows()[row_group];
        let last = self.given.checked_sub(1).and_then(|last| self.rows.iter().nth(last as usize));
        let read = last.map_or(0, |last| (last + 1).saturating_sub(start));
        let mut left = self.rows.after(self.given);
        if self.by_pages {
            let end = self.request.file.first_rows()[row_group + 1];
            let mut group = RowRanges::default();
            group.push(start + read..end);
            left = left.union(&group);
            self.request.batch_rows = self.request.batch_rows.max(LEAST_BATCH_ROWS);
        }
        match self.request.distrusts_index(row_group, read) {
            Ok(true) => match self.request.reader(&left) {
                Ok(reader) => {
                    self.changed = self.by_pages.then(|| left.clone());
                    (self.reader, self.rows, self.given) = (reader, left, 0);
                    true
                }
                Err(_) => false,
            },
            Ok(false) | Err(_) => false,
        }
    }
}

impl Iterator for ColumnReader {
    type Item = Result<ArrayRef, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_array().transpose()
    }
}
