"""HiPSCat catalogs of made-up rows, written from scratch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support import brute_force
from tests.support.catalogs import Sky, files_of, ids_of

INDEX = "_hipscat_index"
# The same for both formats.
hipscat_files, hipscat_ids = files_of, ids_of


def hipscat_index(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """The pixel of order 19 in the upper 42 bits, and a counter of the rows that share it in the lower 22."""
    pixels = brute_force.pixels_of(ra_deg, dec_deg, 19)
    counter = pd.Series(pixels).groupby(pixels).cumcount().to_numpy().astype(np.uint64)
    return (pixels << np.uint64(22)) | counter


def frame_of(sky: Sky) -> pd.DataFrame:
    """The rows of a sky as hipscat-import keeps them: by their index, with the pixel of their partition."""
    number = np.arange(len(sky))
    return pd.DataFrame(
        {
            "id": number,
            "ra": sky.ra_deg,
            "dec": sky.dec_deg,
            "mag": np.where(number % 7 == 0, np.nan, np.sin(number)).astype(np.float32),
            "name": [f"star {n}" * (n % 3) for n in number],
            "Norder": sky.own_order,
            "Dir": sky.own_pixel // np.uint64(10_000) * np.uint64(10_000),
            "Npix": sky.own_pixel,
        },
        index=pd.Index(hipscat_index(sky.ra_deg, sky.dec_deg), name=INDEX),
    ).sort_index(kind="stable")


def table_of(sky: Sky, *metadata: dict[bytes, bytes] | None) -> pa.Table:
    """The rows of `frame_of` as a table, with the metadata of pandas or with others, if given."""
    table = pa.Table.from_pandas(frame_of(sky))
    return table.replace_schema_metadata(*metadata) if metadata else table


def write_hipscat_catalog(
    path: Path,
    sky: Sky,
    table: pa.Table | None = None,
    *,
    without: tuple[str, ...] = (),
    info: dict[str, Any] | None = None,
    row_group_rows: int = 1_000,
) -> None:
    """Write the rows as a HiPSCat catalog; `table`, with the columns of `frame_of`, stands in for it."""
    path.mkdir(parents=True)
    table = table_of(sky) if table is None else table
    footers: list[pq.FileMetaData] = []
    for order, pixel in sky.partitions:
        own = sky.lies_in(order, pixel)
        mine = table.filter(pa.array(own[table.column("id").to_numpy()]))
        name = f"Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(mine, path / name, row_group_size=row_group_rows, metadata_collector=footers)
        footers[-1].set_file_path(f"/{name}")
    about = {
        "catalog_name": path.name,
        "catalog_type": "object",
        "total_rows": len(sky),
        "epoch": "J2015.5",
        "ra_column": "ra",
        "dec_column": "dec",
    } | (info or {})
    lines = "".join(f"{order},{pixel},{pixel // 10_000 * 10_000}\n" for order, pixel in sky.partitions)
    (path / "partition_info.csv").write_text(f"Norder,Npix,Dir\n{lines}")
    (path / "catalog_info.json").write_text(json.dumps(about, indent=4))
    (path / "provenance_info.json").write_text(json.dumps(about, indent=4))
    pq.write_metadata(table.schema, path / "_metadata", metadata_collector=footers)
    pq.write_metadata(table.schema, path / "_common_metadata")
    for name in without:
        (path / name).unlink()
