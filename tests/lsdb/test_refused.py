"""What is refused, and what is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skymargin.errors import ArgumentError, CatalogError, MissingExtraError, PartitionReadError, PositionError
from tests.lsdb.conftest import TwoCatalogs, lsdb
from tests.lsdb.frames import compute, quietly
from tests.support.catalogs import files_of

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def with_margin(catalog: Any, threshold_arcsec: Any = 10.0) -> Any:
    from skymargin import lsdb as ours

    return quietly(lambda: ours.with_margin(catalog, threshold_arcsec))


@pytest.fixture
def right(two_catalogs: TwoCatalogs) -> Any:
    return lsdb.open_catalog(two_catalogs.right.path)


@pytest.mark.parametrize(
    ("threshold_arcsec", "said"),
    [
        (
            "10",
            r"^threshold_arcsec '10' is not allowed: it must be a number, not text, of arcseconds, above 0 and",
        ),
        (0, "^threshold_arcsec 0 is not allowed"),
        (-3.0, "^threshold_arcsec -3.0 is not allowed"),
        (float("nan"), "^threshold_arcsec nan is not allowed"),
        (324_001, r"^threshold_arcsec 324001 is not allowed: .* at most 324000 \(90 degrees\)$"),
        (True, "^threshold_arcsec True is not allowed"),
        (None, "^threshold_arcsec None is not allowed"),
    ],
)
def test_thresholds(right: Any, threshold_arcsec: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        with_margin(right, threshold_arcsec)


def test_quantities_are_angles(right: Any) -> None:
    from astropy import units

    margin = with_margin(right, 0.5 * units.arcmin).margin
    assert margin.hc_structure.catalog_info.margin_threshold == 30.0
    with pytest.raises(ArgumentError, match=r"threshold_arcsec 3.0 m is not allowed: it must be an angle"):
        with_margin(right, 3 * units.m)


def test_what_is_no_catalog(right: Any, two_catalogs: TwoCatalogs) -> None:
    with pytest.raises(ArgumentError, match="'right_10arcs' is a margin, and a margin has no margin"):
        with_margin(with_margin(right).margin)
    with pytest.raises(ArgumentError, match=r"not PosixPath: open it with lsdb.open_catalog$"):
        with_margin(two_catalogs.right.path)
    with pytest.raises(ArgumentError, match=r"not str: open it with lsdb.open_catalog$"):
        with_margin(str(two_catalogs.right.path))
    with pytest.raises(ArgumentError, match=r"not DataFrame: make one with lsdb.from_dataframe$"):
        with_margin(pd.DataFrame({"ra": [1.0], "dec": [2.0]}))
    with pytest.raises(ArgumentError, match=r"catalog must be a catalog of LSDB, not int$"):
        with_margin(3)


def test_coordinates_that_were_dropped(right: Any) -> None:
    with pytest.raises(
        CatalogError, match=r"catalog 'right' has no column 'dec' any more, .*; it has id, ra\. Keep"
    ):
        with_margin(right[["id", "ra"]])
    # A margin that was given before stays.
    assert "dec" not in with_margin(right)[["id", "ra"]].margin.columns


def test_coordinates_that_nobody_names(right: Any) -> None:
    right.hc_structure.catalog_info.ra_column = None
    with pytest.raises(CatalogError, match="catalog 'right' does not say which column is ra"):
        with_margin(right)


def test_coordinates_that_are_no_numbers(right: Any) -> None:
    changed = quietly(lambda: right.map_partitions(lambda frame: frame.assign(ra=frame["ra"].astype(str))))
    with pytest.raises(CatalogError, match="column 'ra' of catalog 'right', its ra, has type str"):
        with_margin(changed)


@pytest.mark.parametrize("wrong", [np.nan, 1_000.0])
def test_positions_that_are_none(right: Any, wrong: float) -> None:
    """They are found when the margin is computed, and the partition is named."""

    def spoilt(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(ra=np.where(frame["id"] == 77, wrong, frame["ra"].to_numpy(float)))

    changed = quietly(lambda: right.map_partitions(spoilt))
    with pytest.raises(PositionError, match=r"the partition of order \d, pixel \d+ of right: .*ra"):
        compute(with_margin(changed).margin)


def test_rows_that_were_moved_far(right: Any) -> None:
    """LSDB takes positions as unchanged; a margin of other ones would be incomplete."""
    changed = quietly(lambda: right.map_partitions(lambda frame: frame.assign(dec=frame["dec"] * 0.99)))
    with pytest.raises(PositionError, match="outside their partition"):
        compute(with_margin(changed).margin)


def test_a_file_that_is_damaged(two_catalogs: TwoCatalogs, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(two_catalogs.right.path, tmp_path / "right")
    file = next(iter(files_of(tmp_path / "right").values()))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(PartitionReadError, match=file.name):
        compute(with_margin(lsdb.open_catalog(tmp_path / "right")).margin)


@pytest.mark.parametrize("found", ["0.12.0", "0.10.4", "1.0", "0.110.1", "unknown"])
def test_other_versions_of_lsdb(found: str) -> None:
    from skymargin.lsdb.versions import check_version

    with pytest.raises(
        MissingExtraError, match=f"^LSDB {found} is not supported .* works with LSDB 0.11 .*pipeline"
    ):
        check_version(found)


@pytest.mark.parametrize("found", ["0.11.0", "0.11.1", "0.11.7", "0.11.2.dev3+g123"])
def test_versions_that_work(found: str) -> None:
    from skymargin.lsdb.versions import check_version

    check_version(found)


def test_without_lsdb_the_package_is_named() -> None:
    code = (
        "import importlib.metadata as m\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name == 'lsdb':\n"
        "        raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "import skymargin.lsdb\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "MissingExtraError: skymargin.lsdb needs LSDB: pip install 'lsdb>=0.11,<0.12'" in ended.stderr


def test_crossmatch(right: Any) -> None:
    from skymargin.lsdb import crossmatch

    with pytest.raises(ArgumentError, match=r"^radius_arcsec '1' is not allowed"):
        crossmatch(right, right, "1")  # type: ignore[arg-type]
    with pytest.raises(
        ArgumentError, match=r"^how 'right' is not allowed: it must be one of 'inner', 'left', 'outer'$"
    ):
        crossmatch(right, right, 1.0, how="right")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^left must be a catalog of LSDB, not NoneType$"):
        crossmatch(None, right, 1.0)
    with pytest.raises(ArgumentError, match=r"^right 'right_10arcs' is a margin"):
        crossmatch(right, with_margin(right).margin, 1.0)
    with pytest.raises(ArgumentError, match=r"^threshold_arcsec 400000.0 is not allowed"):
        crossmatch(right, right, 200_000.0, how="outer")


def test_recommended_thresholds() -> None:
    from skymargin.lsdb import recommend_threshold

    assert recommend_threshold(2.5) == 2.5
    assert recommend_threshold(2.5, how="left") == 2.5
    assert recommend_threshold(2.5, how="outer") == 5.0
    # Barnard's star from 2016 to 2026.
    moved = recommend_threshold(1.0, years=10, max_proper_motion_mas_per_year=10_393)
    assert moved == pytest.approx(1.0 + 103.93)
    outer = recommend_threshold(1.0, how="outer", years=10, max_proper_motion_mas_per_year=10_393)
    assert outer == pytest.approx(2 * (1.0 + 103.93))
    with pytest.raises(ArgumentError, match=r"^years -1 is not allowed: it must be a number, 0 or more$"):
        recommend_threshold(1.0, years=-1)
    with pytest.raises(ArgumentError, match=r"^max_proper_motion_mas_per_year '9' is not allowed"):
        recommend_threshold(1.0, max_proper_motion_mas_per_year="9")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^the threshold 400000.0 is not allowed"):
        recommend_threshold(200_000.0, how="outer")
