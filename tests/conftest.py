"""Fixtures that several tests share."""

from __future__ import annotations

import gc
import logging
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import settings

from tests.support.catalogs import make_margin, write_catalog
from tests.support.limits import limits
from tests.support.samples import scattered_stars
from tests.support.workspace import Workspace


def pytest_configure() -> None:
    """Let Ctrl-C through, and let an example of Hypothesis take the time that it takes on a busy machine.

    What a shell starts in the background inherits that Ctrl-C is ignored, and so would children.
    """
    settings.register_profile("untimed", settings.default, deadline=None)
    settings.load_profile("untimed")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _garbage_of_the_last_tests() -> Iterator[None]:
    """Collect garbage within the last test of each process: what a worker would warn of later, nobody is told."""
    yield
    gc.collect()


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


@pytest.fixture(scope="module")
def primary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the rows SKY of the test module as a HATS catalog, in its LAYOUT."""
    path = tmp_path_factory.mktemp("primary") / "stars"
    write_catalog(path, request.module.SKY, getattr(request.module, "LAYOUT", None))
    return path


@pytest.fixture(scope="module")
def made(
    primary: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """Make the margin of `primary` for the THRESHOLD_ARCSEC of the test module; neither may be changed."""
    output, threshold_arcsec = tmp_path_factory.mktemp("made"), request.module.THRESHOLD_ARCSEC
    return Workspace(primary, output, threshold_arcsec, make_margin(primary, output, threshold_arcsec))


@pytest.fixture
def again(made: Workspace, tmp_path: Path) -> Workspace:
    """Return the catalog of `made`, which may not be changed, and another folder for margins of it."""
    return Workspace(made.catalog, tmp_path / "out", made.threshold_arcsec)


@pytest.fixture
def work(primary: Path, request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """Copy `primary`, which a test may change; files keep their times. No margin is made of it yet."""
    catalog = Path(shutil.copytree(primary, tmp_path / "stars"))
    return Workspace(catalog, tmp_path / "out", request.module.THRESHOLD_ARCSEC)


@pytest.fixture
def small_tasks() -> Iterator[None]:
    """Make each partition and each margin a task of its own."""
    with limits(smallest_task_bytes=1, tasks_per_thread=32):
        yield


@pytest.fixture
def warnings_logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what the package logged as warnings until now."""
    return lambda: [
        record.getMessage()
        for record in caplog.records
        if record.name == "skymargin" and record.levelno >= logging.WARNING
    ]
