"""What an argument could make endless is bounded or refused: in a process that has little memory left."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cdshealpix.nested
import numpy as np
import pyarrow as pa
import pytest

from skymargin import neighbours
from tests.support import brute_force
from tests.support.catalogs import Layout, Sky, ids_of, rows_of, sky_near_edges, write_catalog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")

# Thirteen partitions; the ring of a base cell at order 27 has half a billion pixels, at order 29 two billion.
PARTITIONS = (*((0, pixel) for pixel in range(1, 12)), (1, 0), (1, 1))

# Code in a process that has 256 MiB of address space more than it needed to come so far.
_LIMITED = """
import resource, sys
from pathlib import Path

def limit_memory(more_bytes=256 << 20):
    (size,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmSize" in line)
    limit = int(size) * 1024 + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

"""

_BUILDS = """
from skymargin.cli.main import main

first, catalog, output, order = sys.argv[1:]
arguments = ["--coarse", "--margin-order", order, "--output", output, "--threads", "1", "--no-progress"]
given = ["--threshold", "0.0001", *arguments]
assert main(["build", first, "--name", "first", *given]) == 0
limit_memory()
sys.exit(main(["build", catalog, "--name", "margin", *given]))
"""


def run_limited(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _LIMITED + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def rings(sky: Sky, margin_order: int) -> dict[tuple[int, int], list[int]]:
    """Ids of the rows of each coarse margin: those whose pixel has a neighbour in the margin's pixel."""
    pixels = brute_force.pixels_of(sky.ra_deg, sky.dec_deg, margin_order)
    around = np.asarray(cdshealpix.nested.neighbours(pixels, margin_order)).astype(np.int64)
    found = {}
    for order, pixel in [*sky.partitions, *brute_force.empty_pixels(sky.partitions)]:
        touches = ((around >> 2 * (margin_order - order) == pixel) & (around >= 0)).any(axis=1)
        rows = np.flatnonzero(touches & ((sky.own_order != order) | (sky.own_pixel != pixel)))
        if len(rows):
            found[order, pixel] = rows.tolist()
    return found


@pytest.mark.parametrize("margin_order", [27, 29])
@pytest.mark.parametrize(
    "layout", [Layout(), Layout(index_column="coarse", index_order=0)], ids=["index", "coarse index"]
)
def test_a_coarse_margin_of_tiny_pixels_takes_the_memory_of_its_rows(
    margin_order: int, layout: Layout, tmp_path: Path
) -> None:
    reach_arcsec = 0.5 * 211_000 / (1 << margin_order)
    sky = sky_near_edges(PARTITIONS, rows=2_000, reach_arcsec=reach_arcsec, seed=margin_order)
    write_catalog(tmp_path / "stars", sky, layout)
    write_catalog(tmp_path / "first", sky_near_edges(((0, 4), (0, 5)), 100, 60.0, seed=1), layout)
    ran = run_limited(_BUILDS, tmp_path / "first", tmp_path / "stars", tmp_path / "out", margin_order)
    assert ran.returncode == 0, ran.stderr
    expected = rings(sky, margin_order)
    assert sum(map(len, expected.values())) > 400
    assert ids_of(tmp_path / "out" / "margin") == expected


def test_a_row_whose_index_names_no_pixel_is_in_no_ring(tmp_path: Path) -> None:
    sky = sky_near_edges(PARTITIONS, rows=400, reach_arcsec=100.0, seed=3)
    table = rows_of(sky, Layout())
    index = table.column("_healpix_29").to_numpy().copy()
    # A negative value is looked up by the coordinates; one beyond the last pixel lies nowhere.
    index[::5], index[1::5], index[2::5] = -1, 2**63 - 1, 12 << 58
    ids = table.column("id").to_numpy()
    nowhere = {*ids[1::5].tolist(), *ids[2::5].tolist()}
    place = table.schema.get_field_index("_healpix_29")
    write_catalog(tmp_path / "stars", sky, table=table.set_column(place, "_healpix_29", pa.array(index)))
    ran = run_limited(_BUILDS, tmp_path / "stars", tmp_path / "stars", tmp_path / "out", 10)
    assert ran.returncode == 0, ran.stderr
    expected = {pixel: [row for row in rows if row not in nowhere] for pixel, rows in rings(sky, 10).items()}
    assert sum(map(len, expected.values())) > 50
    assert ids_of(tmp_path / "out" / "margin") == {pixel: rows for pixel, rows in expected.items() if rows}


@pytest.mark.parametrize(
    ("pixel", "at_order", "radius_arcsec", "least", "most"),
    [
        # A ring of 2**31 + 4 pixels; half the sky; the pixels about a tiny one.
        ((0, 4), 29, 1e-9, 2**31, 2**31 + 100),
        ((0, 0), 29, 324_000.0, 12 << 57, 12 << 58),
        ((5, 1000), 29, 10.0, 10**12, 3 * 10**12),
        ((29, 5), 29, 3600.0, 10**14, 10**15),
    ],
)
def test_more_neighbours_than_can_be_listed_are_refused_with_their_number(
    pixel: tuple[int, int], at_order: int, radius_arcsec: float, least: int, most: int
) -> None:
    with pytest.raises(
        ValueError, match=rf"^at_order {at_order} is not allowed .* at most 16777216 "
    ) as caught:
        neighbours(*pixel, at_order, radius_arcsec)
    told = re.search(r"about (\d+) pixels", str(caught.value))
    assert told
    assert least <= int(told[1]) <= most


def test_neighbours_without_memory_for_them_are_an_error() -> None:
    # 2.7 million of them, 21 MiB, and twice that while the list grows.
    code = """
from skymargin import neighbours
neighbours(5, 1000, 5, 10.0)
limit_memory(12 << 20)
try:
    neighbours(10, 1000, 19, 270.0)
except MemoryError as error:
    sys.exit(f"refused: {error}")
"""
    ran = run_limited(code)
    assert ran.returncode == 1, ran.stderr
    assert ran.stderr.startswith("refused: there is no memory for the pixels of order 19"), ran.stderr
