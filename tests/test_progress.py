"""Progress bars: which, of what kind, and what is printed at all."""

from __future__ import annotations

import functools
import io
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import tqdm.auto
import tqdm.std

from skymargin.progress import Stages
from tests.support.catalogs import make_margin
from tests.support.processes import run


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


@pytest.mark.parametrize(("simple", "kind", "other"), [(False, "auto", "std"), (True, "std", "auto")])
def test_bars_count_partitions(
    simple: bool,
    kind: str,
    other: str,
    bars: dict[str, list[Recorded]],
    small_catalog: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
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
    assert capsys.readouterr().out == report.summary() + "\n"


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
    (bar,) = bars["auto"]
    assert (bar.n, bar.disable) == (2, True)
    assert list(stages.seconds) == ["mapping"]


def test_in_a_notebook_without_widgets_simple_bars_work(small_catalog: Path, tmp_path: Path) -> None:
    """tqdm asks IPython whether it runs in a notebook, and needs ipywidgets there; simple bars ask nobody."""
    code = f"""
import sys, types
ipython = types.ModuleType("IPython")
ipython.get_ipython = lambda: types.SimpleNamespace()
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
sys.modules["IPython"] = ipython
sys.modules["ipywidgets"] = None
from skymargin import MarginCacheArguments, pipeline
pipeline(MarginCacheArguments(
    {str(tmp_path)!r}, "margin", input_catalog_path={str(small_catalog)!r}, margin_threshold=3600.0,
    simple_progress_bar=sys.argv[1] == "simple",
))
"""
    said = {}
    for kind in ("simple", "auto"):
        shutil.rmtree(tmp_path / "margin", ignore_errors=True)
        said[kind] = run([sys.executable, "-c", code, kind]).stderr
        assert "Mapping  : 100%" in said[kind]
    # The plain question would be told to install ipywidgets.
    assert "TqdmWarning" in said["auto"]
    assert "TqdmWarning" not in said["simple"]
