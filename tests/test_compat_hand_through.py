"""With hats-import installed, all but margins is handed through to it. A small package of its shape stands for it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hats import read_hats

from tests.support.catalogs import MIXED_PARTITIONS, Sky, ids_of, sky_near_edges, write_catalog
from tests.support.import_package import write_import_package

WIDE_ARCSEC, NARROW_ARCSEC = 1800.0, 600.5


@pytest.fixture(scope="module")
def sky() -> Sky:
    return sky_near_edges(MIXED_PARTITIONS, rows=400, reach_arcsec=WIDE_ARCSEC, seed=31)


@pytest.fixture
def folder(sky: Sky, tmp_path: Path) -> Path:
    write_import_package(tmp_path / "installed")
    write_catalog(tmp_path / "source", sky)
    return tmp_path


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, with the package installed there, after the line that makes its margins ours."""
    file = folder / "script.py"
    file.write_text(f"import skymargin\nskymargin.install_as_hats_import()\n{textwrap.dedent(script)}")
    paths = [str(folder / "installed"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_collection_with_margins_of_ours_from_one_reading(sky: Sky, folder: Path) -> None:
    done = run(
        f"""
        from skymargin.build.run import Run
        runs, work = [], Run.map
        Run.map = lambda self: runs.append([margin.name for margin in self.plan.margins]) or work(self)

        from hats_import import CollectionArguments
        from hats_import.pipeline import pipeline

        args = (
            CollectionArguments(output_path="out", output_artifact_name="sky")
            .catalog(output_artifact_name="stars", source="source")
            .add_margin(margin_threshold={NARROW_ARCSEC}, is_default=True)
            .add_margin(margin_threshold={WIDE_ARCSEC})
            .add_margin(margin_threshold=600.9)
            .add_margin(margin_order=12, fine_filtering=False, output_artifact_name="ring")
        )
        pipeline(args)
        print(runs)
        """,
        folder,
    )
    assert done.returncode == 0, done.stderr
    # The margins that hats-import would give one name have two, and the coarse one has a run of its own.
    assert done.stdout == "[['stars_1800arcs', 'stars_600.9arcs', 'stars_600arcs'], ['ring']]\n"
    collection = read_hats(folder / "out" / "sky")
    assert collection.get_margin_thresholds().keys() == {
        "stars_1800arcs",
        "stars_600.9arcs",
        "stars_600arcs",
        "ring",
    }
    assert collection.default_margin == "stars_600arcs"
    for name, threshold_arcsec in (("1800", WIDE_ARCSEC), ("600", NARROW_ARCSEC), ("600.9", 600.9)):
        assert ids_of(folder / "out" / "sky" / f"stars_{name}arcs") == sky.margins(threshold_arcsec)


def test_the_script_asks_for_each_margin_of_a_collection(sky: Sky, folder: Path) -> None:
    """What is made with another one is made once; a margin that is there is refused as ever."""
    done = run(
        """
        from dask.distributed import Client
        from hats_import.catalog.run_import import run
        from hats_import.collection.arguments import CollectionArguments
        from hats_import.margin_cache import generate_margin_cache
        from pathlib import Path

        args = CollectionArguments("out", "sky").catalog(output_artifact_name="stars", source="source")
        args.add_margin(margin_threshold=600.5).add_margin(margin_threshold=1800.0)
        run(args.catalog_args, None)
        first, second = args.get_margin_args()
        assert args.get_margin_args()[1] is second
        with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
            generate_margin_cache(second, client)
            assert (Path(first.catalog_path) / "hats.properties").exists()
            generate_margin_cache(first, client)
            try:
                generate_margin_cache(first, client)
            except skymargin.SkymarginError as error:
                print(error)
        """,
        folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out/sky/stars_600arcs exists already; overwrite=True replaces it\n"
    assert ids_of(folder / "out" / "sky" / "stars_600arcs") == sky.margins(NARROW_ARCSEC)


def test_names_are_ours_for_margins_and_theirs_for_all_else(folder: Path) -> None:
    done = run(
        """
        import importlib.util, pickle, sys
        # Their modules depend on it that the package is loaded first.
        import hats_import.collection.run_import as collection_runner
        from hats_import.margin_cache.margin_cache_arguments import MarginCacheArguments
        from hats_import import MarginCacheArguments as FromTop, pipeline_with_client
        import hats_import
        import hats_import.catalog.arguments
        import hats_import.collection.arguments
        import hats_import.margin_cache.margin_cache as margin_runner
        from hats_import.collection import CollectionArguments
        from hats_import.margin_cache import generate_margin_cache
        from hats_import.margin_cache.margin_cache_resume_plan import MarginCachePlan
        from hats_import.pipeline import pipeline, RuntimeArguments
        assert hats_import.__version__ == "0.11.1.made"
        assert MarginCacheArguments is FromTop is hats_import.MarginCacheArguments
        assert MarginCacheArguments.__module__ == "skymargin.compat.hats_arguments"
        assert hats_import.pipeline is pipeline
        assert hats_import.pipeline_with_client is pipeline_with_client
        assert margin_runner.generate_margin_cache is generate_margin_cache
        assert generate_margin_cache.__module__.startswith("skymargin.")
        assert MarginCachePlan.__module__ == "hats_import.margin_cache.margin_cache_resume_plan"
        assert hats_import.CollectionArguments is CollectionArguments
        assert hats_import.collection.arguments.CollectionArguments is CollectionArguments
        assert hats_import.catalog.arguments.ImportArguments is hats_import.ImportArguments
        assert collection_runner is sys.modules["hats_import.collection.run_import"]
        assert collection_runner.CollectionArguments is CollectionArguments
        skymargin.install_as_hats_import()
        assert sum(type(one).__module__ == "skymargin.compat.overlay" for one in sys.meta_path) == 1
        assert issubclass(CollectionArguments, RuntimeArguments) and RuntimeArguments is hats_import.RuntimeArguments
        assert hats_import.__file__.endswith("installed/hats_import/__init__.py")
        assert importlib.util.find_spec("hats_import").origin == hats_import.__file__

        args = CollectionArguments("out", "sky").catalog(output_artifact_name="stars", source="source")
        assert pickle.loads(pickle.dumps(args)) == args
        assert not hasattr(hats_import, "nothing")
        for line in ("from hats_import import nothing", "import hats_import.nothing"):
            try:
                exec(line)
            except ImportError as error:
                print(error)
        """,
        folder,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("cannot import name 'nothing' from 'hats_import'")
    assert second == "No module named 'hats_import.nothing'"


def test_pipelines_of_all_kinds(sky: Sky, folder: Path) -> None:
    done = run(
        """
        from hats_import import ImportArguments, MarginCacheArguments, pipeline
        from hats_import.pipeline import pipeline_with_client

        pipeline_with_client(ImportArguments("out", "stars", source="source"), None)
        report = pipeline(MarginCacheArguments(
            "out", "margin", input_catalog_path="out/stars", margin_threshold=600.5, progress_bar=False
        ))
        print(report.rows)
        for args in (None, "nothing"):
            try:
                pipeline(args)
            except ValueError as error:
                print(error)
        """,
        folder,
    )
    assert done.returncode == 0, done.stderr
    margins = sky.margins(NARROW_ARCSEC)
    assert done.stdout == f"{sum(map(len, margins.values()))}\n" + 2 * "unknown args type\n"
    assert ids_of(folder / "out" / "margin") == margins


def test_a_package_that_cannot_be_imported_says_why(folder: Path) -> None:
    """Its margins are ours and need nothing of it; with something else of it, its own error is seen."""
    (folder / "installed" / "hats_import" / "catalog" / "arguments.py").write_text("import not_there_at_all")
    done = run(
        """
        from hats_import.margin_cache.margin_cache_arguments import MarginCacheArguments
        from hats_import import CollectionArguments
        """,
        folder,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'not_there_at_all'"
