"""A margin to damage, and an audit of it that is held to a brute force of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from skymargin import VerifyReport, verify
from tests.audit.expectation import HALF, THRESHOLD_ARCSEC, balance, expected, margins_of, told
from tests.support.catalogs import ids_of, make_margin, write_catalog


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog, half of the sky empty, and its margin, which the brute force of the tests approves."""
    folder = tmp_path_factory.mktemp("whole")
    write_catalog(folder / "catalog", HALF)
    make_margin(folder / "catalog", folder, THRESHOLD_ARCSEC)
    assert ids_of(folder / "margin") == margins_of(HALF, THRESHOLD_ARCSEC)
    return folder


@pytest.fixture
def margin(whole: Path, tmp_path: Path) -> Path:
    """Copy the margin, to be damaged."""
    return Path(shutil.copytree(whole / "margin", tmp_path / "margin"))


@pytest.fixture
def audit(whole: Path, margin: Path) -> Callable[..., VerifyReport]:
    """Audit the damaged margin; rows missing and too many must be those of the brute force of the tests."""

    def run(readable: bool = True, **options: bool) -> VerifyReport:
        report = verify(margin, whole / "catalog", **options)
        assert not report.right
        assert told(report) == expected(HALF, THRESHOLD_ARCSEC)
        if readable:
            count = report.counts
            astray = ("too_many", "own_partition", "wrong_pixel", "duplicate", "unknown")
            assert (count["missing"], sum(count[kind] for kind in astray)) == balance(margin, HALF)
        return report

    return run
