//! The values of one column at some rows, batch by batch.

use std::sync::Arc;

use arrow_array::ArrayRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::errors::ParquetError;

use crate::catch_panic::guarded;
use crate::error::ScanError;
use crate::fetched::Fetched;
use crate::file::ParquetFile;
use crate::pages::{ChunkPlan, ColumnChunks};
use crate::row_ranges::RowRanges;
use crate::schema::FileColumn;

impl ParquetFile {
    /// A reader of one column at some rows, `batch_rows` at a time.
    pub(super) fn read(
        self: &Arc<Self>,
        column: &FileColumn,
        rows: &RowRanges,
        batch_rows: usize,
        fetched: &Arc<Fetched>,
    ) -> Result<ColumnReader, ScanError> {
        let groups = rows.by_group(self.first_rows());
        let leaves = column
            .leaves()
            .map(|leaf| groups.iter().map(|(row_group, rows)| self.plan(*row_group, leaf, rows, fetched)).collect())
            .collect::<Result<_, ScanError>>()?;
        let chunks = ColumnChunks {
            file: Arc::clone(self),
            leaves,
            row_groups: groups.iter().map(|(row_group, _)| *row_group).collect(),
            fetched: Arc::clone(fetched),
        };
        let group_rows = |group: &usize| self.metadata().row_group(*group).num_rows() as u64;
        let selection = RowRanges::selection(groups.iter().map(|(group, rows)| (group_rows(group), rows)));
        let reader = guarded(self.name(), || {
            let (levels, batch_rows) = (column.levels(), batch_rows.max(1));
            ParquetRecordBatchReader::try_new_with_row_groups(levels, &chunks, batch_rows, Some(selection))
                .map_err(|error| self.decode_error(column.name(), error))
        })?;
        Ok(ColumnReader { file: Arc::clone(self), column: column.name().to_string(), reader })
    }

    fn plan(&self, row_group: usize, leaf: usize, rows: &RowRanges, fetched: &Fetched) -> Result<ChunkPlan, ScanError> {
        let chunk = self.chunk(row_group, leaf)?;
        let map = self.pages(&chunk, fetched)?;
        let needed = map.pages_of(rows.as_slice()).into();
        Ok(ChunkPlan { chunk, map, needed })
    }
}

/// The arrays of one column, batch by batch.
pub(super) struct ColumnReader {
    file: Arc<ParquetFile>,
    column: String,
    reader: ParquetRecordBatchReader,
}

impl Iterator for ColumnReader {
    type Item = Result<ArrayRef, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = guarded(self.file.name(), || match self.reader.next() {
            None => Ok(None),
            Some(Ok(batch)) if batch.num_columns() == 1 => Ok(Some(Arc::clone(batch.column(0)))),
            Some(Ok(batch)) => {
                let message = format!("{} columns instead of one", batch.num_columns());
                Err(self.file.decode_error(&self.column, ParquetError::General(message)))
            }
            Some(Err(error)) => Err(self.file.decode_error(&self.column, error.into())),
        });
        next.transpose()
    }
}
