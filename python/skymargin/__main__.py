"""`python -m skymargin`, and the command `skymargin`."""

from __future__ import annotations

import sys


def program() -> int:
    """Run the command line as a process of its own, and return its exit code."""
    try:
        # Imported here: an interrupt while it is loaded is an interrupt of the command.
        from skymargin.cli.main import program as run

        return run()
    except KeyboardInterrupt:
        print("\nskymargin: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(program())
