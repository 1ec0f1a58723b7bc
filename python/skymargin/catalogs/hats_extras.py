"""What a HATS catalog may have beside its data: a thumbnail, statistics, a picture, a description for people.

All are the work of the `hats` library, so that they are what its readers expect. What it cannot make of a catalog, of
odd types say, is a warning: the margin is as good without, and may have taken hours.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from skymargin.errors import ArgumentError
from skymargin.storage.paths import open_input

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skymargin.catalogs.output_options import OutputOptions
    from skymargin.storage.paths import AnyPath


def write_samples(folder: AnyPath, wanted: OutputOptions) -> None:
    """Write the thumbnail and the statistics of each partition.

    The library writes `_common_metadata` with them, so this comes before ours is written. A catalog without
    partitions has nothing to show, and gets neither.

    Parameters
    ----------
    folder
        The catalog, whose partitions are written.
    wanted
        Which of the files to write.
    """
    names = [name for name in ("create_thumbnail", "create_per_partition_stats") if getattr(wanted, name)]
    if not names:
        return
    with _attempt(" and ".join(names)):
        from hats.io.parquet_metadata import write_parquet_metadata

        write_parquet_metadata(
            folder,
            # Ordering goes with _metadata, which is not the library's to write here.
            order_by_healpix=False,
            create_metadata=False,
            **dict.fromkeys(names, True),
        )


def write_descriptions(folder: AnyPath, name: str, partitions: int, wanted: OutputOptions) -> None:
    """Draw the partitions and describe the catalog.

    Parameters
    ----------
    folder
        The catalog, complete but for these, in a folder that is going to be renamed.
    name
        Name of the folder it is going to have.
    partitions
        How many partitions it has; a sky without any is not drawn.
    wanted
        Which of the files to write.
    """
    import html

    import pyarrow.parquet as pq

    if wanted.create_partition_info_png and partitions:
        with _attempt("create_partition_info_png"):
            from hats.io.summary_file import write_partition_info_png

            write_partition_info_png(folder)
    for option, form in (("create_summary_html", "html"), ("create_summary_md", "markdown")):
        if getattr(wanted, option):
            with _attempt(option):
                from hats.io.summary_file import write_catalog_summary_file

                file = folder / write_catalog_summary_file(folder, fmt=form).name
                text = file.read_text(encoding="utf-8")
                if form == "html":
                    # The library takes a name for text, whatever is in it.
                    with open_input(folder / "dataset" / "_common_metadata") as source:
                        columns = pq.read_schema(source).names
                    for column in columns:
                        text = text.replace(column, html.escape(column)) if "<" in column else text
                file.write_text(text.replace(folder.name, name), encoding="utf-8")


def as_written(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Additional properties of a margin catalog, by the names and in the form in which they are kept.

    Parameters
    ----------
    properties
        Names of either kind, those of the file or those of the library's attributes, to values.

    Raises
    ------
    ArgumentError
        When the `hats` library refuses them.
    """
    from hats.catalog import TableProperties

    plain = {
        "catalog_name": "margin", "catalog_type": "margin", "total_rows": 0, "primary_catalog": "catalog",
        "margin_threshold": 1.0, "ra_column": "ra", "dec_column": "dec",
    }  # fmt: skip
    try:
        without, with_them = (
            TableProperties(**one).model_dump(by_alias=True, exclude_none=True)
            for one in (plain, plain | dict(properties))
        )
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"addl_hats_properties {dict(properties)} cannot be used: {error}") from error
    return {name: value for name, value in with_them.items() if without.get(name) != value}


# No room on the disk, in the quota, in a file of the largest size.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def _attempt(option: str) -> Iterator[None]:
    """Do something for an option, without the deprecations between the libraries of others; a failure is a warning."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            # Half of a file may be there, and what comes next is not going to fit either.
            raise
        warnings.warn(
            f"the margin is complete, but {option} did not work: {type(error).__name__}: {error}",
            stacklevel=3,
        )
