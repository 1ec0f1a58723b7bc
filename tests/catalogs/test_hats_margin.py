"""Encodings and properties of a margin, held to what the `hats` library would write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hats.catalog import TableProperties
from hats.io.file_io import get_parquet_write_table_kwargs

from skymargin.catalogs.catalog import MarginContents, open_catalog
from skymargin.catalogs.hats_margin import encodings, write_margin_properties
from skymargin.catalogs.output_options import OutputOptions
from skymargin.catalogs.properties import read_properties, write_properties
from tests.support.catalogs import MIXED_PARTITIONS, Layout, sky_near_edges, write_catalog

SCHEMA = pa.schema(
    [
        ("_healpix_29", pa.int64()),
        ("half", pa.float16()),
        ("name", pa.string()),
        ("count", pa.int32()),
        ("curve", pa.struct([("mjd", pa.list_(pa.float64())), ("band", pa.large_list(pa.string()))])),
        ("pair", pa.list_(pa.float32(), 2)),
        ("lookup", pa.map_(pa.string(), pa.list_(pa.struct([("x", pa.float64()), ("y", pa.int8())])))),
        ("uuid", pa.uuid()),
    ]
)

WANTED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a compression": {"compression": "snappy"},
    "a compression and its level": {"compression": "gzip", "compression_level": 7},
    "no dictionaries": {"use_dictionary": False},
    "some dictionaries": {"use_dictionary": ["name", "half"]},
    "an encoding": {"column_encoding": {"half": "PLAIN", "count": "DELTA_BINARY_PACKED"}},
    "pages and groups": {"data_page_size": 1_000, "row_group_size": 3, "write_page_index": False},
    "a sorting column": {"sorting_columns": [pq.SortingColumn(3)]},
    "a sorting column of text": {"sorting_columns": [pq.SortingColumn(2)]},
}


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("index", [True, False])
def test_encodings_are_those_of_hats_but_for_the_level(name: str, index: bool) -> None:
    schema = SCHEMA if index else SCHEMA.remove(0)
    options = WANTED[name] if index or "sorting" not in name else {}
    before = dict(options)
    mine = encodings(schema, options)
    theirs = get_parquet_write_table_kwargs(schema, write_table_kwargs=dict(options))
    if theirs["compression_level"] == 15:
        theirs["compression_level"] = 3
    assert mine == theirs
    assert options == before


@pytest.mark.parametrize("index_column", ["_healpix_29", None])
@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"obs_regime": "Optical", "hats_cols_default": "id ra"},
        {"default_columns": ["id", "dec"], "obs_id": 7},
    ],
)
def test_properties_are_those_of_hats(
    index_column: str | None, extra: dict[str, Any], tmp_path: Path
) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=30, reach_arcsec=60.0, seed=1)
    write_catalog(tmp_path / "catalog", sky, Layout(index_column=index_column))
    catalog = open_catalog(tmp_path / "catalog")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "some file").write_bytes(bytes(70_000))
    contents = MarginContents(
        name="margin",
        margin_threshold_arcsec=0.5,
        rows=12,
        orders=np.array([0, 3], dtype=np.uint8),
        pixels=np.array([4, 5], dtype=np.uint64),
        row_groups=[],
        options=OutputOptions(addl_hats_properties=extra),
    )
    write_margin_properties(tmp_path / "mine", catalog, contents)
    mine = (tmp_path / "mine" / "hats.properties").read_text()
    assert (tmp_path / "mine" / "properties").read_text() == mine
    # What the library reads it writes again, and it is the same but for the order of what is not its own.
    about = TableProperties.read_from_dir(tmp_path / "mine")
    (tmp_path / "theirs").mkdir()
    about.to_properties_file(tmp_path / "theirs")
    assert sorted(mine.splitlines()) == sorted(
        (tmp_path / "theirs" / "hats.properties").read_text().splitlines()
    )
    assert (about.total_rows, about.margin_threshold, about.hats_estsize) == (12, 0.5, 68)
    made = TableProperties.new_provenance_dict(tmp_path / "mine")
    ours = read_properties(tmp_path / "mine" / "hats.properties")
    assert made.keys() <= ours.keys()
    for name in ("hats_release_date", "hats_version"):
        assert ours[name] == made[name]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dUTC", ours["hats_creation_date"])
    for name, value in extra.items():
        assert getattr(about, name, None) == value or ours[name] == str(value)


@pytest.mark.parametrize(
    "value",
    ["plain", "", " leading blank", "a=b:c#d!e", "C:\\new\\tables", "two\nlines\tand\ra tab", "größe ☆"],
)
def test_properties_come_back_as_they_were(value: str, tmp_path: Path) -> None:
    kept = {"key": value, "a key: with=signs": value}
    write_properties(tmp_path / "file", kept, comment="HATS catalog")
    assert read_properties(tmp_path / "file") == kept
