//! Checks that there is memory for a large allocation before it is made.
//!
//! An allocation that fails inside a decoder or an Arrow kernel aborts the process. Allocations whose size depends on a
//! file are tried here first, so that a process with a memory limit gets an error that names the file. This is no
//! guarantee: another thread may take the memory in between, and a system may promise more memory than it has.

use std::collections::TryReserveError;
use std::hint::black_box;

/// Smaller allocations are not checked: where they fail, everything else does too.
const SMALLEST_BYTES: usize = 1024 * 1024;

/// Checks that `bytes` can be allocated.
pub(super) fn check(bytes: usize) -> Result<(), TryReserveError> {
    if bytes < SMALLEST_BYTES {
        return Ok(());
    }
    let mut trial = Vec::<u8>::new();
    trial.try_reserve_exact(bytes)?;
    // The optimiser may remove an allocation that is not used.
    black_box(&trial);
    Ok(())
}

/// Checks that there is memory for `bytes` before Arrow allocates them.
///
/// # Errors
/// When there is not.
pub fn check_room(bytes: u64) -> Result<(), TryReserveError> {
    check(usize::try_from(bytes).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused() {
        assert!(check(0).is_ok());
        assert!(check(16 * SMALLEST_BYTES).is_ok());
        assert!(check(1 << 60).is_err());
    }
}
