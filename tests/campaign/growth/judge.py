"""How the costs of builds grow: the table of a curve, its log-log slopes, and those that are too steep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import methodcaller

from benchmarks.scaling import CLEAR_SHARE, slope
from benchmarks.tables import megabytes, seconds
from tests.campaign.builds import STAGES, Build
from tests.campaign.outcomes import Figures

STEEPEST = 1.05
# A stage that is shorter tells of noise.
_LEAST_SECONDS = 0.2


@dataclass(frozen=True)
class _Cost:
    """One column of the table: its name, its value of a build, and how that is written."""

    name: str
    value: Callable[[Build], float]
    text: Callable[[float], str]
    is_time: bool = False
    is_judged: bool = False


def _seconds(value: float) -> str:
    return "" if math.isnan(value) else seconds(value)


def _count(value: float) -> str:
    return f"{value:,.0f}"


_COSTS = (
    _Cost("seconds", lambda build: build.seconds, _seconds, is_time=True, is_judged=True),
    _Cost("processor seconds", lambda build: build.processor_seconds, _seconds, is_time=True, is_judged=True),
    *(
        _Cost(stage, methodcaller("stage_seconds", stage), _seconds, is_time=True, is_judged=True)
        for stage in STAGES
    ),
    _Cost("peak memory, tree", lambda build: build.cost.peak_tree_bytes, megabytes),
    _Cost("bytes read", lambda build: build.report["bytes_read"], megabytes, is_judged=True),
    _Cost("margin rows", lambda build: build.report["rows"], _count),
    _Cost("margin files", lambda build: build.report["partitions"], _count, is_judged=True),
    _Cost("tasks", lambda build: build.report["tasks"], _count, is_judged=True),
)


def judge(
    what: str, sizes: Sequence[int], builds: Sequence[Build], start_up: Build | None
) -> tuple[Figures, list[str]]:
    """The table of one curve, and what of it is too steep.

    Parameters
    ----------
    what
        What grows, and what does not.
    sizes, builds
        The points of the curve.
    start_up
        The build of next to nothing, whose times are taken out of the slopes; None: times are told and not judged.
    """
    rows = [
        [f"{size:,}", *(cost.text(cost.value(build)) for cost in _COSTS)]
        for size, build in zip(sizes, builds, strict=True)
    ]
    if start_up is not None:
        rows.insert(0, ["start-up", *(cost.text(cost.value(start_up)) for cost in _COSTS)])
    whole, last = ["slope"], ["slope of the last two"]
    failures = []
    for cost in _COSTS:
        points = _points(cost, sizes, builds, start_up)
        fit = slope(*map(list, zip(*points, strict=True))) if len(points) > 1 else None
        end = slope(*map(list, zip(*points[-2:], strict=True))) if len(points) > 1 else None
        whole.append("" if fit is None else f"{fit:.2f}")
        last.append("" if end is None else f"{end:.2f}")
        is_judged = cost.is_judged and (start_up is not None or not cost.is_time)
        if is_judged and fit is not None and fit > STEEPEST:
            failures.append(f"{what}: {cost.name} grow with a slope of {fit:.2f}, more than {STEEPEST}")
    without = "times are without start-up in the slopes" if start_up is not None else "times are not judged"
    return Figures(
        f"Growth with {what} ({without}):",
        [what.partition(",")[0], *(cost.name for cost in _COSTS)],
        [*rows, whole, last],
    ), failures


def _points(
    cost: _Cost, sizes: Sequence[int], builds: Sequence[Build], start_up: Build | None
) -> list[tuple[float, float]]:
    """The points of a cost that say something of its growth."""
    values = [cost.value(build) for build in builds]
    least = 0.0
    if cost.is_time:
        least = _LEAST_SECONDS
        if start_up is not None:
            values = [value - cost.value(start_up) for value in values]
            least = max(least, CLEAR_SHARE * cost.value(start_up))
    return [(float(size), value) for size, value in zip(sizes, values, strict=True) if value > least]
