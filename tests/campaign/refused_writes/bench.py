"""One run that is to be tried: its folders, its command, and how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.catalogs import contents

THRESHOLD_ARCSEC = 60.0
EARLIER_ARCSEC = 20.0
NAME = "margin"
_SECONDS = 120


@dataclass
class Run:
    """A run that is to be tried.

    Attributes
    ----------
    number
        Of the case.
    fault
        Its row in the table.
    kind
        How it is arranged, see `tests.campaign.refused_writes.arrangements`.
    catalog
        Name of the catalog it is of.
    workers
        Worker processes.
    amount
        Bytes, inodes, descriptors: what is limited, by kind.
    where
        What is hit: the output, `tmp_dir`, `dask_tmp`, or a file.
    options
        Further options of the command.
    """

    number: int
    fault: str
    kind: str
    catalog: str = "hats"
    workers: int = 1
    amount: int = 0
    where: str = "output"
    options: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"case {self.number} ({self.kind}, {self.catalog}, {self.where}, {self.amount}, {self.workers} workers)"


@dataclass
class Ending:
    """How a run ended: `survived`, `refused` or what failed; and the message, for the stage it came from."""

    number: int
    survived: bool = False
    failure: str = ""
    message: str = ""


class Failed(Exception):
    """What is wrong, in words."""


@dataclass
class Bench:
    """The folders of one run, and what its command is."""

    run: Run
    plan: Path
    folder: Path
    limits: Callable[[], None] | None = None
    prefix: tuple[str, ...] = ()
    catalog: Path = Path()
    # Where the message must point to: one of these is in it.
    named: list[str] = field(default_factory=list)
    earlier: dict[str, bytes] | None = None
    mended: list[Callable[[], object]] = field(default_factory=list)
    # Of a margin that was added to a collection, all is made before the collection is written.
    may_be_whole: bool = False

    def __post_init__(self) -> None:
        self.catalog = self.plan / self.run.catalog

    @property
    def output(self) -> Path:
        """The folder that the margin is made in."""
        return self.folder / "output"

    @property
    def reference(self) -> dict[str, bytes]:
        """Every file of the margin of an undisturbed run."""
        kind = "extras" if "--with" in self.run.options else self.run.catalog
        return self.contents(self.plan / "reference" / kind / NAME)

    def contents(self, margin: Path, least: int = 5) -> dict[str, bytes]:
        """Every file of a margin; where its catalog is as if it had not been copied for this run."""
        files = contents(margin, least)
        place, usual = (str(path).encode() for path in (self.catalog, self.plan / self.run.catalog))
        for name in files:
            if name.endswith(("properties", ".json")):
                files[name] = files[name].replace(place, usual)
        return files

    def build(self, *, spoiled: bool, threshold_arcsec: float = THRESHOLD_ARCSEC) -> tuple[int, str]:
        """Run the command; its exit status and what it says on standard error."""
        run = self.run
        command = [
            *(self.prefix if spoiled else ()),
            *(sys.executable, "-m", "skymargin", "build", str(self.catalog)),
            *("-t", f"{threshold_arcsec:g}", "-o", str(self.output), "--name", NAME),
            *("--no-progress", "--threads", "2", "--workers", str(run.workers)),
            *("--tmp-dir", str(self.folder / "tmp_dir"), "--dask-tmp", str(self.folder / "dask_tmp")),
            *run.options,
        ]
        if run.where == "output":
            # Shards and records are beside the output then.
            at = command.index("--tmp-dir")
            del command[at : at + 4]
        if self.earlier is not None:
            command.append("--overwrite")
        (self.folder / "system").mkdir(exist_ok=True)
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self.folder / "system"), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=self.limits if spoiled else None,
            start_new_session=True,
        )
        try:
            _, told = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            _, told = process.communicate()
            raise Failed(f"did not end within {_SECONDS} s; it said {told[-500:]!r}") from None
        return process.returncode, told
