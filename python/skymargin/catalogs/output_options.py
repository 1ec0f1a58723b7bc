"""What a user may want of a margin catalog's files beside its rows, and which format can do it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from skymargin.errors import ArgumentError

_MARGIN_SUFFIX = ".parquet"
# Every format has row groups and keyword arguments of the Parquet writer; the rest are things of HATS.
_OF_EVERY_FORMAT = ("write_table_kwargs", "row_group_kwargs", "debug_filter_pixel_list", "cone")


@dataclass(frozen=True)
class OutputOptions:
    """The arguments of a run that shape files; they mean what `MarginCacheArguments` says, by the same names."""

    npix_suffix: str = _MARGIN_SUFFIX
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
        """Those of a run's arguments."""
        return cls(**{option.name: getattr(args, option.name) for option in fields(cls)})

    def file_name(self, margin_file: str) -> str:
        """Path of a partition's file, from the one that ends with `.parquet`."""
        stem = margin_file.removesuffix(_MARGIN_SUFFIX)
        if self.npix_suffix != "/":
            return stem + self.npix_suffix
        return f"{stem}/{self.npix_parquet_name or margin_file.rpartition('/')[2]}"

    @property
    def group_rows(self) -> int | None:
        """Most rows of a row group, when it was given."""
        return self.row_group_kwargs.get("num_rows", self.write_table_kwargs.get("row_group_size"))

    @property
    def names_compression(self) -> bool:
        """Whether it was said how files are compressed."""
        return bool({"compression", "compression_level"} & self.write_table_kwargs.keys())

    def check_format(self, name: str) -> None:
        """Refuse what the format of the margin does not have.

        Raises
        ------
        ArgumentError
            When something is wanted that only HATS has, and the format is another.
        """
        if name == "hats":
            return
        default = OutputOptions()
        for option in fields(self):
            wanted = getattr(self, option.name)
            if option.name not in _OF_EVERY_FORMAT and wanted != getattr(default, option.name):
                raise ArgumentError(
                    f"{option.name}={wanted!r} is for margins in the HATS format; "
                    f"the margin of a catalog in the format {name} has no such thing"
                )
