"""Optional files of a HATS margin: thumbnail, statistics, picture and summaries, written by the `hats` library.

The library writes them into the finished catalog before it is published. Where it fails, at unusual types for example,
the run warns and goes on: the margin is complete without them, and may have taken hours.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from skymargin.catalogs.layout import COMMON_METADATA, DATASET
from skymargin.catalogs.metadata_file import read_schema
from skymargin.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skymargin.catalogs.output_options import OutputOptions
    from skymargin.storage.paths import AnyPath


def write_samples(folder: AnyPath, options: OutputOptions) -> None:
    """Write the thumbnail and the statistics of each partition of a catalog that has partitions.

    The library also writes `_common_metadata`, which is then replaced by our own with the metadata of the schema.

    Parameters
    ----------
    folder
        The catalog, whose partitions are complete.
    options
        The options that select the files.
    """
    names = [name for name in ("create_thumbnail", "create_per_partition_stats") if getattr(options, name)]
    if not names:
        return
    with _attempt(" and ".join(names)):
        from hats.io.parquet_metadata import write_parquet_metadata

        write_parquet_metadata(
            folder,
            # The order matters for _metadata only, which skymargin writes itself.
            order_by_healpix=False,
            create_metadata=False,
            **dict.fromkeys(names, True),
        )


def write_descriptions(folder: AnyPath, name: str, partitions: int, options: OutputOptions) -> None:
    """Write the picture of the partitions and the summaries of a catalog.

    Parameters
    ----------
    folder
        The catalog, otherwise complete, in a temporary folder.
    name
        Name of the folder that it is published as.
    partitions
        Number of partitions; without any there is no picture.
    options
        The options that select the files.
    """
    if options.create_partition_info_png and partitions:
        with _attempt("create_partition_info_png"):
            from hats.io.summary_file import write_partition_info_png

            write_partition_info_png(folder)
    for option, kind in (("create_summary_html", "html"), ("create_summary_md", "markdown")):
        if getattr(options, option):
            with _attempt(option):
                import html

                from hats.io.summary_file import write_catalog_summary_file

                file = folder / write_catalog_summary_file(folder, fmt=kind).name
                text = file.read_text(encoding="utf-8")
                if kind == "html":
                    # The library does not escape the names of columns.
                    for column in read_schema(folder / DATASET / COMMON_METADATA).names:
                        text = text.replace(column, html.escape(column)) if "<" in column else text
                file.write_text(text.replace(folder.name, name), encoding="utf-8")


def as_written(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Additional properties of a margin catalog, with the names and values that the properties file has for them.

    Parameters
    ----------
    properties
        Names in the file, or names of the library's attributes, to values.

    Raises
    ------
    ArgumentError
        When the `hats` library refuses a value.
    """
    from hats.catalog import TableProperties

    plain = {
        "catalog_name": "margin", "catalog_type": "margin", "total_rows": 0, "primary_catalog": "catalog",
        "margin_threshold": 1.0, "ra_column": "ra", "dec_column": "dec",
    }  # fmt: skip
    try:
        without, with_them = (
            TableProperties(**values).model_dump(by_alias=True, exclude_none=True)
            for values in (plain, plain | dict(properties))
        )
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"addl_hats_properties {dict(properties)} cannot be used: {error}") from error
    return {name: value for name, value in with_them.items() if without.get(name) != value}


# The disk or the quota is full, or the file has the largest size that is allowed.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def _attempt(option: str) -> Iterator[None]:
    """Turn a failure of an option into a warning, and ignore deprecation warnings of other libraries."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            # A partial file may exist, and the next files do not fit either.
            raise
        warnings.warn(
            f"the margin is complete, but {option} did not work: {type(error).__name__}: {error}",
            stacklevel=3,
        )
