"""A margin goes into its collection, which then names it; whatever else the collection says stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hats import read_hats
from hats.catalog.dataset.collection_properties import CollectionProperties

from skymargin import MarginCacheArguments, pipeline
from skymargin.catalogs.collection import add_margin, collection_of, margin_entry
from skymargin.catalogs.properties import edit_properties, parse_properties
from skymargin.cli.main import main
from skymargin.errors import ArgumentError, StorageError
from tests.support.catalogs import ids_of, make_margin, sky_near_edges, write_catalog
from tests.support.killing import Moment, run_killed_at
from tests.support.processes import run_at_once
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 60.0
PARTITIONS = tuple((1, pixel) for pixel in range(8))
SAID = """#HATS Collection
! a remark that somebody wrote
obs_collection=sky
hats_primary_table_url=stars
all_indexes=id stars_id_index
default_index : id
my_key = of mine\\
   , on two lines
obs_regime=Optical
"""


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Write a collection with a primary catalog, an index that is not there, and remarks."""
    folder = tmp_path / "sky"
    write_catalog(folder / "stars", sky_near_edges(PARTITIONS, 2_000, THRESHOLD_ARCSEC, seed=9))
    (folder / "collection.properties").write_text(SAID)
    return folder


def said_by(collection: Path) -> str:
    return (collection / "collection.properties").read_text()


def add(catalog: Path, name: str = "stars_60arcs", **others: Any) -> MarginCacheArguments:
    args = MarginCacheArguments(
        output_artifact_name=name,
        input_catalog_path=catalog,
        margin_threshold=THRESHOLD_ARCSEC,
        add_to_collection=True,
        **{"progress_bar": False, **others},
    )
    pipeline(args)
    return args


def test_the_library_sees_the_margin(collection: Path) -> None:
    add(collection, default_margin=True)
    read = read_hats(collection)
    assert read.all_margins == ["stars_60arcs"]
    assert read.default_margin == "stars_60arcs"
    assert Path(str(read.default_margin_catalog_dir)) == collection / "stars_60arcs"
    assert read.get_margin_thresholds() == {"stars_60arcs": THRESHOLD_ARCSEC}
    assert read_hats(read.default_margin_catalog_dir).catalog_info.catalog_type == "margin"
    make_margin(collection / "stars", collection.parent, THRESHOLD_ARCSEC)
    assert ids_of(collection / "stars_60arcs") == ids_of(collection.parent / "margin")


def test_all_else_stays_as_it_was(collection: Path) -> None:
    (collection / "collection.properties").chmod(0o640)
    add(collection)
    assert said_by(collection) == SAID + "all_margins=stars_60arcs\n"
    add(collection, name="stars_1arcmin", default_margin=True)
    assert (
        said_by(collection) == SAID + "all_margins=stars_60arcs stars_1arcmin\ndefault_margin=stars_1arcmin\n"
    )
    assert (collection / "collection.properties").stat().st_mode & 0o777 == 0o640
    # Margins that are named are valid, and so is the default that was not changed.
    add(collection, name="stars_third")
    properties = CollectionProperties.read_from_dir(collection)
    assert properties.all_margins == ["stars_60arcs", "stars_1arcmin", "stars_third"]
    assert properties.default_margin == "stars_1arcmin"
    assert properties.all_indexes == {"id": "stars_id_index"}
    assert sorted(file.name for file in collection.iterdir()) == [
        "collection.properties", "stars", "stars_1arcmin", "stars_60arcs", "stars_third",
    ]  # fmt: skip


def test_a_margin_that_is_replaced_is_named_once(collection: Path) -> None:
    for _ in range(2):
        add(collection, overwrite=True)
    assert CollectionProperties.read_from_dir(collection).all_margins == ["stars_60arcs"]


def test_a_catalog_in_a_collection_is_known_to_be(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = add(collection / "stars")
    assert args.catalog_path == collection / "stars_60arcs"
    monkeypatch.chdir(collection / "stars")
    add(Path(), name="from_inside")
    assert CollectionProperties.read_from_dir(collection).all_margins == ["stars_60arcs", "from_inside"]


def test_the_collection_may_be_asked_for_after_construction(collection: Path, tmp_path: Path) -> None:
    args = MarginCacheArguments(tmp_path / "out", "m", input_catalog_path=collection / "stars")
    with pytest.raises(ArgumentError, match="default_margin=True needs add_to_collection=True"):
        args.default_margin = True
    args.add_to_collection = True
    args.default_margin = True
    args.output_path = ""
    assert args.catalog_path == collection / "m"
    with pytest.raises(ArgumentError, match="default_margin=True needs add_to_collection=True"):
        args.add_to_collection = False
    with pytest.raises(ArgumentError, match=r"two words.* must not contain spaces"):
        args.output_path = collection / "two words"
    write_catalog(tmp_path / "alone", sky_near_edges(PARTITIONS, 100, THRESHOLD_ARCSEC, seed=9))
    with pytest.raises(ArgumentError, match="is no collection and lies in none"):
        args.input_catalog_path = tmp_path / "alone"
    assert args == MarginCacheArguments(
        output_artifact_name="m",
        input_catalog_path=collection / "stars",
        add_to_collection=True,
        default_margin=True,
    )


def test_a_primary_in_a_folder_of_a_folder(collection: Path) -> None:
    (collection / "deep" / "down").mkdir(parents=True)
    (collection / "stars").rename(collection / "deep" / "down" / "stars")
    file = collection / "collection.properties"
    file.write_text(SAID.replace("url=stars", "url=deep/down/stars"))
    add(collection / "deep" / "down" / "stars")
    assert read_hats(collection).all_margins == ["stars_60arcs"]


def test_an_output_elsewhere_is_named_by_its_whole_path(collection: Path, tmp_path: Path) -> None:
    args = add(collection, output_path=tmp_path / "elsewhere", default_margin=True)
    assert args.catalog_path == tmp_path / "elsewhere" / "stars_60arcs"
    read = read_hats(collection)
    assert read.default_margin == str(tmp_path / "elsewhere" / "stars_60arcs")
    assert read_hats(read.default_margin_catalog_dir).catalog_info.catalog_type == "margin"
    assert read.get_margin_thresholds() == {read.default_margin: THRESHOLD_ARCSEC}


def test_an_output_in_a_folder_of_the_collection_is_named_relative_to_it(collection: Path) -> None:
    add(collection, output_path=collection / "margins")
    assert read_hats(collection).all_margins == ["margins/stars_60arcs"]


def test_without_a_collection_it_is_refused(collection: Path, tmp_path: Path) -> None:
    alone = Workspace(tmp_path / "alone", tmp_path, THRESHOLD_ARCSEC)
    write_catalog(tmp_path / "alone", sky_near_edges(PARTITIONS, 100, THRESHOLD_ARCSEC, seed=9))
    (collection / "stars").rename(collection / "others")
    for call, message in (
        (
            lambda: add(tmp_path / "alone"),
            r"alone is no collection and lies in none: there is no collection\.prop",
        ),
        (lambda: add(collection / "others"), "but is not its primary catalog, which is stars"),
        (lambda: alone.make(default_margin=True), "default_margin=True needs add_to_collection=True"),
        (lambda: alone.arguments(output_path=None), "output_path is required"),
        (lambda: alone.make(add_to_collection=1), "add_to_collection must be True or False, not 1"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call()


def test_a_name_that_would_be_two_is_refused(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="must not contain spaces, commas or semicolons"):
        add(collection, output_path=tmp_path / "two words")
    assert said_by(collection) == SAID
    assert not (tmp_path / "two words").exists()


def test_a_failed_run_leaves_the_collection_alone(collection: Path) -> None:
    """The collection names a margin only when it is in its place."""
    next((collection / "stars" / "dataset").rglob("Npix=3.parquet")).write_bytes(
        b"PAR1 and nothing else PAR1"
    )
    with pytest.raises(OSError, match=r"Npix=3\.parquet"):
        add(collection)
    assert said_by(collection) == SAID
    assert not (collection / "stars_60arcs").exists()


def test_a_run_that_is_killed_before_it_names_its_margin_goes_on(collection: Path) -> None:
    moment = Moment("skymargin.build.checkpoint.pending:add_margin")
    run_killed_at(moment, collection, collection, THRESHOLD_ARCSEC, add_to_collection=True)
    assert (collection / "margin").exists()
    assert said_by(collection) == SAID
    make_margin(collection, collection, THRESHOLD_ARCSEC, add_to_collection=True)
    assert said_by(collection) == SAID + "all_margins=margin\n"


def test_the_margin_stays_when_the_collection_cannot_name_it(collection: Path) -> None:
    make_margin(collection / "stars", collection, THRESHOLD_ARCSEC)
    (collection / "collection.properties").unlink()
    with pytest.raises(
        StorageError, match=r"the margin is at .*margin, but .*collection\.properties does not name it"
    ):
        add_margin(collection, collection / "margin", default=False)


def _add_some(collection: Path, first: int, started: Any) -> None:
    started.wait()
    for number in range(first, first + 20):
        add_margin(collection, collection / f"margin_{number}", default=False)


def test_runs_at_once_lose_no_entry(collection: Path) -> None:
    run_at_once(_add_some, *((collection, 20 * number) for number in range(4)))
    names = CollectionProperties.read_from_dir(collection).all_margins
    assert sorted(names or []) == sorted(f"margin_{number}" for number in range(80))
    assert said_by(collection).startswith(SAID)


def test_collections_in_memory() -> None:
    from upath import UPath

    folder = UPath("memory://collections/sky")
    (folder / "stars").mkdir(parents=True, exist_ok=True)
    (folder / "stars" / "hats.properties").write_text("dataproduct_type=object\n")
    (folder / "collection.properties").write_text(SAID)
    assert collection_of(folder / "stars") == folder
    assert collection_of(folder) == folder
    assert margin_entry(folder, folder / "margin") == "margin"
    add_margin(folder, folder / "margin", default=True)
    add_margin(folder, UPath("memory://elsewhere/margin"), default=False)
    expected = "all_margins=margin memory://elsewhere/margin\ndefault_margin=margin\n"
    assert parse_properties((folder / "collection.properties").read_text()) == {
        **parse_properties(SAID),
        **parse_properties(expected),
    }


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", "key=new\n"),
        ("a=1", "a=1\nkey=new\n"),
        ("key=old\na=1\n", "key=new\na=1\n"),
        ("key : old \\\n  and more\na=1\n", "key=new\na=1\n"),
        ("# key=old\n#key=\\\nkey=old\n", "# key=old\n#key=\\\nkey=new\n"),
        ("keys=1\r\nkey=old\r\na=1\r\n", "keys=1\r\nkey=new\na=1\r\n"),
        ("key=1\nb=2\nkey=3", "key=new\nb=2\n"),
        ("a=key\\\nkey=x\n", "a=key\\\nkey=x\nkey=new\n"),
    ],
)
def test_one_value_is_changed_in_its_place(text: str, after: str) -> None:
    assert edit_properties(text, "key", "new") == after
    assert parse_properties(after) == {**parse_properties(text), "key": "new"}


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", ""),
        ("a=1", "a=1"),
        ("a=1\nkey : old \\\n  and more\n# key=x\nb=2\n", "a=1\n# key=x\nb=2\n"),
        ("key=1\nb=2\nkey=3", "b=2\n"),
    ],
)
def test_a_key_is_removed(text: str, after: str) -> None:
    assert edit_properties(text, "key", None) == after


def test_the_command_adds_to_a_collection(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for threshold in ("0.5", "1.2", "1.7"):
        command = ["build", str(collection), "-t", threshold, "--add-to-collection", "--no-progress"]
        assert main(command) == 0
    assert main([*command[:3], "60", *command[4:], "--default-margin"]) == 0
    read = read_hats(collection)
    assert read.all_margins == ["sky_0.5arcs", "sky_1.2arcs", "sky_1.7arcs", "sky_60arcs"]
    assert read.default_margin == "sky_60arcs"
    assert read.get_margin_thresholds() == {
        f"sky_{threshold:g}arcs": threshold for threshold in (0.5, 1.2, 1.7, 60.0)
    }
    assert main(["build", str(collection), "-t", "5"]) == 2
    assert "Missing option '-o' / '--output'" in capsys.readouterr().err
    assert main(["build", str(collection / "sky_60arcs"), "-t", "5", "--add-to-collection"]) == 1
    assert "--add-to-collection: " in capsys.readouterr().err
