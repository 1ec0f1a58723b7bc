"""Scripts of hats-import's own documentation, unchanged but for the line that makes their margins ours."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import skymargin
from tests.project.test_readme import examples
from tests.support import brute_force
from tests.support.catalogs import files_of, ids_of, make_margin

pytestmark = pytest.mark.slow

ROWS = 20_000
# The example of the page on collections, with paths and the main guard filled in as readers do, and without its index:
# hats-import 0.11 makes none with this Dask on Python 3.11.
COLLECTION = """
from hats_import import CollectionArguments
from hats_import.pipeline import pipeline

if __name__ == "__main__":
    args = (
        CollectionArguments(
            output_artifact_name="my-catalog",
            output_path="collections",
            progress_bar=False,
            dask_n_workers=2,
        )
        .catalog(
            input_path="csv",
            file_reader="csv",
            ra_column="ra",
            dec_column="dec",
            sort_columns="source_id",
            pixel_threshold=1_000,
        )
        .add_margin(margin_threshold=5.0, is_default=True)
        .add_margin(margin_threshold=100.0)
    )
    pipeline(args)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stars as CSV files and as a Parquet file, most of them within a degree."""
    folder = tmp_path_factory.mktemp("scripts")
    random = np.random.default_rng(20_261_128)
    ra_deg = np.mod(45.0 + random.normal(scale=0.7, size=ROWS), 360.0)
    dec_deg = random.normal(scale=0.7, size=ROWS)
    number = np.arange(ROWS)
    table = pa.table(
        {
            "source_id": number,
            "designation": [f"star {n}" for n in number],
            "ra": ra_deg,
            "dec": dec_deg,
            "mag": random.uniform(5, 20, ROWS),
        }
    )
    pq.write_table(table, folder / "stars.parquet")
    (folder / "csv").mkdir()
    for part in range(4):
        pa.csv.write_csv(table.slice(part * ROWS // 4, ROWS // 4), folder / "csv" / f"part{part}.csv")
    return folder


def run(script: str, folder: Path, python: Path) -> str:
    """Run a script in the environment of hats-import, with skymargin from the running one; what it prints."""
    file = folder / "script.py"
    file.write_text(f"import skymargin\nskymargin.install_as_hats_import()\n{textwrap.dedent(script)}")
    return subprocess.run(
        [str(python), str(file)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": search_path(folder)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
    ).stdout


def search_path(folder: Path) -> str:
    """Skymargin, and what it needs and hats-import does not bring."""
    extra = folder / "needed"
    extra.mkdir(exist_ok=True)
    for name in ("filelock",):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        if not (extra / name).exists():
            (extra / name).symlink_to(Path(spec.origin).parent, target_is_directory=True)
    return os.pathsep.join([str(Path(skymargin.__file__).parents[1]), str(extra)])


def expected_margins(catalog: Path, threshold_arcsec: float) -> dict[tuple[int, int], list[int]]:
    """Identifiers of the rows of each margin, by brute force."""
    columns: list[list[np.ndarray]] = [[], [], [], [], []]
    for (order, pixel), file in files_of(catalog).items():
        rows = pq.ParquetFile(file).read(["source_id", "ra", "dec"])
        values = [rows.column(name).to_numpy() for name in ("source_id", "ra", "dec")]
        for column, value in zip(
            columns, [*values, np.full(len(rows), order), np.full(len(rows), pixel)], strict=True
        ):
            column.append(value)
    keys, ra_deg, dec_deg, orders, pixels = (np.concatenate(column) for column in columns)
    assert sorted(keys.tolist()) == list(range(ROWS))
    margins = brute_force.margins(
        ra_deg,
        dec_deg,
        orders.astype(np.uint8),
        pixels.astype(np.uint64),
        list(files_of(catalog)),
        threshold_arcsec,
    )
    return {pixel: sorted(keys[rows].tolist()) for pixel, rows in margins.items()}


@pytest.fixture(scope="module")
def collection(folder: Path, hats_import_python: Path) -> Path:
    run(COLLECTION, folder, hats_import_python)
    return folder / "collections" / "my-catalog"


def test_the_collection_of_the_page_has_exact_margins(collection: Path) -> None:
    for threshold_arcsec, name in ((5.0, "my-catalog_5arcs"), (100.0, "my-catalog_1arcmin")):
        expected = expected_margins(collection / "my-catalog", threshold_arcsec)
        assert ids_of(collection / name, "source_id") == expected
        assert sum(map(len, expected.values())) > threshold_arcsec
        assert "hats_builder=skymargin" in (collection / name / "hats.properties").read_text()
    # All else is theirs.
    assert "hats_builder=hats-import" in (collection / "my-catalog" / "hats.properties").read_text().replace(
        "\\", ""
    )
    assert not (collection / "intermediate").exists()
    assert not [path for path in collection.rglob("*") if "skymargin-" in path.name]


def test_the_script_of_the_migration_page(folder: Path, hats_import_python: Path) -> None:
    (example,) = [example for example in examples() if "CollectionArguments" in example.code]
    (folder / "page").mkdir()
    (folder / "page" / "csv").symlink_to(folder / "csv", target_is_directory=True)
    run(example.code, folder / "page", hats_import_python)
    made = folder / "page" / "collections" / "my-catalog"
    for threshold_arcsec, name in ((5.0, "my-catalog_5arcs"), (100.0, "my-catalog_1arcmin")):
        assert ids_of(made / name, "source_id") == expected_margins(made / "my-catalog", threshold_arcsec)


def test_lsdb_opens_the_collection_with_its_default_margin(
    collection: Path, folder: Path, hats_import_python: Path
) -> None:
    said = run(
        f"""
        import lsdb
        stars = lsdb.open_catalog({str(collection)!r})
        print(stars.margin.name, stars.margin.hc_structure.catalog_info.margin_threshold, len(stars.margin.compute()))
        """,
        folder,
        hats_import_python,
    )
    rows = sum(map(len, expected_margins(collection / "my-catalog", 5.0).values()))
    assert said.splitlines()[-1] == f"my-catalog_5arcs 5.0 {rows}"


def test_lsdb_opens_an_overlay_of_its_catalog(
    collection: Path, folder: Path, hats_import_python: Path
) -> None:
    overlay = folder / "overlay"
    make_margin(collection / "my-catalog", overlay, 50.0, collection=overlay)
    said = run(
        f"""
        import lsdb
        stars = lsdb.open_catalog({str(overlay)!r})
        print(stars.hc_structure.catalog_path, stars.margin.name, len(stars.margin.compute()))
        """,
        folder,
        hats_import_python,
    )
    rows = sum(map(len, expected_margins(collection / "my-catalog", 50.0).values()))
    assert said.splitlines()[-1] == f"{collection / 'my-catalog'} margin {rows}"


def test_a_collection_of_an_existing_catalog_of_any_width(
    collection: Path, folder: Path, hats_import_python: Path
) -> None:
    """Wider than the partitions, coarse, by an order alone, and two that hats-import gives one name."""
    said = run(
        f"""
        import hats_import.collection.run_import as collection_runner
        from dask.distributed import Client
        from hats_import import CollectionArguments
        from skymargin.build.run import Run

        runs, work = [], Run.map
        Run.map = lambda self: runs.append([margin.name for margin in self.plan.margins]) or work(self)
        if __name__ == "__main__":
            args = (
                CollectionArguments(output_artifact_name="wide", output_path="collections", progress_bar=False)
                .catalog(catalog_path={str(collection / "my-catalog")!r})
                .add_margin(margin_threshold=3600.0)
                .add_margin(margin_threshold=1.2)
                .add_margin(margin_threshold=1.7, is_default=True)
                .add_margin(margin_threshold=20.0, fine_filtering=False, output_artifact_name="ring")
                .add_margin(margin_order=10)
            )
            with Client(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
                collection_runner.run(args, client)
            import json
            print(json.dumps(runs))
        """,
        folder,
        hats_import_python,
    )
    runs = json.loads(said.splitlines()[-1])
    assert sorted(map(len, runs)) == [1, 4]
    wide = folder / "collections" / "wide"
    primary = collection / "my-catalog"
    for threshold_arcsec, name in ((3600.0, "1deg"), (1.2, "1arcs"), (1.7, "1.7arcs")):
        assert ids_of(wide / f"my-catalog_{name}", "source_id") == expected_margins(primary, threshold_arcsec)
    ring, exact = ids_of(wide / "ring", "source_id"), expected_margins(primary, 20.0)
    assert sum(map(len, ring.values())) > sum(map(len, exact.values()))
    assert all(set(ids) <= set(ring[pixel]) for pixel, ids in exact.items())
    properties = (wide / "collection.properties").read_text()
    assert "default_margin=my-catalog_1.7arcs\n" in properties
    assert str(primary) in properties


def test_pipelines_that_are_not_margins(folder: Path, hats_import_python: Path) -> None:
    """An import of Parquet files and a verification run as hats-import has them."""
    said = run(
        """
        from hats_import import ImportArguments, MarginCacheArguments, VerificationArguments, pipeline
        from hats_import.catalog.file_readers import ParquetPyarrowReader

        if __name__ == "__main__":
            pipeline(ImportArguments(
                output_path="single", output_artifact_name="stars", input_file_list=["stars.parquet"],
                file_reader=ParquetPyarrowReader(), ra_column="ra", dec_column="dec", pixel_threshold=3_000,
                progress_bar=False,
            ))
            pipeline(VerificationArguments(input_catalog_path="single/stars", output_path="report", verbose=False))
            args = MarginCacheArguments(
                input_catalog_path="single/stars", output_path="single", output_artifact_name="margin",
                margin_threshold=30.0, progress_bar=False,
            )
            print(args.margin_order, args.to_table_properties(1, 2, 0.5).margin_threshold)
            pipeline(args)
        """,
        folder,
        hats_import_python,
    )
    assert said.splitlines()[0] == "12 30.0"
    assert ids_of(folder / "single" / "margin", "source_id") == expected_margins(
        folder / "single" / "stars", 30.0
    )
    assert list((folder / "report").iterdir())
