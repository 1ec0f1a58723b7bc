"""Margins of tables of every kind: what goes in comes out with its types, names and metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table

import skymargin.polars as smp
from tests.support.catalogs import MIXED_PARTITIONS, Pixel, Sky, sky_near_edges
from tests.support.samples import Capsule

SKY = sky_near_edges(MIXED_PARTITIONS, 600, 3_600.0, seed=20)


def frame_of(sky: Sky) -> pl.DataFrame:
    number = np.arange(len(sky))
    return pl.DataFrame(
        {"id": number, "ra": sky.ra_deg, "dec": sky.dec_deg, "name": [f"star {n}" for n in number]}
    )


def arrow_table(sky: Sky) -> pa.Table:
    number = np.arange(len(sky))
    names = [f"star {n}" for n in number]
    columns = {
        "id": pa.array(number),
        "ra": pa.array(sky.ra_deg),
        "dec": pa.array(sky.dec_deg),
        "band": pa.array([f"band {n % 5}" for n in number]).dictionary_encode(),
        "curve": pa.array([{"mjd": [float(n)] * (n % 4)} for n in number]),
        "seen": pa.array(number * 1000, pa.timestamp("ms", "UTC")),
        "view": pa.array(names).cast(pa.string_view()),
        "note": pa.array([None, *names[1:]]),
    }
    fields = [pa.field(name, column.type, metadata={"unit": name}) for name, column in columns.items()]
    return pa.table(list(columns.values()), schema=pa.schema(fields, metadata={"made": "for tests"}))


@pytest.mark.parametrize(
    "convert",
    [
        lambda table: table,
        lambda table: pa.concat_tables([table[:7], table[7:]]),
        lambda table: table.combine_chunks().to_batches()[0],
        Capsule,
    ],
    ids=["table", "chunked table", "record batch", "other"],
)
def test_arrow_tables_keep_their_types_and_metadata(convert: Callable[[pa.Table], Any]) -> None:
    table = arrow_table(SKY)
    if convert is Capsule and int(pa.__version__.partition(".")[0]) < 25:
        # It crashes when it exports such columns.
        table = table.drop_columns("view")
    expected = smp.margins(frame_of(SKY), SKY.partitions, 3_600.0)
    margin = smp.margins(convert(table), SKY.partitions, 3_600.0)
    assert isinstance(margin, pa.Table)
    assert margin.schema.remove_metadata().names[-3:] == ["margin_Norder", "margin_Npix", "separation_arcsec"]
    ours = margin.select(table.column_names)
    assert ours.schema.equals(table.schema, check_metadata=True)
    numbers = expected["id"].to_numpy()
    assert ours.to_pylist() == [table.slice(number, 1).to_pylist()[0] for number in numbers.tolist()]
    assert pl.DataFrame(margin.select(["id", *margin.column_names[-3:]])).equals(
        expected.select("id", *expected.columns[-3:])
    )
    tiles = smp.tile(convert(table), max_rows=50)
    assert isinstance(tiles, pa.Table)
    assert pl.DataFrame(tiles).equals(smp.tile(frame_of(SKY), max_rows=50))
    parts = [*smp.partition_and_margin(convert(table), SKY.partitions, 3_600.0)]
    assert sum(part.rows.num_rows for part in parts) == table.num_rows
    assert pa.concat_tables([part.margin for part in parts]).num_rows == margin.num_rows


def test_pandas_frames_keep_their_types_and_labels() -> None:
    frame = pd.DataFrame(
        {
            "id": np.arange(len(SKY), dtype=np.int32),
            "ra": SKY.ra_deg,
            "dec": SKY.dec_deg,
            "name": [f"star {n}" for n in range(len(SKY))],
            "band": pd.Categorical([f"band {n % 5}" for n in range(len(SKY))]),
            "flag": pd.array([None if n % 3 else True for n in range(len(SKY))], dtype="boolean"),
        },
        index=pd.Index(np.arange(len(SKY)) * 7, name="label"),
    )
    expected = smp.margins(frame_of(SKY), SKY.partitions, 3_600.0)
    margin = smp.margins(frame, SKY.partitions, 3_600.0)
    assert isinstance(margin, pd.DataFrame)
    pd.testing.assert_frame_equal(margin[list(frame.columns)], frame.iloc[expected["id"].to_numpy()])
    for name in ("margin_Norder", "margin_Npix", "separation_arcsec"):
        assert margin[name].to_numpy().tolist() == expected[name].to_list()
    assert margin["margin_Norder"].dtype == np.uint8
    assert margin["margin_Npix"].dtype == np.uint64
    tiles = smp.tile(frame, max_rows=50)
    assert isinstance(tiles, pd.DataFrame)
    assert pl.DataFrame(tiles).equals(smp.tile(frame_of(SKY), max_rows=50))
    from_tiles = smp.margins(frame, tiles, 3_600.0)
    assert len(from_tiles) == len(smp.margins(frame_of(SKY), smp.tile(frame_of(SKY), max_rows=50), 3_600.0))
    parts = [*smp.partition_and_margin(frame, SKY.partitions, 3_600.0)]
    assert sorted(pd.concat([part.rows for part in parts])["id"]) == list(range(len(SKY)))


@pytest.mark.parametrize("kind", [Table, QTable])
def test_astropy_tables_keep_their_types_units_and_masks(kind: type[Table]) -> None:
    number = np.arange(len(SKY))
    table = kind(
        {
            "id": number.astype(">i4"),
            "RA": MaskedColumn(SKY.ra_deg / 15, unit=u.hourangle),
            "DE": SKY.dec_deg * u.deg,
            "mag": MaskedColumn(number * 0.5, mask=number % 3 == 0, unit=u.mag),
            "name": [f"star {n}" for n in number],
        },
        meta={"survey": "made up"},
    )
    columns = {"ra_column": "RA", "dec_column": "DE"}
    # The hours are converted back to degrees.
    degrees = frame_of(SKY).with_columns(ra=(pl.col("ra") / 15) * 15)
    expected = smp.margins(degrees, SKY.partitions, 3_600.0)
    margin = smp.margins(table, SKY.partitions, 3_600.0, **columns)
    assert type(margin) is kind
    assert margin.meta == {"survey": "made up"}
    assert margin.colnames == [*table.colnames, "margin_Norder", "margin_Npix", "separation_arcsec"]
    assert margin["id"].tolist() == expected["id"].to_list()
    assert (margin["mag"].mask == (expected["id"].to_numpy() % 3 == 0)).all()
    for name in ("RA", "DE", "mag"):
        assert margin[name].unit == table[name].unit
    assert margin["margin_Norder"].tolist() == expected["margin_Norder"].to_list()
    assert margin["separation_arcsec"].tolist() == pytest.approx(
        expected["separation_arcsec"].to_list(), abs=1e-6
    )
    tiles = smp.tile(table, max_rows=50, **columns)
    assert type(tiles) is kind
    assert tiles.colnames == ["Norder", "Npix", "rows"]
    assert len(smp.margins(table, tiles, 3_600.0, **columns)) > 0
    parts = [*smp.partition_and_margin(table, SKY.partitions, 3_600.0, **columns)]
    assert sorted(row for part in parts for row in part.rows["id"].tolist()) == number.tolist()
    assert sum(len(part.margin) for part in parts) == len(margin)


def test_a_masked_position_of_astropy_is_refused() -> None:
    table = Table({"ra": MaskedColumn([1.0, 2.0], mask=[False, True]), "dec": [1.0, 2.0]})
    with pytest.raises(smp.CoordinateError, match="row 1"):
        smp.margins(table, [(0, 4)], 10.0)
    with pytest.raises(smp.CoordinateError, match="row 1"):
        smp.tile(table, max_rows=10)


def test_errors_have_the_names_of_the_columns() -> None:
    stars = pl.DataFrame({"RAJ2000": [1.0, 2.0], "DEJ2000": [1.0, 95.0]})
    columns = {"ra_column": "RAJ2000", "dec_column": "DEJ2000"}
    for frame in (stars, stars.to_pandas(), stars.to_arrow(), Table(stars.to_dict(as_series=False))):
        for use in (
            lambda frame: smp.margins(frame, [(0, 4)], 10.0, **columns),
            lambda frame: smp.tile(frame, max_rows=5, **columns),
            lambda frame: list(smp.partition_and_margin(frame, [(0, 4)], 10.0, **columns)),
        ):
            with pytest.raises(smp.CoordinateError, match="RAJ2000 2, DEJ2000 95"):
                use(frame)
    with pytest.raises(smp.CoordinateError, match="RAJ2000 2, DEJ2000 95"):
        stars.select(smp.spatial_index("RAJ2000", "DEJ2000"))


class HealpixPixel:
    def __init__(self, order: int, pixel: int) -> None:
        self.order, self.pixel = order, pixel


@pytest.mark.parametrize(
    "form",
    [
        list,
        lambda pairs: iter(pairs[::-1]),
        lambda pairs: np.array(pairs),
        lambda pairs: pl.DataFrame(pairs, schema=["Norder", "Npix"], orient="row"),
        lambda pairs: pl.LazyFrame(pairs, schema=["Norder", "Npix"], orient="row"),
        lambda pairs: pd.DataFrame(pairs, columns=["Norder", "Npix"]),
        lambda pairs: pa.table({"Npix": [p for _, p in pairs], "Norder": [o for o, _ in pairs]}),
        lambda pairs: [HealpixPixel(*pair) for pair in pairs],
    ],
    ids=["pairs", "iterator", "numpy", "polars", "lazy", "pandas", "pyarrow", "objects"],
)
def test_partitions_are_taken_in_every_form(form: Callable[[Any], Any]) -> None:
    stars = frame_of(SKY)
    expected = smp.margins(stars, SKY.partitions, 3_600.0)
    assert smp.margins(stars, form(list(SKY.partitions)), 3_600.0).equals(expected)


@pytest.mark.parametrize("partitions", [[], [(0, 4)], MIXED_PARTITIONS])
def test_no_rows_have_no_margins(partitions: list[Pixel]) -> None:
    nothing = pl.DataFrame(schema={"ra": pl.Float64, "dec": pl.Float64, "id": pl.Int8})
    for frame in (nothing, nothing.lazy()):
        margin = smp.margins(frame, partitions, 10.0).lazy().collect()
        assert margin.shape == (0, 6)
        parts = [*smp.partition_and_margin(frame, partitions, 10.0)]
        assert {part.pixel for part in parts} == set(partitions)
        assert all(len(part.rows) == len(part.margin) == 0 for part in parts)
    assert smp.margins(nothing.to_arrow(), partitions, 10.0).shape == (0, 6)
    assert smp.margins(nothing.to_pandas(), partitions, 10.0).shape == (0, 6)


def test_coordinates_are_read_where_they_lie() -> None:
    random = np.random.default_rng(8)
    stars = pl.DataFrame({"ra": random.uniform(0, 360, 1000), "dec": random.uniform(-90, 90, 1000)})
    from skymargin.polars.frames import rows_of

    for frame in (stars, stars.to_arrow()):
        column = rows_of(frame).column("ra")
        (chunk,) = pa.chunked_array(column).chunks
        # polars and pyarrow share the memory as well.
        assert chunk.buffers()[1].address == stars["ra"].to_numpy(allow_copy=False).ctypes.data


def test_nan_is_null_in_pandas_and_is_refused_too() -> None:
    frame = pd.DataFrame({"ra": [1.0, np.nan], "dec": [2.0, 3.0]})
    with pytest.raises(smp.CoordinateError, match="row 1"):
        smp.margins(frame, [(0, 4)], 10.0)
