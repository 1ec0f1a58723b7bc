"""Runs of the command line whose files cannot be written or read, each judged: it survived, or refused clearly.

`python -m trust.refused_writes.process PLAN NUMBER OF` tries every OF-th run of a plan, beginning with NUMBER, and
prints one line for each. It is a process of its own so that it can have file systems of its own (`unshare`), which go
with it.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.catalogs import contents

THRESHOLD_ARCSEC = 60.0
EARLIER_ARCSEC = 20.0
NAME = "margin"
_SECONDS = 120
# Without these even root may write only where the mode of a folder allows it.
_WITHOUT_OVERRIDE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
_VALID_BY = ("hats.properties", "properties", "catalog_info.json")
_ROOMY = "64m"


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
        How it is arranged; the function of this name here.
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
class _Bench:
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
        return self.folder / "output"

    @property
    def reference(self) -> dict[str, bytes]:
        """Every file of the margin of an undisturbed run."""
        kind = "extras" if "--with" in self.run.options else self.run.catalog
        return self.contents(self.plan / "reference" / kind / NAME)

    def contents(self, margin: Path, least: int = 5) -> dict[str, bytes]:
        """Every file of a margin; where its catalog is as if it had not been copied for this run."""
        found = contents(margin, least)
        for name in found:
            if name.endswith(("properties", ".json")):
                place, usual = (str(path).encode() for path in (self.catalog, self.plan / self.run.catalog))
                found[name] = found[name].replace(place, usual)
        return found

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


def try_run(run: Run, plan: Path) -> Ending:
    """Try one run, mend what was wrong, and run again."""
    ending = Ending(run.number)
    bench = _Bench(run, plan, plan / f"case-{run.number}")
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
        ending.failure = f"{run}: {failed}"
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
    import hats

    from skymargin import SkymarginError, verify

    for name in _VALID_BY:
        if (folder / name).exists():
            raise Failed(f"{folder / name} was left behind")
    try:
        hats.read_hats(folder)
    except Exception:
        pass
    else:
        raise Failed(f"hats reads {folder}")
    try:
        verify(folder, progress_bar=False)
    except SkymarginError:
        return
    raise Failed(f"verify takes {folder} for a margin")


def _check_nothing_valid(bench: _Bench, told: str) -> None:
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


def _check_right(bench: _Bench) -> None:
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


def _mend(bench: _Bench) -> None:
    while bench.mended:
        bench.mended.pop()()


# How each kind is arranged.


def _mount(bench: _Bench, place: Path, **options: object) -> None:
    place.mkdir(exist_ok=True)
    text = ",".join(f"{key}={value}" for key, value in options.items())
    subprocess.run(["mount", "-t", "tmpfs", "-o", text, "tmpfs", str(place)], check=True)
    bench.mended.append(lambda: _remount(place, f"size={_ROOMY},nr_inodes=10000,rw"))


def _remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def _full_disk(bench: _Bench) -> None:
    place = bench.folder / bench.run.where
    _mount(bench, place, size=bench.run.amount)
    bench.named = [str(place)]


def _few_inodes(bench: _Bench) -> None:
    place = bench.folder / bench.run.where
    _mount(bench, place, size=_ROOMY, nr_inodes=bench.run.amount)
    bench.named = [str(place)]


def _earlier_margin(bench: _Bench) -> None:
    _mount(bench, bench.output, size=_ROOMY)
    status, told = bench.build(spoiled=False, threshold_arcsec=EARLIER_ARCSEC)
    if status != 0:
        raise Failed(f"the earlier run ended with {status}: {told}")
    bench.earlier = bench.contents(bench.output / NAME)
    _remount(bench.output, f"size={_used(bench.output) + bench.run.amount}")
    bench.named = [str(bench.output)]


def _collection(bench: _Bench) -> None:
    _mount(bench, bench.output, size=_ROOMY)
    shutil.copytree(bench.catalog, bench.output / bench.run.catalog)
    bench.catalog = bench.output / bench.run.catalog
    (bench.output / "collection.properties").write_text(
        f"# precious\nobs_collection=stars\nhats_primary_table_url={bench.run.catalog}\n"
    )
    bench.may_be_whole = True
    _remount(bench.output, f"size={_used(bench.output) + bench.run.amount}")
    bench.named = [str(bench.output)]


def _used(place: Path) -> int:
    about = os.statvfs(place)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


def _file_size(bench: _Bench) -> None:
    limit = bench.run.amount
    bench.limits = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    bench.named = [str(bench.folder)]


def _read_only(bench: _Bench) -> None:
    place = bench.folder / bench.run.where
    _mount(bench, place, size=_ROOMY)
    _remount(place, "ro")
    bench.named = [str(place)]


def _no_permission(bench: _Bench) -> None:
    place = bench.folder / bench.run.where
    place.mkdir()
    place.chmod(bench.run.amount)
    bench.mended.append(lambda: place.chmod(0o755))
    _as_nobody(bench)
    bench.named = [str(place)]


def _unreadable_input(bench: _Bench) -> None:
    bench.catalog = bench.folder / bench.run.catalog
    shutil.copytree(bench.plan / bench.run.catalog, bench.catalog)
    if bench.run.where == "file":
        places = sorted(bench.catalog.rglob("Npix=*.parquet"))
    elif bench.run.where == "folder":
        places = [*sorted(bench.catalog.rglob("Norder=*")), *sorted(bench.catalog.rglob("Dir=*"))]
    else:
        names = (
            "hats.properties",
            "properties",
            "partition_info.csv",
            "_common_metadata",
            "catalog_info.json",
        )
        places = [file for name in names for file in sorted(bench.catalog.rglob(name))]
        if (bench.catalog / "hats.properties").exists():
            places.remove(bench.catalog / "properties")
    place = places[bench.run.amount % len(places)]
    mode = place.stat().st_mode
    place.chmod(0)
    bench.mended.append(lambda: place.chmod(mode & 0o777))
    _as_nobody(bench)
    bench.named = [str(place)]


def _as_nobody(bench: _Bench) -> None:
    if os.geteuid() == 0:
        bench.prefix = _WITHOUT_OVERRIDE


def _no_folder(bench: _Bench) -> None:
    place = bench.folder / bench.run.where
    if bench.run.amount == 0:
        place.write_text("no folder")
    elif bench.run.amount == 1:
        place.symlink_to(bench.folder / "nowhere")
    else:
        place.symlink_to(place)
    bench.mended.append(lambda: place.unlink(missing_ok=True))
    bench.named = [str(place)]


def _few_files(bench: _Bench) -> None:
    limit = bench.run.amount
    bench.limits = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    bench.named = [str(bench.folder), str(bench.catalog)]


ARRANGEMENTS: dict[str, Callable[[_Bench], None]] = {
    "full disk": _full_disk,
    "few inodes": _few_inodes,
    "earlier margin": _earlier_margin,
    "collection": _collection,
    "file size": _file_size,
    "read-only": _read_only,
    "no permission": _no_permission,
    "unreadable input": _unreadable_input,
    "no folder": _no_folder,
    "few files": _few_files,
}


def main() -> None:
    """Entry point."""
    plan, number, of = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    runs: list[dict[str, Any]] = json.loads((plan / "runs.json").read_text())
    for one in runs[number::of]:
        print(json.dumps(asdict(try_run(Run(**one), plan))), flush=True)


if __name__ == "__main__":
    main()
