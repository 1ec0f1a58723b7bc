"""`MarginCacheArguments` for scripts of hipscat-import 0.3."""

from __future__ import annotations

from typing import Any

import skymargin._core as _core
from skymargin.compat.script_arguments import ScriptArguments

# In the order of their positions.
HIPSCAT_IMPORT_ARGUMENTS = (
    *("output_path", "output_artifact_name", "output_storage_options", "tmp_dir", "resume", "progress_bar"),
    *("simple_progress_bar", "dask_tmp", "dask_n_workers", "dask_threads_per_worker", "resume_tmp"),
    *("completion_email_address", "catalog_path", "tmp_path", "margin_threshold", "margin_order"),
    *("fine_filtering", "delete_intermediate_parquet_files", "delete_resume_log_files", "input_catalog_path"),
    *("input_storage_options", "debug_filter_pixel_list"),
)
# What the provenance of hipscat-import tells of the run and of the margin, by the names of arguments.
_OF_RUN = (
    *(
        "output_path",
        "output_artifact_name",
        "tmp_dir",
        "dask_tmp",
        "dask_n_workers",
        "dask_threads_per_worker",
    ),
    *("catalog_path", "tmp_path"),
)
_OF_MARGIN = ("input_catalog_path", "margin_threshold", "margin_order", "debug_filter_pixel_list")


class HipscatImportArguments(ScriptArguments):
    """`MarginCacheArguments` for scripts of hipscat-import."""

    positions = HIPSCAT_IMPORT_ARGUMENTS

    @classmethod
    def meant(cls, given: dict[str, Any]) -> dict[str, Any]:
        """In hipscat-import `resume=False` removes anything at the output; here it replaces a margin, nothing else."""
        if given.get("resume") is False:
            given.setdefault("overwrite", True)
        return given

    @property
    def catalog_path(self) -> Any:
        """Folder of the margin catalog, as text: paths of hipscat are."""
        return str(self._final_path())

    @property
    def tmp_path(self) -> Any:
        """The folder of intermediate files in hipscat-import, as text."""
        return str(super().tmp_path)

    def to_catalog_info(self, total_rows: int) -> Any:
        """The metadata of the margin catalog as the `MarginCacheCatalogInfo` of hipscat, as in hipscat-import."""
        from skymargin.catalogs.library_catalog import hipscat_margin_info

        info = self.catalog.catalog_info
        return hipscat_margin_info(
            {
                "catalog_name": self.output_artifact_name,
                "total_rows": total_rows,
                # HiPSCat's default; a HATS catalog has none.
                "epoch": getattr(info, "epoch", None) or "J2000",
                "ra_column": info.ra_column,
                "dec_column": info.dec_column,
                "primary_catalog": self.input_catalog_path,
                "margin_threshold": self.margin_threshold,
            }
        )

    def provenance_info(self) -> dict[str, Any]:
        """What the run is, as hipscat-import writes it into `provenance_info.json`; the tool is skymargin."""
        run = {"catalog_name": self.output_artifact_name} | {
            name: _plain(getattr(self, name)) for name in _OF_RUN
        }
        return {
            "tool_name": "skymargin",
            "version": _core.VERSION,
            "runtime_args": run | self.additional_runtime_provenance_info(),
        }

    def additional_runtime_provenance_info(self) -> dict[str, Any]:
        """The arguments of the margin in its provenance."""
        return {name: _plain(getattr(self, name)) for name in _OF_MARGIN}


def _plain(value: Any) -> Any:
    """A value as JSON can have it: paths as text, and empty text for none, which is hipscat-import's default."""
    return value if isinstance(value, str | int | float | list) else "" if value is None else str(value)
