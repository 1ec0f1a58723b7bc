"""Runs of the command line whose files cannot be written or read, each judged: it survived, or refused clearly.

`python -m tests.campaign.refused_writes.process PLAN NUMBER OF` tries every OF-th run of a plan, beginning with NUMBER,
and prints one line for each. It is a process of its own so that it can have file systems of its own (`unshare`),
which go with it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.campaign.readers import accepting
from tests.campaign.refused_writes.arrangements import ARRANGEMENTS
from tests.campaign.refused_writes.bench import NAME, Bench, Ending, Failed, Run

_VALID_BY = ("hats.properties", "properties", "catalog_info.json")


def try_run(run: Run, plan: Path) -> Ending:
    """Try one run, mend what was wrong, and run again."""
    ending = Ending(run.number)
    bench = Bench(run, plan, plan / f"case-{run.number}")
    bench.folder.mkdir()
    try:
        ARRANGEMENTS[run.kind](bench)
        status, told = bench.build(spoiled=True)
        if status == 0:
            _mend(bench)
            _check_right(bench)
            ending.survived = True
        else:
            ending.message = check_refusal(status, told, bench.named)
            _check_nothing_valid(bench, ending.message)
            _mend(bench)
            status, told = bench.build(spoiled=False)
            if status != 0:
                raise Failed(f"the next run ended with {status}: {told[-500:]}")
            _check_right(bench)
    except Failed as failed:
        ending.failure = str(failed)
    finally:
        _mend(bench)
        for place in (bench.output, bench.folder / "tmp_dir", bench.folder / "dask_tmp"):
            if place.is_mount():
                subprocess.run(["umount", str(place)], check=True)
        shutil.rmtree(bench.folder)
    return ending


def check_refusal(status: int, told: str, named: list[str]) -> str:
    """The message of a run that refused as it should.

    Parameters
    ----------
    status
        Exit status.
    told
        What it said on standard error.
    named
        Paths of which the message must name one.
    """
    lines = [line for line in told.splitlines() if line.strip()]
    if status != 1:
        raise Failed(f"exit status {status}: {told[-500:]}")
    if "Traceback" in told or "panicked" in told:
        raise Failed(f"a traceback: {told[-1500:]}")
    others = [line for line in lines[:-1] if not line.startswith("skymargin: warning: ")]
    if not lines or others or not lines[-1].startswith("skymargin: error: "):
        raise Failed(f"more or less than one line of error: {told[-1500:]}")
    if not any(path in lines[-1] for path in named):
        raise Failed(f"the message names none of {named}: {lines[-1]}")
    return lines[-1]


def check_no_catalog(folder: Path) -> None:
    """Check that neither readers nor the audit take a folder for a catalog."""
    for name in _VALID_BY:
        if (folder / name).exists():
            raise Failed(f"{folder / name} was left behind")
    if readers := accepting(folder):
        raise Failed(f"{' and '.join(readers)} take {folder} for a catalog")


def _check_nothing_valid(bench: Bench, told: str) -> None:
    final = bench.output / NAME
    if bench.earlier is not None:
        if bench.contents(final) != bench.earlier:
            raise Failed(f"the earlier margin at {final} is not what it was")
    elif bench.may_be_whole and final.exists():
        if bench.contents(final) != bench.reference:
            raise Failed(f"{final} is there, but not whole")
    else:
        check_no_catalog(final)
    if bench.output.is_dir() and os.access(bench.output, os.R_OK):
        for folder in bench.output.iterdir():
            if folder.name.startswith(f"{NAME}.") and any((folder / name).exists() for name in _VALID_BY):
                # Built whole, and what came after it failed: no half of it may look like it.
                ours = bench.contents(folder, least=0)
                if any(bench.reference.get(name) != content for name, content in ours.items()):
                    wrong = [name for name in ours if bench.reference.get(name) != ours[name]]
                    raise Failed(f"{folder} has properties, but other files than the margin: {wrong}; {told}")


def _check_right(bench: Bench) -> None:
    final = bench.output / NAME
    if bench.contents(final) != bench.reference:
        raise Failed(f"{final} is not what an undisturbed run makes")
    expected = {NAME} | ({"collection.properties", bench.run.catalog} if bench.may_be_whole else set())
    left = {entry.name for entry in bench.output.iterdir()} - expected
    left |= {entry.name for name in ("tmp_dir", "dask_tmp") for entry in (bench.folder / name).glob("*")}
    if left:
        raise Failed(f"was left behind: {sorted(left)}")
    if bench.may_be_whole:
        text = (bench.output / "collection.properties").read_text()
        if f"all_margins={NAME}\n" not in text or "# precious\n" not in text:
            raise Failed(f"collection.properties has become {text!r}")


def _mend(bench: Bench) -> None:
    while bench.mended:
        bench.mended.pop()()


def main() -> None:
    """Entry point."""
    plan, number, of = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    runs: list[dict[str, Any]] = json.loads((plan / "runs.json").read_text())
    for run in runs[number::of]:
        print(json.dumps(asdict(try_run(Run(**run), plan))), flush=True)


if __name__ == "__main__":
    main()
