"""The rows of a margin, their order and types are those of a margin catalog that LSDB opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.lsdb.conftest import TwoCatalogs, lsdb
from tests.lsdb.frames import assert_same_margin, by_pixel, compute, quietly
from tests.support import brute_force
from tests.support.catalogs import MIXED_PARTITIONS, Layout, make_margin, sky_near_edges, write_catalog
from tests.support.servers import http_server

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

# Within the partitions of order 3, and beyond them.
THRESHOLDS_ARCSEC = (30.0, 40_000.0)
# Poles, RA 0, the borders of base cells and sky without partitions.
SKY = sky_near_edges(MIXED_PARTITIONS[:-6], 4_000, 30.0, seed=5)


def same(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows: LSDB does not know that, and computes partitions."""
    return frame


Change = Callable[[Any], Any]
AS_OPENED: dict[str, dict[str, Any]] = {
    "all columns": {},
    "some columns": {"columns": ["name", "id"]},
    "a filter": {"filters": [("mag", "<", 0.5), ("id", ">", 100)], "columns": ["curve"]},
    "alternatives": {"filters": [[("mag", "<", 0.0)], [("id", "in", list(range(0, 4_000, 3)))]]},
}
CHANGES: dict[str, Change] = {
    "partitions": lambda catalog: catalog.map_partitions(same),
    "query": lambda catalog: catalog.query("id > 1300 or mag < 0"),
    "columns": lambda catalog: catalog[["dec", "mag", "ra"]],
}


@pytest.fixture(scope="module")
def stored(primary: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """The catalog opened by LSDB with a margin catalog, which is built once for each threshold."""
    folder = tmp_path_factory.mktemp("margins")

    def opened(threshold_arcsec: float, **options: Any) -> Any:
        name = f"margin_{threshold_arcsec:g}"
        if not (folder / name).exists():
            make_margin(primary, folder, threshold_arcsec, name)
        return quietly(lambda: lsdb.open_catalog(primary, margin_cache=folder / name, **options))

    return opened


def with_margin(catalog: Any, threshold_arcsec: float) -> Any:
    from skymargin import lsdb as ours

    return quietly(lambda: ours.with_margin(catalog, threshold_arcsec))


def source_of(catalog: Any) -> str:
    """How the rows of partitions are found."""
    return type(catalog.margin._operation._source).__name__


@pytest.mark.parametrize("threshold_arcsec", THRESHOLDS_ARCSEC)
@pytest.mark.parametrize("options", AS_OPENED.values(), ids=AS_OPENED)
def test_of_a_catalog_as_opened(
    stored: Callable[..., Any], options: dict[str, Any], threshold_arcsec: float
) -> None:
    expected = stored(threshold_arcsec, **options)
    ours = with_margin(expected, threshold_arcsec)
    assert source_of(ours) == "StoredPartitions"
    assert assert_same_margin(ours.margin, expected.margin) > 200
    assert ours.margin.meta.equals(expected.margin.meta)


@pytest.mark.parametrize("threshold_arcsec", THRESHOLDS_ARCSEC)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_of_any_other_catalog(stored: Callable[..., Any], change: Change, threshold_arcsec: float) -> None:
    expected = quietly(lambda: change(stored(threshold_arcsec)))
    ours = with_margin(expected, threshold_arcsec)
    assert source_of(ours) == "ComputedPartitions"
    assert assert_same_margin(ours.margin, expected.margin) > 200


def test_what_is_done_to_the_catalog_is_done_to_the_margin(stored: Callable[..., Any]) -> None:
    expected = stored(30.0)
    ours = with_margin(expected, 30.0)

    def changed(catalog: Any) -> Any:
        return catalog.query("mag < 0.5")[["id", "ra", "dec"]].rename({"id": "number"})

    assert assert_same_margin(*(quietly(lambda c=c: changed(c)).margin for c in (ours, expected))) > 100
    cone = lsdb.ConeSearch(0, 90, 20 * 3600)
    found = quietly(lambda: compute(ours.search(cone).margin).sort_values("id"))
    wanted = quietly(lambda: compute(expected.search(cone).margin).sort_values("id"))
    assert len(wanted) > 20
    pd.testing.assert_frame_equal(found.reset_index(), wanted.reset_index())


@pytest.mark.parametrize(
    "layout",
    [
        Layout(index_column=None, row_group_rows=70),
        Layout(suffix="/", files_per_partition=3),
        Layout(index_column="ipix", index_order=12, suffix=".parq"),
        Layout(coordinates=pa.float32(), index_sorted=False),
    ],
    ids=["no index", "folders", "coarse index", "single precision"],
)
def test_of_other_layouts(layout: Layout, tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS[:9], 1_500, 30.0, seed=6, coordinates=layout.coordinates)
    write_catalog(tmp_path / "stars", sky, layout)
    make_margin(tmp_path / "stars", tmp_path, 60.0)
    catalog = quietly(lambda: lsdb.open_catalog(tmp_path / "stars", margin_cache=tmp_path / "margin"))
    for changed in (catalog, quietly(lambda: catalog.map_partitions(same))):
        assert assert_same_margin(with_margin(changed, 60.0).margin, changed.margin) > 200


def test_rows_that_lie_beside_their_partition_are_not_lost() -> None:
    """A row belongs to the partition it is in, even where its coordinates are off by a rounding error."""
    frame = pd.DataFrame({"id": np.arange(len(SKY)), "ra": SKY.ra_deg, "dec": SKY.dec_deg})
    catalog = quietly(
        lambda: lsdb.from_dataframe(frame, partition_rows=200, lowest_order=1, margin_threshold=None)
    )
    off_deg = 0.1 / 3600

    def moved(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(dec=frame["dec"] - np.sign(frame["dec"]) * off_deg)

    changed = quietly(lambda: catalog.map_partitions(moved))
    margin = with_margin(changed, 30.0).margin
    own = by_pixel(changed)
    rows = pd.concat([frame.assign(order=order, pixel=pixel) for (order, pixel), frame in own.items()])
    positions = [rows[name].to_numpy(dtype=float) for name in ("ra", "dec")]
    expected = brute_force.margins(
        *positions, rows["order"].to_numpy(), rows["pixel"].to_numpy(), tuple(own), 30.0
    )
    found = {pixel: sorted(frame["id"].tolist()) for pixel, frame in by_pixel(margin).items()}
    ids = rows["id"].to_numpy()
    assert found == {pixel: sorted(ids[places].tolist()) for pixel, places in expected.items() if len(places)}
    at = brute_force.pixels_of(*positions, 8).astype(np.int64) >> (2 * (8 - rows["order"].to_numpy()))
    assert np.count_nonzero(at != rows["pixel"].to_numpy()) > 10


def test_a_catalog_on_a_server(two_catalogs: TwoCatalogs, tmp_path: Path) -> None:
    path = two_catalogs.right.path
    make_margin(path, tmp_path, 10.0)
    expected = lsdb.open_catalog(path, margin_cache=tmp_path / "margin")
    with http_server(path.parent) as server:
        remote = quietly(lambda: lsdb.open_catalog(f"{server.url}/{path.name}"))
        ours = with_margin(remote, 10.0)
        assert source_of(ours) == "StoredPartitions"
        server.record.reset()
        assert_same_margin(ours.margin, expected.margin)
        files = [asked for _, asked, _ in server.record.requests if asked.endswith(".parquet")]
        assert len(set(files)) == len(ours.get_healpix_pixels())


def test_frames_with_lists_of_observations(tmp_path: Path) -> None:
    """Nested columns, as LSDB makes and as it stores them, are carried whole; a part of one as well."""
    import nested_pandas as npd

    random = np.random.default_rng(3)
    sky = sky_near_edges(((0, 4), (0, 5), (0, 8), (0, 9)), 1_000, 30.0, seed=8)
    frame = npd.NestedFrame({"id": np.arange(len(sky)), "ra": sky.ra_deg, "dec": sky.dec_deg})
    seen = pd.DataFrame({"mjd": random.uniform(size=3 * len(sky)), "flux": random.normal(size=3 * len(sky))})
    seen.index = pd.Index(random.integers(0, len(sky), len(seen)))
    frame = quietly(lambda: frame.join_nested(seen, "curve"))
    catalog = quietly(lambda: lsdb.from_dataframe(frame, partition_rows=500, margin_threshold=None))
    ours = with_margin(catalog, 30.0)
    quietly(lambda: ours.write_catalog(tmp_path / "nested", progress_bar=False))
    for options in ({}, {"columns": ["id", "curve.mjd"]}):
        again = quietly(lambda options=options: lsdb.open_catalog(tmp_path / "nested", **options))
        assert again.margin is not None
        made = with_margin(again, 30.0)
        assert source_of(made) == ("ComputedPartitions" if options else "StoredPartitions")
        assert assert_same_margin(made.margin, again.margin) > 200


def test_a_margin_without_rows_has_the_columns(two_catalogs: TwoCatalogs) -> None:
    ours = with_margin(lsdb.open_catalog(two_catalogs.right.path), 1e-6)
    rows = compute(ours.margin)
    assert len(rows) == 0
    assert rows.dtypes.equals(ours.meta.dtypes)
    nothing = lsdb.open_catalog(two_catalogs.right.path).query("mag > 1000")
    assert len(compute(with_margin(nothing, 60.0).margin)) == 0


def test_the_margin_says_what_it_is(stored: Callable[..., Any]) -> None:
    catalog = stored(30.0)
    ours = with_margin(catalog, 12.5)
    info = ours.margin.hc_structure.catalog_info
    assert (info.margin_threshold, info.catalog_type, info.primary_catalog) == (12.5, "margin", catalog.name)
    assert info.total_rows is None
    # The catalog that was given is as it was.
    assert catalog.margin.hc_structure.catalog_info.margin_threshold == 30.0
    assert ours.margin._operation.name.startswith("Margin(12.5 arcsec, ")
    assert repr(ours)
    assert repr(ours.margin)
    # As the margin catalogs of these thresholds are named, no two alike.
    for threshold_arcsec, digits in ((10, "10"), (1.7000000001, "1.7000000001")):
        margin = with_margin(catalog, threshold_arcsec).margin
        assert margin.name == f"{catalog.name}_{digits}arcs"
        assert f"Margin({digits} arcsec, " in margin._operation.name
