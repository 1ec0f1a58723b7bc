//! Reads the rows that a cover selects from the files of a partition.

// An error ends a scan, so its size does not matter.
#![allow(clippy::result_large_err)]

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, Int64Array, UInt64Array};
use arrow_pyarrow::{PyArrowType, ToPyArrow};
use arrow_schema::Schema;
use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use skymargin_geometry::pixel::Pixel;
use skymargin_scan::row_filter::CoverFilter;
use skymargin_scan::{self as core, RangedReader, ScanBatch, ScanError, ScanOptions, Source};

use crate::cover::Cover;
use crate::{columns, errors};

/// What the files of a catalog have in common.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct Scanner {
    pub(crate) scanner: Arc<core::Scanner>,
    pub(crate) check_index: bool,
}

#[pymethods]
impl Scanner {
    #[new]
    #[pyo3(signature = (schema, *, ra_column, dec_column, index_column, index_order = 29, index_shift = 0, memory_bytes = core::DEFAULT_MEMORY_BYTES, check_index = false, other_columns = false))]
    #[allow(clippy::too_many_arguments, reason = "they have names in Python")]
    fn new(
        schema: PyArrowType<Schema>,
        ra_column: String,
        dec_column: String,
        index_column: Option<String>,
        index_order: i64,
        index_shift: u8,
        memory_bytes: u64,
        check_index: bool,
        other_columns: bool,
    ) -> PyResult<Self> {
        let index_order = columns::order("index_order", index_order)?;
        let schema = Arc::new(schema.0);
        let options = ScanOptions {
            schema,
            index_column,
            index_order,
            index_shift,
            ra_column,
            dec_column,
            memory_bytes,
            other_columns,
        };
        let scanner = core::Scanner::new(options).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self { scanner: Arc::new(scanner), check_index })
    }

    /// Opens a local file.
    fn open_local(&self, py: Python<'_>, path: String) -> PyResult<ScanFile> {
        self.open(py, || Source::local(&path))
    }

    /// Opens a file by its reader: an object with `size_bytes` and `read_ranges(starts, stops) -> list of bytes`.
    fn open_reader(&self, py: Python<'_>, name: String, reader: Bound<'_, PyAny>) -> PyResult<ScanFile> {
        let reader = PythonReader::new(reader)?;
        self.open(py, || Source::new(name, Box::new(reader)))
    }
}

impl Scanner {
    fn open(&self, py: Python<'_>, source: impl FnOnce() -> Result<Source, ScanError> + Send) -> PyResult<ScanFile> {
        let file = py.detach(|| self.scanner.open(source()?)).map_err(errors::scan)?;
        Ok(ScanFile { file, check_index: self.check_index })
    }
}

/// An open file of a partition.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct ScanFile {
    file: core::ScanFile,
    check_index: bool,
}

#[pymethods]
impl ScanFile {
    /// Rows of the file.
    #[getter]
    fn rows(&self) -> u64 {
        self.file.rows_total()
    }

    /// Size of its columns before compression, as its footer states it.
    #[getter]
    fn uncompressed_bytes(&self) -> u64 {
        self.file.uncompressed_bytes()
    }

    /// The rows that a cover selects. `first_row` is the row of the partition that the file starts with.
    #[pyo3(signature = (cover, first_row = 0))]
    fn scan(&self, py: Python<'_>, cover: &Cover, first_row: u64) -> PyResult<Scan> {
        if first_row.checked_add(self.file.rows_total()).is_none() {
            return Err(PyValueError::new_err(format!(
                "first_row {first_row} is not allowed: no partition is so long"
            )));
        }
        let destinations = cover.0.destinations().collect();
        let filter = CoverFilter::new(Arc::clone(&cover.0), self.file.index_shift(), self.check_index);
        let scan = py.detach(|| self.file.scan(first_row, filter)).map_err(errors::scan)?;
        Ok(Scan { scan: Mutex::new(scan), destinations })
    }
}

/// A scan of one file: batches of selected rows, in the order of the file.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct Scan {
    scan: Mutex<core::Scan<CoverFilter>>,
    destinations: Vec<Pixel>,
}

#[pymethods]
impl Scan {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// The next rows (a record batch in the catalog's schema) and their memberships: position in these rows (int64),
    /// row of the partition, index (both uint64), margin_order (uint8), margin_pixel (uint64), separation_arcsec
    /// (float64, null where none was computed).
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        let next = py.detach(|| self.lock().next()).transpose().map_err(errors::scan)?;
        let Some(batch) = next else { return Ok(None) };
        let memberships = self.memberships(py, &batch)?;
        Ok(Some((batch.columns.to_pyarrow(py)?, memberships)))
    }

    /// Bytes fetched from the file so far, its footer included.
    #[getter]
    fn bytes_fetched(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.lock().report().bytes_fetched)
    }

    /// Pages decompressed and decoded so far.
    #[getter]
    fn pages_decoded(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.lock().report().pages_decoded)
    }

    /// Ranges of bytes requested so far; nearby ranges that were joined count as one.
    #[getter]
    fn requests(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.lock().report().requests)
    }
}

impl Scan {
    fn lock(&self) -> std::sync::MutexGuard<'_, core::Scan<CoverFilter>> {
        // A poisoned lock means that a thread panicked in the scan, which then ends with its own error.
        self.scan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memberships<'py>(&self, py: Python<'py>, batch: &ScanBatch) -> PyResult<Bound<'py, PyAny>> {
        let selected = &batch.selected;
        let margins = selected.iter().map(|one| (self.destinations[one.destination as usize], one.separation_arcsec));
        let positions: Int64Array = selected.iter().map(|one| one.batch_row as i64).collect();
        let rows: UInt64Array = selected.iter().map(|one| batch.rows[one.batch_row]).collect();
        let index: UInt64Array = selected.iter().map(|one| batch.index[one.batch_row]).collect();
        let mut named: Vec<(&str, ArrayRef)> =
            vec![("position", Arc::new(positions)), ("row", Arc::new(rows)), ("index", Arc::new(index))];
        named.extend(columns::margin_columns(margins));
        columns::batch_to_pyarrow(py, named)
    }
}

/// A reader written in Python: `size_bytes`, `read_ranges(starts, stops) -> list of bytes` and, if it has it, `check_size()`,
/// which raises when the file has another size now.
pub(crate) struct PythonReader {
    size_bytes: u64,
    reader: Py<PyAny>,
}

impl PythonReader {
    pub(crate) fn new(reader: Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { size_bytes: reader.getattr("size_bytes")?.extract()?, reader: reader.unbind() })
    }
}

impl RangedReader for PythonReader {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.size_bytes)
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let (starts, stops): (Vec<u64>, Vec<u64>) = ranges.iter().map(|range| (range.start, range.end)).unzip();
        Python::attach(|py| {
            let parts = self.reader.bind(py).call_method1("read_ranges", (starts, stops))?;
            Ok(parts.extract::<Vec<PyBackedBytes>>()?.into_iter().map(Bytes::from_owner).collect())
        })
        .map_err(|error: PyErr| io::Error::other(error))
    }

    fn check_size(&self) -> io::Result<()> {
        Python::attach(|py| {
            let reader = self.reader.bind(py);
            if reader.hasattr("check_size")? {
                reader.call_method0("check_size")?;
            }
            Ok(())
        })
        .map_err(|error: PyErr| io::Error::other(error))
    }
}
