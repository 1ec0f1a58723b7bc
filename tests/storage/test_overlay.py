"""Collections around remote catalogs: a local overlay of a catalog on a store or a web server, and one on the store."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from hats import read_hats
from upath import UPath

from skymargin import MarginCacheArguments, create_collection, inspect_collection, pipeline, remove_margin
from skymargin.errors import ArgumentError
from tests.storage.conftest import THRESHOLD_ARCSEC, Local, Store
from tests.support.catalogs import on_disk
from tests.support.servers import Server

pytestmark = pytest.mark.usefixtures("quiet_servers")


def data_of(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.startswith("dataset/Norder=")}


def make(catalog: str, collection: str | Path, **others: Any) -> None:
    pipeline(
        MarginCacheArguments(
            output_artifact_name="stars_60arcs",
            input_catalog_path=catalog,
            margin_threshold=THRESHOLD_ARCSEC,
            collection=collection,
            progress_bar=False,
            **others,
        )
    )


def test_a_local_overlay_of_a_catalog_on_s3(local: Local, bucket: Store, tmp_path: Path) -> None:
    before = bucket.contents("collection")
    overlay = tmp_path / "mine"
    make(f"{bucket.url}/collection/stars", overlay, input_storage_options=bucket.options)
    assert bucket.contents("collection") == before
    said = inspect_collection(overlay)
    assert said.primary == f"{bucket.url}/collection/stars"
    assert [(margin.name, margin.default) for margin in said.margins] == [("stars_60arcs", True)]
    assert data_of(on_disk(overlay / "stars_60arcs")) == data_of(local.margin)
    assert not any(value in (overlay / "collection.properties").read_text() for value in secrets(bucket))
    with warnings.catch_warnings():
        # Its paths say that the options are for remote ones, which the catalog's is.
        warnings.simplefilter("ignore", UserWarning)
        # Without `anon`, hats asks as nobody.
        read = read_hats(overlay, storage_options={"anon": False, **bucket.options})
        default = Path(str(read.default_margin_catalog_dir))
    assert str(read.main_catalog.catalog_path).rstrip("/") == f"{bucket.url}/collection/stars"
    assert default == overlay / "stars_60arcs"
    assert len(read.main_catalog.get_healpix_pixels()) > 3
    # Of the collection on the store, it is the same primary catalog.
    assert create_collection(overlay, f"{bucket.url}/collection", bucket.options) == overlay


def secrets(bucket: Store) -> list[str]:
    return [str(bucket.options[name]) for name in ("key", "secret") if name in bucket.options]


def test_a_local_overlay_of_a_catalog_on_a_web_server(local: Local, web: Server, tmp_path: Path) -> None:
    overlay = tmp_path / "mine"
    make(f"{web.url}/collection/stars", overlay)
    assert inspect_collection(overlay).primary == f"{web.url}/collection/stars"
    assert data_of(on_disk(overlay / "stars_60arcs")) == data_of(local.margin)
    read = read_hats(overlay)
    assert read.main_catalog.get_healpix_pixels()
    assert read.get_margin_thresholds() == {"stars_60arcs": THRESHOLD_ARCSEC}
    with pytest.raises(ArgumentError, match="must be a HATS catalog or collection"):
        create_collection(tmp_path / "none", f"{web.url}/nothing")


def test_a_collection_on_the_store_of_a_local_catalog(local: Local, bucket: Store, tmp_path: Path) -> None:
    url = f"{bucket.url}/mine"
    catalog = str(local.folder / "collection" / "stars")
    make(catalog, url, output_storage_options=bucket.options, tmp_dir=tmp_path / "tmp")
    folder = UPath(url, **bucket.options)
    said = inspect_collection(folder)
    assert said.primary == catalog
    assert [(margin.name, margin.margin_threshold_arcsec) for margin in said.margins] == [
        ("stars_60arcs", 60.0)
    ]
    assert data_of(bucket.contents("mine/stars_60arcs")) == data_of(local.margin)
    assert read_hats(folder).default_margin == "stars_60arcs"
    remove_margin(folder, "stars_60arcs")
    assert set(bucket.contents("mine")) == {"collection.properties"}
    assert inspect_collection(folder).margins == []
