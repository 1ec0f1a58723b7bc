//! Whether there is memory for something large, asked before it is needed.
//!
//! An allocation that fails inside a decoder or an Arrow kernel ends the process. Those that a file can make large are
//! tried here first, so that a process with a limit gets an error that names the file. Another thread may take the room
//! meanwhile; a system that promises more memory than it has promises it here, too.

use std::collections::TryReserveError;

/// Smaller ones fail only where everything else does.
const SMALLEST_BYTES: usize = 1024 * 1024;

/// Tries whether so many bytes can be had, and gives them back.
pub(super) fn check(bytes: usize) -> Result<(), TryReserveError> {
    if bytes < SMALLEST_BYTES {
        return Ok(());
    }
    // Seen by the optimiser as used, or it would leave out the allocation.
    Vec::<u8>::new().try_reserve_exact(std::hint::black_box(bytes))
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
