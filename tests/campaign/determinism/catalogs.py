"""Catalogs that say the same in another order or from another place, and their coarse margins by brute force."""

from __future__ import annotations

import random
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tests.support import brute_force
from tests.support.catalogs import Layout, Pixel, Sky, write_catalog
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.servers import http_server, new_bucket, s3_server


def coarse_margins(sky: Sky, margin_order: int) -> dict[Pixel, list[int]]:
    """Ids of the rows of each coarse margin: those whose pixel of `margin_order` touches the margin's from outside."""
    at = brute_force.pixels_of(sky.ra_deg, sky.dec_deg, margin_order)
    fine, row_pixel = np.unique(at, return_inverse=True)
    ends = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 0.0, 1.0])
    corners = np.stack([brute_force.edge_points(margin_order, int(pixel), *ends) for pixel in fine])
    margins = {}
    for order, pixel in [*sky.partitions, *brute_force.empty_pixels(sky.partitions)]:
        # The corners of the fine pixels along the edges of the large one.
        steps = np.linspace(0, 1, 2 ** (margin_order - order) + 1)
        edge = np.repeat(np.arange(4), len(steps))
        edges = brute_force.edge_points(order, pixel, edge, np.tile(steps, 4))
        touches = (corners @ edges.T).max(axis=(1, 2)) > 1 - 1e-12
        inside = fine >> np.uint64(2 * (margin_order - order)) == np.uint64(pixel)
        rows = np.flatnonzero((touches & ~inside)[row_pixel])
        if len(rows):
            margins[order, pixel] = rows.tolist()
    return margins


def write_catalogs(folder: Path, form: str, sky: Sky, seed: int) -> None:
    """Write a catalog, and copies of it that say the same in another order."""
    if form == "HATS":
        write_catalog(folder / "stars", sky, Layout(row_group_rows=40))
    else:
        write_hipscat_catalog(folder / "stars", sky, row_group_rows=40)
    rng = random.Random(seed)
    inside = "dataset" if form == "HATS" else "."
    for name in ("lines_shuffled", "footers_shuffled", "no_footers", "no_list"):
        copy = folder / name
        shutil.copytree(folder / "stars", copy)
        listing, footers = copy / "partition_info.csv", copy / inside / "_metadata"
        if name == "lines_shuffled":
            head, *lines = listing.read_text().splitlines()
            listing.write_text("\n".join([head, *rng.sample(lines, len(lines))]) + "\n")
        elif name == "footers_shuffled":
            # What lists the partitions is then the footers.
            listing.unlink()
            _shuffle_footers(footers, rng)
        elif name == "no_footers":
            footers.unlink()
        else:
            listing.unlink()
            footers.unlink()
    files = [file for file in (folder / "stars").rglob("*") if file.is_file()]
    for file in rng.sample(files, len(files)):
        copied = folder / "files_made_in_another_order" / file.relative_to(folder / "stars")
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copied)


def _shuffle_footers(footers: Path, rng: random.Random) -> None:
    """Write the row groups of `_metadata` in another order."""
    folder = footers.parent
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.parquet"))
    shuffled = []
    for name in rng.sample(names, len(names)):
        shuffled.append(pq.read_metadata(folder / name))
        shuffled[-1].set_file_path(name)
    pq.write_metadata(pq.read_schema(footers), footers, metadata_collector=shuffled)


def served(scratch: Path, servers: ExitStack) -> dict[str, tuple[str, dict[str, Any] | None]]:
    """Serve the catalogs over HTTP and from S3: the URL and the storage options of each."""
    web, s3 = servers.enter_context(http_server(scratch)), servers.enter_context(s3_server())
    bucket = new_bucket(s3)
    for form in ("HATS", "HiPSCat"):
        bucket.put(scratch / form / "stars", f"{form}/stars")
    return {"http": (web.url, None), "s3": (bucket.url, bucket.options)}
