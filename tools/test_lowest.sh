#!/bin/sh
# Test on the oldest versions of the dependencies that pyproject.toml allows, with Python 3.11.
# Usage: tools/test_lowest.sh [TESTS...]     needs uv and cargo; default: tests that use every dependency
set -eu
cd "$(dirname "$0")/.."
venv=.venvs/lowest
requirements=$venv/requirements.txt
uv venv --quiet --clear --python "${PYTHON:-3.11}" "$venv"
# What the package and its extras demo and plot need is the oldest, what tests need beside it the newest.
uv pip compile --quiet --no-config --python "$venv/bin/python" --resolution lowest-direct \
    --extra demo --extra plot --extra s3 pyproject.toml --output-file "$requirements"
VIRTUAL_ENV=$PWD/$venv
export VIRTUAL_ENV
uv pip install --quiet --requirement "$requirements" maturin hypothesis pytest jsonschema mpmath
MATURIN_PEP517_ARGS="--locked --config rust/checked.toml" uv pip install --quiet --no-deps --no-build-isolation .
[ $# -gt 0 ] || set -- tests/geometry tests/catalogs/test_hats.py tests/build/test_exact.py tests/polars tests/test_demo.py
# The libraries of that time warn of what came after them.
exec "$venv/bin/python" -m pytest -q -W default "$@"
