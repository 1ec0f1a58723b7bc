"""A script of hipscat-import that imports a catalog and makes its margin, unchanged but for the line of the stand-in.

The environment of hipscat-import is too old for skymargin: the package is used from there, and its library from here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import skymargin
from tests.support import brute_force
from tests.support.catalogs import files_of
from tests.support.hipscat_catalogs import hipscat_ids

pytestmark = pytest.mark.slow

ROWS = 5_000
SCRIPT = """
import skymargin
skymargin.install_as_hipscat_import()

from hipscat_import.catalog.arguments import ImportArguments
from hipscat_import.catalog.file_readers import CsvReader
from hipscat_import.margin_cache.margin_cache_arguments import MarginCacheArguments
from hipscat_import.pipeline import pipeline

if __name__ == "__main__":
    pipeline(ImportArguments(
        input_file_list=["stars.csv"], file_reader=CsvReader(), output_path="out", output_artifact_name="stars",
        ra_column="ra", dec_column="dec", pixel_threshold=500, progress_bar=False,
    ))
    pipeline(MarginCacheArguments(
        input_catalog_path="out/stars", output_path="out", output_artifact_name="margin", margin_threshold=60.0,
        progress_bar=False,
    ))
"""


def test_a_catalog_of_hipscat_import_and_its_margin(hipscat_import_python: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(20_261_129)
    ra_deg = np.mod(45.0 + random.normal(scale=0.7, size=ROWS), 360.0)
    dec_deg = random.normal(scale=0.7, size=ROWS)
    pa.csv.write_csv(pa.table({"id": np.arange(ROWS), "ra": ra_deg, "dec": dec_deg}), tmp_path / "stars.csv")
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "installed").mkdir()
    packages = next(hipscat_import_python.parents[1].glob("lib/python3*/site-packages"))
    for name in packages.glob("hipscat_import*"):
        (tmp_path / "installed" / name.name).symlink_to(name, target_is_directory=True)
    paths = [str(Path(skymargin.__file__).parents[1]), str(tmp_path / "installed")]
    subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        check=True,
        timeout=300,
    )
    columns = [
        pq.ParquetFile(file).read(["id", "ra", "dec", "Norder", "Npix"])
        for file in files_of(tmp_path / "out" / "stars").values()
    ]
    keys, *rest = (
        np.concatenate([rows.column(name).to_numpy() for rows in columns])
        for name in ("id", "ra", "dec", "Norder", "Npix")
    )
    assert len(keys) == ROWS
    margins = brute_force.margins(*rest, list(files_of(tmp_path / "out" / "stars")), 60.0)
    assert hipscat_ids(tmp_path / "out" / "margin") == {
        pixel: sorted(keys[rows].tolist()) for pixel, rows in margins.items()
    }
    assert sum(map(len, margins.values())) > 100
