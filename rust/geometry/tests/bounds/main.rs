//! Every bound that the crate states, attacked by an independent search on the reference's curves.
//!
//! Each search prints the worst value it finds beside the bound. It fails when the bound is broken, and when the bound
//! is so far above the worst value that it means nothing. `SKYMARGIN_CASES` scales the searches, `SKYMARGIN_SEED` is
//! their seed.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../reference/mod.rs"]
#[allow(dead_code, reason = "each test crate uses its part of the reference")]
mod reference;

mod edges;
mod extent;
mod libm;
mod neighbours;
mod search;
mod tiling;
