"""Collections made here: around a catalog, or as an overlay of a catalog that stays where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hats import read_hats
from hats.io.validation import is_valid_catalog

from skymargin import MarginCacheArguments, create_collection, info, pipeline, verify
from skymargin.catalogs.collection import add_margin
from skymargin.catalogs.properties import read_properties
from skymargin.cli.main import main
from skymargin.errors import ArgumentError, StorageError
from tests.support.catalogs import Sky, ids_of, make_margin, sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.killing import Moment, run_killed_at
from tests.support.processes import run_at_once

THRESHOLD_ARCSEC = 60.0
PARTITIONS = tuple((1, pixel) for pixel in range(8))


@pytest.fixture(scope="module")
def sky() -> Sky:
    return sky_near_edges(PARTITIONS, 2_000, THRESHOLD_ARCSEC, seed=19)


@pytest.fixture
def stars(sky: Sky, tmp_path: Path) -> Path:
    """Write a catalog."""
    write_catalog(tmp_path / "archive" / "stars", sky)
    return tmp_path / "archive" / "stars"


def arguments(
    catalog: Path, collection: Path, name: str = "stars_60arcs", **others: Any
) -> MarginCacheArguments:
    return MarginCacheArguments(
        output_artifact_name=name,
        input_catalog_path=catalog,
        collection=collection,
        **{"progress_bar": False, "margin_threshold": THRESHOLD_ARCSEC, **others},
    )


def said_by(collection: Path) -> dict[str, str]:
    properties = read_properties(collection / "collection.properties")
    assert properties.pop("hats_builder").startswith("skymargin v")
    assert properties.pop("hats_creation_date").endswith("UTC")
    return properties


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_an_overlay_of_a_catalog_that_stays_where_it_is(sky: Sky, stars: Path, tmp_path: Path) -> None:
    before = names_in(stars.parent)
    overlay = tmp_path / "mine" / "gaia"
    report = pipeline(arguments(stars, overlay))
    assert report.catalog_path == str(overlay / "stars_60arcs")
    assert names_in(stars.parent) == before
    assert said_by(overlay) == {
        "obs_collection": "gaia",
        "hats_primary_table_url": str(stars),
        "all_margins": "stars_60arcs",
        "default_margin": "stars_60arcs",
    }
    assert sorted(path.name for path in overlay.iterdir()) == ["collection.properties", "stars_60arcs"]
    read = read_hats(overlay)
    assert read.main_catalog.catalog_path == stars
    assert read.get_margin_thresholds() == {"stars_60arcs": THRESHOLD_ARCSEC}
    assert Path(str(read.default_margin_catalog_dir)) == overlay / "stars_60arcs"
    assert is_valid_catalog(overlay, strict=True)
    assert ids_of(overlay / "stars_60arcs") == sky.margins(THRESHOLD_ARCSEC)
    assert verify(overlay / "stars_60arcs").right
    assert info(overlay).warnings == []


def test_a_collection_around_a_catalog_can_be_moved(sky: Sky, stars: Path, tmp_path: Path) -> None:
    pipeline(arguments(stars, stars.parent))
    assert said_by(stars.parent)["hats_primary_table_url"] == "stars"
    moved = stars.parent.rename(tmp_path / "moved")
    read = read_hats(moved)
    assert (read.main_catalog.catalog_path, read.all_margins) == (moved / "stars", ["stars_60arcs"])
    assert ids_of(moved / "stars_60arcs") == sky.margins(THRESHOLD_ARCSEC)


def test_more_margins_and_one_that_is_replaced(sky: Sky, stars: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "mine"
    pipeline([arguments(stars, overlay, f"m{arcsec}", margin_threshold=arcsec) for arcsec in (5.0, 30.0)])
    # The widest one, with which the most crossmatches are complete.
    assert said_by(overlay) | {"obs_collection": ""} == {
        "obs_collection": "",
        "hats_primary_table_url": str(stars),
        "all_margins": "m30.0 m5.0",
        "default_margin": "m30.0",
    }
    pipeline(arguments(stars, overlay))
    assert said_by(overlay)["default_margin"] == "m30.0"
    # Of the collection itself, as of any; its catalog lies elsewhere on purpose, which is not warned of.
    pipeline(
        MarginCacheArguments(
            output_artifact_name="m5.0",
            input_catalog_path=overlay,
            margin_threshold=10.0,
            add_to_collection=True,
            default_margin=True,
            overwrite=True,
            progress_bar=False,
        )
    )
    assert said_by(overlay)["all_margins"] == "m30.0 m5.0 stars_60arcs"
    assert said_by(overlay)["default_margin"] == "m5.0"
    assert read_hats(overlay).get_margin_thresholds() == {"m30.0": 30.0, "m5.0": 10.0, "stars_60arcs": 60.0}
    for name, arcsec in (("m30.0", 30.0), ("m5.0", 10.0), ("stars_60arcs", 60.0)):
        assert ids_of(overlay / name) == sky.margins(arcsec)


def test_an_output_elsewhere_and_an_overlay_of_a_collection(sky: Sky, stars: Path, tmp_path: Path) -> None:
    create_collection(stars.parent, stars)
    args = arguments(stars.parent, tmp_path / "mine", output_path=tmp_path / "margins", default_margin=True)
    pipeline(args)
    margin = tmp_path / "margins" / "stars_60arcs"
    assert said_by(tmp_path / "mine") == {
        "obs_collection": "mine",
        "hats_primary_table_url": str(stars),
        "all_margins": str(margin),
        "default_margin": str(margin),
    }
    assert read_hats(tmp_path / "mine").get_margin_thresholds() == {str(margin): THRESHOLD_ARCSEC}
    assert ids_of(margin) == sky.margins(THRESHOLD_ARCSEC)


def test_a_collection_is_made_once(stars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert create_collection("mine", "archive/stars") == tmp_path / "mine"
    assert said_by(tmp_path / "mine") == {"obs_collection": "mine", "hats_primary_table_url": str(stars)}
    before = (tmp_path / "mine" / "collection.properties").read_bytes()
    (tmp_path / "link").symlink_to(stars, target_is_directory=True)
    for same in ("archive/stars", stars, tmp_path / "mine", tmp_path / "link"):
        create_collection(tmp_path / "mine", same)
    assert (tmp_path / "mine" / "collection.properties").read_bytes() == before
    assert read_hats(tmp_path / "mine").all_margins is None


def test_what_is_no_place_for_a_collection_of_the_catalog(sky: Sky, stars: Path, tmp_path: Path) -> None:
    write_catalog(tmp_path / "others", sky)
    write_hipscat_catalog(tmp_path / "old", sky)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    create_collection(tmp_path / "taken", tmp_path / "others")
    for catalog, collection, message in (
        (stars, stars, r"stars is a catalog; give the folder that it lies in, or a new one"),
        (stars, tmp_path / "others", "others is a catalog"),
        (
            stars,
            tmp_path / "taken",
            r"has the primary catalog .*others, not .*stars; a collection is of one catalog",
        ),
        (stars, tmp_path / "file", "file is a file, not a folder"),
        (tmp_path / "old", tmp_path / "new", "old must be a HATS catalog or collection"),
        (tmp_path / "empty", tmp_path / "new", "empty must be a HATS catalog or collection"),
        (stars, "https://127.0.0.1:9/new", "new is not allowed: no files can be written over HTTP"),
    ):
        for make in (create_collection, lambda folder, of: arguments(of, folder)):
            with pytest.raises(ArgumentError, match=message):
                make(collection, catalog)
    for others, message in (
        ({"add_to_collection": True}, r"add_to_collection=True and collection='.*mine' cannot be combined"),
        ({"collection": 3}, "collection 3 is not allowed"),
        (
            {"collection": "https://a.org/b"},
            "collection https://a.org/b is not allowed: no files can be written",
        ),
        ({"collection": None}, "output_path is required"),
        ({"output_path": tmp_path / "two words"}, "must not contain spaces, commas or semicolons"),
    ):
        with pytest.raises(ArgumentError, match=message):
            arguments(stars, **{"collection": tmp_path / "mine", **others})
    assert not (tmp_path / "mine").exists()
    assert not (tmp_path / "new").exists()


def test_a_collection_is_not_made_around_a_margin(stars: Path, tmp_path: Path) -> None:
    margin = make_margin(stars, tmp_path, 60.0).catalog_path
    with pytest.raises(
        ArgumentError, match=f"catalog {margin} is of type margin: a collection is made around"
    ):
        create_collection(tmp_path / "new", margin)
    with pytest.raises(ArgumentError, match=r"there is nothing at its catalog .*nowhere$"):
        create_collection(tmp_path / "new", tmp_path / "nowhere")
    assert not (tmp_path / "new").exists()


def test_the_collection_may_be_named_after_construction(stars: Path, tmp_path: Path) -> None:
    args = MarginCacheArguments(tmp_path / "out", "m", input_catalog_path=stars)
    args.collection = tmp_path / "mine"
    args.default_margin = True
    args.output_path = ""
    assert args.catalog_path == tmp_path / "mine" / "m"
    with pytest.raises(ArgumentError, match="needs add_to_collection=True or collection=DIR"):
        args.collection = None
    with pytest.raises(ArgumentError, match="is a catalog"):
        args.collection = stars
    assert args.collection == tmp_path / "mine"


def test_a_run_that_fails_makes_no_collection(stars: Path, tmp_path: Path) -> None:
    next((stars / "dataset").rglob("Npix=3.parquet")).write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(OSError, match=r"Npix=3\.parquet"):
        pipeline(arguments(stars, tmp_path / "mine"))
    assert not (tmp_path / "mine" / "collection.properties").exists()


def test_a_run_that_is_killed_before_it_makes_the_collection_goes_on(stars: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "mine"
    moment = Moment("skymargin.build.checkpoint.pending:add_margin")
    run_killed_at(moment, stars, overlay, THRESHOLD_ARCSEC, collection=overlay)
    assert (overlay / "margin" / "hats.properties").exists()
    assert not (overlay / "collection.properties").exists()
    pipeline(arguments(stars, overlay, "margin", output_path=overlay))
    assert said_by(overlay)["all_margins"] == "margin"


def test_the_margin_stays_when_the_collection_cannot_be_made(stars: Path, tmp_path: Path) -> None:
    with pytest.raises(
        StorageError, match=r"the margin is at .*margin, but .*does not name it: .*is a catalog"
    ):
        add_margin(stars, tmp_path / "margin", default=False, catalog=stars)


def _add_one(collection: Path, catalog: Path, number: int, started: Any) -> None:
    started.wait()
    add_margin(collection, collection / f"margin_{number}", default=False, catalog=catalog)


def test_runs_that_make_one_collection_at_once_lose_no_entry(stars: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "mine"
    run_at_once(_add_one, *((overlay, stars, number) for number in range(4)))
    properties = said_by(overlay)
    assert sorted(properties["all_margins"].split()) == [f"margin_{number}" for number in range(4)]
    assert properties["default_margin"] == properties["all_margins"].split()[0]


def test_the_command_makes_an_overlay(
    sky: Sky, stars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = tmp_path / "mine"
    command = ["build", str(stars), "-t", "5", "-t", "60", "--collection", str(overlay), "--no-progress"]
    assert main([*command, "--dry-run"]) == 0
    assert not overlay.exists()
    assert main(command) == 0
    assert read_hats(overlay).all_margins == ["stars_60arcs", "stars_5arcs"]
    assert read_hats(overlay).default_margin == "stars_60arcs"
    assert ids_of(overlay / "stars_5arcs") == sky.margins(5.0)
    assert main(["build", str(stars), "-t", "30", "-t", "7", *command[6:], "--default-margin"]) == 0
    assert read_hats(overlay).default_margin == "stars_30arcs"
    assert main(command) == 1
    assert "stars_5arcs exists already; --overwrite replaces it" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert read_hats(overlay).all_margins == ["stars_60arcs", "stars_5arcs", "stars_30arcs", "stars_7arcs"]
    assert main([*command, "--add-to-collection"]) == 1
    assert "--add-to-collection and --collection '" in capsys.readouterr().err
