//! The footer of a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skymargin_fuzz::{end_at_own_panics, targets};

fuzz_target!(init: end_at_own_panics(), |bytes| {
    targets::footer(bytes);
});
