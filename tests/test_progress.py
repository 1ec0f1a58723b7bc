"""Progress bars: which, of what kind, and what is printed at all."""

from __future__ import annotations

import functools
import io
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import tqdm.auto
import tqdm.std

from skymargin import MarginCacheArguments, pipeline, progress
from skymargin.progress import Stages
from tests.support.catalogs import make_margin


class Recorded(tqdm.std.tqdm):
    """A bar that is kept for the test, and drawn nowhere."""

    made: list[Recorded]

    # The options are checked against the signature.
    @functools.wraps(tqdm.std.tqdm.__init__)
    def __init__(self, **options: Any) -> None:
        super().__init__(**(options | {"file": io.StringIO()}))
        self.made.append(self)


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Recorded]]:
    """Record the bars that are made, by their kind."""
    recorded: dict[str, list[Recorded]] = {"auto": [], "std": []}
    for kind, made in recorded.items():
        module = getattr(tqdm, kind)
        monkeypatch.setattr(module, "tqdm", type("Bar", (Recorded,), {"made": made}))
    return recorded


def in_notebook(monkeypatch: pytest.MonkeyPatch, *, widgets: bool) -> None:
    """Make this process look like the kernel of a notebook."""
    ipython = types.ModuleType("IPython")
    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    real = progress.find_spec
    monkeypatch.setattr(
        progress, "find_spec", lambda name: (widgets or None) if name == "ipywidgets" else real(name)
    )


@pytest.mark.parametrize(
    ("notebook", "simple", "kind", "other"),
    [
        (False, False, "std", "auto"),
        (False, True, "std", "auto"),
        (True, False, "auto", "std"),
        (True, True, "std", "auto"),
    ],
)
def test_bars_count_partitions(
    notebook: bool,
    simple: bool,
    kind: str,
    other: str,
    bars: dict[str, list[Recorded]],
    small_catalog: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if notebook:
        in_notebook(monkeypatch, widgets=True)
    report = make_margin(
        small_catalog, tmp_path, 3600.0, progress_bar=True, simple_progress_bar=simple,
        tqdm_kwargs={"unit": "partition", "mininterval": 60},
    )  # fmt: skip
    assert not bars[other]
    counted = {bar.desc.strip().rstrip(":"): (bar.n, bar.total) for bar in bars[kind]}
    assert counted == {
        "Planning": (3, 3),
        "Mapping": (report.primary_partitions,) * 2,
        "Reducing": (report.partitions,) * 2,
        "Finishing": (2, 2),
    }
    assert {(bar.unit, bar.mininterval) for bar in bars[kind]} == {("partition", 60)}
    # A notebook shows the report that the pipeline returns.
    assert capsys.readouterr().out == ("" if notebook else report.summary() + "\n")


def test_no_bars_and_nothing_printed(
    bars: dict[str, list[Recorded]],
    small_catalog: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_margin(small_catalog, tmp_path, 3600.0, progress_bar=False, simple_progress_bar=True)
    assert bars == {"auto": [], "std": []}
    assert capsys.readouterr() == ("", "")


def test_a_stage_that_fails_closes_its_bar(bars: dict[str, list[Recorded]]) -> None:
    stages = Stages(progress_bar=True)

    def fail() -> None:
        with stages.stage("Mapping", total=5) as advance:
            advance(2)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    (bar,) = bars["std"]
    assert (bar.n, bar.disable) == (2, True)
    assert list(stages.seconds) == ["mapping"]


def test_a_notebook_without_widgets_has_bars_of_text(
    bars: dict[str, list[Recorded]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """tqdm.auto would say that ipywidgets should be installed, and then draw the same."""
    in_notebook(monkeypatch, widgets=False)
    with Stages(progress_bar=True).stage("Mapping", total=5):
        pass
    assert [bar.desc for bar in bars["std"]] == ["Mapping  "]
    assert not bars["auto"]


@pytest.mark.parametrize("shell", [None, types.SimpleNamespace(config={"TerminalIPythonApp": {}})])
def test_ipython_on_a_terminal_is_no_notebook(shell: object, monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not progress.in_notebook()


def test_several_margins_are_said_in_notebooks_too(
    small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_notebook(monkeypatch, widgets=False)
    reports = pipeline(
        [
            MarginCacheArguments(tmp_path, input_catalog_path=small_catalog, margin_threshold=threshold)
            for threshold in (60.0, 3600.0)
        ]
    )
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(map(str, reports))
