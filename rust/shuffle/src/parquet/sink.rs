//! A sink that holds back the end of a file.

use std::io::{self, Write};

/// Passes bytes on to a writer, or keeps them once it is told to.
pub(super) struct Sink<W> {
    inner: W,
    held: Option<Vec<u8>>,
    passed: u64,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, held: None, passed: 0 }
    }

    /// From now on, keeps all bytes in a buffer, which is cleared.
    pub(super) fn hold(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.held = Some(buffer);
    }

    /// The writer, the number of bytes it got, and the bytes that were kept.
    pub(super) fn into_parts(self) -> (W, u64, Vec<u8>) {
        (self.inner, self.passed, self.held.unwrap_or_default())
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(held) = &mut self.held {
            held.try_reserve(bytes.len())?;
            held.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let count = self.inner.write(bytes)?;
        self.passed += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.held {
            Some(_) => Ok(()),
            None => self.inner.flush(),
        }
    }
}
