//! Sources of bytes: a local file, or anything that can read byte ranges.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::buffers::Buffers;
use crate::error::ScanError;

/// Ranges closer than this are read in one request over a high-latency source.
const NEARBY_BYTES: u64 = 256 * 1024;

/// Reads byte ranges, many in one call: an object store, or a file object of Python.
pub trait RangedReader: Send + Sync {
    /// The size in bytes.
    ///
    /// # Errors
    /// When the size cannot be found out.
    fn size_bytes(&self) -> io::Result<u64>;

    /// The bytes of each range, in the given order. The ranges ascend and do not overlap.
    ///
    /// # Errors
    /// When a range cannot be read in full.
    fn read_ranges(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>>;

    /// Whether many small reads are as fast as one large one, as on a local disk. Then nothing is fetched ahead.
    fn is_low_latency(&self) -> bool {
        false
    }
}

/// A local file.
#[derive(Debug)]
pub struct LocalFile {
    file: File,
    buffers: Buffers,
}

impl LocalFile {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, buffers: Buffers::for_reading() })
    }
}

fn no_room(bytes: usize) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, format!("there is no memory for {bytes} bytes of it"))
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        offset += read as u64;
    }
    Ok(())
}

impl RangedReader for LocalFile {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_ranges(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        ranges
            .iter()
            .map(|range| {
                let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
                let mut buffer = self.buffers.take(length).map_err(|_| no_room(length))?;
                read_exact_at(&self.file, buffer.as_mut_slice(), range.start)?;
                Ok(buffer.into_bytes())
            })
            .collect()
    }

    fn is_low_latency(&self) -> bool {
        true
    }
}

/// A reader with a name that counts what it reads.
pub struct Source {
    name: String,
    reader: Box<dyn RangedReader>,
    size_bytes: u64,
    low_latency: bool,
    bytes_fetched: AtomicU64,
    requests: AtomicU64,
    round_trips: AtomicU64,
}

impl Source {
    /// A local file; its path is its name.
    ///
    /// # Errors
    /// [`ScanError::Read`] when it cannot be opened.
    pub fn local(path: impl AsRef<Path>) -> Result<Self, ScanError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match LocalFile::open(path) {
            Ok(file) => Self::new(name, Box::new(file)),
            Err(source) => Err(ScanError::Read { file: name, source }),
        }
    }

    /// A reader, with the name that messages use.
    ///
    /// # Errors
    /// [`ScanError::Read`] when the size is not known.
    pub fn new(name: impl Into<String>, reader: Box<dyn RangedReader>) -> Result<Self, ScanError> {
        let name = name.into();
        let size_bytes = match reader.size_bytes() {
            Ok(size_bytes) => size_bytes,
            Err(source) => return Err(ScanError::Read { file: name, source }),
        };
        Ok(Self {
            name,
            low_latency: reader.is_low_latency(),
            reader,
            size_bytes,
            bytes_fetched: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
        })
    }

    /// The name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether many small reads are as fast as one large one.
    pub fn is_low_latency(&self) -> bool {
        self.low_latency
    }

    /// The number of bytes fetched so far.
    pub fn bytes_fetched(&self) -> u64 {
        self.bytes_fetched.load(Ordering::Relaxed)
    }

    /// The number of ranges fetched so far; nearby ranges that were joined count as one.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The number of calls so far; the requests of one call can run in parallel.
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// The bytes of each range, fetched in one call, nearby ranges in one request.
    ///
    /// The ranges ascend and do not overlap.
    pub(super) fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ScanError> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        debug_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
        if ranges.iter().any(|range| range.start > range.end || range.end > self.size_bytes) {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        let nearby = if self.low_latency { 0 } else { NEARBY_BYTES };
        let wholes = coalesce(ranges, nearby);
        let fetched = self.reader.read_ranges(&wholes).map_err(|source| self.failed(source))?;
        let complete = fetched.len() == wholes.len()
            && wholes.iter().zip(&fetched).all(|(range, bytes)| bytes.len() as u64 == range.end - range.start);
        if !complete {
            return Err(self.failed(io::Error::new(io::ErrorKind::UnexpectedEof, "fewer bytes than asked for")));
        }
        let bytes = wholes.iter().map(|range| range.end - range.start).sum();
        self.bytes_fetched.fetch_add(bytes, Ordering::Relaxed);
        self.requests.fetch_add(wholes.len() as u64, Ordering::Relaxed);
        self.round_trips.fetch_add(1, Ordering::Relaxed);

        let mut whole = 0;
        Ok(ranges
            .iter()
            .map(|range| {
                while wholes[whole].end < range.end {
                    whole += 1;
                }
                let start = (range.start - wholes[whole].start) as usize;
                fetched[whole].slice(start..start + (range.end - range.start) as usize)
            })
            .collect())
    }

    /// The bytes of one range.
    pub(super) fn read_one(&self, range: Range<u64>) -> Result<Bytes, ScanError> {
        Ok(self.read(&[range])?.pop().unwrap_or_default())
    }

    fn failed(&self, source: io::Error) -> ScanError {
        ScanError::Read { file: self.name.clone(), source }
    }
}

/// Joins ranges whose gap is at most `nearby` bytes.
fn coalesce(ranges: &[Range<u64>], nearby: u64) -> Vec<Range<u64>> {
    let mut wholes: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match wholes.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(nearby) => last.end = range.end,
            _ => wholes.push(range.clone()),
        }
    }
    wholes
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Memory(Vec<u8>);

    impl RangedReader for Memory {
        fn size_bytes(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn read_ranges(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
            Ok(ranges.iter().map(|r| Bytes::copy_from_slice(&self.0[r.start as usize..r.end as usize])).collect())
        }
    }

    #[test]
    fn nearby_ranges_are_one_request() {
        let far = NEARBY_BYTES + 100;
        let content: Vec<u8> = (0..far + 50).map(|i| (i % 251) as u8).collect();
        let source = Source::new("memory", Box::new(Memory(content.clone()))).unwrap();
        let ranges = [0..10, 10..20, 30..31, far..far + 5];
        let parts = source.read(&ranges).unwrap();
        for (range, part) in ranges.iter().zip(&parts) {
            assert_eq!(part[..], content[range.start as usize..range.end as usize]);
        }
        assert_eq!((source.requests(), source.round_trips(), source.bytes_fetched()), (2, 1, 36));
    }

    #[test]
    fn refuses_ranges_beyond_the_end() {
        let source = Source::new("memory", Box::new(Memory(vec![0; 10]))).unwrap();
        assert!(matches!(source.read_one(5..11), Err(ScanError::Read { .. })));
        assert_eq!(source.read_one(5..10).unwrap().len(), 5);
    }

    #[test]
    fn a_missing_file_is_named() {
        let Err(error) = Source::local("/no/such/file.parquet") else { panic!("it should not open") };
        assert!(error.to_string().starts_with("/no/such/file.parquet: cannot be read"));
    }
}
