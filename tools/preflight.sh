#!/bin/sh
# Print the Python to build with, or one line that names everything missing on this machine.
# Usage: tools/preflight.sh [PYTHON]     PYTHON: a command or path; default: the first suitable one on PATH.
set -u
missing=""
need() { missing="${missing:+$missing; }$1"; }

is_new_enough() { "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python=""
if [ -n "${1:-}" ]; then
    if ! command -v "$1" >/dev/null 2>&1; then
        need "Python >= 3.11 (PYTHON=$1 does not exist)"
    elif is_new_enough "$1"; then
        python=$1
    else
        need "Python >= 3.11 (PYTHON=$1 is $("$1" --version 2>&1 | head -n 1))"
    fi
else
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if is_new_enough "$candidate"; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || need "Python >= 3.11 (install it, or choose one: make PYTHON=/path/to/python3 ...)"
fi
if [ -n "$python" ] && ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    need "the venv module of $python (Debian, Ubuntu: apt install python3-venv)"
fi

minimum=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*/\1/p' Cargo.toml)
if ! command -v cargo >/dev/null 2>&1; then
    need "cargo (the Rust toolchain, from https://rustup.rs; then open a new shell)"
elif ! command -v rustc >/dev/null 2>&1; then
    need "rustc (the Rust toolchain is incomplete; reinstall it from https://rustup.rs)"
else
    installed=$(rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
    [ "${installed:-0}" -ge "$minimum" ] || need "Rust >= 1.$minimum (found: $(rustc --version 2>&1 | head -n 1); run: rustup update stable)"
fi
if ! command -v cc >/dev/null 2>&1; then
    need "a C linker named cc (Debian, Ubuntu: apt install build-essential; macOS: xcode-select --install)"
fi

if [ -n "$missing" ]; then
    echo "skymargin needs: $missing" >&2
    exit 1
fi
echo "$python"
