"""Templates and functions that say where the files of partitions lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest
from upath import UPath

from skymargin.catalogs.catalog import open_catalog
from skymargin.catalogs.leaf_files import LeafFiles
from skymargin.catalogs.leaf_paths import (
    PartitionPaths,
    check_path_generator,
    generated_files,
    partition_paths,
)
from skymargin.errors import ArgumentError, CatalogError, MissingPartitionError
from tests.support.catalogs import Layout, sky_near_edges, write_catalog

PIXELS = [(0, 3), (1, 17), (9, 123_456)]


def found(generator: Any, catalog: Any, **options: Any) -> LeafFiles:
    return generated_files(
        PartitionPaths(generator, options or None), catalog, PIXELS, ".parquet", catalog / "list"
    )


def put(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"a Parquet file, as far as anyone looks here")
    return [str(folder / name) for name in names]


def paths_of(files: LeafFiles) -> list[str]:
    return [str((files.root / name).resolve()) for names in files.files for name in names]


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{order}/{pixel}.parquet", ("cat/0/3.parquet", "cat/1/17.parquet", "cat/9/123456.parquet")),
        (
            "../leafs/o{order:02}/d{dir}/p{pixel:08d}.pq",
            ("leafs/o00/d0/p00000003.pq", "leafs/o01/d0/p00000017.pq", "leafs/o09/d120000/p00123456.pq"),
        ),
        ("{here}/all-{order}-{pixel}", ("all-0-3", "all-1-17", "all-9-123456")),
        ("$SKYMARGIN_LEAFS/x/{order}_{pixel}", ("x/0_3", "x/1_17", "x/9_123456")),
        ("{here}/a{{b}}/{order}_{pixel}", ("a{b}/0_3", "a{b}/1_17", "a{b}/9_123456")),
        (
            "./{pixel}/../{order}-{pixel}.parquet",
            ("cat/0-3.parquet", "cat/1-17.parquet", "cat/9-123456.parquet"),
        ),
    ],
)
def test_templates(
    template: str, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYMARGIN_LEAFS", str(tmp_path))
    (tmp_path / "cat").mkdir()
    put(tmp_path, *names)
    files = found(template.replace("{here}", str(tmp_path)), tmp_path / "cat")
    assert paths_of(files) == [str(tmp_path / name) for name in names]
    assert [files.statuses[name].size_bytes for (name,) in files.files] == [43, 43, 43]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("x/{order}/{npix}", r"\{npix\} is not known; allowed are \{order\}, \{dir\} and \{pixel\}"),
        ("x/{}", r"\{\} is not known"),
        ("x/{0}", r"\{0\} is not known"),
        ("x/{pixel.real}", r"\{pixel\.real\} is not known"),
        ("x/{pixel!r}", "written in a way that is not known"),
        ("x/{pixel:>9}", "written in a way that is not known"),
        ("x/{pixel:999}", "written in a way that is not known"),
        ("x/{order}", r"without \{pixel\} many partitions would have the same file"),
        ("x/{pixel", "expected '}' before end of string"),
        ("x/pixel}", r"Single '}' encountered in format string; \{\{ and \}\} stand for braces"),
        ("s3://bucket-{order}/{pixel}", "the server or bucket must be the same for all partitions"),
        ("s3://{order}/{pixel}", "the server or bucket must be the same"),
        ("{order}s3://bucket/{pixel}", "the server or bucket must be the same"),
    ],
)
def test_templates_that_are_none(template: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason) as caught:
        check_path_generator(template)
    assert str(caught.value).startswith(f"path_generator {template!r} is not allowed: ")


def test_what_is_neither_template_nor_function() -> None:
    assert check_path_generator(None) is None
    assert check_path_generator("") is None
    assert partition_paths("") is None
    assert check_path_generator(Path("x/{pixel}")) == "x/{pixel}"
    for value in (3, ["x/{pixel}"], b"x/{pixel}"):
        with pytest.raises(ArgumentError, match=r"it must be a template, such as 'files/.*', or a function"):
            check_path_generator(value)


def test_a_function_is_called_as_lsdb_calls_it(tmp_path: Path) -> None:
    from hats.io import pixel_catalog_file
    from hats.pixel_math import HealpixPixel

    asked = []

    def path_of(base: UPath, pixel: HealpixPixel, query: dict[str, Any] | None, suffix: str) -> UPath:
        asked.append((base, pixel, query, suffix))
        return base.parent / "leafs" / str(pixel.dir) / f"{pixel.order}-{pixel.pixel}{suffix}"

    names = ["leafs/0/0-3.parquet", "leafs/0/1-17.parquet", "leafs/120000/9-123456.parquet"]
    put(tmp_path, *names)
    files = found(path_of, tmp_path / "cat")
    assert paths_of(files) == [str(tmp_path / name) for name in names]
    assert files.root == tmp_path / "leafs"
    assert asked == [
        (UPath(str(tmp_path / "cat")), HealpixPixel(*pixel), None, ".parquet") for pixel in PIXELS
    ]
    # That of the hats library gives the places of the format.
    at_home = put(
        tmp_path / "cat/dataset",
        *(f"Norder={o}/Dir={p // 10_000 * 10_000}/Npix={p}.parquet" for o, p in PIXELS),
    )
    assert paths_of(found(pixel_catalog_file, tmp_path / "cat")) == at_home


def refuse(*_: object) -> str:
    raise KeyError("no such night")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (refuse, r"path_generator refuse for order 0, pixel 3 failed: KeyError: 'no such night'"),
        (lambda *_: None, r"order 0, pixel 3 gave None: it must give a path or a URL"),
        (
            lambda *_: "x/y.parquet",
            r"gave the relative path .*: it must be absolute, such as catalog_base_dir / 'y",
        ),
        (
            lambda *_: "/x/y.parquet",
            r"gives .*y\.parquet for order 0, pixel 3 and for order 1, pixel 17: each",
        ),
        (
            lambda _base, pixel, *_: f"memory://m/{pixel.pixel}" if pixel.order else f"/m/{pixel.pixel}",
            r"gave .*3 and memory:.*17: all partitions of a catalog must lie on one file system or server",
        ),
    ],
)
def test_functions_that_give_no_paths(function: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        found(function, tmp_path)


def test_a_missing_file_is_named_with_template_and_partition(tmp_path: Path) -> None:
    put(tmp_path, "0/3.parquet", "9/123456.parquet")
    with pytest.raises(MissingPartitionError) as caught:
        found("{order}/{pixel}.parquet", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / '1/17.parquet'}: there is no such file. It is that of order 1, pixel 17 by path_generator "
        f"'{{order}}/{{pixel}}.parquet'; {tmp_path / 'list'} lists this partition"
    )


def test_partitions_may_be_folders(tmp_path: Path) -> None:
    names = put(tmp_path, "0/3/b.parquet", "0/3/a.parquet", "1/17/x.parq", "9/123456/x.parquet")
    put(tmp_path, "0/3/_metadata", "0/3/.a.parquet.crc", "0/3/notes.txt", "0/3/deeper/c.parquet")
    for template in ("{order}/{pixel}", "{order}/{pixel}/"):
        files = found(template, tmp_path)
        assert paths_of(files) == [names[1], names[0], *names[2:]]
    (tmp_path / "1/17/x.parq").unlink()
    with pytest.raises(MissingPartitionError, match="1/17: there is no Parquet file in this folder"):
        found("{order}/{pixel}", tmp_path)


def test_partitions_on_a_store(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for order, pixel in PIXELS:
        memory.pipe(f"/leafs/a/{order}/{pixel}.parquet", b"x" * (30 + order))
    memory.pipe("/leafs/cat/properties", b"")
    remote = UPath("memory://leafs/cat")
    generators: list[tuple[Any, Any]] = [
        ("memory://leafs/a/{order}/{pixel}.parquet", tmp_path),
        ("memory://leafs/a/{order}/{pixel}.parquet", remote),
        ("../a/{order}/{pixel}.parquet", remote),
        (lambda base, pixel, *_: base.parent / f"a/{pixel.order}/{pixel.pixel}.parquet", remote),
        (lambda _, pixel, *__: f"memory://leafs/a/{pixel.order}/{pixel.pixel}.parquet", tmp_path),
        # For a store `..` is a name.
        ("memory://leafs/cat/../a/{order}/{pixel}.parquet", remote),
        (lambda base, pixel, *_: base / ".." / f"a/./{pixel.order}/{pixel.pixel}.parquet", remote),
        (lambda base, pixel, *_: f"{base}/../a/{pixel.order}/{pixel.pixel}.parquet", remote),
    ]
    for generator, catalog in generators:
        files = found(generator, catalog)
        paths = [(files.root / name).path for names in files.files for name in names]
        assert paths == [f"/leafs/a/{order}/{pixel}.parquet" for order, pixel in PIXELS]
        assert [status.size_bytes for status in files.statuses.values()] == [30, 31, 39]
        # What tells a file from another version of it.
        assert all(status.version for status in files.statuses.values())
    with pytest.raises(MissingPartitionError, match="there is no such file"):
        found("../b/{order}/{pixel}.parquet", remote)


def test_the_options_of_a_local_catalog_are_for_its_files(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for order, pixel in PIXELS:
        memory.pipe(f"/kept/{order}/{pixel}.parquet", b"x" * 30)
    generators: list[Any] = [
        "memory://kept/{order}/{pixel}.parquet",
        lambda _, pixel, *__: f"memory://kept/{pixel.order}/{pixel.pixel}.parquet",
    ]
    for generator in generators:
        files = found(generator, tmp_path, skip_instance_cache=True)
        assert files.root.storage_options == {"skip_instance_cache": True}  # type: ignore[union-attr]


def test_urls_in_text_have_the_options_of_the_catalog() -> None:
    memory = fsspec.filesystem("memory")
    for order, pixel in PIXELS:
        memory.pipe(f"/texts/{order}/{pixel}.parquet", b"x" * 30)
    catalog = UPath("memory://texts/cat", skip_instance_cache=True)

    def text_of(base: UPath, pixel: Any, *_: object) -> str:
        return f"{base.parent}/{pixel.order}/{pixel.pixel}.parquet"

    for generator in (text_of, "memory://texts/cat/../{order}/{pixel}.parquet"):
        files = found(generator, catalog)
        assert files.root.storage_options == {"skip_instance_cache": True}  # type: ignore[union-attr]
        assert files.root.path == "/texts"  # type: ignore[union-attr]


def test_a_catalog_is_listed_by_itself(tmp_path: Path) -> None:
    sky = sky_near_edges(((0, 4), (1, 3)), 100, 60.0, seed=1)
    for without, listing in (((), "partition_info.csv"), (("partition_info.csv",), "_metadata")):
        folder = tmp_path / listing
        write_catalog(folder, sky, Layout(without=without))
        paths = partition_paths("dataset/Norder={order}/Dir={dir}/Npix={pixel}.parquet")
        catalog = open_catalog(folder, paths)
        assert catalog.listed_in.name == listing
        assert catalog.root == folder / "dataset"
        usual = open_catalog(folder)
        assert [catalog.root / name for names in catalog.files for name in names] == [
            usual.root / name for names in usual.files for name in names
        ]
        assert catalog.size_bytes.tolist() == usual.size_bytes.tolist()
    write_catalog(tmp_path / "bare", sky, Layout(without=("partition_info.csv", "_metadata")))
    with pytest.raises(
        CatalogError, match=r"one of them must list the partitions that path_generator 'x/{pixel}'"
    ):
        open_catalog(tmp_path / "bare", partition_paths("x/{pixel}"))
