//! Reused buffers for pages: fresh memory costs a page fault every 4 KiB, as much time as decompression itself.

use std::cell::OnceCell;
use std::collections::TryReserveError;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::try_reserve;

/// The buffers kept for reuse, and their total size.
const KEPT_BUFFERS: usize = 6;
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// A pool to which buffers return when the last reader of their bytes is dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
}

thread_local! {
    /// What the files that a thread reads one after the other share.
    static READ: OnceCell<Buffers> = const { OnceCell::new() };
    static DECOMPRESSED: OnceCell<Buffers> = const { OnceCell::new() };
}

/// A borrowed buffer: zeros, or the bytes of an earlier user.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    used: usize,
    home: Buffers,
}

impl Buffers {
    /// This thread's buffers for bytes as they are read.
    pub(super) fn for_reading() -> Self {
        READ.with(|own| own.get_or_init(Self::default).clone())
    }

    /// This thread's buffers for decompressed pages.
    pub(super) fn for_pages() -> Self {
        DECOMPRESSED.with(|own| own.get_or_init(Self::default).clone())
    }

    /// A buffer of `length` bytes. The caller overwrites all of them.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn take(&self, length: usize) -> Result<Buffer, TryReserveError> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, or else the largest, which then grows.
        let best = (0..idle.len()).min_by_key(|at| {
            let size = idle[*at].len();
            if size >= length { (false, size - length) } else { (true, length - size) }
        });
        let mut bytes = best.map(|at| idle.swap_remove(at)).unwrap_or_default();
        drop(idle);
        if bytes.len() < length {
            drop(bytes);
            try_reserve::check(length)?;
            // Fresh memory is zeroed by the system; growing would copy.
            bytes = vec![0; length];
        }
        Ok(Buffer { bytes, used: length, home: self.clone() })
    }
}

impl Buffer {
    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.used]
    }

    /// The bytes, which can be shared. The buffer returns to the pool when the last of them is dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.home.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = idle.iter().map(Vec::len).sum();
        if idle.len() < KEPT_BUFFERS && kept + self.bytes.len() <= KEPT_BYTES {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_reader_is_gone() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(100).unwrap();
        buffer.as_mut_slice().fill(7);
        let bytes = buffer.into_bytes();
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(buffers.idle.lock().unwrap().len(), 0);
        assert_eq!(part[..], [7; 10]);
        drop(part);
        assert_eq!(buffers.idle.lock().unwrap().len(), 1);
        assert_eq!(buffers.take(40).unwrap().as_ref().len(), 40);
    }

    #[test]
    fn not_more_is_kept_than_stated() {
        let buffers = Buffers::default();
        let many: Vec<Buffer> = (0..20).map(|_| buffers.take(KEPT_BYTES / 4).unwrap()).collect();
        drop(many);
        drop(buffers.take(2 * KEPT_BYTES).unwrap());
        assert!(buffers.take(1 << 60).is_err());
        let idle = buffers.idle.lock().unwrap();
        assert!(idle.iter().map(Vec::len).sum::<usize>() <= KEPT_BYTES && !idle.is_empty());
    }
}
