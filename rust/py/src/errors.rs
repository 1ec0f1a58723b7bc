//! Maps the errors of the Rust crates to Python exceptions.

use pyo3::PyErr;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use skymargin_geometry::angle::AngleError;
use skymargin_geometry::in_memory::InMemoryError;
use skymargin_geometry::neighbours::NeighboursError;
use skymargin_geometry::pixel::PixelError;
use skymargin_geometry::select::SelectError;
use skymargin_geometry::tiling::TilingError;
use skymargin_scan::ScanError;
use skymargin_shuffle::parquet::{FormatError, WriteError};
use skymargin_shuffle::{MapError, ReduceError, ShardError as CoreShardError};

create_exception!(
    skymargin._core,
    CoordinateError,
    PyValueError,
    "Rows lie nowhere, or elsewhere than their index value or their partition says."
);

create_exception!(skymargin._core, ShardError, PyOSError, "A shard cannot be written, or is damaged.");

create_exception!(
    skymargin._core,
    MarginWriteError,
    PyException,
    "The file of a margin cannot be written; its arguments are order, pixel and reason."
);

create_exception!(skymargin._core, GivenUpError, PyRuntimeError, "The run was given up while a task worked for it.");

pub(crate) fn map(error: MapError) -> PyErr {
    match error {
        MapError::Scan(error) => scan(error),
        MapError::Tiling(error) => tiling(error),
        MapError::Shard(error) => ShardError::new_err(error.to_string()),
        MapError::GivenUp => GivenUpError::new_err(error.to_string()),
        MapError::Panic(_) => PyRuntimeError::new_err(error.to_string()),
    }
}

pub(crate) fn reduce(error: ReduceError) -> PyErr {
    match error {
        // Another try may read it: the shard itself is not at fault.
        ReduceError::Shard(error @ CoreShardError::Read { .. }) => PyOSError::new_err(error.to_string()),
        ReduceError::Shard(error) => ShardError::new_err(error.to_string()),
        ReduceError::Rows { pixel, source } => {
            MarginWriteError::new_err((pixel.order(), pixel.index(), source.to_string()))
        }
        ReduceError::Write { pixel, source } => {
            MarginWriteError::new_err((pixel.order(), pixel.index(), source.to_string()))
        }
        ReduceError::GivenUp => GivenUpError::new_err(error.to_string()),
        ReduceError::Panic(_) => PyRuntimeError::new_err(error.to_string()),
    }
}

pub(crate) fn angle(error: AngleError) -> PyErr {
    match error {
        AngleError::Threshold { .. } => PyValueError::new_err(error.to_string()),
        AngleError::Position { .. } => CoordinateError::new_err(error.to_string()),
    }
}

pub(crate) fn pixel(error: PixelError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub(crate) fn tiling(error: TilingError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub(crate) fn select(error: SelectError) -> PyErr {
    match error {
        SelectError::Rows { .. } => CoordinateError::new_err(error.to_string()),
        SelectError::Lengths { .. } | SelectError::NoCoordinates => PyValueError::new_err(error.to_string()),
    }
}

pub(crate) fn scan(error: ScanError) -> PyErr {
    match &error {
        ScanError::Filter { source, .. } if matches!(source.downcast_ref(), Some(SelectError::Rows { .. })) => {
            CoordinateError::new_err(error.to_string())
        }
        ScanError::Filter { .. }
        | ScanError::Read { .. }
        | ScanError::Footer { .. }
        | ScanError::Column { .. }
        | ScanError::Page { .. }
        | ScanError::Decode { .. }
        | ScanError::Room { .. }
        | ScanError::Panic { .. } => PyOSError::new_err(error.to_string()),
    }
}

pub(crate) fn neighbours(error: NeighboursError) -> PyErr {
    match error {
        NeighboursError::TooMany { .. } => PyValueError::new_err(error.to_string()),
        NeighboursError::NoMemory { .. } => PyMemoryError::new_err(error.to_string()),
    }
}

pub(crate) fn in_memory(error: InMemoryError) -> PyErr {
    match error {
        InMemoryError::NoPosition { .. } => CoordinateError::new_err(error.to_string()),
        InMemoryError::NoPartition { .. }
        | InMemoryError::Lengths { .. }
        | InMemoryError::TooManyRows { .. }
        | InMemoryError::TooManyThreads { .. } => PyValueError::new_err(error.to_string()),
        InMemoryError::Threads { .. } => PyRuntimeError::new_err(error.to_string()),
        InMemoryError::Tiling(error) => tiling(error),
        InMemoryError::Select(error) => select(error),
    }
}

pub(crate) fn parquet_format(error: FormatError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub(crate) fn parquet_write(error: WriteError) -> PyErr {
    match error {
        WriteError::Io(error) => error.into(),
        WriteError::NoMemory { .. } => PyMemoryError::new_err(error.to_string()),
        WriteError::Value { .. } | WriteError::Arrays(_) => PyValueError::new_err(error.to_string()),
        WriteError::Encode(_) | WriteError::Compress(_) | WriteError::Panic(_) => {
            PyRuntimeError::new_err(error.to_string())
        }
    }
}
