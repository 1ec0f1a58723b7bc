"""`MarginCacheArguments` for scripts of hats-import 0.11."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from skymargin.build.preflight import Target
from skymargin.compat.script_arguments import ScriptArguments
from skymargin.storage.paths import with_options

# In the order of their positions.
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
# What the plans of hats-import take from arguments as it is.
_OF_PLANS = (
    *("resume", "progress_bar", "simple_progress_bar", "tqdm_kwargs", "tmp_base_path"),
    *("delete_resume_log_files", "delete_intermediate_parquet_files"),
)


@dataclass(init=False)
class HatsImportArguments(ScriptArguments):
    """`MarginCacheArguments` for scripts of hats-import; exact unless `fine_filtering=False` is given.

    Parameters
    ----------
    should_write_skymap, skymap_alt_orders, create_skymap_png
        Without effect, as in hats-import: a margin has no map of the sky. Collections give all their arguments to
        their margins, these too.
    """

    positions = HATS_IMPORT_ARGUMENTS

    should_write_skymap: bool = True
    skymap_alt_orders: list[int] | None = None
    create_skymap_png: bool = False

    @classmethod
    def meant(cls, given: dict[str, Any]) -> dict[str, Any]:
        """In hats-import a `margin_order` alone sets the threshold; here the margin is exact for this threshold."""
        order = given.get("margin_order", -1)
        # `add_margin(margin_order=...)` of a collection gives None.
        is_alone = "fine_filtering" not in given or given.get("margin_threshold", 0) is None
        if is_alone and isinstance(order, int) and order >= 0:
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

    def resume_kwargs_dict(self) -> dict[str, Any]:
        """What the plans of hats-import, which record the progress of its own runs, take from arguments."""
        given = self.resume_tmp
        folder = self.tmp_path if given is None else with_options(given, None) / self.artifact_name
        return {name: getattr(self, name) for name in _OF_PLANS} | {"tmp_path": folder}

    def extra_property_dict(self, catalog_path: Any = None) -> dict[str, Any]:
        """The properties of a run: those of `addl_hats_properties`, the tool, the time and the size."""
        from skymargin.catalogs.library_catalog import hats_provenance

        return hats_provenance(catalog_path or self.catalog_path, self.addl_hats_properties or {})

    def to_table_properties(self, total_rows: int, highest_order: int, moc_sky_fraction: float) -> Any:
        """The properties of the margin catalog as `hats.catalog.TableProperties`, as in hats-import."""
        from skymargin.catalogs.library_catalog import hats_properties

        info = self.catalog.catalog_info
        return hats_properties(
            {
                "catalog_name": self.output_artifact_name,
                "total_rows": total_rows,
                "catalog_type": "margin",
                "ra_column": info.ra_column,
                "dec_column": info.dec_column,
                "primary_catalog": str(self.input_catalog_path),
                "margin_threshold": self.margin_threshold,
                "hats_order": highest_order,
                "moc_sky_fraction": f"{moc_sky_fraction:0.5f}",
                "hats_col_healpix": info.healpix_column,
                "hats_col_healpix_order": info.healpix_order,
                "npix_suffix": self.npix_suffix,
            }
            | self.extra_property_dict()
        )
