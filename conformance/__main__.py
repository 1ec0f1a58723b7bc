"""Compute the tables anew and compare them with version 1, or write them into a folder.

`python -m conformance` in the root of the repository; takes half a minute.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance.tables import computed_tables, differences, write_tables


def main() -> int:
    """Run the command; the exit code is 1 where tables differ."""
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description="Compute the tables of the conformance set anew, and compare them with version 1, which they "
        "leave as it is.",
    )
    parser.add_argument("--write", metavar="FOLDER", type=Path, help="write the tables into FOLDER instead")
    folder: Path | None = parser.parse_args().write
    tables = computed_tables()
    if folder is not None:
        write_tables(tables, folder)
        print(f"written: {len(tables)} tables in {folder}")
        return 0
    lines = differences(tables)
    print("\n".join(lines) or f"the same as version 1: {', '.join(tables)}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
