"""The state of a run: what is done, in memory and as records on disk.

A run writes these files into its folder of records, each atomically:

- `run.json` when it begins: its fingerprint, the token in the names of its other folders, and its number of threads.
  Tasks depend on that number, so a resumed run keeps to it, whatever its own number of threads.
- `mapped-N` and `reduced-N` for each finished task, with the sizes of the files it wrote. A record counts when the
  files exist in that size.
- `reducing.json` when reducing begins: its number of threads.
- `placing.json` when all margin catalogs are made and verified, before they are published: their reports, and the sizes
  of their files where margins were written to their place.
- `copying` when files begin to be written to the path of a margin catalog on an object store: their names and those of
  the files that are there, all of which are its own or those of the margin catalog that it replaces; and the token of
  the run. Of margins that are written in place, no file is its own without its mark there (`PlaceMark`).
- `completed` at the end, when the records are to be kept.

A run of several margin catalogs keeps its records beside the widest. The others get a folder of records when all are
made, with a `placing.json` that names those records.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skymargin.build.checkpoint.pending import PendingMargin, remove_begun
from skymargin.build.checkpoint.publish import digest_of
from skymargin.build.checkpoint.records import read_json, read_pickle, write_record
from skymargin.build.report import MarginReport
from skymargin.build.run_paths import COMPLETED, PUBLISHING
from skymargin.build.stages.map import MapResult
from skymargin.build.stages.reduce import ReduceResult
from skymargin.build.stages.tasks import MapTask, ReduceTask
from skymargin.errors import IncompleteMarginError, StorageError
from skymargin.storage.paths import (
    AnyPath,
    abort_uploads,
    list_files,
    make_folder,
    remove_files,
    remove_folder,
)

REDUCING = "reducing.json"


@dataclass
class RunState:
    """What a run has done, and where; made by `open_run_state`.

    Attributes
    ----------
    margins : list of PendingMargin
        The margin catalogs, the widest first. Records are kept beside that one.
    shards : Path or UPath
        Folder of the shards.
    threads : int
        Number of threads that map tasks are made for.
    mapped : dict of int to MapResult
        What finished map tasks read and found, by their numbers.
    """

    margins: list[PendingMargin]
    shards: AnyPath
    threads: int
    mapped: dict[int, MapResult] = field(default_factory=dict)

    @property
    def records(self) -> Path:
        """Folder of the records."""
        return self.margins[0].paths.records

    @property
    def is_made(self) -> bool:
        """Whether all margin catalogs are made: they are published, or have only to be published."""
        return self.margins[0].report is not None

    @property
    def folders(self) -> list[AnyPath]:
        """All folders of the run but its outputs; the records it can be resumed from come first."""
        first = self.margins[0]
        records: list[AnyPath] = [
            # Until all are made, the records of the other margins are of runs of their own.
            margin.paths.records
            for margin in self.margins
            if self.is_made or margin is first or margin.in_place
        ]
        return [*records, self.shards, *(margin.partial for margin in self.margins)]

    def add_mapped(self, task: MapTask, result: MapResult) -> None:
        """Record a map task whose shard is written."""
        shard = self.shards / result.shard
        # A server shows everybody the same; a folder may only have the same path on another machine.
        if isinstance(shard, Path) and not shard.exists():
            raise StorageError(f"a worker wrote {shard}, which is not seen here: tmp_dir must be shared")
        self.mapped[task.number] = result
        self.record(f"mapped-{task.number:06d}", pickle.dumps((task.number, result)))

    def add_reduced(self, task: ReduceTask, result: ReduceResult) -> None:
        """Record a reduce task whose margins are written."""
        self.margins[task.margin].reduced[task.number] = result
        self.record(f"reduced-{task.number:06d}", pickle.dumps((task.number, task.margin, result)))

    def begin_reducing(self, threads: int) -> int:
        """Number of threads to make reduce tasks for: that of the run which began to reduce, else the given."""
        begun = read_json(self.records / REDUCING)
        if isinstance(begun, dict) and isinstance(begun.get("threads"), int):
            self._read_reduced()
            return int(begun["threads"])
        self.record(REDUCING, json.dumps({"threads": threads}).encode())
        return threads

    def keep_only_margins(self) -> None:
        """Remove all files but the recorded margins from the margin catalogs under construction.

        Raises
        ------
        OutputInUseError
            When margins are written in place, and another run writes there.
        IncompleteMarginError
            When a margin is missing or incomplete.
        """
        for margin in self.margins:
            sizes = _current_files(margin.data)
            if margin.in_place:
                margin.mark.check()
            expected = {
                name: size for result in margin.reduced.values() for name, size in result.files.items()
            }
            for name, size in expected.items():
                if sizes.get(name) != size:
                    now = f"has {sizes[name]} bytes now" if name in sizes else "is missing now"
                    raise IncompleteMarginError(
                        f"{margin.data / name} was written with {size} bytes and {now}"
                    )
            if margin.in_place:
                # An earlier run may have been killed while it wrote the other files.
                remove_folder(margin.partial)
                make_folder(margin.marks_folder)
            else:
                remove_files(margin.partial, [name for name in sizes if name not in expected])

    def record_made(self, reports: Sequence[MarginReport]) -> None:
        """Record that the margin catalogs under construction are complete and have only to be published."""
        for margin in self.margins[1:]:
            # Without this, a published margin would be refused as an existing output when the run is resumed.
            make_folder(margin.paths.records, exist_ok=True)
            write_record(margin.paths.records, PUBLISHING, json.dumps({"with": str(self.records)}).encode())
        made = [
            {
                "report": report.to_dict(),
                "digest": digest_of(margin.marks_folder),
                "files": _in_place(margin),
                "waiting": list_files(margin.partial) if margin.in_place else {},
            }
            for margin, report in zip(self.margins, reports, strict=True)
        ]
        self.record(PUBLISHING, json.dumps({"made": made}).encode())
        self.read_made(made)

    def read_made(self, made: Sequence[Mapping[str, Any]]) -> None:
        """Take reports and digests from the record of `record_made`."""
        for margin, entry in zip(self.margins, made, strict=True):
            # The earlier run may have spelled the path in another way.
            catalog_path = str(margin.spec.target.catalog)
            margin.report = replace(MarginReport(**entry["report"]), catalog_path=catalog_path)
            margin.digest = entry["digest"]
            margin.files, margin.waiting = dict(entry["files"]), dict(entry["waiting"])

    def throw_away(self, *, place_is_own: bool) -> None:
        """Remove all that the run has made, when it is of no use.

        Uploads to its output are aborted where those are not the ones of another run (`place_is_own`).
        """
        for margin in self.margins:
            # First: the records say whose these files are.
            if margin.in_place:
                remove_begun(margin.paths)
        for folder in self.folders:
            remove_folder(folder)
        if place_is_own:
            self._abort_uploads()

    def clean_up(self, shards: bool, records: bool) -> None:
        """Remove what is not needed once the margin catalogs are published.

        Parameters
        ----------
        shards, records
            Whether to remove these. What is kept is not resumed: a later run removes it.
        """
        self._abort_uploads()
        if shards:
            remove_folder(self.shards)
        else:
            (self.shards / COMPLETED).write_bytes(b"")
        for margin in self.margins[1:]:
            remove_folder(margin.paths.records)
        if records:
            remove_folder(self.records)
        else:
            (self.records / COMPLETED).touch()

    def _abort_uploads(self) -> None:
        for margin in self.margins:
            abort_uploads(margin.paths.final)
        if self.shards.parent != self.margins[0].paths.final.parent:
            abort_uploads(self.shards)

    def record(self, name: str, content: bytes) -> None:
        """Write a record."""
        write_record(self.records, name, content)

    def read_mapped(self) -> None:
        """Read the records of map tasks; those whose shard has changed do not count."""
        records = sorted(self.records.glob("mapped-??????"))
        sizes = _current_files(self.shards) if records else {}
        for file in records:
            number, result = read_pickle(file) or (0, None)
            if isinstance(result, MapResult) and sizes.get(result.shard) == result.shard_bytes:
                self.mapped[number] = result

    def _read_reduced(self) -> None:
        sizes = [_own_files(margin) for margin in self.margins]
        for file in self.records.glob("reduced-??????"):
            number, index, result = read_pickle(file) or (0, 0, None)
            if isinstance(result, ReduceResult) and all(
                sizes[index].get(name) == size for name, size in result.files.items()
            ):
                self.margins[index].reduced[number] = result


def _in_place(margin: PendingMargin) -> dict[str, int]:
    if not margin.in_place:
        return {}
    return {name: size for result in margin.reduced.values() for name, size in result.files.items()}


def _own_files(margin: PendingMargin) -> dict[str, int]:
    """The files in the folder of the margins; in place, none when that is not the place of the run any more."""
    files = _current_files(margin.data)
    return files if not margin.in_place or margin.mark.is_own(files) else {}


def _current_files(folder: AnyPath) -> dict[str, int]:
    """Every file below a folder now, with its size."""
    if not isinstance(folder, Path):
        folder.fs.invalidate_cache()
    return list_files(folder)
