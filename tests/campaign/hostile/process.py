"""One hostile input, tried: a run of the command line in a process with little memory, and what it left and changed."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.generate import relative_path
from tests.support.catalogs import Sky, ids_of, sky_near_edges, write_catalog
from tests.support.forks import preload, run_forked

THRESHOLD_ARCSEC = 60.0
PARTITIONS = ((1, 4), (1, 5), (1, 6))
SECONDS = 120
# What a process may map, threads and libraries included.
ADDRESS_SPACE_BYTES = 3 << 30

preload("pyarrow.parquet", __name__)


@dataclass
class Sandbox:
    """The folders of a case: all but `out` must be afterwards what they were before."""

    folder: Path

    @property
    def catalog(self) -> Path:
        """The catalog a margin is made of."""
        return self.folder / "in" / "stars"

    @property
    def out(self) -> Path:
        """The output folder."""
        return self.folder / "out"

    @property
    def outside(self) -> Path:
        """A catalog that is none of the run's business, and beside it what is precious."""
        return self.folder / "outside" / "elsewhere"

    def partition(self, number: int = 0) -> Path:
        """The file of a partition."""
        order, pixel = PARTITIONS[number]
        return self.catalog / relative_path(order, pixel)


@dataclass
class Asked:
    """What is run, and which endings are right.

    Attributes
    ----------
    arguments
        Of the command line.
    named
        Words of which an error must have one.
    margin
        Where a margin is when it was made.
    refused
        Whether no margin may be made.
    replaces
        Whether there was a margin before.
    warned
        Words without which no margin may be made.
    check
        What more must hold of a margin that was made; it returns what is wrong.
    """

    arguments: list[str]
    named: tuple[str, ...]
    margin: Path | None = None
    refused: bool = False
    replaces: bool = False
    warned: str = ""
    check: Callable[[Path], str] | None = None


@dataclass
class Case:
    """A hostile input: its row in the table, its name, and how it is arranged.

    Attributes
    ----------
    slow
        Whether the short form leaves it out.
    always
        Whether the short form always has it: it got through once.
    """

    fault: str
    name: str
    arrange: Callable[[Sandbox], Asked]
    slow: bool = False
    always: bool = False
    address_space_bytes: int = ADDRESS_SPACE_BYTES
    failure: str = field(default="", init=False)
    survived: bool = field(default=False, init=False)


@dataclass(frozen=True)
class Template:
    """The folders that each case gets a copy of, and the margin of their catalog by brute force."""

    folder: Path
    sky: Sky
    margin: dict[tuple[int, int], list[int]]


def template(folder: Path) -> Template:
    """Write what each case begins with."""
    sky = sky_near_edges(PARTITIONS, rows=150, reach_arcsec=THRESHOLD_ARCSEC, seed=4)
    write_catalog(folder / "in" / "stars", sky)
    write_catalog(folder / "outside" / "elsewhere", sky_near_edges(PARTITIONS, 60, THRESHOLD_ARCSEC, seed=9))
    (folder / "outside" / "precious").write_text("precious")
    for name in ("here", "system", "out"):
        (folder / name).mkdir()
    return Template(folder, sky, sky.margins(THRESHOLD_ARCSEC))


def tampered(
    fault: str,
    name: str,
    change: Callable[[Sandbox], object],
    *more: str,
    refused: bool = False,
    named: tuple[str, ...] = (),
    check: Callable[[Path], str] | None = None,
    slow: bool = False,
    always: bool = False,
) -> Case:
    """A case whose catalog is changed before a margin is made of it; an error names the catalog, or `named`."""

    def arrange(sandbox: Sandbox) -> Asked:
        change(sandbox)
        words = named or (str(sandbox.catalog),)
        return Asked(build(sandbox, *more), words, sandbox.out / "margin", refused, check=check)

    return Case(fault, name, arrange, slow, always)


def build(sandbox: Sandbox, *more: str, catalog: str | None = None, name: str | None = "margin") -> list[str]:
    """Arguments of a run as they usually are, and more."""
    has_output = any(argument.startswith("--output") for argument in more)
    return [
        *("build", catalog or str(sandbox.catalog), "-t", f"{THRESHOLD_ARCSEC:g}"),
        *("--no-progress", "--threads=2"),
        *(() if has_output else ("--output", str(sandbox.out))),
        *(() if name is None else (f"--name={name}",)),
        *more,
    ]


def try_case(case: Case, begins: Template, folder: Path) -> None:
    """Try a case and note in it how it ended."""
    shutil.copytree(begins.folder, folder, symlinks=True)
    sandbox = Sandbox(folder)
    try:
        asked = case.arrange(sandbox)
        before = everything(folder)
        status, told = _run(sandbox, asked.arguments, case.address_space_bytes)
        case.survived = status == 0
        case.failure = (
            _wrong_ending(status, told, asked)
            or _wrong_margin(status, asked, begins)
            or _changes(before, everything(folder))
            or _half_made(sandbox, asked, status)
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def everything(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every entry of a sandbox but its output: what it is, its size, when it was changed, where a link goes."""
    entries = {}
    for base, folders, files in os.walk(os.fsencode(folder)):
        if base == os.fsencode(folder / "out"):
            folders.clear()
            continue
        for name in [*folders, *files]:
            path = os.path.join(base, name)  # noqa: PTH118 - names that are no text
            about = os.lstat(path)
            link = os.readlink(path) if os.path.islink(path) else b""  # noqa: PTH114, PTH115
            # A lock is made and removed beside the output.
            size = None if stat.S_ISDIR(about.st_mode) else (about.st_size, about.st_mtime_ns)
            entries[os.fsdecode(os.path.relpath(path, os.fsencode(folder)))] = (about.st_mode, size, link)
    return entries


def _run(sandbox: Sandbox, arguments: list[str], address_space_bytes: int) -> tuple[int | None, str]:
    """Exit status, None for a run that did not end, and what it said on standard error."""
    told = sandbox.out.parent / "told"
    status = run_forked(_child, SECONDS, arguments, sandbox.folder, told, address_space_bytes)
    text = told.read_bytes().decode("utf-8", "replace")
    told.unlink()
    return status, text


def _child(arguments: list[str], folder: Path, told: Path, address_space_bytes: int) -> None:
    os.chdir(folder / "here")
    os.environ["TMPDIR"] = str(folder / "system")
    errors = os.open(told, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(errors, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from skymargin.cli.main import main

    status = main(arguments)
    sys.stderr.flush()
    os._exit(status)


def _wrong_ending(status: int | None, told: str, asked: Asked) -> str:
    if status is None:
        return f"did not end within {SECONDS} s"
    if "Traceback" in told or "panic" in told:
        return f"a traceback or a panic: {told[-800:]}"
    if any(not letter.isprintable() and letter != "\n" for letter in told):
        return f"control characters go to the terminal: {told[-800:]!r}"
    if status == 0:
        if asked.warned not in told:
            return f"nobody was warned of {asked.warned}"
        return "a margin was made where none is right" if asked.refused else ""
    if status not in (1, 2):
        return f"exit status {status}: {told[-800:]}"
    lines = told.strip().splitlines()
    if status == 1 and (not lines or not lines[-1].startswith("skymargin: error: ")):
        return f"no line of error: {told[-800:]}"
    if not any(word in told for word in asked.named):
        return f"the message names none of {asked.named}: {told[-800:]}"
    return ""


def _wrong_margin(status: int | None, asked: Asked, begins: Template) -> str:
    if status != 0 or asked.margin is None:
        return ""
    if not asked.margin.is_dir():
        return f"there is no margin at {asked.margin}"
    if ids_of(asked.margin) != begins.margin:
        return "the margin has other rows than brute force gives"
    return asked.check(asked.margin) if asked.check else ""


def _changes(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> str:
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return f"outside of the output was changed: {changed}" if changed else ""


def _half_made(sandbox: Sandbox, asked: Asked, status: int | None) -> str:
    if status == 0 or asked.replaces:
        return ""
    valid = [str(file) for file in sandbox.out.rglob("*properties")]
    return f"was left in the output: {valid}" if valid else ""
