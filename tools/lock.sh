#!/bin/sh
# Writes requirements/dev.lock: every package of .venv at one version, for all platforms and Python from 3.11 on.
# Usage: tools/lock.sh UV     (make lock calls it)
set -eu
"$1" pip compile --quiet --universal --python-version 3.11 --no-config --upgrade \
    --custom-compile-command "make lock" \
    --extra demo --extra dev --extra docs --extra plot --extra test pyproject.toml \
    --output-file requirements/dev.lock
