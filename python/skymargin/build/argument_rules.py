"""The checks of each argument, alone and in combination with others; no disk or server is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from skymargin.build import validators as check
from skymargin.catalogs.leaf_paths import check_path_generator
from skymargin.errors import ArgumentError, StorageError
from skymargin.geometry.limits import LARGEST_ORDER
from skymargin.storage.paths import can_list, with_options
from skymargin.storage.remote import without_secrets
from skymargin.storage.storage_options import check_storage_options

_SWITCHES = (
    *("fine_filtering", "check_index", "create_metadata", "create_thumbnail", "create_per_partition_stats"),
    *("create_summary_html", "create_summary_md", "resume", "delete_intermediate_parquet_files"),
    *("delete_resume_log_files", "progress_bar", "simple_progress_bar", "overwrite", "only_changed"),
    *("add_to_collection", "default_margin"),
)
# The check of each argument alone. The first fault in this order is reported.
CHECKS: dict[str, Callable[[Any], Any]] = {
    "input_catalog_path": partial(check.path_or_url, "input_catalog_path"),
    "input_storage_options": partial(check_storage_options, "input_storage_options"),
    "path_generator": check_path_generator,
    "output_path": check.output_path,
    "output_storage_options": partial(check_storage_options, "output_storage_options"),
    "output_artifact_name": check.artifact_name,
    "margin_threshold": check.threshold_arcsec,
    "margin_order": partial(check.whole_number, "margin_order", least=-1, most=LARGEST_ORDER),
    "dask_n_workers": partial(check.whole_number, "dask_n_workers", least=1, most=check.MOST_WORKERS),
    "dask_threads_per_worker": partial(
        check.whole_number, "dask_threads_per_worker", least=1, most=check.MOST_WORKERS
    ),
    "dask_wait_seconds": partial(check.seconds, "dask_wait_seconds"),
    "memory_limit": check.memory_limit,
    **{name: partial(check.yes_or_no, name) for name in _SWITCHES},
    "tmp_dir": partial(check.writable_folder, "tmp_dir"),
    **{name: partial(check.local_folder, name) for name in ("dask_tmp", "resume_tmp")},
    "collection": partial(check.writable_folder, "collection"),
    "debug_filter_pixel_list": partial(check.pixels, "debug_filter_pixel_list"),
    "cone": check.cone,
    "npix_suffix": check.npix_suffix,
    "npix_parquet_name": check.npix_parquet_name,
    "write_table_kwargs": check.writer_keywords,
    "row_group_kwargs": check.row_group_keywords,
    "addl_hats_properties": check.properties,
    "tqdm_kwargs": check.bar_keywords,
    "completion_email_address": check.email_address,
    "create_partition_info_png": check.partition_picture,
}


def _file_system(path_name: str, options_name: str, values: Mapping[str, Any]) -> None:
    """Check that the file system of a path can be opened with its options. No server is asked."""
    value, options = values[path_name], dict(values[options_name] or {})
    if path_name == "output_path" and not str(value or ""):
        if not values["add_to_collection"] and values["collection"] is None:
            raise ArgumentError(f"output_path is required, as a path or URL, not {value!r}")
        return
    try:
        path = with_options(value, options)
        if not isinstance(path, Path):
            path.fs  # noqa: B018 - created at first access
    except OSError as error:
        raise StorageError(
            without_secrets(f"{path_name} {value} cannot be reached: {error}", options)
        ) from None
    except (ImportError, ValueError, TypeError) as error:
        raise ArgumentError(
            without_secrets(f"{path_name} {value} with its {options_name} cannot be used: {error}", options)
        ) from None
    if isinstance(path, Path):
        # They may be for the partitions of a local catalog, which lie elsewhere.
        if options and (path_name == "output_path" or values["path_generator"] is None):
            raise ArgumentError(
                f"{options_name} are for remote file systems, but {path_name} {path} is local"
            )
    elif path_name == "output_path" and not can_list(path):
        raise ArgumentError(f"output_path {path}: nothing can be written over {path.protocol}")


def _default_of_collection(values: Mapping[str, Any]) -> None:
    if values["add_to_collection"] and values["collection"] is not None:
        raise ArgumentError(
            f"add_to_collection=True and collection={str(values['collection'])!r} cannot be combined: the first is for "
            "the collection that the catalog lies in"
        )
    if values["default_margin"] and not values["add_to_collection"] and values["collection"] is None:
        raise ArgumentError("default_margin=True needs add_to_collection=True or collection=DIR")


def _one_kind_of_part(values: Mapping[str, Any]) -> None:
    if values["cone"] is not None and (values["debug_filter_pixel_list"] or values["only_changed"]):
        other = "only_changed" if values["only_changed"] else "debug_filter_pixel_list"
        raise ArgumentError(f"cone and {other} cannot be combined")


def _changed_and_exact(values: Mapping[str, Any]) -> None:
    if values["only_changed"] and not values["fine_filtering"]:
        raise ArgumentError("only_changed=True cannot be combined with fine_filtering=False")


def _name_in_folder(values: Mapping[str, Any]) -> None:
    if values["npix_parquet_name"] is not None and values["npix_suffix"] != "/":
        raise ArgumentError(f"npix_parquet_name {values['npix_parquet_name']!r} needs npix_suffix='/'")


def _one_row_group_size(values: Mapping[str, Any]) -> None:
    if "num_rows" in values["row_group_kwargs"] and "row_group_size" in values["write_table_kwargs"]:
        raise ArgumentError(
            "row_group_kwargs['num_rows'] and write_table_kwargs['row_group_size'] set the same limit: give one of them"
        )


# The checks of combinations, with the arguments they concern.
_COMBINATIONS: tuple[tuple[set[str], Callable[[Mapping[str, Any]], None]], ...] = (
    ({"default_margin", "add_to_collection", "collection"}, _default_of_collection),
    (
        {"input_catalog_path", "input_storage_options", "path_generator"},
        partial(_file_system, "input_catalog_path", "input_storage_options"),
    ),
    (
        {"output_path", "output_storage_options", "add_to_collection", "collection"},
        partial(_file_system, "output_path", "output_storage_options"),
    ),
    ({"cone", "debug_filter_pixel_list", "only_changed"}, _one_kind_of_part),
    ({"only_changed", "fine_filtering"}, _changed_and_exact),
    ({"npix_parquet_name", "npix_suffix"}, _name_in_folder),
    ({"row_group_kwargs", "write_table_kwargs"}, _one_row_group_size),
)


def validate(values: Mapping[str, Any], changed: Iterable[str] | None = None) -> dict[str, Any]:
    """Check the values of all arguments and their combinations. No disk or server is asked.

    Parameters
    ----------
    values
        All arguments by name.
    changed
        Names of the arguments to check, alone and in combination; default all.

    Returns
    -------
    dict
        The values to keep.

    Raises
    ------
    ArgumentError
        When a value is not allowed.
    """
    names = set(values if changed is None else changed)
    kept = dict(values)
    for name, check_alone in CHECKS.items():
        if name in names:
            kept[name] = check_alone(kept[name])
    for together, check_together in _COMBINATIONS:
        if names & together:
            check_together(kept)
    return kept
