"""What a HATS catalog may have beside its data: a thumbnail, statistics, a picture, a description for people.

All are the work of the `hats` library, so that they are what its readers expect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skymargin.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skymargin.formats.output_options import OutputOptions
    from skymargin.storage import AnyPath


def write_samples(folder: AnyPath, wanted: OutputOptions) -> None:
    """Write the thumbnail and the statistics of each partition.

    The library writes `_common_metadata` with them, so this comes before ours is written. A catalog without
    partitions gets neither file: there is nothing to show.

    Parameters
    ----------
    folder
        The catalog, whose partitions are written.
    wanted
        Which of the files to write.
    """
    if not (wanted.create_thumbnail or wanted.create_per_partition_stats):
        return
    from hats.io.parquet_metadata import write_parquet_metadata

    write_parquet_metadata(
        folder,
        # Ordering goes with _metadata, which is not the library's to write here.
        order_by_healpix=False,
        create_metadata=False,
        create_thumbnail=wanted.create_thumbnail,
        create_per_partition_stats=wanted.create_per_partition_stats,
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
    if wanted.create_partition_info_png and partitions:
        from hats.io.summary_file import write_partition_info_png

        write_partition_info_png(folder)
    for chosen, form in ((wanted.create_summary_html, "html"), (wanted.create_summary_md, "markdown")):
        if chosen:
            from hats.io.summary_file import write_catalog_summary_file

            file = folder / write_catalog_summary_file(folder, fmt=form).name
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace(folder.name, name), encoding="utf-8")


def check_properties(properties: Mapping[str, Any]) -> None:
    """Check that properties can be those of a margin catalog.

    Raises
    ------
    ArgumentError
        When the `hats` library refuses them.
    """
    from hats.catalog import TableProperties

    try:
        TableProperties(
            catalog_name="margin", catalog_type="margin", total_rows=0, primary_catalog="catalog",
            margin_threshold=1.0, ra_column="ra", dec_column="dec", **properties,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"addl_hats_properties {dict(properties)} cannot be used: {error}") from error
