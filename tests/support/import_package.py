"""A small package named hats_import, made like the real one in what stand-ins depend on: who imports what from whom."""

from __future__ import annotations

from pathlib import Path

_FILES = {
    "__init__.py": """
        from ._version import __version__
        from .catalog import ImportArguments
        from .collection import CollectionArguments
        from .margin_cache.margin_cache_arguments import MarginCacheArguments
        from .pipeline import pipeline, pipeline_with_client
        from .runtime_arguments import RuntimeArguments
    """,
    "_version.py": "__version__ = '0.11.1.made'",
    "runtime_arguments.py": """
        from dataclasses import dataclass

        @dataclass
        class RuntimeArguments:
            output_path: object = None
            output_artifact_name: str = ""
            should_write_skymap: bool = True
            completion_email_address: str = ""

            @property
            def catalog_path(self):
                from pathlib import Path
                return Path(self.output_path) / self.output_artifact_name
    """,
    "catalog/__init__.py": "from .arguments import ImportArguments",
    "catalog/arguments.py": """
        from dataclasses import dataclass
        from hats_import.runtime_arguments import RuntimeArguments

        @dataclass
        class ImportArguments(RuntimeArguments):
            source: object = None
    """,
    "catalog/run_import.py": """
        import shutil

        def run(args, client):
            shutil.copytree(args.source, args.catalog_path)
    """,
    "margin_cache/__init__.py": "from .margin_cache import generate_margin_cache",
    "margin_cache/margin_cache.py": """
        def generate_margin_cache(args, client):
            raise AssertionError("the margin pipeline of hats_import ran")
    """,
    "margin_cache/margin_cache_arguments.py": """
        from dataclasses import dataclass
        from hats_import.runtime_arguments import RuntimeArguments

        @dataclass
        class MarginCacheArguments(RuntimeArguments):
            margin_threshold: float = 5.0
    """,
    "margin_cache/margin_cache_resume_plan.py": "class MarginCachePlan: pass",
    "collection/__init__.py": """
        from .arguments import CollectionArguments
        from .run_import import run
    """,
    "collection/arguments.py": """
        from dataclasses import dataclass, field
        from hats_import.catalog import ImportArguments
        from hats_import.margin_cache.margin_cache_arguments import MarginCacheArguments
        from hats_import.runtime_arguments import RuntimeArguments

        @dataclass
        class CollectionArguments(RuntimeArguments):
            new_catalog_path: object = None
            new_catalog_name: str | None = None
            catalog_args: object = None
            margin_kwargs: list = field(default_factory=list)
            default_margin_name: str | None = None
            margin_args: list = field(default_factory=list)
            margin_paths: list = field(default_factory=list)

            def catalog(self, **kwargs):
                self.catalog_args = ImportArguments(output_path=self.catalog_path, **kwargs)
                self.new_catalog_path = self.catalog_args.catalog_path
                self.new_catalog_name = self.catalog_args.output_artifact_name
                return self

            def add_margin(self, is_default=False, **kwargs):
                if "margin_threshold" not in kwargs and "margin_order" not in kwargs:
                    raise ValueError("Margin threshold required")
                threshold = kwargs["margin_threshold"] or 0.6 * 3600
                given = {
                    "output_path": self.catalog_path,
                    "output_artifact_name": f"{self.new_catalog_name}_{int(threshold)}arcs",
                    "input_catalog_path": self.new_catalog_path,
                    "should_write_skymap": self.should_write_skymap,
                    "progress_bar": False,
                } | kwargs
                if is_default:
                    self.default_margin_name = given["output_artifact_name"]
                self.margin_kwargs.append(given)
                self.margin_paths.append(given["output_artifact_name"])
                return self

            def get_margin_args(self):
                if not self.margin_args:
                    self.margin_args = [MarginCacheArguments(**given) for given in self.margin_kwargs]
                return self.margin_args
    """,
    "collection/run_import.py": """
        import hats_import.catalog.run_import as catalog_runner
        import hats_import.margin_cache.margin_cache as margin_runner
        from hats_import.collection.arguments import CollectionArguments

        def run(args, client):
            if not isinstance(args, CollectionArguments):
                raise TypeError("args must be type CollectionArguments")
            catalog_runner.run(args.catalog_args, client)
            for margin_args in args.get_margin_args():
                margin_runner.generate_margin_cache(margin_args, client)
            (args.catalog_path / "collection.properties").write_text(
                f"obs_collection={args.output_artifact_name}\\n"
                f"hats_primary_table_url={args.new_catalog_name}\\n"
                f"all_margins={' '.join(args.margin_paths)}\\ndefault_margin={args.default_margin_name}\\n"
            )
    """,
    "pipeline.py": """
        import hats_import.catalog.run_import as catalog_runner
        import hats_import.collection.run_import as collection_runner
        import hats_import.margin_cache.margin_cache as margin_runner
        from hats_import.catalog.arguments import ImportArguments
        from hats_import.collection.arguments import CollectionArguments
        from hats_import.margin_cache.margin_cache_arguments import MarginCacheArguments
        from hats_import.runtime_arguments import RuntimeArguments

        def pipeline(args):
            from dask.distributed import Client
            with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
                pipeline_with_client(args, client)

        def pipeline_with_client(args, client):
            if isinstance(args, ImportArguments):
                catalog_runner.run(args, client)
            elif isinstance(args, MarginCacheArguments):
                margin_runner.generate_margin_cache(args, client)
            elif isinstance(args, CollectionArguments):
                collection_runner.run(args, client)
            else:
                raise ValueError("unknown args type")
    """,
}


def write_import_package(folder: Path) -> None:
    """Write the package into a folder that is searched for imports."""
    from textwrap import dedent

    for name, text in _FILES.items():
        file = folder / "hats_import" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
