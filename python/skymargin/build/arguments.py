"""The arguments of a run, checked at construction, at each assignment, and when the run starts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from copy import copy
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from skymargin.build import preflight
from skymargin.build import validators as check
from skymargin.build.argument_positions import by_name
from skymargin.build.argument_rules import validate
from skymargin.build.default_name import default_name
from skymargin.build.execution.main_guard import end_if_imported_by_worker
from skymargin.build.memory import read_size
from skymargin.build.run_paths import RunPaths
from skymargin.build.shown_arguments import ShownArguments
from skymargin.catalogs.leaf_paths import PathGenerator
from skymargin.errors import ArgumentError
from skymargin.storage.paths import AnyPath, absolute, first_local, is_local, with_options

if TYPE_CHECKING:
    from upath import UPath

Location: TypeAlias = "str | os.PathLike[str] | UPath"
_POSITIONS = ("output_path", "output_artifact_name")
_Class = TypeVar("_Class")


def _with_checked_names(cls: type[_Class]) -> type[_Class]:
    """Make the constructor explain wrong names and positions of arguments."""
    generated = cls.__init__

    @wraps(generated)
    def construct(self: _Class, *values: Any, **named: Any) -> None:
        # Every script makes arguments before it runs them.
        end_if_imported_by_worker()
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
        if "margin_threshold" in given and given.get("margin_order", -1) < 0:
            check.warn_of_unit(given["margin_threshold"])

    cls.__init__ = construct  # type: ignore[assignment]
    return cls


def _names(args: Any) -> list[str]:
    return [each.name for each in fields(args)]


def _check_name(args: Any, name: str) -> None:
    """Refuse an unknown name, and suggest the nearest known one."""
    if name not in _names(args):
        near = get_close_matches(name, _names(args), n=1) or [full for full in _names(args) if name in full]
        hint = f"did you mean {near[0]}?" if near else f"help({type(args).__name__}) lists the arguments"
        raise ArgumentError(f"{name} is not an argument; {hint}")


@_with_checked_names
@dataclass(repr=False)
class MarginCacheArguments(ShownArguments):
    """Arguments of a run: the catalog, the width of its margin, and where the margin catalog goes.

    The first two may be given by position, as in hats-import and hipscat-import; all others by name. Empty text for a
    text or a folder means None.

    An argument that is assigned later is checked as at construction: its value, its combination with the others, and,
    for a local path or the name of the output, what is on disk. When it is refused, nothing changes. To change several
    arguments at once, use `dataclasses.replace`. A run checks all values and places again when it starts.

    In local paths `~` stands for the home folder, and `$NAME` or `${NAME}` for an environment variable.

    Parameters
    ----------
    output_path
        Folder or URL in which the margin catalog is made; created if missing. Required unless `add_to_collection` or
        `collection` is given.
    output_artifact_name
        Name of the margin catalog, and of its folder in `output_path`: at most 200 letters, digits, dots, dashes and
        underscores. Default: the name of the catalog with the threshold, such as `gaia_10arcs`.
    input_catalog_path
        The primary catalog, or a HATS collection, whose primary catalog is used. Required.
    input_storage_options
        Options of the file system of `input_catalog_path`, as fsspec takes them: credentials, endpoints. Default None.
    output_storage_options
        The same for `output_path`, and for `collection` when that is a URL.
    path_generator
        Where the partitions of the catalog lie, if not where its format has them: a template, such as
        `"../files/{order}/{pixel:06}.parquet"`, or a function as LSDB takes it. Default None.
    margin_threshold
        Width of the margin in arcseconds, above 0 and at most 324,000 (90 degrees), or an angle of astropy such as
        `0.5 * u.arcmin`; default 5. Set it to the largest radius of the searches that will use the margin. A number
        below 0.01 or above 3,600 gives a `ThresholdWarning`, because it may be meant in another unit.
    margin_order
        HEALPix order of the pixels in which rows are looked for, 0 to 29; default -1, chosen by the run. It changes the
        speed of an exact margin, never its rows. With `fine_filtering=False` it determines the rows and the threshold,
        and must be above the highest order of a partition.
    fine_filtering
        True (default): select exactly the rows within the threshold. False: select the rows that hats-import selects,
        whole margin pixels, for comparison with it.
    check_index
        Check every row's coordinates against its index value; default False: the index is trusted. When the index of a
        row names another place in its partition, far from every margin, this is an error; without the check, margins
        miss the row. Set it for a catalog whose index may be wrong. It reads index and coordinates of all partitions
        in full, or of those that a run of some margins reads.
    debug_filter_pixel_list
        Pixels, each a pair (order, pixel) or a `HealpixPixel`; default none. The run treats the catalog as if it had
        only the partitions that overlap one of them: rows come from these alone, and the rest of the sky is empty. Set
        it to try a run on a part of a catalog. The result is not the margin of the whole catalog, and its properties
        say so.
    cone
        Trial run: build only the margins of the pixels that intersect this cone, each complete and as a full run writes
        it. Right ascension, declination and radius in degrees, `(ra_deg, dec_deg, radius_deg)`, the radius above 0 and
        at most 90; default none. The properties of the result say that it is a part.
    npix_suffix
        How the names of partitions end in the margin catalog: a file suffix, default `.parquet`; `/` makes a folder
        for each. Set it when readers of the margin expect the suffix of the primary catalog.
    npix_parquet_name
        With `npix_suffix="/"`, name of the file in each of these folders; default `Npix=<pixel>.parquet`.
    write_table_kwargs
        Keyword arguments of `pyarrow.parquet.write_table` for the partitions, which override the defaults of the `hats`
        library; default none. Set it to change the compression, for example. Arguments that would change columns or
        their types are refused.
    row_group_kwargs
        How the rows of a partition are divided into row groups: `{"num_rows": n}` for at most n rows in each, or
        `{"subtile_order_delta": d}` for the rows of one pixel d orders below the partition in each. Default none: the
        size that the format prescribes, at most 16 MB. Set it when readers take small parts of partitions.
    addl_hats_properties
        Further properties of the margin catalog, such as `{"hats_cols_default": "id ra dec"}`; default none. Properties
        that the margin sets itself, such as its threshold, are refused.
    create_metadata
        Write `dataset/_metadata`, the footers of all partitions in one file; default True. Set it to False when the
        file would be large and nobody reads it.
    create_thumbnail
        Write `data_thumbnail.parquet`, one row of each partition; default False.
    create_per_partition_stats
        Write `per_partition_statistics.parquet`, the minimum and maximum of each column of each partition; default
        False.
    create_partition_info_png
        Draw the partitions on the sky as `partition_info.png`; default False. Needs matplotlib.
    create_summary_html, create_summary_md
        Describe the margin catalog for readers in `index.html` and `README.md`; default False.
    tmp_dir
        Folder or URL for intermediate files, which all workers must see; created if missing. Default: `dask_tmp`, else
        `output_path`; when that is remote, the system's temporary folder, or with a client of your own, whose workers
        may share no disk, `output_path` itself. Set it when another disk is faster, or when your workers share a disk
        and the output is remote. A local folder alone keeps all intermediate files, Dask's too, in one place. A URL is
        opened with the storage options of the output, or of the input when only that has its protocol.
    dask_tmp
        Local folder for Dask's own files, best on a disk of the machine that runs the workers; created if missing.
        Default: `tmp_dir`, else the system's temporary folder. Ignored with a client of your own.
    resume_tmp
        Local folder for the small records of the run's progress, which only this process must see; created if missing.
        Default: beside the intermediate files, or, when these are remote, in the system's temporary folder. Give it
        again to resume the run.
    resume
        Resume an interrupted run when it had the same arguments and the catalog is unchanged; default True. Otherwise
        the work of an earlier run is removed, and a message gives the reason. False always removes it.
    delete_intermediate_parquet_files
        Delete the intermediate files (Arrow files, here) at the end; default True. Keep them for inspection: the next
        run of this output does not use them and removes them.
    delete_resume_log_files
        The same for the records of progress.
    dask_n_workers
        Worker processes, at most 1024; default 1, which runs everything in this process. On one machine, one worker
        with several threads is fastest. Ignored with a client of your own, as is `dask_threads_per_worker`.
    dask_threads_per_worker
        Threads of each worker, at most 1024; default 1. Set it to the number of processors.
    dask_wait_seconds
        How long to wait for a worker of a client of your own while there is none that can run tasks, at the beginning
        and during the run; default 600. Set it higher where workers wait in a queue, `math.inf` for no limit. After 5
        seconds a message says that the run waits.
    memory_limit
        Memory limit of a worker, in bytes or as text such as `"2GB"`; at least 256 MiB. Default: none, which takes
        110 MB and about 90 MB for each thread. It does not change the result. Rows and pages larger than what is left
        are still read, one at a time.
    progress_bar
        Show progress bars, and print a summary at the end; default True. False prints nothing. In a notebook bars are
        widgets, where ipywidgets is installed, and the report is shown instead of the summary.
    simple_progress_bar
        Show plain text bars also in notebooks; default False. Set it where ipywidgets do not work.
    tqdm_kwargs
        Further keyword arguments of `tqdm`, which draws the progress bars, such as `{"mininterval": 60}` for a log
        file. Default none.
    completion_email_address
        Address that gets a mail when the run ends, with success or not; several with commas between. Default none.
        It is sent through the SMTP host `SKYMARGIN_SMTP_HOST` and `SKYMARGIN_SMTP_PORT`, by default port 25 of this
        machine. `SKYMARGIN_SMTP_SECURITY` (`none`, `starttls` or `tls`), `SKYMARGIN_SMTP_USER` and
        `SKYMARGIN_SMTP_PASSWORD` set encryption and login.
    overwrite
        Replace an existing margin catalog at the output; default False. It stays until the new one is complete. Nothing
        else is ever replaced: no primary catalog, no collection, no other folder, and no margin catalog that holds
        files which do not belong to a catalog.
    only_changed
        Rebuild only the margins affected by changes to the catalog since the margin at the output was made, and take
        over the others; default False. The result is that of a full run. It replaces the margin as `overwrite` does.
    add_to_collection
        Add the margin to the HATS collection that `input_catalog_path` is, or lies in as its primary catalog; default
        False. `output_path` defaults to the folder of the collection then.
    collection
        Add the margin to the collection in this folder or at this URL, a collection of `input_catalog_path`; default
        None. Without a collection there, it is made when the margin is complete: around the catalog, or as an overlay
        when the catalog lies elsewhere. Its first margin becomes the default. `output_path` defaults to this folder.
    default_margin
        Make it the default margin of the collection; default False. Needs `add_to_collection` or `collection`.

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
    # Not printed: they may hold credentials.
    input_storage_options: dict[str, Any] | None = field(default=None, repr=False)
    output_storage_options: dict[str, Any] | None = field(default=None, repr=False)
    path_generator: PathGenerator | None = None
    margin_threshold: float = 5.0
    margin_order: int = -1
    fine_filtering: bool = True
    check_index: bool = False
    # Objects with `order` and `pixel` are accepted as well; None means an empty list.
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
    dask_wait_seconds: float = 600.0
    memory_limit: int | str | None = None
    progress_bar: bool = True
    simple_progress_bar: bool = False
    tqdm_kwargs: dict[str, Any] | None = None
    completion_email_address: str | None = None
    overwrite: bool = False
    only_changed: bool = False
    add_to_collection: bool = False
    collection: Location | None = None
    default_margin: bool = False

    def __post_init__(self) -> None:
        self.check_values()
        if is_local(self.primary_path):
            # First: there may be no catalog, and so no name to derive another one from. Servers are asked once, below.
            preflight.check_input(self.primary_path)
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
        if name == "margin_threshold":
            check.warn_of_unit(value)

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _names(self)}

    def _fill_output_path(self) -> None:
        """Put the margin into the folder of the collection when no output path is given."""
        if str(self.output_path or ""):
            return
        if (collection := self._collection_path) is not None:
            options = None if isinstance(collection, Path) else collection.storage_options
            vars(self).update(output_path=collection, output_storage_options=options)
        else:
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
        return self._final_path()

    def _final_path(self) -> AnyPath:
        return with_options(self.output_path, self.output_storage_options) / self.artifact_name

    @property
    def artifact_name(self) -> str:
        """Name of the margin catalog: `output_artifact_name`, else that of the catalog with the threshold."""
        if self.output_artifact_name:
            return self.output_artifact_name
        name = default_name(self.input_catalog_path, self.margin_threshold)
        try:
            return check.artifact_name(name)
        except ArgumentError as error:
            reason = str(error).removeprefix("output_artifact_name ")
            raise ArgumentError(f"output_artifact_name is required here: the default {reason}") from None

    @property
    def tmp_path(self) -> AnyPath:
        """Folder in which a run in this process creates its own folder for intermediate files."""
        chosen = None if self.tmp_dir is None else with_options(self.tmp_dir, None)
        return chosen or first_local(self.dask_tmp, self.output_path)

    @property
    def _collection_path(self) -> AnyPath | None:
        """The collection that is named, with the options of the output's file system."""
        if self.collection is None:
            return None
        path = with_options(self.collection, None)
        return path if is_local(path) else with_options(path, self.output_storage_options)

    @property
    def dask_path(self) -> Path:
        """Folder for Dask's own files."""
        return first_local(self.dask_tmp, self.tmp_dir)

    @property
    def run_paths(self) -> RunPaths:
        """Names of the folders that hold the run's intermediate files and records."""
        return self._run_paths(shares_disk=True)

    def _run_paths(self, shares_disk: bool) -> RunPaths:
        local = first_local(self.tmp_dir, self.dask_tmp, self.output_path).absolute()
        progress = local if self.resume_tmp is None else Path(str(self.resume_tmp)).absolute()
        final = absolute(self._final_path())
        intermediate: AnyPath = local
        if self.tmp_dir is not None:
            intermediate = absolute(self._with_options_of_others(with_options(self.tmp_dir, None)))
        elif not (shares_disk or self.dask_tmp is not None or is_local(final)):
            intermediate = final.parent
        return RunPaths(final, intermediate, progress)

    def _with_options_of_others(self, path: AnyPath) -> AnyPath:
        """A remote path with the options of the output, or of the input, if their file system is the same."""
        if isinstance(path, Path):
            return path
        others = [each for each in (self._final_path(), self.primary_path) if not isinstance(each, Path)]
        same = next((each for each in others if each.protocol == path.protocol), path)
        return with_options(path, {**same.storage_options, **path.storage_options})

    def target_for(self, *, shares_disk: bool) -> preflight.Target:
        """The places of a run whose workers share a disk with this process, or may share none."""
        return replace(self.target, paths=self._run_paths(shares_disk))

    @property
    def target(self) -> preflight.Target:
        """The places that preflight checks."""
        return preflight.Target(
            primary=self.primary_path,
            folder=with_options(self.output_path, self.output_storage_options),
            catalog=self._final_path(),
            paths=self.run_paths,
            add_to_collection=self.add_to_collection,
            collection=self._collection_path,
            resume=self.resume,
            replace_margin=self.overwrite or self.only_changed,
            # Margins are never taken over from an incomplete catalog.
            replace_interrupted=self.overwrite,
        )

    @property
    def search_order(self) -> int:
        """HEALPix order of the pixels in which the run looks for rows; -1: chosen by the run."""
        return self.margin_order

    @property
    def memory_bytes(self) -> int | None:
        """Memory limit of a worker in bytes; None for no limit."""
        return None if self.memory_limit is None else read_size("memory_limit", self.memory_limit)
