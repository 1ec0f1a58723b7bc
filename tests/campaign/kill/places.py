"""Where the runs that are killed read and write, a disk or an S3 server, and what a reader sees there."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import skymargin
from skymargin.errors import SkymarginError
from tests.support.servers import Server

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
    server
        The S3 server the output is on; None for the disk.
    """

    format: str
    folder: Path
    server: Server | None

    @property
    def options(self) -> dict[str, Any]:
        """Storage options of the server."""
        assert self.server
        return {"key": "key", "secret": "secret", "endpoint_url": self.server.url}

    @property
    def output(self) -> str:
        """The path or URL of the output."""
        return f"s3://bucket/{self.folder.name}" if self.server else str(self.folder / "out")

    def arguments(self, catalog: str) -> dict[str, Any]:
        """The arguments of a run that concern places."""
        places: dict[str, Any] = {
            "output": self.output,
            "tmp_dir": self.folder / "tmp",
            "dask_tmp": self.folder / "dask",
        }
        if self.server:
            return {
                **places,
                "catalog": f"s3://bucket/{Path(catalog).name}",
                "input_storage_options": self.options,
                "output_storage_options": self.options,
            }
        return {**places, "catalog": Path(catalog)}

    def catalogs(self) -> dict[str, Files]:
        """Return the files of everything in the output that may be taken for a catalog, by its name."""
        found: dict[str, Files] = {}
        for name, content in self._files().items():
            folder, _, inner = name.partition("/")
            found.setdefault(folder, {})[inner] = _DATES.sub(b"", content)
        return found

    def leftovers(self) -> list[str]:
        """Return what lies in the temporary folders, and in the output beside the margin."""
        beside = [name for name in self.catalogs() if name != "margin"]
        for folder in ("tmp", "dask"):
            # Dask keeps its own locks there, whatever a run does.
            path = self.folder / folder
            beside += [f"{folder}/{one.name}" for one in path.iterdir()] if path.exists() else []
        return beside

    def accepted(self, name: str) -> list[str]:
        """Return who takes a folder of the output for valid: the library of its format, and our own verifier."""
        accepting = []
        try:
            self._read(name)
            accepting.append("the library")
        except Exception:
            pass
        try:
            path: Any = f"{self.output}/{name}"
            if self.server:
                from upath import UPath

                path = UPath(path, **self.options)
            if skymargin.verify(path, progress_bar=False).right:
                accepting.append("verify")
        except SkymarginError:
            pass
        return accepting

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.server:
            fs = self._fs()
            if fs.exists(self.output):
                fs.rm(self.output, recursive=True)

    def _read(self, name: str) -> None:
        path: Any = f"{self.output}/{name}"
        if self.server:
            from upath import UPath

            path = UPath(path, **self.options)
        if self.format == "hats":
            import hats

            hats.read_hats(path)
            return
        from hipscat.loaders.read_from_hipscat import read_from_hipscat

        read_from_hipscat(str(path), storage_options=self.options if self.server else None)

    def _files(self) -> Files:
        if self.server is None:
            out = Path(self.output)
            return {
                path.relative_to(out).as_posix(): path.read_bytes()
                for path in out.rglob("*")
                if path.is_file()
            }
        fs, start = self._fs(), len("bucket/") + len(self.folder.name) + 1
        return {
            name[start:]: fs.cat_file(name)
            for name in fs.find(f"bucket/{self.folder.name}")
            if name[-1] != "/"
        }

    def _fs(self) -> Any:
        import fsspec

        fs = fsspec.filesystem("s3", **self.options)
        fs.invalidate_cache()
        return fs
