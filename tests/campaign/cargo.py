"""`cargo test` of the crates, as `make test` calls it."""

from __future__ import annotations

# Always of all these crates, also where the tests of one are run: which features of arrow and parquet are compiled
# depends on the crates that are named, and for other features Cargo compiles them, and all above them, again.
CRATES = ("skymargin-geometry", "skymargin-scan", "skymargin-shuffle", "skymargin-fuzz")
CARGO_TEST = ("cargo", "test", "--locked", "--quiet", *(word for crate in CRATES for word in ("-p", crate)))
