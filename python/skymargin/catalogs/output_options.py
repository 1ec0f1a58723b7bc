"""Options of a margin catalog's files, and the formats that have them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from skymargin.catalogs.layout import SUFFIX
from skymargin.errors import ArgumentError

# Options of every format; only HATS has the others.
_OF_EVERY_FORMAT = ("write_table_kwargs", "row_group_kwargs", "debug_filter_pixel_list", "cone")


@dataclass(frozen=True)
class OutputOptions:
    """The arguments of a run that shape files, with the names and meanings that `MarginCacheArguments` documents."""

    npix_suffix: str = SUFFIX
    npix_parquet_name: str | None = None
    write_table_kwargs: dict[str, Any] = field(default_factory=dict)
    row_group_kwargs: dict[str, int] = field(default_factory=dict)
    addl_hats_properties: dict[str, Any] = field(default_factory=dict)
    debug_filter_pixel_list: list[tuple[int, int]] = field(default_factory=list)
    cone: tuple[float, float, float] | None = None
    create_metadata: bool = True
    create_thumbnail: bool = False
    create_per_partition_stats: bool = False
    create_partition_info_png: bool = False
    create_summary_html: bool = False
    create_summary_md: bool = False

    @classmethod
    def of(cls, args: object) -> OutputOptions:
        """The options in the arguments of a run."""
        return cls(**{option.name: getattr(args, option.name) for option in fields(cls)})

    def file_name(self, margin_file: str) -> str:
        """Path of a partition's file with these options, from its default path, which ends with `.parquet`."""
        stem = margin_file.removesuffix(SUFFIX)
        if self.npix_suffix != "/":
            return stem + self.npix_suffix
        return f"{stem}/{self.npix_parquet_name or margin_file.rpartition('/')[2]}"

    @property
    def group_rows(self) -> int | None:
        """Largest number of rows in a row group; None when no option sets it."""
        return self.row_group_kwargs.get("num_rows", self.write_table_kwargs.get("row_group_size"))

    @property
    def needs_row_groups(self) -> bool:
        """Whether `_metadata` is written: as a file of the catalog, or for the summaries."""
        return self.create_metadata or self.create_summary_html or self.create_summary_md

    @property
    def describes(self) -> bool:
        """Whether an option asks for files that are made from the finished catalog."""
        made = ("thumbnail", "per_partition_stats", "partition_info_png", "summary_html", "summary_md")
        return any(getattr(self, f"create_{name}") for name in made)

    def check_format(self, name: str) -> None:
        """Check that the format of the margin has all options that are set.

        Raises
        ------
        ArgumentError
            When an option is set that only HATS has, and the format is another one.
        """
        if name == "hats":
            return
        default = OutputOptions()
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name not in _OF_EVERY_FORMAT and value != getattr(default, option.name):
                raise ArgumentError(
                    f"{option.name}={value!r} is for margins in the HATS format; the format {name} has no such option"
                )
