"""The arguments of a run, checked when they are given."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

from skymargin.errors import ArgumentError, CatalogNotFoundError, OutputExistsError
from skymargin.storage import AnyPath, as_path, is_empty_folder, is_local

if TYPE_CHECKING:
    from upath import UPath

LARGEST_THRESHOLD_ARCSEC = 90 * 3600.0
LARGEST_ORDER = 29
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(kw_only=True)
class MarginCacheArguments:
    """Which catalog to make a margin of, how wide, and where to put it.

    Parameters
    ----------
    input_catalog_path
        The primary catalog: a HATS or HiPSCat catalog, or a HATS collection, whose primary catalog is used.
    output_path
        Folder in which the margin catalog is made.
    output_artifact_name
        Name of the margin catalog, and of its folder in `output_path`: letters, digits, dots, dashes, underscores.
    margin_threshold
        Width of the margin in arcseconds, above 0 and at most 324,000 (90 degrees).
    margin_order
        HEALPix order of the pixels in which rows are looked for, 0 to 29; -1 lets the run choose. It changes the speed
        of an exact margin, never its rows. Without `fine_filtering` it sets the margin, and the threshold with it.
    fine_filtering
        True: exactly the rows within the threshold. False: the rows that hats-import takes, whole margin pixels.
    tmp_dir
        Local folder for intermediate files, which all workers must see; default: `dask_tmp`, else `output_path`.
    dask_tmp
        Local folder for Dask's own files.
    dask_n_workers
        Worker processes; 1 keeps everything in this process.
    dask_threads_per_worker
        Threads of each worker.
    progress_bar
        Whether to show progress bars and print a line at the end.
    overwrite
        Whether to replace a catalog that is already at the output. It stays until the new one is complete.

    Raises
    ------
    ArgumentError
        When a value is not allowed.
    CatalogNotFoundError
        When there is nothing at `input_catalog_path`.
    OutputExistsError
        When there is something at the output, and `overwrite` is not given.
    """

    input_catalog_path: str | os.PathLike[str] | UPath
    output_path: str | os.PathLike[str] | UPath
    output_artifact_name: str
    margin_threshold: float = 5.0
    margin_order: int = -1
    fine_filtering: bool = True
    tmp_dir: str | os.PathLike[str] | None = None
    dask_tmp: str | os.PathLike[str] | None = None
    dask_n_workers: int = 1
    dask_threads_per_worker: int = 1
    progress_bar: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        self._check_paths_given()
        self._check_numbers()
        for name in ("fine_filtering", "progress_bar", "overwrite"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ArgumentError(f"{name} must be True or False, not {value!r}")
        self.check_places()

    @property
    def catalog_path(self) -> AnyPath:
        """Folder of the margin catalog."""
        return as_path(self.output_path) / self.output_artifact_name

    def check_places(self) -> None:
        """Check that there is an input, and room for the output.

        Raises
        ------
        CatalogNotFoundError, OutputExistsError, ArgumentError
            As the class has them.
        """
        source = as_path(self.input_catalog_path)
        if not source.exists():
            raise CatalogNotFoundError(f"input_catalog_path: there is nothing at {source}")
        base, target = as_path(self.output_path), self.catalog_path
        if base.exists() and not base.is_dir():
            raise ArgumentError(f"output_path {base} is a file, not a folder")
        if target.exists() and not is_empty_folder(target):
            self._check_overwrite(target)

    def _check_overwrite(self, target: AnyPath) -> None:
        from skymargin.formats import is_catalog

        if not self.overwrite:
            raise OutputExistsError(f"{target} exists already; overwrite=True replaces it")
        if not is_catalog(target):
            raise OutputExistsError(f"{target} is not a catalog, so overwrite=True does not remove it")

    def _check_paths_given(self) -> None:
        for name in ("input_catalog_path", "output_path"):
            if not str(getattr(self, name) or "").strip():
                raise ArgumentError(f"{name} is required")
        if not isinstance(self.output_artifact_name, str) or not _NAME.fullmatch(self.output_artifact_name):
            raise ArgumentError(
                f"output_artifact_name {self.output_artifact_name!r} is not allowed: "
                "it is a folder name of letters, digits, dots, dashes and underscores"
            )
        if not self.output_artifact_name.strip("."):
            raise ArgumentError(f"output_artifact_name {self.output_artifact_name!r} is not a name")
        for name in ("tmp_dir", "dask_tmp"):
            value = getattr(self, name)
            if value is not None and not is_local(as_path(value)):
                raise ArgumentError(f"{name} {value} must be a local folder")

    def _check_numbers(self) -> None:
        threshold = self.margin_threshold
        # Written so that a NaN fails.
        if (
            isinstance(threshold, bool)
            or not isinstance(threshold, Real)
            or not 0 < float(threshold) <= LARGEST_THRESHOLD_ARCSEC
        ):
            raise ArgumentError(
                f"margin_threshold {threshold!r} is not allowed: it is in arcseconds, "
                f"above 0 and at most {LARGEST_THRESHOLD_ARCSEC:.0f} (90 degrees)"
            )
        self.margin_threshold = float(threshold)
        ranges = {
            "margin_order": (-1, LARGEST_ORDER),
            "dask_n_workers": (1, math.inf),
            "dask_threads_per_worker": (1, math.inf),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
                allowed = f"{least} or more" if most == math.inf else f"{least} to {most}"
                raise ArgumentError(f"{name} {value!r} is not allowed: it is a whole number, {allowed}")
            setattr(self, name, int(value))
