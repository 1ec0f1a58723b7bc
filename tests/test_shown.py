"""Reports print as their summaries, and notebooks show them as tables; arguments show what differs from defaults."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skymargin
from skymargin import MarginCacheArguments, MarginReport
from skymargin.audit.report import Fault, PixelCounts, VerifyReport
from skymargin.shown import Shown, Table
from tests.build.test_report import REPORT
from tests.support.catalogs import make_margin


def shown(report: Any) -> tuple[str, dict[str, str]]:
    """Title and rows of the table that a notebook shows, as text."""
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", report._repr_html_())
    title, *rest = map(html.unescape, cells)
    assert len(rest) % 2 == 0
    return title, dict(zip(rest[::2], rest[1::2], strict=True))


def test_the_report_of_a_run() -> None:
    assert str(REPORT) == REPORT.summary()
    assert shown(REPORT) == (
        "Margin built",
        {
            "margin": "out/gaia_1.7arcs",
            "what": "2,581 rows in 190 partitions",
            "threshold": "1.7000000001 arcsec",
            "catalog": "gaia: 482,176 rows in 216 partitions",
            "read": "13.7 MB, 70 pages",
            "seconds": "0.4: planning 0.1, mapping 0.3",
        },
    )
    other = MarginReport(
        **REPORT.to_dict() | {"hints_ignored": 3, "empty_reason": "because it is", "seconds": {}}
    )
    rows = shown(other)[1]
    assert rows["what"] == "empty margin, because it is"
    assert rows["hints ignored"] == "3 that contradicted their pages"
    assert rows["seconds"] == "0.0"


def said(rows: dict[str, str]) -> list[str]:
    """The words of a table, as a summary prints them."""
    return [word for row in rows.items() for cell in row for word in cell.split()]


def test_a_plan(small_catalog: Path, tmp_path: Path) -> None:
    plan = skymargin.plan_margin(
        MarginCacheArguments(tmp_path, input_catalog_path=small_catalog, margin_threshold=60.0)
    )
    title, rows = shown(plan)
    assert title == "Margin planned, nothing was written"
    assert list(rows) == ["margin", "threshold", "catalog", "writes", "reads", "takes"]
    printed = str(plan).splitlines()
    assert printed[0] == f"{rows['margin']}: nothing was written"
    assert printed[1] == f"threshold {rows['threshold']}; catalog {small_catalog}"
    assert f"writes {rows['writes'].partition(', in ')[0]}" in printed
    assert f"writes {rows['writes'].partition(', in ')[2]}" in printed
    assert {f"reads {rows['reads']}", f"takes {rows['takes']}"} <= set(printed)


def test_the_summary_of_a_catalog_and_a_collection(small_catalog: Path, tmp_path: Path) -> None:
    about = skymargin.info(small_catalog)
    title, rows = shown(about)
    assert title == about.name
    assert rows["rows"] == f"{about.rows:,}"
    assert said(rows) == str(about).split()
    make_margin(small_catalog, tmp_path, 60.0, collection=tmp_path / "collection")
    collection = skymargin.inspect_collection(tmp_path / "collection")
    title, rows = shown(collection)
    assert title == "collection"
    assert rows["margin"].endswith("margin (default): 60 arcsec, 14 rows")
    assert said(rows) == str(collection).split()


def test_what_an_audit_found() -> None:
    fault = Fault("missing", "m/dataset/Norder=1/Dir=0/Npix=3.parquet", (1, 3), 7, "id=8", 1.0, 2.0, 3.0)
    values: dict[str, Any] = {
        "margin_path": "m", "primary_path": "p", "format": "HATS", "builder": "a <tool> & more",
        "margin_threshold_arcsec": 5.0, "coarse": False, "pixels": 10, "pixels_checked": 4, "seed": 17,
        "primary_rows": 100, "rows_expected": 3, "rows_found": 2,
        "counts": {"missing": 1, "too_many": 0}, "largest_excess_arcsec": 0.0, "hint": "look again",
        "per_pixel": [PixelCounts(1, 3, 3, 2, {"missing": 1})], "faults": [fault], "seconds": 1.25,
    }  # fmt: skip
    wrong = VerifyReport(**values)
    title, rows = shown(wrong)
    assert title == "Margin verified: WRONG"
    assert rows["Margin"] == "m: HATS, 5 arcsec, by a <tool> & more"
    assert rows["Sample"] == "4 pixels of seed 17"
    assert rows["Result"] == "WRONG: 1 missing row; 1.2 s"
    assert rows["Hint"] == "look again"
    (below,) = re.findall(r"<pre>(.*)</pre>", wrong._repr_html_(), re.DOTALL)
    # The lists below the table are those that are printed below the summary.
    assert str(wrong).endswith(html.unescape(below))
    assert "id=8" in below
    right = VerifyReport(**values | {"counts": dict.fromkeys(values["counts"], 0), "seed": None})
    title, rows = shown(right)
    assert title == "Margin verified: right"
    assert list(rows) == ["Margin", "Primary", "Checked", "Result"]
    assert "<pre>" not in right._repr_html_()


def test_all_text_is_escaped() -> None:
    page = Table("<script>", [("<b>", "&amp;"), ("none", None), ("empty", ""), ("zero", 0)], "<i>").to_html()
    assert not re.search(r"<(script|b|i)>", page)
    for text in ("&lt;script&gt;", "&lt;b&gt;", "&amp;amp;", "<pre>&lt;i&gt;</pre>", ">0</td>"):
        assert text in page
    assert "none" not in page
    assert "empty" not in page


def test_a_report_has_to_say_what_it_shows() -> None:
    with pytest.raises(NotImplementedError):
        Shown()._repr_html_()
    with pytest.raises(NotImplementedError):
        str(Shown())


def test_every_report_is_shown() -> None:
    reports = [value for name in skymargin.__all__ if hasattr(value := getattr(skymargin, name), "summary")]
    assert len(reports) == 5
    assert all(issubclass(report, Shown) for report in reports)


def test_arguments_show_what_differs(small_catalog: Path, tmp_path: Path) -> None:
    args = MarginCacheArguments(tmp_path / "out", input_catalog_path=small_catalog)
    given = {"output_path": repr(str(tmp_path / "out")), "input_catalog_path": repr(str(small_catalog))}
    assert repr(args) == str(args) == f"MarginCacheArguments({text(given)})"
    assert shown(args) == ("MarginCacheArguments", given | {"all others": "their defaults"})
    # What means the same as a default is left out.
    args.tqdm_kwargs = {}
    args.debug_filter_pixel_list = None
    args.margin_threshold = 5
    assert repr(args) == f"MarginCacheArguments({text(given)})"
    args.margin_threshold = np.float64(60.5)
    args.resume = False
    args.cone = (10, 20, 3)
    args.tqdm_kwargs = {"unit": "<b>"}
    more = {
        "margin_threshold": "60.5", "cone": "(10.0, 20.0, 3.0)", "resume": "False",
        "tqdm_kwargs": "{'unit': '<b>'}",
    }  # fmt: skip
    assert shown(args)[1] == given | more | {"all others": "their defaults"}
    # What is shown makes the same arguments.
    again = eval(repr(args), {"MarginCacheArguments": MarginCacheArguments})
    assert repr(again) == repr(args)
    assert again.catalog_path == args.catalog_path


def test_arguments_show_no_addresses_and_no_passwords(small_catalog: Path, tmp_path: Path) -> None:
    def leaf(*_: object) -> str:
        return "x"

    class Stream:
        def write(self, _: str) -> None: ...

    args = MarginCacheArguments(
        tmp_path,
        input_catalog_path=small_catalog,
        path_generator=leaf,
        tmp_dir="memory://someone:p@ss@host/a",
        tqdm_kwargs={"file": Stream()},
    )
    rows = shown(args)[1]
    here = f"{__name__}.test_arguments_show_no_addresses_and_no_passwords.<locals>"
    assert rows["path_generator"] == f"{here}.leaf"
    assert rows["tmp_dir"] == "'memory://someone:***@host/a'"
    assert rows["tqdm_kwargs"] == f"{{'file': <{here}.Stream object>}}"
    assert "p@ss" not in repr(args) + args._repr_html_()


def test_small_runs_are_timed_in_milliseconds() -> None:
    short = MarginReport(**REPORT.to_dict() | {"seconds": {"planning": 0.0021, "mapping": 0.031}})
    assert shown(short)[1]["milliseconds"] == "33: planning 2, mapping 31"
    assert short.summary().endswith("13.7 MB read; 33 ms")


def test_arguments_never_show_storage_options(small_catalog: Path) -> None:
    args = MarginCacheArguments(
        "memory://out", input_catalog_path=small_catalog, output_storage_options={"secret": "hidden"}
    )
    assert "memory://out" in repr(args)
    for text_shown in (repr(args), str(args), args._repr_html_()):
        assert "hidden" not in text_shown
        assert "storage_options" not in text_shown


def text(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
