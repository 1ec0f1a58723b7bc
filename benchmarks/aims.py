"""The aims, and whether they are met: one table, from the results of all parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks import comparison, lsdb_margins, object_store, parallel, scaling, several, stages, startup
from benchmarks.results import NotMeasuredError, Results
from benchmarks.tables import table

Value = Callable[[Results], float]


@dataclass(frozen=True)
class Aim:
    """A figure to reach.

    Attributes
    ----------
    case, unit
        What is measured, and in what: the text after a number.
    value
        What was measured.
    sign, limit
        The aim: at least (``>=``) or at most (``<=``) the limit.
    """

    case: str
    unit: str
    value: Value
    sign: Literal[">=", "<="]
    limit: float

    def row(self, results: Results) -> list[str]:
        """Case, measured, aim, met or not."""
        aim = f"{self.sign} {self.limit:g}{self.unit}"
        try:
            value = self.value(results)
        except NotMeasuredError:
            return [self.case, "not measured", aim, "-"]
        is_met = value >= self.limit if self.sign == ">=" else value <= self.limit
        digits = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
        return [self.case, digits + self.unit, aim, "yes" if is_met else "**no**"]


def _peer(case: str, title: str, peer: str, limit: float) -> Aim:
    return Aim(
        f"{title}, against {peer}",
        " times as fast",
        lambda results: comparison.times_peer(results, case, peer),
        sign=">=",
        limit=limit,
    )


def _floor(case: str, title: str, limit: float) -> Aim:
    return Aim(
        f"{title}, without start-up",
        " times the floor",
        lambda results: comparison.times_floor(results, case),
        sign="<=",
        limit=limit,
    )


def _requests(case: str, what: str, average: Callable[[Results, str], float], limit: float) -> Aim:
    return Aim(
        f"requests to an object store for a {what}; {object_store.CATALOGS[case].title}",
        "",
        lambda results: average(results, case),
        sign="<=",
        limit=limit,
    )


_IMPORTED_1800 = "imported by hats-import, ~1,800 partitions"
_IMPORTED_100 = "imported by hats-import, ~100 partitions"
_STARS_1800 = "generated, ~1,800 partitions"
_STARS_100 = "generated, ~100 partitions"

AIMS = (
    _peer("imported-1800", _IMPORTED_1800, "ACID", 5.5),
    _floor("imported-1800", _IMPORTED_1800, 1.8),
    _peer("imported-100", _IMPORTED_100, "ACID", 4.0),
    _floor("imported-100", _IMPORTED_100, 1.2),
    _peer("stars-1800", _STARS_1800, "hats-import", 180.0),
    _peer("stars-1800", _STARS_1800, "ACID", 5.5),
    _floor("stars-1800", _STARS_1800, 1.7),
    _peer("stars-100", _STARS_100, "ACID", 4.5),
    _floor("stars-100", _STARS_100, 1.2),
    Aim(
        "reducing, processor time for a file of 34 columns and 17 rows",
        " ms",
        lambda results: 1e3 * stages.reducing_seconds_a_file(results, "stars-1800"),
        sign="<=",
        limit=0.7,
    ),
    Aim(
        "a small build, whole process, against `import pyarrow.parquet`",
        " times",
        startup.times_import,
        sign="<=",
        limit=1.3,
    ),
    Aim(
        f"two threads against one, whole process; {_IMPORTED_1800}",
        " times as fast",
        lambda results: parallel.speed_up(results, "imported-1800", parallel.THREADS),
        sign=">=",
        limit=1.8,
    ),
    Aim(
        f"two worker processes against one worker process, without their start; {_IMPORTED_1800}",
        " times as fast",
        lambda results: parallel.stages_speed_up(
            results, "imported-1800", parallel.PROCESSES, against=parallel.ONE_PROCESS
        ),
        sign=">=",
        limit=1.6,
    ),
    Aim(
        "two threads against one, whole process; one partition of half the rows",
        " times as fast",
        lambda results: parallel.speed_up(results, "skewed", parallel.THREADS),
        sign=">=",
        limit=1.7,
    ),
    Aim(
        "two margins of 5 and 100 arcsec in one run, against the widest alone",
        " times the time",
        several.times_widest,
        sign="<=",
        limit=1.08,
    ),
    Aim(
        "50,000 partitions, 5 M rows, 8 columns, whole process",
        " s",
        lambda results: float(scaling.largest_point(results, "partitions")["seconds"]),
        sign="<=",
        limit=15.0,
    ),
    Aim(
        "the same, peak memory of the process tree",
        " MB",
        lambda results: float(scaling.largest_point(results, "partitions")["peak_tree_bytes"]) / 1e6,
        sign="<=",
        limit=240.0,
    ),
    Aim(
        "planning the margin of an LSDB catalog of 49,152 partitions",
        " s",
        lsdb_margins.planning_seconds,
        sign="<=",
        limit=3.0,
    ),
    *(_requests(name, "partition", object_store.per_partition, 3.2) for name in object_store.CATALOGS),
    _requests("stars-1000", "margin", object_store.per_margin, 1.1),
)


def markdown(results: Results) -> str:
    """The table."""
    rows = [aim.row(results) for aim in AIMS]
    met = sum(row[-1] == "yes" for row in rows)
    layout = "Catalogs in *yesterday's layout* have one row group in each file and no page index."
    return f"{met} of {len(rows)} are met. {layout}\n\n{table(['case', 'measured', 'aim', 'met'], rows)}"
