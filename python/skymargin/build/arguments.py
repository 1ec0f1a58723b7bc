"""The arguments of a run, checked when they are given, when they are changed, and when the run starts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import KW_ONLY, dataclass, field, fields
from difflib import get_close_matches
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from skymargin.build import preflight
from skymargin.build import validators as check
from skymargin.build.argument_rules import validate
from skymargin.build.memory import read_size
from skymargin.build.run_paths import RunPaths
from skymargin.errors import ArgumentError
from skymargin.storage.paths import AnyPath, absolute, with_options

if TYPE_CHECKING:
    from upath import UPath

Location: TypeAlias = "str | os.PathLike[str] | UPath"
_POSITIONS = ("output_path", "output_artifact_name")
_Class = TypeVar("_Class")


def by_name(
    owner: str, positions: Sequence[str], values: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments by name, from those by position and those by name.

    Raises
    ------
    ArgumentError
        When there are more values than positions, or an argument is given twice.
    """
    if len(values) > len(positions):
        raise ArgumentError(
            f"{owner} takes at most {len(positions)} arguments by position: {', '.join(positions)}; "
            f"{len(values)} were given. The others go by name"
        )
    given = dict(zip(positions, values, strict=False))
    for name in given:
        if name in named:
            raise ArgumentError(f"{name} was given by position and by name")
    return given | dict(named)


def _with_checked_names(cls: type[_Class]) -> type[_Class]:
    """Make the constructor explain wrong names and positions of arguments."""
    generated = cls.__init__

    @wraps(generated)
    def construct(self: _Class, *values: Any, **named: Any) -> None:
        given = by_name(type(self).__name__, _POSITIONS, values, named)
        for name in named:
            _check_name(self, name)
        if values and not str(given.get("input_catalog_path") or ""):
            raise ArgumentError(
                "input_catalog_path is required, by name: the first position is output_path, not the catalog, "
                "and the second is output_artifact_name"
            )
        if len(values) == len(_POSITIONS):
            try:
                check.artifact_name(values[1])
            except ArgumentError as error:
                raise ArgumentError(f"{error}; it is the second position, after output_path") from None
        generated(self, **given)

    cls.__init__ = construct  # type: ignore[assignment]
    return cls


def _names(args: Any) -> list[str]:
    return [each.name for each in fields(args)]


def _check_name(args: Any, name: str) -> None:
    """Refuse an unknown name, and suggest the nearest known one."""
    if name not in _names(args):
        near = get_close_matches(name, _names(args), n=1)
        hint = f"did you mean {near[0]}?" if near else f"help({type(args).__name__}) lists the arguments"
        raise ArgumentError(f"{name} is not an argument; {hint}")


@_with_checked_names
@dataclass
class MarginCacheArguments:
    """Which catalog to make a margin of, how wide, and where to put it.

    The first two may be given by position, as in hats-import and hipscat-import; all others by name. Where a text is
    asked for or a folder, empty text is the same as None.

    An argument that is assigned later is checked as at construction: its value, its combination with the others, and,
    for a local path or the name of the output, what is on disk. When it is refused, nothing changes. To change several
    arguments at once, use `dataclasses.replace`. A run checks all values and places again when it starts.

    Parameters
    ----------
    output_path
        Folder, or URL of one, in which the margin catalog is made; it need not exist. Required.
    output_artifact_name
        Name of the margin catalog, and of its folder in `output_path`: letters, digits, dots, dashes, underscores.
        A good one is that of the catalog with the threshold, such as `gaia_10arcs`. Required.
    input_catalog_path
        The primary catalog: a catalog, or a HATS collection, whose primary catalog is used. Required.
    input_storage_options
        Options of the file system of `input_catalog_path`, as fsspec takes them: credentials, endpoints. Default
        None; set it when the catalog is remote and does not open without.
    output_storage_options
        The same for `output_path`.
    margin_threshold
        Width of the margin in arcseconds, above 0 and at most 324,000 (90 degrees); default 5. Set it to the largest
        radius that searches with the margin will use.
    margin_order
        HEALPix order of the pixels in which rows are looked for, 0 to 29; default -1, the run chooses. It changes the
        speed of an exact margin, never its rows. Without `fine_filtering` it sets the margin, and the threshold with
        it: then it must be above the highest order of a partition.
    fine_filtering
        True, the default: exactly the rows within the threshold. False: the rows that hats-import takes, whole margin
        pixels, to compare with it.
    check_index
        Whether to read the position of every row and hold it against the index column; default False. Then a row whose
        index names another place in its partition, far from every margin, is an error instead of missing in margins.
        Set it for a catalog whose index you have no reason to believe: index and coordinates are then read in full, of
        all partitions, or of those that a run of less than all reads.
    debug_filter_pixel_list
        Pixels, each a pair (order, pixel) or a `HealpixPixel`; default none. The run is that of a catalog which has
        only the partitions that overlap one of them: rows come from these alone, and all the rest of the sky counts
        as empty. Set it to try a run on a part of a catalog; the margin is not one of the whole, and says so.
    cone
        Right ascension, declination and radius in degrees: `(ra_deg, dec_deg, radius_deg)`, the radius above 0 and at
        most 90; default none. Only the margins of the pixels that this cone touches are made, each complete and as a
        run of all would write it. Set it to try a run; the margin is not one of the whole, and says so.
    npix_suffix
        How the names of partitions end in the margin catalog: a file suffix, default `.parquet`; `/` makes a folder
        of each. Set it when what reads the margin wants it as in the primary catalog.
    npix_parquet_name
        With `npix_suffix="/"`, name of the file in each of these folders; default `Npix=<pixel>.parquet`.
    write_table_kwargs
        Keyword arguments of `pyarrow.parquet.write_table` for the partitions, over the defaults of the `hats` library;
        default none. Set it for another compression, say. What would change columns or their types is refused.
    row_group_kwargs
        How the rows of a partition are put into row groups: `{"num_rows": n}`, at most n rows in each, or
        `{"subtile_order_delta": d}`, those of one pixel d orders below the partition in each. Default none: row groups
        as large as the format has them, at most 16 MB. Set it when readers take small parts of partitions.
    addl_hats_properties
        Further properties of the margin catalog, such as `{"hats_cols_default": "id ra dec"}`; default none. What a
        margin says of itself, its threshold for one, cannot be given.
    create_metadata
        Whether to write `dataset/_metadata`, the footers of all partitions in one file; default True. Leave it out
        where it would be large and nobody reads it.
    create_thumbnail
        Whether to write `data_thumbnail.parquet`, one row of each partition; default False.
    create_per_partition_stats
        Whether to write `per_partition_statistics.parquet`, least and greatest value of each column of each partition;
        default False.
    create_partition_info_png
        Whether to draw the partitions on the sky as `partition_info.png`; default False. Needs matplotlib.
    create_summary_html, create_summary_md
        Whether to describe the margin catalog for people in `index.html` and `README.md`; default False.
    tmp_dir
        Local folder for intermediate files, which all workers must see; made if it is missing. Default: `dask_tmp`,
        else `output_path`; when that is remote, the system's temporary folder. Set it when workers are on several
        machines and the output is remote, or another disk is faster; nothing else is needed to keep all intermediate
        files, Dask's too, in one place.
    dask_tmp
        Local folder for Dask's own files, best on a disk of the machine that runs the workers; made if it is missing.
        Default: `tmp_dir`, else the system's temporary folder. Without effect with a client of your own.
    resume_tmp
        Local folder for the small records that say how far a run has come, which only this process must see; made if it
        is missing. Default: beside the intermediate files. To be found again it must be given again.
    resume
        Whether to go on where an earlier run was cut off, when it had the same arguments and the catalog is unchanged;
        default True. What an earlier run did otherwise is thrown away, and a line says why. False throws it away.
    delete_intermediate_parquet_files
        Whether to delete the intermediate files (of Arrow, here) at the end; default True. Keep them to look into them:
        the next run of this output does not use them and removes them.
    delete_resume_log_files
        The same for the records of progress.
    dask_n_workers
        Worker processes, at most 1024; default 1, which keeps everything in this process. One worker with several
        threads is best on one machine. Without effect with a client of your own, as is the next.
    dask_threads_per_worker
        Threads of each worker, at most 1024; default 1. Set it to the number of processors.
    memory_limit
        The most memory a worker may take, in bytes or as text such as `"2GB"`; at least 256 MiB. Default: none, which
        is 110 MB and some 90 MB for each thread. It changes nothing in the result. Rows and pages that are larger than
        what is left are read all the same, one at a time.
    progress_bar
        Whether to show progress bars on standard error, and to print a line at the end; default True. With False
        nothing is printed.
    simple_progress_bar
        Whether bars are plain text also in notebooks; default False. Set it where ipywidgets do not work.
    tqdm_kwargs
        Further keyword arguments of the progress bars, which are `tqdm`'s: `{"mininterval": 60}` for a log file, say.
        Default none.
    completion_email_address
        Address to which a mail is sent when the run has ended, well or not; several with commas between. Default none.
        The SMTP host is that of `SKYMARGIN_SMTP_HOST` and `SKYMARGIN_SMTP_PORT`, else port 25 of this machine.
    overwrite
        Whether to replace a margin catalog that is already at the output; default False. It stays until the new one is
        complete. Nothing else is ever replaced: no primary catalog, no collection, no other folder, and no margin
        catalog that holds files which are not of a catalog.
    only_changed
        Whether to make anew only the margins that changes of the catalog have touched since the margin at the output
        was made, and take over the others; default False. The result is that of a run of all. It replaces the margin
        as `overwrite` does.
    add_to_collection
        Whether to add the margin to the HATS collection that `input_catalog_path` is, or lies in as its primary
        catalog; default False. Then `output_path` may be left out: the margin goes into the collection's folder.
    default_margin
        Whether to make it the default margin of the collection; default False. Needs `add_to_collection`.

    Raises
    ------
    ArgumentError
        When a value is not allowed.
    CatalogNotFoundError
        When there is nothing at `input_catalog_path`.
    OutputExistsError
        When there is something at the output, and `overwrite` is not given or may not replace it.
    """

    output_path: Location = ""
    output_artifact_name: str = ""
    _: KW_ONLY
    input_catalog_path: Location = ""
    # Credentials are not to be printed with the rest.
    input_storage_options: dict[str, Any] | None = field(default=None, repr=False)
    output_storage_options: dict[str, Any] | None = field(default=None, repr=False)
    margin_threshold: float = 5.0
    margin_order: int = -1
    fine_filtering: bool = True
    check_index: bool = False
    # Objects with `order` and `pixel` serve as well; None is the same as an empty list.
    debug_filter_pixel_list: Iterable[Any] | None = None
    cone: tuple[float, float, float] | None = None
    npix_suffix: str = ".parquet"
    npix_parquet_name: str | None = None
    write_table_kwargs: dict[str, Any] | None = None
    row_group_kwargs: dict[str, int] | None = None
    addl_hats_properties: dict[str, Any] | None = None
    create_metadata: bool = True
    create_thumbnail: bool = False
    create_per_partition_stats: bool = False
    create_partition_info_png: bool = False
    create_summary_html: bool = False
    create_summary_md: bool = False
    tmp_dir: Location | None = None
    dask_tmp: Location | None = None
    resume_tmp: Location | None = None
    resume: bool = True
    delete_intermediate_parquet_files: bool = True
    delete_resume_log_files: bool = True
    dask_n_workers: int = 1
    dask_threads_per_worker: int = 1
    memory_limit: int | str | None = None
    progress_bar: bool = True
    simple_progress_bar: bool = False
    tqdm_kwargs: dict[str, Any] | None = None
    completion_email_address: str | None = None
    overwrite: bool = False
    only_changed: bool = False
    add_to_collection: bool = False
    default_margin: bool = False

    def __post_init__(self) -> None:
        self.check_values()
        self._fill_output_path()
        preflight.check(self.target)

    if not TYPE_CHECKING:
        # Hidden from type checkers, which accept any attribute of a class that has these.
        def __setattr__(self, name: str, value: Any) -> None:
            self._assign(name, value)

        def __delattr__(self, name: str) -> None:
            if name in _names(self):
                raise ArgumentError(f"{name} cannot be deleted; assign its default instead")
            super().__delattr__(name)

    def _assign(self, name: str, value: Any) -> None:
        """Check an argument and assign it; when it is refused, nothing changes."""
        if isinstance(getattr(type(self), name, None), property | cached_property):
            raise ArgumentError(f"{name} cannot be assigned: it is computed from the arguments")
        _check_name(self, name)
        if name not in vars(self):
            # The generated constructor assigns each field once; __post_init__ then checks all of them.
            vars(self)[name] = value
            return
        changed = copy(self)
        vars(changed).update(validate(self._values() | {name: value}, [name]))
        changed._fill_output_path()
        preflight.check_assigned(changed.target, name)
        vars(self).update(changed._values())

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _names(self)}

    def _fill_output_path(self) -> None:
        """Put the margin into the folder of the collection when no output path is given."""
        if not str(self.output_path or ""):
            folder = preflight.default_folder(self.primary_path)
            vars(self).update(output_path=folder, output_storage_options=self.input_storage_options)

    def check_values(self) -> None:
        """Check all values again: those inside a dict may have been changed since construction.

        Raises
        ------
        ArgumentError
            When a value is not allowed.
        """
        vars(self).update(validate(self._values()))

    @property
    def primary_path(self) -> AnyPath:
        """The input catalog or collection, with the options of its file system."""
        return with_options(self.input_catalog_path, self.input_storage_options)

    @property
    def catalog_path(self) -> AnyPath:
        """Folder of the margin catalog."""
        return with_options(self.output_path, self.output_storage_options) / self.output_artifact_name

    @property
    def tmp_path(self) -> Path:
        """Folder in which the run creates its own folder for intermediate files."""
        for chosen in (self.tmp_dir, self.dask_tmp, self.output_path):
            if chosen is not None:
                base = with_options(chosen, None)
                if isinstance(base, Path):
                    return base
        return Path(tempfile.gettempdir())

    @property
    def dask_path(self) -> Path:
        """Folder for Dask's own files."""
        return Path(str(self.dask_tmp or self.tmp_dir or tempfile.gettempdir()))

    @property
    def run_paths(self) -> RunPaths:
        """Names of the folders that hold the run's intermediate files and records."""
        intermediate = self.tmp_path.absolute()
        progress = intermediate if self.resume_tmp is None else Path(str(self.resume_tmp)).absolute()
        return RunPaths(absolute(self.catalog_path), intermediate, progress)

    @property
    def target(self) -> preflight.Target:
        """The places that preflight checks."""
        return preflight.Target(
            primary=self.primary_path,
            folder=with_options(self.output_path, self.output_storage_options),
            catalog=self.catalog_path,
            paths=self.run_paths,
            add_to_collection=self.add_to_collection,
            resume=self.resume,
            replace_margin=self.overwrite or self.only_changed,
            # Margins are never taken over from an incomplete catalog.
            replace_interrupted=self.overwrite,
        )

    @property
    def memory_bytes(self) -> int | None:
        """Memory limit of a worker in bytes; None for no limit."""
        return None if self.memory_limit is None else read_size("memory_limit", self.memory_limit)
