//! The face of the scan: what files have in common, and the way through one of them.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use thiserror::Error;

use crate::budget::Budget;
use crate::candidates::{CandidateReader, CandidateRows};
use crate::catch_panic::guarded;
use crate::error::ScanError;
use crate::file::ParquetFile;
use crate::filter::{Candidates, FilterAnswerError, RowFilter};
use crate::first_read::ColumnPositions;
use crate::history::{History, TAIL_BYTES};
use crate::index_column;
use crate::report::ScanReport;
use crate::schema::Projection;
use crate::selected::{BatchReader, Pending, ScanBatch};
use crate::source::{ROUND_TRIP_BYTES, Source};
use skymargin_geometry::pixel::MAX_ORDER;

/// The default memory limit of a scan.
pub const DEFAULT_MEMORY_BYTES: u64 = 64 * 1024 * 1024;

/// The number of candidates passed to the filter the first time, and the largest number later.
const FIRST_SELECT_ROWS: usize = 256;
const MOST_SELECT_ROWS: usize = 64 * 1024;

/// What the files of a catalog have in common.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// The schema of the returned rows: that of the primary catalog.
    pub schema: SchemaRef,
    /// The column of the spatial index; `None` to compute it.
    pub index_column: Option<String>,
    /// The order of the index column, or of a computed index.
    pub index_order: u8,
    /// The number of bits of an index value below its pixel at `index_order`: HiPSCat counts rows in them.
    pub index_shift: u8,
    /// The column of right ascension in degrees.
    pub ra_column: String,
    /// The column of declination in degrees.
    pub dec_column: String,
    /// The memory limit of one scan in bytes, without the footer and one page for each column that is being read.
    pub memory_bytes: u64,
    /// Whether files may have columns that the schema lacks: these are not read.
    pub other_columns: bool,
}

/// Why options are refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OptionsError {
    /// A column that the schema does not have.
    #[error("{role} '{column}' is not among the columns of the catalog: {known}")]
    NoColumn {
        /// What it is for.
        role: &'static str,
        /// The name given.
        column: String,
        /// The names of the columns.
        known: String,
    },
    /// An order beyond 29.
    #[error("index_order {order} is not allowed: it must be 0 to {MAX_ORDER}")]
    Order {
        /// The order given.
        order: u8,
    },
    /// A shift with which a pixel does not fit into 64 bits.
    #[error("index_shift {shift} is not allowed: above it, pixels of order {order} do not fit 64 bits")]
    Shift {
        /// The shift given.
        shift: u8,
        /// The order given.
        order: u8,
    },
}

/// Scans files of one catalog. Cheap to share between threads.
#[derive(Debug)]
pub struct Scanner {
    options: ScanOptions,
    column_positions: ColumnPositions,
    /// The columns of the last file, which usually are those of the next one too.
    projection: Mutex<Option<Arc<Projection>>>,
    /// What earlier files needed.
    history: Arc<History>,
}

impl Scanner {
    /// A scanner for the files of a catalog.
    ///
    /// # Errors
    /// [`OptionsError`] when a column does not exist or the order is beyond 29.
    pub fn new(options: ScanOptions) -> Result<Self, OptionsError> {
        if options.index_order > MAX_ORDER {
            return Err(OptionsError::Order { order: options.index_order });
        }
        // A pixel of order k takes 4 + 2 k bits.
        if u32::from(options.index_shift) + 4 + 2 * u32::from(options.index_order) > u64::BITS {
            return Err(OptionsError::Shift { shift: options.index_shift, order: options.index_order });
        }
        let place = |role, column: &String| {
            options.schema.index_of(column).map_err(|_| OptionsError::NoColumn {
                role,
                column: column.clone(),
                known: options.schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", "),
            })
        };
        let column_positions = ColumnPositions {
            index: options.index_column.as_ref().map(|column| place("index_column", column)).transpose()?,
            ra: place("ra_column", &options.ra_column)?,
            dec: place("dec_column", &options.dec_column)?,
            index_order: options.index_order,
            index_shift: options.index_shift,
        };
        Ok(Self { options, column_positions, projection: Mutex::default(), history: Arc::default() })
    }

    /// Its options.
    pub fn options(&self) -> &ScanOptions {
        &self.options
    }

    /// Opens a file: reads its footer and matches its columns to the schema.
    ///
    /// # Errors
    /// [`ScanError`] when the file cannot be read, is damaged, or has columns that do not fit the schema.
    pub fn open(&self, source: Source) -> Result<ScanFile, ScanError> {
        self.open_among(source, 1)
    }

    /// Opens one of the `files` of a partition, which are open at the same time.
    ///
    /// # Errors
    /// As for `open`.
    pub fn open_among(&self, source: Source, files: usize) -> Result<ScanFile, ScanError> {
        let is_low_latency = source.is_low_latency();
        let tail_bytes = self.first_read_bytes(&source, files);
        // Without an index, all coordinates are read.
        let columns = self.options.index_column.as_deref().map(|index| {
            let ScanOptions { ra_column, dec_column, .. } = &self.options;
            [index, ra_column, dec_column]
        });
        let columns: &[&str] = columns.as_ref().map_or(&[], |columns| columns);
        let file = Arc::new(ParquetFile::open(source, columns, tail_bytes)?);
        if !is_low_latency {
            self.history.add_tail(file.footer().needed_bytes());
        }
        let projection = self.projection(&file)?;
        self.column_positions.coordinates(&projection).check_types(file.name())?;
        if let Some(place) = self.column_positions.index {
            index_column::check_type(file.name(), &projection.columns()[place])?;
        }
        let memory_bytes = self.options.memory_bytes;
        let budget = if is_low_latency { Budget::new(memory_bytes) } else { Budget::beside_others(memory_bytes) };
        Ok(ScanFile {
            file,
            projection,
            schema: Arc::clone(&self.options.schema),
            column_positions: self.column_positions,
            budget,
            history: Arc::clone(&self.history),
        })
    }

    /// How much of a file is read first, of a partition with so many files: the whole of a small one.
    pub fn first_read_bytes(&self, source: &Source, files: usize) -> u64 {
        let size_bytes = source.size_bytes();
        if source.is_low_latency() {
            TAIL_BYTES.min(size_bytes)
        } else if files == 1 && size_bytes <= self.ahead_bytes().min(ROUND_TRIP_BYTES) {
            size_bytes
        } else {
            self.history.tail_bytes(size_bytes)
        }
    }

    /// How much may be read of other files while one is scanned, over high-latency sources.
    pub fn ahead_bytes(&self) -> u64 {
        Budget::new(self.options.memory_bytes).ahead_bytes()
    }

    fn projection(&self, file: &ParquetFile) -> Result<Arc<Projection>, ScanError> {
        let kept = || self.projection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(projection) = kept().as_ref()
            && projection.is_for(file.metadata())
        {
            return Ok(Arc::clone(projection));
        }
        let ScanOptions { schema, other_columns, .. } = &self.options;
        let made = guarded(file.name(), || Projection::new(file.name(), file.metadata(), schema, *other_columns))?;
        let made = Arc::new(made);
        *kept() = Some(Arc::clone(&made));
        Ok(made)
    }
}

/// An open file, its footer read.
pub struct ScanFile {
    file: Arc<ParquetFile>,
    projection: Arc<Projection>,
    schema: SchemaRef,
    column_positions: ColumnPositions,
    budget: Budget,
    history: Arc<History>,
}

impl ScanFile {
    /// Whether many small reads of it are as fast as one large one.
    pub fn is_low_latency(&self) -> bool {
        self.file.source().is_low_latency()
    }

    /// The rows of the file.
    pub fn rows_total(&self) -> u64 {
        self.file.first_rows().last().copied().unwrap_or(0)
    }

    /// The size of its columns before compression, as the footer states it.
    pub fn uncompressed_bytes(&self) -> u64 {
        self.row_group_bytes().into_iter().fold(0, u64::saturating_add)
    }

    /// The size of the columns of each row group before compression, as the footer states it.
    pub fn row_group_bytes(&self) -> Vec<u64> {
        let sizes = self.file.metadata().row_groups().iter().map(|group| group.total_byte_size());
        sizes.map(|bytes| u64::try_from(bytes).unwrap_or(0)).collect()
    }

    /// The number of bits of an index value below its pixel.
    pub fn index_shift(&self) -> u8 {
        self.column_positions.index_shift
    }

    /// Bytes read from the source so far.
    pub fn bytes_fetched(&self) -> u64 {
        self.file.source().bytes_fetched()
    }

    /// Scans the file for the rows that a filter selects.
    ///
    /// `first_row` is the row of the partition that the file starts with, where a partition has several files.
    ///
    /// # Errors
    /// [`ScanError`] when rows whose statistics contradict their index lie elsewhere, or cannot be read.
    pub fn scan<F: RowFilter>(&self, first_row: u64, filter: F) -> Result<Scan<F>, ScanError> {
        self.scan_row_groups(first_row, filter, 0..self.file.metadata().num_row_groups())
    }

    /// Scans some row groups of the file.
    ///
    /// # Errors
    /// As for `scan`.
    pub fn scan_row_groups<F: RowFilter>(
        &self,
        first_row: u64,
        filter: F,
        row_groups: Range<usize>,
    ) -> Result<Scan<F>, ScanError> {
        let (file, projection, positions) = (&self.file, &self.projection, self.column_positions);
        let mut reader =
            CandidateReader::new(file, projection, positions, self.budget, &self.history, &filter, row_groups)?;
        reader.check_suspects(&filter, first_row)?;
        Ok(Scan {
            file: Arc::clone(&self.file),
            projection: Arc::clone(&self.projection),
            schema: Arc::clone(&self.schema),
            budget: self.budget,
            filter,
            first_row,
            reader,
            candidates: CandidateRows::default(),
            next_candidate: 0,
            select_rows: FIRST_SELECT_ROWS,
            pending: Pending::default(),
            report: ScanReport::default(),
            done: false,
        })
    }
}

/// A scan of one file: an iterator of batches of selected rows, in file order.
///
/// After an error there are no more batches.
pub struct Scan<F> {
    file: Arc<ParquetFile>,
    projection: Arc<Projection>,
    schema: SchemaRef,
    budget: Budget,
    filter: F,
    first_row: u64,
    reader: CandidateReader,
    candidates: CandidateRows,
    next_candidate: usize,
    select_rows: usize,
    pending: Pending,
    report: ScanReport,
    done: bool,
}

impl<F> Scan<F> {
    /// The rows of the file.
    pub fn rows_total(&self) -> u64 {
        self.file.first_rows().last().copied().unwrap_or(0)
    }

    /// The counts so far; complete when there are no more batches.
    pub fn report(&self) -> ScanReport {
        let source = self.file.source();
        ScanReport {
            bytes_fetched: source.bytes_fetched(),
            requests: source.requests(),
            round_trips: source.round_trips(),
            row_groups_read: self.reader.row_groups,
            row_groups_total: self.file.metadata().num_row_groups() as u64,
            pages_decoded: self.file.pages_decoded(),
            hints_ignored: self.file.hints().ignored() + self.projection.hints_ignored(),
            rows_total: self.rows_total(),
            ..self.report
        }
    }
}

impl<F: RowFilter> Scan<F> {
    fn next_batch(&mut self) -> Result<Option<ScanBatch>, ScanError> {
        loop {
            if !self.pending.is_empty() {
                return self.read_batch().map(Some);
            }
            if self.next_candidate < self.candidates.rows.len() {
                self.select()?;
                continue;
            }
            // The old candidates are dropped before new ones are read.
            self.candidates = CandidateRows::default();
            self.next_candidate = 0;
            let Some(candidates) = self.reader.next(&self.filter)? else { return Ok(None) };
            self.report.candidates += candidates.rows.len() as u64;
            self.candidates = candidates;
        }
    }

    /// The beginning of step 4: lets the filter decide on candidates until there are enough selected rows for a batch.
    fn select(&mut self) -> Result<(), ScanError> {
        let candidates = &self.candidates;
        let mut selected = Vec::new();
        while self.next_candidate < candidates.rows.len() && selected.len() < self.budget.selected_pairs() {
            let from = self.next_candidate;
            let to = candidates.rows.len().min(from + self.select_rows);
            let rows: Vec<u64> = candidates.rows[from..to].iter().map(|row| self.first_row + row).collect();
            let coordinates = |all: &'_ [f64]| if all.is_empty() { 0..0 } else { from..to };
            let asked = Candidates {
                rows: &rows,
                index: &candidates.index[from..to],
                ra_deg: &candidates.ra_deg[coordinates(&candidates.ra_deg)],
                dec_deg: &candidates.dec_deg[coordinates(&candidates.dec_deg)],
            };
            let before = selected.len();
            self.filter.select(asked, &mut selected).map_err(|source| self.file.filter_error(source))?;
            for selected in &mut selected[before..] {
                if selected.candidate >= to - from {
                    let answer = FilterAnswerError::Candidate { candidate: selected.candidate, asked: to - from };
                    return Err(self.file.filter_error(answer.into()));
                }
                selected.candidate += from;
            }
            self.next_candidate = to;
            // Each row may have thousands of destinations: then ask about fewer rows.
            let per_row = (selected.len() - before).div_ceil(to - from).max(1);
            self.select_rows =
                (self.budget.selected_pairs() / 4 / per_row).clamp(1, MOST_SELECT_ROWS).min(8 * self.select_rows);
        }
        self.report.selected += selected.len() as u64;
        self.pending = Pending::new(selected);
        self.reader.add_selected(&self.pending.rows(&self.candidates))
    }

    fn read_batch(&mut self) -> Result<ScanBatch, ScanError> {
        let reader = BatchReader {
            file: &self.file,
            projection: &self.projection,
            schema: &self.schema,
            budget: self.budget,
            in_hand: self.reader.fetched(),
        };
        let mut batch = reader.read(&self.candidates, &mut self.pending)?;
        for row in &mut batch.rows {
            *row += self.first_row;
        }
        self.report.rows_selected += batch.rows.len() as u64;
        Ok(batch)
    }
}

impl<F: RowFilter> Iterator for Scan<F> {
    type Item = Result<ScanBatch, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_batch();
        self.done = !matches!(next, Ok(Some(_)));
        if matches!(next, Ok(None)) {
            self.reader.end();
        }
        next.transpose()
    }
}
