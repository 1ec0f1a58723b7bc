"""The last move: whatever cuts it off, a reader finds a whole catalog or none, and the next try ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from skymargin.build.checkpoint import publish
from skymargin.build.checkpoint.publish import digest_of, publish_folder, recover
from skymargin.errors import OutputExistsError, StorageError
from skymargin.storage.paths import AnyPath, list_files

FILES = (
    "dataset/Norder=0/Dir=0/Npix=3.parquet",
    "dataset/_metadata",
    "partition_info.csv",
    "hats.properties",
)
OLD = {name: f"old {name}" for name in (*FILES, "dataset/Norder=0/Dir=0/Npix=4.parquet")}
OLD |= dict.fromkeys(("properties", "hats.properties"), "dataproduct_type=margin\nobs_collection=old\n")
NEW = {name: f"new {name}" for name in (*FILES, "properties")}


def write(folder: AnyPath, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder: AnyPath) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in list_files(folder)}


def data_of(files: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if not name.endswith("properties")}


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> AnyPath:
    """Return a folder on disk, or in a store that can only copy and remove."""
    if request.param == "local":
        return tmp_path
    return UPath(f"memory://test-placing-{tmp_path.name}")


@pytest.mark.parametrize("before", [{}, OLD], ids=["nothing", "old"])
def test_a_catalog_gets_its_place(place: AnyPath, before: dict[str, str]) -> None:
    write(place / "final", before)
    write(place / "partial", NEW)
    made = digest_of(place / "partial")
    publish_folder(place / "partial", place / "final", place / "old")
    assert read(place / "final") == NEW
    assert digest_of(place / "final") == made is not None
    assert set(list_files(place)) == {f"final/{name}" for name in NEW}


def test_an_empty_folder_gives_way(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    write(tmp_path / "partial", NEW)
    publish_folder(tmp_path / "partial", tmp_path / "final", tmp_path / "old")
    assert [entry.name for entry in tmp_path.iterdir()] == ["final"]


def test_what_was_there_comes_back_when_it_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "final", OLD)
    write(tmp_path / "partial", NEW)
    rename = Path.rename

    def fail_for_new(self: Path, target: Path) -> Path:
        if self.name == "partial":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(OSError, match="no"):
        publish_folder(tmp_path / "partial", tmp_path / "final", tmp_path / "old")
    assert read(tmp_path / "final") == OLD
    assert read(tmp_path / "partial") == NEW


def test_what_an_earlier_overwrite_left_beside_is_replaced_too(tmp_path: Path) -> None:
    for name, files in (("final", OLD), ("old", OLD), ("partial", NEW)):
        write(tmp_path / name, files)
    publish_folder(tmp_path / "partial", tmp_path / "final", tmp_path / "old")
    assert read(tmp_path / "final") == NEW
    assert [entry.name for entry in tmp_path.iterdir()] == ["final"]


def test_what_comes_to_the_place_in_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "final", OLD)
    write(tmp_path / "partial", NEW)
    rename = Path.rename

    def write_before(self: Path, target: Path) -> Path:
        if Path(target).name == "old":
            write(self, {"thesis.tex": "mine"})
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", write_before)
    with pytest.raises(OutputExistsError, match=r"final has become a margin catalog that .* thesis\.tex"):
        publish_folder(tmp_path / "partial", tmp_path / "final", tmp_path / "old")
    assert read(tmp_path / "final") == OLD | {"thesis.tex": "mine"}
    assert read(tmp_path / "partial") == NEW
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize("already", ["nothing", "an empty folder", "the new one"])
def test_the_old_one_comes_back_unless_there_is_a_new_one(already: str, tmp_path: Path) -> None:
    write(tmp_path / "old", OLD)
    if already != "nothing":
        (tmp_path / "final").mkdir()
    if already == "the new one":
        write(tmp_path / "final", NEW)
    for _ in range(2):
        recover(tmp_path / "final", tmp_path / "old")
        assert read(tmp_path / "final") == (NEW if already == "the new one" else OLD)
        assert [entry.name for entry in tmp_path.iterdir()] == ["final"]


@pytest.mark.parametrize("before", [{}, OLD], ids=["nothing", "old"])
def test_on_a_store_there_is_never_a_mixture(
    before: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut the copying off before each single operation of the store."""
    left = 0

    class CutOff(Exception):
        pass

    def counting(name: str) -> None:
        original = getattr(MemoryFileSystem, name)

        def counted(*args: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise CutOff
            return original(*args, **named)

        monkeypatch.setattr(MemoryFileSystem, name, counted)

    place = UPath(f"memory://test-mixture-{tmp_path.name}")
    counting("cp_file")
    counting("rm_file")
    seen = set()
    for step in range(100):
        left = 1_000
        for folder in ("final", "partial"):
            if (place / folder).exists():
                place.fs.rm(f"{place.path}/{folder}", recursive=True)
        write(place / "final", before)
        write(place / "partial", NEW)
        left = step
        try:
            publish_folder(place / "partial", place / "final", place / "old")
        except (CutOff, StorageError):
            left = 1_000
        else:
            break
        present = read(place / "final") if (place / "final").exists() else {}
        # Readers look for either of the two, and both say the same.
        is_catalog = bool({"properties", "hats.properties"} & set(present))
        assert not is_catalog or data_of(present) in (data_of(before), data_of(NEW))
        assert not is_catalog or present.items() <= before.items() or present.items() <= NEW.items()
        seen.add("catalog" if is_catalog else "none")
        if read(place / "partial") == NEW:
            publish_folder(place / "partial", place / "final", place / "old")
        assert read(place / "final") == NEW
    assert step > len(before) + len(NEW)
    assert seen == {"catalog", "none"}
    assert read(place / "final") == NEW


def test_readers_know_a_catalog_by_its_properties() -> None:
    from skymargin.catalogs import layout

    assert set(layout.HATS_PROPERTIES) < set(publish.VALID_BY)
