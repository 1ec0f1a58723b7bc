//! Sources of bytes: a local file, or anything that can read byte ranges.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::buffers::Buffers;
use crate::error::ScanError;

/// What a request costs over a high-latency source, in bytes that are read in the same time: a longer gap between two
/// ranges of one call is not worth reading. Stores also count, and limit, requests.
pub(super) const REQUEST_BYTES: u64 = 1024 * 1024;

/// The same for a request that others wait for. It takes 20 to 100 ms, in which a connection carries 1 to 8 MB, or less
/// when threads share the network.
pub(super) const ROUND_TRIP_BYTES: u64 = 2 * REQUEST_BYTES;

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

    /// Checks, after something has failed, that the size is still that of [`RangedReader::size_bytes`], where that was
    /// not asked of the file itself.
    ///
    /// # Errors
    /// When the file has another size now, or is gone.
    fn check_size(&self) -> io::Result<()> {
        Ok(())
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

    /// The bytes of ranges, fetched in one call, as parts that hold one range or several: ranges are joined over `gaps`.
    ///
    /// The ranges ascend and do not overlap.
    pub(super) fn read(&self, ranges: &[Range<u64>], gaps: Gaps) -> Result<Vec<(u64, Bytes)>, ScanError> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        debug_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
        if ranges.iter().any(|range| range.start > range.end || range.end > self.size_bytes) {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        let wholes = join(ranges, if self.low_latency { Gaps::default() } else { gaps });
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
        Ok(wholes.into_iter().map(|range| range.start).zip(fetched).collect())
    }

    /// The bytes of one range.
    pub(super) fn read_one(&self, range: Range<u64>) -> Result<Bytes, ScanError> {
        Ok(self.read(&[range], Gaps::default())?.pop().map(|(_, bytes)| bytes).unwrap_or_default())
    }

    /// The error of a file that could not be opened: that it has changed, if it has.
    pub(super) fn explain(&self, error: ScanError) -> ScanError {
        match self.reader.check_size() {
            Ok(()) => error,
            Err(changed) => self.failed(changed),
        }
    }

    fn failed(&self, source: io::Error) -> ScanError {
        ScanError::Read { file: self.name.clone(), source }
    }
}

/// The bytes between ranges that are read with them, to make fewer requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gaps {
    /// The longest gap that costs less than a request.
    pub(super) longest_bytes: u64,
    /// All of them together.
    pub(super) total_bytes: u64,
}

/// Joins ranges over the shortest gaps.
pub(super) fn join(ranges: &[Range<u64>], gaps: Gaps) -> Vec<Range<u64>> {
    let gap = |at: usize| ranges[at].start - ranges[at - 1].end;
    let mut short: Vec<usize> = (1..ranges.len()).filter(|at| gap(*at) <= gaps.longest_bytes).collect();
    short.sort_by_key(|at| gap(*at));
    let mut is_joined = vec![false; ranges.len()];
    let mut left_bytes = gaps.total_bytes;
    for at in short {
        let Some(left) = left_bytes.checked_sub(gap(at)) else { break };
        (left_bytes, is_joined[at]) = (left, true);
    }
    let mut wholes: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for (range, is_joined) in ranges.iter().zip(is_joined) {
        match wholes.last_mut() {
            Some(last) if is_joined => last.end = range.end,
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
    fn ranges_are_joined_over_gaps_that_cost_less_than_a_request() {
        let far = REQUEST_BYTES + 100;
        let content: Vec<u8> = (0..far + 50).map(|i| (i % 251) as u8).collect();
        let source = Source::new("memory", Box::new(Memory(content.clone()))).unwrap();
        let ranges = [0..10, 10..20, 30..31, far..far + 5];
        let gaps = Gaps { longest_bytes: REQUEST_BYTES, total_bytes: u64::MAX };
        let parts = source.read(&ranges, gaps).unwrap();
        assert_eq!(parts.iter().map(|(start, bytes)| (*start, bytes.len())).collect::<Vec<_>>(), [(0, 31), (far, 5)]);
        for (start, part) in &parts {
            assert_eq!(part[..], content[*start as usize..*start as usize + part.len()]);
        }
        assert_eq!((source.requests(), source.round_trips(), source.bytes_fetched()), (2, 1, 36));
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init)]
    fn the_shortest_gaps_are_read_where_not_all_fit() {
        let ranges = [0..10, 30..40, 45..50, 50..60, 80..90];
        let joined = |longest_bytes, total_bytes| join(&ranges, Gaps { longest_bytes, total_bytes });
        assert_eq!(joined(100, 0), [0..10, 30..40, 45..60, 80..90]);
        assert_eq!(joined(100, 5), [0..10, 30..60, 80..90]);
        assert_eq!(joined(100, 44), [0..60, 80..90]);
        assert_eq!(joined(100, 45), [0..90]);
        assert_eq!(joined(19, 45), [0..10, 30..60, 80..90]);
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
