"""Fixtures that several tests share."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.samples import scattered_stars


def pytest_configure() -> None:
    """Let Ctrl-C through: what a shell starts in the background inherits that it is ignored, and so would children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Demo:
    """One run of the demo: where it was run, and what it printed."""

    folder: Path
    printed: str


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run the whole demo once, into a folder `demo` as `make demo` does."""
    import contextlib
    import io

    from skymargin.cli.main import main

    folder = tmp_path_factory.mktemp("clone") / "demo"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(["demo", "--output", str(folder), "--no-progress"])
    assert code == 0, printed.getvalue()
    return Demo(folder, printed.getvalue())


@pytest.fixture(scope="session")
def small_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 3,500 rows, a third of the sky left empty, in partitions of several orders."""
    import pyarrow.compute as pc

    from skymargin.catalogs.write_catalog import write_catalog

    stars = scattered_stars(4_500, seed=20_261_123)
    crowded = scattered_stars(500, seed=7)
    crowded = crowded.set_column(1, "ra", pc.add(pc.multiply(crowded["ra"], 0.02), 40.0))
    crowded = crowded.set_column(2, "dec", pc.multiply(crowded["dec"], 0.05))
    crowded = crowded.set_column(0, "id", pc.add(crowded["id"], 10_000))
    table = pa.concat_tables([stars.filter(pc.less(stars["ra"], 240.0)), crowded])
    path = tmp_path_factory.mktemp("catalogs") / "small"
    write_catalog(table, path, rows_per_partition=150)
    return path
