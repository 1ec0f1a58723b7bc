"""Options of file systems: a file system that opens to who has the key, for the input and for the output."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath
from upath.registry import register_implementation

from skymargin import create_collection, verify
from skymargin.catalogs.catalog import open_catalog
from skymargin.catalogs.leaf_paths import partition_paths
from skymargin.cli.build import build
from skymargin.cli.main import main
from skymargin.cli.options import anonymous, read_storage_options
from skymargin.errors import ArgumentError, StorageError
from skymargin.plot import most_telling_pixel
from skymargin.storage.paths import list_files
from tests.storage.conftest import Store
from tests.support.catalogs import files_of, make_margin

REMOTE = ("locked://input/catalog", "locked://output", 3600.0)


class Locked(MemoryFileSystem):  # type: ignore[misc]
    """Files in memory, for those who give the right key; the first letter of the path says which."""

    protocol = "locked"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in the class it comes from
    pseudo_dirs = [""]  # noqa: RUF012

    def __init__(self, key: str = "", **options: Any) -> None:
        self.key = key
        super().__init__(**options)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.replace("locked://", "memory://")))

    def _check(self, path: str) -> None:
        room = self._strip_protocol(path).strip("/").split("/")[0]
        if room and self.key != f"key of {room}":
            raise PermissionError(f"no key for {path}")

    def info(self, path: str, **options: Any) -> Any:
        self._check(path)
        return super().info(path, **options)

    def exists(self, path: str, **options: Any) -> bool:
        self._check(path)
        return bool(super().exists(path, **options))

    def _open(self, path: str, *values: Any, **options: Any) -> Any:
        self._check(path)
        return super()._open(path, *values, **options)

    def ls(self, path: str, *values: Any, **options: Any) -> Any:
        self._check(path)
        return super().ls(path, *values, **options)


@pytest.fixture(autouse=True)
def locked(small_catalog: Path) -> Iterator[None]:
    fsspec.register_implementation("locked", Locked, clobber=True)
    register_implementation("locked", UPath, clobber=True)
    owner = fsspec.filesystem("locked", key="key of input")
    owner.put(str(small_catalog), "/input/catalog", recursive=True)
    yield
    Locked.store.clear()
    Locked.pseudo_dirs[:] = [""]


def test_each_side_has_options_of_its_own(small_catalog: Path, tmp_path: Path) -> None:
    keys = {f"{side}_storage_options": {"key": f"key of {side}"} for side in ("input", "output")}
    far = UPath("locked://output/margin", key="key of output")
    assert make_margin(*REMOTE, tmp_dir=tmp_path / "tmp", **keys).rows > 0
    make_margin(small_catalog, tmp_path, 3600.0)
    assert {name for name in list_files(far) if name.endswith(".parquet")} == {
        file.relative_to(tmp_path / "margin").as_posix() for file in files_of(tmp_path / "margin").values()
    }
    for file in files_of(tmp_path / "margin").values():
        assert (far / file.relative_to(tmp_path / "margin").as_posix()).read_bytes() == file.read_bytes()


def test_on_the_command_line(small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reading, writing = "--storage-option=key=key of input", "--storage-option=key=key of output"
    made = "locked://output/small_3600arcs"
    command = ["build", REMOTE[0], "-t3600", "-o", "locked://output", "--name=small_3600arcs", "-q"]
    command += ["--tmp-dir", str(tmp_path / "tmp")]
    assert main([*command, reading, "--output-storage-option=key=key of output"]) == 0
    assert main(["info", made, writing]) == 0
    assert "HATS margin, small_3600arcs" in capsys.readouterr().out
    picture = str(tmp_path / "margin.png")
    shutil.copytree(small_catalog, tmp_path / "catalog")
    both = ["--primary", str(tmp_path / "catalog"), writing]
    assert main(["verify", made, *both, "-q"]) == 0
    assert main(["plot", made, *both, "-o", picture, "--view", "whole", "-q"]) == 0
    assert Path(picture).is_file()
    assert capsys.readouterr() == ("", "")
    assert main(["info", made, reading]) == 1
    assert "no key for" in capsys.readouterr().err
    # The output has no key of the input.
    assert main([*command, reading, "--name=other"]) == 1
    assert "no key for /output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ("anon=true", {"anon": True}),
        ("anon=False", {"anon": False}),
        ("default_block_size=1000", {"default_block_size": 1000}),
        ("key=1000", {"key": "1000"}),
        ("endpoint_url=https://a.b/c?d=e", {"endpoint_url": "https://a.b/c?d=e"}),
        ('client_kwargs={"region_name": "x"}', {"client_kwargs": {"region_name": "x"}}),
    ],
)
def test_values_on_the_command_line(given: str, options: dict[str, Any]) -> None:
    (option,) = (param for param in build.params if param.name == "storage")
    assert read_storage_options(click.Context(build), option, (given,)) == options


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://bucket/x", {"anon": True}),
        ("gs://bucket/x", {"token": "anon"}),
        ("abfs://container/x", {"anon": True}),
        ("https://host/x", {}),
    ],
)
def test_reading_without_credentials(url: str, options: dict[str, Any]) -> None:
    assert anonymous(url) == options


@pytest.mark.parametrize("side", ["input", "output"])
def test_without_the_key_there_is_no_margin(side: str, tmp_path: Path) -> None:
    keys = {
        f"{name}_storage_options": {"key": f"key of {name}"} for name in ("input", "output") if name != side
    }
    with pytest.raises(StorageError, match=f"no key for .*{side}"):
        make_margin(*REMOTE, tmp_dir=tmp_path / "tmp", **keys)
    assert not list_files(UPath("locked://output", key="key of output"))


def test_options_go_before_those_of_a_path(tmp_path: Path) -> None:
    path = UPath("locked://input/catalog", key="wrong")
    options = {"key": "key of input"}
    assert make_margin(path, tmp_path, 3600.0, input_storage_options=options).rows > 0


def test_files_of_a_local_primary_are_read_with_its_options(
    small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    primary, margin = tmp_path / "catalog", tmp_path / "margin"
    shutil.copytree(small_catalog, primary)
    for file in files_of(primary).values():
        file.unlink()
    template = "locked://input/catalog/dataset/Norder={order}/Dir={dir}/Npix={pixel}.parquet"
    options = {"key": "key of input"}
    make_margin(primary, tmp_path, 3600.0, path_generator=template, input_storage_options=options)

    def path_of(_base: object, pixel: Any, *_: object) -> str:
        return template.format(order=pixel.order, dir=pixel.dir, pixel=pixel.pixel)

    for generator in (template, path_of):
        assert verify(margin, path_generator=generator, primary_storage_options=options).right
    assert most_telling_pixel(margin, path_generator=template, primary_storage_options=options)
    with pytest.raises(StorageError, match="no key for"):
        verify(margin, path_generator=template)
    command = ["verify", str(margin), "--path-template", template]
    assert main([*command, "--storage-option=key=key of input", "-q"]) == 0
    assert main(command) == 1
    assert "no key for" in capsys.readouterr().err


def test_texts_with_dots_on_a_private_bucket(bucket: Store) -> None:
    """They have the credentials of the catalog, and `..` is the folder above, which S3 itself takes for a name."""
    catalog = UPath(f"{bucket.url}/collection/stars", **bucket.options)

    def path_of(base: UPath, pixel: Any, _query: object, suffix: str) -> str:
        inside = f"Norder={pixel.order}/Dir={pixel.dir}/Npix={pixel.pixel}{suffix}"
        return f"{base}/../stars/dataset/{inside}"

    usual = open_catalog(catalog)
    template = (
        f"{bucket.url}/collection/stars/../stars/dataset/Norder={{order}}/Dir={{dir}}/Npix={{pixel}}.parquet"
    )
    for generator in (path_of, template):
        found = open_catalog(catalog, partition_paths(generator))
        assert found.size_bytes.tolist() == usual.size_bytes.tolist()
        paths = [[str(each.root / name) for names in each.files for name in names] for each in (found, usual)]
        assert paths[0] == paths[1]


def test_a_primary_has_options_of_its_own(small_catalog: Path, tmp_path: Path) -> None:
    make_margin(small_catalog, tmp_path, 3600.0)
    options = {"key": "key of input"}
    assert verify(tmp_path / "margin", REMOTE[0], primary_storage_options=options).right
    for name in ("hats.properties", "properties"):
        file = tmp_path / "margin" / name
        lines = file.read_text().splitlines()
        file.write_text(
            "\n".join(
                f"hats_primary_table_url={REMOTE[0]}" if line.startswith("hats_primary_table_url") else line
                for line in lines
            )
        )
    assert verify(tmp_path / "margin", primary_storage_options=options).right
    with pytest.raises(StorageError, match="no key for"):
        verify(tmp_path / "margin")


def test_what_are_no_storage_options(small_catalog: Path, tmp_path: Path) -> None:
    options: Any = "secret"
    with pytest.raises(
        ArgumentError, match=r"^primary_storage_options must be a dict with text keys, not of type str$"
    ):
        verify(tmp_path, small_catalog, primary_storage_options=options)
    make_margin(small_catalog, tmp_path, 3600.0)
    with pytest.raises(ArgumentError, match=r"^primary_storage_options are for remote file systems, but"):
        verify(tmp_path / "margin", primary_storage_options={"key": "key of input"})
    with pytest.raises(ArgumentError, match=r"^storage_options must be a dict with text keys"):
        create_collection(tmp_path / "collection", small_catalog, options)


def test_a_public_bucket_on_the_command_line(bucket: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """The client signs no request, so that it needs no credentials."""
    fs, name = bucket.fs, bucket.name
    fs.call_s3("put_bucket_acl", Bucket=name, ACL="public-read")
    for file in fs.find(f"{name}/collection/stars"):
        fs.call_s3("put_object_acl", Bucket=name, Key=file.removeprefix(f"{name}/"), ACL="public-read")
    bucket.server.record.reset()
    endpoint = f"--storage-option=endpoint_url={bucket.options['endpoint_url']}"
    assert main(["info", f"{bucket.url}/collection/stars", "--anon", endpoint]) == 0
    said = capsys.readouterr()
    assert "HATS object, stars" in said.out
    assert said.err == ""
    assert bucket.server.record.requests
