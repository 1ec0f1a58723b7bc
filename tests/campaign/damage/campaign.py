"""Damaged catalogs: flipped bits, lost files, wrong statements; each ends in the right margin or a clear error.

Where a file has no checksums, a flipped value is a value: then the margin that brute force gives for the rows as
pyarrow reads them from the damaged file is right as well.
"""

from __future__ import annotations

import shutil
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.campaign.damage import bytes as flipped
from tests.campaign.damage import files as broken
from tests.campaign.damage import rows as wrong
from tests.campaign.damage.bytes import Copy
from tests.campaign.damage.catalogs import (
    HIPSCAT,
    LAYOUTS,
    THRESHOLD_ARCSEC,
    Base,
    Case,
    difference,
    margins_on_disk,
    write_bases,
)
from tests.campaign.damage.judge import BELIEVED, FAILED, FLIPPED, REFUSED, RIGHT, Verdict, audited, tried
from tests.campaign.damage.runner import run_all
from tests.campaign.outcomes import Figures, Outcome, Tally
from tests.support.catalogs import make_margin

_ALL = (*LAYOUTS, HIPSCAT)
_INDEXED = tuple(name for name in _ALL if name == HIPSCAT or LAYOUTS[name].index_column)
_CHECKED = tuple(name for name in LAYOUTS if "checksums" in name)
_WITH_PAGE_INDEX = tuple(name for name in LAYOUTS if "page index" in name)


class Kind(NamedTuple):
    """A kind of damage: its name in the table, what does it, to which layouts, and how often."""

    fault: str
    damage: Callable[[Copy, int], Case]
    layouts: tuple[str, ...]
    cases: int
    short: int


KINDS: tuple[Kind, ...] = (
    Kind("bits flipped in footers", flipped.footer, _ALL, 300, 4),
    Kind("bits flipped in page headers", flipped.page_header, _ALL, 200, 3),
    Kind("bits flipped in pages with checksums", flipped.page_body, _CHECKED, 150, 3),
    Kind(
        "bits flipped in pages without checksums",
        flipped.page_body,
        tuple(name for name in _ALL if name not in _CHECKED),
        200,
        3,
    ),
    Kind("bits flipped in page indexes", flipped.page_index, _WITH_PAGE_INDEX, 150, 3),
    Kind("files cut off, emptied, with garbage or a hole", flipped.length, _CHECKED, 120, 3),
    Kind("partitions swapped, doubled, lost, unlisted", broken.partitions, _ALL, 90, 6),
    Kind("`_metadata` damaged, stale, of another catalog", broken.metadata, _ALL, 140, 4),
    Kind("`_common_metadata` damaged, of another catalog", broken.common_metadata, _ALL, 90, 3),
    Kind("properties wrong, broken, missing", broken.properties, _ALL, 150, 4),
    Kind("`partition_info.csv` wrong, broken, contradictory", broken.partition_info, _ALL, 150, 4),
    Kind("coordinates that are no positions", wrong.coordinates, _ALL, 120, 3),
    Kind("index wrong, null, in no order", wrong.index, _INDEXED, 120, 3),
    Kind("partitions with other columns", wrong.schema, _ALL, 120, 3),
    Kind("`verify` of a margin against a damaged primary", flipped.length, _CHECKED, 40, 2),
)
_VERIFIED = len(KINDS) - 1


def run(scratch: Path, seed: int, *, short: bool) -> Outcome:
    """Damage copies of whole catalogs, and make their margins."""
    prepare(scratch, seed)
    tallies = [Tally(kind.fault) for kind in KINDS]
    endings: Counter[str] = Counter()
    told = time.monotonic()

    def answered(case: tuple[str, int, int, int], verdict: Verdict | None, trouble: str) -> None:
        nonlocal told
        _, _, kind, number = case
        verdict = verdict or Verdict(FAILED, trouble)
        failure = verdict.detail if verdict.ending == FAILED else ""
        tallies[kind].count(f"case {number}, seed {seed}", failure, refused=verdict.ending == REFUSED)
        endings[verdict.ending] += 1
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"damage: {sum(endings.values())} cases", file=sys.stderr)

    cases = [
        (str(scratch), seed, kind, number)
        for kind, about in enumerate(KINDS)
        for number in (_some(about, seed) if short else range(about.cases))
    ]
    # The hipscat library takes ten seconds to import.
    run_all(try_case, cases, answered, modules=("hats", "hipscat.io.write_metadata"))
    rows = [
        ["the margin of the undamaged catalog", f"{endings[RIGHT]:,}"],
        ["that margin, but for the flipped values themselves", f"{endings[FLIPPED]:,}"],
        [
            "a margin without rows whose index, or its stated bounds, name another place",
            f"{endings[BELIEVED]:,}",
        ],
        ["a clear error", f"{endings[REFUSED]:,}"],
    ]
    figures = Figures("How the runs ended:", ["result", "runs"], rows)
    return Outcome("damage", tallies, figures=[figures])


def prepare(scratch: Path, seed: int) -> None:
    """Write the whole catalogs and the margin of each, which must be right."""
    for base in _bases(str(scratch), seed).values():
        make_margin(base.path, scratch / "margins", THRESHOLD_ARCSEC, base.path.name)
        wrong = difference(margins_on_disk(base, _margin(scratch, base), "id"), base.margins)
        assert not wrong, f"{base.name}, undamaged: {wrong}"


def try_case(scratch: str, seed: int, kind: int, number: int) -> Verdict:
    """Build one case, make its margin, and judge what came of it."""
    base, case, folder = build_case(Path(scratch), seed, kind, number)
    try:
        if kind == _VERIFIED:
            verdict = audited(case, _margin(Path(scratch), base))
        else:
            verdict = tried(base, case, folder / "out")
        return Verdict(verdict.ending, f"{base.name}: {case.what}: {verdict.detail}")
    finally:
        shutil.rmtree(folder)


def build_case(scratch: Path, seed: int, kind: int, number: int) -> tuple[Base, Case, Path]:
    """Write a damaged copy of a catalog; by its numbers it is always the same."""
    about = KINDS[kind]
    random = np.random.default_rng([seed, zlib.crc32(about.fault.encode()), number])
    # Each damage meets each layout sooner or later.
    base = _bases(str(scratch), seed)[about.layouts[int(random.integers(len(about.layouts)))]]
    folder = scratch / f"case_{kind}_{number}"
    shutil.rmtree(folder, ignore_errors=True)
    return base, about.damage(Copy(base, folder, random), number), folder


def _some(kind: Kind, seed: int) -> list[int]:
    random = np.random.default_rng([seed, kind.short])
    return sorted(random.choice(kind.cases, kind.short, replace=False).tolist())


def _margin(scratch: Path, base: Base) -> Path:
    return scratch / "margins" / base.path.name


@lru_cache(maxsize=1)
def _bases(scratch: str, seed: int) -> dict[str, Base]:
    folder = Path(scratch) / "whole"
    # The processes of the cases find them here.
    return write_bases(folder, seed)
