"""What is loaded when: slow libraries stay out of the way of whoever does not need them."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each of these takes longer to import than the package may.
SLOW = (
    "astropy",
    "dask",
    "distributed",
    "hats",
    "matplotlib",
    "numba",
    "pandas",
    "polars",
    "pyarrow",
    "scipy",
)


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    modules = set(done.stdout.split())
    assert "skymargin" in modules
    return modules


@pytest.mark.parametrize(
    "code",
    [
        "import skymargin",
        "import skymargin.cli.main",
        "from skymargin import MarginCacheArguments",
        "import skymargin; dir(skymargin)",
    ],
)
def test_nothing_slow_is_loaded_before_it_is_needed(code: str) -> None:
    assert not loaded_after(code) & set(SLOW)


def test_the_pipeline_is_a_function_however_it_is_reached() -> None:
    for code in (
        "from skymargin import pipeline",
        "import skymargin.pipeline; from skymargin import pipeline",
        "from skymargin.pipeline import pipeline",
        "import skymargin.cli.main, skymargin.build.stages.plan; from skymargin import pipeline",
    ):
        loaded_after(
            f"{code}; assert callable(pipeline), pipeline; import skymargin; assert skymargin.pipeline is pipeline"
        )


def test_loading_is_noticed() -> None:
    assert {"pyarrow", "numpy"} <= loaded_after("import skymargin; import pyarrow")
