"""The suites: which tests of which package run, with which stand-in and margins, and which of them must differ."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.peers.suites.sources import HATS_IMPORT, HIPSCAT_IMPORT, LSDB, Source

DIFFERENCES = Path(__file__).parent / "differences.toml"


@dataclass(frozen=True)
class Suite:
    """Tests of another package.

    Attributes
    ----------
    name : str
        Name on the command line.
    source : Source
        Where they are.
    tests : tuple of str
        The files and folders, below the folder of its tests.
    stand_in : str or None
        The package that skymargin stands in for.
    coarse : bool
        Whether margins have the rows of hats-import.
    data : str or None
        The folder whose margins are built again.
    """

    name: str
    source: Source
    tests: tuple[str, ...]
    stand_in: str | None = None
    coarse: bool = False
    data: str | None = None


_OF_HATS_IMPORT = tuple(
    f"tests/hats_import/{name}"
    for name in (
        *("margin_cache", "collection", "extension"),
        *("test_pipeline_run.py", "test_pipeline_resume_plan.py", "test_runtime_arguments.py"),
    )
)
_OF_HIPSCAT_IMPORT = tuple(
    f"tests/hipscat_import/{name}"
    for name in ("margin_cache", "test_pipeline_resume_plan.py", "test_runtime_arguments.py")
)
_OF_LSDB = tuple(
    f"tests/lsdb/{name}.py"
    for name in (
        *("catalog/test_crossmatch", "catalog/test_crossmatch_left_join_suffix_methods"),
        *("catalog/test_crossmatch_outer_join", "catalog/test_join", "core/test_crossmatch_function"),
        *("core/test_kdtree_validation", "catalog/test_cone_search", "catalog/test_box_search"),
        *("catalog/test_polygon_search", "catalog/test_pixel_search", "catalog/test_order_search"),
        *("catalog/test_index_search", "catalog/test_concatenation", "dask/test_merge_functions"),
        *("catalog/test_extension", "catalog/test_margin_catalog", "io/test_to_collection"),
        *("io/test_to_association", "loaders/hats/test_read_hats"),
    )
)
SUITES = (
    Suite("hats-import", HATS_IMPORT, _OF_HATS_IMPORT, "hats_import", data="tests/data"),
    Suite("hats-import-coarse", HATS_IMPORT, _OF_HATS_IMPORT, "hats_import", coarse=True, data="tests/data"),
    Suite("hipscat-import", HIPSCAT_IMPORT, _OF_HIPSCAT_IMPORT, "hipscat_import"),
    Suite("lsdb", LSDB, _OF_LSDB, data="tests/data"),
    Suite("lsdb-coarse", LSDB, _OF_LSDB, coarse=True, data="tests/data"),
)


def differences(suite: str, file: Path = DIFFERENCES) -> dict[str, str]:
    """The tests of a suite that must fail, and the name of the reason of each.

    Raises
    ------
    ValueError
        When a reason is not described, or a test is listed twice.
    """
    listed = tomllib.loads(file.read_text(encoding="utf-8"))
    tests: dict[str, str] = {}
    for entry in listed["differs"]:
        if suite not in entry["suites"]:
            continue
        if entry["reason"] not in listed["reasons"]:
            raise ValueError(f"{file}: the reason {entry['reason']} is not among the reasons")
        for test in entry["tests"]:
            if test in tests:
                raise ValueError(f"{file}: {test} is listed twice for {suite}")
            tests[test] = entry["reason"]
    return tests


def reasons(file: Path = DIFFERENCES) -> dict[str, str]:
    """What each reason means."""
    described: dict[str, str] = tomllib.loads(file.read_text(encoding="utf-8"))["reasons"]
    return described
