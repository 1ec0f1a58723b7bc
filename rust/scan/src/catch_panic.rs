//! Turns panics of decoders into errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::ScanError;

/// Runs a decoder and turns a panic on damaged bytes into an error that names the file.
///
/// The state of the decoder is dropped with the scan, so that no inconsistent state is used.
pub(super) fn guarded<T>(file: &str, decode: impl FnOnce() -> Result<T, ScanError>) -> Result<T, ScanError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        Err(ScanError::Panic { file: file.to_string(), message: message(panic.as_ref()).to_string() })
    })
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
