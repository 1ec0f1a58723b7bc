//! Whether a run was given up, as Python says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How often Python is asked: a task asks for every partition and batch of rows, and must not wait for Python's lock
/// each time.
const BETWEEN: Duration = Duration::from_millis(50);

/// A function of Python that returns whether the run was given up.
pub(crate) struct GivenUp {
    ask: Py<PyAny>,
    begin: Instant,
    /// Milliseconds after `begin`.
    next: AtomicU64,
    answer: AtomicBool,
}

impl GivenUp {
    pub(crate) fn new(ask: Py<PyAny>) -> Self {
        Self { ask, begin: Instant::now(), next: AtomicU64::new(0), answer: AtomicBool::new(false) }
    }

    /// The answer, at most `BETWEEN` old.
    pub(crate) fn check(&self) -> bool {
        let now = self.begin.elapsed();
        if now < Duration::from_millis(self.next.load(Ordering::Relaxed)) {
            return self.answer.load(Ordering::Relaxed);
        }
        self.next.store((now + BETWEEN).as_millis() as u64, Ordering::Relaxed);
        self.check_now()
    }

    /// The answer now. A function that fails cannot say that anybody waits for the task.
    pub(crate) fn check_now(&self) -> bool {
        let answer = Python::attach(|py| self.ask.call0(py)?.extract::<bool>(py)).unwrap_or(true);
        self.answer.fetch_or(answer, Ordering::Relaxed) || answer
    }
}
