//! Files of the next partitions are opened while one is mapped, over high-latency sources.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use skymargin_scan::{ScanError, ScanFile, Scanner, Source, catch_panic};

use crate::error::MapError;

/// The most partitions that are opened ahead of the one that is mapped. Each waits for the server in a thread of its
/// own, which takes little processor time.
const PARTITIONS_AHEAD: usize = 4;

/// Opens a file by its name. Threads call it at the same time.
pub type OpenFile<'a> = dyn Fn(&str) -> Result<Source, ScanError> + Sync + 'a;

type Opened = Result<Vec<ScanFile>, MapError>;

/// Opens the files of each partition and maps them, in order.
///
/// `is_given_up` is asked before each partition. What is read ahead is at most [`Scanner::ahead_bytes`]. An error of a
/// partition is returned when its turn comes.
pub(crate) fn map_each(
    scanner: &Scanner,
    partitions: &[&[String]],
    open: &OpenFile<'_>,
    is_given_up: &dyn Fn() -> bool,
    mut map: impl FnMut(usize, Vec<ScanFile>) -> Result<(), MapError>,
) -> Result<(), MapError> {
    let check = || if is_given_up() { Err(MapError::GivenUp) } else { Ok(()) };
    let opener = Opener { scanner, partitions, open };
    let Some((_, others)) = partitions.split_first() else { return Ok(()) };
    check()?;
    let first = opener.open(0)?;
    let is_low_latency = first.iter().all(ScanFile::is_low_latency);
    let queue = Queue::new(partitions.len(), scanner.ahead_bytes());
    thread::scope(|scope| {
        let _end = End(&queue);
        let threads = if is_low_latency { 0 } else { PARTITIONS_AHEAD.min(others.len()) };
        for _ in 0..threads {
            // Where no thread can be started, a partition is opened when its turn comes.
            let _ = thread::Builder::new().spawn_scoped(scope, || queue.fill(&opener));
        }
        map(0, first)?;
        for number in 1..partitions.len() {
            check()?;
            let files = queue.take(number).unwrap_or_else(|| opener.open(number))?;
            map(number, files)?;
        }
        Ok(())
    })
}

/// Opens all files of a partition.
struct Opener<'a> {
    scanner: &'a Scanner,
    partitions: &'a [&'a [String]],
    open: &'a OpenFile<'a>,
}

impl Opener<'_> {
    fn open(&self, number: usize) -> Opened {
        self.open_with(number, &|_| true).unwrap_or(Err(MapError::GivenUp))
    }

    /// The same; `reserve` is asked for so many bytes before each file is read. `None` when it refuses.
    fn open_with(&self, number: usize, reserve: &dyn Fn(u64) -> bool) -> Option<Opened> {
        catch_panic(|| self.open_files(number, reserve)).unwrap_or_else(|message| Some(Err(MapError::Panic(message))))
    }

    fn open_files(&self, number: usize, reserve: &dyn Fn(u64) -> bool) -> Option<Opened> {
        let names = self.partitions[number];
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let source = match (self.open)(name) {
                Ok(source) => source,
                Err(error) => return Some(Err(error.into())),
            };
            if !reserve(self.scanner.first_read_bytes(&source, names.len())) {
                return None;
            }
            match self.scanner.open_among(source, names.len()) {
                Ok(file) => files.push(file),
                Err(error) => return Some(Err(error.into())),
            }
        }
        Some(Ok(files))
    }
}

/// The partitions that are opened ahead.
struct Queue {
    partitions: usize,
    most_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The partition that is mapped, and the next one that nobody opens yet.
    mapped: usize,
    next: usize,
    /// The partition that mapping waits for.
    wanted: Option<usize>,
    /// Bytes of partitions that are open or being opened, by partition.
    reserved_bytes: HashMap<usize, u64>,
    ready: HashMap<usize, Opened>,
    is_ended: bool,
}

impl Queue {
    fn new(partitions: usize, most_bytes: u64) -> Self {
        let state = Mutex::new(State { next: 1, ..State::default() });
        Self { partitions, most_bytes, state, changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        no: impl Fn(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_while(state, no).unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens partitions until there are no more.
    fn fill(&self, opener: &Opener<'_>) {
        while let Some(number) = self.claim() {
            let Some(opened) = opener.open_with(number, &|bytes| self.reserve(number, bytes)) else { return };
            self.lock().ready.insert(number, opened);
            self.changed.notify_all();
        }
    }

    /// The next partition to open, when it is near enough to its turn; `None` at the end.
    fn claim(&self) -> Option<usize> {
        let is_early = |state: &State| state.next < self.partitions && state.next > state.mapped + PARTITIONS_AHEAD;
        let mut state = self.wait_while(self.lock(), |state| !state.is_ended && is_early(state));
        let number = state.next;
        (!state.is_ended && number < self.partitions).then(|| {
            state.next += 1;
            number
        })
    }

    /// Waits until there is memory for a file, or mapping waits for it and needs none itself. False at the end.
    fn reserve(&self, number: usize, bytes: u64) -> bool {
        let fits = |state: &State| state.reserved_bytes.values().sum::<u64>() + bytes <= self.most_bytes;
        let must_wait = |state: &mut State| !state.is_ended && state.wanted != Some(number) && !fits(state);
        let mut state = self.wait_while(self.lock(), must_wait);
        *state.reserved_bytes.entry(number).or_default() += bytes;
        !state.is_ended
    }

    /// The files of a partition whose turn it is; `None` when nobody opens it.
    fn take(&self, number: usize) -> Option<Opened> {
        let mut state = self.lock();
        state.mapped = number;
        if state.next <= number {
            state.next = number + 1;
            self.changed.notify_all();
            return None;
        }
        state.wanted = Some(number);
        self.changed.notify_all();
        let mut state = self.wait_while(state, |state| !state.ready.contains_key(&number));
        state.wanted = None;
        state.reserved_bytes.remove(&number);
        self.changed.notify_all();
        state.ready.remove(&number)
    }
}

/// Ends the threads when it is dropped, so that they end when mapping fails or panics, too.
struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().is_ended = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use skymargin_scan::{RangedReader, ScanOptions};

    use super::*;

    /// Files of a server: each has as many rows as its name says.
    #[derive(Default)]
    struct Server {
        /// The reads that have begun, and those that wait until so many have.
        begun: Mutex<usize>,
        more: Condvar,
        wait_for: usize,
    }

    struct File {
        server: Arc<Server>,
        bytes: Bytes,
    }

    impl RangedReader for File {
        fn size_bytes(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }

        fn read_ranges(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
            let mut begun = self.server.begun.lock().unwrap();
            *begun += 1;
            self.server.more.notify_all();
            let patience = Duration::from_secs(20);
            let few = |begun: &mut usize| *begun > 1 && *begun < self.server.wait_for;
            let (begun, waited) = self.server.more.wait_timeout_while(begun, patience, few).unwrap();
            assert!(!waited.timed_out(), "{begun} reads at once");
            drop(begun);
            Ok(ranges.iter().map(|range| self.bytes.slice(range.start as usize..range.end as usize)).collect())
        }
    }

    fn batch(rows: i64) -> RecordBatch {
        let degrees: ArrayRef = Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 1e6)));
        let index: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        RecordBatch::try_from_iter([("index", index), ("ra", Arc::clone(&degrees)), ("dec", degrees)]).unwrap()
    }

    fn source(server: &Arc<Server>, name: &str) -> Result<Source, ScanError> {
        let mut writer = ArrowWriter::try_new(Vec::new(), batch(0).schema(), None).unwrap();
        match name {
            "lost" => return Err(ScanError::Read { file: name.to_string(), source: io::ErrorKind::NotFound.into() }),
            "panic" => panic!("no such luck"),
            rows => writer.write(&batch(rows.parse().unwrap())).unwrap(),
        }
        let bytes = Bytes::from(writer.into_inner().unwrap());
        Source::new(name, Box::new(File { server: Arc::clone(server), bytes }))
    }

    fn scanner(memory_bytes: u64) -> Scanner {
        let options = ScanOptions {
            schema: batch(0).schema(),
            index_column: Some("index".into()),
            index_order: 29,
            index_shift: 0,
            ra_column: "ra".into(),
            dec_column: "dec".into(),
            memory_bytes,
            other_columns: false,
        };
        Scanner::new(options).unwrap()
    }

    /// The partitions whose turn came, by number and rows, and how it ended.
    fn mapped(
        names: &[&[&str]],
        memory_bytes: u64,
        server: Server,
        mut map: impl FnMut(usize),
        is_given_up: &dyn Fn() -> bool,
    ) -> (Vec<(usize, u64)>, Result<(), MapError>) {
        let names: Vec<Vec<String>> =
            names.iter().map(|files| files.iter().map(ToString::to_string).collect()).collect();
        let partitions: Vec<&[String]> = names.iter().map(Vec::as_slice).collect();
        let server = Arc::new(server);
        let mut turns = Vec::new();
        let open = |name: &str| source(&server, name);
        let result = map_each(&scanner(memory_bytes), &partitions, &open, is_given_up, |number, files| {
            map(number);
            turns.push((number, files.iter().map(ScanFile::rows_total).sum()));
            Ok(())
        });
        (turns, result)
    }

    #[test]
    fn partitions_in_flight_come_in_their_order() {
        let names: [&[&str]; 8] = [&["1"], &["2"], &["30", "4"], &["5"], &["6"], &["7"], &["8"], &["9"]];
        // The second partition waits until three others are being read.
        let server = Server { wait_for: 1 + PARTITIONS_AHEAD, ..Server::default() };
        let (turns, result) = mapped(&names, 1 << 24, server, |_| (), &|| false);
        result.unwrap();
        assert_eq!(turns, [(0, 1), (1, 2), (2, 34), (3, 5), (4, 6), (5, 7), (6, 8), (7, 9)]);
    }

    #[test]
    fn what_is_read_ahead_is_bounded() {
        // Each takes more than half of what may be read ahead, which is an eighth of a megabyte.
        let names = [&["3500"][..]; 12];
        let (turns, result) = mapped(&names, 1 << 20, Server::default(), |_| (), &|| false);
        result.unwrap();
        assert_eq!(turns.len(), 12);
        let queue = Queue::new(12, 1000);
        assert!(queue.reserve(1, 600) && queue.reserve(1, 400));
        queue.lock().wanted = Some(2);
        assert!(queue.reserve(2, 5000), "mapping waits for it");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.reserve(3, 1));
            assert_eq!(queue.claim(), Some(1));
            queue.lock().ready.insert(1, Ok(Vec::new()));
            assert!(queue.take(1).unwrap().unwrap().is_empty());
            assert_eq!(queue.claim(), Some(2));
            queue.lock().ready.insert(2, Ok(Vec::new()));
            queue.take(2).unwrap().unwrap();
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn an_error_comes_when_its_partition_has_its_turn() {
        let lost = ("lost", "lost: cannot be read: entity not found");
        for (name, message) in [lost, ("panic", "the task stopped with: no such luck")] {
            let names: [&[&str]; 6] = [&["1"], &["2"], &["3"], &[name], &["5"], &["6"]];
            let (turns, result) = mapped(&names, 1 << 24, Server::default(), |_| (), &|| false);
            assert_eq!(turns, [(0, 1), (1, 2), (2, 3)]);
            assert_eq!(result.unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_run_that_is_given_up_or_panics_leaves_no_thread_behind() {
        let names = [&["1"][..]; 9];
        let turns = AtomicUsize::new(0);
        let count = |_| {
            turns.fetch_add(1, Ordering::Relaxed);
        };
        let is_given_up = || turns.load(Ordering::Relaxed) == 3;
        let (done, result) = mapped(&names, 1 << 24, Server::default(), count, &is_given_up);
        assert_eq!(done.len(), 3);
        assert!(matches!(result, Err(MapError::GivenUp)));
        let stopped =
            catch_panic(|| mapped(&names, 1 << 24, Server::default(), |number| assert!(number < 2), &|| false));
        assert!(stopped.unwrap_err().contains("number < 2"));
    }
}
