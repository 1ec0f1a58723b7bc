"""What the arguments of both packages share: positions, arguments that are results here, what scripts read back."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import Any, ClassVar

from skymargin.build.argument_positions import by_name
from skymargin.build.arguments import MarginCacheArguments
from skymargin.build.stages.plan import coarse_margin_order, coarse_threshold_arcsec
from skymargin.errors import ArgumentError
from skymargin.storage.paths import AnyPath, with_options

# Arguments that are results here, and what they follow from.
_RESULTS = {
    "catalog_path": "it is derived from output_path and output_artifact_name",
    "tmp_path": "it is derived from tmp_dir",
    "tmp_base_path": "it is derived from tmp_dir",
}
_OURS = frozenset(field.name for field in fields(MarginCacheArguments))


class ScriptArguments(MarginCacheArguments):
    """`MarginCacheArguments` as the scripts of another package give and read them.

    A subclass may have further fields, without a meaning here: they keep what they are given.
    """

    # Names of the arguments in the order of their positions.
    positions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *values: Any, **named: Any) -> None:
        given = by_name(type(self).__name__, self.positions, values, named)
        for name in _RESULTS:
            _refuse_result(name, given.pop(name, None))
        for field in fields(type(self)):
            if field.name not in _OURS:
                vars(self)[field.name] = given.pop(field.name, field.default)
        super().__init__(**self.meant(given))
        self._derive("margin_order")
        if self.debug_filter_pixel_list:
            # As in the other package, pixels that overlap no partition are refused at construction.
            _ = self.catalog

    def _assign(self, name: str, value: Any) -> None:
        if name in _RESULTS:
            _refuse_result(name, value)
            return
        is_later = name in vars(self)
        super()._assign(name, value)
        if is_later:
            self._derive(name)
        # It was opened for the former arguments.
        vars(self).pop("catalog", None)

    def _derive(self, changed: str) -> None:
        """Set the threshold by the order, or the order by the threshold, as the other package does.

        Exact margins keep the threshold.
        """
        order, threshold_arcsec = self.margin_order, self.margin_threshold
        if order < 0 or changed == "margin_threshold":
            vars(self)["margin_order"] = coarse_margin_order(threshold_arcsec)
        elif not self.fine_filtering and order != coarse_margin_order(threshold_arcsec):
            vars(self)["margin_threshold"] = coarse_threshold_arcsec(order)

    @classmethod
    def meant(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments with the meaning that they have here."""
        return given

    @cached_property
    def catalog(self) -> Any:
        """The input catalog as scripts read it, such as `args.catalog.catalog_info.ra_column`."""
        from skymargin.catalogs.library_catalog import library_catalog

        return library_catalog(self.primary_path, list(self.debug_filter_pixel_list or ()))

    @property
    def search_order(self) -> int:
        """The order by which a coarse margin was asked for, if it was; else the run chooses the best.

        Scripts give an order that suits the other package, or read one that was chosen there. It makes no difference to
        the rows of an exact margin.
        """
        is_given = self.margin_threshold == coarse_threshold_arcsec(self.margin_order)
        return self.margin_order if is_given and not self.fine_filtering else -1

    @property
    def tmp_path(self) -> AnyPath:
        """The folder of intermediate files in the other package. The run has other folders, beside or in `tmp_dir`."""
        return (self.tmp_base_path or self._final_path()) / "intermediate"

    @property
    def tmp_base_path(self) -> AnyPath | None:
        """The folder of this margin in `tmp_dir` or `dask_tmp`; None when neither is given."""
        for folder in (self.tmp_dir, self.dask_tmp):
            if folder is not None and str(folder) != str(self.output_path):
                return with_options(folder, None) / self.output_artifact_name
        return None


def _refuse_result(name: str, value: object) -> None:
    if value is not None:
        raise ArgumentError(f"{name}={value!r} cannot be given: {_RESULTS[name]}")
