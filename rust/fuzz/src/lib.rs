//! Fuzzing targets of the Parquet reader: bytes that nobody checked go in, and no panic, hang or large allocation may
//! come of them.
//!
//! A target is a function of bytes. libFuzzer calls it from a program of `src/bin`, and the tests of this crate call it
//! with inputs that they change at random. `tests/campaign/fuzz` runs both, with inputs from files of several writers.

#![allow(clippy::panic, reason = "a target panics where the reader is at fault")]
#![allow(clippy::result_large_err, reason = "an error ends a scan")]

pub mod handmade;
pub mod targets;
mod thrift;

use std::panic;

/// Has panics of decoders, which the reader turns into errors, print nothing, and calls `own` with the message of a
/// panic in the crates of this workspace: that is a fault even where it becomes an error.
pub fn watch_panics(own: impl Fn(&str) + Send + Sync + 'static) {
    panic::set_hook(Box::new(move |panic| {
        // The files of other crates have absolute paths.
        if panic.location().is_some_and(|at| at.file().starts_with("rust/")) {
            own(&panic.to_string());
        }
    }));
}

/// Ends the process at a panic in the crates of this workspace, and at no other.
pub fn end_at_own_panics() {
    watch_panics(|message| {
        eprintln!("{message}");
        std::process::abort();
    });
}
