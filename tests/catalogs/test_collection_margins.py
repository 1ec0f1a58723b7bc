"""The margins of a collection are listed, made default and removed; nothing but a margin of ours is ever removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hats import read_hats

from skymargin import create_collection, inspect_collection, pipeline, remove_margin, set_default_margin
from skymargin.build.arguments import MarginCacheArguments
from skymargin.catalogs.collection_margins import CollectionMargin
from skymargin.cli.main import main
from skymargin.errors import ArgumentError, CatalogNotFoundError, StorageError
from tests.support.catalogs import ids_of, on_disk, sky_near_edges, write_catalog

PARTITIONS = tuple((1, pixel) for pixel in range(4))


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A collection with two margins in it and one elsewhere, of the same name as one of them."""
    folder = tmp_path / "sky"
    write_catalog(folder / "stars", sky_near_edges(PARTITIONS, 500, 60.0, seed=23))
    for output, threshold_arcsec in ((folder, 60.0), (folder, 5.0), (tmp_path / "elsewhere", 5.0)):
        pipeline(
            MarginCacheArguments(
                output,
                f"m{threshold_arcsec:g}",
                input_catalog_path=folder / "stars",
                margin_threshold=threshold_arcsec,
                collection=folder,
                progress_bar=False,
            )
        )
    return folder


def names(collection: Path) -> list[str]:
    return [margin.name for margin in inspect_collection(collection).margins]


def test_what_a_collection_has(collection: Path, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere" / "m5")
    rows = {arcsec: sum(map(len, ids_of(collection / f"m{arcsec}").values())) for arcsec in (5, 60)}
    listed = inspect_collection(collection)
    assert listed.margins == [
        CollectionMargin("m60", 60.0, rows[60], default=True),
        CollectionMargin("m5", 5.0, rows[5]),
        CollectionMargin(elsewhere, 5.0, rows[5]),
    ]
    assert (listed.path, listed.name, listed.primary) == (str(collection), "sky", "stars")
    printed = listed.summary().splitlines()
    assert printed[1] == "primary    stars"
    assert printed[2] == f"margin     m60 (default): 60 arcsec, {rows[60]:,} rows"
    assert json.loads(json.dumps(listed.to_dict()))["margins"][0]["default"] is True
    (collection / "m60" / "hats.properties").rename(tmp_path / "kept")
    (collection / "m60" / "properties").unlink()
    (collection / "m5" / "hats.properties").write_text("obs_collection=m5\n")
    problems = [(margin.name, margin.problem) for margin in inspect_collection(collection).margins]
    assert problems == [("m60", "is not there"), ("m5", "has no threshold"), (elsewhere, "")]
    assert "m60 (default): is not there" in inspect_collection(collection).summary()


def test_another_default(collection: Path, tmp_path: Path) -> None:
    set_default_margin(collection, "m5")
    assert read_hats(collection).default_margin == "m5"
    set_default_margin(collection, str(tmp_path / "elsewhere" / "m5"))
    assert read_hats(collection).default_margin == str(tmp_path / "elsewhere" / "m5")
    before = (collection / "collection.properties").read_bytes()
    with pytest.raises(ArgumentError, match=r"has no margin 'm7'; its margins are m60, m5, .*elsewhere/m5"):
        set_default_margin(collection, "m7")
    assert (collection / "collection.properties").read_bytes() == before


def test_a_collection_without_margins_says_so(tmp_path: Path) -> None:
    write_catalog(tmp_path / "sky" / "stars", sky_near_edges(PARTITIONS, 50, 60.0, seed=24))
    create_collection(tmp_path / "sky", tmp_path / "sky" / "stars")
    with pytest.raises(ArgumentError, match=r"has no margin 'm7'; it has no margins$"):
        remove_margin(tmp_path / "sky", "m7")


def test_a_margin_is_removed_from_list_and_disk(collection: Path, tmp_path: Path) -> None:
    before = (collection / "collection.properties").read_text()
    remove_margin(collection, "m60")
    assert not (collection / "m60").exists()
    elsewhere = str(tmp_path / "elsewhere" / "m5")
    # No default is left; all else is as it was.
    assert (collection / "collection.properties").read_text() == before.replace("=m60 m5", "=m5").replace(
        "default_margin=m60\n", ""
    )
    assert (read_hats(collection).all_margins, read_hats(collection).default_margin) == (
        ["m5", elsewhere],
        None,
    )
    remove_margin(collection, elsewhere)
    assert not Path(elsewhere).exists()
    assert (tmp_path / "elsewhere").is_dir()
    remove_margin(collection, "m5")
    read = read_hats(collection)
    assert (read.all_margins, read.default_margin) == (None, None)
    assert sorted(path.name for path in collection.iterdir()) == ["collection.properties", "stars"]
    # The next margin is the first again.
    assert main(["build", str(collection), "-t", "2", "--add-to-collection", "--no-progress"]) == 0
    assert read_hats(collection).default_margin == "sky_2arcs"


def test_the_last_part_of_a_path_is_enough_where_it_is_one_margin(collection: Path, tmp_path: Path) -> None:
    # The entry itself goes before the last part of another one.
    remove_margin(collection, "m5")
    assert (tmp_path / "elsewhere" / "m5").exists()
    remove_margin(collection, "m5")
    assert not (tmp_path / "elsewhere" / "m5").exists()
    assert names(collection) == ["m60"]
    file = collection / "collection.properties"
    file.write_text(file.read_text().replace("=m60", "=m60 a/m9 b/m9"))
    with pytest.raises(ArgumentError, match="has more than one of that name: a/m9, b/m9"):
        remove_margin(collection, "m9")


def test_nothing_but_a_margin_of_ours_is_removed(collection: Path, tmp_path: Path) -> None:
    file = collection / "collection.properties"
    (collection / "m60" / "thesis.tex").write_text("mine")
    (collection / "m5" / "_metadata.skymargin.json").unlink()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("mine")
    file.write_text(
        file.read_text().replace("=m60 m5", f"=m60 m5 stars {tmp_path}/data https://127.0.0.1:9/m8")
    )
    before = on_disk(tmp_path)
    for name, reason in (
        ("m60", "is a margin catalog that also holds thesis.tex"),
        ("m5", "is a margin catalog, which skymargin did not make"),
        ("stars", r"is a primary catalog \(dataproduct_type=object\)"),
        ("data", "is a folder that is no margin"),
        ("m8", "lies on a server that files cannot be removed from"),
    ):
        with pytest.raises(ArgumentError, match=f"{reason}.*; its files are not removed. keep_files=True"):
            remove_margin(collection, name)
    assert on_disk(tmp_path) == before
    for name in ("m60", "m5", "stars", "data", "m8"):
        remove_margin(collection, name, keep_files=True)
    after = on_disk(tmp_path)
    assert {name for name in before if before[name] != after.get(name)} == {"sky/collection.properties"}
    assert names(collection) == [str(tmp_path / "elsewhere" / "m5")]


def test_a_collection_that_cannot_be_changed_keeps_its_margin(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything of it is removed."""

    def refuse(*_: object) -> None:
        raise PermissionError("not allowed")

    before = on_disk(collection)
    monkeypatch.setattr("skymargin.catalogs.shared_file.shutil.copymode", refuse)
    with pytest.raises(StorageError, match=r"collection\.properties cannot be changed: not allowed"):
        remove_margin(collection, "m60")
    assert on_disk(collection) == before


def test_a_margin_that_is_gone_and_one_behind_a_link(collection: Path, tmp_path: Path) -> None:
    (collection / "m60").rename(tmp_path / "moved")
    (collection / "m5").rename(tmp_path / "target")
    (collection / "m5").symlink_to(tmp_path / "target", target_is_directory=True)
    remove_margin(collection, "m60")
    remove_margin(collection, "m5")
    assert not (collection / "m5").is_symlink()
    assert (tmp_path / "moved" / "hats.properties").exists()
    assert (tmp_path / "target" / "hats.properties").exists()
    assert names(collection) == [str(tmp_path / "elsewhere" / "m5")]


def test_what_is_no_collection(collection: Path, tmp_path: Path) -> None:
    no_collection = r"stars is not a collection: it has no collection\.properties"
    for folder, message in (
        (collection / "stars", no_collection),
        (tmp_path / "nothing", "there is nothing at .*nothing$"),
    ):
        for call in (
            inspect_collection,
            lambda of: set_default_margin(of, "m"),
            lambda of: remove_margin(of, "m"),
        ):
            with pytest.raises(CatalogNotFoundError, match=message):
                call(folder)


def test_the_command(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collection", str(collection)]) == 0
    assert "m60 (default): 60 arcsec" in capsys.readouterr().out
    assert main(["collection", str(collection), "--remove", "m60", "--default", "m5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(margin["name"], margin["default"]) for margin in said["reports"][0]["margins"]][:1] == [
        ("m5", True)
    ]
    assert not (collection / "m60").exists()
    (collection / "m5" / "thesis.tex").write_text("mine")
    assert main(["collection", str(collection), "--remove", "m5"]) == 1
    assert "--keep-files takes it off the list only" in capsys.readouterr().err
    assert main(["collection", str(collection), "--remove", "m5", "--keep-files"]) == 0
    assert (collection / "m5" / "thesis.tex").exists()
    assert main(["collection", str(collection), "--keep-files"]) == 2
    assert main(["collection", str(collection / "stars")]) == 1
