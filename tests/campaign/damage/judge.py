"""What became of a damaged catalog: its margin is made, and judged by brute force."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from skymargin import SkymarginError
from skymargin.audit.verify import verify
from tests.campaign.damage.catalogs import (
    PARTITIONS,
    THRESHOLD_ARCSEC,
    Base,
    Case,
    difference,
    margins_as_read,
    margins_on_disk,
    missing_of,
    second_key,
)
from tests.support.catalogs import make_margin, nothing_left

# How a run may end.
RIGHT = "right"
FLIPPED = "flipped"
BELIEVED = "believed"
REFUSED = "refused"
FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """How a run ended, and what there is to say of it."""

    ending: str
    detail: str = ""


def tried(base: Base, case: Case, output: Path) -> Verdict:
    """Make the margin of a damaged catalog and judge what came of it.

    Where the index may lie, another run does not believe it: that one is to be right, or refused.
    """
    verdict = _made(base, case, output)
    if case.believed is None or verdict.ending == FAILED:
        return verdict
    checked = _made(base, replace(case, believed=None), output, check_index=True)
    if checked.ending == FAILED:
        return Verdict(FAILED, f"with check_index: {checked.detail}")
    return verdict


def _made(base: Base, case: Case, output: Path, **arguments: bool) -> Verdict:
    shutil.rmtree(output, ignore_errors=True)
    try:
        make_margin(case.catalog, output, THRESHOLD_ARCSEC, **arguments)
    except SkymarginError as error:
        return refusal(case, error, output)
    # PanicException is no Exception.
    except BaseException as error:
        return Verdict(FAILED, f"{type(error).__name__}: {error}")
    return judged(base, case, output / "margin")


def audited(case: Case, margin: Path) -> Verdict:
    """Verify a whole margin against its damaged primary, which must be refused or found wrong."""
    try:
        report = verify(margin, case.catalog, progress_bar=False)
    except SkymarginError as error:
        return refusal(case, error, None)
    except BaseException as error:
        return Verdict(FAILED, f"{type(error).__name__}: {error}")
    if report.right:
        return Verdict(FAILED, "the margin was found right")
    return Verdict(RIGHT, "the margin was found wrong")


def refusal(case: Case, error: SkymarginError, output: Path | None) -> Verdict:
    """Judge an error."""
    message = str(error)
    if not any(name in message for name in case.names):
        return Verdict(FAILED, f"an error that names none of {case.names}: {message}")
    if "\n" in message:
        return Verdict(FAILED, f"an error of several lines: {message!r}")
    if output is not None and not nothing_left(output):
        return Verdict(FAILED, f"something was left in the output after: {message}")
    return Verdict(REFUSED, message)


def judged(base: Base, case: Case, margin: Path) -> Verdict:
    """Judge a margin."""
    key = second_key(base.rows) if "id" in case.flipped else "id"
    margins = margins_on_disk(base, margin, key)
    wrong = difference(margins, base.margins)
    if not wrong:
        return Verdict(RIGHT)
    if case.flipped and not difference(margins, base.margins, but=case.flipped):
        return Verdict(FLIPPED, wrong)
    expected = [base.margins]
    if case.as_read:
        try:
            expected.append(margins_as_read(base, case.catalog))
        except (pa.ArrowException, OSError) as error:
            wrong = f"{wrong}; pyarrow: {error}"
    if any(not difference(margins, right) for right in expected[1:]):
        return Verdict(FLIPPED, wrong)
    if case.believed is not None:
        for right in expected:
            missing = missing_of(margins, right)
            if missing is not None and missing <= _ids_of(base, case):
                return Verdict(BELIEVED, wrong)
    return Verdict(FAILED, wrong)


def _ids_of(base: Base, case: Case) -> set[int]:
    """The rows of the partition that may be wrong."""
    assert case.believed in PARTITIONS
    order, pixel = case.believed
    return set(np.flatnonzero((base.sky.own_order == order) & (base.sky.own_pixel == pixel)).tolist())
