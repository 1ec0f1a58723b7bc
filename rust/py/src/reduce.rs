//! Reducing: the files of the margins of one task.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_pyarrow::PyArrowType;
use arrow_schema::Schema;
use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use skymargin_shuffle::reduce::{self as core, MarginFile, Subtile};
use skymargin_shuffle::{LocalShards, PixelColumns, SLICE_BYTES, Shards, Slice};

use crate::given_up::GivenUp;
use crate::parquet::{ParquetFormat, RowGroupsTuple, row_groups_tuple};
use crate::{errors, output};

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
        transport: PyArrowType<Schema>,
        group_rows: usize,
        threshold_arcsec: Option<f64>,
        subtile: Option<(u8, u8, u8)>,
        pixel_columns: Option<[usize; 3]>,
    ) -> Self {
        Self(core::ReduceSpec {
            transport: Arc::new(transport.0),
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
/// `slices` are encoded slices in the order of the margins, `numbers` the shard that each is in, `names` the file of each
/// margin. `shards` has the paths of the shards by their numbers, or is an object with `ahead_bytes` and
/// `read_ranges(numbers, starts, stops)`. `output` is the path of a folder, or an object whose `create(name)` returns
/// one with `write(bytes)`, `finish()` and `abandon()`. The task ends when `given_up()` is true.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn reduce_batch<'py>(
    py: Python<'py>,
    spec: &ReduceSpec,
    slices: &[u8],
    numbers: Vec<u32>,
    names: Vec<String>,
    shards: Bound<'py, PyAny>,
    output: Bound<'py, PyAny>,
    given_up: Py<PyAny>,
) -> PyResult<Reduced<'py>> {
    let margins = margin_files(slices, &numbers, names)?;
    let (output, shards, given_up) = (output::output(output), shards_of(&shards)?, GivenUp::new(given_up));
    let reduced = py.detach(|| core::reduce(&spec.0, &margins, shards.as_ref(), output.as_ref(), &|| given_up.check()));
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

/// Shards read in Python: `read_ranges(shards, starts, stops) -> list of bytes`.
struct PythonShards {
    reader: Py<PyAny>,
    ahead_bytes: u64,
}

impl Shards for PythonShards {
    fn read(&self, ranges: &[(u32, Range<u64>)]) -> io::Result<Vec<Bytes>> {
        let shards: Vec<u32> = ranges.iter().map(|(shard, _)| *shard).collect();
        let (starts, stops): (Vec<u64>, Vec<u64>) = ranges.iter().map(|(_, range)| (range.start, range.end)).unzip();
        Python::attach(|py| {
            let parts = self.reader.bind(py).call_method1("read_ranges", (shards, starts, stops))?;
            Ok(parts.extract::<Vec<PyBackedBytes>>()?.into_iter().map(Bytes::from_owner).collect())
        })
        .map_err(|error: PyErr| io::Error::other(error))
    }

    fn ahead_bytes(&self) -> u64 {
        self.ahead_bytes
    }
}

/// The shards at the paths of a dict by their numbers, or an object with `read_ranges` and `ahead_bytes`.
fn shards_of(shards: &Bound<'_, PyAny>) -> PyResult<Box<dyn Shards>> {
    if let Ok(paths) = shards.extract::<HashMap<u32, PathBuf>>() {
        return Ok(Box::new(LocalShards::new(paths)));
    }
    let ahead_bytes = shards.getattr("ahead_bytes")?.extract()?;
    Ok(Box::new(PythonShards { reader: shards.clone().unbind(), ahead_bytes }))
}
