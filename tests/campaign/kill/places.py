"""Where the runs that are killed read and write, a disk or an S3 server, and what a reader sees there."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaign.readers import accepting
from tests.support.catalogs import on_disk
from tests.support.servers import Bucket

# The times of day at which a margin was made.
_DATES = re.compile(rb'^(hats_creation_date=.*|.*"creation_date".*|#.*)\n', re.MULTILINE)
Files = dict[str, bytes]


@dataclass(frozen=True)
class Place:
    """The output of one run.

    Attributes
    ----------
    format
        `hats` or `hipscat`.
    folder
        The folder of this run on disk: notes, temporary folders, and the output when it is on disk.
    bucket
        The bucket that the output is in; None for the disk.
    """

    format: str
    folder: Path
    bucket: Bucket | None

    @property
    def output(self) -> str:
        """The path or URL of the output."""
        return f"{self.bucket.url}/{self.folder.name}" if self.bucket else str(self.folder / "out")

    def arguments(self, catalog: Path) -> dict[str, Any]:
        """The arguments of a run that concern places."""
        temporary = {"tmp_dir": self.folder / "tmp", "dask_tmp": self.folder / "dask"}
        if not self.bucket:
            return {"catalog": catalog, "output": self.output, **temporary}
        options = {f"{side}_storage_options": self.bucket.options for side in ("input", "output")}
        return {"catalog": f"{self.bucket.url}/{catalog.name}", "output": self.output, **temporary, **options}

    def catalogs(self) -> dict[str, Files]:
        """Return the files of everything in the output that may be taken for a catalog, by its name."""
        files = self.bucket.contents(self.folder.name) if self.bucket else on_disk(Path(self.output))
        catalogs: dict[str, Files] = {}
        for name, content in files.items():
            folder, _, inner = name.partition("/")
            catalogs.setdefault(folder, {})[inner] = _DATES.sub(b"", content)
        return catalogs

    def leftovers(self) -> list[str]:
        """Return what lies in the temporary folders, and in the output beside the margin."""
        beside = [name for name in self.catalogs() if name != "margin"]
        folders = [self.folder / name for name in ("tmp", "dask")]
        return beside + [f"{folder.name}/{entry.name}" for folder in folders for entry in folder.glob("*")]

    def accepted(self, name: str) -> list[str]:
        """Return who takes a folder of the output for a valid catalog."""
        path: Any = f"{self.output}/{name}"
        if self.bucket:
            from upath import UPath

            path = UPath(path, **self.bucket.options)
        return accepting(path, self.format)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.bucket:
            self.bucket.remove(self.folder.name)
