#!/bin/sh
# Build the package from a source distribution in an empty environment, and run a part of its tests there: those of the
# geometry, of catalogs and of exact margins. The others need servers and more packages.
# Usage: tools/test_sdist.sh SDIST.tar.gz     needs cargo
set -eu
sdist=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -xzf "$sdist" -C "$folder" --strip-components 1
cd "$folder"
"${PYTHON:-python3}" -m venv .venv
# Not --locked: maturin leaves crates that the package does not need out of the workspace, but not out of Cargo.lock. The
# versions of the others are still those of Cargo.lock.
MATURIN_PEP517_ARGS="--config rust/checked.toml" \
    .venv/bin/python -m pip install --quiet --constraint requirements/dev.lock . pytest hypothesis mpmath
# The installed package is tested.
rm -rf python
.venv/bin/python -m pytest -q tests/geometry tests/catalogs/test_hats.py tests/build/test_exact.py
