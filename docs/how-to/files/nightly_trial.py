"""Measure what nightly updates of a made-up survey cost, beside full runs.

Usage: python nightly_trial.py [ROWS]

It needs about 150 bytes of disk for each row, in the folder for temporary files.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from append import append
from hats.catalog import TableProperties

from skymargin import MarginCacheArguments, MarginReport, pipeline, write_catalog

THRESHOLD_ARCSEC = 10.0
ROWS_PER_PARTITION = 10_000
# The survey, and fields of one night in degrees: right ascension and declination from and to.
SURVEY = (0.0, 120.0, -30.0, 30.0)
IN_IT = (60.0, 62.0, -1.0, 1.0)
ACROSS_ITS_EDGE = (119.0, 127.0, -1.0, 1.0)


def stars(rows: int, field: tuple[float, float, float, float], seed: int) -> pa.Table:
    """Stars that are spread evenly over a field."""
    random = np.random.default_rng(seed)
    ra_from, ra_to, dec_from, dec_to = field
    z_from, z_to = np.sin(np.radians([dec_from, dec_to]))
    columns = {
        "id": np.arange(rows) + seed * 1_000_000_000,
        "ra": random.uniform(ra_from, ra_to, rows),
        "dec": np.degrees(np.arcsin(random.uniform(z_from, z_to, rows))),
    }
    bands = {f"mag_{band}": random.uniform(14, 25, rows).astype(np.float32) for band in "ugrizy"}
    return pa.table(columns | bands)


def with_folders(catalog: Path) -> Path:
    """Make each partition of a catalog a folder that holds its file."""
    for file in sorted(catalog.glob("dataset/Norder=*/Dir=*/Npix=*.parquet")):
        file.with_suffix("").mkdir()
        file.rename(file.with_suffix("") / "first.parquet")
    about = TableProperties.read_from_dir(catalog).copy_and_update(npix_suffix="/")
    about.to_properties_file(catalog)
    # It names the files as they were.
    (catalog / "dataset" / "_metadata").unlink()
    return catalog


def timed(catalog: Path, name: str, **how: bool) -> tuple[float, MarginReport]:
    """Build a margin; seconds, and what was done."""
    args = MarginCacheArguments(
        input_catalog_path=catalog,
        output_path=catalog.parent,
        output_artifact_name=f"{catalog.name}_{name}",
        margin_threshold=THRESHOLD_ARCSEC,
        dask_threads_per_worker=2,
        progress_bar=False,
        **how,
    )
    begun = time.perf_counter()
    report = pipeline(args)
    return time.perf_counter() - begun, report


def contents(margin: Path) -> dict[str, bytes]:
    """The files of a margin by their names, without its properties: they have its name, and the time."""
    files = (path for path in margin.rglob("*") if path.is_file() and "properties" not in path.name)
    return {str(path.relative_to(margin)): path.read_bytes() for path in files}


def nights(folder: Path, rows: int) -> Iterator[tuple[str, Path, pa.Table | None]]:
    """What happens, to which catalog, and the rows of the night."""
    files, folders = folder / "files", folder / "folders"
    survey, night = stars(rows, SURVEY, seed=1), max(rows // 1_000, 1)
    for catalog in (files, folders):
        write_catalog(survey, catalog, rows_per_partition=ROWS_PER_PARTITION)
    for catalog in (files, with_folders(folders)):
        timed(catalog, "margin")
    yield "a field in the survey", files, stars(night, IN_IT, seed=2)
    yield "a field across its edge: new partitions", files, stars(night, ACROSS_ITS_EDGE, seed=3)
    yield 'one more file in each folder (npix_suffix="/")', folders, stars(night, IN_IT, seed=4)
    yield "no new rows", files, None


def main(rows: int) -> None:
    """Print a table."""
    print(
        "| night | rows added | partitions grown, new | only_changed: seconds, read | full run: seconds, read |"
    )
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        for number, (what, catalog, added) in enumerate(nights(Path(scratch), rows)):
            grown, new = (0, 0) if added is None else append(catalog, added, f"night{number}")
            update, changed = timed(catalog, "margin", only_changed=True)
            full, whole = timed(catalog, "full", overwrite=True)
            if contents(Path(changed.catalog_path)) != contents(Path(whole.catalog_path)):
                raise SystemExit(f"{what}: the margins differ")
            cells = [what, f"{0 if added is None else len(added):,}", f"{grown}, {new}"]
            cells += [
                f"{seconds:.2f} s, {report.bytes_read / 1e6:.1f} MB"
                for seconds, report in ((update, changed), (full, whole))
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000)
