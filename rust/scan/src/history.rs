//! What the files read so far needed: how much is worth reading of the next before it is known to be needed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::source::{REQUEST_BYTES, ROUND_TRIP_BYTES};

/// The tail that is read first: this much, or this part of the file up to that much, or what earlier files needed.
pub(super) const TAIL_BYTES: u64 = 64 * 1024;
const TAIL_PART: u64 = 128;
const LONGEST_GUESS_BYTES: u64 = 512 * 1024;

/// Shared by the threads that read files of one catalog. It decides how bytes are read, never which rows are found.
#[derive(Debug)]
pub(super) struct History {
    tail_bytes: AtomicU64,
    /// The coordinates of rows that may be candidates, by the statistics of the index.
    pub(super) coordinates: Share,
    /// All other columns of these rows.
    pub(super) rest: Share,
}

impl Default for History {
    fn default() -> Self {
        Self {
            tail_bytes: AtomicU64::new(0),
            coordinates: Share::starting_at(ROUND_TRIP_BYTES * 3 / 2, 2 * ROUND_TRIP_BYTES),
            rest: Share::starting_at(ROUND_TRIP_BYTES, 2 * ROUND_TRIP_BYTES),
        }
    }
}

impl History {
    /// How much of the end of a file is read first over a high-latency source.
    pub(super) fn tail_bytes(&self, size_bytes: u64) -> u64 {
        let guess = (size_bytes / TAIL_PART).clamp(TAIL_BYTES, LONGEST_GUESS_BYTES);
        guess.max(self.tail_bytes.load(Ordering::Relaxed)).min(size_bytes)
    }

    /// How much of it was needed.
    pub(super) fn add_tail(&self, needed_bytes: u64) {
        // The next one may have somewhat longer numbers.
        let likely = needed_bytes.saturating_add(needed_bytes / 8).min(ROUND_TRIP_BYTES);
        self.tail_bytes.fetch_max(likely, Ordering::Relaxed);
    }
}

/// The part of bytes that could have been read ahead, and was needed in the end.
#[derive(Debug)]
pub(super) struct Share {
    needed_bytes: AtomicU64,
    asked_bytes: AtomicU64,
}

impl Share {
    /// What is expected before any file was read: a few files count more.
    fn starting_at(needed_bytes: u64, asked_bytes: u64) -> Self {
        Self { needed_bytes: AtomicU64::new(needed_bytes), asked_bytes: AtomicU64::new(asked_bytes) }
    }

    /// Adds what a file needed of what could have been read ahead of it.
    pub(super) fn add(&self, needed_bytes: u64, asked_bytes: u64) {
        self.needed_bytes.fetch_add(needed_bytes.min(asked_bytes), Ordering::Relaxed);
        self.asked_bytes.fetch_add(asked_bytes, Ordering::Relaxed);
    }

    /// How many bytes are worth one request less: those of which so many would be read in vain.
    pub(super) fn worthwhile_bytes(&self) -> u64 {
        let whole = 8 * REQUEST_BYTES;
        REQUEST_BYTES.saturating_mul(whole) / self.waste(whole).max(REQUEST_BYTES)
    }

    /// How many of the bytes would probably be read in vain.
    pub(super) fn waste(&self, bytes: u64) -> u64 {
        let (needed, asked) = (self.needed_bytes.load(Ordering::Relaxed), self.asked_bytes.load(Ordering::Relaxed));
        let vain = u128::from(asked.saturating_sub(needed)) * u128::from(bytes) / u128::from(asked.max(1));
        u64::try_from(vain).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABYTE: u64 = 1024 * 1024;

    #[test]
    fn the_tail_of_the_next_file_is_as_long_as_that_of_earlier_ones() {
        let history = History::default();
        assert_eq!(history.tail_bytes(1000), 1000);
        assert_eq!(history.tail_bytes(MEGABYTE), TAIL_BYTES);
        assert_eq!(history.tail_bytes(16 * MEGABYTE), 128 * 1024);
        history.add_tail(800_000);
        history.add_tail(10_000);
        assert_eq!(history.tail_bytes(16 * MEGABYTE), 900_000);
        assert_eq!(history.tail_bytes(500_000), 500_000);
        history.add_tail(u64::MAX);
        assert_eq!(history.tail_bytes(1 << 40), ROUND_TRIP_BYTES);
    }

    #[test]
    fn what_was_needed_is_expected_again() {
        let history = History::default();
        assert_eq!(history.rest.waste(4 * MEGABYTE), 2 * MEGABYTE);
        assert_eq!(history.coordinates.waste(4 * MEGABYTE), MEGABYTE);
        assert_eq!(history.rest.worthwhile_bytes(), 2 * MEGABYTE);
        history.rest.add(96 * MEGABYTE, 96 * MEGABYTE);
        assert_eq!(history.rest.worthwhile_bytes(), 8 * MEGABYTE);
        assert_eq!(history.rest.waste(100 * MEGABYTE), 2 * MEGABYTE);
        history.rest.add(500 * MEGABYTE, 100 * MEGABYTE);
        assert_eq!(history.rest.waste(100 * MEGABYTE), MEGABYTE);
        history.coordinates.add(0, 1 << 50);
        assert!(history.coordinates.waste(MEGABYTE) > MEGABYTE * 9 / 10);
        history.rest.add(0, 1 << 50);
        assert!(history.rest.worthwhile_bytes() < MEGABYTE * 11 / 10);
    }
}
