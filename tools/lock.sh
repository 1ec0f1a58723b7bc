#!/bin/sh
# Write requirements/dev.lock: one version of every package in .venv, for all platforms and Python >= 3.11.
# Usage: tools/lock.sh UV     (called by make lock)
set -eu
"$1" pip compile --quiet --universal --python-version 3.11 --no-config --upgrade \
    --custom-compile-command "make lock" \
    --extra demo --extra dev --extra docs --extra plot --extra test pyproject.toml \
    --output-file requirements/dev.lock
