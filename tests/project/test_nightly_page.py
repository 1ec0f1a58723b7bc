"""The page on nightly updates: its scripts append to catalogs, and update margins to the bytes of full runs."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hats import read_hats

from skymargin import verify
from skymargin.catalogs.write_catalog import write_catalog
from tests.support.catalogs import file_bytes, files_of, ids_of, make_margin
from tests.support.processes import run
from tools.mkdocs_hooks import FILE, on_page_markdown

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
FILES = HOW_TO / "files"
PAGE = (HOW_TO / "nightly-updates.md").read_text(encoding="utf-8")
SCRIPTS = ("update_margin.py", "append.py")
ROWS, NEW_ROWS, THRESHOLD_ARCSEC = 4_000, 300, 3600.0


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FILES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def stars(rows: int, ra_deg: tuple[float, float], first: int, seed: int) -> pa.Table:
    """Rows between two right ascensions and within 30 degrees of the equator."""
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "id": np.arange(first, first + rows),
            "ra": random.uniform(*ra_deg, rows),
            "dec": random.uniform(-30.0, 30.0, rows),
            "name": [f"star {number}" for number in range(rows)],
        }
    )


def make_survey(catalog: Path, suffix: str) -> Path:
    """Write the sky between 10 and 60 degrees of right ascension, in partitions that are files or folders."""
    write_catalog(stars(ROWS, (10.0, 60.0), 0, seed=1), catalog, rows_per_partition=200)
    if suffix == "/":
        for file in files_of(catalog).values():
            folder = file.with_suffix("")
            folder.mkdir()
            file.rename(folder / "first.parquet")
        (catalog / "dataset" / "_metadata").unlink()
        for name in ("hats.properties", "properties"):
            text = (catalog / name).read_text()
            assert text.count("npix_suffix=.parquet\n") == 1
            (catalog / name).write_text(text.replace("npix_suffix=.parquet", "npix_suffix=/"))
    return catalog


@pytest.fixture(params=[".parquet", "/"], ids=["files", "folders"])
def survey(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_survey(tmp_path / "survey", request.param)


def data_files(catalog: Path) -> dict[Path, tuple[int, int]]:
    """The size and the time of change of each file of the partitions."""
    files = [path for path in catalog.glob("dataset/Norder=*/**/*.parquet") if path.is_file()]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def keys_of(file: Path) -> list[int]:
    keys: list[int] = pq.ParquetFile(file).read(["id"]).column("id").to_pylist()
    return keys


def append_night(survey: Path, night: pa.Table, name: str) -> str:
    """Run the script that appends; what it prints."""
    pq.write_table(night, survey.parent / f"{name}.parquet")
    return run([sys.executable, FILES / "append.py", "survey", f"{name}.parquet"], survey.parent).stdout


def update(survey: Path) -> str:
    """Run the script of the night, with a wider margin: the catalog is sparse."""
    code = (FILES / "update_margin.py").read_text()
    assert code.count('"margin_threshold": 10.0') == 1
    script = survey.parent / "update_margin.py"
    script.write_text(code.replace('"margin_threshold": 10.0', f'"margin_threshold": {THRESHOLD_ARCSEC}'))
    return run([sys.executable, script], survey.parent).stdout


def check_margin(survey: Path, scratch: Path) -> None:
    """Check that the margin has the bytes of a full run, and the rows that brute force finds."""
    margin = survey.parent / "margins" / "survey_10arcs"
    make_margin(survey, scratch, THRESHOLD_ARCSEC)
    assert file_bytes(margin) == file_bytes(scratch / "margin")
    assert sum(map(len, ids_of(margin).values())) > 50
    assert verify(margin, survey, progress_bar=False).right


def test_the_scripts_are_in_the_page_as_they_are() -> None:
    assert [name for name, _ in FILE.findall(PAGE)] == [f"how-to/files/{name}" for name in SCRIPTS]
    page = on_page_markdown(PAGE)
    for name in SCRIPTS:
        assert f"```python\n{(FILES / name).read_text()}```" in page
    for name in (*SCRIPTS, "nightly_trial.py"):
        assert f"[{name}](files/{name})" in PAGE


def test_nights_of_all_kinds(survey: Path, tmp_path: Path) -> None:
    """New rows in the survey, then at its edge, then none; each margin is that of a full run."""
    assert "there is no margin at" in update(survey)
    check_margin(survey, tmp_path / "whole")
    partitions = set(files_of(survey))
    nights = {
        "within": stars(NEW_ROWS, (20.0, 21.0), ROWS, seed=2),
        "beyond": stars(NEW_ROWS, (58.0, 70.0), ROWS + NEW_ROWS, seed=3),
    }
    for number, (name, night) in enumerate(nights.items(), start=1):
        before = data_files(survey)
        said = append_night(survey, night, name)
        grown, new = map(int, re.findall(r"(\d+) (?:partitions have grown|are new)", said))
        after = data_files(survey)
        is_new = set(files_of(survey)) - partitions
        assert (len(is_new), new > 0) == (new, name == "beyond")
        touched = [path for path in after if after[path] != before.get(path)]
        assert len(touched) == grown + new
        if any(path.name == "first.parquet" for path in before):
            assert before.items() <= after.items()
            assert {path.name for path in touched} == {f"{name}.parquet"}
        partitions = set(files_of(survey))
        rows = sorted(key for file in data_files(survey) for key in keys_of(file))
        assert rows == list(range(ROWS + number * NEW_ROWS))
        catalog = read_hats(survey)
        assert (catalog.catalog_info.total_rows, len(catalog.get_healpix_pixels())) == (
            len(rows),
            len(partitions),
        )
        assert "full run" not in update(survey)
        check_margin(survey, tmp_path / f"whole{number}")
    margin = survey.parent / "margins" / "survey_10arcs"
    before = data_files(margin)
    assert ", 0 B read;" in update(survey)
    assert data_files(margin) == before


def test_a_night_is_not_appended_twice_as_a_file(tmp_path: Path) -> None:
    survey, night = make_survey(tmp_path / "survey", "/"), stars(NEW_ROWS, (20.0, 21.0), ROWS, seed=2)
    append_night(survey, night, "night")
    with pytest.raises(FileExistsError, match=r"night\.parquet: this night was appended before"):
        module("append").append(survey, night, "night")


def test_a_night_without_rows_changes_nothing(survey: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in survey.rglob("*")}
    said = append_night(survey, stars(0, (20.0, 21.0), ROWS, seed=2), "cloudy")
    assert said == "survey: 0 partitions have grown, 0 are new\n"
    assert {path: path.stat().st_mtime_ns for path in survey.rglob("*")} == before


def test_the_script_that_appends_says_what_it_needs() -> None:
    for arguments in ([], ["survey"], ["survey", "night.parquet", "another.parquet"]):
        ended = run([sys.executable, FILES / "append.py", *arguments], code=1)
        assert ended.stderr == "Usage: python append.py CATALOG NIGHT.parquet\n"


def test_a_row_goes_to_the_partition_that_holds_it() -> None:
    """Partitions of several orders with gaps; new ones are as small as the smallest."""
    from hats.pixel_math import HealpixPixel

    append = module("append")
    partitions = [HealpixPixel(1, 5), HealpixPixel(0, 3), HealpixPixel(2, 17)]

    def at(order: int, pixel: int, offset: int = 0) -> int:
        return (pixel << 2 * (29 - order)) + offset

    index = [
        at(1, 0),
        at(2, 16),
        at(2, 17),
        at(2, 18) - 1,
        at(1, 5),
        at(1, 6) - 1,
        at(1, 6),
        at(0, 3),
        at(0, 11),
    ]
    found = [
        ((pixel.order, pixel.pixel), first, last)
        for pixel, first, last in append.slices(np.array(index), partitions)
    ]
    assert found == [
        ((2, 0), 0, 1),
        ((2, 16), 1, 2),
        ((2, 17), 2, 4),
        ((1, 5), 4, 6),
        ((2, 24), 6, 7),
        ((0, 3), 7, 8),
        ((2, 11 * 16), 8, 9),
    ]


def test_the_trial_prints_its_table() -> None:
    printed = run([sys.executable, FILES / "nightly_trial.py", "20000"]).stdout.splitlines()
    assert [line.split(" | ")[0] for line in printed[2:]] == [
        "| a field in the survey",
        "| a field across its edge: new partitions",
        '| one more file in each folder (npix_suffix="/")',
        "| no new rows",
    ]
    shown = PAGE.partition("<!-- nightly -->")[2].partition("<!-- /nightly -->")[0].strip().splitlines()
    assert shown[:2] == printed[:2]
    assert [line.split(" | ")[0] for line in shown[2:6]] == [line.split(" | ")[0] for line in printed[2:]]
