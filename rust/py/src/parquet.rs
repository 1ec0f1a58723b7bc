//! Encodes rows as Parquet files.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_pyarrow::PyArrowType;
use arrow_schema::Schema;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use skymargin_shuffle::parquet::{
    self as core, BloomFilter, Codec, ColumnOptions, Compressors, Encoding, ParquetOptions, ParquetWriter,
    SortingColumn, WriteError,
};

use crate::errors;

/// Of a column: codec, level, encoding, whether it has a dictionary, whether it has statistics, and the number of
/// values and the probability of false positives of its Bloom filter.
type ColumnTuple = (String, i32, String, bool, bool, Option<(u64, f64)>);
/// The parts of `RowGroups`.
pub(crate) type RowGroupsTuple<'py> = (Bound<'py, PyBytes>, u64, u64, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// The schema, metadata and options of the files of a margin.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct ParquetFormat(pub(crate) Arc<core::ParquetFormat>);

#[pymethods]
impl ParquetFormat {
    #[new]
    #[pyo3(signature = (template, schema, *, columns, data_page_bytes, dictionary_page_bytes, write_batch_size, max_rows_per_page, data_page_v2, page_index, page_checksum, sorting_columns, allow_truncated_timestamps, plain_dictionary))]
    #[allow(clippy::too_many_arguments, reason = "they have names in Python")]
    fn new(
        template: PyBackedBytes,
        schema: PyArrowType<Schema>,
        columns: Vec<ColumnTuple>,
        data_page_bytes: usize,
        dictionary_page_bytes: usize,
        write_batch_size: usize,
        max_rows_per_page: usize,
        data_page_v2: bool,
        page_index: bool,
        page_checksum: bool,
        sorting_columns: Vec<(i32, bool, bool)>,
        allow_truncated_timestamps: bool,
        plain_dictionary: bool,
    ) -> PyResult<Self> {
        let sorting = |(column, descending, nulls_first)| SortingColumn { column, descending, nulls_first };
        let options = ParquetOptions {
            columns: columns.into_iter().map(column_options).collect::<PyResult<_>>()?,
            data_page_bytes,
            dictionary_page_bytes,
            write_batch_size,
            max_rows_per_page,
            data_page_v2,
            page_index,
            page_checksum,
            sorting_columns: sorting_columns.into_iter().map(sorting).collect(),
            allow_truncated_timestamps,
            plain_dictionary,
        };
        let format = core::ParquetFormat::new(&template, Arc::new(schema.0), options);
        format.map(Arc::new).map(Self).map_err(errors::parquet_format)
    }

    /// A file with a row group for each batch that has rows, and its row groups for a `_metadata` file that names it
    /// `path`.
    #[pyo3(signature = (batches, path = ""))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        batches: Vec<PyArrowType<RecordBatch>>,
        path: &str,
    ) -> PyResult<(Bound<'py, PyBytes>, RowGroupsTuple<'py>)> {
        let batches: Vec<RecordBatch> = batches.into_iter().map(|batch| batch.0).collect();
        let (file, groups) = py.detach(|| self.file(&batches, path)).map_err(errors::parquet_write)?;
        Ok((PyBytes::new(py, &file), row_groups_tuple(py, &groups)))
    }
}

impl ParquetFormat {
    fn file(&self, batches: &[RecordBatch], path: &str) -> Result<(Vec<u8>, core::RowGroups), WriteError> {
        let mut compressors = Compressors::default();
        let mut writer = ParquetWriter::new(&self.0, &mut compressors, Vec::new())?;
        for batch in batches {
            writer.write_batch(batch)?;
        }
        let (file, _, row_groups) = writer.finish(path)?;
        Ok((file, row_groups))
    }
}

/// The first column that a footer, without the eight bytes after it, says is encrypted.
#[pyfunction]
pub(crate) fn encrypted_column(py: Python<'_>, footer: &[u8]) -> Option<String> {
    py.detach(|| skymargin_scan::encrypted_column(footer))
}

/// The row groups of the Parquet file that ends with these bytes, for a `_metadata` file that names it `path`.
#[pyfunction]
pub(crate) fn row_groups<'py>(py: Python<'py>, tail: &[u8], path: &str) -> PyResult<RowGroupsTuple<'py>> {
    match core::RowGroups::of_file(tail, path) {
        Ok(groups) => Ok(row_groups_tuple(py, &groups)),
        Err(error) => Err(PyValueError::new_err(format!("its footer cannot be read: {error}"))),
    }
}

/// Row groups for Python.
pub(crate) fn row_groups_tuple<'py>(py: Python<'py>, groups: &core::RowGroups) -> RowGroupsTuple<'py> {
    let bytes = |part: &[u8]| PyBytes::new(py, part);
    (bytes(&groups.before), groups.rows, groups.count, bytes(&groups.content), bytes(&groups.after))
}

fn column_options(column: ColumnTuple) -> PyResult<ColumnOptions> {
    let (codec, level, encoding, dictionary, statistics, bloom_filter) = column;
    let unsigned = || u32::try_from(level).map_err(|_| PyValueError::new_err(format!("compression level {level}")));
    let codec = match codec.as_str() {
        "none" => Codec::Uncompressed,
        "snappy" => Codec::Snappy,
        "gzip" => Codec::Gzip(unsigned()?),
        "brotli" => Codec::Brotli(unsigned()?),
        "lz4" => Codec::Lz4Raw,
        "zstd" => Codec::Zstd(level),
        _ => return Err(PyValueError::new_err(format!("there is no codec '{codec}'"))),
    };
    let encoding: Encoding =
        encoding.parse().map_err(|_| PyValueError::new_err(format!("there is no encoding '{encoding}'")))?;
    let bloom_filter =
        bloom_filter.map(|(distinct_values, false_positives)| BloomFilter { distinct_values, false_positives });
    Ok(ColumnOptions { codec, encoding, dictionary, statistics, bloom_filter })
}
