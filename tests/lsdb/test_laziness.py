"""Nothing is computed before it is used, no partition twice, and none that is not needed."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.lsdb.conftest import TwoCatalogs, lsdb
from tests.lsdb.frames import compute, quietly
from tests.support.catalogs import files_of

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

RADIUS_ARCSEC = 60.0


class Counted:
    """Counts how often each partition of a catalog is computed."""

    def __init__(self) -> None:
        self.partitions: Counter[tuple[int, int]] = Counter()

    def of(self, catalog: Any) -> Any:
        # LSDB looks for the columns of the result by a call without rows.
        counted = quietly(lambda: catalog.map_partitions(self._count, include_pixel=True, meta=catalog.meta))
        self.partitions.clear()
        return counted

    def _count(self, frame: pd.DataFrame, pixel: Any) -> pd.DataFrame:
        self.partitions[int(pixel.order), int(pixel.pixel)] += 1
        return frame

    def __dask_tokenize__(self) -> str:
        return f"counted-{id(self)}"


def opened(two_catalogs: TwoCatalogs) -> tuple[Any, Any]:
    return lsdb.open_catalog(two_catalogs.left.path), lsdb.open_catalog(two_catalogs.right.path)


def cone_of(two_catalogs: TwoCatalogs, left: Any) -> Any:
    """The stars of the catalog around one of them."""
    ra_deg, dec_deg = two_catalogs.left.positions()
    return left.cone_search(ra_deg[1_000], dec_deg[1_000], 3 * 3600)


def crossmatch(left: Any, right: Any) -> Any:
    from skymargin import lsdb as ours

    return quietly(
        lambda: ours.crossmatch(left, right, RADIUS_ARCSEC, suffixes=("_left", "_right"), n_neighbors=5)
    )


def test_nothing_is_computed_before_it_is_used(two_catalogs: TwoCatalogs) -> None:
    left, right = opened(two_catalogs)
    counted = Counted()
    matched = crossmatch(left, counted.of(right))
    assert not counted.partitions
    assert len(compute(matched)) > 0
    # Each once, for the match and for the margins around it.
    assert set(counted.partitions) == {(pixel.order, pixel.pixel) for pixel in right.get_healpix_pixels()}
    assert set(counted.partitions.values()) == {1}


def test_a_cone_computes_the_partitions_near_it(two_catalogs: TwoCatalogs) -> None:
    left, right = opened(two_catalogs)
    cone = cone_of(two_catalogs, left)
    counted = Counted()
    matched = crossmatch(cone, counted.of(right))
    whole = compute(crossmatch(left, right))
    found = compute(matched)
    assert 0 < len(counted.partitions) < len(right.get_healpix_pixels()) * 2 / 3
    assert set(counted.partitions.values()) == {1}
    ids = set(compute(cone)["id"])
    wanted = whole[whole["id_left"].isin(ids)]
    assert len(wanted) > 0
    columns = ["id_left", "id_right"]
    assert sorted(found[columns].itertuples(index=False)) == sorted(wanted[columns].itertuples(index=False))


def test_a_cone_opens_the_files_near_it(two_catalogs: TwoCatalogs, tmp_path: Path) -> None:
    """The files of all other partitions are gone."""
    left, right = opened(two_catalogs)
    cone = cone_of(two_catalogs, left)
    expected = compute(crossmatch(cone, right))
    counted = Counted()
    compute(crossmatch(cone, counted.of(right)))
    shutil.copytree(two_catalogs.right.path, tmp_path / "right")
    for pixel, file in files_of(tmp_path / "right").items():
        if pixel not in counted.partitions:
            file.unlink()
    found = compute(crossmatch(cone, lsdb.open_catalog(tmp_path / "right")))
    pd.testing.assert_frame_equal(found, expected)


def test_a_graph_has_at_most_three_tasks_for_a_partition(two_catalogs: TwoCatalogs) -> None:
    from skymargin.lsdb import with_margin

    random = np.random.default_rng(4)
    dec_deg = np.degrees(np.arcsin(random.uniform(-1, 1, 3_000)))
    frame = pd.DataFrame({"ra": random.uniform(0, 360, 3_000), "dec": dec_deg})
    whole_sky = quietly(
        lambda: lsdb.from_dataframe(frame, lowest_order=1, highest_order=1, margin_threshold=None)
    )
    margin = quietly(lambda: with_margin(whole_sky, RADIUS_ARCSEC)).margin
    # One that computes a partition, one that selects its rows, one for each margin, and what all share.
    assert len(margin._operation.build().graph) == 3 * 48 + 2
    _, right = opened(two_catalogs)
    margin = quietly(lambda: with_margin(right, RADIUS_ARCSEC)).margin
    tiles, partitions = (len(catalog.get_healpix_pixels()) for catalog in (margin, right))
    assert len(margin._operation.build().graph) == partitions + tiles + 2


def test_tasks_are_the_same_whatever_else_is_asked_for(two_catalogs: TwoCatalogs) -> None:
    """A key of a graph means one result, or graphs could not be joined."""
    from skymargin.lsdb import with_margin

    _, right = opened(two_catalogs)
    for catalog in (right, right.query("mag < 9")):
        operation = quietly(lambda catalog=catalog: with_margin(catalog, RADIUS_ARCSEC)).margin._operation
        whole = operation.build()
        some = operation.healpix_pixels[3:9]
        part = operation.build(pixels=[*some, some[0]])
        assert list(part.pixel_to_key_map) == some
        assert set(part.graph) < set(whole.graph)
        for key in part.graph:
            ours, theirs = part.graph[key], whole.graph[key]
            assert ours.dependencies == theirs.dependencies
        edges = [key for key in part.graph if str(key[0]).startswith("edge_")]
        assert edges
        for key in edges:
            for ours, theirs in zip(part.graph[key].args, whole.graph[key].args, strict=True):
                if isinstance(ours, np.ndarray):
                    assert np.array_equal(ours, theirs)
    again = quietly(lambda: with_margin(right, RADIUS_ARCSEC)).margin._operation
    assert again.key_name == quietly(lambda: with_margin(right, RADIUS_ARCSEC)).margin._operation.key_name
    assert again.key_name != quietly(lambda: with_margin(right, 61.0)).margin._operation.key_name
    few = quietly(lambda: with_margin(right.partitions[:5], RADIUS_ARCSEC)).margin._operation
    assert again.key_name != few.key_name


def test_pixels_that_are_not_its_own_are_left_out(two_catalogs: TwoCatalogs) -> None:
    from skymargin.lsdb import with_margin

    _, right = opened(two_catalogs)
    operation = quietly(lambda: with_margin(right, RADIUS_ARCSEC)).margin._operation
    own = operation.healpix_pixels[0]
    # Begins where the first one does.
    other = type(own)(own.order + 1, own.pixel * 4)
    assert list(operation.build(pixels=[other, own]).pixel_to_key_map) == [own]
    assert operation.build(pixels=[]).pixel_to_key_map == {}


def test_tasks_travel(two_catalogs: TwoCatalogs) -> None:
    """To workers of a cluster, which make scanners of their own."""
    import cloudpickle
    from dask import threaded

    left, right = opened(two_catalogs)
    for catalog in (right, right.query("mag < 9")):
        built = crossmatch(left, catalog)._operation.build()
        # What is used before must not matter.
        expected = quietly(lambda built=built: threaded.get(built.graph, built.keys))
        sent = cloudpickle.loads(cloudpickle.dumps(built.graph))
        found = quietly(lambda sent=sent, keys=built.keys: threaded.get(sent, keys))
        for frame, other in zip(found, expected, strict=True):
            pd.testing.assert_frame_equal(frame, other)


def test_as_a_dask_dataframe(two_catalogs: TwoCatalogs) -> None:
    left, right = opened(two_catalogs)
    matched = crossmatch(left, right)
    column = quietly(lambda: matched["id_right"].compute())
    assert sorted(column.tolist()) == sorted(compute(matched)["id_right"].tolist())
