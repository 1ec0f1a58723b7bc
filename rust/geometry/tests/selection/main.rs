//! Cover and selection against brute force: every row of every partition against every partition and empty pixel.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod brute_force;
mod catalogs;
mod rings;
mod rows;
