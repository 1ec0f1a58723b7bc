//! Mapping: the shard of one task.

// An error ends a task, so its size does not matter.
#![allow(clippy::result_large_err)]

use std::io::{BufWriter, Write};
use std::sync::Arc;

use arrow_pyarrow::{PyArrowType, ToPyArrow};
use arrow_schema::Schema;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use skymargin_geometry::angle::Threshold;
use skymargin_geometry::cover::INDEX_SLACK_ARCSEC;
use skymargin_scan::{ScanError, Source};
use skymargin_shuffle::map::{self as core, MapPart};
use skymargin_shuffle::{MapError, OutputFile, ShardError};

use crate::cover::Margins;
use crate::given_up::GivenUp;
use crate::scan::{PythonReader, Scanner};
use crate::{columns, errors, output};

/// The schema in which rows of a catalog travel: values instead of dictionaries, large strings instead of views.
#[pyfunction]
pub(crate) fn transport_schema(py: Python<'_>, schema: PyArrowType<Schema>) -> PyResult<Bound<'_, PyAny>> {
    skymargin_shuffle::transport_schema(&schema.0).to_pyarrow(py)
}

/// What map tasks of a run have in common.
#[pyclass(module = "skymargin._core", frozen)]
pub(crate) struct MapSpec(core::MapSpec);

#[pymethods]
impl MapSpec {
    #[new]
    #[pyo3(signature = (scanner, margins, *, thresholds_arcsec, gathered_bytes, wanted = None))]
    fn new(
        scanner: &Scanner,
        margins: &Margins,
        thresholds_arcsec: Vec<f64>,
        gathered_bytes: u64,
        wanted: Option<Vec<(i64, i64)>>,
    ) -> PyResult<Self> {
        let pixels = |pixels: Vec<(i64, i64)>| pixels.into_iter().map(|(order, pixel)| columns::pixel(order, pixel));
        Ok(Self(core::MapSpec {
            margins: Arc::clone(&margins.0),
            scanner: Arc::clone(&scanner.scanner),
            index_slack: Threshold::from_arcsec(INDEX_SLACK_ARCSEC).map_err(errors::angle)?,
            check_index: scanner.check_index,
            thresholds_arcsec,
            gathered_bytes,
            wanted: wanted.map(|wanted| pixels(wanted).collect()).transpose()?,
        }))
    }
}

/// Order, pixel, files, number of the part, number of parts.
type Part = (i64, i64, Vec<String>, u32, u32);

/// What a task read and found: order, pixel, rows and bytes before compression of partitions; the encoded slices of the
/// shard, their rows within each threshold (little-endian u64), and the sums of these; bytes read; pages decoded; hints
/// ignored; bytes of the shard.
type Mapped<'py> = (Vec<(u8, u64, u64, u64)>, Bound<'py, PyBytes>, Bound<'py, PyBytes>, Vec<u64>, u64, u64, u64, u64);

/// Writes the rows of partitions that belong to margins to a shard.
///
/// The shard is the file `name` in `output`, as for `reduce_batch`, and appears when it is complete. The task ends when
/// `given_up()` is true. `open_reader` opens a file that is not local, as `Scanner.open_reader` wants it.
#[pyfunction]
#[pyo3(signature = (spec, parts, output, name, given_up, open_reader = None))]
pub(crate) fn map_batch<'py>(
    py: Python<'py>,
    spec: &MapSpec,
    parts: Vec<Part>,
    output: Bound<'py, PyAny>,
    name: &str,
    given_up: Py<PyAny>,
    open_reader: Option<Py<PyAny>>,
) -> PyResult<Mapped<'py>> {
    let part = |(order, pixel, files, part, parts): Part| {
        Ok(MapPart { pixel: columns::pixel(order, pixel)?, files, part, parts })
    };
    let parts = parts.into_iter().map(part).collect::<PyResult<Vec<MapPart>>>()?;
    let (output, given_up) = (output::output(output), GivenUp::new(given_up));
    let mapped = py.detach(|| {
        let file = output.create(name).map_err(ShardError::Io)?;
        write_shard(&spec.0, &parts, file, &given_up, open_reader.as_ref())
    });
    let mapped = mapped.map_err(errors::map)?;
    let partitions = mapped.partitions.iter();
    let partitions = partitions.map(|one| (one.pixel.order(), one.pixel.index(), one.rows, one.memory_bytes));
    let contents = mapped.contents;
    Ok((
        partitions.collect(),
        PyBytes::new(py, &contents.slices),
        PyBytes::new(py, &contents.rows_within),
        contents.rows_per_threshold,
        mapped.bytes_read,
        mapped.pages_decoded,
        mapped.hints_ignored,
        contents.bytes,
    ))
}

fn write_shard(
    spec: &core::MapSpec,
    parts: &[MapPart],
    file: Box<dyn OutputFile>,
    given_up: &GivenUp,
    open_reader: Option<&Py<PyAny>>,
) -> Result<core::Mapped, MapError> {
    let open = |name: &str| match open_reader {
        None => Source::local(name),
        Some(open) => open_python(open, name),
    };
    let mut sink = BufWriter::with_capacity(1 << 18, file);
    let mapped = core::map(spec, parts, &open, &mut sink, &|| given_up.check())?;
    sink.flush().map_err(ShardError::Io)?;
    if given_up.check_now() {
        return Err(MapError::GivenUp);
    }
    let (file, _) = sink.into_parts();
    file.finish().map_err(ShardError::Io)?;
    Ok(mapped)
}

fn open_python(open: &Py<PyAny>, name: &str) -> Result<Source, ScanError> {
    let reader = Python::attach(|py| PythonReader::new(open.bind(py).call1((name,))?));
    match reader {
        Ok(reader) => Source::new(name, Box::new(reader)),
        Err(error) => Err(ScanError::Read { file: name.to_string(), source: std::io::Error::other(error) }),
    }
}
