"""Test an installed wheel: build a margin and check it by brute force.

`make wheel` runs this in an environment without Rust that has the wheel and nothing else of this repository. With
`--rust-may-be-here` it runs where a Rust toolchain is on PATH, as on machines that build wheels for others.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

import skymargin
import skymargin._core as _core
from skymargin.catalogs.write_catalog import write_catalog
from skymargin.cli.main import main

THRESHOLD_ARCSEC = 1800.0


def prove() -> None:
    if "--rust-may-be-here" not in sys.argv and (shutil.which("cargo") or shutil.which("rustc")):
        sys.exit("a Rust toolchain is on PATH: this test must run without one")
    if _core.DEBUG_ASSERTIONS:
        sys.exit("the wheel has the checked extension of the tests: it must have that of a release")
    home = Path(skymargin.__file__).parent
    if not home.is_relative_to(sys.prefix):
        sys.exit(f"skymargin was imported from {home}, not from this environment")
    random = np.random.default_rng(29)
    rows = 20_000
    stars = pa.table(
        {
            "id": np.arange(rows),
            "ra": random.uniform(0, 360, rows),
            "dec": np.degrees(np.arcsin(random.uniform(-1, 1, rows))),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "stars"
        write_catalog(stars, catalog, rows_per_partition=500)
        code = main(
            [
                "build",
                str(catalog),
                "--threshold",
                f"{THRESHOLD_ARCSEC:g}",
                "--output",
                folder,
                "--no-progress",
            ]
        )
        if code:
            sys.exit(code)
        check = skymargin.verify(f"{catalog}_{THRESHOLD_ARCSEC:g}arcs", catalog)
    if not check.right or not check.rows_expected:
        sys.exit(f"the margin is wrong: {check.verdict()}: {check.checked()}")
    print(f"skymargin {skymargin.__version__} works from {home}: {check.checked()}")


if __name__ == "__main__":
    prove()
