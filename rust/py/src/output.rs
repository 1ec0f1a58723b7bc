//! Where files are written: a local folder, or an object of Python.

use std::io::{self, Write};
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use skymargin_shuffle::{LocalFolder, Output, OutputFile};

/// The folder at a path, or an object whose `create(name)` returns one with `write(bytes)`, `finish()` and `abandon()`.
pub(crate) fn output(output: Bound<'_, PyAny>) -> Box<dyn Output> {
    match output.extract::<PathBuf>() {
        Ok(folder) => Box::new(LocalFolder::new(folder)),
        Err(_) => Box::new(PythonOutput(output.unbind())),
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
