#!/bin/sh
# Write the locked versions for all platforms and Python >= 3.11: of every package in .venv, and of those of the demo,
# which are some of them, with the versions that they have there.
# Usage: tools/lock.sh UV     (called by make lock)
set -eu
compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-config \
        --custom-compile-command "make lock" "$@"
}
uv=$1
compile --upgrade --extra demo --extra dev --extra docs --extra plot --extra test pyproject.toml \
    --output-file requirements/dev.lock
# maturin is what builds the extension.
sed -n 's/^requires = \["\(maturin.*\)"\]$/\1/p' pyproject.toml |
    compile --extra demo --constraint requirements/dev.lock pyproject.toml - \
        --output-file requirements/demo.lock
