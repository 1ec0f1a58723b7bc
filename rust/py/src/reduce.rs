//! Reducing: the files of the margins of one task.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_arrow::PySchema;
use skymargin_scan::{LocalFile, RangedReader};
use skymargin_shuffle::reduce::{self as core, MarginFile, Subtile};
use skymargin_shuffle::{LocalFolder, Output, OutputFile, PixelColumns, SLICE_BYTES, Slice};

use crate::errors;
use crate::parquet::{ParquetFormat, RowGroupsTuple, row_groups_tuple};
use crate::scan::PythonReader;

/// What reduce tasks of a margin catalog have in common.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct ReduceSpec(core::ReduceSpec);

#[pymethods]
impl ReduceSpec {
    /// `subtile` is order_delta, index_order and index_shift; `pixel_columns` the positions of the columns with order,
    /// directory and pixel, where the format has them.
    #[new]
    #[pyo3(signature = (parquet, transport, *, group_rows, threshold_arcsec = None, subtile = None, pixel_columns = None))]
    fn new(
        parquet: &ParquetFormat,
        transport: PySchema,
        group_rows: usize,
        threshold_arcsec: Option<f64>,
        subtile: Option<(u8, u8, u8)>,
        pixel_columns: Option<[usize; 3]>,
    ) -> Self {
        Self(core::ReduceSpec {
            transport: transport.into_inner(),
            format: Arc::clone(&parquet.0),
            pixel_columns: pixel_columns.map(|places| PixelColumns { places }),
            threshold_arcsec,
            group_rows: group_rows.max(1),
            subtile: subtile.map(|(order_delta, index_order, index_shift)| Subtile {
                order_delta,
                index_order,
                index_shift,
            }),
        })
    }
}

/// Rows and bytes of each file, and the row groups of all.
type Reduced<'py> = (Vec<(u64, u64)>, Vec<RowGroupsTuple<'py>>);

/// Writes the files of some margins.
///
/// `slices` are encoded slices in the order of the margins, `shards` the number of the shard that each is in, `names`
/// the file of each margin. A shard is opened by `open_shard(number)`, which returns its path, or a reader as for
/// `Scanner.open_reader`. `output` is the path of a folder, or an object whose `create(name)` returns one with
/// `write(bytes)`, `finish()` and `abandon()`. The task ends when the file `while_exists` is gone.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn reduce_batch<'py>(
    py: Python<'py>,
    spec: &ReduceSpec,
    slices: &[u8],
    shards: Vec<u32>,
    names: Vec<String>,
    open_shard: Py<PyAny>,
    output: Bound<'py, PyAny>,
    while_exists: PathBuf,
) -> PyResult<Reduced<'py>> {
    let margins = margin_files(slices, &shards, names)?;
    let output: Box<dyn Output> = match output.extract::<PathBuf>() {
        Ok(folder) => Box::new(LocalFolder::new(folder)),
        Err(_) => Box::new(PythonOutput(output.unbind())),
    };
    let open = |number: u32| Python::attach(|py| open_python(open_shard.bind(py), number)).map_err(io::Error::other);
    let open = |number: u32| match open(number)? {
        Shard::Local(path) => Ok(Box::new(LocalFile::open(&path)?) as Box<dyn RangedReader>),
        Shard::Remote(reader) => Ok(Box::new(reader) as Box<dyn RangedReader>),
    };
    let reduced = py.detach(|| core::reduce(&spec.0, &margins, &open, output.as_ref(), &|| !while_exists.exists()));
    let reduced = reduced.map_err(errors::reduce)?;
    let row_groups = reduced.row_groups.iter().map(|groups| row_groups_tuple(py, groups));
    Ok((reduced.files, row_groups.collect()))
}

fn margin_files(slices: &[u8], shards: &[u32], names: Vec<String>) -> PyResult<Vec<MarginFile>> {
    let refused = |what: &str| PyValueError::new_err(format!("slices are not allowed: {what}"));
    if slices.len() != shards.len() * SLICE_BYTES {
        return Err(refused("they are not as many as shards"));
    }
    let decoded = slices.chunks_exact(SLICE_BYTES).map(Slice::decode);
    let decoded = decoded.collect::<Option<Vec<Slice>>>().ok_or_else(|| refused("one names no pixel"))?;
    let numbered: Vec<(u32, Slice)> = shards.iter().copied().zip(decoded).collect();
    let groups: Vec<&[(u32, Slice)]> = numbered.chunk_by(|(_, a), (_, b)| a.pixel == b.pixel).collect();
    if groups.len() != names.len() {
        return Err(refused("their margins are not as many as names"));
    }
    let margins = groups.into_iter().zip(names);
    Ok(margins.map(|(group, name)| MarginFile { pixel: group[0].1.pixel, name, slices: group.to_vec() }).collect())
}

enum Shard {
    Local(PathBuf),
    Remote(PythonReader),
}

fn open_python(open_shard: &Bound<'_, PyAny>, number: u32) -> PyResult<Shard> {
    let shard = open_shard.call1((number,))?;
    match shard.extract::<PathBuf>() {
        Ok(path) => Ok(Shard::Local(path)),
        Err(_) => Ok(Shard::Remote(PythonReader::new(shard)?)),
    }
}

/// A place for files written in Python.
struct PythonOutput(Py<PyAny>);

impl Output for PythonOutput {
    fn create(&self, name: &str) -> io::Result<Box<dyn OutputFile>> {
        let file = Python::attach(|py| self.0.call_method1(py, "create", (name,))).map_err(io::Error::other)?;
        Ok(Box::new(PythonFile { file, done: false }))
    }
}

/// A file written in Python.
struct PythonFile {
    file: Py<PyAny>,
    done: bool,
}

impl Write for PythonFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let write = |py: Python<'_>| self.file.call_method1(py, "write", (PyBytes::new(py, buffer),));
        Python::attach(write).map_err(io::Error::other)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OutputFile for PythonFile {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.done = true;
        Python::attach(|py| self.file.call_method0(py, "finish")).map_err(io::Error::other)?;
        Ok(())
    }
}

impl Drop for PythonFile {
    fn drop(&mut self) {
        if !self.done {
            // The error that ended the file is reported, not this one.
            let _ = Python::attach(|py| self.file.call_method0(py, "abandon"));
        }
    }
}
