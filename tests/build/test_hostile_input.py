"""Input that was made to do harm: each case got through once, as did the `always` cases of `tests/campaign/hostile`."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import skymargin._core as _core
from skymargin import MarginCacheArguments
from skymargin.errors import ArgumentError, CatalogError, StorageError
from tests.support.catalogs import Layout, Sky, ids_of, make_margin, rows_of, sky_near_edges, write_catalog

THRESHOLD_ARCSEC = 60.0
PARTITIONS = ((1, 4), (1, 5), (1, 6))


@pytest.fixture
def sky() -> Sky:
    return sky_near_edges(PARTITIONS, rows=150, reach_arcsec=THRESHOLD_ARCSEC, seed=4)


@pytest.fixture
def catalog(sky: Sky, tmp_path: Path) -> Path:
    write_catalog(tmp_path / "sky" / "stars", sky)
    return tmp_path / "sky" / "stars"


def state(catalog: Path, key: str, value: str) -> None:
    """Have both properties files of a catalog say something else."""
    for name in ("hats.properties", "properties"):
        file = catalog / name
        lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{key}=")]
        file.write_text("\n".join([*lines, f"{key}={value}"]) + "\n")


@pytest.mark.parametrize("argument", ["input_catalog_path", "output_path", "tmp_dir"])
def test_a_path_with_a_null_is_an_argument_error(argument: str, catalog: Path, tmp_path: Path) -> None:
    given = {"input_catalog_path": catalog, "output_path": tmp_path / "out", argument: f"{tmp_path}/a\0b"}
    with pytest.raises(ArgumentError, match=f"{argument} .*a.x00b' is not allowed: no path has a null"):
        MarginCacheArguments(output_artifact_name="margin", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["1_0", "+7"])
def test_an_index_order_of_other_digits_is_refused(order: str, catalog: Path, tmp_path: Path) -> None:
    state(catalog, "hats_col_healpix_order", order)
    with pytest.raises(CatalogError, match=r"properties has hats_col_healpix_order=.*allowed are 0 to 29"):
        make_margin(catalog, tmp_path / "out", THRESHOLD_ARCSEC)


def test_a_pipe_is_not_waited_for(catalog: Path, tmp_path: Path) -> None:
    (catalog / "dataset" / "_common_metadata").unlink()
    os.mkfifo(catalog / "dataset" / "_common_metadata")
    with pytest.raises(CatalogError, match="dataset/_common_metadata is not a file"):
        make_margin(catalog, tmp_path / "out", THRESHOLD_ARCSEC)


def test_a_long_name_of_a_primary_is_cut_in_the_error(catalog: Path, tmp_path: Path) -> None:
    (catalog.parent / "collection.properties").write_text(f"hats_primary_table_url={'x' * 100_000}\n")
    with pytest.raises(CatalogError, match=r"collection\.properties names .* as its primary") as caught:
        make_margin(catalog.parent, tmp_path / "out", THRESHOLD_ARCSEC)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize("place", ["stars", "./stars", "{base}/sky/stars"])
def test_a_primary_inside_its_collection_is_not_worth_a_word(
    place: str, catalog: Path, sky: Sky, tmp_path: Path
) -> None:
    text = place.format(base=tmp_path)
    (catalog.parent / "collection.properties").write_text(f"hats_primary_table_url={text}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_margin(catalog.parent, tmp_path / "out", THRESHOLD_ARCSEC)
    assert ids_of(tmp_path / "out" / "margin") == sky.margins(THRESHOLD_ARCSEC)


@pytest.mark.parametrize("door", ["map_batch", "reduce_batch"])
def test_rows_that_do_not_fit_the_memory_are_told_with_the_folder(
    door: str, catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError("there is no memory for 314572800 bytes")

    monkeypatch.setattr(_core, door, full)
    with pytest.raises(
        StorageError, match=rf"{tmp_path}/out/margin\.skymargin-.*no memory for 314572800 bytes"
    ):
        make_margin(catalog, tmp_path / "out", THRESHOLD_ARCSEC)


def test_the_name_of_a_column_is_no_script_in_the_page_for_people(sky: Sky, tmp_path: Path) -> None:
    script = "<script>alert('x')</script>"
    table = rows_of(sky, Layout())
    table = table.append_column(script, table.column("mag"))
    write_catalog(tmp_path / "stars", sky, table=table)
    make_margin(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC, create_summary_html=True)
    page = (tmp_path / "out" / "margin" / "index.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_description_that_does_not_fit_the_disk_is_an_error(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a warning beside half a file."""
    import errno

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hats.io.summary_file.write_catalog_summary_file", full)
    with pytest.raises(StorageError, match="No space left on device"):
        make_margin(catalog, tmp_path / "out", THRESHOLD_ARCSEC, create_summary_md=True)


# A run in a process that has so many bytes of address space more than it needed for a first one.
_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from skymargin.cli.main import main

first, catalog, output, more_bytes = sys.argv[1:]
arguments = ["--threshold", "60", "--output", output, "--threads", "1", "--no-progress"]
assert main(["build", first, "--name", "first", *arguments]) == 0
(size,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmSize"))
limit = int(size) * 1024 + int(more_bytes)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(["build", catalog, "--name", "margin", *arguments]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
@pytest.mark.parametrize("more_pages", [0.5, 1.5])
def test_a_valid_page_without_memory_for_it_or_its_values_is_no_end_of_the_process(
    more_pages: float, sky: Sky, catalog: Path, tmp_path: Path
) -> None:
    write_catalog(tmp_path / "first", sky)
    (file,) = catalog.rglob("Npix=4.parquet")
    table = pq.ParquetFile(file).read()
    texts = pa.array(["a" * (300 << 20 if row == 0 else 1) for row in range(len(table))])
    table = table.set_column(table.schema.get_field_index("name"), table.schema.field("name"), texts)
    pq.write_table(table, file, compression="zstd", use_dictionary=False, write_statistics=False)
    given = [tmp_path / "first", catalog, tmp_path / "out", int(more_pages * (300 << 20))]
    ran = subprocess.run(
        [sys.executable, "-c", _WITH_LITTLE_MEMORY, *map(str, given)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    (told,) = ran.stderr.splitlines()
    assert f"{file}: column 'name': there is no memory for 3145" in told
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"first"}
