"""A plugin of pytest for the tests of another package: it puts the stand-in in place, and keeps what each test did.

It runs in the environment of those tests, and imports nothing else of this folder. The variable SKYMARGIN_SUITE names a
JSON file with the settings:

- stand_in: hats_import or hipscat_import, or null;
- coarse: whether margins have the rows of hats-import where a test does not say it;
- differs: the tests that must fail, with the reason of each;
- results: the file to write.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SETTINGS: dict[str, Any] = json.loads(Path(os.environ["SKYMARGIN_SUITE"]).read_text())
# The outcome of each test, and a message.
OUTCOMES: dict[str, tuple[str, str]] = {}
# The names of the margins that were made by skymargin.
MARGINS: list[str] = []


def install(stand_in: str, coarse: bool) -> None:
    """Put the stand-in in place before any test imports the package, and count the margins that it makes."""
    import skymargin
    from skymargin.build import pipeline

    {
        "hats_import": skymargin.install_as_hats_import,
        "hipscat_import": skymargin.install_as_hipscat_import,
    }[stand_in]()
    make = pipeline._make

    def make_and_count(margins: Any, *others: Any) -> None:
        make(margins, *others)
        MARGINS.extend(args.artifact_name for args in margins)

    pipeline._make = make_and_count
    if coarse:
        make_coarse()


def make_coarse() -> None:
    """Make the default of `fine_filtering` that of hats-import."""
    from skymargin.compat.hats_arguments import HatsImportArguments

    exact: Callable[..., dict[str, Any]] = HatsImportArguments.meant.__func__

    def meant(cls: type, given: dict[str, Any]) -> dict[str, Any]:
        given.setdefault("fine_filtering", False)
        return exact(cls, given)

    HatsImportArguments.meant = classmethod(meant)


def stand_in_for_ray() -> None:
    """Let the configuration of hipscat-import's tests import Ray, which they use with an option only."""
    names = {"ray": (), "ray.util": (), "ray.util.dask": ("enable_dask_on_ray", "disable_dask_on_ray")}
    for name, functions in names.items():
        module = ModuleType(name)
        for function in functions:
            setattr(module, function, None)
        sys.modules.setdefault(name, module)


if SETTINGS["stand_in"]:
    install(SETTINGS["stand_in"], SETTINGS["coarse"])
if SETTINGS["stand_in"] == "hipscat_import":
    stand_in_for_ray()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the failures that are listed; a test of the list that passes fails."""
    for item in items:
        reason = SETTINGS["differs"].get(item.nodeid)
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the outcome of a test: that of its call, unless something else of it failed."""
    if report.failed:
        # The last lines of a failure have its message.
        text = report.longreprtext.strip().splitlines()
        OUTCOMES[report.nodeid] = ("failed", " / ".join(text[-3:]))
    elif report.skipped and hasattr(report, "wasxfail"):
        OUTCOMES.setdefault(report.nodeid, ("differs", report.wasxfail))
    elif report.skipped:
        OUTCOMES.setdefault(report.nodeid, ("skipped", str(report.longrepr[-1])))
    elif report.when == "call":
        OUTCOMES.setdefault(report.nodeid, ("passed", ""))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Keep a file that cannot be imported as a failure."""
    if report.failed:
        OUTCOMES[report.nodeid] = ("failed", report.longreprtext.strip().splitlines()[-1])


def pytest_sessionfinish() -> None:
    """Write the outcomes."""
    Path(SETTINGS["results"]).write_text(json.dumps({"outcomes": OUTCOMES, "margins": MARGINS}))
