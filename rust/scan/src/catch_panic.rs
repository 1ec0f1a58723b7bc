//! Turns panics of decoders into errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::ScanError;

/// Runs a decoder or encoder and returns the message of its panic as an error.
///
/// # Errors
/// With the message when it panics. State that it changed must not be used then.
pub fn catch_panic<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| message(panic.as_ref()).to_string())
}

/// Runs a decoder and turns a panic on damaged bytes into an error that names the file.
///
/// The state of the decoder is dropped with the scan, so that no inconsistent state is used.
pub(super) fn guarded<T>(file: &str, decode: impl FnOnce() -> Result<T, ScanError>) -> Result<T, ScanError> {
    catch_panic(decode).unwrap_or_else(|message| Err(ScanError::Panic { file: file.to_string(), message }))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_file() {
        let result: Result<(), _> = guarded("a.parquet", || panic!("index {} out of range", 7));
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "a.parquet: damaged: the Parquet decoder stopped with: index 7 out of range");
    }
}
