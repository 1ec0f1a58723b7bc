"""Run scripts written for hipscat-import or hats-import unchanged: this package under the names of those.

Only the margin pipeline has a stand-in. Differences in the order, the defaults and the reading of arguments are handled
here alone.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from functools import cached_property
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from skymargin.build.arguments import MarginCacheArguments, by_name
from skymargin.errors import ArgumentError, StandInError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Client

    from skymargin.build.preflight import Target

# The arguments of the margin pipelines of hipscat-import 0.3 and hats-import 0.11, in the order of their positions.
HIPSCAT_IMPORT_ARGUMENTS = (
    *("output_path", "output_artifact_name", "output_storage_options", "tmp_dir", "resume", "progress_bar"),
    *("simple_progress_bar", "dask_tmp", "dask_n_workers", "dask_threads_per_worker", "resume_tmp"),
    *("completion_email_address", "catalog_path", "tmp_path", "margin_threshold", "margin_order"),
    *("fine_filtering", "delete_intermediate_parquet_files", "delete_resume_log_files", "input_catalog_path"),
    *("input_storage_options", "debug_filter_pixel_list"),
)
HATS_IMPORT_ARGUMENTS = (
    *("output_path", "output_artifact_name", "addl_hats_properties", "npix_suffix", "npix_parquet_name"),
    *(
        "write_table_kwargs",
        "row_group_kwargs",
        "should_write_skymap",
        "skymap_alt_orders",
        "create_thumbnail",
    ),
    *("create_metadata", "create_per_partition_stats", "create_skymap_png", "create_partition_info_png"),
    *("create_summary_html", "create_summary_md", "tmp_dir", "resume", "progress_bar", "simple_progress_bar"),
    *("tqdm_kwargs", "dask_tmp", "dask_n_workers", "dask_threads_per_worker", "resume_tmp"),
    *("delete_intermediate_parquet_files", "delete_resume_log_files", "completion_email_address"),
    *("catalog_path", "tmp_path", "tmp_base_path", "margin_threshold", "margin_order", "fine_filtering"),
    *("input_catalog_path", "debug_filter_pixel_list"),
)
# Arguments without a counterpart: the values that ask for nothing, and the reason.
_GONE: dict[str, tuple[tuple[object, ...], str]] = {
    "catalog_path": ((None,), "it is derived from output_path and output_artifact_name"),
    "tmp_path": ((None,), "it is derived from tmp_dir"),
    "tmp_base_path": ((None,), "it is derived from tmp_dir"),
    "should_write_skymap": ((False, None), "a margin has no skymap, and hats-import writes none either"),
    "skymap_alt_orders": ((None, [], ()), "a margin has no skymap, and hats-import writes none either"),
    "create_skymap_png": ((False, None), "a margin has no skymap, and hats-import draws none either"),
}


class _ScriptArguments(MarginCacheArguments):
    """`MarginCacheArguments` as the scripts of another package give and read them."""

    positions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *values: Any, **named: Any) -> None:
        given = by_name(type(self).__name__, self.positions, values, named)
        for name in _GONE:
            if name in given:
                _refuse_gone(name, given.pop(name))
        super().__init__(**self.meant(given))

    def _assign(self, name: str, value: Any) -> None:
        if name in _GONE:
            _refuse_gone(name, value)
            return
        super()._assign(name, value)
        # It was opened for the former arguments.
        vars(self).pop("catalog", None)

    @classmethod
    def meant(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments with the meaning that they have here."""
        return given

    @cached_property
    def catalog(self) -> Any:
        """The input catalog as scripts read it, such as `args.catalog.catalog_info.ra_column`."""
        from skymargin.catalogs.catalog import library_catalog

        return library_catalog(self.primary_path, list(self.debug_filter_pixel_list or ()))


class HipscatImportArguments(_ScriptArguments):
    """`MarginCacheArguments` for scripts of hipscat-import."""

    positions = HIPSCAT_IMPORT_ARGUMENTS

    @classmethod
    def meant(cls, given: dict[str, Any]) -> dict[str, Any]:
        """In hipscat-import `resume=False` removes anything at the output; here it replaces a margin, nothing else."""
        if given.get("resume") is False:
            given.setdefault("overwrite", True)
        return given


class HatsImportArguments(_ScriptArguments):
    """`MarginCacheArguments` for scripts of hats-import; exact unless `fine_filtering=False` is given."""

    positions = HATS_IMPORT_ARGUMENTS

    @classmethod
    def meant(cls, given: dict[str, Any]) -> dict[str, Any]:
        """In hats-import a `margin_order` alone sets the threshold; here the margin is exact for this threshold."""
        order = given.get("margin_order", -1)
        if "fine_filtering" not in given and isinstance(order, int) and order >= 0:
            from skymargin.build.stages.plan import coarse_threshold_arcsec
            from skymargin.build.validators import whole_number
            from skymargin.geometry.limits import LARGEST_ORDER

            order = whole_number("margin_order", order, -1, LARGEST_ORDER)
            given["margin_threshold"] = coarse_threshold_arcsec(order)
        return given

    @property
    def target(self) -> Target:
        """In hats-import `resume=False` replaces an unfinished catalog, and refuses a finished one."""
        target = super().target
        return replace(target, replace_interrupted=target.replace_interrupted or not self.resume)


def generate_margin_cache(args: MarginCacheArguments, client: Client) -> None:
    """Make a margin catalog with a client, without a mail; as the function of this name in those packages.

    Raises
    ------
    SkymarginError
        When the margin cannot be made completely. Nothing of it is left behind.
    """
    from skymargin.build.pipeline import make_with_client

    make_with_client(args, client)


def install_as_hipscat_import() -> None:
    """Make `import hipscat_import` import this package. Call it before importing a script of hipscat-import.

    Raises
    ------
    StandInError
        When hipscat-import itself is imported already.
    """
    _install("hipscat_import", HipscatImportArguments, ("RuntimeArguments",))


def install_as_hats_import() -> None:
    """Make `import hats_import` import this package. Call it before importing a script of hats-import.

    Raises
    ------
    StandInError
        When hats-import itself is imported already.
    """
    face = ("MarginCacheArguments", "RuntimeArguments", "pipeline", "pipeline_with_client")
    _install("hats_import", HatsImportArguments, face)


class _StandIn(ModuleType):
    """A module under the name of another package; its names are loaded from this one when they are first used."""

    skymargin_names: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("skymargin_names", {}):
            home, attribute = self.skymargin_names[name]
            return getattr(importlib.import_module(home), attribute)
        raise AttributeError(
            f"module {self.__name__!r} has no attribute {name!r} (skymargin stands in for it)"
        )


class _Finder:
    """Explains imports of modules that have no stand-in."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.startswith(f"{self.package}."):
            raise ModuleNotFoundError(
                f"No module named {name!r}: skymargin stands in for {self.package}, "
                "and provides only its margin pipeline",
                name=name,
            )
        return None


def _refuse_gone(name: str, value: object) -> None:
    nothing, reason = _GONE[name]
    if value not in nothing:
        raise ArgumentError(f"{name}={value!r} cannot be given: {reason}")


def _install(package: str, arguments: type[MarginCacheArguments], face: Sequence[str]) -> None:
    imported = sys.modules.get(package)
    if isinstance(imported, _StandIn):
        return
    if imported is not None:
        raise StandInError(
            f"{package} is imported already, from {getattr(imported, '__file__', None)}; "
            f"skymargin.install_as_{package}() must be called before"
        )
    given = ("skymargin.compat", arguments.__name__)
    run = {name: ("skymargin.build.pipeline", name) for name in ("pipeline", "pipeline_with_client")}
    known = {
        "MarginCacheArguments": given,
        "RuntimeArguments": ("skymargin.build.arguments", "MarginCacheArguments"),
    }
    generate = {"generate_margin_cache": ("skymargin.compat", "generate_margin_cache")}
    modules = {
        "": {name: (run | known)[name] for name in face} | {"__version__": ("skymargin", "__version__")},
        ".pipeline": run | known,
        ".runtime_arguments": {"RuntimeArguments": known["RuntimeArguments"]},
        ".margin_cache": generate,
        ".margin_cache.margin_cache_arguments": known,
        ".margin_cache.margin_cache": generate,
    }
    for inside, names in modules.items():
        module = _StandIn(package + inside, f"The margin pipeline of {package}, by skymargin.")
        module.__path__ = []
        module.skymargin_names = names
        sys.modules[package + inside] = module
        parent, _, child = (package + inside).rpartition(".")
        if parent and child not in sys.modules[parent].skymargin_names:
            setattr(sys.modules[parent], child, module)
    sys.meta_path.insert(0, _Finder(package))
