"""The benchmarks: the page is made from the results of each part, and catalogs are what their specification says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks import (
    aims,
    comparison,
    geometry,
    in_memory,
    lsdb_margins,
    object_store,
    parallel,
    scaling,
    several,
    stages,
    startup,
)
from benchmarks.cases import CASES
from benchmarks.generate import CatalogSpec, generate
from benchmarks.imported import check_layout
from benchmarks.parts import PARTS, write_page
from benchmarks.results import NotMeasuredError, Results, printed_json
from benchmarks.special import SkewedSpec
from benchmarks.store_server import store
from benchmarks.tables import PAGE

ROOT = Path(__file__).parents[2]
RUN = "2026-11-28 10:00:00"
AROUND = {
    "run": RUN,
    "command": "python -m benchmarks",
    "machine": "a machine",
    "versions": {"skymargin": "1.2.3", "Python": "3.11.7"},
    "workers": 2,
    "busy_before": 0.01,
    "load": 0.2,
}


def runs(**seconds: list[float]) -> dict[str, Any]:
    """The runs of each tool or set-up, as a part keeps them."""
    return {
        name.replace("_", "-"): {
            "measurements": [
                {
                    "seconds": value,
                    "exit_code": 0,
                    "peak_tree_bytes": 90_000_000,
                    "peak_process_bytes": 80_000_000,
                    "bytes_read": 5_000_000,
                    "cpu_seconds": value,
                }
                for value in values
            ],
            "failure": "",
        }
        for name, values in seconds.items()
    }


def case(own: list[float], acid: float, hats_import: float, floor: float) -> dict[str, Any]:
    """The result of a case of the comparison."""
    positions_and_pages = {"positions_seconds": floor / 4, "pages_seconds": floor * 3 / 4}
    return AROUND | {
        "title": "some stars",
        "rows": 1_000,
        "partitions": 12,
        "size_bytes": 1_000_000,
        "runs": runs(skymargin=own, ACID=[acid], hats_import=[hats_import]),
        "contents": {"skymargin": {"rows": 20, "exact": 20, "missing": 0}},
        "floor": positions_and_pages | {"pages": 7, "pages_bytes": 70_000, "files_touched": 3},
        "timeout_minutes": 15.0,
    }


def parallel_result(*setups: tuple[str, float, float]) -> dict[str, Any]:
    """The result of a catalog that was built with several set-ups: each with its seconds, and those of the stages."""
    return AROUND | {
        "rows": 1_000,
        "partitions": 12,
        "runs": {name: runs(x=[whole])["x"] for name, whole, _ in setups},
        "stages": {name: [{"mapping": part / 2, "reducing": part / 2}] for name, _, part in setups},
    }


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A small result of every part."""
    kept = Results(tmp_path / "results")
    for name in CASES:
        kept.keep(comparison.NAMES[name], case([2.25, 2.2, 9.0], acid=13.5, hats_import=500.0, floor=1.0))
    kept.keep(comparison.NAMES["small"], case([0.25], acid=1.0, hats_import=8.0, floor=0.001))
    point = {"partitions": 100, "rows": 1_000, "seconds": 3.0, "runs": 5, "timed_out": False}
    points = [point, point | {"partitions": 1_000, "rows": 10_000, "seconds": 16.0}]
    curve = AROUND | {"start_up": 0.25, "points": [each | {"peak_tree_bytes": 2.0e8} for each in points]}
    for name in scaling.NAMES.values():
        kept.keep(name, curve)
    for name in parallel.NAMES.values():
        threads = (parallel.ONE, 4.0, 3.6), (parallel.THREADS, 2.0, 1.8)
        whole = *threads, (parallel.ONE_PROCESS, 5.5, 4.0), (parallel.PROCESSES, 4.5, 2.0)
        kept.keep(name, parallel_result(*whole))
    stage = {"stages": {"mapping": [2.0, 2.0], "reducing": [1.5, 1.2]}, "files": 2_000, "rows": 34_000}
    for name in stages.NAMES.values():
        kept.keep(name, AROUND | {"runs": [stage]})
    parts = {"interpreter": [0.01], "all": [0.2]}
    whole_processes = {startup.BUILD: [0.3, 0.31, 0.9], startup.IMPORT: [0.2, 0.25, 0.3]}
    kept.keep(startup.NAME, AROUND | {"whole": whole_processes, "parts": parts})
    kept.keep(geometry.NAME, AROUND | {"rates": dict.fromkeys(geometry.TITLES, 5_432_100.0)})
    call = {"seconds": 1.0, "processor": 1.5, "rows": 50}
    together = call | {"seconds": 1.05}
    groups = {"5 arcsec alone": [call], "100 arcsec alone": [call], several.TOGETHER: [together]}
    kept.keep(several.NAME, AROUND | {"runs": groups})
    asked = {"partitions": 290, "sizes of partitions": 10, "margins": 115, "others": 40}
    build = {
        "seconds": 8.0,
        "mapping": 5.0,
        "bytes_read": 9e8,
        "partitions": 100,
        "margins": 110,
        "round_trips": 250,
    }
    for name in object_store.NAMES.values():
        about = {"title": "some stars", "size_bytes": 1e9}
        kept.keep(name, AROUND | about | {"runs": [build | {"requests": asked}]})
    own = {"seconds": {"tile": [1.0], "margins": [2.0], "processor": [3.0]}, "partitions": 12, "rows": 5}
    lsdb: dict[str, Any] = {f"{name}_seconds": 9.0 for name in ("catalog", "gather", "margin", "processor")}
    lsdb |= {"partitions": 12, "rows": 6}
    kept.keep(in_memory.NAME, AROUND | {"all_rows": 1_000, "skymargin": own, "LSDB": [lsdb]})
    part = {"seconds": 2.0, "tasks": 300, "rows": 50}
    ways = {way: [{"margin": part, "crossmatch": part, "peak_bytes": 4e8}] for way in lsdb_margins.WAYS}
    ways["none"] = [ways["none"][0] | {"margin": None}]
    plan = {"given": 0.5, "planned": 1.5, "tasks": 98_305}
    plans = [{"partitions": 49_152, "LSDB": 1.0, "files": plan, "partitions_computed": plan}]
    kept.keep(lsdb_margins.NAME, AROUND | {"build": call, "runs": ways, "plans": plans})
    return kept


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A copy of the page."""
    copy = tmp_path / "page.md"
    copy.write_text(PAGE.read_text())
    return copy


def outside_of_marks(text: str) -> str:
    """What a person wrote."""
    return re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", r"(\1)", text, flags=re.DOTALL)


def between(page: Path, name: str) -> str:
    """The text between two marks."""
    return page.read_text().partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]


def test_every_part_is_written_and_nothing_else(results: Results, page: Path) -> None:
    write_page(results, page)
    assert outside_of_marks(page.read_text()) == outside_of_marks(PAGE.read_text())
    measuring = [part.name for part in PARTS.values() if part.markdown]
    for name in measuring:
        assert "a machine; skymargin 1.2.3, Python 3.11.7. Run of 2026-11-28 10:00:00" in between(page, name)
    assert "All tables of this page are from one run." in between(page, "run")
    assert "| 2 threads | 2.00 | 2.00 | 1.80 | 2.00 | 0.90 | 0.90 | 90 MB |" in between(page, "parallel")
    assert "| one worker process | 5.50 | 0.73 | 4.00 | 0.90 | 2.00 | 2.00 | 90 MB |" in between(
        page, "parallel"
    )
    assert "| reducing | 1.50 | 1.20 | 0.60 ms |" in between(page, "stages")
    assert "| ACID | 13.5 | 1 | 6.0 |" in between(page, "comparison")
    assert "over 2 points: 0.76." in between(page, "scaling")
    assert "| a margin catalog | 2.00 | 300 | 50 | 2.00 | 300 | 50 | 400 MB |" in between(page, "lsdb")
    row = "| some stars | 3.00 | 2.50 | 1.05 | 40 | 900 MB of 1,000 MB | 5.00 | 8.00 |"
    assert row in between(page, "object_store")


def test_aims_are_judged_by_the_medians(results: Results) -> None:
    rows = [line.strip("| ").split(" | ") for line in aims.markdown(results).splitlines() if "=" in line]
    judged = {name: (measured, met) for name, measured, _, met in rows}
    assert len(judged) == len(aims.AIMS) == 25
    by_store = [measured for name, measured in judged.items() if "object store" in name]
    assert by_store == [("3", "yes")] * 6 + [("1.05", "yes")]
    assert judged["imported by hats-import, ~1,800 partitions, against ACID"] == ("6 times as fast", "yes")
    assert judged["imported by hats-import, ~1,800 partitions, without start-up"] == (
        "2 times the floor",
        "**no**",
    )
    assert judged["generated, ~1,800 partitions, against hats-import"] == ("222 times as fast", "yes")
    assert judged["a small build, whole process, against `import pyarrow.parquet`"] == ("1.24 times", "yes")
    by_words = {
        words: judged[name] for name in judged for words in ("reducing", "worker processes") if words in name
    }
    assert by_words == {"reducing": ("0.6 ms", "yes"), "worker processes": ("2 times as fast", "yes")}
    assert judged["50,000 partitions, 5 M rows, 8 columns, whole process"] == ("16 s", "**no**")
    assert judged["the same, peak memory of the process tree"] == ("200 MB", "yes")
    assert judged["planning the margin of an LSDB catalog of 49,152 partitions"] == ("2 s", "yes")


def test_a_part_from_another_run_is_told(results: Results, page: Path) -> None:
    other = results.kept(comparison.NAMES["small"]) | {"run": "2026-11-29 09:00:00"}
    results.keep(comparison.NAMES["small"], other)
    write_page(results, page)
    assert "from 2 runs" in between(page, "run")
    assert re.search(r"comparison-small: .* Run of 2026-11-29 09:00:00", between(page, "comparison"))


def test_parts_that_were_not_measured_keep_their_text(tmp_path: Path, results: Results, page: Path) -> None:
    before = between(page, "comparison")
    few = Results(tmp_path / "few")
    few.keep(several.NAME, results.kept(several.NAME))
    write_page(few, page)
    assert between(page, "comparison") == before
    assert "| both in one run | 1.05 | 1.05 |" in between(page, "several")
    assert between(page, "aims").count("not measured") == len(aims.AIMS) - 1
    with pytest.raises(NotMeasuredError, match="startup has not been measured"):
        few.kept(startup.NAME)


def test_a_trial_runs_a_part_and_leaves_the_page(tmp_path: Path) -> None:
    before = PAGE.read_bytes()
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "--trial", "startup"],
        cwd=ROOT,
        env=os.environ | {"SKYMARGIN_BENCHMARKS_CACHE": str(tmp_path)},
        check=True,
    )
    copy = tmp_path / "trial" / PAGE.name
    assert "| import of the pipeline | " in between(copy, "startup")
    assert "| `startup` |" in between(copy, "run")
    assert PAGE.read_bytes() == before


def test_all_parts_take_less_than_two_hours_and_are_listed() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--list"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for part in PARTS.values():
        assert f"{part.name} " in listed
    # Ten minutes are for what `make bench` builds before.
    assert sum(part.minutes for part in PARTS.values()) <= 110


def test_requests_are_counted_by_what_they_are_for() -> None:
    data = "/bucket/catalog/dataset/Norder=1/Dir=0/Npix=4.parquet"
    margin = "/bucket/out1/margin/dataset/Norder=1/Dir=0/Npix=4.parquet"
    requests = [("HEAD", data), ("GET", data), ("GET", data), ("PUT", margin), ("GET", "/bucket")]
    expected = {"sizes of partitions": 1, "partitions": 2, "margins": 1, "others": 1}
    assert object_store.counts([*requests]) == expected
    with store() as server:
        bucket = server.bucket()
        bucket.write({"catalog/Npix=4.parquet": b"1234"})
        assert object_store.counts(server.asked(0.0))["partitions"] == 1
        assert bucket.contents("catalog") == {"Npix=4.parquet": b"1234"}
        assert ("GET", f"/{bucket.name}/catalog/Npix=4.parquet") in server.asked(0.0)
        assert server.asked(0.0) == []


def test_the_clock_of_stages_sees_all_of_them(tmp_path: Path) -> None:
    catalog = generate(CatalogSpec("narrow", 5_000, 12), tmp_path)
    measured = printed_json("-c", stages.BUILD, catalog.path, tmp_path / "output", 100.0)
    assert list(measured["stages"]) == ["planning", "mapping", "reducing", "finishing"]
    assert all(wall > 0 and processor > 0 for wall, processor in measured["stages"].values())
    files = list((tmp_path / "output" / "margin" / "dataset").rglob("Npix=*.parquet"))
    assert measured["files"] == len(files) > 5


def test_a_skewed_catalog_has_half_its_rows_in_one_partition(tmp_path: Path) -> None:
    spec = SkewedSpec(columns="narrow", rows=20_000)
    catalog = generate(spec, tmp_path)
    rows = {pixel: pq.read_metadata(catalog.file_path(*pixel)).num_rows for pixel in catalog.partitions}
    assert sum(rows.values()) == 20_000
    assert 10_000 <= rows.pop((spec.order, spec.pixel)) < 10_500
    assert len(rows) == 191
    assert max(rows.values()) < 1_000


def test_another_layout_than_that_of_imported_catalogs_is_refused(tmp_path: Path) -> None:
    for layout, is_right in (("yesterday", True), ("today", False)):
        catalog = generate(CatalogSpec("narrow", 500, 12, layout), tmp_path)
        file = catalog.files()[0]
        if is_right:
            check_layout(file)
        else:
            with pytest.raises(ValueError, match=f"{file.name}: one row group with dictionaries"):
                check_layout(file)
