//! Whether there is memory for something large, asked before it is needed.
//!
//! An allocation that fails inside a decoder or an Arrow kernel ends the process. Those that a file can make large are
//! tried here first, so that a process with a limit gets an error that names the file. Another thread may take the room
//! meanwhile; a system that promises more memory than it has promises it here, too.

use std::collections::TryReserveError;
use std::hint::black_box;

/// Smaller ones fail only where everything else does.
const SMALLEST_BYTES: usize = 1024 * 1024;

/// Tries whether so many bytes can be had, and gives them back.
pub(super) fn check(bytes: usize) -> Result<(), TryReserveError> {
    if bytes < SMALLEST_BYTES {
        return Ok(());
    }
    let mut room = Vec::<u8>::new();
    room.try_reserve_exact(bytes)?;
    // An allocation that nobody uses may be left out by the optimiser.
    black_box(&room);
    Ok(())
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
