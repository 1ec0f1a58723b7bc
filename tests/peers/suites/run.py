"""Running a suite: in a copy of its source distribution, with its own pytest and a plugin of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import skymargin
from tests.peers.suites.environment import suites_python
from tests.peers.suites.margins import replace_margins
from tests.peers.suites.sources import CACHE, HIPSCAT_IMPORT
from tests.peers.suites.suite import Suite, differences

LOGS = CACHE / "logs"
_RESULTS = CACHE / "results"
_PLUGIN = Path(__file__).parent / "plugin"
_LONGEST_SECONDS = 3_600.0


@dataclass(frozen=True)
class Result:
    """What the tests of a suite did.

    Attributes
    ----------
    outcomes : dict
        Of each test: passed, differs, skipped or failed, and a message.
    made, replaced : list of str
        The margins that skymargin made in the tests, and those that it made before in the place of others.
    """

    outcomes: dict[str, tuple[str, str]]
    made: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """How many tests had an outcome."""
        return sum(each == outcome for each, _ in self.outcomes.values())


def run_suite(suite: Suite) -> Result:
    """Run the tests of a suite in a copy of their source distribution.

    Raises
    ------
    NotReachableError
        When it cannot be downloaded.
    RuntimeError
        When pytest ends without results.
    """
    with tempfile.TemporaryDirectory(prefix=f"suite-{suite.name}-") as scratch:
        folder = suite.source.unpack(Path(scratch))
        replaced = [] if suite.data is None else replace_margins(folder / suite.data, coarse=suite.coarse)
        # The environment of hipscat-import is too old for skymargin; its library is in the running one.
        is_old = suite.source is HIPSCAT_IMPORT
        python = Path(sys.executable) if is_old else suites_python()
        search = [folder / "src"] if is_old else []
        settings = {
            "stand_in": suite.stand_in,
            "coarse": suite.coarse,
            "differs": differences(suite.name),
        }
        results = run_pytest(python, folder, suite.tests, settings, search, LOGS / f"{suite.name}.txt")
    outcomes = {test: (outcome, message) for test, (outcome, message) in results["outcomes"].items()}
    return Result(outcomes, results["margins"], replaced)


def run_pytest(
    python: Path,
    folder: Path,
    tests: Sequence[str],
    settings: Mapping[str, Any],
    search: Sequence[Path],
    log: Path,
) -> dict[str, Any]:
    """Run tests with the plugin; return what it wrote. What pytest prints goes to a file.

    Raises
    ------
    RuntimeError
        When pytest ends without results.
    """
    results, given = folder / "suite-results.json", folder / "suite-settings.json"
    given.write_text(json.dumps({**settings, "results": str(results)}))
    log.parent.mkdir(parents=True, exist_ok=True)
    ours = Path(skymargin.__file__).parents[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join(map(str, [*search, _PLUGIN, ours])),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SKYMARGIN_SUITE": str(given),
        "MPLBACKEND": "agg",
    }
    # Their own options are those of their checkouts: time limits for their machines, documentation as tests.
    options = ["-p", "skymargin_suite", "-p", "no:cacheprovider", "-o", "addopts=", "-q", "-ra", "--tb=short"]
    with log.open("w") as printed:
        done = subprocess.run(
            [str(python), "-m", "pytest", *options, *tests],
            cwd=folder,
            env=environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
    if not results.exists():
        raise RuntimeError(f"pytest ended with {done.returncode} and without results: see {log}")
    written: dict[str, Any] = json.loads(results.read_text())
    return written


def keep(suite: Suite, result: Result) -> None:
    """Keep the result of a suite for the page."""
    _RESULTS.mkdir(parents=True, exist_ok=True)
    (_RESULTS / f"{suite.name}.json").write_text(json.dumps(asdict(result)))


def kept(suite: Suite) -> Result | None:
    """The last result of a suite, if it is still right by the list of differences."""
    file = _RESULTS / f"{suite.name}.json"
    if not file.exists():
        return None
    written = json.loads(file.read_text())
    outcomes = {test: (outcome, message) for test, (outcome, message) in written["outcomes"].items()}
    result = Result(outcomes, written["made"], written["replaced"])
    return None if problems(suite, result) else result


def problems(suite: Suite, result: Result) -> list[str]:
    """What is wrong with a result: each test must pass, or be listed and fail; and the margins must be ours."""
    listed = differences(suite.name)
    wrong = [
        f"{test}: {'passes, and is listed' if test in listed else 'failed, and is not listed'}: {message}"
        for test, (outcome, message) in result.outcomes.items()
        if outcome == "failed"
    ]
    wrong += [f"{test}: is listed, and did not run" for test in listed if test not in result.outcomes]
    if suite.stand_in is not None and not result.made:
        wrong.append("no margin was made by skymargin")
    if suite.data is not None and not result.replaced:
        wrong.append("no margin of the test data was replaced")
    return wrong
